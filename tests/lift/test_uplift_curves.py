"""Measured effects and the curves over them: by hand, by brute force, by theory."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cdp_lib.checks import Refusal
from cdp_lib.lift import uplift_curves as curves

FEW = settings(max_examples=25, deadline=None)
NUMBERS = arrays(float, 30, elements=st.floats(-5, 5, allow_nan=False, width=16))


def test_measured_effects_by_hand():
    # Half are treated, so a treated unit counts 2 (y - m), a held-out one -2 (y - m).
    got = curves.measured([1, 0, 1, 0], [1, 1, 0, 0], 0.5, np.array([0.5, 0.5, 0.0, 0.0]))
    assert got.tolist() == [1.0, -1.0, -2.0, 0.0]


def test_their_mean_is_the_difference_of_the_arms():
    rng = np.random.default_rng(1)
    z = np.r_[np.ones(300), np.zeros(700)]
    y = rng.normal(size=1000) + z
    got = curves.measured(y, z, 0.3).mean()
    assert got == pytest.approx(y[z == 1].mean() - y[z == 0].mean())


def test_a_guess_leaves_the_mean_and_narrows_the_scatter():
    rng = np.random.default_rng(2)
    n = 40_000
    x = rng.normal(size=n)
    z = rng.random(n) < 0.3
    y = 3 * x + 0.5 * z + rng.normal(size=n)
    plain, helped = curves.measured(y, z, 0.3), curves.measured(y, z, 0.3, 3 * x)
    # Standard errors are about 0.035 and 0.011.
    assert plain.mean() == pytest.approx(0.5, abs=0.14)
    assert helped.mean() == pytest.approx(0.5, abs=0.045)
    assert helped.std() < 0.4 * plain.std()


def test_places_in_an_order_by_hand():
    assert curves.standing(np.array([9, 5, 7, 1])).tolist() == [0.125, 0.625, 0.375, 0.875]
    assert curves.standing(np.array([2, 2, 1, 1])).tolist() == [0.25, 0.25, 0.75, 0.75]
    folds = curves.standing(np.array([9, 5, 900, 1]), np.array([0, 0, 1, 1]))
    assert folds.tolist() == [0.25, 0.75, 0.25, 0.75]


@pytest.mark.parametrize(
    ("first", "wanted"), [(0.25, [0.5, 0.5, 0, 0]), (0.5, [1, 1, 0, 0]), (0.75, [1, 1, 0.5, 0.5])]
)
def test_ties_share_what_is_left(first, wanted):
    order = curves.standing(np.array([2, 2, 1, 1]))
    assert curves.share_within(order, first).tolist() == wanted


@FEW
@given(NUMBERS, st.floats(0.01, 1))
def test_the_first_share_is_of_that_size(score, first):
    score = np.round(score)  # so that there are ties
    assert curves.share_within(curves.standing(score), first).mean() == pytest.approx(first)


def brute_gain(effects, score, n_first):
    """The mean gain of treating the first n of an order, ties in every order, by permutation."""
    frame = pd.DataFrame({"e": effects, "s": score})
    mean = frame.groupby("s")["e"].mean()
    ranked = frame.sort_values("s", ascending=False)["s"].to_numpy()
    return sum(mean[s] for s in ranked[:n_first]) / len(score)


@FEW
@given(NUMBERS, NUMBERS)
def test_curve_and_table_equal_brute_force(effects, score):
    score = np.round(score)
    n = len(score)
    gains = np.array([brute_gain(effects, score, k) for k in range(n + 1)])
    table = curves.score_table(effects, {"it": score}, at=(0.2, 1.0), n_boot=5).iloc[0]
    # The area under the polygon through the gains.
    area = ((gains[1:] + gains[:-1]) / 2).sum() / n
    assert table.auuc == pytest.approx(area, abs=1e-9)
    assert table.qini == pytest.approx(area - gains[-1] / 2, abs=1e-9)
    assert table.uplift_at_20 == pytest.approx(gains[6] / 0.2, abs=1e-9)
    assert table.uplift_at_100 == pytest.approx(effects.mean(), abs=1e-9)
    curve = curves.curve_table(effects, {"it": score}, n_boot=5)
    assert curve.gain.iloc[[0, 10, 50]].tolist() == pytest.approx(gains[[0, 6, 30]], abs=1e-9)


@FEW
@given(NUMBERS, NUMBERS)
def test_the_reverse_of_an_order_has_the_opposite_qini(effects, score):
    table = curves.score_table(effects, {"a": score, "b": -score, "c": score * 0}, n_boot=5)
    found = table.set_index("candidate").qini
    assert found["a"] == pytest.approx(-found["b"], abs=1e-9)
    assert found["c"] == pytest.approx(0, abs=1e-12)


def test_radcliffes_curve_of_equal_arms():
    """With arms of equal size at every cut, the gain is Radcliffe's treated less held-out count."""
    rng = np.random.default_rng(3)
    n = 2000
    z = np.tile([1, 0], n // 2)
    y = (rng.random(n) < 0.2).astype(float)
    score = np.repeat(rng.permutation(n // 2), 2)  # a treated and a held-out unit side by side
    curve = curves.curve_table(curves.measured(y, z, 0.5, np.zeros(n)), {"it": score}, n_boot=5)
    order = np.argsort(-score, kind="stable")[: n // 2]
    wanted = (y[order] * z[order]).sum() - (y[order] * (1 - z[order])).sum()
    assert curve.gain.iloc[25] == pytest.approx(2 * wanted / n)


def test_intervals_are_as_wide_as_theory_says():
    rng = np.random.default_rng(4)
    effects, score = rng.normal(size=5_000), rng.normal(size=5_000)
    row = curves.score_table(effects, {"it": score}, n_boot=2000).iloc[0]
    error = (effects * (0.5 - curves.standing(score))).std() / np.sqrt(5_000)
    # Percentiles of 2,000 samples scatter by about 2.5 %; the interval of four of these.
    assert (row.qini_high - row.qini_low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.1)
    first = (row.uplift_at_20_high - row.uplift_at_20_low) / (2 * 1.96 / np.sqrt(1000))
    assert first == pytest.approx(1, abs=0.1)
    both = curves.score_table(effects, {"it": score}, n_boot=2000, tested=2).iloc[0]
    assert both.qini_high - both.qini_low > row.qini_high - row.qini_low


def test_a_person_with_many_rows_is_one_draw():
    rng = np.random.default_rng(5)
    ids = np.repeat(np.arange(500), 8)
    effects = np.repeat(rng.normal(size=500), 8)
    _, alone = curves.sums(effects[:, None])
    _, together = curves.sums(effects[:, None], ids)
    assert together.std() / alone.std() == pytest.approx(np.sqrt(8), rel=0.15)


@pytest.mark.parametrize(
    ("scores", "at", "told"),
    [
        ({}, (0.2,), "nothing to judge"),
        ({"it": np.zeros(3)}, (0.2,), "not a number a unit"),
        ({"it": np.array([1.0, np.nan])}, (0.2,), "not a number a unit"),
        ({"it": np.zeros(2)}, (1.2,), "must lie in"),
        ({"it": np.zeros(2)}, (0.0,), "greater than 0"),
    ],
)
def test_bad_input_is_refused(scores, at, told):
    with pytest.raises(Refusal, match=told):
        curves.score_table(np.ones(2), scores, at=at)
