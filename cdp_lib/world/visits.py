"""Visits and carts as point processes: when people come, what they put in a cart, how it ends.

Visits are Poisson with intensity visit_rate · s(t) while alive; each opens a cart with the
person's cart_prob. A cart is emptied (a fixed share), else left with probability
logistic(person + x·coefficients), else bought at once. x is drawn anew for each cart, so bought
carts are a thinned Poisson process with an exact rate. A left cart has one cause: `account` with
probability account_share whatever else holds, else one of four by weights that depend on x. A
left cart comes back and is bought with probability buy_later_share after a random delay, if the
person is still alive; otherwise it may be looked at once more.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.catalogue import CATEGORIES, POOL, Catalogue
from cdp_lib.world.clock import Clock
from cdp_lib.world.law import CAUSES, World
from cdp_lib.world.people import APP, DESKTOP, People, left_bias_grid, left_log_odds

BASE, BUY_LATER, TOUCH, EXTRA = range(4)  # why a visit takes place
BOUGHT, LATER, LEFT, EMPTIED = range(4)  # index of law.OUTCOMES
ACCOUNT, EXTRA_COSTS, TRUST, LONG_CHECKOUT, LOW_INTENT = range(len(CAUSES))
PASSES_ACCOUNT = np.array([False, True, True, True, False])


@dataclass(frozen=True)
class Carts:
    """A row a cart; times in days, NaN where nothing happens; cause −1 where not left.

    `p_left` is the true probability of not buying in the first sitting given x and not emptied,
    `p_cause` (n, 5) that of each cause given left. `returns_at` is the purchase of a cart bought
    later, `touched_at` the visit that only looks. `extra` marks a cart made by a campaign.
    """

    person: np.ndarray
    at: np.ndarray
    slot: np.ndarray
    basket: np.ndarray
    p_left: np.ndarray
    p_cause: np.ndarray
    outcome: np.ndarray
    cause: np.ndarray
    returns_at: np.ndarray
    touched_at: np.ndarray
    extra: np.ndarray

    def __len__(self) -> int:
        return len(self.person)

    def passes_at(self) -> np.ndarray:
        """When the cart first gets past the account step; infinite if never."""
        at_once = (self.outcome == BOUGHT) | (
            np.isin(self.outcome, (LATER, LEFT)) & PASSES_ACCOUNT[self.cause]
        )
        return np.where(at_once, self.at, np.where(self.outcome == LATER, self.returns_at, np.inf))


@dataclass(frozen=True)
class Visits:
    """A row a visit, ordered by person and time; `cart` is the cart touched, or −1."""

    person: np.ndarray
    at: np.ndarray
    slot: np.ndarray
    reason: np.ndarray
    cart: np.ndarray

    def __len__(self) -> int:
        return len(self.person)


def draw_base_visits(
    people: People, clock: Clock, days: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Person and time of each visit that a person's own rate brings, ordered by both."""
    stop = np.minimum(people.end, days)
    begin = clock.integral(people.hour, people.entry)
    amount = clock.integral(people.hour, stop) - begin
    count = rng.poisson(people.visit_rate * amount)
    person = np.repeat(np.arange(len(people)), count)
    target = begin[person] + rng.random(len(person)) * amount[person]
    at = clock.invert(people.hour[person], target)
    order = np.lexsort((at, person))
    return person, at[order]


def draw_slots(people: People, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The device of each visit: MOBILE, DESKTOP or APP."""
    edge = np.cumsum(people.device_mix, axis=1)[person]
    return np.minimum((rng.random(len(person))[:, None] >= edge).sum(axis=1), APP)


def cause_scales(world: World, goods: Catalogue) -> np.ndarray:
    """Scales of the four other causes' weights that give their shares over the whole pool."""
    odds = left_log_odds(world, goods) + left_bias_grid(world).mean()
    left = 1 / (1 + np.exp(-odds))
    baskets = np.repeat(np.arange(len(goods.model)), 4)
    phone, new = np.tile([0, 0, 1, 1], len(goods.model)), np.tile([0, 1, 0, 1], len(goods.model))
    weight = left[baskets, phone] * np.where(phone == 1, 0.6, 0.4) * np.where(new == 1, 0.25, 0.75)
    raw = raw_cause_weights(goods, baskets, phone == 1, new == 1)
    wanted, scales = np.array(world.other_cause_shares()), np.ones(4)
    for _ in range(60):
        part = raw * scales
        part = part / part.sum(axis=1, keepdims=True)
        scales = scales * wanted / np.maximum(weight @ part / weight.sum(), 1e-12)
    return scales


def raw_cause_weights(
    goods: Catalogue, basket: np.ndarray, phone: np.ndarray, new: np.ndarray
) -> np.ndarray:
    """Weights of extra_costs, trust, long_checkout and low_intent before scaling: shape (n, 4)."""
    shipping = goods.shipping_share[basket]
    return np.column_stack(
        [
            np.where(shipping > 0, np.exp(2 * shipping), 0.0),
            np.exp(0.9 * goods.unknown_brand[basket] + 0.8 * new),
            np.exp(0.9 * phone),
            np.exp(1.2 * goods.single_cheap[basket]),
        ]
    )


def draw_baskets(people: People, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A basket of the pool for each cart, its category by the person's taste."""
    edge = np.cumsum(people.taste, axis=1)[person]
    group = np.minimum((rng.random(len(person))[:, None] >= edge).sum(1), len(CATEGORIES) - 1)
    return group * POOL + rng.integers(0, POOL, len(person))


def draw_carts(
    world: World,
    goods: Catalogue,
    people: People,
    clock: Clock,
    person: np.ndarray,
    at: np.ndarray,
    slot: np.ndarray,
    rng: np.random.Generator,
) -> Carts:
    """One cart for each given visit: basket, fate, cause and what comes back."""
    n = len(person)
    basket, phone = draw_baskets(people, person, rng), slot != DESKTOP
    odds = left_log_odds(world, goods)[basket, phone.astype(int)]
    odds = odds + left_bias_grid(world)[people.kind[person], people.own_class[person]]
    p_left = 1 / (1 + np.exp(-odds))
    outcome = np.where(rng.random(n) < p_left, LEFT, BOUGHT)
    outcome[rng.random(n) < world.emptied_share] = EMPTIED

    others = raw_cause_weights(goods, basket, phone, ~people.existing[person])
    others = others * cause_scales(world, goods)
    others = others / others.sum(axis=1, keepdims=True) * (1 - world.account_share)
    p_cause = np.column_stack([np.full(n, world.account_share), others])
    cause = (rng.random(n)[:, None] >= np.cumsum(p_cause, axis=1)).sum(axis=1)
    cause = np.where(outcome == LEFT, np.minimum(cause, len(CAUSES) - 1), -1)

    delay, draw, again = clock.delays(rng, n), rng.random(n), rng.random(n)
    alive = at + delay < people.end[person]
    later = (outcome == LEFT) & (draw < world.buy_later_share) & alive
    touched = (outcome == LEFT) & (draw >= world.buy_later_share)
    touched &= (again < world.touch_share) & alive
    outcome = np.where(later, LATER, outcome)
    return Carts(
        person, at, slot, basket, p_left, p_cause, outcome, cause,
        np.where(later, at + delay, np.nan), np.where(touched, at + delay, np.nan),
        np.zeros(n, bool),
    )  # fmt: skip


def gather_visits(
    person: np.ndarray, at: np.ndarray, slot: np.ndarray, opened: np.ndarray, carts: Carts,
    days: float,
) -> Visits:  # fmt: skip
    """All visits before the end of the span, ordered by person and time.

    `opened` is, for each base visit, the cart it opens or −1.
    """
    later = np.flatnonzero(carts.returns_at < days)
    touch = np.flatnonzero(carts.touched_at < days)
    extra = np.flatnonzero(carts.extra)
    parts = [
        (person, at, slot, np.full(len(person), BASE), opened),
        *(
            (carts.person[rows], when[rows], carts.slot[rows], np.full(len(rows), reason), rows)
            for rows, when, reason in (
                (later, carts.returns_at, BUY_LATER),
                (touch, carts.touched_at, TOUCH),
                (extra, carts.at, EXTRA),
            )
        ),
    ]
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((joined[1], joined[0]))
    return Visits(*(column[order] for column in joined))
