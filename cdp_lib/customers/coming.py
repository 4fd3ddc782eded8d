"""How many orders are to come, and what they are worth: the law of it for each history.

Given that a customer is alive, their rate is Gamma(r + x, alpha + age) and their chance to leave
after an order Beta(a, b + x), independent of each other; the orders in a horizon are the lesser of
a Poisson count and the geometric number at which they leave. So both moments are sums of
P(N >= k) = NB tail · E(1 - p)^(k - 1), exactly. The worth of N orders is a Gamma of shape p·N over
the customer's own Gamma rate: a scale (gamma + what was spent) times a ratio that the history alone
rules. Source: the laws of Fader, Hardie and Lee (2005), as in `value` and `spend`.
"""

from __future__ import annotations

import numpy as np

from cdp_lib.customers.spend import GammaGamma
from cdp_lib.customers.value import BgNbd

SMALL = 1e-10
CHUNK = 4_000_000  # draws held at a time


def moments(model: BgNbd, horizon: float, frequency, recency, age) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the orders in (age, age + horizon], and the mean of their square."""
    from scipy.special import betainc

    x, recency, age = (np.asarray(part, float) for part in (frequency, recency, age))
    shape, leave = model.r + x, model.chance_to_stay(x)
    moved = horizon / (model.alpha + age + horizon)
    # Tails by recursion: of the negative binomial, and of staying k - 1 times. Where P(K = 0) is
    # too small for a number, the recursion has no start and the tail is taken by its formula.
    chance = np.exp(shape * np.log1p(-moved))
    heavy = chance < 1e-250
    tail, stays = 1 - chance, np.ones(len(x))
    first, second = tail.copy(), tail.copy()
    left, k = np.flatnonzero(tail > SMALL), 1
    while len(left):
        chance[left] *= (shape[left] + k - 1) / k * moved[left]
        tail[left] -= chance[left]
        stays[left] *= (leave[left] + k - 1) / (model.a + leave[left] + k - 1)
        k += 1
        many = left[heavy[left]]
        tail[many] = betainc(k, shape[many], moved[many])
        reached = np.maximum(tail[left], 0) * stays[left]
        first[left] += reached
        second[left] += (2 * k - 1) * reached
        left = left[(2 * k - 1) * reached > SMALL * second[left]]
    alive = model.p_alive(x, recency, age)
    return alive * first, alive * second


def worth_moments(spend: GammaGamma, n_orders, first, second) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the orders' worth, for a scale (gamma + sum of past values) of one.

    n_orders: past orders with a value; first, second: `moments`. NaN where they are infinite.
    """
    n, first, second = (np.asarray(part, float) for part in (n_orders, first, second))
    p, shape = spend.p, spend.q + spend.p * n
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(shape > 1, p * first / (shape - 1), np.nan)
        square = (p * p * second + p * first) / ((shape - 1) * (shape - 2))
        return mean, np.where(shape > 2, square - mean**2, np.nan)


def worth_quantiles(
    orders: BgNbd,
    spend: GammaGamma,
    horizon: float,
    frequency,
    recency,
    age,
    n_orders,
    at: tuple[float, ...] = (0.025, 0.975),
    draws: int = 400,
    seed: int = 7,
) -> np.ndarray:
    """Quantiles of the orders' worth for a scale of one: (histories, len(at)), from seeded draws.

    Chance of a customer alone; the parameters are taken as known.
    """
    x, recency, age, n = (np.asarray(v, float) for v in (frequency, recency, age, n_orders))
    alive = orders.p_alive(x, recency, age)
    out = np.empty((len(x), len(at)))
    rng, step = np.random.default_rng(seed), max(1, CHUNK // draws)
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        size = (len(x[part]), draws)
        rate = rng.gamma(orders.r + x[part, None], 1 / (orders.alpha + age[part, None]), size)
        leave = rng.beta(orders.a, orders.chance_to_stay(x[part, None]), size)
        count = np.minimum(rng.poisson(rate * horizon), rng.geometric(np.maximum(leave, 1e-12)))
        count = np.where(rng.random(size) < alive[part, None], count, 0)
        worth = np.where(count > 0, rng.standard_gamma(spend.p * np.maximum(count, 1)), 0.0)
        worth /= rng.standard_gamma(spend.q + spend.p * n[part, None], size)
        out[part] = np.quantile(worth, at, axis=1).T
    return out
