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

from cdp_lib.world.catalogue import CATEGORIES, POOL
from cdp_lib.world.clock import Clock
from cdp_lib.world.law import CAUSES, World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.people import APP, DESKTOP, People

BASE, BUY_LATER, TOUCH, EXTRA, APP_REMOVE, PUSH_OFF = range(6)  # why a visit takes place
REASONS = ("own", "buys_later", "looks_again", "campaign", "app_remove", "push_off")
BOUGHT, LATER, LEFT, EMPTIED = range(4)  # index of law.OUTCOMES
ACCOUNT, EXTRA_COSTS, TRUST, LONG_CHECKOUT, LOW_INTENT = range(len(CAUSES))
REMOVES, REMOVE_DAYS = 0.5, 3.0  # owners of the app that remove it; within days of the end
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

    def take(self, rows: np.ndarray) -> "Carts":
        """Some of the carts, by index or mask."""
        return Carts(*(getattr(self, name)[rows] for name in Carts.__dataclass_fields__))

    def plus(self, other: "Carts") -> "Carts":
        """These carts, then the others."""
        names = Carts.__dataclass_fields__
        return Carts(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in names))

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
    people: People, clock: Clock, days: float, rng: np.random.Generator, since: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Person and time of each visit that a person's own rate brings in [since, days), ordered."""
    stop = np.minimum(people.end, days)
    begin = clock.integral(people.hour, np.maximum(people.entry, since))
    amount = np.maximum(clock.integral(people.hour, stop) - begin, 0)
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


def draw_baskets(people: People, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A basket of the pool for each cart, its category by the person's taste."""
    edge = np.cumsum(people.taste, axis=1)[person]
    group = np.minimum((rng.random(len(person))[:, None] >= edge).sum(1), len(CATEGORIES) - 1)
    return group * POOL + rng.integers(0, POOL, len(person))


def draw_carts(
    world: World,
    law: Leaving,
    people: People,
    clock: Clock,
    person: np.ndarray,
    at: np.ndarray,
    slot: np.ndarray,
    rng: np.random.Generator,
) -> Carts:
    """One cart for each given visit: basket, fate, cause and what comes back."""
    n = len(person)
    basket, phone = draw_baskets(people, person, rng), (slot != DESKTOP).astype(int)
    p_left = law.probability(people.kind[person], people.own_class[person], basket, phone)
    outcome = np.where(rng.random(n) < p_left, LEFT, BOUGHT)
    outcome[rng.random(n) < world.emptied_share] = EMPTIED
    p_cause = law.cause[basket, phone, (~people.existing[person]).astype(int)]
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


def draw_removals(people: People, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Who removes the app, and when: half of its owners, within three days of the end of their
    life as customers.
    """
    gone = (people.device_mix[:, APP] > 0) & (rng.random(len(people)) < REMOVES)
    gone = np.flatnonzero(gone)
    return gone, people.end[gone] + rng.random(len(gone)) * REMOVE_DAYS


def gather_visits(
    base: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    carts: Carts,
    push_off: tuple[np.ndarray, np.ndarray],
    removals: tuple[np.ndarray, np.ndarray],
    days: float,
    since: float = 0.0,
) -> Visits:
    """All visits in [since, days), ordered by person and time.

    `base` holds person, time, slot and the cart opened (or −1) of each visit of its own;
    `push_off` and `removals` person and time of those who switch push off or remove the app.
    """
    parts = [(*base[:3], BASE, base[3])]
    for when, reason in ((carts.returns_at, BUY_LATER), (carts.touched_at, TOUCH)):
        rows = np.flatnonzero(when < days)
        parts.append((carts.person[rows], when[rows], carts.slot[rows], reason, rows))
    rows = np.flatnonzero(carts.extra)
    parts.append((carts.person[rows], carts.at[rows], carts.slot[rows], EXTRA, rows))
    parts.append((*removals, APP, APP_REMOVE, -1))
    parts.append((*push_off, APP, PUSH_OFF, -1))
    filled = [[np.broadcast_to(c, len(part[0])) for c in part] for part in parts]
    joined = [np.concatenate(column) for column in zip(*filled, strict=True)]
    inside = (joined[1] >= since) & (joined[1] < days)
    joined = [column[inside] for column in joined]
    order = np.lexsort((joined[1], joined[0]))
    return Visits(*(column[order] for column in joined))
