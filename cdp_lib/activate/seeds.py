"""Seeds of a look-alike: customers of a kind that one would like to have more of.

A seed is told by what customers do in a span of time, so that whatever is known of them before it
begins cannot be what defines it. Each is compared with recent buyers: do its members bring more
afterwards?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.intervals import wilson
from cdp_lib.checks import TooLittleData
from cdp_lib.customers import rfm
from cdp_lib.normal import Z
from cdp_lib.tables import Shop, identity
from cdp_lib.tables.purchases import is_purchase

BUYERS = "recent_buyers"
TITLES = {
    BUYERS: "bought at all",
    "repeat_buyers": "bought twice or more",
    "champions": "bought lately, often and for much: Champions by RFM",
    "high_margin": "brought most margin: the first quarter of the buyers",
    "engaged": "came on most days: the first quarter of the visitors",
    "advocates": "recommended the shop: shared, reviewed or referred somebody",
}
RECOMMENDING = ("share", "review", "referral", "refer")  # event names that tell of advocates
CHAMPIONS = "Champions"  # of rfm_names
TOP = 0.75


@dataclass(frozen=True, eq=False)
class Seeds:
    """The members of each seed, told by the span [start, end).

    members: kind -> a table of customer_id, on the engine. titles: kind -> what its members did.
    lacking: kinds that this shop cannot tell, and why.
    """

    start: datetime
    end: datetime
    members: Mapping[str, Table]
    titles: Mapping[str, str]
    lacking: Mapping[str, str]


def seeds(
    shop: Shop, start: datetime, end: datetime, given: Mapping[str, Table] | None = None
) -> Seeds:
    """The seeds that a span tells.

    given: further seeds, name -> a table with customer_id; they too should rest on what happened
    from `start` on. Raises MissingTable without orders.
    """
    shop.require("orders")
    bought = amounts(shop, start, end)
    buyers = bought.filter(_.n_orders > 0).cache()
    members = {
        BUYERS: buyers.select("customer_id"),
        "repeat_buyers": buyers.filter(_.n_orders > 1).select("customer_id"),
        "champions": _champions(shop, start, end),
    }
    cut = buyers.margin.quantile(TOP).execute()
    best = buyers.filter((_.margin >= cut) & (_.margin > 0)) if _known(cut) else buyers.limit(0)
    members["high_margin"] = best.select("customer_id")
    lacking = {}
    if shop.has("events"):
        owned = _events(shop, start, end)
        days = owned.select("customer_id", day=_.occurred_at.date()).distinct()
        came = days.group_by("customer_id").aggregate(n_days=_.count()).cache()
        most = came.n_days.quantile(TOP).execute()
        often = came.filter((_.n_days >= most) & (_.n_days > 1)) if _known(most) else came.limit(0)
        members["engaged"] = often.select("customer_id")
        told = owned.filter(_.event.lower().isin(RECOMMENDING)).select("customer_id").distinct()
        told = told.cache()
        if told.count().execute():
            members["advocates"] = told
        else:
            lacking["advocates"] = f"no event in this time is one of {', '.join(RECOMMENDING)}"
    else:
        lacking |= {kind: "needs the table events" for kind in ("engaged", "advocates")}
    further = {
        name: table.select("customer_id").filter(_.customer_id.notnull()).distinct()
        for name, table in (given or {}).items()
    }
    titles = TITLES | {name: f"given as {name.replace('_', ' ')}" for name in further}
    return Seeds(start, end, members | further, titles, lacking)


def amounts(shop: Shop, start: datetime, end: datetime) -> Table:
    """What each customer bought in [start, end): customer_id, n_orders, revenue, margin.

    Returns count in revenue and margin and are no orders. Where no cost is known margin is revenue.
    """
    orders = shop.orders
    span = (orders.ordered_at >= ibis.literal(start)) & (orders.ordered_at < ibis.literal(end))
    rows = orders.filter(span & orders.customer_id.notnull())
    return rows.group_by("customer_id").aggregate(
        n_orders=is_purchase(rows).cast("int64").sum(),
        revenue=rows.revenue.sum(),
        margin=(rows.revenue - rows.cost.coalesce(0.0)).sum(),
    )


def quality_table(shop: Shop, found: Seeds, end: datetime) -> pd.DataFrame:
    """What the members of each seed bring after the span that told them, up to `end`.

    Out: a row per kind: seed, title, n, margin (mean per member), margin_low, margin_high, repeat
    (share that buys again), repeat_low, repeat_high (95 %), over_buyers (margin more than a recent
    buyer's), over_buyers_low, over_buyers_high (members of two seeds make it too wide, never too
    narrow). NaN for fewer than two members.
    """
    later = amounts(shop, found.end, end)
    rows = []
    for kind, members in found.members.items():
        mine = members.left_join(later, "customer_id")
        margin = mine.margin.coalesce(0.0)
        sums = mine.aggregate(
            n=_.count(),
            total=margin.sum(),
            squares=(margin * margin).sum(),
            n_again=(mine.n_orders.coalesce(0) > 0).cast("int64").sum(),
        ).to_pandas()
        rows.append((kind, found.titles[kind], *sums.iloc[0].fillna(0)))
    table = pd.DataFrame(rows, columns=["seed", "title", "n", "total", "squares", "n_again"])
    n = table.n.where(table.n > 1).astype(float)
    table["margin"] = table.total / n
    se = np.sqrt((table.squares - n * table.margin**2).clip(lower=0) / (n - 1) / n)
    table["margin_low"], table["margin_high"] = table.margin - Z * se, table.margin + Z * se
    table["repeat"] = table.n_again / n
    low, high = wilson(table.n_again.to_numpy(float), n.to_numpy(float))
    table["repeat_low"], table["repeat_high"] = low, high
    first = table.seed.eq(BUYERS).to_numpy()
    base, base_se = float(table.margin[first].iloc[0]), float(se[first].iloc[0])
    table["over_buyers"] = table.margin - base
    # Without the covariance of overlapping groups, which is positive.
    half = Z * np.sqrt(se**2 + base_se**2).where(~first, 0.0)
    table["over_buyers_low"] = table.over_buyers - half
    table["over_buyers_high"] = table.over_buyers + half
    return table.astype({"n": int}).drop(columns=["total", "squares", "n_again"])


def _champions(shop: Shop, start: datetime, end: datetime) -> Table:
    """The Champions of those who bought in a span, by the orders of the span alone."""
    values = rfm.of_orders(shop.orders.filter(_.ordered_at >= ibis.literal(start)), end)
    try:
        scored = rfm.rfm(values).table
    except TooLittleData:
        return values.select("customer_id").limit(0)
    return scored.filter(_.name == CHAMPIONS).select("customer_id").cache()


def _events(shop: Shop, start: datetime, end: datetime) -> Table:
    """The events of a span that belong to a customer, with customer_id."""
    rows = shop.visits
    span = (rows.occurred_at >= ibis.literal(start)) & (rows.occurred_at < ibis.literal(end))
    rows = rows.filter(span).select(*identity.VISIT, "customer_id", "event", "occurred_at")
    owned = identity.owned(rows, shop.ties.before(end))
    return owned.select("event", "occurred_at", customer_id="owner_id")


def _known(value: object) -> bool:
    return value is not None and value == value
