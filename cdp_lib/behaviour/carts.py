"""One truth of a cart: a row per cart with its state, how far it got, and what lies in it.

Which actions make up a cart is said in `cart_walk`. Its state, for `idle_hours` N:

- `bought`: a purchase, and no gap of N hours or more between two actions before it.
- `bought_later`: a purchase after a gap of N hours or more: it was left, and came back.
- `emptied`: not bought, everything taken out again.
- `abandoned`: none of these, and the last action lies N hours or more before `as_of`.
- `open`: none of these, and the last action lies less than N hours before `as_of`: too early
  to tell.

So a gap of exactly N hours is a leaving. A cart is *left* at the action before its first such
gap, whatever became of it later; `left_step` is how far it had got by then.

How far: add_to_cart, view_cart, begin_checkout, account (signed up or logged in after
begin_checkout, or known already when it began), add_shipping_info, add_payment_info, purchase.
A step that no cart of the log ever takes is not a step. Nor is the account where the shop does
not force it: where more than a tenth of the guests who got further did so without one.
The last action of an abandoned cart says where it stopped, not why.
"""

from dataclasses import dataclass
from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_walk import REACH, walk
from cdp_lib.checks import above

STATES = ("open", "abandoned", "emptied", "bought", "bought_later")
STEPS = (
    "add_to_cart",
    "view_cart",
    "begin_checkout",
    "account",
    "add_shipping_info",
    "add_payment_info",
    "purchase",
)
STOPS = {
    "add_to_cart": "in the cart",
    "view_cart": "viewing the cart",
    "begin_checkout": "starting checkout",
    "account": "creating an account",
    "add_shipping_info": "shipping",
    "add_payment_info": "payment",
    "purchase": "the purchase",
}
TAKEN_BY = {"account": ["sign_up", "login"]}
COLUMNS = (
    "cart_id person_id visitor_id customer_id opened_at last_activity_at bought_at first_left_at "
    "came_back_at longest_gap_hours idle_hours state furthest_step left_step stop_step n_items "
    "n_products value guest device_type touchpoint returning shipping_cost n_errors n_sessions "
    "n_actions checkout_at active_hours checkout_hours"
).split()
FORCED_ACCOUNT_RATE = 0.9
HOUR = 3_600_000_000  # microseconds


@dataclass(frozen=True)
class Carts:
    """The carts of a log, what lies in them, and the purchases that belong to none.

    table: a row per cart, see `cart_table`.
    lines: a row per cart and product: cart_id, product_id, pieces (left in it at its end),
        price_seen (last price shown, one piece), added_at (first add).
    steps: the steps that this log has, in order.
    n_purchases_without_cart: purchases that belong to no cart.
    as_of: exclusive end of the data. idle_hours: the gap that makes a cart left.
    """

    table: Table
    lines: Table
    steps: tuple[str, ...]
    n_purchases_without_cart: int
    as_of: datetime
    idle_hours: float


def cart_table(journeys: Table, as_of: datetime, idle_hours: float = 24) -> Table:
    """The carts of a log: a row per cart, computed once and kept on the engine.

    In: `Shop.journeys`. Out: cart_id, person_id, visitor_id (of the first action), customer_id
    (last one seen), opened_at, last_activity_at, bought_at, first_left_at (action before the
    first gap of `idle_hours`), came_back_at (action after it), longest_gap_hours (up to the
    purchase or the last action), idle_hours (from the last action to `as_of`; null once bought
    or emptied), state, furthest_step, left_step (furthest by `first_left_at`), stop_step (in
    words, the step it did not get past; null if bought), n_items (pieces), n_products, value
    (pieces at the last price seen; null where empty or where a price is missing), guest (not
    logged in at begin_checkout; at the last action where it never began), device_type and
    touchpoint and returning (of the first action), shipping_cost (last one shown), n_errors,
    n_sessions, n_actions, checkout_at (first begin_checkout), active_hours (first to last
    action), checkout_hours (begin_checkout to the last action).
    Raises Refusal for idle_hours of 0 or less.
    """
    return read(journeys, as_of, idle_hours).table


def read(journeys: Table, as_of: datetime, idle_hours: float = 24) -> Carts:
    """The carts of a log with their lines; walks the log once and keeps the result.

    In: `Shop.journeys`; `as_of` exclusive. Raises Refusal for idle_hours of 0 or less.
    """
    above("idle_hours", idle_hours, 0)
    actions = walk(journeys.filter(journeys.occurred_at < ibis.literal(as_of))).cache()
    lines = _lines(actions).cache()
    carts = _summed(_gaps(actions, as_of, idle_hours), lines).cache()
    steps = _steps(carts)
    alone = actions.filter(_.role == "no_cart")
    runs = alone.select("person_id", run=_.order_id.coalesce(_.session_id)).distinct()
    return Carts(
        table=_named(carts, steps, as_of, idle_hours),
        lines=lines,
        steps=steps,
        n_purchases_without_cart=int(runs.count().execute()),
        as_of=as_of,
        idle_hours=idle_hours,
    )


def _lines(actions: Table) -> Table:
    rows = actions.filter((_.role == "cart") & _.product_id.notnull())
    return (
        rows.group_by("cart_id", "product_id")
        .agg(
            pieces=_.held.argmax(_.position),
            price_seen=_.price.argmax(_.position, where=_.price.notnull()),
            added_at=_.occurred_at.min(where=_.event == "add_to_cart"),
            n_moves=_.event.isin(["add_to_cart", "remove_from_cart"]).sum(),
        )
        .filter(_.n_moves > 0)
        .drop("n_moves")
    )


def _gaps(actions: Table, as_of: datetime, idle_hours: float) -> Table:
    """Cart actions with the microseconds to the next one, and whether the cart was left there."""
    rows = actions.filter(_.role == "cart")
    cart = ibis.window(group_by="cart_id", order_by="position")
    rows = rows.mutate(next_at=_.occurred_at.lead().over(cart))
    rows = rows.mutate(
        gap=_.next_at.delta(_.occurred_at, unit="microsecond"),
        until_end=ibis.literal(as_of).delta(rows.occurred_at, unit="microsecond"),
    )
    # Nobody leaves an empty cart, unless it never showed what was in it.
    whole = ibis.window(group_by="cart_id")
    filled = (_.total > 0) | (_.total.max().over(whole) == 0)
    idle = ibis.ifelse(filled, _.gap.coalesce(_.until_end), _.gap.coalesce(0))
    left = (idle >= round(idle_hours * HOUR)) & (_.event != "purchase")
    rows = rows.mutate(left=left)
    left_at = ibis.ifelse(_.left, _.position, ibis.null("int64"))
    return rows.mutate(left_position=left_at.min().over(whole))


def _summed(rows: Table, lines: Table) -> Table:
    def first(column):
        return column.argmin(_.position, where=column.notnull())

    begun = _.event == "begin_checkout"
    carts = rows.group_by("cart_id").agg(
        person_id=_.person_id.argmax(_.position, where=_.known).coalesce(
            _.person_id.argmax(_.position)
        ),
        visitor_id=_.visitor_id.argmin(_.position),
        customer_id=_.customer_id.argmax(_.position, where=_.customer_id.notnull()),
        opened_at=_.occurred_at.min(),
        last_activity_at=_.occurred_at.max(),
        bought_at=_.occurred_at.min(where=_.event == "purchase"),
        first_left_at=_.occurred_at.min(where=_.position == _.left_position),
        came_back_at=_.occurred_at.min(where=_.position > _.left_position),
        longest_gap=_.gap.max(),
        was_left=_.left.any(),
        reach=_.reach.max(),
        left_reach=_.reach.max(where=_.position <= _.left_position),
        pieces=_.total.argmax(_.position),
        most_pieces=_.total.max(),
        known_last=_.known.argmax(_.position),
        known_checkout=_.known.argmin(_.position, where=begun),
        device_type=first(_.device_type),
        touchpoint=first(_.touchpoint),
        returning=first(_.returning),
        shipping_cost=_.shipping_cost.argmax(_.position, where=_.shipping_cost.notnull()),
        n_errors=_.error.notnull().sum(),
        n_sessions=_.session_id.nunique(),
        n_actions=_.count(),
        checkout_at=_.occurred_at.min(where=begun),
        **{f"took_{step}": _.event.isin(TAKEN_BY.get(step, [step])).any() for step in STEPS},
    )
    left_in = (
        lines.filter(_.pieces > 0)
        .group_by("cart_id")
        .agg(
            n_products=_.count(),
            priced=(_.pieces * _.price_seen).sum(),
            n_unpriced=_.price_seen.isnull().sum(),
        )
    )
    carts = carts.left_join(left_in, "cart_id").drop("cart_id_right")
    return carts.mutate(
        guest=~_.known_checkout.coalesce(_.known_last),
        n_products=_.n_products.coalesce(0),
        value=ibis.ifelse(_.n_unpriced == 0, _.priced.cast("float64"), ibis.null("float64")),
    )


def _steps(carts: Table) -> tuple[str, ...]:
    """The steps that some cart of the log takes."""
    further = _.guest & (_.reach >= REACH["add_shipping_info"])
    taken = carts.agg(
        **{step: carts[f"took_{step}"].any() for step in STEPS},
        n_further=further.sum(),
        n_further_with_account=(further & _.took_account).sum(),
    )
    taken = taken.execute().iloc[0].fillna(0)
    forced = taken.n_further_with_account >= FORCED_ACCOUNT_RATE * taken.n_further
    always = {"add_to_cart", "purchase"}
    return tuple(
        step
        for step in STEPS
        if step in always or (bool(taken[step]) and (step != "account" or forced))
    )


def _named(carts: Table, steps: tuple[str, ...], as_of: datetime, idle_hours: float) -> Table:
    """Say state and steps in words, in the columns that `cart_table` promises."""
    since = ibis.literal(as_of).delta(carts.last_activity_at, unit="microsecond") / HOUR
    longest = _.longest_gap / HOUR
    state = ibis.cases(
        (_.bought_at.notnull() & _.was_left, "bought_later"),
        (_.bought_at.notnull(), "bought"),
        ((_.pieces == 0) & (_.most_pieces > 0), "emptied"),
        (since >= idle_hours, "abandoned"),
        else_="open",
    )
    far = {
        reach: max(i for i, s in enumerate(steps) if STEPS.index(s) < reach)
        for reach in range(1, 8)
    }
    words = {r: STOPS[steps[i + 1]] for r, i in far.items() if i + 1 < len(steps)}

    def furthest(reach):
        return reach.cases(*[(r, steps[i]) for r, i in far.items()])

    carts = carts.mutate(
        state=state,
        furthest_step=furthest(_.reach),
        left_step=furthest(_.left_reach),
        stop_step=_.reach.cases(*words.items()),
        longest_gap_hours=longest,
        n_items=_.pieces,
        active_hours=_.last_activity_at.delta(_.opened_at, unit="microsecond") / HOUR,
        checkout_hours=_.last_activity_at.delta(_.checkout_at, unit="microsecond") / HOUR,
        since=since,
    )
    closed = carts.state.isin(["bought", "bought_later", "emptied"])
    carts = carts.mutate(idle_hours=ibis.ifelse(closed, ibis.null("float64"), carts.since))
    return carts.select(*COLUMNS)
