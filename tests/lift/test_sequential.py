"""Looking often, comparing much: the promises that hold then."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cdp_lib.lift.multiplicity import benjamini_hochberg, holm
from cdp_lib.lift.sequential import always_valid, tuning, width

LOOKS = 28


def walks(n, looks, seed):
    """Estimates of no effect at each of many looks, in standard errors; a row a world."""
    steps = np.random.default_rng(seed).normal(size=(n, looks))
    return np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, looks + 1))


@pytest.mark.parametrize("n", [4000, pytest.param(40_000, marks=pytest.mark.proof)])
def test_looking_every_day_is_legitimate_and_naive_looking_is_not(n):
    z, information = walks(n, LOOKS, 11), np.arange(1, LOOKS + 1) / LOOKS
    naive = (np.abs(z) > 1.959964).any(axis=1).mean()
    low, high = always_valid(z, np.ones(LOOKS), information)
    false = ((low > 0) | (high < 0)).any(axis=1).mean()
    error = 4 * math.sqrt(0.27 * 0.73 / n)
    # McPherson (1974): 25 looks give 26.6 %, 50 give 32 %; 28 lie between.
    assert 0.25 - error < naive < 0.29 + error
    # At most 5 %, to four standard errors of the count.
    assert false <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / n)


def test_it_is_narrowest_where_it_was_tuned():
    around = width(np.array([0.9, 1.0, 1.1]))
    spread = around * np.sqrt(1 / np.array([0.9, 1.0, 1.1]))
    # The half-width in units of the effect times sqrt(n): flat at r = 1 relative to its neighbours.
    grid = [np.sqrt((1 + 1 / v) * np.log((1 + v) / 0.05**2)) for v in (7.0, tuning(), 9.0)]
    assert grid[1] <= min(grid[0], grid[2]) + 1e-4
    assert (np.diff(spread) < 0).all(), "more data, a narrower interval"


@given(st.floats(0.001, 50), st.sampled_from([0.01, 0.05, 0.2]))
def test_it_is_wider_than_one_look_and_wider_for_more_certainty(information, alpha):
    assert width(information, alpha) > stats.norm.isf(alpha / 2)
    assert width(information, alpha / 2) > width(information, alpha)


def test_without_information_nothing_is_known():
    assert math.isnan(width(0.0)) and math.isnan(always_valid(1.0, float("nan"))[0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_pvalues_are_scipys_and_keep_their_order(pvalues):
    assert np.allclose(
        benjamini_hochberg(pvalues), stats.false_discovery_control(pvalues, method="bh")
    )
    adjusted = holm(pvalues)
    assert (adjusted >= np.array(pvalues) - 1e-15).all() and adjusted.max() <= 1
    order = np.argsort(pvalues, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    # By its definition: reject in order while p <= alpha / (m - i).
    m, rejected = len(pvalues), []
    for at, p in enumerate(np.sort(pvalues)):
        if p > 0.05 / (m - at):
            break
        rejected.append(p)
    near = np.abs(adjusted - 0.05) < 1e-9
    assert near.any() or (adjusted <= 0.05).sum() == len(rejected)


def test_a_comparison_that_was_not_made_costs_nothing():
    assert holm([0.02, float("nan"), 0.03]).tolist()[::2] == [0.04, 0.04]
    assert math.isnan(holm([0.02, float("nan")])[1])
