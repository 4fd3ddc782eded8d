"""The leak sentinel: names known leaks of public data, is silent on what is honest."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.predict.sentinel import watch
from cdp_lib.predict.sentinel_fit import solo_auc


def bank(shared_data) -> pd.DataFrame:
    frame = pd.read_parquet(shared_data / "bank_marketing" / "bank_additional_full.parquet")
    return frame.assign(label=(frame.pop("y") == "yes").astype(int))


def sessions(shared_data) -> pd.DataFrame:
    frame = pd.read_parquet(shared_data / "retailrocket" / "cart_session_features.parquet")
    frame = frame.rename(columns={"has_transaction": "label"})
    return frame.drop(columns=["session_key", "visitorid", "transaction_count"])


def honest(seed: int, n: int = 6000) -> pd.DataFrame:
    """Six features of a hidden activity that the outcome follows, and two of nothing."""
    rng = np.random.default_rng(seed)
    active = rng.normal(size=n)
    label = (rng.random(n) < 1 / (1 + np.exp(2.5 - 2.5 * active))).astype(int)
    seen = {f"n_{i}": rng.poisson(np.exp(active + 0.3 * i)) for i in range(4)}
    return pd.DataFrame(
        seen
        | {
            "days": np.where(rng.random(n) < 0.1, np.nan, rng.exponential(np.exp(2 - active))),
            "band": pd.Categorical(np.digitize(active + rng.normal(size=n), [-1, 0, 1])),
            "noise": rng.normal(size=n),
            "city": rng.choice(list("abcde"), n),
            "label": label,
        }
    )


def test_the_length_of_the_call_is_named(shared_data):
    """`duration` is known after the call alone; without it the published AUC is about 0.80."""
    got = watch(bank(shared_data), most_rows=8000)
    assert got.suspects == ["duration"] and "duration" in got.sentence
    row = got.table.set_index("feature").loc["duration"]
    # Two AUCs of 900 positives differ by a standard error below 0.02: 0.05 is far below the loss.
    assert row.loss > 0.1 and row.question.endswith("?")
    assert got.rest_auc == pytest.approx(0.80, abs=0.03)


def test_the_bank_without_it_is_clear(shared_data):
    got = watch(bank(shared_data).drop(columns="duration"), most_rows=8000)
    assert got.suspects == [] and got.whole_auc < 0.85


def test_whole_session_timings_and_counts_are_named(shared_data):
    """Timings run to the session's end, and the counts of events less views and carts are the
    transactions: harmless each, but not together."""
    got = watch(sessions(shared_data), most_rows=8000)
    timings = {"session_age_seconds", "inter_event_interval_mean", "recency_last_cart_seconds"}
    counts = {"event_count", "addtocart_count", "view_count"}
    assert timings | counts <= set(got.suspects)
    assert got.whole_auc > 0.97 and got.rest_auc < 0.65


@pytest.mark.parametrize("case", ["telco", "decision time"])
def test_honest_public_data_are_clear(shared_data, case):
    if case == "telco":
        frame = pd.read_parquet(shared_data / "telco_churn" / "telco_churn.parquet")
        frame = frame.drop(columns="customerID")
        frame = frame.assign(label=(frame.pop("Churn") == "Yes").astype(int))
        frame["TotalCharges"] = pd.to_numeric(frame.TotalCharges, errors="coerce")
    else:
        frame = pd.read_parquet(shared_data / "retailrocket" / "decision_time_prefixes.parquet")
        frame = frame[frame.cutoff_k == 0].rename(columns={"y": "label"})
        frame = frame.drop(columns=["session_key", "visitorid", "cutoff_k"])
    got = watch(frame, most_rows=8000)
    assert got.suspects == [] and got.whole_auc < 0.87


def test_honest_features_of_a_strong_signal_are_clear():
    """Many sights of one strong cause: each can be spared, so none is suspect (AUC about 0.9)."""
    for seed in range(5):
        got = watch(honest(seed))
        assert got.suspects == [], got.sentence
        assert got.whole_auc > 0.85


def test_a_planted_leak_is_named_and_nothing_else():
    """The label itself, seen wrongly in 3 of 100 rows."""
    for seed in range(2):
        frame = honest(seed)
        flip = np.random.default_rng(seed).random(len(frame)) < 0.03
        frame["closed"] = np.where(flip, 1 - frame.label, frame.label)
        assert watch(frame).suspects == ["closed"]


def test_two_copies_of_a_leak_are_both_named():
    """Neither is missed when the other is there: what the removal of one costs is nothing."""
    frame = honest(1)
    rng = np.random.default_rng(5)
    frame["ended"] = frame.label * rng.uniform(1, 9, len(frame))
    frame["closed"] = np.where(rng.random(len(frame)) < 0.02, 1 - frame.label, frame.label)
    assert set(watch(frame).suspects) == {"ended", "closed"}


def test_a_value_that_changed_since_was_taken_before():
    """With the values after the label period at hand, a suspect that moved is cleared."""
    frame = honest(2)
    frame["closed"] = frame.label + np.random.default_rng(1).normal(0, 0.1, len(frame))
    rest = frame.drop(columns="label")
    kept = watch(frame, later=rest.assign(n_0=rest.n_0 + 1))
    assert kept.suspects == ["closed"]
    table = kept.table.set_index("feature")
    assert table.moved["closed"] == 0 and table.moved["n_0"] == 1 and table["shift"]["n_0"] > 0.1
    assert table.later_auc["closed"] == table.solo_auc["closed"]
    moved = watch(frame, later=rest.assign(closed=rest.closed + 1))
    assert moved.suspects == []


@pytest.mark.slow
def test_the_simulated_shop_is_honest_until_a_value_is_taken_late(tmp_path):
    """All features of a profile, three outcomes; then one number as it was 30 days later."""
    from datetime import timedelta

    from cdp_lib.customers import profile
    from cdp_lib.predict.outcome import Outcome, label_table
    from cdp_lib.tables import open_shop
    from cdp_lib.world import simulate

    simulate(tmp_path, customers=3000, weeks=30, seed=5)
    shop = open_shop(tmp_path / "shop.toml")
    cutoff = shop.as_of - timedelta(days=30)
    known = profile.as_of(shop, cutoff).execute()
    frames = {}
    for outcome in (
        Outcome("visit", 30, population="known"),
        Outcome("purchase", 7, population="known"),
        Outcome("purchase", 30, happens=False),
    ):
        frames[outcome.name] = frame = known.merge(label_table(shop, outcome, cutoff).execute())
        got = watch(frame)
        assert got.suspects == [], (outcome.name, got.sentence)
        assert got.whole_auc < 0.94
    frame = frames["visits within 30 days"]
    late = profile.as_of(shop, shop.as_of).execute().set_index("customer_id")
    late = late.reindex(frame.customer_id).reset_index()
    taken = frame.assign(days_since_visit=late.days_since_visit)
    assert watch(taken).suspects == ["days_since_visit"]
    assert watch(frame, later=late).suspects == []


def test_shap_shares_may_be_given():
    frame = honest(3)
    shap = np.zeros((len(frame), 8))
    shap[:, 6] = 2.0
    shap[:, 7] = -1.0
    table = watch(frame, shap=shap).table.set_index("feature")
    assert table.shap_share["noise"] == pytest.approx(2 / 3)
    assert table.shap_share["city"] == pytest.approx(1 / 3)


def test_few_outcomes_are_said_to_be_few():
    frame = honest(4, 300)
    frame["label"] = (np.arange(300) < 20).astype(int)
    got = watch(frame)
    assert set(got.table.verdict) == {"too few to tell"} and "Too few" in got.sentence


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        (lambda y, rng: y + rng.normal(size=len(y)), 0.74, 0.78),  # Phi(1 / sqrt 2) = 0.760
        (lambda y, rng: -y + rng.normal(size=len(y)), 0.74, 0.78),
        (lambda y, rng: np.where(y == 1, rng.choice([-1, 1], len(y)), 0.0), 0.999, 1),
        (lambda y, rng: np.where(y == 1, np.nan, rng.random(len(y))), 0.999, 1),
        (lambda y, rng: np.where(y == 1, "a", "b"), 0.999, 1),
        (lambda y, rng: rng.normal(size=len(y)), 0.5, 0.53),
        (lambda y, rng: [f"id{i}" for i in range(len(y))], 0.5, 0.53),
        (lambda y, rng: np.full(len(y), np.nan), 0.5, 0.5),
        (lambda y, rng: [None] * len(y), 0.5, 0.5),
    ],
)
def test_the_auc_of_one_feature(values, least, most):
    """Rising, falling, U-shaped, missing, category, noise, ids, nothing; 6,000 rows, se 0.006."""
    rng = np.random.default_rng(7)
    y = (rng.random(6000) < 0.4).astype(float)
    got = solo_auc(pd.Series(values(y, rng)), y, rng.integers(0, 3, 6000))
    assert least <= got <= most


def test_the_same_rows_give_the_same_table():
    frame = honest(6, 2000)
    pd.testing.assert_frame_equal(watch(frame).table, watch(frame).table)


def test_bad_input_is_refused():
    frame = honest(7, 100)
    with pytest.raises(Refusal, match="no such column"):
        watch(frame, label="gone")
    with pytest.raises(Refusal, match="no such columns"):
        watch(frame, features=["gone"])
    with pytest.raises(Refusal, match="not 100 rows"):
        watch(frame, later=frame.head(5))
    with pytest.raises(Refusal, match="not 8 columns"):
        watch(frame, shap=np.zeros((100, 3)))
