"""Sums by one grouped query: equal to NumPy's, on both engines, and they add."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_lib.checks import Refusal
from cdp_lib.lift.sums import gather, none_of, of_frame, total

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def frame(n=400, seed=1, offset=0.0):
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.5, 20, n)
    return pd.DataFrame(
        {
            "arm": rng.choice(["a", "b"], n),
            "segment": rng.choice(["x", "y", "z"], n),
            "spend": offset + x,
            "before": 3 * x + rng.normal(size=n),
            "bought": rng.random(n) < 0.2,
        }
    )


def same(one, other, tolerance=1e-9):
    assert one.n == other.n
    np.testing.assert_allclose(one.mean, other.mean, rtol=tolerance)
    np.testing.assert_allclose(one.cross, other.cross, rtol=tolerance, atol=1e-9)


def test_a_group_has_numpys_moments(con, make_table):
    data = frame()
    found = gather(make_table(con, data), ["spend", "before", "bought"], by=["arm", "segment"])
    assert len(found) == 6
    for (arm, segment), part in found.items():
        rows = data[(data.arm == arm) & (data.segment == segment)]
        same(part, of_frame(rows, ["spend", "before", "bought"]))
        wanted = np.cov(rows.spend, rows.before)
        assert part.cov("spend", "before") == pytest.approx(wanted[0, 1], rel=1e-9)
        assert part.var("spend") == pytest.approx(wanted[0, 0], rel=1e-9)


def test_digits_survive_a_distant_mean(con, make_table):
    # A spread of about 30 beside 1e9: sums of plain squares would keep no digit of it.
    data = frame(offset=1e9)
    for part in gather(make_table(con, data), ["spend"]).values():
        rows = data[data.arm == "a"]
        if part.n == len(rows):
            assert part.var("spend") == pytest.approx(rows.spend.var(), rel=1e-6)


def test_digits_survive_where_the_first_rows_are_no_guide(duckdb_con, make_table):
    data = pd.DataFrame({"arm": "a", "x": np.r_[np.zeros(10_000), np.full(2, 0.0)]})
    far = pd.DataFrame({"arm": "b", "x": 1e8 + np.arange(20_000) % 7 * 1e3})
    found = gather(make_table(duckdb_con, pd.concat([data, far])), ["x"])
    assert found[("b",)].var("x") == pytest.approx(far.x.var(), rel=1e-4)


def test_a_column_of_one_value_has_no_spread(con, make_table):
    data = pd.DataFrame({"arm": ["a"] * 7 + ["b"] * 5, "x": [0.1] * 7 + [3.3] * 5})
    found = gather(make_table(con, data), ["x"])
    assert found[("a",)].var("x") == 0 and found[("b",)].var("x") == 0


def test_a_null_neither_adds_nor_takes(con, make_table):
    data = pd.DataFrame({"arm": "a", "x": [1.0, 3.0, None, None]})
    part = gather(make_table(con, data), ["x"])[("a",)]
    assert part.n == 4 and part.mean_of("x") == pytest.approx(2.0)


def test_pairs_not_asked_for_are_unknown(duckdb_con, make_table):
    part = gather(make_table(duckdb_con, frame()), ["spend", "before", "bought"], ["arm"],
                  [("spend", "before")])[("a",)]  # fmt: skip
    assert np.isfinite(part.cov("spend", "before")) and np.isnan(part.cov("spend", "bought"))
    wide = part.with_column("w", {"spend": 2.0})
    assert wide.var("w") == pytest.approx(4 * part.var("spend"))
    assert wide.cov("w", "before") == pytest.approx(2 * part.cov("spend", "before"))
    assert np.isnan(wide.cov("w", "bought"))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30), st.integers(0, 30))
def test_parts_add_to_the_whole(rows, cut):
    data = pd.DataFrame(rows, columns=["x", "y"], dtype=float)
    parts = of_frame(data.iloc[:cut], ["x", "y"]), of_frame(data.iloc[cut:], ["x", "y"])
    whole = of_frame(data, ["x", "y"])
    added = parts[0] + parts[1]
    assert added.n == whole.n
    if whole.n:
        scale = 1 + np.abs(data.to_numpy()).max() ** 2
        np.testing.assert_allclose(added.cross / scale, whole.cross / scale, atol=1e-9)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), NUMBERS, NUMBERS)
def test_a_linear_column_has_the_moments_of_the_column_made(rows, a, b):
    data = pd.DataFrame(rows, columns=["x", "y"], dtype=float)
    made = data.assign(w=a * data.x + b * data.y)
    found = of_frame(data, ["x", "y"]).with_column("w", {"x": a, "y": b})
    wanted = of_frame(made, ["x", "y", "w"])
    scale = 1 + np.abs(made.to_numpy()).max() ** 2
    np.testing.assert_allclose(found.cross / scale, wanted.cross / scale, atol=1e-8)


def test_nobody_is_nothing_to_add():
    one = of_frame(frame(20), ["spend"])
    same(total([none_of(["spend"]), one, none_of(["spend"])]), one)


@pytest.mark.parametrize(("columns", "word"), [(["nope"], "no such column"), (["arm"], "string")])
def test_what_cannot_be_summed_is_refused(duckdb_con, make_table, columns, word):
    with pytest.raises(Refusal, match=word):
        gather(make_table(duckdb_con, frame(20)), columns)


def test_two_groups_of_zeros_do_not_differ(duckdb_con, make_table):
    """Their means are centred by what others did, and must not come back as rounding."""
    n = 300
    data = pd.DataFrame({"arm": ["a"] * n + ["b"] * n, "left": [0.0] * n + [0.0] * n})
    data["segment"] = np.where(np.arange(2 * n) % 7 < 3, "x", "y")
    others = pd.DataFrame({"arm": "c", "left": [0.1, 1.0, 0.7], "segment": "x"})
    found = gather(make_table(duckdb_con, pd.concat([others, data])), ["left"], ["arm", "segment"])
    for arm in "ab":
        whole = found[arm, "x"] + found[arm, "y"]
        assert whole.mean_of("left") == 0
        assert whole.var("left") == 0
