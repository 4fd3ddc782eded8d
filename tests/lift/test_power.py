"""Power and sample size: against simulation, another library, and each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cdp_lib.checks import Refusal
from cdp_lib.lift import design

DRAWS = 40_000  # the standard error of a simulated power of 0.8 is then 0.2 points
POINT = 0.01


def welch(n, mean, var, alpha=0.05):
    """Share of the draws in which Welch's test rejects; each argument holds (treated, holdout)."""
    parts = [v / m for v, m in zip(var, n, strict=True)]
    freedom = (parts[0] + parts[1]) ** 2 / sum(
        p**2 / (m - 1) for p, m in zip(parts, n, strict=True)
    )
    t = np.abs(mean[0] - mean[1]) / np.sqrt(parts[0] + parts[1])
    return float((t > stats.t.ppf(1 - alpha / 2, freedom)).mean())


def drawn(rng, n, values, chances):
    """Means and variances of DRAWS samples of n units from a law with few values, exactly."""
    counts = rng.multinomial(n, chances, DRAWS)
    mean = counts @ values / n
    return mean, (counts @ values**2 - n * mean**2) / (n - 1)


def moments(values, chances):
    mean = chances @ values
    sd = np.sqrt(chances @ (values - mean) ** 2)
    return mean, sd, chances @ (values - mean) ** 3 / sd**3


def money(buyers=0.03, tail=1.1):
    """Revenue a unit: most bring nothing, the others a log-normal basket in 80 steps."""
    steps = (np.arange(80) + 0.5) / 80
    baskets = np.exp(3.5 + tail * stats.norm.ppf(steps))
    return np.append(0.0, baskets), np.append(1 - buyers, np.full(80, buyers / 80))


@pytest.mark.parametrize("holdout", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize(("rate", "lift"), [(0.03, 0.01), (0.3, 0.05), (0.3, -0.05)])
def test_power_of_a_conversion_is_what_simulation_finds(rate, lift, holdout):
    rng = np.random.default_rng(1)
    sds = design.conversion_sd(rate), design.conversion_sd(rate + lift)
    total = design.sample_size(lift, sds[0], holdout, sd_treated=sds[1])
    n = round(total * (1 - holdout)), round(total * holdout)
    p = rng.binomial(n[0], rate + lift, DRAWS) / n[0], rng.binomial(n[1], rate, DRAWS) / n[1]
    found = welch(n, p, [q * (1 - q) * m / (m - 1) for q, m in zip(p, n, strict=True)])
    skew = (1 - 2 * rate) / design.conversion_sd(rate)
    stated = design.power(*n, lift, sds[0], sd_treated=sds[1])
    off = design.skew_error(*n, lift, sds[0], skew)
    assert stated == pytest.approx(0.8, abs=0.002)
    assert found == pytest.approx(stated + off, abs=POINT)
    if abs(off) < POINT / 2:
        assert found == pytest.approx(stated, abs=POINT)


@pytest.mark.parametrize("holdout", [0.05, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("units", [30_000, 300_000])
def test_power_of_money_with_a_heavy_tail_is_what_simulation_finds(units, holdout):
    """Skewness 12: a basket's sd is 0.95 of its mean, and three units in a hundred buy."""
    rng, (values, chances) = np.random.default_rng(2), money(tail=0.8)
    _, sd, skewness = moments(values, chances)
    n = round(units * (1 - holdout)), round(units * holdout)
    lift = design.mde(*n, sd, skewness=skewness)
    # The effect is a shift here, so both arms have the same spread, as the formula assumes.
    samples = [drawn(rng, m, values, chances) for m in n]
    found = welch(n, (samples[0][0] + lift, samples[1][0]), [v for _, v in samples])
    assert design.trusted(*n, skewness)
    assert found == pytest.approx(0.8, abs=POINT)


def test_where_the_normal_law_fails_the_plan_says_by_how_much():
    """1,500 of 15,000 held out, skewness 12: the test finds four points less than it says."""
    rng, (values, chances) = np.random.default_rng(3), money(tail=0.8)
    _, sd, skewness = moments(values, chances)
    n = 13_500, 1_500
    lift = design.mde(*n, sd)
    samples = [drawn(rng, m, values, chances) for m in n]
    found = welch(n, (samples[0][0] + lift, samples[1][0]), [v for _, v in samples])
    off = design.skew_error(*n, lift, sd, skewness)
    assert found < 0.8 - 3 * POINT
    assert found == pytest.approx(0.8 + off, abs=POINT)
    # With arms of one size the skewness of the difference is 0, and the normal law holds.
    assert design.skew_error(7_500, 7_500, lift, sd, skewness) == 0
    # Of 200 held out nothing is promised.
    assert not design.trusted(15_000, 200, skewness)


@pytest.mark.parametrize("n", [(40, 10), (400, 40), (60, 60)])
def test_small_arms_need_students_t(n):
    rng = np.random.default_rng(4)
    lift = design.mde(*n, 2.0)
    arms = [rng.normal(0, 2.0, (DRAWS, m)) for m in n]
    means = arms[0].mean(axis=1) + lift, arms[1].mean(axis=1)
    found = welch(n, means, [arm.var(axis=1, ddof=1) for arm in arms])
    assert found == pytest.approx(0.8, abs=POINT)


def test_cuped_counts_by_its_squared_correlation():
    rng, r2, n = np.random.default_rng(5), 0.6, (540, 60)
    lift = design.mde(*n, 1.0, cuped_r2=r2)
    assert lift == pytest.approx(design.mde(*n, 1.0) * np.sqrt(1 - r2))
    # Past and outcome of each unit, correlated by sqrt(r2); slope estimated over both arms.
    x = rng.standard_normal((DRAWS // 4, sum(n)))
    y = np.sqrt(r2) * x + np.sqrt(1 - r2) * rng.standard_normal(x.shape)
    centred = x - x.mean(axis=1, keepdims=True)
    slope = (centred * y).sum(axis=1) / (centred**2).sum(axis=1)
    left = y - slope[:, None] * centred
    arms = left[:, : n[0]], left[:, n[0] :]
    means = arms[0].mean(axis=1) + lift, arms[1].mean(axis=1)
    found = welch(n, means, [arm.var(axis=1, ddof=1) for arm in arms])
    assert found == pytest.approx(0.8, abs=1.25 * POINT)  # a quarter of the draws: 0.4 points each


def test_power_of_a_ratio_by_the_delta_method():
    """Basket value: (orders, revenue) of a unit takes four values; the lift is on the ratio."""
    rng = np.random.default_rng(6)
    orders, spent = np.array([0.0, 1, 1, 2]), np.array([0.0, 20, 60, 90])
    chances = np.array([0.7, 0.15, 0.1, 0.05])
    w, y = chances @ orders, chances @ spent
    var_y, var_w = chances @ spent**2 - y**2, chances @ orders**2 - w**2
    sd = design.ratio_sd(y, w, var_y, var_w, chances @ (orders * spent) - y * w)
    n = 4_000, 2_000
    lift = design.mde(*n, sd)
    ratios, variances = [], []
    for m, more in zip(n, (lift, 0.0), strict=True):
        counts = rng.multinomial(m, chances, DRAWS)
        money = spent + more * orders
        mean_y, mean_w = counts @ money / m, counts @ orders / m
        ratio = mean_y / mean_w
        residual = counts @ money**2 - 2 * ratio * (counts @ (money * orders))
        residual = residual + ratio**2 * (counts @ orders**2)
        ratios.append(ratio)
        variances.append(residual / (m - 1) / mean_w**2)
    assert welch(n, ratios, variances) == pytest.approx(0.8, abs=POINT)


def test_the_same_as_statsmodels():
    known = pytest.importorskip("statsmodels.stats.power")
    normal = known.NormalIndPower()
    for treated, holdout, effect in [(9_000, 1_000, 0.1), (5_000, 5_000, 0.05), (20_000, 600, 0.2)]:
        theirs = normal.power(effect, treated, 0.05, ratio=holdout / treated)
        ours = design.power(treated, holdout, effect * 3, sd=3.0)
        # Above 1,000 degrees of freedom ours is the normal law; below, Welch's t.
        assert ours == pytest.approx(theirs, abs=1e-6 if holdout >= 1_000 else 2e-3)
    t = known.TTestIndPower().power(0.5, 50, 0.05)  # arms of one size: Student's and Welch's agree
    assert design.power(50, 50, 0.5, sd=1.0) == pytest.approx(t, abs=1e-9)


@given(
    holdout=st.floats(0.02, 0.98),
    effect=st.floats(0.01, 2) | st.floats(-2, -0.01),
    skewness=st.sampled_from([0.0, 2.0]),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
    wanted=st.sampled_from([0.5, 0.8, 0.95]),
)
def test_size_effect_and_power_are_one_relation(holdout, effect, alpha, wanted, skewness):
    n = design.sample_size(effect, 1.0, holdout, alpha, wanted, skewness=skewness)
    arms = n * (1 - holdout), n * holdout
    # A loss is found like a gain of the metric with its sign turned.
    gain, skew = abs(effect), skewness if effect > 0 else -skewness
    assert design.power(*arms, effect, 1.0, alpha, skewness=skewness) >= wanted - 1e-9
    found = design.mde(*arms, 1.0, alpha, wanted, skewness=skew)
    assert found <= gain + 1e-9
    assert design.power(*arms, found, 1.0, alpha, skewness=skew) == pytest.approx(wanted, abs=1e-9)
    fewer = (n - 1) * (1 - holdout), (n - 1) * holdout
    if min(fewer) >= 2:
        assert design.mde(*fewer, 1.0, alpha, wanted, skewness=skew) > gain


def test_the_mde_of_a_conversion_moves_with_its_own_variance():
    found = design.conversion_mde(9_000, 1_000, 0.02)
    sds = design.conversion_sd(0.02), design.conversion_sd(0.02 + found)
    assert design.power(9_000, 1_000, found, sds[0], sd_treated=sds[1]) == pytest.approx(0.8)
    assert found > design.mde(9_000, 1_000, sds[0])
    assert np.isnan(design.conversion_mde(5, 5, 0.9))


def test_undefined_is_nan_and_nonsense_is_refused():
    assert np.isnan(design.mde(100, 1, 1.0))
    assert np.isnan(design.power(0, 100, 0.1, 1.0))
    assert np.isnan(design.mde(100, 100, float("nan")))
    assert design.mde(100, 100, 0.0) == 0
    assert (design.power(10, 10, 0.1, 0.0), design.power(10, 10, 0.0, 0.0)) == (1.0, 0.0)
    assert design.power(50, 50, 0.0, 1.0) == pytest.approx(0.05)
    assert np.isnan(design.ratio_sd(1.0, 0.0, 1.0, 0.0, 0.0))
    for wrong in (
        {"alpha": 0}, {"alpha": 1}, {"power": 0.01}, {"power": 1}, {"cuped_r2": 1}, {"sd": -1},
        {"cuped_r2": -0.1}, {"n_holdout": -1}, {"sd_treated": -1},
    ):  # fmt: skip
        with pytest.raises(Refusal, match=next(iter(wrong))):
            design.mde(**{"n_treated": 100, "n_holdout": 100, "sd": 1.0} | wrong)
    for wrong in ({"abs_lift": 0}, {"abs_lift": float("nan")}, {"holdout": 0}, {"holdout": 1}):
        with pytest.raises(Refusal, match=next(iter(wrong))):
            design.sample_size(**{"abs_lift": 0.1, "sd": 1.0} | wrong)
    with pytest.raises(Refusal, match="no shop is large enough"):
        design.sample_size(1e-9, 1.0)
