"""Orders to come and their worth: exact sums beside formulas, and beside customers who go on."""

import numpy as np
import pytest
from planted_buyers import ORDERS, SPEND
from scipy import integrate, stats

from cdp_lib.customers import coming
from cdp_lib.customers.value import BgNbd

CASES = [(0, 0.0, 3.0), (0, 0.0, 400.0), (1, 10.0, 30.0), (7, 200.0, 210.0), (40, 50.0, 300.0)]
MODELS = [ORDERS, BgNbd(0.243, 4.414, 0.793, 2.426, 0.0, True, 0), BgNbd(2, 9, 1, 1, 0, True, 0)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("horizon", [1.0, 39.0, 365.0])
def test_the_mean_is_that_of_the_formula(model, horizon):
    past = np.array(CASES).T
    first, second = coming.moments(model, horizon, *past)
    assert first == pytest.approx(model.expected_orders(horizon, *past), rel=1e-6, abs=1e-9)
    assert (second >= first - 1e-9).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_second_moment_is_an_integral(model):
    """E min(K, G)^2 given p, with K negative binomial, integrated over the Beta of p."""
    k = np.arange(1, 600)
    for x, recency, age in CASES[1:4]:
        shape, moved = model.r + x, 90 / (model.alpha + age + 90)
        tail = stats.nbinom(shape, 1 - moved).sf(k - 1)
        chance = stats.beta(model.a, float(model.chance_to_stay(x)))

        def at(u, tail=tail, chance=chance):
            p = chance.ppf(u)
            return ((2 * k - 1) * tail * (1 - p) ** (k - 1)).sum()

        want = integrate.quad(at, 0, 1, limit=200)[0] * model.p_alive(x, recency, age)[0]
        assert coming.moments(model, 90, [x], [recency], [age])[1][0] == pytest.approx(
            want, rel=1e-5
        )


def test_heavy_customers_stay_finite():
    first, second = coming.moments(ORDERS, 365, [5000, 20_000], [1000.0, 700.0], [1000.0, 700.0])
    assert np.isfinite(first).all() and (second >= first**2).all()
    assert first == pytest.approx(
        ORDERS.expected_orders(365, [5000, 20_000], [1000, 700], [1000, 700]), rel=1e-6
    )


def test_nineteen_of_twenty_bring_what_the_span_says():
    """Customers drawn from the posterior by another road: life, rate, chance, orders, values.

    6,000 a history; the share within the span is 95 % or more (a span of whole orders is wider)
    and the mean and variance are those of `worth_moments`, within five standard errors.
    """
    rng, n, horizon = np.random.default_rng(4), 6000, 120.0
    for x, recency, age, valued in (
        (0, 0.0, 60.0, 1),
        (3, 100.0, 110.0, 4),
        (12, 200.0, 230.0, 13),
    ):
        alive = rng.random(n) < ORDERS.p_alive(x, recency, age)
        rate = rng.gamma(ORDERS.r + x, 1 / (ORDERS.alpha + age), n)
        leave = rng.beta(ORDERS.a, ORDERS.chance_to_stay(x), n)
        level = rng.gamma(SPEND.q + SPEND.p * valued, 1.0, n)
        brought = np.zeros(n)
        for i in np.flatnonzero(alive):
            now = rng.exponential(1 / rate[i])
            while now <= horizon:
                brought[i] += rng.gamma(SPEND.p, 1 / level[i])
                if rng.random() < leave[i]:
                    break
                now += rng.exponential(1 / rate[i])
        low, high = coming.worth_quantiles(
            ORDERS, SPEND, horizon, [x], [recency], [age], [valued], draws=20_000
        )[0]
        inside = (brought >= low) & (brought <= high)
        assert inside.mean() > 0.95 - 4 * np.sqrt(0.05 * 0.95 / n)
        first, second = coming.moments(ORDERS, horizon, [x], [recency], [age])
        mean, spread = coming.worth_moments(SPEND, [valued], first, second)
        assert brought.mean() == pytest.approx(mean[0], abs=5 * np.sqrt(spread[0] / n))
        assert brought.var() == pytest.approx(
            spread[0], abs=5 * ((brought - brought.mean()) ** 2).std() / np.sqrt(n)
        )
