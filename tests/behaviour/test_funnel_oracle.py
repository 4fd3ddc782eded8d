"""The funnel on the engine equals every chain tried by hand, on thousands of random logs."""

from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from funnel_oracle import Rules, outcomes, step_counts
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdp_lib.behaviour import chains, funnel
from cdp_lib.behaviour.funnel import Step

BASE = datetime(2026, 3, 2)
SCHEMA = {
    "unit": "string",
    "t": "timestamp(6)",
    "event": "string",
    "cart": "string",
    "device": "string",
    "color": "string",
}


def random_log(seed: int, n_units: int) -> pd.DataFrame:
    """Units with up to nine rows on few instants, so that ties and repeats are the rule."""
    rng = np.random.default_rng([seed, 0])
    n_rows = rng.integers(1, 10, n_units)
    unit = np.repeat([f"u{i}" for i in range(n_units)], n_rows)
    n = len(unit)
    # Halves of an hour; the origin moves, so that windows start anywhere within a span.
    hours = rng.integers(0, 20, n) / 2 + rng.integers(0, 1000) / 7
    t = pd.Series([BASE + timedelta(hours=float(h)) for h in hours]).astype("datetime64[us]")

    def some(values, share_null):
        drawn = rng.choice(values, n).astype(object)
        drawn[rng.random(n) < share_null] = None
        return drawn

    return pd.DataFrame(
        {
            "unit": np.where(rng.random(n) < 0.02, None, unit),
            "t": t.mask(rng.random(n) < 0.02),
            "event": some(["a", "a", "b", "b", "c", "d", "x"], 0.02),
            "cart": some(["k1", "k2"], 0.1),
            "device": some(["mobile", "desktop"], 0.4),
            "color": some(["red", "blue"], 0.1),
        }
    )


def random_rules(seed: int) -> dict:
    """A funnel to ask of that log; every option comes up, alone and with the others."""
    rng = np.random.default_rng([seed, 1])

    def pick(*options):
        return options[rng.integers(len(options))]

    ordered = pick(True, True, True, False)
    steps = []
    for k, event in enumerate(rng.choice(list("abcd"), pick(2, 3, 4), replace=ordered)):
        where = pick(None, None, None, {"color": "red"})
        within = pick(None, None, 1.0, 2.5) if ordered and k else None
        steps.append(Step(str(event), f"{k} {event}", where, within))
    return {
        "steps": steps,
        "conversion_window_hours": pick(0.5, 1, 2.25, 4, 24),
        "ordered": ordered,
        "attempts": pick("any", "any", "first", "every") if ordered else "any",
        "exclude": pick([], [], ["x"], ["x", "d"]) if ordered else [],
        "hold": pick(None, None, "cart"),
        "by": pick(None, "device"),
        "share_seen": pick(0.5, 0.9, 2.0),
        "busy": pick(1, 3, 2_000),
    }


def compare(con, make_table, monkeypatch, seed: int, n_units: int) -> None:
    """Fail unless the engine and the oracle give the same outcomes and the same counts."""
    asked = random_rules(seed)
    monkeypatch.setattr(chains, "BUSY", asked.pop("busy"))
    frame = random_log(seed, n_units)
    spread = frame["t"].max() - frame["t"].min()
    as_of = (
        (frame["t"].min() + asked.pop("share_seen") * spread).to_pydatetime().replace(microsecond=0)
    )
    log = frame.astype(object).where(frame.notna(), None).to_dict("records")
    events = make_table(con, frame, schema=SCHEMA).rename(occurred_at="t")
    wanted = Rules(
        steps=asked["steps"],
        window_hours=asked["conversion_window_hours"],
        as_of=as_of,
        **{name: asked[name] for name in ("ordered", "attempts", "exclude", "hold", "by")},
    )
    columns = ["unit", "depth", "start", "open"] + [asked["by"]] * bool(asked["by"])
    found = funnel.furthest_table(events, unit="unit", as_of=as_of, **asked).to_pandas()
    found = found.astype(object).where(found.notna(), None)
    expected = outcomes(wanted, log)
    named = [*columns[:4], "value"][: len(columns)]
    assert Counter(map(tuple, found[columns].to_numpy())) == Counter(
        tuple(one[name] for name in named) for one in expected
    )
    if asked["by"] is None:
        table = funnel.step_table(events, unit="unit", as_of=as_of, **asked)
        counts = list(zip(table["entered"], table["open"], strict=True))
        assert counts == step_counts(wanted, log)


# The seed is all that is drawn (Hypothesis favours small and repeated values, which would leave
# most options untried), so there is nothing to shrink.
SETTINGS = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.generate],
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=84, **SETTINGS)  # 10,080 logs
@given(seed=st.integers(0, 10**9))
def test_10000_random_logs_on_duckdb(duckdb_con, make_table, monkeypatch, seed):
    compare(duckdb_con, make_table, monkeypatch, seed, n_units=120)


@pytest.mark.spark
@settings(max_examples=3, **SETTINGS)
@given(seed=st.integers(0, 10**9))
def test_the_same_body_on_spark(spark_con, make_table, monkeypatch, seed):
    compare(spark_con, make_table, monkeypatch, seed, n_units=200)
