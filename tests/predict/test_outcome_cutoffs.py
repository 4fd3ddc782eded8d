"""Cutoffs that roll back from the newest closed window; the horizon against survival analysis."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
import small_shops as small
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from cdp_lib.checks import Refusal
from cdp_lib.predict import cutoffs as module
from cdp_lib.predict.cutoffs import cutoffs
from cdp_lib.predict.horizon import closed_curve, gap_table
from cdp_lib.predict.outcome import Outcome
from cdp_lib.windows import Window


def rolled(history_days, horizon_days, monkeypatch, **options):
    """The cutoffs of a shop whose data spans so many days."""

    class Spanned:
        as_of = small.day(history_days)

    monkeypatch.setattr(
        module, "data_span", lambda shop, event: Window(small.START, small.day(history_days))
    )
    return cutoffs(Spanned, Outcome("purchase", horizon_days), **options)


def test_cutoffs_by_hand(monkeypatch):
    at = rolled(364, 30, monkeypatch)
    # The window of 30 days ends on day 364. The label before it must be over a day earlier, and
    # whole weeks before: 35 days. Then a week each, then every four weeks.
    assert [(c - small.START).days for _, c in at.all] == [201, 229, 257, 285, 292, 299, 334]
    # A longer horizon would leave the oldest one 147 days to see: then every two weeks.
    at = rolled(364, 56, monkeypatch)
    assert [(c - small.START).days for c in at.train] == [189, 203, 217, 231]
    assert [role for role, _ in at.all] == ["train"] * 4 + ["choose", "calibrate", "test"]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    history=st.integers(1, 1200), horizon=st.integers(1, 200), n=st.integers(1, 8),
    gap=st.integers(0, 20), step=st.sampled_from((None, 7, 14, 28)), hours=st.integers(0, 23),
)  # fmt: skip
def test_what_holds_of_all_cutoffs(history, horizon, n, gap, step, hours):
    with pytest.MonkeyPatch.context() as patch:
        try:
            at = rolled(
                history + hours / 24, horizon, patch, n_train=n, gap_days=gap, step_days=step
            )
        except Refusal as refusal:
            assert history < 3 * horizon + gap + 28 + 28 + 2 * 7, "long enough"
            assert "are needed" in str(refusal)
            return
    long, day = timedelta(days=horizon), timedelta(days=1)
    as_of = small.day(history + hours / 24)
    order = [cutoff for _, cutoff in at.all]
    assert order == sorted(set(order))
    assert 1 <= len(at.train) <= n
    assert at.test + long <= as_of < at.test + long + day, "the newest closed window"
    for cutoff in order[:-1]:
        assert cutoff + long + gap * day <= at.test
    assert all((at.test - cutoff).days % 7 == 0 for cutoff in order)
    assert order[0] - small.START >= max(28, horizon) * day
    steps = {b - a for a, b in pairwise(at.train)}
    wanted = {14 * day, 28 * day} if step is None else {step * day}
    assert len(steps) <= 1 and steps <= wanted | {7 * day}


def test_a_short_history_says_how_long_to_wait(monkeypatch):
    with pytest.raises(Refusal, match=r"90 days is too short: 109 .* until 2026-04-21") as caught:
        rolled(90, 30, monkeypatch)
    assert caught.value.place == "horizon_days"
    # 30 days before, two weeks between, 35 and 30 at the end: 109 days, and one for the midnight.
    assert len(rolled(110, 30, monkeypatch).train) == 1
    with pytest.raises(Refusal, match="whole number of weeks"):
        rolled(400, 30, monkeypatch, step_days=10)


def test_the_curve_of_gaps_equals_statsmodels(duckdb_con, tmp_path):
    draw = np.random.default_rng(5)
    rows = []
    for i in range(300):
        d = draw.uniform(0, 300)
        while d < 300:
            rows.append((f"c{i}", d))
            d += draw.exponential(20 + i % 40)
    shop = small.opened(tmp_path, duckdb_con, small.day(300), orders=small.orders(*rows))
    gaps = gap_table(shop)
    # One row per gap, made from the days by a plain loop.
    days = {}
    for customer, d in rows:
        days.setdefault(customer, set()).add(int(d))
    time, closed = [], []
    for seen in map(sorted, days.values()):
        ends = [*seen[1:], 299]
        time += [b - a for a, b in zip(seen, ends, strict=True)]
        closed += [1] * (len(seen) - 1) + [0]
    assert gaps["n_closed"].sum() == sum(closed)
    assert gaps["n_open"].sum() == len(closed) - sum(closed) == 300
    # statsmodels lists the times at which something closed.
    curve = SurvfuncRight(np.array(time), np.array(closed))
    ours = dict(zip(gaps["days"], closed_curve(gaps), strict=True))
    compared = 0
    for length, open_share, watched in zip(
        curve.surv_times, curve.surv_prob, curve.n_risk, strict=True
    ):
        if watched >= 10:
            assert ours[length] == pytest.approx(1 - open_share, abs=1e-12)
            compared += 1
    assert compared > 50
