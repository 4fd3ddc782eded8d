"""Effects and their intervals: tea-tasting's and statsmodels' figures, and what is undefined."""

import math

import numpy as np
import pandas as pd
import pytest

from cdp_lib.lift import cuped
from cdp_lib.lift.effect import effect
from cdp_lib.lift.exposure import exposed_effect
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.sums import of_frame

SPEND = Metric("spend", "revenue", "spend")
BASKET = Metric("basket", "ratio", "spend", per="orders", money=True)
COLUMNS = ["spend", "orders", "before", "age", "got"]
CLOSE = 1e-9


def shop(n=3000, seed=3):
    rng = np.random.default_rng(seed)
    kind = rng.gamma(1, 1, n)
    arm = np.where(rng.random(n) < 0.3, "holdout", "treated")
    orders = rng.poisson(0.3 * kind * np.where(arm == "treated", 1.2, 1.0))
    got = ((arm == "treated") & (rng.random(n) < 0.8)).astype(int)
    return pd.DataFrame(
        {
            "arm": arm,
            "orders": orders,
            "spend": orders * rng.lognormal(3, 0.6, n),
            "before": rng.poisson(1.5 * kind) * 20.0,
            "age": rng.normal(40, 10, n),
            "got": got,
        }
    )


DATA = shop()
ARMS = {arm: of_frame(rows, COLUMNS) for arm, rows in DATA.groupby("arm")}


def found(metric, covariates=()):
    return effect(ARMS["holdout"], ARMS["treated"], metric, covariates)


def agrees(one, other):
    for mine, theirs in (
        ("mean_control", "control"), ("mean_treated", "treatment"), ("abs_lift", "effect_size"),
        ("low", "effect_size_ci_lower"), ("high", "effect_size_ci_upper"),
        ("rel_lift", "rel_effect_size"), ("rel_low", "rel_effect_size_ci_lower"),
        ("rel_high", "rel_effect_size_ci_upper"), ("pvalue", "pvalue"),
    ):  # fmt: skip
        assert getattr(one, mine) == pytest.approx(getattr(other, theirs), rel=CLOSE), mine


@pytest.mark.parametrize("covariate", [None, "before"])
@pytest.mark.parametrize("metric", [SPEND, BASKET], ids=["mean", "ratio"])
def test_the_figures_are_tea_tastings(metric, covariate):
    import tea_tasting as tt

    test = tt.RatioOfMeans(metric.column, metric.per, covariate, use_t=True, equal_var=False)
    wanted = test.analyze(DATA, "holdout", "treated", "arm")
    agrees(found(metric, [covariate] if covariate else []), wanted)


def test_the_mean_is_statsmodels_welch_test():
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    groups = [DescrStatsW(DATA.spend[DATA.arm == arm]) for arm in ("treated", "holdout")]
    wanted = CompareMeans(*groups)
    one = found(SPEND)
    assert one.pvalue == pytest.approx(wanted.ttest_ind(usevar="unequal")[1], rel=CLOSE)
    assert (one.low, one.high) == pytest.approx(wanted.tconfint_diff(usevar="unequal"), rel=CLOSE)


def test_two_covariates_are_a_regression_on_both():
    import statsmodels.api as sm

    covariates = ["before", "age"]
    theta = cuped.weights(ARMS["holdout"] + ARMS["treated"], SPEND, covariates)
    wanted = sm.OLS(DATA.spend, sm.add_constant(DATA[covariates])).fit().params
    assert [theta[name] for name in covariates] == pytest.approx(
        wanted[covariates].tolist(), rel=1e-8
    )
    left = DATA.assign(spend=DATA.spend - DATA[covariates] @ wanted[covariates])
    parts = {arm: of_frame(rows, COLUMNS) for arm, rows in left.groupby("arm")}
    plain = effect(parts["holdout"], parts["treated"], SPEND)
    assert found(SPEND, covariates).abs_lift == pytest.approx(plain.abs_lift, rel=1e-8)
    assert found(SPEND, covariates).se == pytest.approx(plain.se, rel=1e-8)


def test_what_cuped_saves_is_the_squared_correlation():
    one = found(SPEND, ["before"])
    # The pooled correlation, and the arms' own spreads: equal but for what the arms differ in.
    assert one.cuped_saved == pytest.approx(DATA.spend.corr(DATA.before) ** 2, abs=0.02)
    assert one.raw_lift == pytest.approx(found(SPEND).abs_lift)


@pytest.mark.parametrize("covariates", [["flat"], ["before", "twice"], ["flat", "before"]])
def test_covariates_that_say_nothing_new_do_no_harm(covariates):
    data = DATA.assign(flat=1.0, twice=2 * DATA.before)
    parts = {arm: of_frame(rows, [*COLUMNS, "flat", "twice"]) for arm, rows in data.groupby("arm")}
    one = effect(parts["holdout"], parts["treated"], SPEND, covariates)
    alone = found(SPEND, [name for name in covariates if name == "before"])
    assert one.abs_lift == pytest.approx(alone.abs_lift) and one.se == pytest.approx(alone.se)


def test_undefined_is_not_a_number():
    nobody = of_frame(DATA.iloc[:0], COLUMNS)
    single = of_frame(DATA.iloc[:1], COLUMNS)
    flat = of_frame(DATA.assign(spend=2.0, orders=0), COLUMNS)
    for control in (nobody, single):
        one = effect(control, ARMS["treated"], SPEND)
        assert math.isnan(one.abs_lift) and math.isnan(one.low) and math.isnan(one.pvalue)
    assert math.isnan(effect(flat, ARMS["treated"], BASKET).abs_lift), "no orders, no basket"
    same = effect(flat, flat, SPEND)
    assert same.abs_lift == 0 and math.isnan(same.se) and math.isnan(same.low)
    loss = effect(ARMS["holdout"], of_frame(DATA.assign(spend=-DATA.spend), COLUMNS), SPEND)
    assert math.isfinite(loss.abs_lift) and math.isnan(loss.rel_lift)


def test_the_effect_on_the_reached_is_two_stage_least_squares():
    one = exposed_effect(ARMS["holdout"], ARMS["treated"], "spend", "got")
    z = (DATA.arm == "treated").astype(float).to_numpy()
    d, y = DATA.got.to_numpy(float), DATA.spend.to_numpy()
    # By hand: cov(z, y) / cov(z, d), with the residuals' heteroskedastic error.
    lift = np.cov(z, y)[0, 1] / np.cov(z, d)[0, 1]
    assert one.exposed_lift == pytest.approx(lift, rel=CLOSE)
    centred, residual = z - z.mean(), y - y.mean() - lift * (d - d.mean())
    se = math.sqrt((centred**2 * residual**2).sum()) / abs((centred * d).sum())
    assert (one.high - one.low) / 2 == pytest.approx(1.959964 * se, rel=2e-3)
    assert one.exposed_share == pytest.approx(d[z == 1].mean())
    assert math.isnan(exposed_effect(ARMS["holdout"], ARMS["holdout"], "spend", "got").exposed_lift)
