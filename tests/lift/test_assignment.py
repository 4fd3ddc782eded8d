"""Assignment: golden vectors, one answer on every engine, shares kept, experiments kept apart."""

import hashlib
import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from cdp_lib.checks import Refusal
from cdp_lib.lift.assignment import (
    arm_of,
    arms_of,
    drawn,
    drawn_in_strata,
    global_salt,
    global_shares,
    in_layer,
    stratified,
    with_arms,
)

TENTH = {"treated": 0.9, "holdout": 0.1}
# First 13 hexadecimal digits of `printf '%s' '<salt>:<unit>' | sha256sum` (GNU coreutils 9.1).
GOLDEN = {
    ("spring", "c1"): "6a462b5151235",
    ("spring", "c2"): "26394c81470a1",
    ("spring", "C1"): "ea058c2fa8f72",
    ("spring", "ü-7"): "4fb9d3e431312",
    ("autumn", "c1"): "885ef979ec889",
    ("spring", ""): "ef84f7b2bfc2d",
    ("spring", 'it\'s "1"'): "865faa60f61e5",
}
HOSTILE = ["c1", "C1", " c1", "ü-7", 'it\'s "1"', "a:b", "", "0", "null", "😀", "x" * 300, "a\nb"]


@pytest.mark.parametrize(("unit", "digits"), GOLDEN.items())
def test_golden_vectors_hold_whatever_the_version(unit, digits):
    point = Fraction(int(digits, 16), 16**13)
    below = Fraction(int(point * 10**6), 10**6)
    # The arms meet just below the unit's point, then just above it.
    before = {"first": float(below), "second": float(1 - below)}
    after = {"first": float(below + Fraction(1, 10**6)), "second": float(1 - below) - 1e-6}
    assert arm_of(*unit, before) == "second"
    assert arm_of(*unit, after) == "first"


def test_golden_arms():
    three = {"none": 0.2, "letter": 0.3, "call": 0.5}
    # 0x6a46… is 0.415 of the line, 0x2639… 0.149, 0xea05… 0.914.
    assert [arm_of("spring", unit, three) for unit in ("c1", "c2", "C1")] == [
        "letter", "none", "call",
    ]  # fmt: skip


def test_all_engines_and_python_agree(con, make_table):
    units = [*HOSTILE, None, *(f"c{number:x}" for number in range(3000))]
    table = make_table(con, pd.DataFrame({"unit": units, "n": range(len(units))}))
    for shares in (TENTH, {"a": 0.2, "b": 0.3, "c": 0.5}, {"all": 1}):
        found = drawn(table, "unit", "salt's \\ 1", shares).execute().sort_values("n")
        expected = arms_of("salt's \\ 1", [u for u in units if u is not None], shares)
        assert found.arm[found.unit.notna()].tolist() == expected
        assert found.arm[found.unit.isna()].isna().all()


def test_all_engines_and_python_agree_in_strata(con, make_table):
    units = [f"c{number:x}" for number in range(2000)]
    strata = [[None, "", "-", "=", "ü", "north"][number % 6] for number in range(2000)]
    strata[7] = "alone"
    table = make_table(con, pd.DataFrame({"unit": units, "stratum": strata}))
    shares = {"a": 0.15, "b": 0.35, "c": 0.5}
    found = drawn_in_strata(table, "unit", "stratum", "s", shares).execute()
    expected = stratified(dict(zip(units, strata, strict=True)), "s", shares)
    assert dict(zip(found.unit, found.arm, strict=True)) == expected
    assert list(found.columns) == ["unit", "stratum", "arm"]


@given(
    st.text(max_size=8),
    st.lists(st.text(max_size=12), min_size=1, max_size=8),
    st.lists(st.integers(1, 1000), min_size=1, max_size=6),
)
def test_an_arm_owns_its_range_of_the_line(salt, units, weights):
    total = sum(weights)
    shares = {f"arm {place}": weight / total for place, weight in enumerate(weights)}
    exact = np.cumsum([Fraction(repr(share)) for share in shares.values()])
    for unit, arm in zip(units, arms_of(salt, units, shares), strict=True):
        number = int(hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()[:13], 16)
        # A bound lies on a whole point of the line; the last arm has all that is left.
        passed = sum(number >= int(end * 16**13) for end in exact[:-1])
        assert arm == f"arm {passed}"


def test_shares_are_kept_and_ids_that_count_up_are_no_pattern():
    shares = {"a": 0.1, "b": 0.2, "c": 0.7}
    arms = pd.Series(arms_of("spring", (f"{number:08d}" for number in range(60_000)), shares))
    counts = arms.value_counts().loc[list(shares)]
    # A fixed draw: a p-value below 1e-4 would be a fault of the hash, not of luck.
    assert chisquare(counts, [6000, 12_000, 42_000]).pvalue > 1e-4
    by_digit = pd.crosstab(np.arange(60_000) % 10, arms == "a")[True]
    assert chisquare(by_digit).pvalue > 1e-4


def test_two_salts_draw_independently():
    units = [f"c{number}" for number in range(40_000)]
    one, two = (np.array(arms_of(salt, units, TENTH)) == "holdout" for salt in ("w1", "w2"))
    # Held out in both: 1 % of 40,000, with a standard error of 20 people.
    assert abs((one & two).sum() - 400) < 4 * 20


def test_a_larger_first_arm_holds_the_smaller_one():
    units = [f"c{number}" for number in range(5000)]
    sizes = [0.01, 0.05, 0.1, 0.3]
    drawn_at = [arms_of(global_salt("demo"), units, global_shares(size)) for size in sizes]
    members = [{u for u, arm in zip(units, arms, strict=True) if arm == "global_holdout"}
               for arms in drawn_at]  # fmt: skip
    assert all(small < large for small, large in itertools.pairwise(members))
    assert binomtest(len(members[2]), 5000, 0.1).pvalue > 1e-4


def test_each_stratum_keeps_its_quota_to_less_than_one_unit():
    sizes = {"one": 1, "nine": 9, "ten": 10, "many": 1234}
    strata = [name for name, size in sizes.items() for _ in range(size)]
    table = pd.DataFrame({"unit": [f"c{n}" for n in range(len(strata))], "stratum": strata})
    shares = {"a": 0.5, "b": 0.37, "c": 0.13}
    found = with_arms(table, "unit", "s", shares, "stratum")
    counts = pd.crosstab(found.stratum, found.arm)
    for name, size in sizes.items():
        for arm, share in shares.items():
            assert abs(counts.loc[name, arm] - share * size) < 1


def test_a_stratum_of_one_is_held_out_as_often_as_its_share():
    held = sum(stratified({"c1": "x"}, f"week {week}", TENTH)["c1"] == "holdout"
               for week in range(4000))  # fmt: skip
    # Binomial: 400 expected, a standard error of 19.
    assert abs(held - 400) < 4 * 19


def test_within_a_stratum_every_pair_is_as_likely():
    # Of five units one is held out: each of them 1/5 of the time, whatever the ids.
    units = {f"c{n}": "x" for n in range(5)}
    shares = {"treated": 0.8, "holdout": 0.2}
    arms = (stratified(units, f"week {week}", shares) for week in range(3000))
    held = pd.Series([next(u for u, arm in one.items() if arm == "holdout") for one in arms])
    assert chisquare(held.value_counts()).pvalue > 1e-4
    assert held.nunique() == 5


def test_experiments_of_a_layer_share_nobody_and_a_new_one_moves_nobody():
    units = [f"c{number}" for number in range(4000)]
    two = {"carts": 0.25, "churn": 0.5}
    carts, churn = (np.array(in_layer(units, "demo", "mail", two, name)) for name in two)
    assert not (carts & churn).any() and (~carts & ~churn).sum() > 0
    three = two | {"browses": 0.25}
    assert (np.array(in_layer(units, "demo", "mail", three, "carts")) == carts).all()
    browses = np.array(in_layer(units, "demo", "mail", three, "browses"))
    assert (carts.astype(int) + churn + browses == 1).all()
    # Which range someone is in says nothing of the arm.
    arms = np.array(arms_of("demo:carts.2026-W48", units, TENTH)) == "holdout"
    assert binomtest(int(arms[carts].sum()), int(carts.sum()), 0.1).pvalue > 1e-4


@pytest.mark.parametrize(
    ("shares", "problem"),
    [
        ({}, "no arm"),
        ({"a": 0.5, "b": 0.4}, "add up to 0.9"),
        ({"a": 1.0, "b": 0.0}, "must lie in"),
        ({"a": -0.5, "b": 1.5}, "must lie in"),
        ({"a": float("nan")}, "must lie in"),
        ({"a": True}, "must lie in"),
        ({"a": "1"}, "must lie in"),
    ],
)
def test_shares_that_make_no_draw_are_refused(shares, problem):
    with pytest.raises(Refusal, match=problem):
        arm_of("s", "c1", shares)


def test_what_cannot_be_drawn_is_refused(duckdb_con, make_table):
    table = make_table(duckdb_con, pd.DataFrame({"unit": [1, 2]}))
    with pytest.raises(Refusal, match="not text"):
        drawn(table, "unit", "s", TENTH)
    with pytest.raises(Refusal, match="did you mean 'unit'"):
        drawn(table, "units", "s", TENTH)
    with pytest.raises(Refusal, match="must lie between"):
        global_shares(0)
    with pytest.raises(Refusal, match=r"layers\.mail"):
        in_layer(["c1"], "demo", "mail", {"carts": 0.5}, "churn")
