"""Who did what and when: the rows of a log that count as an event, each with its customer.

- "purchase" is an order whose revenue is not negative (a return is no purchase); where the shop
  has no orders it is a purchase event. "use_coupon" is a purchase with a discount above 0.
  "visit" is any event but app_remove and push_off. Any other name is an event of the log.
- A row belongs to the customer it names, or that `identity.stitch` finds by what was seen before
  `end`. A login after `end` changes nothing, so a window that is over reads the same when the log
  has grown.
"""

from __future__ import annotations

from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData, one_of
from cdp_lib.tables import EVENTS, Shop, identity
from cdp_lib.tables.purchases import of_customers

NO_VISIT = ("app_remove", "push_off")
OF_ORDERS = ("purchase", "use_coupon")
APP_SIGNS = ("app_open", "push_on")


def check_event(shop: Shop, event: str) -> None:
    """Refuse an event that this shop cannot show, naming those it can."""
    if from_orders(shop, event):
        if event == "use_coupon" and "discount" not in shop.given("orders"):
            raise TooLittleData(
                "event", event, "the orders have no discount", "map orders.discount in shop.toml"
            )
        return
    if event == "use_coupon":
        raise TooLittleData(
            "event", event, "the shop has no orders", "add [tables.orders] to shop.toml"
        )
    shop.require("events")
    if event not in (*EVENTS, "visit"):
        seen = shop.events.select("event").distinct().execute()["event"].tolist()
        one_of("event", event, sorted({*seen, *OF_ORDERS, "visit"}))


def from_orders(shop: Shop, event: str) -> bool:
    """Whether the rows of this event are orders."""
    return event in OF_ORDERS and shop.has("orders")


def acts(shop: Shop, event: str, start: datetime | None, end: datetime) -> Table:
    """Every time a customer did `event` in [start, end); `start` None means from the first row.

    Out: `customer_id` (never null), `at` (naive UTC). A row per order or event.
    """
    if from_orders(shop, event):
        bought = of_customers(shop.orders).filter(*_within(_.ordered_at, start, end))
        if event == "use_coupon":
            bought = bought.filter(_.discount > 0)
        return bought.select("customer_id", at="ordered_at")
    rows = shop.visits.filter(*_within(shop.visits.occurred_at, start, end))
    rows = rows.filter(_.event.notin(NO_VISIT) if event == "visit" else _.event == event)
    return owned(shop, rows, end)


def owned(shop: Shop, rows: Table, end: datetime) -> Table:
    """Rows of `shop.visits` with their customer as known at `end`: `customer_id`, `at`; rows of
    nobody are left out."""
    mine = identity.owned(rows, shop.ties.before(end))
    return mine.select(customer_id="owner_id", at="occurred_at")


def app_holders(shop: Shop, start: datetime, cutoff: datetime) -> Table:
    """Customers with the app at the cutoff: `customer_id`.

    They showed a sign of it (a row with an app version, app_open or push_on) in [start, cutoff)
    and later than their latest app_remove before the cutoff.
    """
    rows = shop.visits.filter(*_within(shop.visits.occurred_at, start, cutoff))
    sign = rows.event.isin(APP_SIGNS)
    if "app_version" in rows.columns:
        sign |= rows.app_version.notnull() & (rows.event != "app_remove")
    signs = owned(shop, rows.filter(sign), cutoff)
    removals = acts(shop, "app_remove", None, cutoff)
    shown = signs.group_by("customer_id").aggregate(shown=_.at.max())
    gone = removals.group_by("customer_id").aggregate(gone=_.at.max())
    both = shown.left_join(gone, "customer_id")
    return both.filter(both.gone.isnull() | (both.shown > both.gone)).select("customer_id")


def _within(column, start: datetime | None, end: datetime) -> list:
    before = column < ibis.literal(end)
    return [before] if start is None else [column >= ibis.literal(start), before]
