"""Which cart an event belongs to: one truth, in words and then in one expression.

A row is a cart action when its event is one of `ACTIONS`. Rows are read per cart id, or per
person where there is none, in order of time. Rows at one instant are read in the order of
`ACTIONS` (an add comes before a purchase), then by event id and product id.

- **Given cart.** All actions with one `cart_id` are one cart, whoever made them. An action
  without a cart id takes the id last seen before it in its session.
- **Derived cart.** Where that finds none, a cart begins with a person's first add_to_cart and
  goes on, over any number of sessions, until it is bought or emptied. The next add begins
  a new one. What comes before the first add, or after the end, is in no cart.
- **Pieces.** A missing quantity is one piece. Taking out more than is in the cart takes out
  what is in it; taking out a product that is not in the cart does nothing.
- **Emptied.** No piece of any product is left. A given cart that is filled again goes on.
- **Bought.** The first purchase ends a cart. Purchase rows that follow with the same order
  (or, without an order id, in the same session) are further lines of that purchase. An add
  after it begins the next cart, also under the same cart id; that one is named `id#2`.
- **Sign up, log in.** They belong to the cart when they follow its begin_checkout in the same
  session. Other ones are no cart action.
- **Bought with no cart.** A purchase that belongs to no cart is counted apart, never lost.
"""

import ibis
from ibis import _
from ibis.expr.types import Table

ACTIONS = (
    "add_to_cart",
    "remove_from_cart",
    "view_cart",
    "begin_checkout",
    "sign_up",
    "login",
    "add_shipping_info",
    "add_payment_info",
    "purchase",
)
KEPT = (
    *("event", "occurred_at", "visitor_id", "session_id"),
    *("product_id", "price", "order_id", "shipping_cost", "error"),
    *("device_type", "touchpoint", "known", "returning"),
)
# How far an action gets in the checkout; a known person has no account step left to take.
REACH = {
    "add_to_cart": 1,
    "remove_from_cart": 1,
    "view_cart": 2,
    "begin_checkout": 3,
    "sign_up": 4,
    "login": 4,
    "add_shipping_info": 5,
    "add_payment_info": 6,
    "purchase": 7,
}


def walk(journeys: Table) -> Table:
    """Every cart action of a log, with the cart it belongs to.

    In: `Shop.journeys` (events in contract form with session_id, person_id, known, returning).
    Out: a row per cart action: `cart_id` (null for a purchase with no cart), `role` ("cart" for
    an action of the cart, "line" for a further line of its purchase, "no_cart" for a purchase
    in no cart), `position` (order within the cart), `held` (pieces of the row's product in the
    cart after the row), `total` (pieces in the cart after the row), `reach` (1 to 7, how far
    the action gets in the checkout), and the columns of the log.
    """
    rows = _ordered(journeys).cache()
    # A sort costs what its rows weigh: the windows see only the columns that they need.
    numbered = _numbered(_pieces(_keyed(rows)))
    row = ["person_id", "nth"]
    said = rows.select(*row, "event", "session_id", "order_id", "known")
    placed = _account_steps(_placed(numbered.join(said, row)))
    return placed.join(rows.select(*row, *KEPT), row).drop("nth")


def _running(*group: str, of: str = "position"):
    return ibis.cumulative_window(group_by=list(group), order_by=of)


def _ordered(journeys: Table) -> Table:
    """Cart actions, each with its number in its person's history."""
    rows = journeys.filter(_.event.isin(ACTIONS)).mutate(
        rank=_.event.cases(*[(event, rank) for rank, event in enumerate(ACTIONS)]).cast("int64"),
        event_key=_.event_id.coalesce(""),
        product_key=_.product_id.coalesce(""),
    )
    order = ["occurred_at", "rank", "event_key", "product_key"]
    person = ibis.window(group_by="person_id", order_by=order)
    return rows.mutate(nth=ibis.row_number().over(person))


def _keyed(rows: Table) -> Table:
    """The slim rows, each with the cart id or the person whose rows it is read among."""
    pieces = ibis.greatest(_.quantity.coalesce(1), 0)
    rows = rows.select(
        *("person_id", "nth", "session_id", "occurred_at", "rank", "product_id", "cart_id"),
        is_add=(_.event == "add_to_cart").cast("int64"),
        is_purchase=(_.event == "purchase").cast("int64"),
        change=ibis.cases(
            (_.event == "add_to_cart", pieces), (_.event == "remove_from_cart", -pieces), else_=0
        ),
    )
    # The cart id last seen: rows after the k-th id share k, and each k has one id.
    session = ["person_id", "session_id"]
    n_ids = _.cart_id.notnull().cast("int64").sum().over(_running(*session, of="nth"))
    rows = rows.mutate(n_ids=n_ids)
    seen = _.cart_id.max().over(ibis.window(group_by=[*session, "n_ids"]))
    rows = rows.mutate(given=_.cart_id.coalesce(seen))
    own, derived = ibis.literal("i:") + rows.given, ibis.literal("p:") + rows.person_id
    rows = rows.mutate(key=own.coalesce(derived))
    order = ["occurred_at", "rank", "person_id", "nth"]
    place = ibis.row_number().over(ibis.window(group_by="key", order_by=order))
    return rows.select(
        *("person_id", "nth", "key", "product_id", "is_add", "is_purchase", "change"),
        is_given=_.given.notnull(),
        position=place,
    )


def _pieces(rows: Table) -> Table:
    """Pieces in the cart, counted anew after each purchase."""
    n_bought = _.is_purchase.sum().over(_running("key")) - _.is_purchase
    rows = rows.mutate(n_bought=n_bought)
    # An epoch reaches from the first add after a purchase to just before the next such add.
    began = ibis.ifelse(_.is_add == 1, _.n_bought, ibis.null("int64"))
    rows = rows.mutate(epoch=began.max().over(_running("key")).coalesce(0))
    product = ["key", "epoch", "product_id"]
    rows = rows.mutate(drawn=_.change.sum().over(_running(*product)))
    # A sum that may not fall below zero is the sum less its lowest point so far, if negative.
    rows = rows.mutate(held=_.drawn - ibis.least(_.drawn.min().over(_running(*product)), 0))
    before = _.held.lag().over(ibis.window(group_by=product, order_by="position"))
    rows = rows.mutate(moved=_.held - before.coalesce(0))
    return rows.mutate(total=_.moved.sum().over(_running("key", "epoch")))


def _numbered(rows: Table) -> Table:
    last_epoch = _.epoch.lag().over(ibis.window(group_by="key", order_by="position"))
    new_epoch = last_epoch.isnull() | (last_epoch != _.epoch)
    empty_before = (_.total - _.moved) == 0
    opens = ibis.ifelse(_.is_given, new_epoch, (_.is_add == 1) & empty_before)
    rows = rows.mutate(opens=opens.cast("int64"), filled=~empty_before)
    open_cart = (_.n_bought == _.epoch) & (_.is_given | _.filled | (_.opens == 1))
    return rows.select(
        *("person_id", "nth", "key", "position", "is_given", "is_purchase", "held", "total"),
        number=_.opens.sum().over(_running("key")),
        in_cart=open_cart,
    )


def _placed(rows: Table) -> Table:
    """Keep cart actions and purchases, and say which purchases are lines of a cart's purchase."""
    cart = ibis.window(group_by=["key", "number"])
    rows = rows.mutate(run=_.order_id.coalesce(_.session_id))
    bought_by = ibis.ifelse(_.in_cart & (_.is_purchase == 1), _.run, ibis.null("string"))
    rows = rows.mutate(bought_run=bought_by.max().over(cart))
    role = ibis.cases(
        (_.in_cart, "cart"),
        ((_.is_purchase == 1) & (_.run == _.bought_run), "line"),
        (_.is_purchase == 1, "no_cart"),
        else_=ibis.null("string"),
    )
    rows = rows.mutate(role=role).filter(_.role.notnull())
    nth_cart = ibis.literal("#") + rows.number.cast("string")
    # A key is two letters and then the cart id or the person.
    name = ibis.ifelse(_.is_given & (_.number <= 1), _.key[2:], _.key[2:] + nth_cart)
    return rows.mutate(cart_id=ibis.ifelse(_.role == "no_cart", ibis.null("string"), name))


def _account_steps(rows: Table) -> Table:
    begun = (_.event == "begin_checkout").cast("int64")
    rows = rows.mutate(begun=begun.sum().over(_running("key", "number", "session_id")))
    strays = _.event.isin(["sign_up", "login"]) & (_.begun == 0)
    reach = _.event.cases(*REACH.items()).cast("int64")
    known_checkout = (_.event == "begin_checkout") & _.known
    return rows.filter(~strays).mutate(reach=ibis.ifelse(known_checkout, 4, reach))[
        ["person_id", "nth", "position", "cart_id", "role", "held", "total", "reach"]
    ]
