"""Discount affinity: the share of a customer's purchases that needed a discount.

In words:

- A purchase is an order whose revenue is not negative; returns don't count. It is discounted where
  its discount is above 0 (of the order, or of one of its lines where orders say nothing).
- The shop's *usual* share is that over all weeks in which no discount was about for everybody. A
  week counts as such where its share is above the usual one beyond chance (one-sided binomial
  test, 5 % over all weeks together); these weeks are left out and the usual share is taken anew,
  until none is left to leave out.
- In such a week a share c = (share − usual) / (1 − usual) of all who bought were given the
  discount whether they wanted it or not. So of its discounted purchases only the part
  (1 − c) · usual / share tells of the customer: it counts as needed, and the rest is not counted.
- A customer's affinity is needed / counted purchases, shrunk: the mean of the beta-binomial law
  whose parameters make this shop's counts likeliest (`shrinkage`). Who never bought has the
  shop's own mean and an interval as wide as customers differ.

What a customer uses, they may not need: affinity is *inferred* until an experiment tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.customers import shrinkage
from cdp_lib.customers.ages import total
from cdp_lib.customers.shrinkage import Prior
from cdp_lib.tables import Shop
from cdp_lib.tables.micros import MONDAY, WEEK, micros
from cdp_lib.tables.placed import place
from cdp_lib.tables.purchases import of_customers

ALPHA = 0.05  # chance that a shop without such weeks is said to have one
PARTS = 100  # counts are kept in hundredths, so that equal ones are equal


@dataclass(frozen=True, eq=False)
class Discounts:
    """How customers of a shop use discounts.

    table: a row per customer, on the engine; see `discount_affinity`.
    prior: the shop's own law. usual_rate: share of purchases with a discount in a usual week.
    weeks: a row per week with a purchase: week_start, n_orders, n_discounted, discounted_rate,
    for_everybody (a discount was about for everybody), own_share (of its discounted purchases,
    the part that tells of the customer).
    """

    table: Table
    prior: Prior
    usual_rate: float
    weeks: pd.DataFrame


def discount_affinity(shop: Shop) -> Table:
    """The discount affinity of every customer, as known at the shop's as_of.

    Out: a row per customer: customer_id, n_orders (purchases), n_discounted, base_rate (share of
    discounted purchases among all others of the weeks in which they bought, on average; null
    without a purchase), affinity, affinity_low, affinity_high (95 %), from_prior (never bought, so
    it is the shop's). Raises MissingTable where nothing tells of discounts, and TooLittleData for
    a shop without a purchase.
    """
    return read(shop).table


def read(shop: Shop) -> Discounts:
    """The affinities with what they were worked out from. Raises as `discount_affinity`."""
    rows = purchases(shop).cache()
    weeks = _weeks(rows)
    if not weeks.n_orders.sum():
        raise TooLittleData("orders", 0, "no purchase of a customer", "wait for the first ones")
    weeks, usual = _told_apart(weeks)
    counts = _counts(shop, rows, weeks).cache()
    pairs = counts.group_by("tried", "needed").aggregate(n=_.count()).execute()
    prior = shrinkage.fit(pairs.needed / PARTS, pairs.tried / PARTS, pairs.n)
    mean, low, high = prior.posterior(pairs.needed / PARTS, pairs.tried / PARTS)
    told = pairs.assign(affinity=mean, affinity_low=low, affinity_high=high)
    columns = ["customer_id", "n_orders", "n_discounted", "base_rate"]
    keys, ends = ["tried", "needed"], ["affinity", "affinity_low", "affinity_high"]
    types = dict.fromkeys(keys, "int64") | dict.fromkeys(ends, "float64")
    table = counts.inner_join(place(shop, told, types), keys)
    table = table.select(*columns, *ends, from_prior=ibis.literal(False))
    if shop.has("customers"):
        table = table.union(_never_bought(shop, table, prior))
    weeks = weeks.assign(week_start=pd.to_datetime(weeks.week * WEEK + MONDAY, unit="us"))
    kept = ["week_start", "n_orders", "n_discounted", "discounted_rate", "for_everybody"]
    return Discounts(table, prior, usual, weeks[[*kept, "own_share"]])


def purchases(shop: Shop) -> Table:
    """The purchases of known customers: order_id, customer_id, ordered_at, week (since 1970),
    discount (money, 0 where none is said), discounted (0 or 1)."""
    shop.require("orders")
    orders, of_lines = shop.orders, shop.has("order_lines")
    if "discount" not in shop.given("orders"):
        if not (of_lines and "discount" in shop.given("order_lines")):
            fix = "map discount in [tables.orders]"
            raise MissingTable("shop", shop.name, "orders say nothing of discounts", fix)
        off = shop.order_lines.group_by("order_id").aggregate(off__=_.discount.sum())
        orders = orders.left_join(off, "order_id").mutate(discount=_.off__)
    rows = of_customers(orders)
    discount = rows.discount.coalesce(0.0)
    return rows.select(
        "order_id",
        "customer_id",
        "ordered_at",
        week=((micros(rows.ordered_at) - MONDAY) // WEEK).cast("int64"),
        discount=ibis.greatest(discount, 0.0),
        discounted=(discount > 0).cast("int64"),
    )


def _weeks(rows: Table) -> pd.DataFrame:
    sums = {"n_orders": _.count(), "n_discounted": total(_.discounted)}
    found = rows.group_by("week").aggregate(**sums).execute()
    found = found.astype({"n_orders": "int64", "n_discounted": "int64"})
    return found.sort_values("week", ignore_index=True)


def _told_apart(weeks: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """The weeks in which a discount was about for everybody, and the usual share of the others."""
    from scipy.stats import binom

    n, k = weeks.n_orders.to_numpy(float), weeks.n_discounted.to_numpy(float)
    free = np.zeros(len(weeks), bool)
    while True:
        usual = (k[~free].sum() + 0.5) / (n[~free].sum() + 1)
        above = ~free & (binom.sf(k - 1, n, usual) < ALPHA / len(weeks))
        # At least one week must stay to say what is usual.
        if not above.any() or (free | above).all():
            break
        free |= above
    rate = k / n
    everybody = np.where(free, (rate - usual) / (1 - usual), 0.0)
    own = np.where(free, (1 - everybody) * usual / np.where(rate > 0, rate, 1.0), 1.0)
    said = {"discounted_rate": rate, "for_everybody": free, "own_share": own}
    return weeks.assign(**said), float(usual)


def _counts(shop: Shop, rows: Table, weeks: pd.DataFrame) -> Table:
    """A row per customer who bought: what counts, in hundredths, and the base rate."""
    types = dict.fromkeys(("week", "n_orders", "n_discounted"), "int64") | {"own_share": "float64"}
    joined = rows.inner_join(place(shop, weeks, types), "week")
    others = (joined.n_orders - 1).cast("float64").nullif(0)
    joined = joined.select(
        "customer_id",
        "discounted",
        own=(joined.discounted * joined.own_share * PARTS).round().cast("int64"),
        base=(joined.n_discounted - joined.discounted).cast("float64") / others,
    )
    full = (1 - joined.discounted) * PARTS
    counts = joined.group_by("customer_id").aggregate(
        n_orders=joined.count(),
        n_discounted=joined.discounted.sum().cast("int64"),
        base_rate=joined.base.mean(),
        needed=joined.own.sum().cast("int64"),
        full=full.sum().cast("int64"),
    )
    return counts.mutate(tried=counts.needed + counts.full).drop("full")


def _never_bought(shop: Shop, table: Table, prior: Prior) -> Table:
    mean, low, high = (float(value) for value in prior.posterior(0.0, 0.0))
    people = shop.customers.select("customer_id").distinct().anti_join(table, "customer_id")
    return people.select(
        "customer_id",
        n_orders=ibis.literal(0, "int64"),
        n_discounted=ibis.literal(0, "int64"),
        base_rate=ibis.null("float64"),
        affinity=ibis.literal(mean),
        affinity_low=ibis.literal(low),
        affinity_high=ibis.literal(high),
        from_prior=ibis.literal(True),
    )
