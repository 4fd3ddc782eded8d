"""Who earned the shop its money, and on whom it lost some: margins of customers over a span.

Margin is revenue less the cost of the goods, over purchases and returns (whose revenue and cost are
negative); revenue is after discounts. Where no cost is known it is revenue after returns, and says
so.
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
from cdp_lib.customers.spread import part_table, share_table
from cdp_lib.tables import Shop
from cdp_lib.tables.purchases import is_purchase
from cdp_lib.windows import instant

SUMS = ("n_orders", "revenue", "paid_back", "discount")
LOSSES = ("paid back what they had bought", "discounts took the margin", "sold below cost")


@dataclass(frozen=True)
class Margins:
    """What each customer earned the shop over a span.

    table: a row per customer with an order in it: customer_id, n_orders (purchases), revenue (of
    them), paid_back, discount (0 where the shop gives none), margin. kind: "margin", or "revenue"
    where no cost is known. days: length of the span. unknown_share: share of the revenue whose
    cost is unknown and is left out, 0 where kind is "revenue". parts: `spread.part_table` of it.
    """

    table: Table
    kind: str
    days: int
    unknown_share: float
    parts: pd.DataFrame


def margins(shop: Shop, cutoff: str | date | datetime | None = None, days: int = 365) -> Margins:
    """What each customer earned the shop in the days before a cutoff (None: as_of).

    Raises MissingTable without orders, TooLittleData without an order in the span.
    """
    shop.require("orders")
    above("days", days, 0)
    end = shop.as_of if cutoff is None else instant(cutoff, "cutoff")
    orders = shop.at(end).orders
    rows = orders.filter(
        orders.customer_id.notnull(), orders.ordered_at >= ibis.literal(end - timedelta(days=days))
    )
    rows = rows.mutate(
        bought=is_purchase(rows),
        paid=money(rows.revenue),
        stays=money(rows.revenue - rows.cost.fill_null(0.0)),
        let_off=money(rows.discount.fill_null(0.0)),
        known=rows.cost.notnull(),
    )
    sums = rows.agg(
        n=_.count(), paid=total(_.paid, _.bought), known=total(_.paid, _.bought & _.known)
    )
    sums = sums.to_pandas().iloc[0]
    if not sums.n:
        raise TooLittleData(
            "orders", str(end), f"no order in the {days} days before it", "choose another as_of"
        )
    costed = bool(sums.known > 0)
    rows = rows.filter(rows.known) if costed else rows
    table = rows.group_by("customer_id").agg(
        n_orders=_.bought.cast("int64").sum().cast("int64"),
        revenue=amount(total(_.paid, _.bought).fill_null(0.0)),
        paid_back=-amount(total(_.paid, ~_.bought).fill_null(0.0)),
        discount=amount(total(_.let_off, _.bought).fill_null(0.0)),
        margin=amount(total(_.stays)),
    )
    table = table.cache()
    unknown = 1 - float(sums.known / sums.paid) if costed else 0.0
    kind = "margin" if costed else "revenue"
    return Margins(
        table, kind, int(days), unknown, part_table(table, "margin", "customer_id", SUMS)
    )


def decile_table(found: Margins) -> pd.DataFrame:
    """Tenths of the customers by margin, the most profitable first.

    Out: a row per tenth: group (1 is the best), n_customers, value (their margin), share with
    share_low and share_high (95 %), lowest, highest, cumulative_rows, cumulative_share, n_orders,
    revenue, paid_back, discount.
    """
    return share_table(found.parts).rename(columns={"n": "n_customers"})


def loss_table(found: Margins) -> pd.DataFrame:
    """The customers on whom the shop lost money, by what took it.

    Out: a row per reason: reason (what they paid back was as much as what they bought; without
    its discounts the margin would not be negative; neither), n_customers, n_orders, revenue,
    paid_back, discount, margin. Empty where nobody has a negative margin.
    """
    lost = found.table.filter(_.margin < 0)
    reason = ibis.cases(
        (lost.paid_back >= lost.revenue, LOSSES[0]),
        (lost.margin + lost.discount >= 0, LOSSES[1]),
        else_=LOSSES[2],
    )
    sums = {name: _[name].sum() for name in (*SUMS, "margin")}
    rows = lost.group_by(reason=reason).agg(n_customers=_.count(), **sums).to_pandas()
    return rows.sort_values("margin", ignore_index=True)
