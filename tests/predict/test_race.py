"""The race: by hand, ties in every order, verdicts right as often as they say, rules learnt."""

from dataclasses import replace
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.customers.features import Feature
from cdp_lib.predict.race import race_by_cutoff, race_table, race_verdict
from cdp_lib.predict.rules import Candidate, best_number, expected_orders, no_model, silence
from cdp_lib.predict.rules import field as race_field


def field(seed: int, n: int, model: float, rule: float) -> tuple[np.ndarray, list[Candidate]]:
    """Outcomes of a normal x (share about 0.2), and scores that see x through noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(2 - 1.5 * x))).astype(int)
    seen = {"model": x * model + rng.normal(size=n), "rule": x * rule + rng.normal(size=n)}
    return y, [no_model(n), *(Candidate(name, name, score) for name, score in seen.items())]


def test_the_race_by_hand():
    """Four contacts of ten, three outcomes. The rule has five in one group: 2 of them hit."""
    y = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    model = Candidate("m", "model", np.arange(10, 0, -1))
    rule = Candidate("r", "rule", np.array([1.0] * 5 + [0.0] * 5))
    got = race_table(y, [model, rule, no_model(10)], n_contacts=4, n_boot=50)
    got = got.set_index("candidate")
    assert got.caught.to_dict() == pytest.approx({"m": 2, "r": 4 * 2 / 5, "no model": 4 * 3 / 10})
    assert got.precision["m"] == 0.5 and got.found["m"] == pytest.approx(2 / 3)
    assert got.best_rule.to_dict() == {"m": False, "r": True, "no model": False}
    assert got.gain["m"] == pytest.approx(0.4) and got.gain["r"] == 0
    assert got.auc["no model"] == 0.5


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_paired_gain_holds_its_truth(repeats):
    """The truth is the gain per customer of 400,000; 120 samples: 105 or fewer has p = 1e-4."""
    y, candidates = field(0, 400_000, 1.5, 1.0)
    truth = race_table(y, candidates, n_boot=1).set_index("candidate")
    held = {"gain": 0, "auc_gain": 0, "precision": 0}
    for seed in range(1, 121):
        n = 1500 // repeats
        y, candidates = field(seed, n, 1.5, 1.0)
        rows = np.repeat(np.arange(n), repeats)
        again = [Candidate(c.name, c.kind, c.score[rows]) for c in candidates]
        got = race_table(y[rows], again, ids=rows, n_boot=200, seed=seed).set_index("candidate")
        for name in held:
            true = truth[name]["model"] * (1500 / 400_000 if name == "gain" else 1)
            held[name] += got[f"{name}_low"]["model"] <= true <= got[f"{name}_high"]["model"]
    assert min(held.values()) > 105, held


def test_verdicts():
    """A far better model, two equal ones, and noise: each 20 times, at 5,000 customers."""
    words = {"better": [], "equal": [], "noise": []}
    for seed in range(20):
        for name, strength in {"better": (2, 0.7), "noise": (0, 0)}.items():
            table = race_table(*field(seed, 5000, *strength), n_boot=100, seed=seed)
            words[name].append(race_verdict(table).word)
        y, (nobody, model, _) = field(seed, 5000, 1.5, 1.5)
        same = Candidate("rule", "rule", model.score)
        words["equal"].append(race_verdict(race_table(y, [nobody, model, same], n_boot=100)).word)
    assert set(words["better"]) == {"use the model"} and set(words["equal"]) == {"use the rule"}
    # Either AUC's interval lies above a half in 2 * 2.5 % of cases: 5 of 20 has p = 0.003.
    assert words["noise"].count("cannot tell") >= 16
    assert words["noise"].count("use the model") <= 2


def test_too_few_to_tell():
    """300 customers, 30 contacts, a model a little better: intervals far wider than the gain."""
    words = [race_verdict(race_table(*field(s, 300, 1.2, 1.0), n_boot=100)).word for s in range(20)]
    assert words.count("cannot tell") >= 15


def test_no_rule_wins_by_chance_of_its_order():
    """A tied score gives the same figures however the rows stand."""
    y, (_, model, _) = field(1, 500, 1.0, 1.0)
    tied = Candidate("tied", "rule", np.round(model.score))
    first = race_table(y, [model, tied], n_boot=2).set_index("candidate")
    order = np.random.default_rng(0).permutation(500)
    moved = [Candidate(c.name, c.kind, c.score[order]) for c in (model, tied)]
    again = race_table(y[order], moved, n_boot=2).set_index("candidate")
    for column in ("auc", "caught", "precision", "gain"):
        assert first[column]["tied"] == pytest.approx(again[column]["tied"], abs=1e-9)


def test_silence_counts_the_unknown_as_silent():
    days = [0, 119.9, 120, np.nan]
    assert silence(days).score.tolist() == [0, 0, 1, 1]
    assert silence(days, leaving=False).score.tolist() == [1, 1, 0, 0]


def test_the_best_number_is_learnt_from_the_training_rows():
    train = pd.DataFrame(
        {"label": [1, 1, 0, 0], "a": [1.0, 2, 3, 4], "b": [1.0, 4, 2, 3], "c": [np.nan] * 4}
    )
    test = pd.DataFrame({"a": [5.0, np.nan, 1.0], "b": [1.0, 2, 3]})
    a, b, c = (Feature(name, f"the {name}", "number", "t", "recency") for name in "abc")
    got = best_number(train, test, [b, a, c])
    assert got.name == "lowest the a"
    assert got.score.tolist() == [-5, -np.inf, -1]
    assert np.argmax(got.score) == 2
    with pytest.raises(Refusal, match="no number"):
        best_number(train, test, [])


@pytest.mark.parametrize(
    ("meaning", "unit", "falling", "rising"),
    [
        ("days since the last visit", "days", "fewest days", "most days"),
        ("whole days since a search", "days", "fewest days since a", "most days since a"),
        ("time since the last order, in gaps", "number", "shortest time", "longest time"),
        ("visits in the last 7 days", "count", "fewest visits", "most visits"),
        ("price paid", "money", "lowest price", "highest price"),
    ],
)
def test_a_number_that_rules_is_named_in_words(meaning, unit, falling, rising):
    feature = Feature("x", meaning, unit, "events", "recency")
    for label, words in (([1, 0], falling), ([0, 1], rising)):
        train = pd.DataFrame({"label": label, "x": [1.0, 2.0]})
        assert best_number(train, train, [feature]).name.startswith(words)


class Orders:
    """A shop that has orders alone."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.orders = ibis.memtable(frame)

    def require(self, *names: str) -> None:
        assert names == ("orders",)


def test_expected_orders_of_a_shop():
    """Frequent, fresh buyers first; unknown ones last; nothing after the cutoff is seen."""
    rng = np.random.default_rng(1)
    rows, start = [], datetime(2026, 1, 1)
    for customer in range(400):
        rate, day = rng.gamma(1.0, 0.03), rng.uniform(0, 100)
        while day < 250:
            rows.append((f"c{customer}", start + timedelta(seconds=int(day * 86_400))))
            day += rng.exponential(1 / rate)
            if rng.random() < 0.15:
                break
    orders = pd.DataFrame(rows, columns=["customer_id", "ordered_at"]).assign(revenue=20.0)
    cutoff = pd.Timestamp("2026-07-20")
    before = orders[orders.ordered_at < cutoff]
    ids = [*before.customer_id.unique(), "nobody"]
    got = expected_orders(Orders(orders), ids, cutoff, 30)
    cut = expected_orders(Orders(before), ids, cutoff, 30)
    assert (got.score == cut.score).all()
    assert got.score[-1] == -1 == got.score.min() and (got.score[:-1] >= 0).all()
    n = before.groupby("customer_id").size().reindex(ids[:-1]).to_numpy()
    assert np.corrcoef(n, got.score[:-1])[0, 1] > 0.3
    away = expected_orders(Orders(orders), ids, cutoff, 30, leaving=True)
    assert (away.score == -got.score).all()
    later = orders.assign(ordered_at=orders.ordered_at + timedelta(days=9), revenue=-5.0)
    returned = expected_orders(Orders(pd.concat([orders, later])), ids, cutoff, 30)
    assert (returned.score == got.score).all()


def test_the_field_of_a_prepared_table():
    """Without dates and orders there are the best number, the regression and the model."""
    from cdp_lib.predict.frames import from_table
    from cdp_lib.predict.propensity import fit

    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, 4000))
    frame = pd.DataFrame({"x": x, "z": z, "kind": rng.choice(["a", "b"], 4000)})
    frame["left"] = (rng.random(4000) < 1 / (1 + np.exp(1 + 1.5 * x))).astype(int)
    frames = from_table(frame, "left")
    got = race_field(frames, fit(frames))
    assert [c.name for c in got.candidates] == [
        "no model", "lowest x", "logistic regression", "the model"
    ]  # fmt: skip
    assert "120 days of silence" in got.left_out
    assert all(len(c.score) == len(frames.test) for c in got.candidates)
    table = race_table(frames.test.label, got.candidates, n_boot=100)
    assert race_verdict(table).word != "use the model"  # x alone is the whole truth


def test_a_rule_with_everybody_on_one_side_is_left_out():
    from cdp_lib.predict.frames import from_table
    from cdp_lib.predict.outcome import Outcome
    from cdp_lib.predict.propensity import fit

    rng = np.random.default_rng(4)
    days = rng.uniform(0, 90, 1200)
    rows = pd.DataFrame({"days_since_order": days, "other": rng.normal(size=1200)})
    rows["left"] = (rng.random(1200) < days / 90).astype(int)
    frames = replace(from_table(rows, "left"), outcome=Outcome("purchase", 90, happens=False))
    model = fit(frames)
    names = [c.name for c in race_field(frames, model, limit_days=30).candidates]
    assert "30 days of silence" in names
    for limit, words in ((120, "was active within 120 days"), (0, "was silent for 0 days")):
        got = race_field(frames, model, limit_days=limit)
        name = f"{limit} days of silence"
        assert name not in [c.name for c in got.candidates] and words in got.left_out[name]


def test_every_cutoff_races_by_itself():
    y, candidates = field(2, 900, 1.5, 1.0)
    when = np.repeat(pd.to_datetime(["2026-01-05", "2026-01-12", "2026-01-19"]), 300)
    got = race_by_cutoff(y, candidates, when, contacted=0.2, n_boot=50)
    assert len(got) == 9 and got.groupby("cutoff").verdict.nunique().eq(1).all()
    own = [Candidate(c.name, c.kind, c.score[300:600]) for c in candidates]
    alone = race_table(y[300:600], own, n_contacts=60, n_boot=50)
    middle = got[got.cutoff == pd.Timestamp("2026-01-12")].reset_index(drop=True)
    pd.testing.assert_frame_equal(middle[alone.columns], alone)


def test_bad_input_is_refused():
    y, candidates = field(3, 50, 1, 1)
    with pytest.raises(Refusal, match="more than 50 customers"):
        race_table(y, candidates, n_contacts=51)
    with pytest.raises(Refusal, match="repeated names"):
        race_table(y, [candidates[0], candidates[0]])
    with pytest.raises(Refusal, match="not a number for each"):
        race_table(y, [no_model(49)])
    with pytest.raises(Refusal, match='not one candidate of kind "model"'):
        race_verdict(race_table(y, candidates[:1], n_boot=2))
