"""The profile, and beside it where each customer stands among the others.

Segments and reports read this table: it has every column of the profile, and those of `ADDED`
that the shop's tables allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import ibis
from ibis.expr.types import FloatingValue, Table, Value

from cdp_lib.checks import TooLittleData, at_least
from cdp_lib.customers import life
from cdp_lib.customers.features import share
from cdp_lib.customers.profile import as_of as profile_as_of
from cdp_lib.customers.rfm import SOURCES, Cuts, own_cuts, scores, values_of
from cdp_lib.customers.rfm_names import named
from cdp_lib.tables import Shop

RANKED = {"spend_rank": "revenue_365d", "margin_rank": "margin_365d", "basket_rank": "order_value"}
SHARED = {"city_share": "city", "country_share": "country", "operator_share": "last_operator"}
ADDED = {  # column -> (unit, meaning, table it comes from)
    "r": ("number", "recency score, 5 is the latest", "orders"),
    "f": ("number", "frequency score, 5 is the most orders", "orders"),
    "m": ("number", "money score, 5 is the most spent", "orders"),
    "rfm_name": ("category", "name by recency, frequency and money", "orders"),
    "life_cycle": ("category", "state in the life with the shop", "orders"),
    "spend_rank": ("share", "share of the year's buyers who spent less", "orders"),
    "margin_rank": ("share", "share of the year's buyers who brought less margin", "orders"),
    "basket_rank": ("share", "share of buyers whose orders are smaller on average", "orders"),
    "city_share": ("share", "share of customers who live in the same city", "customers"),
    "country_share": ("share", "share of customers who live in the same country", "customers"),
    "operator_share": ("share", "share of customers with the same mobile operator", "events"),
}


@dataclass(frozen=True)
class Portrait:
    """Customers with what places them among the others.

    table: the profile's columns, then those of `ADDED`. cuts: of the RFM scores; None without an
    order. pace: of the life cycle; None without orders.
    """

    table: Table
    cuts: Cuts | None
    pace: life.Pace | None


def portrait(
    profile: Table, cuts: Cuts | None = None, pace: life.Pace | None = None, keep: bool = True
) -> Portrait:
    """Place the customers of a profile among the others.

    profile: of `profile.as_of`, or any table with its columns of orders. cuts, pace: those of
    another day, so that only people move and not the rules; by default the profile's own, which
    two queries fetch. keep: have the engine keep the profile and the result.
    """
    if keep:
        profile = profile.cache()
    columns: dict[str, Value] = {}
    if set(SOURCES.values()) <= set(profile.columns):
        try:
            cuts = cuts if cuts is not None else own_cuts(values_of(profile))
        except TooLittleData:
            cuts = None
    else:
        cuts = None
    if cuts is not None:
        columns |= _scored(profile, cuts)
    if {"orders_ever", "days_since_order", "last_order_gap_days"} <= set(profile.columns):
        pace = pace if pace is not None else life.pace(profile)
        columns["life_cycle"] = life.state(profile, pace)
    else:
        pace = None
    for name, source in RANKED.items():
        if source in profile.columns:
            columns[name] = _rank(profile, source)
    for name, source in SHARED.items():
        if source in profile.columns:
            columns[name] = _same(profile, source)
    table = profile.mutate(**columns)
    if cuts is not None:
        table = table.mutate(rfm_name=named(table.r, table.f, table.m))
    return Portrait(table.cache() if keep else table, cuts, pace)


def portraits(shop: Shop, weeks_back: int = 1) -> tuple[Portrait, Portrait | None]:
    """The portrait of a shop at its as_of, and that of some weeks before by the same cuts.

    weeks_back: 0 for none. The second is None, too, where nobody was known then. Raises Refusal for
    less than 0 weeks, and TooLittleData where nobody has ordered yet.
    """
    at_least("weeks_back", weeks_back, 0)
    if shop.has("events"):
        shop.keep()
    now = portrait(profile_as_of(shop, shop.as_of))
    if shop.has("orders") and now.cuts is None:
        raise TooLittleData("orders", 0, "nobody has ordered", "wait for the first order")
    if not weeks_back:
        return now, None
    then = shop.as_of - timedelta(weeks=weeks_back)
    before = portrait(profile_as_of(shop, then), now.cuts, now.pace)
    return now, before if before.table.count().execute() else None


def _scored(profile: Table, cuts: Cuts) -> dict[str, Value]:
    found = scores(*(profile[source] for source in SOURCES.values()), cuts)
    bought = profile.orders_ever > 0
    return {name: bought.ifelse(value, ibis.null("int64")) for name, value in found.items()}


def _rank(profile: Table, source: str) -> FloatingValue:
    """The share of the others with a smaller value; null where there is nothing to rank."""
    value = profile[source]
    ranked = value.notnull() & (value > 0)
    place = ibis.percent_rank().over(group_by=ranked, order_by=value)
    return ranked.ifelse(place, ibis.null("float64"))


def _same(profile: Table, source: str) -> FloatingValue:
    """The share of the customers with a known value who have the same one."""
    value = profile[source]
    same, known = value.count().over(group_by=value), value.count().over(ibis.window())
    return value.notnull().ifelse(share(same, known), ibis.null("float64"))
