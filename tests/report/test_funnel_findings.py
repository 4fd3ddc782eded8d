"""What the cards on funnels, leaks and data say, from result tables a person can read."""

from datetime import datetime
from types import SimpleNamespace

import pandas as pd
import pytest

from cdp_lib.report import funnel_findings as findings
from cdp_lib.report import health_findings

STEPS = pd.DataFrame(
    {
        "step": ["view_item", "add_to_cart", "purchase"],
        "entered": [1000, 300, 90],
        "step_rate": [float("nan"), 0.3, 0.3],
        "overall_rate": [1.0, 0.3, 0.09],
        "abandonment_rate": [float("nan"), 0.69, 0.7],
        "open": [0, 10, 0],
    }
)
REACH = pd.DataFrame({"share": [0.09], "share_low": [0.07], "share_high": [0.11]})
WEEKS = pd.DataFrame(
    {
        "step": ["view_item", "purchase"] * 3,
        "week_start": pd.to_datetime(["2026-01-05"] * 2 + ["2026-01-12"] * 2 + ["2026-01-19"] * 2),
        "overall_rate": [1.0, 0.08, 1.0, 0.1, 1.0, 0.01],
        "complete": [True] * 4 + [False] * 2,
    }
)


def test_the_funnel_names_the_step_that_loses_most_people():
    headline = findings.funnel_headline(STEPS, REACH, WEEKS, "session")
    assert headline.name == "From a product page to a purchase"
    assert (headline.value, headline.low, headline.high, headline.n) == (0.09, 0.07, 0.11, 1000)
    assert "90 of 1,000 sessions" in headline.sentence
    assert "between a product page and the cart: 69.0%" in headline.sentence
    assert headline.trend == (0.08, 0.1), "the week that is not over is left out"


def test_attempts_that_are_all_open_are_not_called_lost():
    early = STEPS.assign(open=[0, 700, 210])
    assert "too early" in findings.funnel_headline(early, REACH, WEEKS, "visitor").sentence
    nobody = STEPS.assign(entered=0)
    assert findings.funnel_headline(nobody, REACH, WEEKS, "person").verdict == "cannot tell"


def test_groups_are_ranked_and_small_ones_left_out():
    reach = pd.DataFrame(
        {
            "known": pd.Series([True, False, None, "few"], dtype=object),
            "n_entered": [100, 200, 9, 50],
            "n_reached": [30, 20, 9, 5],
            "n_people": [80, 150, 9, 9],
            "share": [0.3, 0.1, 1.0, 0.1],
            "share_low": [0.2, 0.05, 0.7, 0.0],
            "share_high": [0.4, 0.2, 1.0, 0.5],
        }
    )
    table = findings.group_table(reach)
    assert table.group.tolist() == ["yes", "no"]
    assert table.reached_rate.tolist() == [0.3, 0.1]
    assert table.loc[0, ["reached_rate_low", "reached_rate_high"]].tolist() == [0.2, 0.4]
    every = findings.group_table(reach.assign(n_entered=100, n_people=100))
    assert every.group.tolist() == ["unknown", "yes", "no", "few"]


def test_a_badly_logged_step_is_called_out():
    coverage = pd.DataFrame(
        {"step": ["add_to_cart", "purchase"], "n_units": [118, 200], "missed_share": [0.0, 0.675]}
    )
    assert findings.coverage_note(coverage).startswith("Careful: 67.5%")
    assert "nearly all" in findings.coverage_note(coverage.assign(missed_share=0.05))
    assert "no end to measure" in findings.coverage_note(coverage.assign(n_units=0))


def leaks(**changes):
    table = pd.DataFrame(
        {
            "step": ["creating an account", "payment", "all steps"],
            "furthest_step": ["begin_checkout", "add_shipping_info", None],
            "n_people": [400, 300, 600],
            "n_lost": [500.0, 400.0, 900.0],
            "gross": [5000.0, 3000.0, 8000.0],
            "recoverable": [4000.0, 2500.0, 6500.0],
            "recoverable_low": [3500.0, 2000.0, 6000.0],
            "recoverable_high": [4500.0, 3000.0, 7000.0],
            "gross_per_week": [1250.0, 750.0, 2000.0],
            "recoverable_per_week": [1000.0, 625.0, 1625.0],
            "proven_note": "not measured yet",
        }
    )
    return SimpleNamespace(table=table.assign(**changes), weeks=4.0, n_unpriced=3)


def test_the_leak_is_money_per_week_after_what_comes_back():
    headline = findings.leak_headline(leaks(), "EUR")
    assert (headline.value, headline.low, headline.high) == (1625, 1500, 1750)
    assert headline.verdict == "act" and headline.n == 600
    assert "€2,000 a week" in headline.sentence and "€1,000, stops at creating" in headline.sentence


def test_a_leak_without_prices_or_carts_is_not_zero():
    assert findings.leak_headline(leaks(gross=float("nan")), "EUR").value is None
    assert findings.leak_headline(leaks(n_lost=0.0), "EUR").value is None


def test_the_leak_table_says_that_nothing_is_proven_yet():
    view = findings.leak_view(leaks())
    assert set(view.proven) == {"not measured yet"}
    assert view.recoverable_per_week_low.tolist() == [875, 500, 1500]


def health(n_read=1000, n_aside=0, *problems):
    columns = ["table", "rule", "treatment", "n_rows", "meaning"]
    return SimpleNamespace(
        row_counts=pd.DataFrame(
            {"table": ["events"], "n_read": [n_read], "n_set_aside": [n_aside]}
        ),
        problems=pd.DataFrame(list(problems), columns=columns),
        as_of=datetime(2026, 1, 1),
    )


@pytest.mark.parametrize(("n_aside", "verdict"), [(4, "good"), (5, "watch"), (50, "act")])
def test_more_rows_set_aside_are_a_worse_verdict(n_aside, verdict):
    found = ("events", "repeated key", "set aside", n_aside, "…")
    headline = health_findings.health_headline(health(1000, n_aside, found))
    assert (headline.value, headline.verdict) == (n_aside / 1000, verdict)
    assert "'repeated key' in events" in headline.sentence


def test_looking_back_is_no_fault_of_the_data():
    later = ("events", "at or after as_of", "set aside", 400, "…")
    headline = health_findings.health_headline(health(1000, 401, later))
    assert (headline.value, headline.verdict) == (0.001, "good")
    assert "400 further rows" in headline.sentence


def test_a_fatal_problem_refuses_the_numbers():
    fatal = ("orders", "two currencies", "fatal", None, "convert them first")
    headline = health_findings.health_headline(health(1000, 0, fatal))
    assert headline.verdict == "refused" and "two currencies" in headline.sentence
    assert health_findings.health_headline(health(0)).verdict == "cannot tell"


def test_a_shop_without_events_knows_nobody():
    assert health_findings.known_headline(None).verdict == "cannot tell"
    assert len(health_findings.known_table(None)) == 1


def test_what_is_known_adds_up():
    known = SimpleNamespace(
        n_events=100, known_rate=0.4, stitched_rate=0.3, without_id_rate=0.05,
        n_visitors=20, n_shared_visitors=12, n_people=15,
    )  # fmt: skip
    headline = health_findings.known_headline(known)
    assert headline.value == 0.7 and headline.verdict == "good"
    assert "12 devices are shared" in headline.sentence
    shares = health_findings.known_table(known).set_index("figure").value
    assert shares["Events of unknown visitors"] == "25.0%"
