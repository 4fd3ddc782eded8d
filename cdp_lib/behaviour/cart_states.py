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

from cdp_lib.behaviour import cart_sums
from cdp_lib.behaviour.cart_sums import HOUR, STEPS
from cdp_lib.behaviour.cart_walk import REACH, walk
from cdp_lib.checks import above

STATES = ("open", "abandoned", "emptied", "bought", "bought_later")
STOPS = {
    "add_to_cart": "in the cart",
    "view_cart": "viewing the cart",
    "begin_checkout": "starting checkout",
    "account": "creating an account",
    "add_shipping_info": "shipping",
    "add_payment_info": "payment",
    "purchase": "the purchase",
}
RAW = ("reach", "left_reach", "longest_gap", "pieces", "most_pieces", "priced", "n_unpriced")
RAW += ("was_left", "known_last", "known_checkout", *(f"took_{step}" for step in STEPS))
FORCED_ACCOUNT_RATE = 0.9


@dataclass(frozen=True)
class Carts:
    """The carts of a log, what lies in them, and the purchases that belong to none.

    table: a row per cart, see `cart_table`.
    lines: a row per cart and product, see `cart_sums.lines`.
    actions: a row per cart action, see `cart_walk.walk`.
    n_purchases_without_cart: purchases that belong to no cart.
    as_of: exclusive end of the data. idle_hours: the gap that makes a cart left.
    """

    table: Table
    lines: Table
    actions: Table
    steps: tuple[str, ...]
    n_purchases_without_cart: int
    as_of: datetime
    idle_hours: float


def cart_table(journeys: Table, as_of: datetime, idle_hours: float = 24) -> Table:
    """The carts of a log: a row per cart, computed once and kept on the engine.

    In: `Shop.journeys`. Out, a row per cart:
    cart_id; person_id; visitor_id (first one seen); customer_id (null if unknown);
    opened_at, last_activity_at, checkout_at (first begin_checkout), bought_at;
    first_left_at (action before the first gap of `idle_hours`), came_back_at (action after it);
    longest_gap_hours (up to the purchase or the last action), idle_hours (from the last action
    to `as_of`; null once bought or emptied), active_hours (first to last action),
    checkout_hours (begin_checkout to last action);
    state; furthest_step; stop_step (in words, the step not taken; null if bought);
    left_step (furthest by `first_left_at`), left_on_error (its last add_shipping_info by then
    showed an error; null without one);
    n_items (pieces), n_products, value (pieces at the last price seen; null where empty or where
    a price is missing), shipping_cost (last one shown), n_errors, n_actions, n_sessions;
    guest (not logged in at begin_checkout; at the last action where it never began);
    device_type, touchpoint, returning (first ones seen).
    Raises Refusal for idle_hours of 0 or less.
    """
    return read(journeys, as_of, idle_hours).table


def read(journeys: Table, as_of: datetime, idle_hours: float = 24) -> Carts:
    """The carts of a log with their lines; walks the log once and keeps the result.

    In: `Shop.journeys`; `as_of` exclusive. Raises Refusal for idle_hours of 0 or less.
    """
    above("idle_hours", idle_hours, 0)
    actions = walk(journeys.filter(journeys.occurred_at < ibis.literal(as_of))).cache()
    lines = cart_sums.lines(actions).cache()
    carts = cart_sums.carts(actions, lines, as_of, idle_hours).cache()
    steps = _steps(carts)
    alone = actions.filter(_.role == "no_cart")
    runs = alone.select("person_id", run=_.order_id.coalesce(_.session_id)).distinct()
    return Carts(
        table=_named(carts, steps, as_of, idle_hours),
        lines=lines,
        actions=actions,
        steps=steps,
        n_purchases_without_cart=int(runs.count().execute()),
        as_of=as_of,
        idle_hours=idle_hours,
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
    return carts.drop("since", *RAW)
