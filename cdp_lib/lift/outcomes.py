"""What became of the units of a shop's own experiments: one row a unit, made on the engine.

The outcome window of a unit is [assigned_at, assigned_at + window_days), the period before it is
[assigned_at - before_days, assigned_at). Only units whose window is over are read; when a unit was
drawn does not depend on its arm, so that leaves the comparison fair.
"""

from __future__ import annotations

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import above, at_least
from cdp_lib.lift.experiment import ATTRIBUTION_DAYS, BEFORE_DAYS, WINDOW_DAYS
from cdp_lib.tables import Shop, identity

KEY = ["experiment_id", "unit_id"]
COVARIATES = ("revenue_before", "n_orders_before")


def unit_table(
    shop: Shop,
    drawn: Table,
    window_days: float = WINDOW_DAYS,
    before_days: float = BEFORE_DAYS,
    attribution_days: float = ATTRIBUTION_DAYS,
    deliveries: Table | None = None,
) -> Table:
    """The outcomes of every unit whose window is over, kept by the engine.

    In: drawn, a row per experiment and unit with experiment_id, unit_id (a customer), arm and
    assigned_at; deliveries, a row per unit reached with experiment_id, unit_id, delivered_at,
    beside the shop's messages whose campaign_id is the experiment. Out: a row per experiment and
    unit: those columns and

    - converted (0 or 1), n_orders, revenue, margin: of the window, money net of returns; margin
      where costs are known, else null. n_returned: pieces given back
    - opted_out, removed_app (0 or 1), n_support: in the window
    - revenue_before, n_orders_before, margin_before: in the days before
    - customer: "existing" where an order came before the assignment, else "new"; known: the unit
      is a customer of the shop
    - exposed (0 or 1): a message reached the unit; early: it did before the assignment
    - attributed: revenue of orders within `attribution_days` after the first click, in the window
    """
    above("window_days", window_days, 0)
    at_least("before_days", before_days, 0)
    end = _after("assigned_at", window_days)
    rows = drawn.select(*KEY, "arm", assigned_at=drawn.assigned_at.cast("timestamp"))
    rows = rows.filter(end(rows) <= ibis.literal(shop.as_of)).cache()
    parts = [_orders(shop, rows, window_days, before_days)]
    parts += [_returns(shop, rows, window_days), _acts(shop, rows, window_days)]
    parts.append(_reached(shop, rows, window_days, attribution_days, deliveries))
    table = rows
    for part in parts:
        # A kept row may say its time's precision, a derived one not: keys are texts alone.
        table = table.left_join(part, KEY).select(
            *table.columns, *[name for name in part.columns if name not in KEY]
        )
    first = shop.orders.group_by("customer_id").aggregate(first__=_.ordered_at.min())
    table = table.left_join(first, table.unit_id == first.customer_id)
    table = table.mutate(
        customer=ibis.ifelse(
            (table.first__ < table.assigned_at).fill_null(False), "existing", "new"
        )
    ).drop("first__", "customer_id")
    filled = {
        name: table[name].fill_null(0)
        for name in table.columns
        if table[name].type().is_numeric() and not name.startswith("margin")
    }
    if "cost" in shop.given("orders"):
        filled |= {name: table[name].fill_null(0) for name in ("margin", "margin_before")}
    return _known(shop, table.mutate(**filled)).cache()


def _after(column: str, days: float):
    span = ibis.interval(seconds=round(days * 86_400))
    return lambda table: table[column] + span


def _orders(shop: Shop, rows: Table, window_days: float, before_days: float) -> Table:
    orders = shop.orders.select("customer_id", "ordered_at", "revenue", "cost")
    joined = rows.join(orders, rows.unit_id == orders.customer_id)
    since = joined.assigned_at - ibis.interval(seconds=round(before_days * 86_400))
    joined = joined.filter(
        joined.ordered_at >= since, joined.ordered_at < _after("assigned_at", window_days)(joined)
    )
    after = joined.ordered_at >= joined.assigned_at
    # A return is an order of negative revenue: money, but no order.
    sale = (joined.revenue > 0).cast("int64")
    margin = joined.revenue - joined.cost
    return joined.group_by(KEY).aggregate(
        converted=(after.cast("int64") * sale).max(),
        n_orders=(after.cast("int64") * sale).sum(),
        revenue=joined.revenue.sum(where=after),
        margin=margin.sum(where=after),
        n_orders_before=((~after).cast("int64") * sale).sum(),
        revenue_before=joined.revenue.sum(where=~after),
        margin_before=margin.sum(where=~after),
    )


def _returns(shop: Shop, rows: Table, window_days: float) -> Table:
    if not shop.has("order_lines"):
        return rows.select(*KEY).limit(0).mutate(n_returned=ibis.literal(0))
    lines = shop.order_lines.filter(_.quantity < 0).select("order_id", "quantity")
    orders = shop.orders.select("order_id", "customer_id", "ordered_at")
    given = lines.join(orders, "order_id").select("customer_id", "ordered_at", "quantity")
    joined = _inside(rows, given, "ordered_at", window_days)
    return joined.group_by(KEY).aggregate(n_returned=(-joined.quantity).sum())


def _acts(shop: Shop, rows: Table, window_days: float) -> Table:
    """Opt-outs, app removals and contacts with support, from the events and the messages."""
    found = []
    if shop.has("events"):
        wanted = shop.visits.filter(_.event.isin(["push_off", "app_remove", "contact_support"]))
        wanted = wanted.select(*identity.VISIT, "customer_id", "event", "occurred_at")
        events = identity.owned(wanted, shop.ties)
        found.append(events.select(customer_id="owner_id", act="event", at="occurred_at"))
    if shop.has("messages"):
        left = shop.messages.filter(_.unsubscribed_at.notnull())
        found.append(left.select("customer_id", act=ibis.literal("push_off"), at="unsubscribed_at"))
    empty = rows.select(*KEY).limit(0)
    zero = ibis.literal(0, "int64")
    if not found:
        return empty.mutate(opted_out=zero, removed_app=zero, n_support=zero)
    acts = ibis.union(*[one.mutate(at=one.at.cast("timestamp")) for one in found]) if len(
        found
    ) > 1 else found[0]  # fmt: skip
    joined = _inside(rows, acts, "at", window_days)
    return joined.group_by(KEY).aggregate(
        opted_out=(joined.act == "push_off").cast("int64").max(),
        removed_app=(joined.act == "app_remove").cast("int64").max(),
        n_support=(joined.act == "contact_support").cast("int64").sum(),
    )


def _reached(
    shop: Shop, rows: Table, window_days: float, attribution_days: float, deliveries: Table | None
) -> Table:
    """Whom a message reached, when first, and the money that a last-click count would claim."""
    zero, none = ibis.literal(0, "int64"), ibis.literal(0.0)
    parts, clicks = [], None
    if deliveries is not None:
        parts.append(deliveries.select(*KEY, at=deliveries.delivered_at.cast("timestamp")))
    if shop.has("messages"):
        sent = shop.messages.filter(_.delivered_at.notnull()).select(
            experiment_id="campaign_id", unit_id="customer_id", at=_.delivered_at.cast("timestamp"),
            clicked_at=_.clicked_at.cast("timestamp"),
        )  # fmt: skip
        parts.append(sent.drop("clicked_at"))
        clicks = sent.filter(sent.clicked_at.notnull()).group_by(KEY).aggregate(
            clicked_at=_.clicked_at.min()
        )  # fmt: skip
    if not parts:
        return rows.select(*KEY).limit(0).mutate(exposed=zero, early=zero, attributed=none)
    sent = parts[0] if len(parts) == 1 else ibis.union(*parts)
    sent = sent.group_by(KEY).aggregate(at=_.at.min())
    met = rows.join(sent, KEY)
    met = met.filter(met.at < _after("assigned_at", window_days)(met))
    reached = met.select(
        *KEY, exposed=ibis.literal(1, "int64"), early=(met.at < met.assigned_at).cast("int64")
    )
    if clicks is None:
        return reached.mutate(attributed=none)
    orders = shop.orders.select("customer_id", "ordered_at", "revenue")
    bought = rows.join(clicks, KEY)
    bought = bought.join(orders, bought.unit_id == orders.customer_id)
    bought = bought.filter(
        bought.revenue > 0,
        bought.ordered_at >= bought.clicked_at,
        bought.ordered_at < _after("clicked_at", attribution_days)(bought),
        bought.ordered_at < _after("assigned_at", window_days)(bought),
    )
    claimed = bought.group_by(KEY).aggregate(attributed=_.revenue.sum())
    joined = reached.left_join(claimed, KEY)
    return joined.select(*reached.columns, attributed=joined.attributed.fill_null(0.0))


def _inside(rows: Table, other: Table, at: str, window_days: float) -> Table:
    joined = rows.join(other, rows.unit_id == other.customer_id)
    return joined.filter(
        joined[at] >= joined.assigned_at,
        joined[at] < _after("assigned_at", window_days)(joined),
    )


def _known(shop: Shop, table: Table) -> Table:
    if not shop.has("customers"):
        return table.mutate(known=ibis.literal(1, "int64"))
    ids = shop.customers.select(known_id="customer_id").distinct()
    joined = table.left_join(ids, table.unit_id == ids.known_id)
    return joined.mutate(known=joined.known_id.notnull().cast("int64")).drop("known_id")
