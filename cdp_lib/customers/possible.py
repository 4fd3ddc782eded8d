"""Every feature that a profile can ever have, whatever tables a shop has."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from cdp_lib.customers import attributes, baskets, bought, browsing, buying, mailing, visiting
from cdp_lib.customers.ages import Span
from cdp_lib.customers.features import WINDOWS, Feature
from cdp_lib.tables.contract import CONTRACT


class _Everything:
    """What a feature block asks of a shop, of one that has every table and column."""

    def has(self, name: str) -> bool:
        return name in CONTRACT

    def given(self, name: str) -> frozenset[str]:
        return frozenset(column.name for column in CONTRACT[name].columns)


@cache
def possible_features() -> dict[str, Feature]:
    """The features of a shop that has all tables of the contract, by name; `source` is the table.

    A shop's further columns of customers are not among them: nobody knows their names before.
    """
    shop, span = _Everything(), Span(datetime(2000, 1, 1), max(WINDOWS))
    events, kinds, windows = shop.given("events"), list(browsing.KINDS), WINDOWS
    blocks = (
        attributes.formulas(shop, span, {}),
        visiting.formulas(events, windows, span),
        visiting.formulas(events | {"orders"}, windows, span),
        browsing.formulas(kinds, windows),
        baskets.formulas(events, windows, span),
        buying.formulas(shop.given("orders"), windows, span),
        bought.formulas(kinds, windows),
        mailing.formulas(shop.given("messages"), span),
    )
    return {formula.feature.name: formula.feature for block in blocks for formula in block}
