"""Where a customer stands in their life with the shop, by the shop's own pace of ordering.

Two spans rule all: `usual_days`, within which four in five of the gaps between a customer's last
two orders lie, and `long_days`, within which nineteen in twenty do. The states, the first that
fits:

- prospect: has never ordered
- new: ordered once, within the usual span
- won back: ordered within the usual span, after a gap longer than the long span
- active: ordered twice or more, the last time within the usual span
- cooling: the last order is longer ago than usual, but within the long span
- lapsed: longer ago than that
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import ibis
from ibis.expr.types import StringValue, Table

STATES = ("prospect", "new", "active", "won back", "cooling", "lapsed")
USUAL, LONG = 0.8, 0.95
FEWEST = 30  # customers with two orders, below which the gaps say too little


@dataclass(frozen=True)
class Pace:
    """The shop's pace of ordering.

    usual_days, long_days: see the head of this file, whole days. n: customers with two orders
    whose gaps say so. assumed: whether there were too few, so that 90 and 180 days stand in.
    """

    usual_days: int
    long_days: int
    n: int
    assumed: bool = False


def pace(profile: Table) -> Pace:
    """The pace of a profile's customers; one query. In: last_order_gap_days."""
    gap = profile.last_order_gap_days
    sums = profile.aggregate(usual=gap.quantile(USUAL), long=gap.quantile(LONG), n=gap.count())
    row = sums.to_pyarrow().to_pylist()[0]
    if row["n"] < FEWEST:
        return Pace(90, 180, int(row["n"]), True)
    usual = max(1, math.ceil(row["usual"]))
    return Pace(usual, max(usual + 1, math.ceil(row["long"])), int(row["n"]))


def state(profile: Table, pace: Pace) -> StringValue:
    """The state of each customer of a profile.

    In: orders_ever, days_since_order, last_order_gap_days.
    """
    since, gap = profile.days_since_order, profile.last_order_gap_days
    recent = since <= pace.usual_days
    return ibis.cases(
        (profile.orders_ever == 0, STATES[0]),
        (recent & (profile.orders_ever == 1), STATES[1]),
        (recent & (gap > pace.long_days), STATES[3]),
        (recent, STATES[2]),
        (since <= pace.long_days, STATES[4]),
        else_=STATES[5],
    )
