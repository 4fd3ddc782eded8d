"""Features of visits: how lately, how often, how deep, on what, and from where."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.actions import (
    COUNTED,
    LAST_SEEN,
    PLACES,
    active_days,
    day_sums,
    visit_sums,
    visits_of,
)
from cdp_lib.customers.ages import DAY, Span, amount, total
from cdp_lib.customers.daily import visit_days
from cdp_lib.customers.features import Formula, about, beside, share
from cdp_lib.customers.part import Part
from cdp_lib.tables.micros import micros

# The visits and actions of which a rise or a fall is told: their last 30 days against 90.
RISING = {"visits": "visits", "view_item": "product views", "add_to_cart": "additions to the cart"}


def formulas(given: Collection[str], windows: Sequence[int], span: Span) -> list[Formula]:
    """The features of this block for a shop whose events have the columns `given`."""
    longest = max(windows)
    skipped = {"purchase"} if "orders" in given else set()
    recency, often = about("recency", "events"), about("frequency", "events")
    written = [recency("days_since_visit", "days since the last visit", "days", span.days(_.last))]
    written += [
        about("service" if event == "contact_support" else "recency", "events")(
            f"days_since_{event}", f"whole days since {words}", "days", _[f"last_{event}"]
        )
        for event, words in LAST_SEEN.items()
        if event not in skipped
    ]
    written += [often(f"visits_{w}d", f"visits in the last {w} days", "count") for w in windows]
    written += [
        often(f"active_days_{w}d", f"of the last {w} days those with a visit", "count")
        for w in windows[1:]
    ]
    for event, (words, counted) in COUNTED.items():
        group = {"contact_support": "service", "begin_checkout": "funnel"}.get(event, "frequency")
        group = "carts" if event in ("add_to_cart", "remove_from_cart") else group
        written += [
            about(group, "events")(f"{event}_{w}d", f"{words} in the last {w} days", "count")
            for w in counted
            if w in windows and event not in skipped
        ]
    if 90 in windows:
        written += [
            often(
                f"{name}_trend", f"share of the last 90 days' {words} that lies in the last 30",
                "share", share(_[f"{name}_30d"], _[f"{name}_90d"]),
            )
            for name, words in RISING.items()
        ]  # fmt: skip
    return written + _pace(windows, longest, span) + _places(given, windows, longest)


def _pace(windows: Sequence[int], longest: int, span: Span) -> list[Formula]:
    often, tenure = about("frequency", "events"), about("tenure", "events")
    recency, funnel = about("recency", "events"), about("funnel", "events")
    gap = share(_.last_start - _.first, _.n_visits - 1)
    visits = _[f"visits_{longest}d"]
    deepest = "deepest step {}: 1 a product, 2 cart, 3 checkout, 4 shipping, 5 payment, 6 purchase"
    return [
        tenure(
            "days_since_first_visit",
            f"days since the first visit of the last {span.lookback_days} days",
            "days", span.days(_.first),
        ),
        often("visit_gap_days", "days from one visit to the next, on average", "days", gap / DAY),
        recency(
            "visit_gaps_waited", "time since the last visit, in average gaps between visits",
            "number", span.age_us(_.last).cast("float64") / gap.nullif(0),
        ),
        often(
            "actions_per_visit", f"actions in a visit of the last {longest} days, on average",
            "number", share(_[f"visit_actions_{longest}d"], visits),
        ),
        often(
            "visit_hours", f"hours that a visit of the last {longest} days lasts, on average",
            "hours", share(_[f"visit_us_{longest}d"], visits) / (DAY / 24),
        ),
        often("weekend_share", "share of visits begun on a weekend (UTC)", "share",
              share(_.n_weekend, _.n_visits)),
        often("evening_share", "share of visits begun from 18 hours on (UTC)", "share",
              share(_.n_evening, _.n_visits)),
        *(funnel(f"depth_{w}d", deepest.format(f"in the last {w} days"), "number")
          for w in windows),
        funnel("depth_last_visit", deepest.format("of the last visit"), "number"),
    ]  # fmt: skip


def _places(given: Collection[str], windows: Sequence[int], longest: int) -> list[Formula]:
    written = [
        about(group, "events")(f"last_{name}", words, "category")
        for name, (words, group) in PLACES.items()
        if name in given and words
    ]
    device, touch = about("device", "events"), about("touchpoint", "events")
    if "device_type" in given:
        written += [
            device("mobile_share", "share of visits on a mobile", "share",
                   share(_.n_mobile, _.n_visits)),
            device("device_types", "kinds of device used", "count", _.n_device_types),
        ]  # fmt: skip
    if "app_version" in given:
        written += [
            device("app_versions_behind", "versions of the app newer than the one last used",
                   "number"),
        ]  # fmt: skip
    if "touchpoint" in given:
        written += [
            touch("main_touchpoint", "entry of most visits", "category"),
            touch("touchpoints", "different entries used", "count", _.n_touchpoints),
        ]
    written.append(
        device(
            "days_since_app_remove", "whole days since the app was removed", "days", _.last_removed
        )
    )
    if "price" in given:
        written += [
            about("money", "events")(
                f"viewed_price_{w}d_mean",
                f"price of the products viewed in the last {w} days, on average",
                "money", amount(_[f"priced_{w}d"]) / _[f"n_priced_{w}d"].nullif(0),
            )
            for w in windows[1:]
        ]  # fmt: skip
    if "error" in given:
        written += [
            about("service", "events")(
                f"errors_{w}d", f"errors shown in the last {w} days", "count"
            )
            for w in windows[1:]
        ]
    return written


def sums(shop: Part, windows: Sequence[int], span: Span) -> Table:
    """The events of the span summed up by `customer_id`, for `formulas`."""
    days = visit_days(shop, span)
    visits = visits_of(days, span)
    places = [name for name in PLACES if name in visits.columns]
    last = _last_visit(visits, places)
    more = [active_days(days, windows), visit_sums(visits, windows), last]
    if "app_version" in places:
        behind = _versions_behind(shop, span)
        more.append(
            last.inner_join(behind, last.last_app_version == behind.app_version).select(
                "owner_id", "app_versions_behind"
            )
        )
    if "touchpoint" in places:
        more.append(commonest(visits.mutate(n=1), "touchpoint", "main_touchpoint"))
    return beside(day_sums(days, windows), *more).rename(customer_id="owner_id")


def _last_visit(visits: Table, places: Sequence[str]) -> Table:
    """What the newest visit was made with; of two that end at one instant the greatest values."""
    newest = visits.group_by("owner_id").aggregate(last_us=_.last_us.max())
    found = visits.semi_join(newest, ["owner_id", "last_us"])
    sums = {f"last_{name}": found[name].max() for name in places}
    return found.group_by("owner_id").aggregate(depth_last_visit=found.depth.max(), **sums)


def _versions_behind(shop: Part, span: Span) -> Table:
    """For each version of the app how many came up later, by anybody's first event in the span."""
    rows = span.within(shop.visits, "occurred_at")
    first = rows.filter(rows.app_version.notnull()).group_by("app_version")
    seen = first.aggregate(came_us=micros(rows.occurred_at.min()))
    newer = ibis.dense_rank().over(order_by=seen.came_us.desc())
    return seen.select("app_version", app_versions_behind=newer)


def commonest(table: Table, value: str, name: str) -> Table:
    """Each owner's value with the greatest sum of `n`; of two the first in the alphabet."""
    some = table.filter(table[value].notnull())
    summed = some.group_by("owner_id", value).aggregate(n=total(some.n))
    most = summed.group_by("owner_id").aggregate(n=summed.n.max())
    first = summed.semi_join(most, ["owner_id", "n"]).group_by("owner_id")
    return first.aggregate(**{name: _[value].min()})
