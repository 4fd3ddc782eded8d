"""What the actions of a cart add up to: its lines, its gaps in time, and what it was seen with."""

from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

HOUR = 3_600_000_000  # microseconds
STEPS = (
    "add_to_cart",
    "view_cart",
    "begin_checkout",
    "account",
    "add_shipping_info",
    "add_payment_info",
    "purchase",
)
TAKEN_BY = {"account": ["sign_up", "login"]}


def lines(actions: Table) -> Table:
    """What lies in each cart.

    In: the cart actions of `cart_walk.walk`. Out: a row per cart and product that was put in or
    taken out: cart_id, product_id, pieces (left at the cart's end), price_seen (of one piece, the
    last one shown as it was put in or taken out), added_at (first add).
    """
    moves = _.event.isin(["add_to_cart", "remove_from_cart"])
    rows = actions.filter((_.role == "cart") & moves)
    return rows.group_by("cart_id", "product_id").agg(
        pieces=_.held.argmax(_.position),
        price_seen=_last(_.price),
        added_at=_.occurred_at.min(where=_.event == "add_to_cart"),
    )


def carts(actions: Table, lines: Table, as_of: datetime, idle_hours: float) -> Table:
    """A row per cart: its instants, gaps, reach, contents and surroundings, in raw form."""
    rows = actions.filter(_.role == "cart")
    contents = (
        lines.filter(_.pieces > 0)
        .group_by("cart_id")
        .agg(
            n_products=_.count(),
            n_unpriced=_.price_seen.isnull().sum(),
            priced=(_.pieces * _.price_seen).sum().cast("float64"),
        )
    )
    table = _gaps(actions, as_of, idle_hours).join(_surroundings(rows), "cart_id")
    table = table.left_join(contents, "cart_id").drop("cart_id_right")
    return table.mutate(
        customer_id=customer_of(table.person_id),
        guest=~_.known_checkout.coalesce(_.known_last),
        n_products=_.n_products.coalesce(0),
        value=ibis.ifelse(_.n_unpriced == 0, _.priced, ibis.null("float64")),
    )


def pauses(actions: Table, as_of: datetime) -> Table:
    """Cart actions with how long nothing followed them, in microseconds.

    Adds gap (to the next action; null at the last) and idle (to the next action or to `as_of`; 0
    at a purchase and at the emptying that ends a cart, for nobody leaves an empty cart).
    """
    rows = actions.filter(_.role == "cart")
    cart = ibis.window(group_by="cart_id", order_by="position")
    whole = ibis.window(group_by="cart_id")
    rows = rows.mutate(
        next_at=_.occurred_at.lead().over(cart), most_pieces=_.total.max().over(whole)
    )
    rows = rows.mutate(
        gap=_.next_at.delta(_.occurred_at, unit="microsecond"),
        until_end=ibis.literal(as_of).delta(rows.occurred_at, unit="microsecond"),
    )
    # A cart that never showed what was in it may still be left.
    over = (_.event == "purchase") | ((_.total == 0) & (_.most_pieces > 0))
    return rows.mutate(idle=_.gap.coalesce(ibis.ifelse(over, 0, _.until_end)))


def _gaps(actions: Table, as_of: datetime, idle_hours: float) -> Table:
    whole = ibis.window(group_by="cart_id")
    rows = pauses(actions, as_of).mutate(left=_.idle >= round(idle_hours * HOUR))
    left_at = ibis.ifelse(_.left, _.position, ibis.null("int64"))
    rows = rows.mutate(left_position=left_at.min().over(whole))
    return rows.group_by("cart_id").agg(
        opened_at=_.occurred_at.min(),
        last_activity_at=_.occurred_at.max(),
        bought_at=_.occurred_at.min(where=_.event == "purchase"),
        first_left_at=_.occurred_at.min(where=_.position == _.left_position),
        came_back_at=_.occurred_at.min(where=_.position > _.left_position),
        longest_gap=_.gap.max(),
        was_left=_.left.any(),
        reach=_.reach.max(),
        left_reach=_.reach.max(where=_.position <= _.left_position),
        left_on_error=_.error.notnull().argmax(
            _.position, where=(_.position <= _.left_position) & (_.event == "add_shipping_info")
        ),
        pieces=_.total.argmax(_.position),
        most_pieces=_.total.max(),
        n_actions=_.count(),
    )


def _surroundings(rows: Table) -> Table:
    begun = _.event == "begin_checkout"
    known_person = _.person_id.argmax(_.position, where=_.known)
    return rows.group_by("cart_id").agg(
        person_id=known_person.coalesce(_.person_id.argmax(_.position)),
        visitor_id=_first(_.visitor_id),
        known_last=_.known.argmax(_.position),
        known_checkout=_.known.argmin(_.position, where=begun),
        device_type=_first(_.device_type),
        touchpoint=_first(_.touchpoint),
        returning=_first(_.returning),
        shipping_cost=_last(_.shipping_cost),
        n_errors=_.error.notnull().sum(),
        n_sessions=_.session_id.nunique(),
        checkout_at=_.occurred_at.min(where=begun),
        **{f"took_{step}": _.event.isin(TAKEN_BY.get(step, [step])).any() for step in STEPS},
    )


def customer_of(person):
    """The customer that a person is known to be: "c:17" is customer 17, "v:4" nobody known."""
    return ibis.ifelse(person.startswith("c:"), person[2:], ibis.null("string"))


def _first(column):
    return column.argmin(_.position, where=column.notnull())


def _last(column):
    return column.argmax(_.position, where=column.notnull())
