"""What other analyses say of each customer, beside the portrait: the columns segments may ask for.

Scores come from the lists that the pages on leaving and buying have left this week; the value and
the need of discounts are worked out here. What a shop does not allow is left out, and the segments
that ask for it say what they need.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce

from ibis.expr.types import Table

from cdp_lib.activate.scores import read_scores
from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.customers import discounts, worth
from cdp_lib.customers.worth import ValueModel
from cdp_lib.tables import Shop

VALUE = ("p_alive", "expected_revenue", "expected_value")
AFFINITY = ("affinity_low", "affinity_high")
VALUE_DAYS = 365


def joined(
    shop: Shop,
    people: Table,
    wanted: Collection[str],
    lists: str = "",
    values: ValueModel | None = None,
) -> Table:
    """The portrait with those of the wanted columns that can be had, kept by the engine.

    people: a row per customer_id. wanted: column names; those that people has already, or nobody
    can tell, are passed over. lists: the folder of this week's lists. values: fitted at the shop's
    as_of, where that has been done already. Out: all columns of people and, null where unknown,
    scores by their own names, `VALUE` (of the next 365 days) and `AFFINITY`.
    """
    wanted = [name for name in wanted if name not in people.columns]
    parts = [
        (table, [column])
        for column, table in read_scores(shop, lists).items()
        if column in wanted
    ]  # fmt: skip
    for columns, told in ((VALUE, lambda: _values(shop, values)), (AFFINITY, lambda: _needs(shop))):
        asked = [name for name in columns if name in wanted]
        table = told() if asked else None
        if table is not None:
            parts.append((table, asked))
    if not parts:
        return people
    return reduce(_beside, parts, people).cache()


def _beside(people: Table, part: tuple[Table, list[str]]) -> Table:
    table, columns = part
    theirs = table.select("customer_id", *columns)
    both = people.left_join(theirs, "customer_id")
    return both.select(*people.columns, *columns)


def _values(shop: Shop, values: ValueModel | None) -> Table | None:
    try:
        model = values if values is not None else worth.fit(shop)
    except (MissingTable, TooLittleData):
        return None
    return worth.value_table(model, VALUE_DAYS, intervals=False)


def _needs(shop: Shop) -> Table | None:
    try:
        return discounts.discount_affinity(shop)
    except (MissingTable, TooLittleData):
        return None
