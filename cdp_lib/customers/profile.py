"""The profile: a row per customer, with what was known of them before a cutoff and no more.

Point in time by construction: every feature is computed from `shop.at(cutoff)`, the shop without
a row that happened or came in later, with its visitors told apart by what was seen until then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from weakref import WeakKeyDictionary

import ibis
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, at_least
from cdp_lib.customers import (
    actions,
    attributes,
    baskets,
    bought,
    browsing,
    buying,
    mailing,
    visiting,
)  # fmt: skip
from cdp_lib.customers.ages import Span
from cdp_lib.customers.features import WINDOWS, Feature, Formula, written
from cdp_lib.customers.features import feature_table as _feature_table
from cdp_lib.tables import Shop, identity
from cdp_lib.windows import instant

SHORTEST_DAYS = 30
PEOPLE = ("customers", "orders", "events")
_kept: WeakKeyDictionary[Shop, dict[str, str]] = WeakKeyDictionary()


def as_of(shop: Shop, cutoff: str | date | datetime, lookback_days: int = 365) -> Table:
    """A row per customer known before `cutoff`, with the features of `features(shop)`.

    Out: `customer_id`, then the features in their order, as an expression on the shop's engine. A
    customer is known by a row in customers, an order, an event or a visitor that is theirs.
    lookback_days: how far back events and messages count; windows longer than that are left out.
    A count of nothing is 0; what is undefined (days since an order, without one) is null. Raises
    Refusal for a cutoff after the shop's as_of, and for a shop that names no customer.
    """
    past = shop.at(instant(cutoff, "cutoff"))
    blocks = _blocks(shop, Span(past.as_of, _checked(lookback_days)))
    tables = [(formulas, sums(past)) for formulas, sums in blocks]
    profile = _people(past)
    for formulas, table in tables:
        block = table.select("customer_id", **written(table, formulas))
        profile = profile.left_join(block, "customer_id").drop("customer_id_right")
    columns = {}
    for formula in (formula for formulas, _ in tables for formula in formulas):
        value, feature = profile[formula.feature.name], formula.feature
        value = value if formula.none is None else value.coalesce(formula.none)
        columns[feature.name] = value.cast(feature.dtype)
    return profile.select("customer_id", **columns)


def features(shop: Shop, lookback_days: int = 365) -> tuple[Feature, ...]:
    """The features that a profile of this shop has, in the order of its columns."""
    # The names hold for any cutoff, so no cutoff is asked for; as_of may cost a query.
    blocks = _blocks(shop, Span(shop.as_of, _checked(lookback_days)))
    return tuple(formula.feature for formulas, _ in blocks for formula in formulas)


def feature_table(shop: Shop, lookback_days: int = 365) -> pd.DataFrame:
    """The feature dictionary of this shop as a table, a row per feature; see Feature."""
    return _feature_table(features(shop, lookback_days))


def _people(past: Shop) -> Table:
    """Every customer whom a row of the cut shop names, once."""
    named = [past.table(name).select("customer_id") for name in PEOPLE[:2] if past.has(name)]
    if past.has("events"):
        links = identity.links(past.visits, past.find("identities"))
        named.append(links.select("customer_id"))
    people = ibis.union(*named) if len(named) > 1 else named[0]
    return people.filter(people.customer_id.notnull()).distinct()


def _checked(lookback_days: int) -> int:
    at_least("lookback_days", lookback_days, SHORTEST_DAYS)
    return int(lookback_days)


def _blocks(shop: Shop, span: Span) -> list[tuple[list[Formula], Callable[[Shop], Table]]]:
    """What this shop's tables allow: formulas, and the sums of a shop cut at the span's end."""
    if not any(shop.has(name) for name in PEOPLE):
        raise MissingTable(
            "shop", shop.name, "no table that names a customer", "add customers, orders or events"
        )
    windows = [days for days in WINDOWS if days <= span.lookback_days]
    kinds = [k for k in browsing.KINDS if shop.has("products") and k in shop.given("products")]
    blocks = []
    if shop.has("customers"):
        extras = _extras(shop)
        blocks.append(
            (attributes.formulas(shop, span, extras), lambda s: attributes.sums(s.customers))
        )
    if shop.has("events"):
        blocks += _event_blocks(shop, span, windows, kinds)
    if shop.has("orders"):
        given = shop.given("orders")
        blocks.append(
            (
                buying.formulas(given, windows, span),
                lambda s: buying.sums(s.orders, given, windows, span),
            )
        )
        if shop.has("order_lines"):
            blocks.append(
                (
                    bought.formulas(kinds, windows),
                    lambda s: bought.sums(
                        s.order_lines, s.orders, s.find("products"), kinds, windows, span
                    ),
                )
            )
    if shop.has("messages"):
        sent = shop.given("messages")
        blocks.append(
            (mailing.formulas(sent, span), lambda s: mailing.sums(s.messages, sent, span))
        )
    return blocks


def _event_blocks(shop: Shop, span: Span, windows: Sequence[int], kinds: Sequence[str]) -> list:
    given = shop.given("events")
    told = given | ({"orders"} if shop.has("orders") else set())
    rows: dict[int, Table] = {}

    def slim(past: Shop) -> Table:
        # One expression for all three, so that the engine reads the log once.
        return rows.setdefault(id(past), actions.slim(past, span))

    blocks = [
        (visiting.formulas(told, windows, span), lambda s: visiting.sums(slim(s), windows, span))
    ]
    if "product_id" in given:
        blocks.append(
            (
                browsing.formulas(kinds, windows),
                lambda s: browsing.sums(slim(s), s.find("products"), kinds, windows),
            )
        )
    idle = shop.settings.idle_hours
    blocks.append(
        (
            baskets.formulas(given, windows, span),
            lambda s: baskets.sums(slim(s), windows, span, idle),
        )
    )
    return blocks


def _extras(shop: Shop) -> dict[str, str]:
    """The kept further columns of customers; the same for a shop and all that are cut from it."""
    whole = shop.whole
    if whole not in _kept:
        names = whole.mapped("customers").extras
        _kept[whole] = attributes.kept_extras(whole.customers, names) if names else {}
    return _kept[whole]
