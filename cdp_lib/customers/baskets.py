"""Features of carts: how many, how many were left, what lies in them, and how far they got.

A cart here is what was added under one cart id, or in one visit where there is none, within the
span. It is bought when a purchase stands under the same id (or in the same visit). A cart that
is not bought is left when nothing was done with it for the shop's idle hours, else still open.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers.actions import owned
from cdp_lib.customers.ages import HOUR, Span, amount, money, total
from cdp_lib.customers.features import Formula, about, share
from cdp_lib.customers.part import Part
from cdp_lib.tables import Shop, identity

STEPS = {
    "add_to_cart": 1, "remove_from_cart": 1, "view_cart": 2, "begin_checkout": 3,
    "add_shipping_info": 4, "add_payment_info": 5, "purchase": 6,
}  # fmt: skip


def formulas(given: Collection[str], windows: Sequence[int], span: Span) -> list[Formula]:
    """The features of this block for a shop whose events have the columns `given`."""
    write, longest = about("carts", "events"), max(windows)
    written = []
    for w in windows[1:]:
        written += [
            write(f"carts_{w}d", f"carts of the last {w} days", "count"),
            write(f"carts_left_{w}d", f"carts of the last {w} days left unbought", "count"),
        ]
    written += [
        write(
            "carts_left_share", f"share of the carts of the last {longest} days left unbought",
            "share", share(_[f"carts_left_{longest}d"], _[f"carts_{longest}d"]),
        ),
        write("days_since_left_cart", "days since the last cart left unbought was touched", "days",
              span.days(_.last_left)),
        write("open_carts", "carts that are still open", "count"),
        about("funnel", "events")(
            "left_cart_depth",
            "how far the carts left unbought got, on average: 1 filled, 2 seen, 3 checkout, "
            "4 shipping, 5 payment",
            "number", share(_.left_depth, _[f"carts_left_{longest}d"]),
        ),
    ]  # fmt: skip
    if "price" in given:
        written += [
            write("left_cart_value", "worth of a cart left unbought, on average", "money",
                  amount(_.left_value) / _[f"carts_left_{longest}d"].nullif(0)),
            write("open_cart_value", "worth of the carts that are still open", "money",
                  amount(_.open_value)),
        ]  # fmt: skip
    if "shipping_cost" in given:
        written.append(
            write("left_for_shipping_share", "share of carts left unbought that showed a shipping "
                  "cost", "share", share(_.left_shipping, _[f"carts_left_{longest}d"]))
        )  # fmt: skip
    return written


def carts(shop: Shop, span: Span) -> Table:
    """The carts of the span.

    Out: a row per customer and cart: `owner_id`; `cart_id`, or else the visit; `last_us` (when it
    was touched), `depth`, `value` (millionths, of what was added less what was taken out),
    `showed_shipping`, `state` ("bought", "left", "open").
    """
    rows = owned(shop, span, ("price", "quantity", "cart_id", "shipping_cost"), list(STEPS))
    cart = {name: rows[name] for name in identity.VISIT}
    if "cart_id" in rows.columns:
        nameless = {name: ibis.ifelse(rows.cart_id.isnull(), of, None) for name, of in cart.items()}
        cart = {"cart_id": rows.cart_id, **nameless}
    pieces = rows.quantity.coalesce(1) if "quantity" in rows.columns else ibis.literal(1)
    signs = rows.event.cases(("add_to_cart", 1), ("remove_from_cart", -1), else_=0).cast("int64")
    sums = {
        "last_us": rows.us.max(),
        "depth": rows.event.cases(*STEPS.items(), else_=0).cast("int64").max(),
        "n_added": rows.count(where=rows.event == "add_to_cart"),
    }
    if "price" in rows.columns:
        sums["value"] = total(money(rows.price) * pieces * signs).coalesce(0)
    if "shipping_cost" in rows.columns:
        sums["showed_shipping"] = (rows.shipping_cost > 0).cast("int64").max().coalesce(0)
    table = rows.group_by(owner_id=rows.owner_id, **cart).aggregate(**sums)
    idle = span.age_us(table.last_us) >= round(shop.settings.idle_hours * HOUR)
    state = ibis.cases((table.depth == 6, "bought"), (idle, "left"), else_="open")
    return table.filter(table.n_added > 0).mutate(state=state)


def sums(shop: Part, windows: Sequence[int], span: Span) -> Table:
    """The carts of the span summed up by `customer_id`, for `formulas`."""
    table = carts(shop, span)
    left, still_open = table.state == "left", table.state == "open"
    sums = {}
    for w in windows:
        inside = span.last(table.last_us, w)
        sums[f"carts_{w}d"] = table.count(where=inside)
        sums[f"carts_left_{w}d"] = table.count(where=inside & left)
    in_sight = left & span.last(table.last_us, max(windows))
    sums["last_left"] = table.last_us.max(where=left)
    sums["left_depth"] = total(table.depth, in_sight)
    sums["open_carts"] = table.count(where=still_open)
    if "value" in table.columns:
        sums["left_value"] = total(table.value, in_sight)
        sums["open_value"] = total(table.value, still_open)
    if "showed_shipping" in table.columns:
        sums["left_shipping"] = total(table.showed_shipping, in_sight)
    return table.group_by("owner_id").aggregate(**sums).rename(customer_id="owner_id")
