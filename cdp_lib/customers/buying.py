"""Features of orders and their lines: how lately, how often, how much, what, and what came back.

A purchase is an order whose revenue is not negative; one with a negative revenue is a return.
Orders count from the shop's first one on; the lookback rules their windows alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.ages import DAY, Span, amount, money, total
from cdp_lib.customers.features import Formula, about, beside, share
from cdp_lib.customers.part import Part
from cdp_lib.customers.visiting import commonest
from cdp_lib.tables.micros import micros
from cdp_lib.tables.purchases import is_purchase

MINUTE = 60 * 10**6


def formulas(given: Collection[str], windows: Sequence[int], span: Span) -> list[Formula]:
    """The features of this block for a shop whose orders have the columns `given`."""
    often, spent, recency, back = (
        about(group, "orders") for group in ("frequency", "money", "recency", "returns")
    )
    longest = max(windows)
    gap = share(_.last_us - _.first_us, _.orders_ever - 1)
    written = [
        recency("days_since_order", "days since the last order", "days", span.days(_.last_us)),
        about("tenure", "orders")(
            "days_since_first_order", "days since the first order", "days", span.days(_.first_us)
        ),
        *(often(f"orders_{w}d", f"orders in the last {w} days", "count") for w in windows),
        often("orders_ever", "orders ever", "count"),
        often("order_gap_days", "days from one order to the next, on average", "days", gap / DAY),
        often("last_order_gap_days", "days between the last two orders", "days",
              _.last_gap.cast("float64") / DAY),
        often("order_gap_spread_days", "spread (standard deviation) of the days between orders",
              "days", _spread(_.n_gaps, _.gap_minutes, _.gap_squares) / (DAY / MINUTE)),
        recency("order_gaps_waited", "time since the last order, in average gaps between orders",
                "number", span.age_us(_.last_us).cast("float64") / gap.nullif(0)),
        *(
            spent(f"revenue_{w}d", f"spent in the last {w} days", "money", amount(_[f"paid_{w}d"]))
            for w in windows
        ),
        spent("revenue_ever", "spent ever", "money", amount(_.paid_ever)),
        spent("order_value", "worth of an order, on average", "money",
              amount(_.paid_ever) / _.orders_ever.nullif(0)),
        spent("highest_order_value", "worth of the dearest order", "money", amount(_.paid_most)),
        spent("last_order_value", "worth of the last order", "money", amount(_.last_paid)),
        *(
            back(f"returns_{w}d", f"returns in the last {w} days", "count")
            for w in windows[1:]
        ),
        back("returned_share", f"share of the last {longest} days' spending that was paid back",
             "share", share(_[f"paid_back_{longest}d"], _[f"paid_{longest}d"])),
        back("days_since_return", "days since the last return", "days", span.days(_.last_back)),
    ]  # fmt: skip
    if 90 in windows:
        written += [
            often("orders_trend", "share of the last 90 days' orders that lies in the last 30",
                  "share", share(_.orders_30d, _.orders_90d)),
            spent("revenue_trend", "share of the last 90 days' spending that lies in the last 30",
                  "share", share(_.paid_30d, _.paid_90d)),
        ]  # fmt: skip
    if "discount" in given:
        written += [
            spent(f"discount_share_{w}d", f"share of the price let off in the last {w} days",
                  "share", share(_[f"let_off_{w}d"], _[f"let_off_{w}d"] + _[f"paid_{w}d"]))
            for w in windows[1:]
        ]  # fmt: skip
        written += [
            spent("discounted_orders_share", "share of orders with a discount", "share",
                  share(_.discounted, _.orders_ever)),
            spent("last_order_discounted", "the last order had a discount", "yes/no",
                  _.last_discounted > 0),
        ]  # fmt: skip
    if "cost" in given:
        written += [
            *(
                spent(f"margin_{w}d", f"margin earned in the last {w} days", "money",
                      amount(_[f"earned_{w}d"]))
                for w in windows[1:]
            ),
            spent("margin_share", f"margin as a share of the last {longest} days' spending",
                  "share", share(_[f"earned_{longest}d"], _[f"costed_{longest}d"])),
        ]  # fmt: skip
    if "shipping" in given:
        written.append(
            spent("paid_shipping_share", "share of orders that paid for shipping", "share",
                  share(_.shipped, _.orders_ever))
        )  # fmt: skip
    if "channel" in given:
        written += [
            about("touchpoint", "orders")("main_order_channel", "channel of most orders",
                                          "category"),
            about("touchpoint", "orders")("order_channels", "channels ordered through", "count"),
        ]  # fmt: skip
    return written


def _spread(n, total, squares):
    """Standard deviation from a count, a sum and a sum of squares, null below two values."""
    n, total = n.cast("float64"), total.cast("float64")
    around = squares.cast("float64") - total * total / n.nullif(0)
    return (ibis.greatest(around, 0.0) / ibis.greatest(n - 1, 0.0).nullif(0)).sqrt()


def sums(shop: Part, windows: Sequence[int], span: Span) -> Table:
    """Orders summed up by `customer_id`, for `formulas`; an order of a guest is nobody's."""
    orders, given = shop.orders, shop.given("orders")
    rows = orders.filter(orders.customer_id.notnull())
    rows = rows.mutate(us=micros(rows.ordered_at), paid=money(rows.revenue))
    rows = rows.mutate(age=span.age_days(rows.us), owner_id=rows.customer_id)
    bought = is_purchase(rows)
    sums = {
        "orders_ever": rows.count(where=bought),
        "first_us": rows.us.min(where=bought),
        "last_us": rows.us.max(where=bought),
        "last_back": rows.us.max(where=~bought),
        "paid_ever": total(rows.paid, bought).coalesce(0),
        "paid_most": rows.paid.max(where=bought),
    }
    for w in windows:
        inside = rows.age < w
        sums[f"orders_{w}d"] = rows.count(where=inside & bought)
        sums[f"paid_{w}d"] = total(rows.paid, inside & bought).coalesce(0)
        sums[f"returns_{w}d"] = rows.count(where=inside & ~bought)
        sums[f"paid_back_{w}d"] = total(-rows.paid, inside & ~bought).coalesce(0)
        if "discount" in given:
            let_off = total(money(rows.discount), inside & bought)
            sums[f"let_off_{w}d"] = let_off.coalesce(0)
        if "cost" in given:
            known = inside & bought & rows.cost.notnull()
            sums[f"earned_{w}d"] = total(rows.paid - money(rows.cost), known).coalesce(0)
            sums[f"costed_{w}d"] = total(rows.paid, known)
    if "discount" in given:
        sums["discounted"] = rows.count(where=bought & (rows.discount > 0))
    if "shipping" in given:
        sums["shipped"] = rows.count(where=bought & (rows.shipping > 0))
    if "channel" in given:
        sums["order_channels"] = rows.channel.nunique(where=bought)
    purchases = rows.filter(is_purchase(rows))
    tables = [rows.group_by("owner_id").aggregate(**sums)]
    tables += [_gaps(purchases), _last_order(purchases, given)]
    if "channel" in given:
        tables.append(commonest(purchases.mutate(n=1), "channel", "main_order_channel"))
    return beside(*tables).rename(customer_id="owner_id")


def _gaps(purchases: Table) -> Table:
    """The times between a customer's orders, in whole minutes so that sums are exact."""
    by_time = ibis.window(group_by="owner_id", order_by="us")
    rows = purchases.select("owner_id", "us", gap=purchases.us - purchases.us.lag().over(by_time))
    minutes = rows.gap // MINUTE
    rows = rows.mutate(minutes=minutes.cast("int64"))
    newest = rows.us == rows.us.max().over(group_by=rows.owner_id)
    rows = rows.mutate(newest=newest)
    return rows.group_by("owner_id").aggregate(
        n_gaps=rows.gap.count(),
        gap_minutes=total(rows.minutes),
        gap_squares=total(rows.minutes * rows.minutes),
        last_gap=rows.gap.min(where=rows.newest),
    )


def _last_order(purchases: Table, given: Collection[str]) -> Table:
    """What the last order was worth; orders of one instant are one."""
    newest = purchases.group_by("owner_id").aggregate(us=purchases.us.max())
    last = purchases.semi_join(newest, ["owner_id", "us"])
    sums = {"last_paid": total(last.paid)}
    if "discount" in given:
        sums["last_discounted"] = (last.discount > 0).cast("int64").max()
    return last.group_by("owner_id").aggregate(**sums)
