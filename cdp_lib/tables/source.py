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
from cdp_lib.tables import identity, known
from cdp_lib.tables.config import ShopFile, read_shop_file
from cdp_lib.tables.contract import CONTRACT
from cdp_lib.tables.engine import as_view, connect, raw_table
from cdp_lib.tables.keys import newest_version, one_row_a_key, repeated
from cdp_lib.tables.mapping import Mapped, to_contract
from cdp_lib.tables.permissions import PermissionChanges, permission_changes
from cdp_lib.tables.rules import Rule, bad, fine, flagged, rules_for
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

    def __init__(
        self, file: ShopFile, con: BaseBackend, as_of: datetime | None, whole: Shop | None = None
    ) -> None:
        self.file, self.con, self._as_of, self._whole = file, con, as_of, whole
        self.name, self.path, self.currency = file.name, file.path, file.currency
        self.settings, self.experiments = file.settings, file.experiments
        self.engine = con.name
        self._prefix = f"cdp_{next(_opened)}"
        self._everything: dict[str, Mapped] = {} if whole is None else whole._everything
        self._mapped: dict[str, Mapped] = {}
        self._tables: dict[str, Table] = {}
        self._repeats: dict[str, Table | None] = {}
        self._cuts: dict[datetime, Shop] = {}
        self.kept, self._behind = False, []  # kept: whether `keep` was called
        if self.engine == "duckdb" and whole is None:
            con.raw_sql("SET TimeZone = 'UTC'")

    def at(self, moment: str | date | datetime) -> Shop:
        """The same shop as it was known at `moment`, which is then its `as_of`; nothing is read.

        Rows that happened or were received from `moment` on are not there; a customer is the
        version valid then; a permission is what it was before its first later change. The shops
        share the engine and what was read; tables of a cut shop are good while this one is
        held. Raises Refusal for a moment after `as_of`.
        """
        moment, whole = instant(moment, "moment"), self.whole
        if moment > self.as_of:
            raise Refusal(
                "moment", str(moment), f"the data ends at {self.as_of}", "name an earlier one"
            )
        if moment not in whole._cuts:
            whole._cuts[moment] = Shop(self.file, self.con, moment, whole)
        return whole._cuts[moment]

    @property
    def whole(self) -> Shop:
        """The shop that `at` cut this one from; a shop that was opened is its own whole."""
        return self._whole or self

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
        """Raise MissingTable for the first of these tables that is not there."""
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
        logs = [name for name in ("events", "orders") if self.has(name)]
        newest = list(filter(None, (known.newest(self._all_of(name)) for name in logs)))
        if {"units", "summaries"} >= set(self.tables):
            return instant(datetime.now(UTC).date())  # finished experiments, and nothing has a time
        if not newest:
            raise Refusal(
                "as_of", None, "no event and no order to tell the end of the data", "set as_of"
            )
        # A whole second, so that as_of survives being written down.
        return max(newest).replace(microsecond=0) + timedelta(seconds=1)

    def table(self, name: str) -> Table:
        """A table in contract form, as described at Shop. Raises MissingTable."""
        if name not in self._tables:
            self.require(name)
            table = self._without_repeats(name)
            table = self._permitted(table) if name == "customers" else table
            self._tables[name] = self._seen(table, name)
        return self._tables[name]

    def find(self, name: str) -> Table | None:
        """A table in contract form, or None where the shop does not have it."""
        return self.table(name) if self.has(name) else None

    @cached_property
    def visits(self) -> Table:
        """The events with their visit: `identity.sessions` of the columns that the shop has.

        Where visits are derived, or after `keep`, the engine keeps them, and a shop cut from this
        one by `at` takes its own from there: a visit's id depends on what came before in it alone.
        """
        mapped, all_given = self.mapped("events"), self.whole._all_visits_given
        if (self.whole.kept or not all_given) and self.cuts_like("events"):
            before = ibis._.occurred_at < ibis.literal(self.as_of)
            return self._seen(self.whole.visits.filter(before), "visits")
        # Columns that are null throughout need not be carried through sorts and joins.
        present = mapped.given.union(mapped.extras, ("customer_id", "session_id"))
        events = self.events.select([name for name in self.events.columns if name in present])
        visits = identity.sessions(events, self.settings.session_gap_minutes, all_given)
        return self._seen(visits, "visits") if all_given else visits.cache()

    def keep(self) -> None:
        """Have the engine keep the visits, for who asks the shop at many moments."""
        whole = self.whole
        if not whole.kept and whole._all_visits_given:
            bare = whole.visits.drop("session_id").cache()  # a text made of two others
            whole._behind.append(bare)
            whole.__dict__["visits"] = identity.with_session(bare)
        whole.kept = True

    @cached_property
    def _all_visits_given(self) -> bool:
        table, given = self.mapped("events").table, self.given("events")
        return "session_id" in given and not table.session_id.isnull().any().execute()

    @cached_property
    def ties(self) -> identity.Ties:
        """Which visitors and visits were seen to be which customers; see `identity.Ties`."""
        if self.cuts_like("events"):
            return self.whole.ties.before(self.as_of)
        return identity.ties(self.visits, self.find("identities"))

    def cuts_like(self, name: str) -> bool:
        """Whether the rows of a cut shop are just those of its whole before the cut."""
        return self.whole is not self and "received_at" not in self.given(name)

    def _seen(self, table: Table, name: str) -> Table:
        """The table of a cut shop as a view: what reads it twice reads only what it needs."""
        self._behind.append(table)  # what the engine keeps for it goes when nobody holds it
        name = f"{self._prefix}_{name}_then"
        return table if self.whole is self else as_view(self.con, table, name)

    @cached_property
    def journeys(self) -> Table:
        """The events with their visit and person, kept by the engine.

        Every column of events, then `person_id`, `known` and `returning`; `visitor_id` and
        `session_id` are never null: see `identity.sessions` and `identity.stitch`.
        """
        events, mapped = self.events, self.mapped("events")
        people = identity.stitch(self.visits.drop("visit__"), self.find("identities")).cache()
        every = mapped.contract.columns
        absent = {c.name: ibis.null(c.dtype) for c in every if c.name not in people.columns}
        return people.mutate(**absent).select(*events.columns, "person_id", "known", "returning")

    @cached_property
    def coverage(self) -> identity.Coverage:
        """How far the events are tied to people; see `identity.Coverage`."""
        return identity.coverage(self.events, self.journeys, self.find("identities"))

    def mapped(self, name: str) -> Mapped:
        """A table in contract form before any row is set aside; what came in later is not there."""
        if name not in self._mapped:
            whole = self._all_of(name)
            later = whole.contract.known_by in whole.given
            self._mapped[name] = known.arrived(whole, self.as_of) if later else whole
        return self._mapped[name]

    def _all_of(self, name: str) -> Mapped:
        if name not in self._everything:
            spec = self.file.tables[name]
            read_as = f"{self.whole._prefix}_{name}"
            raw = raw_table(self.con, spec, read_as, self.path.parent)
            self._everything[name] = to_contract(raw, CONTRACT[name], spec, self.engine)
        return self._everything[name]

    def rules(self, name: str) -> tuple[Rule, ...]:
        """The rules that apply to a table of this shop."""
        return rules_for(self.mapped(name), self.as_of, self.tables)

    def looked_up(self, name: str, rules: Iterable[Rule]) -> Table:
        """The mapped table with the flags that these rules look up in other tables."""
        table = self.mapped(name).table
        for lookup in {rule.lookup for rule in rules if rule.lookup is not None}:
            other = self.mapped(lookup.table).table
            ill = bad(other, [rule for rule in self.rules(lookup.table) if not rule.lookup])
            table = flagged(table, lookup, other.mutate(fine__=(~ill).cast("int64")))
        return table

    def sound(self, name: str) -> Table:
        """The mapped rows that no rule sets aside; repeats of a key are still in."""
        applied = [rule for rule in self.rules(name) if rule.treatment == "set aside"]
        table = self.looked_up(name, applied)
        mapped = self.mapped(name)
        return table.filter(*fine(table, applied)).select(
            *[column.name for column in mapped.contract.columns], *mapped.extras
        )

    def repeats(self, name: str) -> Table | None:
        """The keys that stand on two rows or more, with `n_rows`; None where none does.

        Rows whose key has a null are no repeats of each other. Counted once and kept.
        """
        if name not in self._repeats:
            # What repeats in a part of the log repeats in the whole.
            among = None if self.whole is self else self.whole.repeats(name)
            none = self.whole is not self and among is None
            found = None if none else repeated(self.sound(name), self.mapped(name), among)
            self._repeats[name] = found
        return self._repeats[name]

    def _without_repeats(self, name: str) -> Table:
        mapped = self.mapped(name)
        table = known.without_later(self.sound(name), mapped, self.as_of)
        if mapped.contract.versioned and mapped.contract.known_by in mapped.given:
            return newest_version(table, mapped)
        repeats = self.repeats(name)
        return table if repeats is None else one_row_a_key(table, repeats, mapped)

    def _permitted(self, customers: Table) -> Table:
        changes, given = self.whole._permission_changes, self.given("customers")
        return changes.undone(customers, given, self.as_of) if changes else customers

    @cached_property
    def _permission_changes(self) -> PermissionChanges | None:
        if "valid_from" in self.given("customers"):
            return None
        logs = [self._all_of(name) if self.has(name) else None for name in ("messages", "events")]
        return permission_changes(*logs, self.find("identities"))
