"""shop.toml in, a Shop out: its tables in contract form on the shop's own engine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, Refusal, one_of
from cdp_lib.tables import identity
from cdp_lib.tables.config import ShopFile, TableSpec, read_shop_file
from cdp_lib.tables.contract import CONTRACT
from cdp_lib.tables.engine import connect, files_of, read_files, select_from
from cdp_lib.tables.mapping import Mapped, to_contract
from cdp_lib.tables.rules import Rule, bad, rules_for
from cdp_lib.windows import instant

if TYPE_CHECKING:
    from ibis.backends import BaseBackend

_opened = count()


def open_shop(
    path: str | Path,
    as_of: str | date | datetime | None = None,
    needs: Iterable[str] = (),
    con: BaseBackend | None = None,
) -> Shop:
    """Open a shop by its shop.toml. Nothing is read yet but the schemas of the tables in `needs`.

    as_of: the exclusive end of the data, instead of the file's. needs: tables without which
    there is nothing to do. con: an Ibis connection to use instead of the file's engine; its
    time zone is set to UTC. Raises Refusal for a file that cannot be used, and MissingTable for
    a table in `needs` that the shop does not have.
    """
    file = read_shop_file(path)
    given = file.as_of if as_of is None else instant(as_of)
    shop = Shop(file, con if con is not None else connect(file.url), given)
    shop.require(*needs)
    return shop


class Shop:
    """A shop at a time: every table of the contract that it has, as an Ibis table.

    `shop.events`, `shop.orders` … hold all columns of the contract in its order (typed nulls
    where the shop has none), then the shop's further columns; only rows before `as_of`; without
    the rows that a rule sets aside and without repeats of a key. They are expressions: nothing
    is read until one is executed. `cdp_lib.tables.check` counts what was set aside.
    """

    def __init__(self, file: ShopFile, con: BaseBackend, as_of: datetime | None) -> None:
        self.file, self.con, self._as_of = file, con, as_of
        self.name, self.path, self.currency = file.name, file.path, file.currency
        self.settings, self.experiments = file.settings, file.experiments
        self.engine = con.name
        self._prefix = f"cdp_{next(_opened)}"
        self._mapped: dict[str, Mapped] = {}
        self._tables: dict[str, Table] = {}
        self._repeats: dict[str, Table | None] = {}
        if self.engine == "duckdb":
            con.raw_sql("SET TimeZone = 'UTC'")

    def __repr__(self) -> str:
        return f"Shop({self.name!r}, {', '.join(self.tables)}, engine={self.engine!r})"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]

    def __getattr__(self, name: str) -> Table:
        if name in CONTRACT:
            return self.table(name)
        raise AttributeError(f"a Shop has no {name!r}; its tables are {', '.join(CONTRACT)}")

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the shop has."""
        return tuple(self.file.tables)

    def has(self, name: str) -> bool:
        """Whether shop.toml has that table."""
        one_of("table", name, CONTRACT)
        return name in self.file.tables

    def require(self, *names: str) -> None:
        """Raise MissingTable for the first of these tables that the shop does not have."""
        for name in names:
            if not self.has(name):
                raise MissingTable(
                    "shop",
                    self.name,
                    f"no table {name!r}: it has {', '.join(self.tables)}",
                    f"add [tables.{name}] to {self.path.name}",
                )
            self.mapped(name)

    def given(self, name: str) -> frozenset[str]:
        """The contract columns that the shop has in that table; the others are null throughout."""
        return self.mapped(name).given

    @cached_property
    def as_of(self) -> datetime:
        """The exclusive end of the data: as given, else just after the newest event or order."""
        if self._as_of is not None:
            return self._as_of
        newest = [self._newest(name) for name in ("events", "orders") if self.has(name)]
        newest = [moment for moment in newest if moment is not None]
        if not newest:
            raise Refusal(
                "as_of", None, "no event and no order to tell the end of the data", "set as_of"
            )
        # A whole second, so that as_of survives being written down.
        return max(newest).replace(microsecond=0) + timedelta(seconds=1)

    def _newest(self, name: str) -> datetime | None:
        # A clock that runs ahead must not move the end of the data, unless all lies ahead.
        table, column = self.mapped(name).table, CONTRACT[name].cut_by
        tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
        row = (
            table.aggregate(
                past=table[column].max(where=table[column] < ibis.literal(tomorrow)),
                ever=table[column].max(),
            )
            .to_pyarrow()
            .to_pylist()[0]
        )
        return row["past"] or row["ever"]

    def table(self, name: str) -> Table:
        """A table in contract form, as described at Shop. Raises MissingTable."""
        if name not in self._tables:
            self.require(name)
            self._tables[name] = self._without_repeats(name)
        return self._tables[name]

    def find(self, name: str) -> Table | None:
        """A table in contract form, or None where the shop does not have it."""
        return self.table(name) if self.has(name) else None

    @cached_property
    def journeys(self) -> Table:
        """The events with their visit and person, kept by the engine.

        Every column of events, then `person_id`, `known` and `returning`; `visitor_id` and
        `session_id` are never null: see `identity.sessions` and `identity.stitch`.
        """
        events, mapped = self.events, self.mapped("events")
        # Columns that are null throughout need not be carried through sorts and joins.
        present = mapped.given.union(mapped.extras, ("customer_id", "session_id"))
        visits = identity.sessions(
            events.select([name for name in events.columns if name in present]),
            self.settings.session_gap_minutes,
        )
        if "session_id" not in mapped.given:
            visits = visits.cache()
        linked = self.find("identities")
        people = identity.stitch(visits, linked).cache()
        absent = {c.name: c.dtype for c in mapped.contract.columns if c.name not in people.columns}
        return people.mutate(**{name: ibis.null(dtype) for name, dtype in absent.items()}).select(
            *events.columns, "person_id", "known", "returning"
        )

    @cached_property
    def coverage(self) -> identity.Coverage:
        """How far the events are tied to people; see `identity.Coverage`."""
        linked = self.find("identities")
        return identity.coverage(self.events, self.journeys, linked)

    def mapped(self, name: str) -> Mapped:
        """A table in contract form before any row is set aside."""
        if name not in self._mapped:
            spec = self.file.tables[name]
            self._mapped[name] = to_contract(
                self._raw(name, spec), CONTRACT[name], spec, self.engine
            )
        return self._mapped[name]

    def rules(self, name: str) -> tuple[Rule, ...]:
        """The rules that apply to a table of this shop."""
        return rules_for(self.mapped(name), self.as_of, self.tables)

    def looked_up(self, name: str, rules: Iterable[Rule]) -> Table:
        """The mapped table with the flags that these rules look up in other tables."""
        table = self.mapped(name).table
        for lookup in {rule.lookup for rule in rules if rule.lookup is not None}:
            other = self.mapped(lookup.table).table
            fine = ~bad(other, [rule for rule in self.rules(lookup.table) if not rule.lookup])
            flags = (
                other.filter(other[lookup.column].notnull())
                .mutate(fine__=fine.cast("int64"))
                .group_by(lookup.column)
                .aggregate(**{lookup.flag: ibis._.fine__.max()})
            )
            table = table.left_join(flags, lookup.column).drop(f"{lookup.column}_right")
        return table

    def sound(self, name: str) -> Table:
        """The mapped rows that no rule sets aside; repeats of a key are still in."""
        applied = [rule for rule in self.rules(name) if rule.treatment == "set aside"]
        table = self.looked_up(name, applied)
        mapped = self.mapped(name)
        return table.filter(~bad(table, applied)).select(
            *[column.name for column in mapped.contract.columns], *mapped.extras
        )

    def repeats(self, name: str) -> Table | None:
        """The keys that stand on two rows or more, with `n_rows`; None where none does.

        Rows whose key has a null are no repeats of each other. Counted once and kept.
        """
        if name not in self._repeats:
            key, sound = self.mapped(name).key, self.sound(name)
            found = None
            if key:
                complete = sound.filter([sound[column].notnull() for column in key])
                counted = complete.group_by(*key).aggregate(n_rows=complete.count())
                found = counted.filter(counted.n_rows > 1).cache()
                found = found if found.count().execute() else None
            self._repeats[name] = found
        return self._repeats[name]

    def _without_repeats(self, name: str) -> Table:
        mapped, sound = self.mapped(name), self.sound(name)
        sound = self._as_known(sound, mapped)
        repeats = self.repeats(name)
        if repeats is None:
            return sound
        key = list(mapped.key)
        # One row a key, the same on every engine: the least in time, then in all columns.
        contract = mapped.contract
        order = [contract.cut_by] if contract.cut_by else []
        order += [
            c.name for c in contract.columns if c.name in mapped.given and c.name not in order
        ]
        double = sound.semi_join(repeats, key)
        ranked = double.mutate(
            rank__=ibis.row_number().over(
                group_by=key, order_by=[double[c].asc(nulls_first=True) for c in order]
            )
        )
        kept = ranked.filter(ranked.rank__ == 0).select(sound.columns).cache()
        return sound.anti_join(repeats, key).union(kept.cast(sound.schema()))

    def _as_known(self, table: Table, mapped: Mapped) -> Table:
        """What happened to a row after `as_of` (a message opened later) is not known yet."""
        later = {
            column.name: ibis.ifelse(
                table[column.name] < ibis.literal(self.as_of),
                table[column.name],
                ibis.null("timestamp"),
            )
            for column in mapped.contract.columns
            if column.dtype == "timestamp"
            and column.name in mapped.given
            and column.name != mapped.contract.cut_by
        }
        return table.mutate(**later) if later else table

    def _raw(self, name: str, spec: TableSpec) -> Table:
        place = f"tables.{name}"
        if spec.table is not None:
            known = self.con.list_tables()
            if spec.table not in known:
                one_of(f"{place}.table", spec.table, known or ["(the engine has no table)"])
            raw = self.con.table(spec.table)
        else:
            raw = read_files(
                self.con,
                f"{self._prefix}_{name}",
                files_of(f"{place}.path", spec.path, self.path.parent),
                spec.header,
                spec.delimiter,
            )
        return raw if spec.query is None else select_from(self.con, raw, spec.query, place)
