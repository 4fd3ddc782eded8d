"""What makes a row unusable or odd: the rules that the health check counts and the shop applies.

A rule is one boolean expression over a table in contract form. The same object is counted by the
check and filtered away by the shop, so a row that a report counts as set aside is set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import ibis
from ibis.expr.types import BooleanValue
from ibis.expr.types import Table as IbisTable

from cdp_lib.tables.contract import EVENTS
from cdp_lib.tables.mapping import UNREAD, Mapped

SET_ASIDE, KEPT, FATAL = "set aside", "kept", "fatal"
FIRST_YEAR = 1990
# Columns that the contract demands but a row may leave empty: a guest, a visitor without cookie.
_MAY_BE_EMPTY = {("orders", "customer_id"), ("events", "visitor_id")}
_NOT_NEGATIVE = {
    "events": ("quantity", "price", "shipping_cost"),
    "order_lines": ("unit_price",),
    "products": ("price", "cost"),
    "prices": ("price",),
}
_MAY_BE_NEGATIVE = {"orders": ("revenue", "refunds"), "order_lines": ("quantity", "returns")}


@dataclass(frozen=True)
class Lookup:
    """A reference into another table: `column` there is `column` here.

    Joined, it stands as the integer column `flag`: null where the other table has no such row,
    0 where it has but set it aside, 1 where the row is used.
    """

    table: str
    column: str

    @property
    def flag(self) -> str:
        """Name of the joined column."""
        return f"lookup__{self.table}"


@dataclass(frozen=True)
class Rule:
    """One way in which a row can be wrong.

    name: what is wrong. treatment: "set aside" or "kept". meaning: what it means and what to do.
    test: from the table to a boolean expression, true where the row is wrong, null read as false.
    passes: for a rule that sets aside, the same the other way round where that is shorter; null
    sets the row aside. Together they let through what no test hits.
    lookup: the other table it needs, or None. example: the columns that show which rows.
    """

    name: str
    treatment: str
    meaning: str
    test: Callable[[IbisTable], BooleanValue]
    lookup: Lookup | None = None
    example: tuple[str, ...] = ()
    passes: Callable[[IbisTable], BooleanValue] | None = None


def rules_for(mapped: Mapped, as_of: datetime, tables: Iterable[str]) -> tuple[Rule, ...]:
    """The rules that apply to a mapped table, given the other tables that the shop has."""
    name = mapped.contract.name
    rules = [*_unread(mapped), *_empty(mapped), *_times(mapped, as_of)]
    for column in _NOT_NEGATIVE.get(name, ()):
        if column in mapped.given:
            rules.append(
                Rule(
                    f"negative {column}",
                    SET_ASIDE,
                    "a price or a number of pieces below zero; correct it at the source",
                    lambda t, c=column: t[c] < 0,
                )
            )
    if name in _MAY_BE_NEGATIVE:
        column, what = _MAY_BE_NEGATIVE[name]
        rules.append(Rule(f"negative {column}", KEPT, f"read as {what}", lambda t: t[column] < 0))
    if name == "events":
        rules.append(
            Rule(
                "unknown event",
                KEPT,
                "an event name that no analysis asks for; map it in [tables.events] events",
                lambda t: t.event.notin(EVENTS),
                example=("event",),
            )
        )
    return tuple(rules + _references(mapped, frozenset(tables)))


def bad(table: IbisTable, rules: Iterable[Rule]) -> BooleanValue:
    """True where at least one rule sets the row aside; never null."""
    tests = [rule.test(table).fill_null(False) for rule in rules if rule.treatment == SET_ASIDE]
    return ibis.or_(*tests) if tests else ibis.literal(False)


def fine(table: IbisTable, rules: Iterable[Rule]) -> list[BooleanValue]:
    """What rows meet that no rule sets aside: just those where `bad` is false.

    One by one, since an engine checks a row of simple conditions sooner than their negation.
    """
    passes = [
        rule.passes(table) if rule.passes else ~rule.test(table).fill_null(False)
        for rule in rules
        if rule.treatment == SET_ASIDE
    ]
    return list({condition.op(): condition for condition in passes}.values())


def _unread(mapped: Mapped) -> list[Rule]:
    rules = []
    for name in mapped.unread:
        required = mapped.contract.column(name).required
        meaning = (
            "the value is there but cannot be read as "
            f"{mapped.contract.column(name).dtype}; correct it, or give its unit, format or codes"
        )
        rules.append(
            Rule(
                f"unreadable {name}",
                SET_ASIDE if required else KEPT,
                meaning if required else f"{meaning}; read as missing",
                lambda t, c=UNREAD + name: t[c],
                passes=lambda t, c=name: t[c].notnull(),
            )
        )
    return rules


def _empty(mapped: Mapped) -> list[Rule]:
    rules = []
    for column in mapped.contract.columns:
        name, table = column.name, mapped.contract.name
        if name not in mapped.given or not column.required:
            continue
        if (table, name) in _MAY_BE_EMPTY:
            meaning = (
                "an order of a guest: its money counts, no customer gets it"
                if table == "orders"
                else "an event without a visitor; journeys have it only where it has a customer"
            )
            rules.append(Rule(f"no {name}", KEPT, meaning, lambda t, c=name: t[c].isnull()))
            continue
        flag = UNREAD + name if name in mapped.unread else None
        rules.append(
            Rule(
                f"no {name}",
                SET_ASIDE,
                "a value that every row needs is missing",
                lambda t, c=name, f=flag: t[c].isnull() & ~t[f] if f else t[c].isnull(),
                passes=lambda t, c=name: t[c].notnull(),
            )
        )
    return rules


def _times(mapped: Mapped, as_of: datetime) -> list[Rule]:
    name = mapped.contract.cut_by
    if name is None or name not in mapped.given:
        return []
    needed = mapped.contract.column(name).required
    first = ibis.timestamp(f"{FIRST_YEAR}-01-01")
    return [
        Rule(
            "impossible time",
            SET_ASIDE,
            f"before {FIRST_YEAR}; a year of 1970 means a zero, or seconds read as milliseconds",
            lambda t: t[name] < first,
            passes=(lambda t: t[name] >= first) if needed else None,
        ),
        Rule(
            "at or after as_of",
            SET_ASIDE,
            f"not before {as_of:%Y-%m-%d %H:%M} UTC; expected when you look back at an earlier "
            "date, otherwise a clock runs ahead",
            lambda t: t[name] >= ibis.literal(as_of),
            passes=(lambda t: t[name] < ibis.literal(as_of)) if needed else None,
        ),
    ]


def _references(mapped: Mapped, tables: frozenset[str]) -> list[Rule]:
    name, rules = mapped.contract.name, []
    orders, customers = Lookup("orders", "order_id"), Lookup("customers", "customer_id")
    if name == "order_lines" and "orders" in tables:
        rules = [
            Rule(
                "line without its order",
                SET_ASIDE,
                "no order of that id; deliver the order, or both tables for the same span",
                lambda t: t[orders.flag].isnull(),
                orders,
                ("order_id",),
            ),
            Rule(
                "line of an order set aside",
                SET_ASIDE,
                "its order is set aside, or lies at or after as_of",
                lambda t: t[orders.flag] == 0,
                orders,
                ("order_id",),
            ),
        ]
    if name == "events" and "orders" in tables and "order_id" in mapped.given:
        rules = [
            Rule(
                "event of an unknown order",
                KEPT,
                "the purchase counts as an action; its money comes from orders alone",
                lambda t: t.order_id.notnull() & t[orders.flag].isnull(),
                orders,
                ("order_id",),
            )
        ]
    if name == "orders" and "customers" in tables:
        rules = [
            Rule(
                "order of an unknown customer",
                KEPT,
                "the customer has no row in customers; the money counts",
                lambda t: t.customer_id.notnull() & t[customers.flag].isnull(),
                customers,
                ("order_id",),
            )
        ]
    return rules


def flagged(table: IbisTable, lookup: Lookup, other: IbisTable) -> IbisTable:
    """The table with the flag of a lookup: 1 where a fine row (`fine__` = 1) of `other` matches."""
    known = other.filter(other[lookup.column].notnull()).group_by(lookup.column)
    flags = known.aggregate(**{lookup.flag: other.fine__.max()})
    return table.left_join(flags, lookup.column).drop(f"{lookup.column}_right")
