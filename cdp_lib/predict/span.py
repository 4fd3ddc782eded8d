"""From when on a shop's data speaks: the span that cutoffs must lie in."""

from __future__ import annotations

from datetime import timedelta

from cdp_lib.checks import TooLittleData
from cdp_lib.predict.acts import from_orders
from cdp_lib.tables import Shop
from cdp_lib.windows import Window


def data_span(shop: Shop, event: str = "purchase") -> Window:
    """[first row, as_of) of the table that shows `event`: orders or events.

    Raises Refusal where it has no row.
    """
    table, column = ("orders", "ordered_at") if from_orders(shop, event) else _EVENTS
    first = shop.table(table)[column].min().execute()
    if first is None or first != first:
        raise TooLittleData(
            "as_of", str(shop.as_of), f"no {table} before it", "choose a later as_of"
        )
    first = first.to_pydatetime()
    return Window(first, max(shop.as_of, first + timedelta(seconds=1)))


_EVENTS = ("events", "occurred_at")
