"""Drift: PSI by hand, few false alarms at any size, shifts found."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.predict.drift import drift_table, drift_verdict, psi


def frame(seed: int, n: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    spend = rng.lognormal(3, 1, n) * np.exp(shift)
    return pd.DataFrame(
        {
            "customer_id": [f"{seed}/{i}" for i in range(n)],
            "n_orders": rng.poisson(1.5, n),
            "spend": np.where(rng.random(n) < 0.3, np.nan, spend),
            "city": pd.Categorical(
                rng.choice(list("abcdef"), n, p=[0.4, 0.2, 0.2, 0.1, 0.06, 0.04])
            ),
            "opted_in": rng.random(n) < 0.6,
        }
    )


def test_psi_by_hand():
    """Shares 0.5/0.5 then and 0.75/0.25 now (half a row added to each of 1000 and 400)."""
    then, now = ["a"] * 500 + ["b"] * 500, ["a"] * 300 + ["b"] * 100
    got = psi(then, now)
    share = 300.5 / 401
    want = (share - 0.5) * np.log(share / 0.5) + (0.5 - share) * np.log((1 - share) / 0.5)
    assert got.psi == pytest.approx(want, abs=1e-12)
    assert got.expected == pytest.approx(1 / 1000 + 1 / 400) and got.n_bins == 2
    assert got.verdict == "retrain"


def test_the_expectation_is_what_no_change_shows():
    """Mean PSI of 400 pairs without change: chi-square of 9 over sizes; its se is 2.4 % of it."""
    rng = np.random.default_rng(0)
    found = [psi(rng.normal(size=800), rng.normal(size=500)) for _ in range(400)]
    assert np.mean([one.psi for one in found]) == pytest.approx(found[0].expected, rel=0.1)
    beyond = np.mean([psi(rng.normal(size=800), rng.normal(size=500), alpha=0.05).psi
                      > found[0].limit for _ in range(10)])  # fmt: skip
    assert beyond <= 0.3


@pytest.mark.parametrize("n", [60, 300, 3000])
def test_false_alarms_are_rare_at_any_size(n):
    """One table in 100 at most may alarm; 7 or more of 200 has probability 0.005."""
    alarms = 0
    for seed in range(200):
        table = drift_table(frame(seed, n), frame(seed + 10_000, n))
        alarms += drift_verdict(table).verdict != "steady"
    assert alarms <= 6


def test_rows_of_one_customer_are_no_news():
    """Training rows at ten cutoffs of the same 60 customers: still at most 1 alarm in 100."""
    alarms = 0
    for seed in range(100):
        then = pd.concat([frame(seed, 60)] * 10, ignore_index=True)
        table = drift_table(then, frame(seed + 10_000, 3000))
        alarms += drift_verdict(table).verdict != "steady"
    assert alarms <= 4


def test_the_customary_bound_alone_would_alarm_on_small_samples():
    """Why the excess is judged: plain PSI above 0.1 in most tables of 60 unchanged customers."""
    plain = [(drift_table(frame(s, 60), frame(s + 9999, 60)).psi > 0.1).any() for s in range(40)]
    assert np.mean(plain) > 0.5


def test_a_shift_is_found_and_only_there():
    """Spend times e (one standard deviation of its logarithm): PSI of a unit shift is near 1,
    the symmetrised Kullback-Leibler distance of two unit normals, times the 70 % not missing."""
    for seed in range(30):
        table = drift_table(frame(seed, 400), frame(seed + 500, 400, shift=1.0))
        assert table.feature[0] == "spend" and table.verdict[0] == "retrain"
        assert (table.verdict[1:] == "steady").all()
        assert table.excess[0] == pytest.approx(0.7, abs=0.35)


def test_missing_and_new_values_are_seen():
    then = pd.Series([1.0, 2.0, 3.0, 4.0] * 100)
    assert psi(then, then.where(then.index % 2 == 0)).verdict == "retrain"
    assert psi(["a"] * 400, ["a"] * 200 + ["new"] * 200).verdict == "retrain"
    assert psi([None] * 50, [None] * 50).psi == pytest.approx(0, abs=1e-12)
    assert psi(pd.Series([True, False] * 50), pd.Series([True, False] * 50)).n_bins == 2
    assert psi(np.zeros(100), np.zeros(100)).verdict == "steady"


def test_the_verdict_weighs_what_the_model_uses():
    then, now = frame(1, 3000), frame(2, 3000, shift=1.0)
    light = drift_verdict(drift_table(then, now, weight={"spend": 0.05, "city": 0.95}))
    heavy = drift_verdict(drift_table(then, now, weight={"spend": 0.6, "city": 0.4}))
    assert light.verdict == "watch" and "spend" in light.sentence
    assert heavy.verdict == "retrain"
    rng = np.random.default_rng(3)
    moved = (rng.beta(2, 5, 3000), rng.beta(4, 5, 3000))
    table = drift_table(then, frame(5, 3000), score=moved)
    assert table.feature[0] == "(score)" and drift_verdict(table).verdict == "retrain"


def test_bad_input_is_refused():
    with pytest.raises(Refusal, match="no row"):
        psi([], [1.0])
    with pytest.raises(Refusal, match="not a number"):
        psi([1.0, 2.0], ["a", "b"])
    with pytest.raises(Refusal, match="no such column"):
        drift_table(frame(1, 50), frame(2, 50).drop(columns="city"), features=["city"])
