"""What was done in a visit on a day: the log summed up before anything else reads it.

A day is 24 hours, counted back from a cutoff. So all cutoffs at one time of day share their days,
and a shop that is asked about many moments (`Shop.keep`) is summed up once for all of them. Whose
a visit was is told afterwards, as it was known at each cutoff.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import ibis
from ibis.expr.types import Table

from cdp_lib.customers.actions import COUNTED, DEPTH, NO_VISIT, PLACES
from cdp_lib.customers.ages import DAY, Span, money, total
from cdp_lib.customers.part import Part
from cdp_lib.tables import Shop, identity
from cdp_lib.tables.micros import micros

WHO = (*identity.VISIT, "customer_id")
_kept: WeakKeyDictionary[Shop, dict[int, Table]] = WeakKeyDictionary()


def visit_days(shop: Part, span: Span) -> Table:
    """The events of the span that belong to a customer, by visit and day before the cutoff.

    Out: `owner_id`, the visit's `visitor_id` and `visit__`, `age` (whole days before the cutoff),
    two rows where the customer logged in on the way; `customer_id`; `n_<event>` for `COUNTED`;
    `n_actions` (without `NO_VISIT`), `n_errors`, `n_removed`; `first_us` and `last_us` of the
    actions; `depth` (0 to 6); `n_priced` and `priced` (millionths) of the viewed products' prices;
    the greatest value of each of `PLACES`.
    """
    whole, phase = shop.whole, span.end_us % DAY
    if whole.kept and shop.cuts_like("events"):
        kept = _kept.setdefault(whole, {})
        if phase not in kept:
            kept[phase] = _summed(whole.visits, phase).cache()
        days = kept[phase]
    else:
        days = _summed(span.within(shop.visits, "occurred_at"), phase)
    age = span.end_us // DAY - 1 - days.day
    days = days.mutate(age=age).filter(age >= 0, age < span.lookback_days)
    return shop.only(identity.owned(days.drop("day"), shop.ties), "owner_id")


def _summed(visits: Table, phase: int) -> Table:
    """Visits by who did what on which day; days begin `phase` microseconds after midnight."""
    us = micros(visits.occurred_at)
    acted = ibis.ifelse(visits.event.notin(NO_VISIT), us, None)
    rows = visits.mutate(us=us, acted=acted, day=((us - phase) // DAY).cast("int64"))
    sums = {f"n_{event}": rows.count(where=rows.event == event) for event in {**COUNTED, **DEPTH}}
    sums["n_actions"] = rows.acted.count()
    sums["n_removed"] = rows.count(where=rows.event == "app_remove")
    sums |= {"first_us": rows.acted.min(), "last_us": rows.acted.max()}
    if "price" in rows.columns:
        viewed = rows.event == "view_item"
        sums["n_priced"] = rows.price.count(where=viewed)
        sums["priced"] = total(money(rows.price), viewed)
    if "error" in rows.columns:
        sums["n_errors"] = rows.error.count()
    sums |= {name: rows[name].max() for name in PLACES if name in rows.columns}
    days = rows.group_by(*WHO, "day").aggregate(**sums)
    deepest = [(days[f"n_{event}"] > 0, depth) for event, depth in reversed(DEPTH.items())]
    return days.mutate(depth=ibis.cases(*deepest, else_=0).cast("int64"))
