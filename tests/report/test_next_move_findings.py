"""What is said of next moves: numbers from the tables alone, no person, no small group."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.activate.moves import REASONS
from cdp_lib.activate.policy import read_policy
from cdp_lib.activate.yields import Best, yield_table
from cdp_lib.report import charts_of_audiences as charts
from cdp_lib.report import next_move_findings as findings
from cdp_lib.report.best_audience import BestAudience
from cdp_lib.report.prospects import CURVE, ForPlatforms, Prospects

NONE = Prospects(
    None, "horizon_days: too short", "", pd.DataFrame(columns=["title"]),
    pd.DataFrame(columns=["title"]), pd.DataFrame(columns=CURVE, dtype=float),
)  # fmt: skip


def matrix(*rows) -> pd.DataFrame:
    """Rows of audience, n_asked, n_got and the reasons in order, and their sum."""
    names = ["audience", "n_asked", "n_got", *(f"n_{reason}" for reason in REASONS)]
    table = pd.DataFrame(rows, columns=names)
    table.insert(1, "title", "t")
    whole = table.drop(columns=["audience", "title"]).sum().to_dict()
    whole |= {"audience": "all", "title": "", "n_asked": 900}
    return pd.concat([table, pd.DataFrame([whole])], ignore_index=True)


TABLE = matrix(
    ("cart_list", 500, 300, 0, 0, 150, 0, 0, 0, 50), ("sell", 500, 100, 0, 20, 300, 0, 0, 4, 76)
)


def test_the_moves_are_counted_in_words():
    headline = findings.moves_headline(TABLE)
    assert (headline.value, headline.n, headline.verdict) == (400, 400, "act")
    assert headline.sentence == (
        "400 of 900 customers whom a list asks for get one move, and nobody gets two. 126 wishes "
        "gave way to a list of higher priority. 500 get none, mostly for: no permission."
    )
    empty = matrix(("cart_list", *[0] * 9)).assign(n_asked=0)
    assert "No list asks" in findings.moves_headline(empty).sentence


def test_small_counts_are_hidden_and_not_to_be_had_by_subtraction():
    view = findings.matrix_view(TABLE).set_index("audience")
    assert list(view.columns) == [
        "title", "asked for", "got it", "ruled out by another list", "no permission",
        "limit of messages", "got another move",
    ]  # fmt: skip
    assert view.loc["cart list", "got it"] == 300
    assert np.isnan(view.loc["sell", "limit of messages"])
    hidden = view.drop(columns="title").astype(float).isna()
    for line in (*hidden.to_numpy(), *hidden.to_numpy().T):
        assert line.sum() != 1, "one hidden number alone can be worked out"


@pytest.mark.parametrize("seed", range(5))
def test_no_table_shows_a_group_of_one_to_nine(seed):
    rng = np.random.default_rng(seed)
    counts = pd.DataFrame(rng.choice([0, 3, 9, 10, 50, 700], (6, 5)).astype(float))
    shown = findings._without_few(counts).to_numpy()
    assert not ((shown > 0) & (shown < 10)).any()
    zero = counts.to_numpy() == 0
    assert (shown[zero] == 0).all()
    hidden = np.isnan(shown)
    for grid, mask in ((counts.to_numpy(), hidden), (counts.to_numpy().T, hidden.T)):
        for line, gone in zip(grid, mask, strict=True):
            assert gone.sum() != 1 or (line > 0).sum() == 1


def test_what_is_at_stake_adds_up():
    stakes = pd.DataFrame(
        {"audience": ["service_recovery"] * 20 + ["likely_churners"] * 80,
         "probability": 0.5, "worth": 100.0}
    )  # fmt: skip
    headline = findings.stake_headline(stakes, "EUR")
    assert headline.value == pytest.approx(5000)
    # 100 coins of 100 each: a standard deviation of 500.
    assert headline.high - headline.value == pytest.approx(1.96 * 500, rel=1e-3)
    assert "100 likely leavers get a move: 20 a call" in headline.sentence
    assert "inferred" in headline.sentence
    assert findings.stake_headline(stakes.head(0), "EUR").verdict == "cannot tell"


def test_an_assumed_best_audience_is_never_an_act():
    best = Best(0.4, 400, 900.0, 100.0, 1700.0, 500.0, -10.0, 900.0, "contact", "assumed")
    found = BestAudience("win_back", pd.DataFrame(), best, "Assumed, not measured: so and so.")
    headline = findings.best_headline(found, "EUR")
    assert headline.verdict == "watch" and headline.sentence.endswith("so and so.")
    assert "Contact 400 (40%), the highest scores first. Contacting everybody: €500" in (
        headline.sentence
    )
    measured = replace(found, best=replace(best, source="measured"))
    assert findings.best_headline(measured, "EUR").verdict == "act"
    nobody = replace(found, best=replace(best, word="nobody", share=0.0, n=0))
    assert "Contact nobody" in findings.best_headline(nobody, "EUR").sentence
    lacking = BestAudience("x", pd.DataFrame(), None, "Not measured yet.")
    assert findings.best_headline(lacking, "EUR").verdict == "cannot tell" and lacking.share == 0


def test_without_prospects_the_page_says_so():
    assert "too short" in findings.alike_headline(NONE, "EUR").sentence
    assert findings.seed_view(NONE, "EUR").empty
    assert findings.lacking_note({"cart_list": "shop: no table"}, NONE) == (
        "Not available in this shop: cart list (shop: no table); look-alikes (horizon_days: too "
        "short)."
    )
    assert charts.reach_chart(NONE.curve).layout.meta["alt"] == "No value is known."
    assert "at most 3 messages in 7 days" in findings.limits(read_policy())


def test_lists_for_platforms_name_the_permission():
    found = ForPlatforms({"seed for google": 500, "leave_out for meta": 5}, "email", "")
    text = findings.platforms_note(found)
    assert "seed for google: 500; leave out for meta: fewer than 10" in text
    assert "email permission stands in" in text
    assert "stands in" not in findings.platforms_note(replace(found, consent="ads"))
    assert "no table" in findings.platforms_note(ForPlatforms({}, "", "shop: no table"))


def test_charts_carry_words_and_tables():
    rng = np.random.default_rng(1)
    curve = yield_table(np.sort(rng.normal(size=300))[::-1], -np.arange(300.0))
    figure = charts.yield_chart(curve, currency="EUR", best=0.5)
    assert "150 customers" in figure.layout.meta["alt"]
    assert "No size is marked" in charts.yield_chart(curve, best=0.0).layout.meta["alt"]
    outcomes = pd.DataFrame(
        [("a_list", "a_list", 90), ("b", "a_list", 3), ("b", "limit", 40), ("b", "b", 11)],
        columns=["asked", "became", "n"],
    )
    view = findings.asked_view(outcomes)
    assert set(view.asked) == {"a list", "b"} and "limit of messages" in set(view.became)
    assert not view.n.between(1, 9).any()
    assert charts.asked_chart(view).layout.meta["table"]["rows"]
