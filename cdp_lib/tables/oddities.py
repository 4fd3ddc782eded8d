"""Rows that are sound one by one and odd together: a robot's pace, orders worth almost nothing.

No name of a visitor, customer or channel is guessed from: only how the rows stand to the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import ibis.expr.types as ir

from cdp_lib.tables.micros import micros

# In one minute of the clock. Fewer instants than that are a page that reports all it shows at
# once, or times that are known by the minute or the day alone.
MANY_EVENTS, MANY_INSTANTS = 120, 30
TRIFLE = 0.01  # of the median order that brings money


@dataclass(frozen=True)
class Oddity:
    """Rows that stay in use and that somebody should look at.

    rule and meaning: what they are, and what to do. rows: they themselves. example: the columns
    that show which.
    """

    rule: str
    meaning: str
    rows: ir.Table
    example: tuple[str, ...]


def oddities(name: str, table: ir.Table, given: frozenset[str]) -> Iterator[Oddity]:
    """What to look for in a contract table of which the shop has the columns `given`."""
    if name == "events" and {"visitor_id", "occurred_at"} <= given:
        yield Oddity(
            "pace of a robot",
            f"all events of a visitor who once had {MANY_EVENTS} or more in a minute; a crawler or "
            "a monitor thins every rate: leave it out by a query in [tables.events]",
            _of_robots(table),
            ("visitor_id",),
        )
    if name == "orders" and {"order_id", "revenue"} <= given:
        yield Oddity(
            "order worth almost nothing",
            f"revenue of zero or more, and below {TRIFLE:.0%} of the median order: a test, a gift, "
            "a stock correction; leave out what is no purchase by a query in [tables.orders]",
            _trifles(table),
            ("order_id",),
        )


def _of_robots(events: ir.Table) -> ir.Table:
    per_visitor = events.group_by("visitor_id").agg(n=events.count())
    # Few visitors have so many at all, so the minutes of the others are never formed.
    busy = events.semi_join(per_visitor.filter(per_visitor.n >= MANY_EVENTS), "visitor_id")
    t = micros(busy.occurred_at)
    minutes = busy.select("visitor_id", t=t, minute=t // 60_000_000)
    per_minute = minutes.group_by(["visitor_id", "minute"]).agg(
        n=minutes.count(), n_instants=minutes.t.nunique()
    )
    fast = (per_minute.n >= MANY_EVENTS) & (per_minute.n_instants >= MANY_INSTANTS)
    return events.semi_join(per_minute.filter(fast).select("visitor_id").distinct(), "visitor_id")


def _trifles(orders: ir.Table) -> ir.Table:
    paid = orders.filter(orders.revenue > 0)
    usual = paid.agg(usual=paid.revenue.median())
    beside = orders.cross_join(usual)
    beside = beside.filter(beside.revenue >= 0, beside.revenue < TRIFLE * beside.usual)
    return beside.drop("usual")
