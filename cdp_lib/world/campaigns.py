"""Campaigns: each customer's own effect, both potential outcomes, and the log as it came out.

A treated customer buys with (1 + effect) times the intensity for `effect_days` from the sending.
A gain is a second, independent process of intensity effect · m(t), drawn as whole carts of which
the bought ones are kept; a loss removes each purchase with probability −effect. Both are drawn for
the holdout too and not applied, so both potential outcomes of everybody are known. A removed
purchase of a first sitting takes its visit along; of a cart bought later, only the return.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cdp_lib.world import money
from cdp_lib.world.catalogue import Catalogue
from cdp_lib.world.clock import Clock
from cdp_lib.world.law import RESPONSES, World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.messages import Draw
from cdp_lib.world.people import People
from cdp_lib.world.visits import BOUGHT, LATER, LEFT, Carts, draw_carts, draw_slots

MEMORY_DAYS = 60.0  # a return after more than this has a chance below 1e-8
PERSUADABLE, SURE, LOST, SLEEPING = range(len(RESPONSES))


@dataclass(frozen=True)
class Effects:
    """A row as in `Draw`; revenue over the window if held out (0) and if treated (1).

    `realised` from the drawn history, `expected` by formula for one alive as they really were.
    """

    response: np.ndarray
    effect: np.ndarray
    realised_0: np.ndarray
    realised_1: np.ndarray
    expected_0: np.ndarray
    expected_1: np.ndarray


def buying_rate(world: World, people: People, p_left: np.ndarray) -> np.ndarray:
    """Purchases per day at season 1, those that come back included."""
    kept = (1 - p_left) + p_left * world.buy_later_share
    return people.visit_rate * people.cart_prob * (1 - world.emptied_share) * kept


def draw_effects(
    world: World, people: People, often: np.ndarray, draw: Draw, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Response and effect of each row; a taste for discounts or a phone makes persuadable."""
    response, effect = np.zeros(len(draw.person), int), np.zeros(len(draw.person))
    for c, campaign in enumerate(world.campaigns):
        rows = np.flatnonzero(draw.campaign == c)
        person = draw.person[rows]
        trait = people.affinity if campaign.discount else people.mobile_share
        lean = trait[person]
        chance, size = rng.random(len(rows)), rng.uniform(0.5, 1.5, len(rows))
        gains = chance < 2 * campaign.persuadable_share * lean
        loses = 1 - chance < 2 * campaign.sleeping_share * (1 - lean)
        loses &= ~gains
        idle = np.where(often[person], SURE, LOST)
        response[rows] = np.where(gains, PERSUADABLE, np.where(loses, SLEEPING, idle))
        effect[rows] = np.where(
            gains, campaign.gain * size, np.where(loses, -campaign.loss * size, 0)
        )
    return response, np.maximum(effect, -1.0)


def buys_often(world: World, law: Leaving, people: People) -> np.ndarray:
    """Who buys often enough to be `sure` where a campaign does not move them."""
    return buying_rate(world, people, law.of_person(people)) > world.often_per_day


def respond(
    world: World,
    goods: Catalogue,
    law: Leaving,
    people: People,
    clock: Clock,
    carts: Carts,
    coupon: np.ndarray,
    draw: Draw,
    response: np.ndarray,
    effect: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Carts, np.ndarray, np.ndarray, Effects]:
    """The carts with extras appended and later purchases removed, each cart's discount rate,
    whether a cart's first visit never took place, and the effects.
    """
    n, n_rows = len(carts), len(draw.person)
    if not n_rows:
        return carts, coupon, np.zeros(n, bool), Effects(response, *[effect] * 5)
    bought_at = np.where(carts.outcome == BOUGHT, carts.at, carts.returns_at)
    row = _row_of_purchase(draw, world.effect_days, carts.person, bought_at)
    extra, extra_row = _extra_carts(world, law, people, clock, draw, effect, rng)
    extra_coupon = money.draw_coupons(world, people, extra, rng)
    removed = (row >= 0) & (rng.random(n) < np.maximum(-effect[row], 0))

    discount = np.array([campaign.discount for campaign in world.campaigns] + [0.0])
    offered = discount[draw.campaign]

    def worth(which: Carts, when: np.ndarray, rates: np.ndarray) -> np.ndarray:
        value = np.zeros(len(which))
        hit = np.isfinite(when)
        week = money.week_of(goods, when[hit] * 86_400)
        value[hit] = money.revenue(goods, which.basket[hit], week, rates[hit])
        return value

    inside = np.where(row >= 0, bought_at, np.nan)
    treated_rate = np.where(row >= 0, np.maximum(coupon, offered[row]), coupon)
    extra_rate = np.maximum(extra_coupon, offered[extra_row])
    plain, cheap = worth(carts, inside, coupon), worth(carts, inside, treated_rate)
    own = row[row >= 0]
    realised_0 = np.bincount(own, plain[row >= 0], n_rows)
    realised_1 = np.bincount(own, np.where(removed, 0, cheap)[row >= 0], n_rows)
    realised_1 = realised_1 + np.bincount(extra_row, worth(extra, extra.at, extra_rate), n_rows)
    expected = _expected(world, goods, law, people, clock, draw, effect)

    treated = (row >= 0) & draw.treated[row]
    removed &= treated
    kept = draw.treated[extra_row]
    never = removed & (carts.outcome == BOUGHT)
    undone = removed & (carts.outcome == LATER)
    carts = replace(
        carts,
        outcome=np.where(undone, LEFT, carts.outcome),
        returns_at=np.where(undone, np.nan, carts.returns_at),
    )
    joined = carts.plus(extra.take(kept))
    rates = np.concatenate([np.where(treated, treated_rate, coupon), extra_rate[kept]])
    never = np.concatenate([never, np.zeros(kept.sum(), bool)])
    return joined, rates, never, Effects(response, effect, realised_0, realised_1, *expected)


def _row_of_purchase(
    draw: Draw, effect_days: float, person: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """For each purchase the row of `draw` whose window holds it, or −1; windows never overlap."""
    row = np.full(len(person), -1)
    for c in np.unique(draw.campaign):
        mine = np.flatnonzero(draw.campaign == c)
        start = draw.at[mine[0]]
        of_person = np.full(max(person.max(initial=0), draw.person[mine].max()) + 1, -1)
        of_person[draw.person[mine]] = mine
        inside = (at >= start) & (at < start + effect_days)
        row[inside] = of_person[person[inside]]
    return row


def _extra_carts(
    world: World,
    law: Leaving,
    people: People,
    clock: Clock,
    draw: Draw,
    effect: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Carts, np.ndarray]:
    """Purchases that only treatment brings, as carts bought at once, and their rows of `draw`."""
    person, hour = draw.person, people.hour[draw.person]
    since = np.maximum(people.entry[person], draw.at - MEMORY_DAYS)
    close = draw.at + world.effect_days
    begin = clock.integral(hour, since)
    amount = np.maximum(clock.integral(hour, np.minimum(people.end[person], close)) - begin, 0)
    rate = people.visit_rate[person] * people.cart_prob[person] * np.maximum(effect, 0)
    row = np.repeat(np.arange(len(person)), rng.poisson(rate * amount))
    at = clock.invert(hour[row], begin[row] + rng.random(len(row)) * amount[row])
    who = person[row]
    carts = draw_carts(world, law, people, clock, who, at, draw_slots(people, who, rng), rng)
    bought_at = np.where(carts.outcome == BOUGHT, carts.at, carts.returns_at)
    kept = np.flatnonzero((bought_at >= draw.at[row]) & (bought_at < close[row]))
    n = len(kept)
    chosen = replace(
        carts.take(kept),
        at=bought_at[kept],
        outcome=np.full(n, BOUGHT),
        cause=np.full(n, -1),
        returns_at=np.full(n, np.nan),
        touched_at=np.full(n, np.nan),
        extra=np.ones(n, bool),
    )
    return chosen, row[kept]


def _expected(
    world: World,
    goods: Catalogue,
    law: Leaving,
    people: People,
    clock: Clock,
    draw: Draw,
    effect: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Expected revenue of each row's window, held out and treated, of one alive at its start.

    Day by day: intensity · P(still alive at midday) · mean revenue of the baskets bought.
    """
    none, full = np.zeros(len(draw.person)), np.zeros(len(draw.person))
    used = money.coupon_rates(world, people)
    for c in np.unique(draw.campaign):
        rows = np.flatnonzero(draw.campaign == c)
        person, at = draw.person[rows], draw.at[rows]
        hour, since = people.hour[person], people.entry[person]
        week = money.week_of(goods, at * 86_400)[0]
        lost, won = law.mean_values(people, goods.value[:, week])
        now, later = won[person], lost[person] * world.buy_later_share
        base = np.zeros(len(rows))
        steps = np.linspace(0, world.effect_days, 8)
        for left, right in pairwise(steps):
            lives = np.exp(-people.death_rate[person] * (left + right) / 2)
            direct = clock.integral(hour, at + right) - clock.integral(hour, at + left)
            back = clock.displaced(hour, since, at + right, at + right)
            back = back - clock.displaced(hour, since, at + left, at + left)
            base += lives * (direct * now + back * later)
        base *= people.visit_rate[person] * people.cart_prob[person] * (1 - world.emptied_share)
        base *= people.end[person] > at
        d, cut, q = world.campaigns[c].discount, world.coupon_discount, used[person]
        none[rows] = base * (1 - q * cut)
        full[rows] = base * (1 + effect[rows]) * (1 - (1 - q) * d - q * max(d, cut))
    return none, full
