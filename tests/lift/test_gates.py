"""What must hold before a verdict: each gate on counts a person can follow."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cdp_lib.lift import gates
from cdp_lib.lift.sums import of_frame

HALF = {"a": 0.5, "b": 0.5}


def test_cookie_cats_mismatch_is_found():
    # 44,700 against 45,489: chi-square 6.90, p = 0.0086 (the public data's own counts).
    gate = gates.sample_ratio({"a": 44_700, "b": 45_489}, HALF)
    assert gate.status == "fail" and gate.pvalue == pytest.approx(0.0086, abs=5e-5)
    assert "6.90" in gate.detail


def test_the_sample_ratio_is_pearsons_test():
    n, shares = {"a": 310, "b": 650, "c": 1040}, {"a": 1, "b": 2, "c": 3}
    gate = gates.sample_ratio(n, shares)
    wanted = stats.chisquare(list(n.values()), np.array([1, 2, 3]) / 6 * 2000)
    assert gate.pvalue == pytest.approx(wanted.pvalue, rel=1e-12) and gate.status == "pass"


@pytest.mark.parametrize(
    ("n", "shares", "status"),
    [
        ({"a": 5, "b": 5}, None, "not known"),
        ({}, HALF, "not known"),
        ({"a": 1000}, HALF, "fail"),
        ({"a": 100, "b": 100, "stray": 1}, HALF, "fail"),
    ],
)
def test_sample_ratios_at_the_edge(n, shares, status):
    assert gates.sample_ratio(n, shares).status == status


def test_even_draws_seldom_fail():
    rng = np.random.default_rng(5)
    drawn = rng.binomial(2000, 0.3, 3000)
    failed = [gates.sample_ratio({"a": k, "b": 2000 - k}, {"a": 0.3, "b": 0.7}).status == "fail"
              for k in drawn]  # fmt: skip
    # 1 % of them, to four standard errors of 3,000 draws: 0.0018 each.
    assert abs(np.mean(failed) - gates.SRM_ALPHA) < 4 * 0.0018


@pytest.mark.parametrize(
    ("control", "arms", "n", "short"),
    [
        (None, ("a",), {"a": 5}, "no control"),
        ("c", ("a",), {"a": 5}, "control has no unit"),
        ("c", ("a", "b"), {"a": 5, "c": 5}, "an arm has no unit"),
        ("c", (), {"c": 5}, "an arm has no unit"),
        ("c", ("a",), {"a": 1, "c": 5}, "an arm has one unit"),
    ],
)
def test_missing_arms_are_told(control, arms, n, short):
    gate = gates.arms_there(control, arms, n)
    assert (gate.status, gate.short) == ("fail", short)
    assert gates.arms_there("c", ("a",), {"a": 5, "c": 5}).status == "pass"


def test_arms_that_differed_before_are_told():
    rng = np.random.default_rng(2)
    control = of_frame(
        pd.DataFrame({"x": rng.normal(0, 1, 4000), "y": rng.random(4000)}), ["x", "y"]
    )
    alike = of_frame(pd.DataFrame({"x": rng.normal(0, 1, 4000), "y": rng.random(4000)}), ["x", "y"])
    other = of_frame(
        pd.DataFrame({"x": rng.normal(0.2, 1, 4000), "y": rng.random(4000)}), ["x", "y"]
    )
    assert gates.balance(control, {"a": alike}, ["x", "y"]).status == "pass"
    gate = gates.balance(control, {"a": alike, "b": other}, ["x", "y"])
    assert gate.status == "fail" and "x in b" in gate.detail
    assert gates.balance(control, {"a": alike}, []).status == "not known"


def test_the_window_names_its_date():
    gate = gates.window_closed(0, 10, datetime(2026, 11, 30))
    assert gate.status == "fail" and "2026-11-30" in gate.detail
    assert gates.window_closed(5, 10, datetime(2026, 11, 30)).status == "pass"
    assert gates.window_closed(5, 0, None).status == "pass"


def values(**fields):
    row = {"metric": "spend", "kind": "revenue", "n": 100, "n_null": 0, "n_not_finite": 0,
           "n_negative": 0, "n_not_binary": 50, "largest_share": 0.01}  # fmt: skip
    return pd.DataFrame([row | fields])


@pytest.mark.parametrize(
    ("fields", "status", "short"),
    [
        ({}, "pass", ""),
        ({"n_negative": 1}, "fail", "negative revenue"),
        ({"n_negative": 1, "kind": "mean"}, "pass", ""),
        ({"n_null": 2}, "fail", "outcomes missing"),
        ({"n_not_finite": 1}, "fail", "values not finite"),
        ({"kind": "conversion"}, "fail", "not a conversion"),
        ({"largest_share": 0.7}, "warning", "one unit dominates"),
    ],
)
def test_values_that_cannot_be_averaged_are_told(fields, status, short):
    gate = gates.values_sane(values(**fields))
    assert (gate.status, gate.short) == (status, short)
    assert gates.values_sane(values(n_negative=1), net=True).status == "pass", "net of returns"


def test_the_small_gates():
    assert gates.one_arm_each(1, 100).status == "fail"
    assert gates.one_arm_each(0, 100).status == "pass"
    assert gates.exposed_after(1, 0, 10).status == "fail"
    assert gates.exposed_after(0, 2, 10).status == "warning"
    assert gates.exposed_after(0, 0, 10).status == "pass"
    assert [gates.outcomes_after(n).status for n in (None, 0, 3)] == ["not known", "pass", "fail"]
    assert [gates.units_known(n, 100).status for n in (100, 90, 10)] == ["pass", "warning", "fail"]
