"""What must hold for every log: nothing that should not matter does, and the parts sum."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_funnel_oracle import SCHEMA, random_log

from cdp_lib.behaviour import funnel
from cdp_lib.behaviour.funnel import Step

STEPS = ["a", "b", Step("c", within_hours=3)]
SETTINGS = {
    "max_examples": 5,
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture
def counts(con, make_table):
    """`counts(frame, **options)`: the table of the funnel a, b, c with a window of 4 hours."""

    def count(frame: pd.DataFrame, hours: float = 4, **options) -> pd.DataFrame:
        events = make_table(con, frame, schema=SCHEMA).rename(occurred_at="t")
        asked = {"unit": "unit", "as_of": "2026-03-08", **options}
        return funnel.step_table(events, STEPS, hours, **asked)

    return count


@settings(**SETTINGS)
@given(seed=st.integers(0, 10**6))
def test_order_of_rows_and_other_events_do_not_matter(enough, counts, seed):
    if enough():
        return
    log = random_log(seed, 80)
    wanted = counts(log)
    shuffled = log.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(counts(shuffled), wanted)
    noise = random_log(seed + 1, 80).assign(event="noise")
    pd.testing.assert_frame_equal(counts(pd.concat([log, noise])), wanted)


@settings(**SETTINGS)
@given(seed=st.integers(0, 10**6))
def test_a_breakdown_sums_to_the_whole_and_rates_sum_to_one(enough, counts, seed):
    if enough():
        return
    log = random_log(seed, 80)
    whole = counts(log)
    parts = counts(log, by="device").groupby("step")[["entered", "open"]].sum()
    pd.testing.assert_frame_equal(parts, whole.set_index("step")[["entered", "open"]])
    before = whole["entered"].shift()[1:]
    total = whole["step_rate"] + whole["abandonment_rate"] + whole["open"][1:] / before
    assert np.allclose(total[1:], 1)


@settings(**SETTINGS)
@given(seed=st.integers(0, 10**6))
def test_more_time_never_lowers_and_stricter_rules_never_raise(enough, counts, seed):
    if enough():
        return
    log = random_log(seed, 80)
    wanted = counts(log)["entered"]
    assert (counts(log, hours=8)["entered"] >= wanted).all()
    assert (counts(log, attempts="first")["entered"] <= wanted).all()
    assert (counts(log, exclude=["x"])["entered"] <= wanted).all()
    assert (counts(log, hold="cart")["entered"] <= wanted).all()
    assert (counts(log, attempts="every")["entered"] >= wanted).all()


@settings(**SETTINGS)
@given(seed=st.integers(0, 10**6), days=st.integers(-4000, 4000))
def test_a_log_moved_in_time_gives_the_same_table(enough, counts, seed, days):
    if enough():
        return
    log = random_log(seed, 80)
    moved = log.assign(t=log["t"] + pd.Timedelta(days=days, hours=7))
    as_of = pd.Timestamp("2026-03-05")
    later = (as_of + pd.Timedelta(days=days, hours=7)).to_pydatetime()
    pd.testing.assert_frame_equal(
        counts(moved, as_of=later), counts(log, as_of=as_of.to_pydatetime())
    )


@settings(**SETTINGS)
@given(seed=st.integers(0, 10**6))
def test_the_weekly_trend_of_a_log_within_one_week_is_the_table(enough, con, make_table, seed):
    if enough():
        return
    log = random_log(seed, 80)
    log["t"] = pd.Timestamp("2026-03-03") + (log["t"] - log["t"].min())
    events = make_table(con, log, schema=SCHEMA).rename(occurred_at="t")
    table = funnel.step_table(events, STEPS, unit="unit", as_of="2026-04-01")
    trend = funnel.weekly_trend(events, STEPS, unit="unit", as_of="2026-04-01")
    assert set(trend["week"]) == {"2026-W10"}
    pd.testing.assert_frame_equal(trend[table.columns], table)
