"""Abandoned carts and browses as lists to act on, and the same counted for a report.

A list names people and is made to leave as an audience; it never stands in a report. The tables
at the end count groups and name nobody.
"""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_rates import money_table
from cdp_lib.behaviour.cart_states import Carts
from cdp_lib.behaviour.cart_sums import HOUR, customer_of
from cdp_lib.checks import above

VIEWS = "view_item"
GAP_COLUMNS = ["gap_low", "gap_high", "n_carts", "n_people", "share"]
GAP_COLUMNS += ["value", "value_low", "value_high"]


def price_now(as_of: datetime, prices: Table | None = None, products: Table | None = None) -> Table:
    """The price of each product at `as_of`: the last change before it, else the product's price.

    In: the contract's `prices` and `products`, either or both. Out: an Ibis table, a row per
    product: product_id, price_now (null where neither knows).
    """
    nothing, parts = ibis.null("float64"), []
    if prices is not None:
        past = prices.filter(prices.valid_from < ibis.literal(as_of)).group_by("product_id")
        parts.append(past.agg(changed=_.price.argmax(_.valid_from)).mutate(listed=nothing))
    if products is not None:
        parts.append(products.select("product_id", changed=nothing, listed=_.price))
    known = ibis.union(*parts) if len(parts) > 1 else parts[0]
    known = known.group_by("product_id").agg(changed=_.changed.max(), listed=_.listed.max())
    return known.select("product_id", price_now=_.changed.coalesce(_.listed))


def abandoned_item_list(
    carts: Carts, prices: Table | None = None, products: Table | None = None
) -> Table:
    """What lies in abandoned carts, piece by piece.

    In: carts, and the shop's `prices` and `products` where it has them. Out: an Ibis table, a
    row per cart and product: cart_id, person_id, customer_id, product_id, pieces, added_at,
    price_seen, price_now (one piece; null where unknown), price_drop (price_seen less price_now,
    per piece, where that is above 0; else 0; null where one of them is unknown), idle_hours.
    """
    left = carts.table.filter(_.state == "abandoned")
    left = left.select("cart_id", "person_id", "customer_id", "idle_hours")
    items = carts.lines.filter(_.pieces > 0).join(left, "cart_id")
    return _priced(items, carts.as_of, prices, products).select(
        *("cart_id", "person_id", "customer_id", "product_id", "pieces", "added_at"),
        *("price_seen", "price_now", "price_drop", "idle_hours"),
    )


def abandoned_cart_list(
    carts: Carts,
    prices: Table | None = None,
    products: Table | None = None,
    free_shipping_threshold: float | None = None,
    min_idle_hours: float = 0,
    max_idle_hours: float | None = None,
) -> Table:
    """Abandoned carts with what could bring each back.

    Keeps carts idle in [min_idle_hours, max_idle_hours). Out: an Ibis table, a row per cart:
    cart_id, person_id, customer_id, opened_at, last_activity_at, idle_hours, stop_step, n_items,
    n_products, value (at prices seen), value_now (at prices now; null where one is unknown),
    n_drops (products that cost less now), price_drop (money saved on the whole cart), shipping_gap
    (money short of the free-shipping threshold, at prices now where known; 0 where not short;
    null without a threshold or a value), top_up (bool: short by at most half the cart's value, so
    one more product would do).
    """
    items = abandoned_item_list(carts, prices, products)
    now = items.group_by("cart_id").agg(
        value_now=(_.pieces * _.price_now).sum(),
        n_unknown=_.price_now.isnull().sum(),
        n_drops=(_.price_drop > 0).sum().coalesce(0),
        price_drop=(_.pieces * _.price_drop).sum(),
    )
    table = carts.table.filter((_.state == "abandoned") & (_.idle_hours >= min_idle_hours))
    if max_idle_hours is not None:
        table = table.filter(_.idle_hours < max_idle_hours)
    table = table.left_join(now, "cart_id").drop("cart_id_right")
    table = table.mutate(
        value_now=ibis.ifelse(_.n_unknown == 0, _.value_now, ibis.null("float64")),
        shipping_gap=ibis.null("float64"),
    )
    if free_shipping_threshold is not None:
        worth = table.value_now.coalesce(table.value)
        gap = ibis.ifelse(worth < free_shipping_threshold, free_shipping_threshold - worth, 0.0)
        table = table.mutate(shipping_gap=ibis.ifelse(worth.notnull(), gap, ibis.null("float64")))
    return table.select(
        *("cart_id", "person_id", "customer_id", "opened_at", "last_activity_at", "idle_hours"),
        *("stop_step", "n_items", "n_products", "value", "value_now", "n_drops", "price_drop"),
        "shipping_gap",
        top_up=(_.shipping_gap > 0) & (_.shipping_gap <= 0.5 * _.value_now.coalesce(_.value)),
    )


def abandoned_browse_list(
    journeys: Table,
    as_of: datetime,
    window_days: float = 7,
    prices: Table | None = None,
    products: Table | None = None,
) -> Table:
    """Products looked at by people who put nothing in a cart and bought nothing in the window.

    In: `Shop.journeys`; the window is [as_of - window_days, as_of). A person with any add_to_cart
    or purchase in it is left out whole. Out: an Ibis table, a row per person and product:
    person_id, customer_id (null if unknown), product_id, n_views, last_viewed_at, idle_hours,
    price_seen (last one shown), price_now, price_drop (as in `abandoned_item_list`).
    """
    above("window_days", window_days, 0)
    start = as_of - timedelta(days=window_days)
    rows = journeys.filter(
        (_.occurred_at >= ibis.literal(start)) & (_.occurred_at < ibis.literal(as_of))
    )
    carted = rows.filter(_.event.isin(["add_to_cart", "purchase"])).select("person_id").distinct()
    views = rows.filter((_.event == VIEWS) & _.product_id.notnull()).anti_join(carted, "person_id")
    seen = views.group_by("person_id", "product_id").agg(
        n_views=_.count(),
        last_viewed_at=_.occurred_at.max(),
        price_seen=_.price.argmax(_.occurred_at, where=_.price.notnull()),
    )
    hours = ibis.literal(as_of).delta(seen.last_viewed_at, unit="microsecond") / HOUR
    seen = seen.mutate(idle_hours=hours, customer_id=customer_of(seen.person_id))
    return _priced(seen, as_of, prices, products).select(
        *("person_id", "customer_id", "product_id", "n_views", "last_viewed_at", "idle_hours"),
        *("price_seen", "price_now", "price_drop"),
    )


def free_shipping_gap_table(
    carts: Carts, free_shipping_threshold: float | None, n_bins: int = 10
) -> pd.DataFrame:
    """How far abandoned carts are short of free shipping.

    Out: a row per bin of the gap, `n_bins` equal ones over (0, threshold] and first one for carts
    that are not short: gap_low, gap_high (the shop's currency, [gap_low, gap_high)), n_carts,
    n_people, share (of the carts with a value), value, value_low, value_high. Without a threshold
    there is no bin.
    """
    if free_shipping_threshold is None:
        return pd.DataFrame(columns=GAP_COLUMNS)
    above("free_shipping_threshold", free_shipping_threshold, 0)
    above("n_bins", n_bins, 0)
    width = free_shipping_threshold / n_bins
    priced = carts.table.filter((_.state == "abandoned") & _.value.notnull())
    gap = free_shipping_threshold - priced.value
    # A cart a cent short is short: bin 0 is for those that are not.
    place = ibis.least((gap / width).floor().cast("int64") + 1, n_bins)
    binned = priced.mutate(place=ibis.ifelse(gap > 0, place, 0))
    counts = binned.group_by("place").agg(n_carts=_.count(), n_people=_.person_id.nunique())
    money = money_table(binned, {"value": _.value}, by="place").set_index("place")
    counted = counts.execute().set_index("place").reindex(range(n_bins + 1), fill_value=0)
    ends = np.r_[0.0, np.arange(n_bins + 1) * width]
    table = pd.DataFrame({"gap_low": ends[:-1], "gap_high": ends[1:]})
    table["n_carts"], table["n_people"] = counted.n_carts.to_numpy(), counted.n_people.to_numpy()
    table["share"] = table.n_carts / table.n_carts.sum() if table.n_carts.sum() else np.nan
    for old, new in {"total": "value", "low": "value_low", "high": "value_high"}.items():
        table[new] = money[old].reindex(range(n_bins + 1)).to_numpy(float)
    return table


def price_drop_table(items: Table) -> pd.DataFrame:
    """How many people of a list could be told of a lower price.

    In: `abandoned_item_list` or `abandoned_browse_list`. Out: a row per least drop, as a share of
    the price seen (above 0, from 5 %, from 10 %, from 20 %): min_drop_rate, n_items (rows),
    n_people, price_drop (median money per piece), n_known (rows of the list with both prices).
    """
    rate = _.price_drop / _.price_seen.nullif(0)
    drops = items.filter(_.price_drop.notnull()).mutate(rate=rate)
    n_known = int(drops.count().execute())
    rows = []
    for least in (0.0, 0.05, 0.10, 0.20):
        told = drops.filter((_.price_drop > 0) & (_.rate >= least))
        counts = told.agg(
            n_items=_.count(), n_people=_.person_id.nunique(), price_drop=_.price_drop.median()
        )
        rows.append({"min_drop_rate": least, **counts.execute().iloc[0].to_dict()})
    table = pd.DataFrame(rows).assign(n_known=n_known)
    return table.astype({"n_items": int, "n_people": int, "price_drop": float})


def size_table(lists: dict[str, Table]) -> pd.DataFrame:
    """How long lists are, and how many people on them are known customers.

    In: lists by name, as this module makes them. Out: a row per list: list, n_rows, n_people,
    n_known (people with a customer_id, who can be written to).
    """
    rows = []
    for name, table in lists.items():
        people = table.group_by("person_id").agg(known=_.customer_id.notnull().any())
        sizes = people.agg(n_people=_.count(), n_known=_.known.sum()).execute().iloc[0].fillna(0)
        rows.append({"list": name, "n_rows": int(table.count().execute()), **sizes.astype(int)})
    return pd.DataFrame(rows)


def _priced(items: Table, as_of: datetime, prices: Table | None, products: Table | None) -> Table:
    if prices is None and products is None:
        unknown = ibis.null("float64")
        return items.mutate(price_now=unknown, price_drop=unknown)
    now = price_now(as_of, prices, products)
    items = items.left_join(now, "product_id").drop("product_id_right")
    drop = _.price_seen - _.price_now
    return items.mutate(price_drop=ibis.cases((drop > 0, drop), (drop.notnull(), 0.0)))
