"""Sentences on value: computed from results, small groups hidden, the claim beside and not in."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.customers import spread
from cdp_lib.customers.histories import Kept
from cdp_lib.customers.spend import GammaGamma, Independence
from cdp_lib.customers.value import BgNbd
from cdp_lib.predict.value_race import AVERAGE, MODEL, ValueRace, judged_table
from cdp_lib.report import charts_of_value as charts
from cdp_lib.report import value_findings as findings
from cdp_lib.report import value_race_findings as races

ORDERS = BgNbd(1.0, 50.0, 0.5, 2.0, -10.0, True, 100)


@pytest.fixture
def model():
    """What the findings read of a model."""
    return SimpleNamespace(
        orders=SimpleNamespace(models=(ORDERS, replace(ORDERS, converged=False)), converged=False),
        spend=GammaGamma(6.0, 4.0, 15.0, -1.0, True, 90),
        kept=Kept("margin", 0.42, 0.41, 0.43, 1000.0, 1.0, 0.9),
        independence=Independence(0.0, -0.05, 0.05, 0.0, 90, False, "They do not go together."),
        n_customers=1234,
        n_without=56,
        warnings=("The cost of 10% of the revenue is unknown.",),
    )


AHEAD = pd.DataFrame(
    {
        "horizon_days": [91, 365], "n_customers": [1234, 1234], "expected_orders": [500.4, 1500.0],
        "expected_revenue": [9e3, 3e4], "expected_value": [4e3, 12e3], "value_low": [3e3, 8e3],
        "value_high": [5e3, 16e3], "alone_low": [3.8e3, 11e3], "alone_high": [4.2e3, 13e3],
    }
)  # fmt: skip
TEST = SimpleNamespace(error=0.07, horizon_days=91)


def test_the_value_of_the_base(model):
    head = findings.value_headline(model, AHEAD, TEST, "EUR")
    assert head.name == "Expected margin of today's customers in 12 months"
    assert (head.value, head.low, head.high, head.n) == (12e3, 8e3, 16e3, 1234)
    assert head.verdict == "good" and "€11,000 to €13,000" in head.sentence
    assert "7.0%" in head.sentence and "€9.72 each" in head.sentence
    assert findings.value_headline(model, AHEAD, SimpleNamespace(**vars(TEST) | {"error": 0.3}),
                                   "EUR").verdict == "watch"  # fmt: skip
    view = findings.horizon_view(AHEAD)
    assert view.within.tolist() == ["3 months", "12 months"] and view.n_orders[0] == 500


def race_of(bias: float) -> ValueRace:
    rng = np.random.default_rng(1)
    came = rng.gamma(1, 10, 4000)
    forecasts = {AVERAGE: np.full(4000, 10.0), MODEL: came * (1 + bias)}
    table, chosen = judged_table(forecasts, came)
    return ValueRace(table, chosen, f"Used: {chosen}.", came.sum(), 4000, 91, None, {"x": "why"})


@pytest.mark.parametrize(("bias", "verdict"), [(0.02, "good"), (0.4, "watch")])
def test_the_error_of_the_forecast(bias, verdict):
    race = race_of(bias)
    head = races.race_headline(race)
    assert head.verdict == verdict and head.value == pytest.approx(bias, abs=1e-9)
    assert head.unit == "share" and "4,000 customers" in head.sentence
    view = races.race_view(race)
    assert view.used.tolist() == [False, True] and set(races.RACE_FORMATS) <= set(view.columns)
    assert "x did not run: why." in findings.limits(race)


def test_the_forecast_that_won_says_its_total():
    """In the race it was 40 % too high throughout, so of 1,400 expected 1,000 come."""
    told = races.used_note(race_of(0.4), 1400.0, "margin", "EUR")
    assert told.startswith(f"For 91 days use {MODEL}: €1,400 (€1,000 to €1,000) of margin")


def margins_of(values) -> tuple:
    import ibis

    frame = pd.DataFrame({"key": [f"k{i:05d}" for i in range(len(values))], "margin": values})
    parts = spread.part_table(ibis.memtable(frame), "margin", "key")
    return SimpleNamespace(kind="margin", days=365, parts=parts), spread.share_table(parts).rename(
        columns={"n": "n_customers"}
    )


LOSSES = pd.DataFrame(
    {
        "reason": ["discounts took the margin"], "n_customers": [12], "n_orders": [20],
        "revenue": [100.0], "paid_back": [0.0], "discount": [30.0], "margin": [-9.0],
    }
)  # fmt: skip


def test_who_earned_the_money():
    found, deciles = margins_of(np.arange(1.0, 1001.0))
    head = findings.decile_headline(found, deciles, LOSSES)
    assert head.value == pytest.approx(sum(range(901, 1001)) / sum(range(1, 1001)))
    assert head.verdict == "act" and "12 customers cost more" in head.sentence
    few = findings.decile_headline(found, deciles, LOSSES.assign(n_customers=3))
    assert few.verdict == "watch" and " 3 customers" not in few.sentence
    assert "Fewer than 10 customers" in few.sentence
    assert "No customer" in findings.decile_headline(found, deciles, LOSSES.head(0)).sentence
    found, deciles = margins_of(np.array([-5.0, 1.0, 1.0]))
    assert findings.decile_headline(found, deciles, LOSSES).verdict == "cannot tell"
    assert findings.loss_view(LOSSES).what_to_do[0].startswith("no discount")


READINGS = pd.DataFrame(
    {
        "reading": ["5% fewer leave after an order"] * 2 + ["5 points more stay each year"] * 2,
        "span": ["in a year", "in the long run"] * 2, "fewer_share": [0.05, 0.05, 0.3, 0.3],
        "retention": [0.71, 0.71, 0.75, 0.75], "value": [1e4] * 4, "gain": [100.0, 200, 500, 1500],
        "gain_low": [90.0, 180, 450, 1400], "gain_high": [110.0, 220, 550, 1600],
        "gain_share": [0.01, 0.02, 0.05, 0.11], "gain_share_low": [0.009, 0.018, 0.045, 0.1],
        "gain_share_high": [0.011, 0.022, 0.055, 0.12],
    }
)  # fmt: skip


def test_what_retention_is_worth(model):
    head = findings.retention_headline(READINGS, model, "EUR")
    assert (head.value, head.low, head.high) == (100, 90, 110)
    assert "inferred" in head.name and "25% to 95%" in head.sentence and "11.0%" in head.sentence
    impossible = READINGS.assign(
        gain_share=READINGS.gain_share.where(~READINGS.reading.str.contains("points"))
    )
    assert "no reading" in findings.retention_headline(impossible, model).sentence
    assert "disputed" in findings.retention_note()
    figure = charts.retention_chart(findings.retention_view(READINGS), findings.CLAIM)
    assert "Claimed: 25% to 95%." in figure.layout.meta["alt"]
    # The claim is drawn as its own series and never among the shop's figures.
    assert list(figure.data[1].x) == list(findings.CLAIM)
    assert max(figure.data[0].x) == 0.11


def test_what_the_models_say_of_themselves(model):
    said = findings.model_note(model)
    for part in ("1,234 customers", "2 models of orders", "not all converged", "42.0%", "56 known",
                 "They do not go together.", "The cost of 10%"):  # fmt: skip
        assert part in said


def test_the_order_value_with_guardrails():
    import ibis

    values = np.append(np.full(990, 50.0) + np.arange(990) / 100, np.full(10, 5000.0))
    frame = pd.DataFrame({"key": [f"o{i:04d}" for i in range(1000)], "v": values})
    parts = spread.part_table(ibis.memtable(frame), "v", "key")
    said = findings.order_note(spread.guarded_table(parts), parts, "EUR")
    # 50,000 of 50,000 + 990 × 50 + 4,895.55.
    assert "The top 1 % of orders carry 47.9%" in said and "read the median" in said


def test_charts_carry_words_and_escape_labels():
    table = pd.DataFrame(
        {
            "group": ["<b>x</b>", "y"], "expected_value": [10.0, 5.0], "happened_value": [6.0, 6.0],
            "happened_low": [5.0, 5.0], "happened_high": [7.0, 7.0],
        }
    )  # fmt: skip
    figure = charts.forecast_chart(table, currency="EUR")
    assert "80.0% of what was expected" in figure.layout.meta["alt"]
    assert "<b>" not in str(figure.data[0].y)
    curve = charts.curve_chart(spread.curve_table(margins_of(np.arange(1.0, 501.0))[0].parts))
    assert "10.0% bring 19.0%" in curve.layout.meta["alt"]
