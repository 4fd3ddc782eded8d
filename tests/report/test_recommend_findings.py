"""What is said of recommendations: verdicts, intervals, and nothing from data left unescaped."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.activate.recommend_family import TITLES
from cdp_lib.report import offer_findings, recommend_findings
from cdp_lib.report.charts_of_recommendations import family_chart
from cdp_lib.report.tables_html import table_html

NASTY = "<script>alert(1)</script>"


def judged(beats="yes", n=200, recall=0.3):
    rows = []
    for name, value in (("popular", 0.1), ("content", 0.2), ("blend", recall)):
        row = {"family": name, "n_customers": n, "coverage_rate": 0.5}
        for measure in ("recall", "ndcg", "value_rate", "novelty", "over"):
            row |= {measure: value, f"{measure}_low": value - 0.05, f"{measure}_high": value + 0.05}
        rows.append(
            row | {"beats": "" if name == "popular" else "no" if name != "blend" else beats}
        )
    return pd.DataFrame(rows)


@dataclass
class Stub:
    """The parts of a study that sentences read."""

    any: pd.DataFrame = field(default_factory=judged)
    new: pd.DataFrame = field(default_factory=lambda: judged(recall=0.25))
    owned: str = "keep"
    horizon_days: float = 14
    rebuy_share: float = 0.3

    later = SimpleNamespace(all_value=2000.0, rows=np.arange(200))
    kinds = pd.DataFrame({"kind": ["cosine"]})
    goods = SimpleNamespace(
        n_unpriced=2, n_out_of_stock=0, n_at_a_loss=1, n_left_out=7, kept_share=0.9,
        table=pd.DataFrame({"name": [NASTY, None, "Bag"], "article_id": ["a", "b", "c"]}),
    )  # fmt: skip

    @property
    def judged(self):
        return self.new if self.owned == "leave out" else self.any

    @property
    def now(self):
        return SimpleNamespace(goods=self.goods)


@pytest.mark.parametrize(
    ("beats", "verdict", "words"),
    [
        ("yes", "act", "foresee more than what sells best"),
        ("no", "watch", "foresee no more than what sells best"),
        ("cannot tell", "cannot tell", "may foresee no more"),
    ],
)
def test_the_answer_says_whether_the_lists_beat_what_sells_best(beats, verdict, words):
    headline = recommend_findings.answer_headline(Stub(any=judged(beats)))
    assert (headline.verdict, headline.value) == (verdict, 0.3)
    assert words in headline.sentence and "Inferred" in headline.sentence


def test_money_is_a_weeks_share_of_what_was_spent():
    headline = recommend_findings.money_headline(Stub(), "EUR")
    # 0.3 of 2,000 in 14 days is 300 a week; the interval 250 to 350.
    assert (headline.value, headline.low, headline.high) == pytest.approx((300, 250, 350))
    assert headline.verdict == "watch" and "€1,000" in headline.sentence


def test_recall_names_the_best_single_family():
    headline = recommend_findings.recall_headline(Stub())
    assert "content with 20.0% (+10.0 points by blending)" in headline.sentence


def test_nobody_to_judge_by_is_said():
    nobody = Stub(any=judged(n=0).assign(value_rate=np.nan))
    for headline in (
        recommend_findings.answer_headline(nobody),
        recommend_findings.recall_headline(nobody),
        recommend_findings.money_headline(nobody),
    ):
        assert headline.value is None and headline.verdict == "cannot tell"


def test_a_family_that_does_not_beat_popularity_says_so():
    assert "content do not beat what sells best" in recommend_findings.family_note(judged())
    fine = judged().assign(beats=["", "yes", "yes"])
    assert "Every family beats" in recommend_findings.family_note(fine)


def test_the_table_of_families_has_an_interval_beside_each_number():
    shown = recommend_findings.family_view(judged())
    assert shown.Family.tolist() == [TITLES[name] for name in ("blend", "content", "popular")]
    assert shown["Purchases foreseen (recall)"][0] == "30.0% (25.0% to 35.0%)"
    assert shown["Beats popularity"][2] == "is it"


def test_the_other_task_is_the_one_that_the_lists_do_not_serve():
    keeps, leaves = Stub(), Stub(owned="leave out")
    assert recommend_findings.other_chart_of(keeps)[0] is keeps.new
    assert recommend_findings.other_chart_of(leaves)[0] is leaves.any
    figure = family_chart(*recommend_findings.other_chart_of(keeps)[:1])
    assert "Blend of all" in figure.layout.meta["alt"]


def test_the_claim_stands_beside_the_shops_own_share():
    row = recommend_findings.claim_table(Stub()).iloc[0]
    assert (row.published_share, row.own_share, row.own_share_low) == (0.31, 0.3, 0.25)


def test_an_experiment_is_reckoned_from_what_a_week_can_find():
    told = recommend_findings.experiment_note(1_000, 0.5, 2.0, "EUR")
    # A tenth of 2.00 is 0.20, two and a half times less than 0.50: 6.25 weeks.
    assert "€0.50" in told and "about 7 weeks" in told
    assert "too short" in recommend_findings.experiment_note(10, np.nan, np.nan)


def test_limits_name_what_is_never_listed():
    told = recommend_findings.limits(Stub())
    assert "2 articles without a price" in told and "7 articles that few buy" in told
    assert "out of stock" not in told


def top_ups(n=12, price=20.0):
    return pd.DataFrame(
        {
            "cart_id": [f"k{i}" for i in range(n)], "person_id": [f"p{i // 2}" for i in range(n)],
            "customer_id": None, "value": 30.0, "gap": 20.0,
            "product_id": ["a"] * (n - 2) + [None] * 2,
            "article": pd.array([0] * (n - 2) + [None] * 2, "Int64"),
            "price": [price] * (n - 2) + [np.nan] * 2, "why": "on their list",
        }
    )  # fmt: skip


def test_top_ups_are_counted_by_article_and_names_are_escaped():
    table = top_ups()
    headline = offer_findings.top_up_headline(table, 50, "EUR")
    assert headline.value == pytest.approx(10 / 12) and "€200" in headline.sentence
    assert headline.low < headline.value < headline.high
    shown = offer_findings.top_up_view(table, Stub.goods)
    assert shown.values.tolist() == [[NASTY, 10, 20.0, 20.0]]
    assert "<script" not in table_html(shown, people="n_carts")
    assert offer_findings.top_up_headline(table.head(0), 50).value is None
    assert "names no value" in offer_findings.top_up_headline(table, None).sentence


def test_rules_are_shown_only_where_any_holds():
    table = pd.DataFrame(
        {
            "a": [0, 2], "b": [2, 1], "n_buyers": 40, "n_followed": 20, "follow_rate": 0.5,
            "follow_rate_low": 0.35, "follow_rate_high": 0.65, "lift": 3.0, "after_rate": 0.9,
            "days": 4.0, "trigger": [True, False],
        }
    )  # fmt: skip
    told, shown = offer_findings.trigger_parts(table, Stub.goods)
    assert "1 of 2 rules tested hold" in told
    assert shown[["after", "offer"]].values.tolist() == [[NASTY, "Bag"]]
    (none,) = offer_findings.trigger_parts(table.assign(trigger=False), Stub.goods)
    assert "None of 2 rules" in none


def test_lists_are_told_by_size_alone():
    listed = pd.DataFrame(
        {"customer_id": ["ann", "ann", "bob"], "rank": [1, 2, 1], "product_id": ["a", "b", "a"],
         "family": ["content", "popular", "content"]}
    )  # fmt: skip
    told = recommend_findings.list_note(listed, None)
    assert "2 customers have a list of up to 2 articles" in told and "ann" not in told
    first = recommend_findings.first_view(listed)
    assert first[["family", "n_customers"]].values.tolist()[0] == ["Content", 2]
    assert first.share_of_places.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("n", "said"), [(0, "No message"), (4, "to fewer than 10 customers"), (25, "to 25 customers")]
)
def test_what_was_shown_lately_is_said(n, said):
    seen = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)] * 2, "product_id": "p"})
    assert said in recommend_findings.shown_note(seen, 14.0)
