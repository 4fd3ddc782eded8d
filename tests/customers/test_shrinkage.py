"""The beta-binomial law: against SciPy's own, against planted laws, and where nobody differs."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from cdp_lib.checks import TooLittleData
from cdp_lib.customers.shrinkage import fit


def counts(mean, weight, units, seed, most=12):
    rng = np.random.default_rng(seed)
    own = rng.beta(mean * weight, (1 - mean) * weight, units)
    tries = rng.integers(1, most + 1, units)
    return rng.binomial(tries, own), tries, own


@pytest.mark.parametrize(
    ("mean", "weight", "seed"), [(0.2, 3.0, 1), (0.6, 15.0, 2), (0.05, 8.0, 3)]
)
def test_the_likeliest_law_is_scipys(mean, weight, seed):
    hits, tries, _ = counts(mean, weight, 1500, seed)

    def loss(at):
        m, w = 1 / (1 + np.exp(-at[0])), np.exp(at[1])
        return -stats.betabinom(tries, m * w, (1 - m) * w).logpmf(hits).sum()

    best = minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    prior = fit(hits, tries)
    assert prior.mean == pytest.approx(1 / (1 + np.exp(-best.x[0])), rel=1e-3)
    assert prior.weight == pytest.approx(np.exp(best.x[1]), rel=5e-3)
    assert (prior.n_units, prior.n_tries, prior.n_hits) == (1500, tries.sum(), hits.sum())
    # Rows of equal counts may come as one, with how many there are.
    pairs, times = np.unique(np.column_stack([hits, tries]), axis=0, return_counts=True)
    assert fit(*pairs.T, times).weight == pytest.approx(prior.weight, rel=1e-3)


def test_the_planted_law_is_found_and_its_error_is_right():
    found = [fit(*counts(0.25, 5.0, 600, seed)[:2]) for seed in range(40)]
    errors = np.array([(one.mean - 0.25) / one.mean_se for one in found])
    # 40 standard normal draws: their root mean square lies in [0.68, 1.34] in 99.7 of 100 cases
    # (chi-square of 40 degrees), and their mean within 3 / sqrt(40).
    assert 0.68 < np.sqrt((errors**2).mean()) < 1.34
    assert abs(errors.mean()) < 3 / np.sqrt(40)
    assert np.median([one.weight for one in found]) == pytest.approx(5.0, rel=0.1)
    assert all(one.differ for one in found)


def test_intervals_hold_the_share_of_a_unit_as_often_as_they_say():
    hits, tries, own = counts(0.3, 4.0, 20_000, 5)
    mean, low, high = fit(hits, tries).posterior(hits, tries)
    inside = ((low <= own) & (own <= high)).mean()
    # Over units drawn from the law a posterior's 95 % is exact: binomial error of 20,000 is 0.15
    # points, three of them, and as much again for the fitted law.
    assert inside == pytest.approx(0.95, abs=0.009)
    assert ((low <= mean) & (mean <= high)).all()
    assert mean == pytest.approx(
        stats.beta(0.3 * 4 + hits, 0.7 * 4 + tries - hits).mean(), abs=0.02
    )
    raw = hits / tries
    assert ((mean - own) ** 2).mean() < 0.6 * ((raw - own) ** 2).mean()


def test_where_nobody_differs_everybody_has_the_mean():
    rng = np.random.default_rng(8)
    told = []
    for _ in range(60):
        tries = rng.integers(1, 10, 200)
        prior = fit(rng.binomial(tries, 0.4), tries)
        told.append(prior.differ)
        if not prior.differ:
            assert prior.weight == pytest.approx(tries.sum())
            mean, low, high = prior.posterior([0, 9], [9, 9])
            assert np.ptp(mean) < 0.02 and (high - low < 0.1).all()
    # 5 % of 60 is 3, with a standard deviation of 1.7; the test errs to the rare side.
    assert sum(told) <= 9


def test_fractions_of_a_try_count():
    prior = fit([0.5, 1.5, 0.0, 2.25], [1.5, 2.5, 3.0, 4.25])
    assert 0 < prior.mean < 1 and prior.n_tries == pytest.approx(11.25)
    mean, low, high = prior.posterior(0.0, 0.0)
    assert float(mean) == pytest.approx(prior.mean) and low < mean < high


def test_nothing_tried_is_refused():
    with pytest.raises(TooLittleData, match="nothing to learn from"):
        fit([0, 0], [0, 0])


@pytest.mark.parametrize("hits", [0, 1])
def test_all_or_none_is_no_trouble(hits):
    prior = fit(np.full(50, hits * 4), np.full(50, 4))
    assert not prior.differ and abs(prior.mean - hits) < 0.01
