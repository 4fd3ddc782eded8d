"""What customers did on site and app: the events of a span with their customer, and visits.

The log is read once. Its rows are first summed up by visit and day; all that follows reads
those few rows. Windows are exact: a day here is 24 hours, counted back from the cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence

from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.ages import DAY, HOUR, Span, micros, money
from cdp_lib.tables import Shop, identity

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


def slim(shop: Shop, span: Span) -> Table:
    """The events of the span that belong to a customer, with whole numbers for their times.

    Out: `owner_id`, `us` (instant, microseconds since 1970), `age` (whole days before the
    cutoff), and of the log: event, session_id, visitor_id, and what the shop has of product_id,
    price, quantity, cart_id, shipping_cost, error and `PLACES`.
    """
    visits, given = shop.visits, shop.given("events")
    wanted = ("product_id", "price", "quantity", "cart_id", "shipping_cost", "error", *PLACES)
    columns = ["event", "session_id", "visitor_id", *(c for c in wanted if c in given)]
    links = identity.links(visits, shop.find("identities"))
    rows = identity.owned(span.within(visits, "occurred_at"), links, visits)
    rows = rows.select("owner_id", *columns, us=micros(rows.occurred_at))
    return rows.mutate(age=span.age_days(rows.us))


def visit_days(rows: Table) -> Table:
    """The rows of `slim` summed up by customer, visit and day before the cutoff.

    Out: `owner_id`, `session_id`, `age`; `n_<event>` for `COUNTED`; `n_actions` (without
    `NO_VISIT`), `n_all`, `n_errors`, `n_removed`; `first_us` and `last_us` of the actions;
    `depth` (0 to 6); `n_priced` and `priced` (millionths) of the viewed products' prices;
    the greatest value of each of `PLACES`.
    """
    action = rows.event.notin(NO_VISIT)
    sums = {f"n_{event}": (rows.event == event).cast("int64").sum() for event in COUNTED}
    sums["n_actions"] = action.cast("int64").sum()
    sums["n_removed"] = (rows.event == "app_remove").cast("int64").sum()
    sums["first_us"] = rows.us.min(where=action)
    sums["last_us"] = rows.us.max(where=action)
    sums["depth"] = rows.event.cases(*DEPTH.items(), else_=0).cast("int64").max()
    if "price" in rows.columns:
        viewed = rows.event == "view_item"
        sums["n_priced"] = rows.price.count(where=viewed)
        sums["priced"] = money(rows.price).sum(where=viewed)
    if "error" in rows.columns:
        sums["n_errors"] = rows.error.count()
    sums |= {name: rows[name].max() for name in PLACES if name in rows.columns}
    return rows.group_by("owner_id", "session_id", "age").aggregate(**sums)


def day_sums(days: Table, windows: Sequence[int]) -> Table:
    """`visit_days` summed up by customer: the counts of `COUNTED` and what else goes by days."""
    by_day = {"n_actions": _.n_actions.sum(), "n_removed": _.n_removed.sum()}
    by_day |= {f"n_{event}": _[f"n_{event}"].sum() for event in COUNTED}
    by_day |= {n: _[n].sum() for n in ("n_priced", "priced", "n_errors") if n in days.columns}
    by_day |= {"depth": _.depth.max()}
    table = days.group_by("owner_id", "age").aggregate(**by_day)
    within = {days: table.age < days for days in windows}
    sums = {f"actions_{w}d": table.n_actions.sum(where=inside) for w, inside in within.items()}
    sums |= {
        f"{event}_{w}d": table[f"n_{event}"].sum(where=within[w])
        for event, (_words, counted) in COUNTED.items()
        for w in counted
        if w in within
    }
    sums |= {f"last_{event}": table.age.min(where=table[f"n_{event}"] > 0) for event in LAST_SEEN}
    for w, inside in within.items():
        sums[f"active_days_{w}d"] = (inside & (table.n_actions > 0)).cast("int64").sum()
        sums[f"depth_{w}d"] = table.depth.max(where=inside & (table.n_actions > 0))
        if "n_errors" in table.columns:
            sums[f"errors_{w}d"] = table.n_errors.sum(where=inside)
        if "n_priced" in table.columns:
            sums[f"n_priced_{w}d"] = table.n_priced.sum(where=inside)
            sums[f"priced_{w}d"] = table.priced.sum(where=inside)
    sums["last_removed"] = table.age.min(where=table.n_removed > 0)
    return table.group_by("owner_id").aggregate(**sums)


def visits_of(days: Table, span: Span) -> Table:
    """`visit_days` summed up by visit; visits of nothing but `NO_VISIT` are none.

    Out: `owner_id`, `session_id`, `age` (of the last action), `first_us`, `last_us`,
    `n_actions`, `depth`, `is_weekend`, `is_evening` (UTC, of its start), and `PLACES`.
    """
    sums = {"age": _.age.min(), "first_us": _.first_us.min(), "last_us": _.last_us.max()}
    sums |= {"n_actions": _.n_actions.sum(), "depth": _.depth.max()}
    sums |= {name: _[name].max() for name in PLACES if name in days.columns}
    acted = days.filter(days.n_actions > 0)
    table = acted.group_by("owner_id", "session_id").aggregate(**sums)
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
        sums[f"visits_{w}d"] = inside.cast("int64").sum()
        sums[f"visit_actions_{w}d"] = visits.n_actions.sum(where=inside)
        sums[f"visit_us_{w}d"] = (visits.last_us - visits.first_us).sum(where=inside)
    sums |= {"n_visits": visits.count(), "first": visits.first_us.min()}
    sums |= {"last_start": visits.first_us.max(), "last": visits.last_us.max()}
    sums |= {"n_weekend": visits.is_weekend.sum(), "n_evening": visits.is_evening.sum()}
    if "device_type" in visits.columns:
        mobile = (visits.device_type == "mobile").cast("int64")
        sums |= {"n_mobile": mobile.sum(), "n_device_types": visits.device_type.nunique()}
    if "touchpoint" in visits.columns:
        sums["n_touchpoints"] = visits.touchpoint.nunique()
    return visits.group_by("owner_id").aggregate(**sums)
