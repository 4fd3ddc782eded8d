"""Evaluation: equal to the plain measures, intervals that cover, tables a person can count."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cdp_lib.checks import Refusal
from cdp_lib.predict import evaluate, ranking, reliability, resample
from cdp_lib.predict.subgroups import holm, stability_table, subgroup_table


def sample(seed: int, n: int, shift: float = -1.0, bold: float = 1.0):
    """y drawn with its true probability, and p that is `bold` times too steep in the logit."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + shift
    true = 1 / (1 + np.exp(-x))
    return (rng.random(n) < true).astype(int), 1 / (1 + np.exp(-bold * x))


def measures(y, p, **options) -> pd.DataFrame:
    return evaluate.score_table(y, p, **options).set_index("measure")


@pytest.mark.parametrize("digits", [16, 1])
def test_the_measures_equal_scikit_learn_and_statsmodels(digits):
    import statsmodels.api as sm
    from sklearn import metrics

    y, p = sample(1, 3000)
    p = np.clip(np.round(p, digits), 0.05, 0.95)
    got = measures(y, p, n_boot=2).value
    assert got.auc == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)
    assert got.pr_auc == pytest.approx(metrics.average_precision_score(y, p), abs=1e-12)
    assert got.brier == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)
    assert got.log_loss == pytest.approx(metrics.log_loss(y, p), abs=1e-12)
    logit = np.log(p / (1 - p))
    slope = sm.Logit(y, sm.add_constant(logit)).fit(disp=0).params[1]
    family = sm.families.Binomial()
    shift = sm.GLM(y, np.ones(len(y)), offset=logit, family=family).fit().params[0]
    assert got.calibration_slope == pytest.approx(slope, abs=1e-8)
    assert got.calibration_intercept == pytest.approx(shift, abs=1e-8)


def test_ece_by_hand():
    """Two values of p, so two bins: gaps 0.2 - 0.5 and 0.8 - 0.75, each on half of the rows."""
    y = [1, 0, 1, 0, 1, 1, 1, 0]
    p = [0.2] * 4 + [0.8] * 4
    got = measures(y, p, n_boot=2).value
    assert got.ece == pytest.approx((0.3 + 0.05) / 2)
    assert got.ece_floor == pytest.approx(np.sqrt(2 / np.pi) * 2 * np.sqrt(4 * 0.16) / 8)


def test_the_floor_is_what_a_calibrated_model_shows():
    """Mean ECE of 300 calibrated samples; its standard error is below 2 % of it."""
    shown, floor = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.05, 0.9, 2000)
        y = (rng.random(2000) < p).astype(int)
        bins = reliability.equal_bins(p)
        shown.append(np.abs(reliability.bin_gaps(np.ones((1, 2000)), y - p, bins)).sum())
        floor.append(reliability.ece_floor(p, bins))
    assert np.mean(shown) == pytest.approx(np.mean(floor), rel=0.06)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(int, st.integers(2, 40), elements=st.integers(0, 1)),
    st.integers(1, 5),
    st.integers(0, 10_000),
)
def test_auc_is_the_share_of_pairs(y, n_values, seed):
    score = np.random.default_rng(seed).integers(0, n_values, len(y))
    ones, zeros = score[y == 1], score[y == 0]
    got = ranking.auc_of(y, score)
    if not len(ones) or not len(zeros):
        assert np.isnan(got)
    else:
        pairs = np.sign(np.subtract.outer(ones, zeros)) / 2 + 0.5
        assert got == pytest.approx(pairs.mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 29))
def test_ties_at_the_edge_are_shared_as_over_random_orders(seed, n_contacts):
    """The mean over 4,000 random orders: hits vary by at most sqrt(30)/2, so 5 se is 0.22."""
    rng = np.random.default_rng(seed)
    y, score = rng.integers(0, 2, 30), rng.integers(0, 4, 30)
    sums = ranking.rank(y, score).sums(np.ones((1, 30)))
    got = ranking.caught(sums, n_contacts / 30)[0]
    order = np.argsort(-(score + rng.random((4000, 30)) * 0.5), axis=1)
    plain = y[order[:, :n_contacts]].sum(axis=1).mean()
    assert got == pytest.approx(plain, abs=0.22)


def test_a_weight_is_a_repeated_row():
    y, p = sample(3, 400)
    p = np.round(p, 2)
    weights = next(resample.draws(400, n_boot=3))
    for weight, row in zip(weights, range(3), strict=True):
        again = np.repeat(np.arange(400), weight.astype(int))
        sums = ranking.rank(y, p).sums(weights)
        plain = ranking.rank(y[again], p[again]).sums(np.ones((1, len(again))))
        for measure in (ranking.auc, ranking.average_precision):
            assert measure(sums)[row] == pytest.approx(measure(plain)[0], abs=1e-12)
        assert ranking.caught(sums, 0.3)[row] == pytest.approx(ranking.caught(plain, 0.3)[0])


def test_one_step_slopes_are_the_full_fits():
    """The one step errs by O(1/n), the spread is O(1/sqrt(n)): on average under a tenth of it."""
    y, p = sample(4, 2000, bold=1.5)
    line = reliability.Line(y.astype(float), p)
    weights = next(resample.draws(2000, n_boot=25))
    again = [np.repeat(np.arange(2000), weight.astype(int)) for weight in weights]
    fits = [reliability.Line(y[rows].astype(float), p[rows]) for rows in again]
    slopes = np.array([fit.slope for fit in fits])
    assert np.sqrt(np.mean((line.slopes(weights) - slopes) ** 2)) < slopes.std() / 10
    shifts = np.array([fit.intercept for fit in fits])
    assert np.sqrt(np.mean((line.intercepts(weights) - shifts) ** 2)) < shifts.std() / 10


@pytest.mark.parametrize("repeats", [1, 4])
def test_intervals_hold_the_truth_as_often_as_they_say(repeats):
    """120 samples of 1,500 rows, of customers with `repeats` equal rows each.

    The truth comes from 400,000 rows. A 95 % interval holds it in 114 of 120 on average; 105 or
    fewer has probability 1e-4 (binomial), and drawing rows instead of customers gives about 70 %
    at 4 rows a customer.
    """
    y, p = sample(0, 400_000, bold=1.3)
    truth = measures(y, p, n_boot=1).value
    held = dict.fromkeys(("auc", "pr_auc", "brier", "log_loss", "calibration_slope"), 0)
    for seed in range(1, 121):
        y, p = sample(seed, 1500 // repeats, bold=1.3)
        ids = np.repeat(np.arange(len(y)), repeats)
        got = measures(np.repeat(y, repeats), np.repeat(p, repeats), ids=ids, n_boot=200, seed=seed)
        for name in held:
            held[name] += got.low[name] <= truth[name] <= got.high[name]
    assert min(held.values()) > 105, held


def test_the_interval_of_the_ece_holds_its_truth():
    """True ECE: 0 for calibrated p, else from a million rows; 100 samples each, 95 % or more."""
    for bold in (1.0, 1.6):
        y, p = sample(0, 1_000_000, bold=bold)
        truth = measures(y, p, n_boot=1).value.ece if bold > 1 else 0.0
        got = [measures(*sample(s, 2000, bold=bold), n_boot=100).loc["ece"] for s in range(1, 101)]
        assert sum(row.low <= truth <= row.high for row in got) >= 90


def test_undefined_is_nan():
    got = measures([0, 0, 0], [0.1, 0.2, 0.3], n_boot=20)
    for name in ("auc", "pr_auc", "calibration_slope", "calibration_intercept"):
        assert np.isnan(got.value[name]) and np.isnan(got.low[name])
    assert got.value.brier == pytest.approx((0.01 + 0.04 + 0.09) / 3)
    flat = measures([0, 1, 0, 1], [0.3] * 4, n_boot=20).value
    assert flat.auc == 0.5 and np.isnan(flat.calibration_slope)
    assert flat.calibration_intercept == pytest.approx(np.log(0.7 / 0.3))
    apart = measures([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], n_boot=20).value
    assert apart.auc == 1 and np.isnan(apart.calibration_slope)


def test_bad_input_is_refused():
    with pytest.raises(Refusal, match="an outcome is 0 or 1"):
        evaluate.score_table([0, 2], [0.1, 0.2])
    with pytest.raises(Refusal, match="not a probability"):
        evaluate.score_table([0, 1], [0.1, 1.2])
    with pytest.raises(Refusal, match="not a probability"):
        evaluate.score_table([0, 1], [0.1, np.nan])
    with pytest.raises(Refusal, match="not a row of outcomes"):
        evaluate.score_table([], [])
    with pytest.raises(Refusal, match="more than 50 values"):
        subgroup_table([0, 1] * 30, [0.5] * 60, np.arange(60))


def test_calibration_table_by_hand():
    y = [0, 0, 1, 0, 1, 1]
    p = [0.1, 0.1, 0.2, 0.6, 0.7, 0.7]
    got = evaluate.calibration_table(y, p, n_bins=2)
    assert got.n.tolist() == [3, 3] and got.n_hit.tolist() == [1, 2]
    assert got.predicted.tolist() == pytest.approx([0.4 / 3, 2 / 3])
    assert (got.low < got.observed).all() and (got.observed < got.high).all()


def test_gain_and_decile_tables_by_hand():
    """20 customers by falling p, outcomes at places 1, 2, 4 and 12; everyone is worth 5."""
    p = np.linspace(0.95, 0.05, 20)
    y = np.isin(np.arange(1, 21), (1, 2, 4, 12)).astype(int)
    gain = evaluate.gain_table(y, p, n_points=10)
    assert gain.found.tolist()[:4] == [0, 0.5, 0.75, 0.75] and gain.found.iloc[-1] == 1
    assert gain.lift[1] == 5 and np.isnan(gain.lift[0])
    tenth = evaluate.decile_table(y, p, value=np.full(20, 5.0))
    assert tenth.n_hit.tolist() == [2, 1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert tenth.found.tolist() == [0.5, 0.75, 0.75, 0.75, 0.75, 1, 1, 1, 1, 1]
    assert tenth.value.tolist() == [10.0] * 10 and tenth.value_hit[0] == 10


def test_a_group_that_is_off_is_found_and_the_others_are_not():
    """Five groups of 4,000; in one the odds are 1.5 times as high: z is about 9 there.

    Holm holds the chance of any false verdict at 5 %: at most 6 of 40 repeats has p = 0.986.
    """
    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        group = rng.integers(0, 5, 20_000)
        odds = np.exp(rng.normal(size=20_000) - 1)
        p = odds / (1 + odds)
        off = np.where(group == 3, odds * 1.5, odds)
        y = (rng.random(20_000) < off / (1 + off)).astype(int)
        got = subgroup_table(y, p, pd.Series(group, name="city")).set_index("group")
        assert got.verdict[3] == "more than predicted"
        false += (got.verdict.drop(3) != "as predicted").any()
    assert false <= 6


def test_groups_by_hand():
    frame = pd.DataFrame({"a": ["x"] * 12 + [None] * 4, "b": [True] * 16})
    y, p = [1] * 6 + [0] * 10, [0.5] * 12 + [0.25] * 4
    got = subgroup_table(y, p, frame)
    assert got.grouping.tolist() == ["a", "a", "b"] and got.n.tolist() == [12, 4, 16]
    assert got.difference.tolist() == pytest.approx([0, -0.25, 6 / 16 - 7 / 16])
    assert got.verdict.tolist() == ["as predicted", "too few to tell", "as predicted"]


def test_holm_equals_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random(20) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_stability_is_each_cutoff_by_itself():
    y, p = sample(5, 900)
    when = np.repeat(pd.to_datetime(["2026-01-05", "2026-01-12", "2026-01-19"]), 300)
    got = stability_table(y, p, when, n_boot=50)
    assert got.cutoff.tolist() == sorted(set(when)) and got.n.tolist() == [300] * 3
    alone = measures(y[300:600], p[300:600], n_boot=50)
    assert got.auc[1] == alone.value.auc and got.auc_low[1] == alone.low.auc


def test_the_same_seed_gives_the_same_bytes():
    y, p = sample(6, 500)
    first, again = (evaluate.score_table(y, p, n_boot=50) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
