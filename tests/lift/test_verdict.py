"""What to do about an arm, and segments that are only told apart where they differ."""

import math

import numpy as np
import pandas as pd
import pytest

from cdp_lib.lift.gates import Gate
from cdp_lib.lift.segments import shrunk
from cdp_lib.lift.verdict import MOST_DAYS, verdict

FAIL = Gate("sample ratio", "fail", "sample ratio mismatch", "a against b")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"low": 1, "high": 3}, "scale"),
        ({"low": -3, "high": -1}, "stop"),
        ({"low": -1, "high": 3}, "cannot tell (MDE 2.86)"),
        ({"low": 1, "high": 3, "sign": -1}, "stop"),
        ({"low": -3, "high": -1, "sign": -1}, "scale"),
        ({"low": 1, "high": 3, "worth": 0.5}, "scale"),
        ({"low": 1, "high": 3, "worth": 4}, "stop"),
        ({"low": 1, "high": 3, "worth": 2}, "cannot tell (MDE 2.86)"),
        ({"low": 1, "high": 3, "sure": False}, "cannot tell (MDE 2.86)"),
        ({"low": 1, "high": 3, "harm": "opt-outs"}, "stop"),
        ({"low": 1, "high": 3, "gate": FAIL}, "refused (sample ratio mismatch)"),
        ({"low": 1, "high": 3, "gate": FAIL, "wait_days": 1}, "keep testing 1 more day"),
        ({"low": 1, "high": 3, "se": math.nan}, "cannot tell"),
    ],
)
def test_the_verdict(given, text):
    ends = {"se": 1.02, "abs_lift": (given["low"] + given["high"]) / 2}
    assert verdict(**(ends | given)).text == text


def test_how_long_to_go_on():
    # Half of the effect's needed information is in: as long again. (1.96 + 0.84)^2 = 7.85.
    se = 1 / math.sqrt(7.849 / 2)
    said = verdict(1 - 2 * se, 1 + 2 * se, se, 1.0, days_so_far=10)
    assert said.text == "keep testing 10 more days"
    said = verdict(-2, 2.2, 1.1, 0.1, days_so_far=10)
    assert said.word == "cannot tell" and said.days is None, f"more than {MOST_DAYS} days"


def worlds(k, between, seed, n=2000):
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.5, 1.5, (n, k))
    true = 1 + between * rng.normal(size=(n, k))
    return true, true + se * rng.normal(size=(n, k)), se


def test_segments_that_do_not_differ_are_seldom_told_apart():
    _, seen, se = worlds(6, 0.0, 4, n=600)
    pvalues = [shrunk(pd.DataFrame({"abs_lift": y, "se": s}))[1].pvalue
               for y, s in zip(seen, se, strict=True)]  # fmt: skip
    # Cochran's Q with known errors is chi-square: 5 % of 600, to four standard errors.
    assert abs(np.mean(np.array(pvalues) < 0.05) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize("between", [0.0, 1.0])
def test_shrunk_effects_are_nearer_the_truth(between):
    true, seen, se = worlds(8, between, 9, n=300)
    raw = shrunken = covered = 0.0
    for t, y, s in zip(true, seen, se, strict=True):
        table, _ = shrunk(pd.DataFrame({"abs_lift": y, "se": s}))
        raw += ((y - t) ** 2).sum()
        shrunken += ((table.shrunk_lift - t) ** 2).sum()
        covered += ((table.shrunk_low <= t) & (t <= table.shrunk_high)).sum()
    # James and Stein: smaller squared error from three segments on.
    assert shrunken < raw * (0.5 if between == 0 else 0.9)
    # Empirical Bayes does not know the variance between: a little under 95 %.
    assert covered / true.size > 0.85


def test_segments_by_hand():
    # Two effects, 0 and 4, each with error 1: Q = 8, between = 8 - 1 = 7, mean 2, B = 7/8.
    table, found = shrunk(pd.DataFrame({"abs_lift": [0.0, 4.0], "se": [1.0, 1.0]}))
    assert found.q == pytest.approx(8.0) and found.between_sd == pytest.approx(math.sqrt(7))
    assert table.shrunk_lift.tolist() == pytest.approx([0.25, 3.75])
    assert found.sentence.startswith("Segments differ")
    alike, found = shrunk(pd.DataFrame({"abs_lift": [1.0, 1.5], "se": [1.0, 1.0]}))
    assert alike.shrunk_lift.tolist() == pytest.approx([1.25, 1.25])
    assert found.sentence.startswith("No evidence that segments differ")


def test_a_segment_without_an_effect_stays_unknown():
    table, found = shrunk(pd.DataFrame({"abs_lift": [1.0, np.nan], "se": [1.0, np.nan]}))
    assert table.shrunk_lift.isna().all() and found.n_segments == 1
    assert math.isnan(found.pvalue)
