"""What customers did on site and app: the events of a span with their customer, and visits.

Most features read the few rows of `daily.visit_days`. Windows are exact: a day here is 24 hours,
counted back from the cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.ages import DAY, HOUR, Span, total
from cdp_lib.customers.part import Part
from cdp_lib.tables import identity
from cdp_lib.tables.micros import micros

NO_VISIT = ("app_remove", "push_off")
# Which events are counted, in which windows, and what they are called.
COUNTED = {
    "view_item": ("product pages viewed", (7, 30, 90, 365)),
    "view_item_list": ("product lists viewed", (30, 365)),
    "search": ("searches", (30, 365)),
    "add_to_wishlist": ("products put on the wish list", (30, 365)),
    "add_to_cart": ("times a product was put in the cart", (7, 30, 90, 365)),
    "remove_from_cart": ("times a product was taken out of the cart", (30, 365)),
    "begin_checkout": ("checkouts begun", (7, 30, 90, 365)),
    "add_payment_info": ("times payment details were given", (30, 365)),
    "contact_support": ("contacts with support", (30, 90, 365)),
    "purchase": ("purchases", (7, 30, 90, 365)),
    "app_open": ("times the app was opened", (30, 365)),
}
LAST_SEEN = {
    "view_item": "a product was viewed",
    "search": "something was searched",
    "add_to_wishlist": "a product was put on the wish list",
    "add_to_cart": "a product was put in the cart",
    "begin_checkout": "a checkout was begun",
    "contact_support": "support was contacted",
    "purchase": "a purchase",
}
DEPTH = {
    "view_item": 1, "add_to_cart": 2, "begin_checkout": 3, "add_shipping_info": 4,
    "add_payment_info": 5, "purchase": 6,
}  # fmt: skip
# What a visit has one of: the newest visit's values are features.
PLACES = {
    "device_type": ("kind of device of the last visit", "device"),
    "os": ("operating system of the last visit", "device"),
    "app_version": ("", "device"),
    "operator": ("mobile operator of the last visit", "device"),
    "touchpoint": ("entry of the last visit", "touchpoint"),
    "city": ("city of the last visit", "attributes"),
}


EVERY = ("price", "product_id", "quantity", "cart_id", "shipping_cost")


def owned(shop: Part, span: Span, columns: Sequence[str], events: Sequence[str]) -> Table:
    """The events of the span that belong to a customer, of these kinds.

    Out: `owner_id`, event, `visitor_id` and `visit__`, those of `columns` that the shop has, and
    `us` (instant, microseconds since 1970).
    """
    # Found once for all that read them, who then take what they need.
    rows = shop.once("owned", lambda: _owned(shop, span))
    rows = rows.filter(rows.event.isin(list(events)))
    return rows.drop([name for name in EVERY if name in rows.columns and name not in columns])


def _owned(shop: Part, span: Span) -> Table:
    given = shop.given("events")
    # The span comes after the columns: where `visit_days` began with the same step, the engine
    # would keep the whole log for the two of them.
    names = (*identity.VISIT, "customer_id", "event", "occurred_at")
    rows = shop.visits.select(*names, *(name for name in EVERY if name in given))
    rows = span.within(rows, "occurred_at")
    rows = rows.mutate(us=micros(rows.occurred_at)).drop("occurred_at")
    return shop.only(identity.owned(rows, shop.ties), "owner_id")


def day_sums(days: Table, windows: Sequence[int]) -> Table:
    """`visit_days` summed up by customer: the counts of `COUNTED` and what else goes by days."""
    counts = [f"n_{event}" for event in COUNTED]
    counts += [name for name in ("n_errors", "n_priced", "priced") if name in days.columns]
    # First within the stretches between two windows, so that few rows meet the many conditions.
    stretch = ibis.cases(*[(days.age < w, w) for w in windows], else_=0).cast("int64")
    table = days.group_by(owner_id=days.owner_id, stretch=stretch).aggregate(
        **{name: total(days[name]) for name in counts},
        **{f"last_{e}": days.age.min(where=days[f"n_{e}"] > 0) for e in LAST_SEEN},
        depth=days.depth.max(where=days.n_actions > 0),
        last_removed=days.age.min(where=days.n_removed > 0),
    )
    within = {w: (table.stretch > 0) & (table.stretch <= w) for w in windows}
    sums = {
        f"{event}_{w}d": total(table[f"n_{event}"], within[w])
        for event, (_words, counted) in COUNTED.items()
        for w in counted
        if w in within
    }
    sums |= {f"last_{event}": table[f"last_{event}"].min() for event in LAST_SEEN}
    sums["last_removed"] = table.last_removed.min()
    for w, inside in within.items():
        sums[f"depth_{w}d"] = table.depth.max(where=inside)
        for name, words in (("n_errors", "errors"), ("n_priced", "n_priced"), ("priced", "priced")):
            if name in counts:
                sums[f"{words}_{w}d"] = total(table[name], inside)
    return table.group_by("owner_id").aggregate(**sums)


def active_days(days: Table, windows: Sequence[int]) -> Table:
    """The days of `visit_days` with an action, counted by customer."""
    table = days.filter(days.n_actions > 0).select("owner_id", "age").distinct()
    sums = {f"active_days_{w}d": table.count(where=table.age < w) for w in windows[1:]}
    return table.group_by("owner_id").aggregate(**sums)


def visits_of(days: Table, span: Span) -> Table:
    """`visit_days` summed up by visit; visits of nothing but `NO_VISIT` are none.

    Out: `owner_id`, `visitor_id`, `visit__`, `age` (of the last action), `first_us`, `last_us`,
    `n_actions`, `depth`, `is_weekend`, `is_evening` (UTC, of its start), and `PLACES`.
    """
    sums = {"age": _.age.min(), "first_us": _.first_us.min(), "last_us": _.last_us.max()}
    sums |= {"n_actions": total(_.n_actions), "depth": _.depth.max()}
    sums |= {name: _[name].max() for name in PLACES if name in days.columns}
    acted = days.filter(days.n_actions > 0)
    table = acted.group_by("owner_id", *identity.VISIT).aggregate(**sums)
    # 1 January 1970 was a Thursday.
    weekday, hour = (table.first_us // DAY + 3) % 7, (table.first_us // HOUR) % 24
    return table.mutate(
        is_weekend=(weekday >= 5).cast("int64"), is_evening=(hour >= 18).cast("int64")
    )


def visit_sums(visits: Table, windows: Sequence[int]) -> Table:
    """`visits_of` summed up by customer."""
    sums = {}
    for w in windows:
        inside = visits.age < w
        sums[f"visits_{w}d"] = visits.count(where=inside)
        sums[f"visit_actions_{w}d"] = total(visits.n_actions, inside)
        sums[f"visit_us_{w}d"] = total(visits.last_us - visits.first_us, inside)
    sums |= {"n_visits": visits.count(), "first": visits.first_us.min()}
    sums |= {"last_start": visits.first_us.max(), "last": visits.last_us.max()}
    sums |= {"n_weekend": total(visits.is_weekend), "n_evening": total(visits.is_evening)}
    if "device_type" in visits.columns:
        mobile = (visits.device_type == "mobile").cast("int64")
        sums |= {"n_mobile": total(mobile), "n_device_types": visits.device_type.nunique()}
    if "touchpoint" in visits.columns:
        sums["n_touchpoints"] = visits.touchpoint.nunique()
    return visits.group_by("owner_id").aggregate(**sums)
