"""What the cards on propensities say, from tables a person can read."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.customers.features import Feature
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.profit import Offer
from cdp_lib.predict.study import Listed
from cdp_lib.report import propensity_findings as findings
from cdp_lib.report import score_lists

SCORES = pd.DataFrame(
    {
        "measure": list(findings.MEASURES),
        "value": [0.8, 0.4, 0.1, 0.3, 0.01, 0.008, 1.02, 0.0],
        "low": [0.78, 0.3, 0.09, 0.28, 0.0, np.nan, 0.9, -0.1],
        "high": [0.82, 0.5, 0.11, 0.32, 0.02, np.nan, 1.1, 0.1],
        "n": 1000,
    }
)


def race(model: float, low: float, high: float) -> pd.DataFrame:
    """A race of the model against one rule that catches 50 of 100 contacts."""
    return pd.DataFrame(
        {
            "candidate": ["the model", "days since the last visit"],
            "kind": ["model", "rule"],
            "auc": [0.8, 0.7],
            "auc_low": [0.78, 0.68],
            "auc_high": [0.82, 0.72],
            "n_contacts": 100.0,
            "caught": [model, 50.0],
            "precision": [model / 100, 0.5],
            "best_rule": [False, True],
            "gain": [model - 50, 0.0],
            "gain_low": [low, 0.0],
            "gain_high": [high, 0.0],
            "auc_gain": [0.1, 0.0],
            "auc_gain_low": [-0.01, 0.0],
            "auc_gain_high": [0.2, 0.0],
        }
    )


PROFITS = pd.DataFrame(
    {
        "policy": ["best threshold", "threshold 0.5", "everyone", "nobody", "the rule"],
        "threshold": [0.2, 0.5, 0.0, np.inf, np.nan],
        "n_contacts": [300.0, 100.0, 1000.0, 0.0, 100.0],
        "profit": [500.0, 300.0, 100.0, 0.0, 250.0],
        "low": [400.0, 200.0, -50.0, 0.0, 150.0],
        "high": [600.0, 400.0, 250.0, 0.0, 350.0],
        "lost": [0.0, 200.0, 400.0, 500.0, 250.0],
    }
)


def a_study(**changed):
    """A study of 1,000 test customers and 2,000 at risk now, half of them above the threshold."""
    model = SimpleNamespace(verdict="use", reason="", n_needed=None, winner="xgboost", warnings=[])
    probability = np.r_[np.full(1000, 0.1), np.full(1000, 0.6)]
    one = {
        "usable": True,
        "leaving": True,
        "model": model,
        "race": race(60, 5, 15),
        "profits": PROFITS,
        "now": pd.DataFrame({"customer_id": np.arange(2000), "probability": probability}),
        "label": np.r_[np.ones(300), np.zeros(700)],
        "offer": Offer(contact_cost=1.0, margin=50.0, saved_share=0.1),
        "outcome": Outcome("purchase", 30, happens=False),
        "shop": SimpleNamespace(currency="EUR"),
        "field": SimpleNamespace(left_out={"expected orders (BG/NBD)": "needs orders"}),
        "frames": SimpleNamespace(
            cutoffs=SimpleNamespace(test=datetime(2026, 8, 31)),
            features=[Feature("city", "home city", "category", "customers", "attributes",
                              "category", dated=False)],
        ),
    }  # fmt: skip
    return SimpleNamespace(**{**one, **changed})


@pytest.mark.parametrize(
    ("caught", "low", "high", "verdict", "says"),
    [
        (60, 5, 15, "act", "Use the model"),
        (50, -2, 2, "watch", "Use the rule"),
        (55, -3, 12, "cannot tell", "Cannot tell"),
    ],
)
def test_the_verdict_is_that_of_the_race(caught, low, high, verdict, says):
    headline = findings.use_headline(a_study(race=race(caught, low, high)), SCORES)
    assert (headline.verdict, headline.value, headline.n) == (verdict, 0.8, 1000)
    assert says in headline.sentence and "no purchase within 30 days" in headline.sentence
    assert "boosted trees won" in headline.sentence


def test_a_model_that_is_no_use_says_how_much_is_needed():
    model = SimpleNamespace(verdict="too little data", reason="Only 9 positives.", n_needed=75)
    one = a_study(model=model, usable=False)
    headline = findings.use_headline(one, SCORES)
    assert (headline.verdict, headline.value) == ("cannot tell", None)
    assert "Only 9 positives." in headline.sentence and "about 75" in headline.sentence
    assert findings.money_headline(one).verdict == "cannot tell"
    assert findings.calibration_headline(one, SCORES).verdict == "cannot tell"
    assert findings.drift_headline(one, pd.DataFrame()).verdict == "cannot tell"


def test_money_is_put_to_those_at_risk_now_with_its_assumptions():
    headline = findings.money_headline(a_study())
    # 1,000 tested, 2,000 at risk: twice the profit; the threshold is 1 / 5 with these costs.
    assert (headline.value, headline.low, headline.high) == (1000, 800, 1200)
    assert headline.verdict == "act" and headline.currency == "EUR"
    for words in ("1,000 of 2,000", "above 20.0%", "€600", "€200", "the rule €500", "Assumed"):
        assert words in headline.sentence, words


def test_nobody_is_contacted_when_no_contact_pays():
    dear = a_study(offer=Offer(contact_cost=6.0, margin=50.0, saved_share=0.1))
    assert "a contact costs more than it can keep" in findings.money_headline(dear).sentence
    few = a_study(offer=Offer(contact_cost=4.0, margin=50.0, saved_share=0.1))
    assert "above a probability of 80.0%" in findings.money_headline(few).sentence


def test_the_expected_share_is_the_mean_probability():
    headline = findings.risk_headline(a_study())
    assert headline.value == pytest.approx(0.35) and "700 of 2,000" in headline.sentence
    nobody = a_study(now=pd.DataFrame({"customer_id": [], "probability": []}))
    assert findings.risk_headline(nobody).verdict == "cannot tell"


def test_calibration_is_judged_beside_what_chance_explains():
    assert findings.calibration_headline(a_study(), SCORES).verdict == "good"
    off = SCORES.assign(value=[0.8, 0.4, 0.1, 0.3, 0.09, 0.008, 0.6, 0.0],
                        high=[0.82, 0.5, 0.11, 0.32, 0.1, np.nan, 0.7, 0.1])  # fmt: skip
    assert findings.calibration_headline(a_study(), off).verdict == "watch"
    assert "read them as an order" in findings.calibration_headline(a_study(), off).sentence


def test_groups_carry_words_and_small_ones_are_hidden():
    table = pd.DataFrame(
        {
            "grouping": ["city"] * 3,
            "group": ["Rome", "Oslo", "Bonn"],
            "n": [100, 60, 3],
            "predicted": 0.2, "observed": 0.2, "low": 0.1, "high": 0.3, "verdict": "as predicted",
        }
    )  # fmt: skip
    view = findings.group_view(table, a_study().frames.features)
    assert view.by.tolist() == ["home city"]
    # With Bonn goes the next smallest, or Bonn could be had by subtraction.
    assert view.group.tolist() == ["Rome"]


def test_notes_say_what_is_known_and_what_is_not():
    said = findings.limits(a_study())
    for words in ("never saw", "2026-08-31", "city", "expected orders (BG/NBD): needs orders"):
        assert words in said, words
    listed = Listed(pd.DataFrame({"customer_id": ["a", "b"], "value_at_stake": [10.0, 5.0]}), None)
    said = score_lists.list_note(a_study(), listed, Path("x/05.csv"))
    assert said.startswith("2 customers; €15.00 at stake") and said.endswith("as 05.csv.")
    level = a_study(race=race(50, -2, 2))
    said = score_lists.list_note(level, listed, None)
    assert "No file" in said and said.endswith(
        "a list of as many by days since the last visit would do as well."
    )
    assert score_lists.list_name("06", Outcome("use/../coupon", 7)) == "06-use____coupon-7-days"
    assert score_lists.score_name(Outcome("use/../coupon", 7)) == "use____coupon_probability"
    assert score_lists.score_name(Outcome("purchase", 7)) == "buy_probability"


def test_only_a_model_that_is_of_use_leaves_its_scores(tmp_path):
    listed = Listed(pd.DataFrame({"customer_id": ["a"], "value_at_stake": [10.0]}), None)
    shop = SimpleNamespace(currency="EUR", as_of=datetime(2026, 9, 7))
    for usable, folder in ((True, tmp_path / "one"), (False, tmp_path / "other")):
        one = a_study(usable=usable, shop=shop)
        one.now["customer_id"] = one.now.customer_id.astype(str)
        path = score_lists.leave(one, listed, folder, "05_churn")
        assert path.parent == folder and pd.read_csv(path).customer_id.tolist() == ["a"]
        scores = list(folder.glob("*.parquet"))
        assert len(scores) == usable
        for found in map(pd.read_parquet, scores):
            assert found.leave_probability.tolist() == one.now.probability.tolist()


def test_what_a_feature_may_have_known_is_asked():
    clear = SimpleNamespace(suspects=[], sentence="No feature is suspect.")
    leaky = SimpleNamespace(suspects=["duration"], sentence="1 feature is suspect.")
    assert "Ask of" not in findings.leak_note(clear)
    assert "Ask of duration: is this known before the outcome?" in findings.leak_note(leaky)
