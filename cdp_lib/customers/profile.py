"""The profile: a row per customer, with what was known of them before a cutoff and no more.

Point in time by construction: every feature is computed from `shop.at(cutoff)`, the shop without
a row that happened or came in later, with its visitors told apart by what was seen until then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from weakref import WeakKeyDictionary

import ibis
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, at_least
from cdp_lib.customers import (
    attributes,
    baskets,
    bought,
    browsing,
    buying,
    mailing,
    visiting,
)  # fmt: skip
from cdp_lib.customers.ages import Span
from cdp_lib.customers.features import WINDOWS, Feature, Formula, beside, written
from cdp_lib.customers.features import feature_table as _feature_table
from cdp_lib.customers.part import Part
from cdp_lib.tables import Shop
from cdp_lib.windows import instant

SHORTEST_DAYS = 30
PEOPLE = ("customers", "orders", "events")
_kept: WeakKeyDictionary[Shop, dict[str, str]] = WeakKeyDictionary()


def as_of(
    shop: Shop,
    cutoff: str | date | datetime,
    lookback_days: int = 365,
    among: Table | None = None,
) -> Table:
    """A row per customer known before `cutoff`, with the features of `features(shop)`.

    Out: `customer_id`, then the features in their order, as an expression on the shop's engine. A
    customer is known by a row in customers, an order, an event or a visitor that is theirs.
    lookback_days: how far back events and messages count; windows longer than that are left out.
    among: a table of customer_id; the profile is worked out for these alone, and is theirs as it
    stands in the profile of all.
    A count of nothing is 0; what is undefined (days since an order, without one) is null. Raises
    Refusal for a cutoff after the shop's as_of, and for a shop that names no customer.
    """
    past = shop.at(instant(cutoff, "cutoff"))
    blocks = _blocks(shop, Span(past.as_of, _checked(lookback_days)))
    part = Part(past, among)
    tables = [(formulas, sums(part)) for formulas, sums in blocks]
    profile = beside(
        part.only(_people(past)),
        *(table.select("customer_id", **written(table, formulas)) for formulas, table in tables),
        key="customer_id",
    )
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
        named.append(past.ties.pairs.select("customer_id"))
    people = ibis.union(*named) if len(named) > 1 else named[0]
    return people.filter(people.customer_id.notnull()).distinct()


def _checked(lookback_days: int) -> int:
    at_least("lookback_days", lookback_days, SHORTEST_DAYS)
    return int(lookback_days)


def _blocks(shop: Shop, span: Span) -> list[tuple[list[Formula], Callable[[Part], Table]]]:
    """What this shop's tables allow: formulas, and the sums of a shop cut at the span's end."""
    if not any(shop.has(name) for name in PEOPLE):
        raise MissingTable(
            "shop", shop.name, "no table that names a customer", "add customers, orders or events"
        )
    windows = [days for days in WINDOWS if days <= span.lookback_days]
    kinds = [k for k in browsing.KINDS if shop.has("products") and k in shop.given("products")]
    given = {name: shop.given(name) for name in shop.tables}
    blocks: list[tuple[list[Formula], Callable[[Part], Table]]] = []
    if shop.has("customers"):
        blocks.append((attributes.formulas(shop, span, _extras(shop)), attributes.sums))
    if shop.has("events"):
        told = given["events"] | ({"orders"} & set(shop.tables))
        blocks.append(
            (visiting.formulas(told, windows, span), lambda s: visiting.sums(s, windows, span))
        )
        if "product_id" in given["events"]:
            blocks.append(
                (
                    browsing.formulas(kinds, windows),
                    lambda s: browsing.sums(s, kinds, windows, span),
                )
            )
        blocks.append(
            (baskets.formulas(told, windows, span), lambda s: baskets.sums(s, windows, span))
        )
    if shop.has("orders"):
        blocks.append(
            (buying.formulas(given["orders"], windows, span),
             lambda s: buying.sums(s, windows, span))
        )  # fmt: skip
        if shop.has("order_lines"):
            blocks.append(
                (bought.formulas(kinds, windows), lambda s: bought.sums(s, kinds, windows, span))
            )
    if shop.has("messages"):
        blocks.append((mailing.formulas(given["messages"], span), lambda s: mailing.sums(s, span)))
    return blocks


def _extras(shop: Shop) -> dict[str, str]:
    """The kept further columns of customers; the same for a shop and all that are cut from it."""
    whole = shop.whole
    if whole not in _kept:
        names = whole.mapped("customers").extras
        _kept[whole] = attributes.kept_extras(whole.customers, names) if names else {}
    return _kept[whole]
