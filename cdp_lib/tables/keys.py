"""One row a key: which keys repeat, and which of their rows stays."""

import ibis
from ibis.expr.types import Table

from cdp_lib.tables.mapping import Mapped


def repeated(sound: Table, mapped: Mapped, among: Table | None = None) -> Table | None:
    """The keys that stand on two rows or more, with `n_rows`, kept; None where none does.

    Rows whose key has a null are no repeats of each other; but a version without an instant has
    always been there, so two such versions of one row are. `among`: the only keys that may repeat.
    """
    if not mapped.key:
        return None
    said = [column for column in mapped.key if column != mapped.contract.known_by]
    sound = sound if among is None else sound.semi_join(among, said)
    complete = sound.filter([sound[column].notnull() for column in said])
    counted = complete.group_by(*mapped.key).aggregate(n_rows=complete.count())
    found = counted.filter(counted.n_rows > 1)
    # Most shops have none: one question, and nothing is kept.
    return found.cache() if found.count().execute() else None


def one_row_a_key(table: Table, repeats: Table, mapped: Mapped) -> Table:
    """Of the rows of a repeated key the least in time stays, then in all columns.

    So it is the same row on every engine, whatever the order of the rows.
    """
    key, contract = list(mapped.key), mapped.contract
    order = [contract.cut_by] if contract.cut_by else []
    order += [c.name for c in contract.columns if c.name in mapped.given and c.name not in order]
    double = table.semi_join(repeats, key)
    rank = ibis.row_number().over(
        group_by=key, order_by=[double[name].asc(nulls_first=True) for name in order]
    )
    ranked = double.mutate(rank__=rank)
    kept = ranked.filter(ranked.rank__ == 0).select(table.columns).cache()
    return table.anti_join(repeats, key).union(kept.cast(table.schema()))


def newest_version(table: Table, mapped: Mapped) -> Table:
    """The newest version of each row; of versions of one instant the least in all columns.

    A version without an instant has always been there, so every other one is newer.
    """
    contract = mapped.contract
    others = [c.name for c in contract.columns if c.name in mapped.given] + list(mapped.extras)
    order = [table[contract.known_by].desc(nulls_first=False)]
    order += [table[name].asc(nulls_first=True) for name in others if name != contract.known_by]
    rank = ibis.row_number().over(group_by=list(contract.key), order_by=order)
    ranked = table.mutate(rank__=rank)
    return ranked.filter(ranked.rank__ == 0).drop("rank__")
