"""What the page on uplift says and draws, over every decision."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.lift.experiment import Experiment
from cdp_lib.lift.metrics import parse
from cdp_lib.lift.uplift_policy import Costs
from cdp_lib.predict import uplift_rows, uplift_study
from cdp_lib.report import charts_of_uplift as charts
from cdp_lib.report import uplift_findings as findings

NAME = "<b>spring</b>"
SPRING = Experiment(
    NAME, control="none", covariates=("age", "town"), table="units",
    metrics=parse("metrics", {"bought": "conversion", "spend": "revenue"}),
)  # fmt: skip


def study(strength, costs=None, outcome="bought", lift=0.0, seed=1):
    rng = np.random.default_rng(seed)
    n = 5_000
    town, age = rng.choice(["Graz", "Linz", "Wels"], n), rng.integers(18, 80, n)
    arm = rng.choice(["none", "mail"], n)
    chance = 0.2 + (strength * (town == "Graz") + lift) * (arm == "mail")
    bought = (rng.random(n) < chance).astype(int)
    frame = {"unit_id": [f"u{i:05d}" for i in range(n)], "arm": arm, "bought": bought}
    frame = pd.DataFrame(frame | {"spend": bought * 20.0, "age": age, "town": town})
    rows = uplift_rows.from_units(frame, SPRING, outcome)
    return uplift_study.study(rows, costs)


@pytest.fixture(scope="module")
def used():
    return study(0.35)


@pytest.fixture(scope="module")
def treated_all():
    return study(0.0, lift=0.3)


def test_a_signal_is_told_with_its_numbers(used):
    told = findings.decision_headline(used)
    assert told.verdict == "act" and told.sentence.startswith("Use uplift.")
    row = used.scores.set_index("candidate").loc["uplift"]
    assert (told.value, told.low, told.high) == (
        row.uplift_at_20, row.uplift_at_20_low, row.uplift_at_20_high
    )  # fmt: skip
    assert told.unit == "points" and told.n == round(0.2 * used.n)
    average = findings.average_headline(used)
    assert average.verdict == "good" and "brings more" in average.sentence
    earned = findings.policy_headline(used)
    assert earned.low <= earned.value <= earned.high and earned.unit == "number"


def test_no_signal_offers_no_list(treated_all):
    told = findings.decision_headline(treated_all)
    assert told.verdict == "good" and told.sentence.startswith("Treat all. No usable signal")
    people = treated_all.rows.table.assign(customer_id=treated_all.rows.ids)
    listed = uplift_study.target_list(treated_all, people)
    assert listed.empty
    assert findings.list_note(treated_all, listed, None) == "No list is offered: treat all."
    assert "Nobody is grouped" in findings.group_note(treated_all, uplift_study.groups(treated_all))
    assert "everybody" in findings.policy_headline(treated_all).sentence


def test_a_costly_contact_is_told_in_money():
    one = study(0.0, Costs(value=10, contact_cost=8, incentive=1), outcome="spend")
    told = findings.policy_headline(one, "EUR")
    assert one.decision.word == "treat none" and told.value == 0 and told.unit == "money"
    assert "€8.00 a contact" in told.sentence and "€1.00 to each" in told.sentence
    assert findings.decision_headline(one, "EUR").unit == "money"


def test_what_cannot_be_told_is_not_told(used):
    vague = replace(used)
    vague.__dict__["decision"] = replace(used.decision, word="cannot tell", order=None)
    told = findings.policy_headline(vague)
    assert told.value is None and told.verdict == "cannot tell"
    assert findings.decision_headline(vague).verdict == "cannot tell"


def test_the_slope_in_words(used, treated_all):
    told = findings.calibration_headline(used)
    assert told.low > 0 and told.verdict in ("good", "watch")
    fits = told.low <= 1 <= told.high
    assert ("can be believed" in told.sentence) == fits == (told.verdict == "good")
    flat = findings.calibration_headline(treated_all)
    assert flat.verdict == "cannot tell"


def test_charts_carry_words_a_table_and_no_id(used):
    four = uplift_study.groups(used)
    figures = [
        charts.gain_chart(uplift_study.curves(used)),
        charts.calibration_chart(uplift_study.calibration(used)),
        charts.group_chart(four),
        charts.effect_chart(uplift_study.reading(used).importance),
    ]
    for figure in figures:
        meta = figure.layout.meta
        assert meta["alt"].endswith(".") and meta["table"]["rows"]
        text = json.dumps(figure.to_plotly_json(), default=str)
        assert "u00001" not in text and "the chance" not in text.lower()
    lines = [trace.name for trace in figures[0].data if trace.name]
    assert set(lines) == {"random order", "uplift", "response model", "churn risk alone"}
    random = next(trace for trace in figures[0].data if trace.name == "random order")
    assert random.y[-1] == pytest.approx(1000 * used.effects.mean())


def test_charts_of_nothing_say_so(treated_all):
    assert (
        "Nobody is grouped"
        in charts.group_chart(uplift_study.groups(treated_all)).layout.meta["alt"]
    )
    empty = charts.effect_chart(uplift_study.reading(treated_all).importance)
    assert "Nothing moves" in empty.layout.meta["alt"]


def test_views_name_what_they_hold(used):
    shown = findings.score_view(used.scores)
    headings = findings.score_headings(shown)
    assert set(headings) == set(shown.columns)
    assert headings["qini"] == "Over chance (Qini)"
    assert headings["uplift_at_20_low"] == "Effect, first 20%, low"
    formats = findings.effect_formats(used, shown)
    assert formats["uplift_at_20"] == "share" and "candidate" not in formats
    assert set(findings.policy_formats(used)) < set(findings.policy_view(used.policies).columns)


def test_names_and_notes(used):
    assert findings.names_in(" age, ,town ") == ["age", "town"]
    name = findings.list_name(used)
    assert name == "10_uplift_targeting-_b_spring__b_"
    said, n = findings.question_note(used), used.rows.treated.sum()
    assert f"{n:,} customers drawn into mail, {len(used.rows.treated) - n:,} into" in said
    assert f"Judged on {used.n:,} of them" in said and used.n < len(used.rows.treated)
    assert "had not seen" in findings.limits(used)
