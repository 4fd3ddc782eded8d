"""Gamma-Gamma: the published parameters, Bayes on a grid, planted parameters recovered."""

import numpy as np
import pandas as pd
import pytest
from planted_buyers import SPEND
from scipy import optimize, stats

from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.customers.spend import GammaGamma, fit_gamma_gamma, independence, terms_of


def draw(n: int, seed: int, spend: GammaGamma = SPEND, tied: float = 0.0) -> pd.DataFrame:
    """n customers: how many orders, and their mean value; `tied` lifts it with their number."""
    rng = np.random.default_rng(seed)
    count = 1 + rng.negative_binomial(0.5, 0.2, n)
    level = rng.gamma(spend.q, 1 / spend.gamma, n)
    mean = rng.gamma(spend.p * count, 1 / level) / count
    return pd.DataFrame({"n": count, "mean": mean * count**tied})


def test_published_parameters_of_cdnow(shared_data):
    """Fader and Hardie (2013), section 4: p 6.25, q 3.74, gamma 15.44, of 946 customers with a
    repeat order and a mean of $35.08; CLVTools' test of correctness has LL -4055.9177."""
    d = pd.read_parquet(shared_data / "cdnow" / "cdnow_sample.parquet")
    d = d[pd.to_datetime(d.date) < "1997-10-01"]
    days = d.groupby(["sample_id", "date"], as_index=False).dollar_value.sum()
    first = days.groupby("sample_id").date.transform("min")
    repeats = days[days.date > first].groupby("sample_id").dollar_value.agg(["size", "mean"])
    got = fit_gamma_gamma(repeats["size"], repeats["mean"])
    assert [round(value, 2) for value in (got.p, got.q, got.gamma)] == [6.25, 3.74, 15.44]
    assert round(got.log_likelihood, 4) == -4055.9177
    assert got.converged and got.n == 946
    assert repeats["mean"].mean() == pytest.approx(35.08, abs=0.005)
    assert got.log_likelihood_of(repeats["size"], repeats["mean"]) == pytest.approx(-4055.9177)
    # The note: a correlation of 0.11 with the largest spender in.
    apart = independence(repeats["size"], repeats["mean"])
    assert apart.plain == pytest.approx(0.11, abs=0.005)
    assert not apart.broken and apart.low < apart.correlation < apart.high


def test_the_slopes_are_those_of_the_likelihood():
    seen, at = draw(200, 3), np.array([2.0, 3.0, 40.0])
    n, mean = seen.n.to_numpy(float), seen["mean"].to_numpy(float)
    plain = optimize.approx_fprime(at, lambda v: terms_of(v, n, mean)[0].sum(), 1e-7)
    assert terms_of(at, n, mean)[1].sum(axis=1) == pytest.approx(plain, rel=1e-4, abs=1e-3)


def test_expected_value_is_bayes_on_a_grid():
    """The mean of p / nu under the posterior of nu, with no formula of the note in it."""
    nu = np.linspace(1e-5, 1.5, 400_000)
    prior = stats.gamma(SPEND.q, scale=1 / SPEND.gamma).pdf(nu)
    for n, mean in ((0, 0.0), (1, 20.0), (3, 90.0), (40, 30.0)):
        seen = stats.gamma(SPEND.p * n, scale=1 / nu).pdf(n * mean) if n else 1.0
        weight = prior * seen
        want = (weight * SPEND.p / nu).sum() / weight.sum()
        assert SPEND.expected_value(n, mean)[0] == pytest.approx(want, rel=1e-4)
    assert SPEND.mean == pytest.approx(SPEND.expected_value(0, np.nan)[0])


def test_planted_parameters_are_recovered():
    """The log-likelihood at the truth lies within chi2(3)/2 of the maximum: 10.6 at 99.99 %."""
    seen = draw(8000, 1)
    got = fit_gamma_gamma(seen.n, seen["mean"])
    gap = got.log_likelihood - SPEND.log_likelihood_of(seen.n, seen["mean"])
    assert got.converged and 0 <= gap < 10.6
    assert got.mean == pytest.approx(SPEND.mean, rel=0.03)


def test_weights_are_repeated_rows_and_units_change_gamma_alone():
    seen = draw(600, 2).round({"mean": 0})
    seen = seen[seen["mean"] > 0]
    grouped = seen.groupby(["n", "mean"]).size().rename("w").reset_index()
    one = fit_gamma_gamma(seen.n, seen["mean"])
    other = fit_gamma_gamma(grouped.n, grouped["mean"], grouped.w)
    cents = fit_gamma_gamma(seen.n, 100 * seen["mean"])
    assert (other.p, other.q, other.gamma) == pytest.approx((one.p, one.q, one.gamma), rel=1e-4)
    assert (cents.p, cents.q, cents.gamma) == pytest.approx(
        (one.p, one.q, 100 * one.gamma), rel=1e-4
    )
    assert cents.log_likelihood == pytest.approx(one.log_likelihood - one.n * np.log(100))


def test_independence_is_told_from_dependence():
    """Intervals hold 0 where the two are independent: in 200 draws 95 % with four standard errors
    of a share, 0.89 to 1; skewed values do not deceive it. A planted tie is found."""
    inside = 0
    for seed in range(200):
        found = independence(*draw(400, 1000 + seed).to_numpy(float).T)
        inside += found.low <= 0 <= found.high
    assert inside >= 0.89 * 200
    tied = draw(2000, 5, tied=0.25)
    found = independence(tied.n, tied["mean"])
    assert found.broken and "more an order" in found.sentence
    few = independence([1, 2], [3.0, 4.0])
    assert not few.broken and np.isnan(few.correlation)


def test_an_infinite_mean_is_not_a_number():
    heavy = GammaGamma(2.0, 0.8, 10.0, 0.0, True, 0)
    assert np.isnan(heavy.mean) and np.isnan(heavy.expected_value(0, 0)[0])
    assert heavy.expected_value(1, 30.0)[0] == pytest.approx(2 * (10 + 30) / (2 + 0.8 - 1))


@pytest.mark.parametrize(
    ("n", "mean", "place"),
    [
        ([0] * 40, [1.0] * 40, "n_orders"),
        ([2] * 40, [0.0] * 40, "mean_value"),
        ([2] * 40, [np.nan] * 40, "mean_value"),
        ([-1] * 40, [1.0] * 40, "n_orders"),
    ],
)
def test_impossible_spending_is_refused(n, mean, place):
    with pytest.raises(Refusal) as told:
        fit_gamma_gamma(n, mean)
    assert told.value.place == place


@pytest.mark.parametrize(
    ("n", "mean"), [([2] * 5, [1.0] * 5), ([1] * 40, range(1, 41)), ([2] * 40, [7.0] * 40)]
)
def test_too_little_to_fit_is_said(n, mean):
    with pytest.raises(TooLittleData):
        fit_gamma_gamma(list(n), list(mean))
