"""What a purchase is worth: baskets at the prices in force, coupons, order lines, returns.

A return is an order of its own, its id begins with "r", its quantities, revenue and cost are
negative; so revenue summed over orders is net of returns.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.catalogue import ITEMS, Catalogue
from cdp_lib.world.law import World
from cdp_lib.world.people import People
from cdp_lib.world.visits import Carts

WEEK_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class Lines:
    """Rows of order lines, ordered by order: `order` is the row of the order."""

    order: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    unit_price: np.ndarray
    discount: np.ndarray
    unit_cost: np.ndarray


def week_of(goods: Catalogue, seconds: np.ndarray) -> np.ndarray:
    """The column of the price table in force."""
    week = np.asarray(seconds // WEEK_SECONDS).astype(np.int64)
    return np.clip(week, 0, goods.price.shape[1] - 1)


def coupon_rates(world: World, people: People) -> np.ndarray:
    """Probability that an order of each person uses a coupon, outside campaigns."""
    return world.coupon_rate * people.affinity


def draw_coupons(
    world: World, people: People, carts: Carts, rng: np.random.Generator
) -> np.ndarray:
    """The coupon's discount rate of each cart if it is bought: 0 or coupon_discount."""
    used = rng.random(len(carts)) < coupon_rates(world, people)[carts.person]
    return np.where(used, world.coupon_discount, 0.0)


def order_lines(
    goods: Catalogue, basket: np.ndarray, skus: np.ndarray, week: np.ndarray, rate: np.ndarray
) -> Lines:
    """The lines of each order, in the order given; `rate` is the discount rate of each order."""
    model = goods.model[basket]
    order, item = np.nonzero(model >= 0)
    which, quantity = model[order, item], goods.quantity[basket][order, item]
    price = goods.price[which, week[order]]
    discount = np.round(price * quantity * rate[order], 2)
    return Lines(order, skus[order, item], quantity, price, discount, goods.unit_cost[which])


def totals(lines: Lines, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Goods before discount, discount, revenue and cost of each of n orders."""
    before = np.bincount(lines.order, lines.unit_price * lines.quantity, n)
    discount = np.bincount(lines.order, lines.discount, n)
    cost = np.bincount(lines.order, lines.unit_cost * lines.quantity, n)
    return tuple(np.round(x, 2) for x in (before, discount, before - discount, cost))


def revenue(goods: Catalogue, basket: np.ndarray, week: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Revenue of each basket bought in that week at that discount rate."""
    skus = np.zeros((len(basket), ITEMS), int)
    return totals(order_lines(goods, basket, skus, week, rate), len(basket))[2]


def draw_returns(
    world: World, lines: Lines, ordered: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Lines that come back, one per order at most, and when (seconds)."""
    n = len(ordered)
    first = np.searchsorted(lines.order, np.arange(n))
    back = np.flatnonzero(rng.random(n) < world.return_share)
    delay = rng.uniform(3, 20, n)[back] * 86_400
    return first[back], ordered[back] + delay.astype(np.int64)
