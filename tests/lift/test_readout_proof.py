"""Proof: nothing is found where nothing is, and intervals cover the truth as often as they say."""

import math

import numpy as np
import pandas as pd
import pytest

from cdp_lib.lift.effect import effect
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.sums import Sums, of_frame

METRICS = {
    "conversion": (Metric("bought", "conversion", "bought"), []),
    "revenue": (Metric("spend", "revenue", "spend"), []),
    "revenue with CUPED": (Metric("spend", "revenue", "spend"), ["before"]),
    "basket": (Metric("basket", "ratio", "spend", per="orders", money=True), []),
}
COLUMNS = ["bought", "spend", "orders", "before"]
BASE, GAIN = 0.4, 0.15  # orders a unit in the window, and how many more the treated make


def people(n, rng, treated=None):
    """Heavy tails: orders are a Poisson mixture, baskets lognormal; 1 % of units bring a fifth."""
    kind = rng.gamma(0.7, 1 / 0.7, n)
    more = 1.0 if treated is None else 1 + GAIN * treated
    orders = rng.poisson(BASE * kind * more)
    spend = np.bincount(
        np.repeat(np.arange(n), orders), rng.lognormal(3, 1, orders.sum()), minlength=n
    )
    before = rng.poisson(4 * BASE * kind) * 30.0
    return pd.DataFrame({"bought": (orders > 0) * 1.0, "spend": spend, "orders": orders * 1.0,
                         "before": before})  # fmt: skip


def draws(data, n_draws, share, rng, chunk=250):
    """Sums of the treated and the rest over many draws of arms on the same outcomes."""
    x = data[COLUMNS].to_numpy()
    x = x - x.mean(axis=0)
    k, n = x.shape[1], len(x)
    products = (x[:, :, None] * x[:, None, :]).reshape(n, k * k)
    both = np.hstack([x, products])
    whole = both.sum(axis=0)
    for _ in range(0, n_draws, chunk):
        z = (rng.random((chunk, n)) < share).astype(float)
        counts, sums = z.sum(axis=1), z @ both
        for m, s in zip(counts, sums, strict=True):
            yield tuple(
                _sums(int(size), part, data, k) for size, part in ((n - m, whole - s), (m, s))
            )


def _sums(n, part, data, k):
    shift = part[:k] / n
    cross = part[k:].reshape(k, k) - n * np.outer(shift, shift)
    return Sums(tuple(COLUMNS), n, data[COLUMNS].mean().to_numpy() + shift, cross)


def test_the_drawn_sums_are_those_of_the_rows():
    rng = np.random.default_rng(1)
    data = people(300, rng)
    control, treated = next(draws(data, 1, 0.7, np.random.default_rng(2)))
    z = np.random.default_rng(2).random((250, 300))[0] < 0.7
    for part, rows in ((treated, data[z]), (control, data[~z])):
        wanted = of_frame(rows, COLUMNS)
        assert part.n == wanted.n
        np.testing.assert_allclose(part.cross, wanted.cross, rtol=1e-9, atol=1e-6)


def false_positives(n_draws, name, seed=8):
    metric, covariates = METRICS[name]
    rng = np.random.default_rng(seed)
    data = people(6000, rng)
    found = [effect(*arms, metric, covariates).pvalue < 0.05
             for arms in draws(data, n_draws, 0.7, rng)]  # fmt: skip
    return float(np.mean(found))


@pytest.mark.parametrize("name", METRICS)
def test_nothing_is_found_where_nothing_is(name):
    # 1,000 draws: 5 % to four standard errors of 0.7 points.
    assert abs(false_positives(1000, name) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.proof
@pytest.mark.parametrize("name", METRICS)
def test_false_positives_are_five_percent_to_half_a_point(name):
    assert abs(false_positives(10_000, name) - 0.05) <= 0.005


def coverage(n_worlds, name, seed=21, n=4000):
    """How often the 95 % interval holds the true effect of the law."""
    metric, covariates = METRICS[name]
    rng = np.random.default_rng(seed)
    # Orders are negative binomial given the gamma mixture: P(0) = (1 + mean / shape)^-shape.
    value = math.exp(3.5)
    none = [(1 + BASE * more / 0.7) ** -0.7 for more in (1, 1 + GAIN)]
    true = {"bought": none[0] - none[1], "spend": BASE * GAIN * value, "basket": 0.0}[metric.name]
    hits = 0
    for _ in range(n_worlds):
        treated = rng.random(n) < 0.7
        data = people(n, rng, treated)
        one = effect(*(of_frame(data[treated == arm], COLUMNS) for arm in (False, True)),
                     metric, covariates)  # fmt: skip
        hits += one.low <= true <= one.high
    return hits / n_worlds


@pytest.mark.parametrize("name", ["revenue with CUPED", "basket"])
def test_intervals_cover_the_truth(name):
    # 300 worlds: 95 % to four standard errors of 1.3 points.
    assert abs(coverage(300, name) - 0.95) < 4 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.proof
@pytest.mark.parametrize("name", METRICS)
def test_intervals_cover_the_truth_in_94_to_96_of_100_worlds(name):
    assert 0.94 <= coverage(2000, name) <= 0.96
