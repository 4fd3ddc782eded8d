"""Sentences and tables on who the customers are: every number from the tables, nobody shown."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.customers.catalogue import load
from cdp_lib.customers.life import Pace
from cdp_lib.customers.migration import NEW, NONE, Stability, net
from cdp_lib.customers.rfm import Cuts
from cdp_lib.customers.rfm_names import NAMES
from cdp_lib.customers.segments import Preview
from cdp_lib.report import charts_of_segments as charts
from cdp_lib.report import segment_findings as findings
from cdp_lib.report import segment_views as views
from cdp_lib.report.tables_html import table_html


def names(champions=200, margin=True):
    rows = [("Champions", champions, 0.4, 400.0), ("Lost", 120, 0.3, 300.0), (NONE, 80, 0.0, 0.0),
            ("Loyal", 100, 0.3, 300.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["rfm_name", "n_customers", "margin_share", "margin"])
    table["customer_share"] = table.n_customers / table.n_customers.sum()
    table["revenue"], table["revenue_share"] = table.margin * 2, table.margin_share
    for name in ("margin", "revenue"):
        table[f"{name}_share_low"] = table[f"{name}_share"] - 0.02
        table[f"{name}_share_high"] = table[f"{name}_share"] + 0.02
    if not margin:
        table[[c for c in table.columns if c.startswith("margin")]] = np.nan
    return table


def moved(slid=30, back=10, worth=100.0):
    rows = [
        ("Champions", "Champions", 170, 9_000.0, 9e5),
        ("Champions", "At Risk", slid, slid * worth, slid * worth**2),
        ("At Risk", "Champions", back, back * worth, back * worth**2),
        ("Lost", "Hibernating", 3, 3.0, 3.0),
        (NEW, "New Customers", 20, np.nan, np.nan),
    ]
    table = pd.DataFrame(rows, columns=["came_from", "went_to", "n_customers", "worth",
                                        "worth_squares"])  # fmt: skip
    table["share"] = table.n_customers / table.groupby("came_from").n_customers.transform("sum")
    return table


def test_what_champions_bring_and_how_many_slid():
    told = findings.champions_headline(names(), moved(), "EUR")
    assert (told.value, told.low, told.high, told.n) == pytest.approx((0.4, 0.38, 0.42, 200))
    assert "Champions are 40.0% of the customers and bring 40.0% of the year's margin" in (
        told.sentence
    )
    assert "30 of 200 (15.0%) are no longer; they had brought €3,000" in told.sentence
    # 30 left, 10 came: by McNemar's test that is no chance.
    assert "shrank beyond chance" in told.sentence and told.verdict == "act"
    assert findings.champions_headline(names(), moved(30, 29), "EUR").verdict == "good"
    alone = findings.champions_headline(names(), None, "EUR")
    assert alone.verdict == "good" and "no longer" not in alone.sentence
    assert "revenue" in findings.champions_headline(names(margin=False), None, "EUR").name
    none = findings.champions_headline(names().iloc[1:], None, "EUR")
    assert none.value is None and none.verdict == "cannot tell"


def test_the_money_that_drifted_away():
    told = findings.slide_headline(moved(), "EUR")
    assert told.value == 3000 and told.n == 30 and told.higher_is == "worse"
    half = 1.959964 * np.sqrt(30 * 100**2)
    assert (told.low, told.high) == pytest.approx((3000 - half, 3000 + half))
    assert "10 came back, worth €1,000 a year" in told.sentence
    # 2,000 more lost than came back, give or take 1.96 * sqrt(40) * 100 = 1,240.
    assert told.verdict == "act" and "More was lost than came back" in told.sentence
    assert findings.slide_headline(moved(10, 30), "EUR").verdict == "good"
    assert findings.slide_headline(moved(20, 20), "EUR").verdict == "watch"
    assert findings.slide_headline(None, "EUR").verdict == "cannot tell"
    gone = findings.slide_headline(moved(worth=0.0), "EUR")
    assert gone.value is None and "none of them had bought within the year" in gone.sentence


def test_buyers_within_the_usual_span():
    states = pd.DataFrame({"life_cycle": ["prospect", "new", "active", "cooling", "lapsed"],
                           "n_customers": [500, 50, 50, 60, 40]})  # fmt: skip
    told = findings.pace_headline(states, Pace(70, 150, 900))
    assert (told.value, told.n) == (0.5, 200)
    assert "900 customers ordered twice; four in five came back within 70 days" in told.sentence
    assert "60 are cooling and 40 silent for more than 150 days" in told.sentence
    assert "assumed" in findings.pace_headline(states, Pace(90, 180, 3, True)).sentence
    assert findings.pace_headline(states[:1], Pace(90, 180, 0, True)).value is None


def counts():
    table = pd.DataFrame(
        {
            "name": ["champions", "lost", "clickers", "mail_only", "forgotten"],
            "title": ["Champions", "Lost", "Clicks", "Only mail", "<b>Forgotten</b>"],
            "group": ["rfm", "rfm", "campaigns", "permissions", "campaigns"],
            "n_customers": [100.0, 50, np.nan, 800, 4],
            "customer_share": [0.1, 0.05, np.nan, 0.8, 0.004],
            "revenue_share": [0.5, 0.1, np.nan, 0.7, 0.0],
            "margin_share": [0.5, 0.1, np.nan, 0.7, 0.0],
            "needs": ["", "", "messages (messages_clicked_90d)", "", ""],
            "action": ["thank", "rest", "write", "ask", "wait"],
            "channel": ["in_app", "none", "email", "email", "none"],
            "n_in": [40.0, 10, np.nan, 20, 1],
            "n_out": [5.0, 12, np.nan, 60, 1],
        }
    )
    table["change"] = table.n_in - table.n_out
    table["change_low"], table["change_high"] = table.change - 9, table.change + 9
    return table.assign(verdict=["grew", "steady", None, "shrank", "steady"])


def test_segments_that_changed():
    told = findings.change_headline(counts())
    assert told.value == 2 and told.verdict == "watch"
    assert (
        "Of 4 segments: 1 grew, most of all Champions (+35); 1 shrank, most of all Only mail"
        in (told.sentence)
    )
    assert findings.change_headline(counts().assign(verdict="steady")).verdict == "good"
    bare = counts().drop(columns="verdict")
    assert findings.change_headline(bare).value is None


def test_the_table_of_segments_is_narrow_full_and_safe():
    view = views.segment_view(counts(), 3)
    assert view.segment.tolist() == ["Champions", "Lost"], "too wide, unknown and too small are out"
    assert view.what_to_do.tolist() == ["thank (in app)", "rest"]
    assert view.change.tolist() == ["+35 (+26 to +44)", "−2 (−11 to +7)"]
    assert views.overlap_choice(counts()) == ["champions"]
    hostile = counts().assign(title="<script>alert(1)</script>")
    assert "<script>" not in table_html(views.segment_view(hostile, 3))
    without = views.segment_view(counts().drop(columns=["change", "verdict"]), 3)
    assert "change" not in without.columns


def test_what_the_catalogue_lacks_is_said():
    said = findings.catalogue_note(counts(), load())
    assert "4 of " in said and "1 needs messages (messages_clicked_90d)" in said
    assert "3 of them hold 10 customers or more; published offers speak of over 120" in said


def test_names_states_and_cuts_as_people_read_them():
    view = views.name_view(names(), moved())
    assert view.name.tolist() == ["Champions", "Loyal", "Lost"]
    assert view.change.tolist()[0].startswith("−20 (") and view.verdict[0] == "shrank"
    assert net(moved()).set_index("state").change["Champions"] == -20
    assert list(views.name_view(names(), None).columns)[-1] == "what_to_do"
    cuts = views.cut_view(Cuts((10.0, 20.0), (1.0,), (), 30), "EUR")
    assert cuts.set_index("score").last_order.to_dict() == {
        5: "up to 10 days", 3: "more than 10 days, up to 20 days", 1: "more than 20 days"
    }  # fmt: skip
    assert cuts.set_index("score").orders.to_dict() == {5: "more than 1", 3: "none", 1: "up to 1"}
    assert cuts.set_index("score").spent[3] == "all"
    assert "no earlier day" in findings.stability_note(None)
    said = findings.stability_note(Stability(200, 0.97, 0.02, 0.0, 0.01, 0.015))
    assert "3.0% of 200 buyers change a score" in said and "1.5% their name" in said


def test_a_tried_predicate_does_not_show_a_handful():
    shares = dict.fromkeys(("revenue_share", "margin_share"), 0.1)
    sums = dict.fromkeys(("revenue", "margin"), 500.0)
    pairs = pd.DataFrame({"other": ["champions", "lost"], "n_both": [30.0, np.nan],
                          "share": [0.3, np.nan], "jaccard": [0.2, np.nan]})  # fmt: skip
    some = Preview("x > 1", 100, 0.1, **sums, **shares, overlaps=pairs)
    assert findings.preview_note(some, "EUR") == (
        "x > 1: 100 customers (10.0%), 10.0% of the year's revenue (€500), 10.0% of the year's "
        "margin (€500)."
    )
    assert views.preview_view(some, load()).much_like.tolist() == ["Champions"]
    few = Preview("x > 9", 7, 0.001, **sums, **shares, overlaps=pairs)
    assert findings.preview_note(few, "EUR") == "x > 9: fewer than 10 customers."
    none = Preview("y", np.nan, np.nan, **sums, **shares, overlaps=pairs[:0], needs="orders (y)")
    assert findings.preview_note(none, "EUR") == (
        "y: needs orders (y), which this shop does not have."
    )
    assert views.preview_view(none, load()).empty


def test_charts_carry_words_and_hide_small_groups():
    figure = charts.name_chart(names(), "Names", "rfm_name")
    assert "Champions" in figure.layout.meta["alt"] and len(figure.data[0].labels) == 4
    figure = charts.name_chart(names(margin=False), "Names", "rfm_name")
    assert figure.layout.meta["alt"].startswith("Share of the revenue. Largest: Champions")
    assert "margin_share" not in views.name_view(names(margin=False), None).columns
    assert len(charts.name_chart(names(champions=7), "N", "rfm_name").data[0].labels) == 3
    figure = charts.move_chart(moved(), "Moves", list(NAMES))
    grid = pd.DataFrame(figure.data[0].z, index=figure.data[0].y, columns=figure.data[0].x)
    assert grid.loc["Champions", "At Risk"] == pytest.approx(30 / 200)
    assert np.isnan(grid.loc["Champions", "Champions"]), "who stayed would drown the rest"
    assert np.isnan(grid.loc["Lost", "Hibernating"]), "three people are not shown"
    assert NEW not in grid.index
    assert charts.move_chart(moved().head(0), "None", list(NAMES)).layout.meta["alt"]
    assert charts.move_chart(None, "None", list(NAMES)).layout.height == 150
    pairs = pd.DataFrame({"name": list("ab"), "other": list("ba"), "share": [0.5, np.nan]})
    figure = charts.overlap_chart(pairs, "Overlap", {"a": "<i>A</i>", "b": "B"})
    assert [list(figure.data[0].y), list(figure.data[0].x)] == [
        ["1 &lt;i&gt;A&lt;/i&gt;", "2 B"], ["1", "2"]
    ]  # fmt: skip
