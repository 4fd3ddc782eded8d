"""What the visits of a span left behind: events, orders and their lines, and who was recognised."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cdp_lib.world import log, money
from cdp_lib.world.catalogue import Catalogue
from cdp_lib.world.ids import ids, instants
from cdp_lib.world.law import World
from cdp_lib.world.people import APP
from cdp_lib.world.sessions import Sessions
from cdp_lib.world.tables import events_table, orders_tables
from cdp_lib.world.visits import Carts, Visits

RETURNING = ("at", "slot", "basket", "p_left", "outcome", "cause", "returns_at", "touched_at")


@dataclass(frozen=True)
class Span:
    """What was drawn for a span of time that ends with day `days`, and how its rows are numbered.

    `number`: of the rows, alone to this span and its people. `discount`: rate of each cart if it is
    bought. `skus`: the products of each cart. `person_ids`, `cart_ids`: by index.
    """

    world: World
    goods: Catalogue
    origin_us: int
    days: float
    number: int
    person_ids: pa.Array
    cart_ids: pa.Array
    carts: Carts
    discount: np.ndarray
    skus: np.ndarray
    visits: Visits
    sessions: Sessions
    rows: log.Rows


def trade_tables(span: Span, rng: np.random.Generator) -> dict[str, pa.Table]:
    """events, orders and order_lines; and under `truth/` the returns that follow after the span."""
    carts, rows, goods, visits = span.carts, span.rows, span.goods, span.visits
    bought = np.flatnonzero(rows.code == log.CODE["purchase"])
    order_of_row = np.full(len(rows.code), -1)
    order_of_row[bought] = np.arange(len(bought))
    cart, visit = rows.cart[bought], rows.visit[bought]
    ordered, person = rows.seconds[bought], visits.person[visit]
    lines = money.order_lines(
        goods, carts.basket[cart], span.skus[cart], money.week_of(goods, ordered),
        span.discount[cart],
    )  # fmt: skip
    fee = np.where(goods.shipping_share > 0, span.world.shipping_fee, 0.0)
    line, back_at = money.draw_returns(span.world, lines, ordered, rng)
    later = back_at >= span.days * 86_400
    order = np.argsort(later, kind="stable")
    orders, order_lines = orders_tables(
        span.number, span.origin_us, goods, span.person_ids, person, ordered,
        np.where(visits.slot[visit] == APP, 1, 0), fee[carts.basket[cart]], lines,
        (line[order], back_at[order]),
    )  # fmt: skip
    shows = (rows.code == log.CODE["add_shipping_info"]) & (rows.cart >= 0)
    shown = np.full(len(rows.code), np.nan)
    shown[shows] = fee[carts.basket[rows.cart[shows]]]
    events = events_table(
        span.number, span.origin_us, goods, visits, span.sessions, rows, order_of_row,
        span.person_ids, span.cart_ids, shown, span.days,
    )  # fmt: skip
    n = int(later.sum())
    kept, kept_lines = orders.num_rows - n, order_lines.num_rows - n
    return {
        "events": events,
        "orders": orders.slice(0, kept),
        "order_lines": order_lines.slice(0, kept_lines),
        "truth/coming_orders": orders.slice(kept),
        "truth/coming_order_lines": order_lines.slice(kept_lines),
    }


def identities_table(span: Span) -> pa.Table:
    """Each visitor and customer seen together in the span, at the first event that shows it."""
    rows = span.rows
    known = np.flatnonzero(rows.known)
    visit = rows.visit[known]
    visitor, person = span.sessions.visitor[visit], span.visits.person[visit]
    order = np.lexsort((rows.seconds[known], person, visitor))
    visitor, person = visitor[order], person[order]
    first = np.ones(len(order), bool)
    first[1:] = (visitor[1:] != visitor[:-1]) | (person[1:] != person[:-1])
    return pa.table(
        {
            "visitor_id": ids("v", visitor[first]),
            "customer_id": span.person_ids.take(pa.array(person[first])),
            "linked_at": instants(rows.seconds[known][order][first], span.origin_us),
        }
    )


def coming_carts(span: Span, numbers: np.ndarray) -> pa.Table:
    """The carts of the log that somebody returns to after the span, for the weeks that follow.

    A row a cart: cart_id, person (the world's number), the columns of `Carts` that its return
    needs, its discount rate and products (sku_0 … sku_3, −1 for none). Times in days.
    """
    carts, rows = span.carts, span.rows
    seen = np.zeros(len(carts), bool)
    seen[rows.cart[rows.code == log.CODE["add_to_cart"]]] = True
    back = np.fmax(carts.returns_at, carts.touched_at)
    with np.errstate(invalid="ignore"):
        coming = np.flatnonzero(seen & (back >= span.days))
    return pa.table(
        {
            "cart_id": span.cart_ids.take(pa.array(coming)),
            "person": numbers[carts.person[coming]],
            **{name: getattr(carts, name)[coming] for name in RETURNING},
            "discount": span.discount[coming],
            **{f"sku_{i}": span.skus[coming, i] for i in range(span.skus.shape[1])},
        }
    )
