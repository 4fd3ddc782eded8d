"""What the value models need to know of each customer, and of all of them at once.

A purchase is an order whose revenue is not negative; the purchases of one day are one. Customers
with equal histories are one cell, which is all that fitting and adding up need.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData, above
from cdp_lib.customers.ages import amount, money, total
from cdp_lib.customers.generations import CELL
from cdp_lib.customers.value import frequency_table
from cdp_lib.normal import Z
from cdp_lib.tables import Shop
from cdp_lib.tables.purchases import of_customers
from cdp_lib.windows import instant

BINS = 2000  # to a unit of the logarithm of a mean value: 0.05 % wide


@dataclass(frozen=True)
class Kept:
    """What the shop keeps of a unit of revenue.

    kind: "margin" (revenue less cost of the goods) or, where no cost is known, "revenue"; both
    after what was paid back. rate, low, high: per unit of revenue of purchases, with its 95 %
    interval over customers. revenue: of the purchases it was read from. noise: the variance of
    what is kept, over what the rate tells, per unit of revenue. known_share: share of the revenue
    whose cost is known; NaN where none is.
    """

    kind: str
    rate: float
    low: float
    high: float
    revenue: float
    noise: float
    known_share: float


def history_table(shop: Shop, cutoff: str | date | datetime) -> Table:
    """What each customer's purchases before a cutoff say.

    Out: a row per customer with a purchase: customer_id, frequency (days with a purchase after
    the first such day), recency (days from the first to the last), age (days from the first to
    the last day before the cutoff), n_valued (days on which something was paid), mean_value (paid
    on such a day, on average; null without one), first_at (their
    first purchase).
    """
    shop.require("orders")
    end = instant(cutoff, "cutoff")
    bought = of_customers(shop.at(end).orders)
    spans = frequency_table(bought, end)
    day = bought.ordered_at.epoch_seconds().floor().cast("int64") // 86_400
    days = bought.group_by("customer_id", day=day).agg(
        paid=total(money(bought.revenue)), first_at=bought.ordered_at.min()
    )
    paid = days.group_by("customer_id").agg(
        n_valued=days.count(where=days.paid > 0),
        all_paid=total(days.paid, days.paid > 0),
        first_at=days.first_at.min(),
    )
    both = spans.join(paid, "customer_id")
    return both.select(
        "customer_id",
        "frequency",
        "first_at",
        recency=both.recency.round().cast("int64"),
        age=both.age.round().cast("int64"),
        n_valued=both.n_valued.cast("int64"),
        mean_value=amount(both.all_paid) / both.n_valued.nullif(0),
    )


def cells(histories: Table, by: tuple[str, ...] = ()) -> pd.DataFrame:
    """Customers with equal histories, counted.

    In: histories with their generation. Out: a row per generation, frequency, recency, age,
    n_valued (and `by`): n_customers, sum_mean and sum_squares of their mean values, in a fixed
    order.
    """
    mean = _.mean_value.fill_null(0.0)
    rows = histories.group_by([*by, *CELL]).agg(
        n_customers=_.count(), sum_mean=mean.sum(), sum_squares=(mean * mean).sum()
    )
    return rows.to_pandas().sort_values([*by, *CELL], ignore_index=True)


def spending(histories: Table) -> pd.DataFrame:
    """How many orders of what mean value, counted in bins a twentieth of a per cent wide.

    Out: a row per n_valued (at least 1) and bin: mean_value, n_customers.
    """
    rows = histories.filter(_.n_valued > 0)
    rows = rows.mutate(level=_.mean_value.ln())
    rows = rows.mutate(bin=(rows.level * BINS).round().cast("int64"))
    found = rows.group_by("n_valued", "bin").agg(
        mean_value=_.level.mean().exp(), n_customers=_.count()
    )
    ordered = found.to_pandas().sort_values(["n_valued", "bin"], ignore_index=True)
    return ordered.drop(columns="bin")


def kept(shop: Shop, cutoff: str | date | datetime, lookback_days: int = 365) -> Kept:
    """What the shop kept of its revenue in the days before a cutoff; see `Kept`.

    Orders of an unknown cost are left out where some costs are known. The interval is that of a
    ratio of sums over customers (Cochran 1977, section 6.4). Raises TooLittleData where there is
    no revenue in those days.
    """
    above("lookback_days", lookback_days, 0)
    end = instant(cutoff, "cutoff")
    orders = shop.at(end).orders
    rows = orders.filter(
        orders.customer_id.notnull(),
        orders.ordered_at >= ibis.literal(end - timedelta(days=lookback_days)),
    )
    rows = rows.mutate(
        paid=money(ibis.greatest(rows.revenue, 0.0)),
        stays=money(rows.revenue - rows.cost.fill_null(0.0)),
        known=rows.cost.notnull(),
    )
    sums = rows.agg(all_paid=total(_.paid), known_paid=total(_.paid, _.known)).to_pandas().iloc[0]
    costed = bool(sums.known_paid > 0)
    rows = rows.filter(rows.known) if costed else rows
    people = rows.group_by("customer_id").agg(
        paid=amount(total(_.paid)), stays=amount(total(_.stays))
    )
    told = people.agg(
        n=_.count(), paid=_.paid.sum(), stays=_.stays.sum(), pp=(_.paid * _.paid).sum(),
        ps=(_.paid * _.stays).sum(), ss=(_.stays * _.stays).sum(),
    ).to_pandas().iloc[0]  # fmt: skip
    if not told.n or not told.paid > 0:
        raise TooLittleData(
            "orders", str(end), f"no revenue in the {lookback_days} days before it",
            "choose another as_of",
        )  # fmt: skip
    rate = told.stays / told.paid
    off = max(float(told.ss - 2 * rate * told.ps + rate**2 * told.pp), 0.0)
    half = Z * off**0.5 / told.paid
    return Kept(
        "margin" if costed else "revenue",
        float(rate),
        float(rate - half),
        float(rate + half),
        float(told.paid),
        off / float(told.paid),
        float(sums.known_paid / sums.all_paid) if costed else float("nan"),
    )
