"""Charts of models: what is drawn equals the table, few customers stay hidden, labels stay text."""

import json

import numpy as np
import pandas as pd
import pytest
from test_charts import HOSTILE, strings

from cdp_lib.checks import Refusal
from cdp_lib.report import charts_of_models as charts

NAN = np.nan


def points(first="days since the last visit", n=12) -> pd.DataFrame:
    one = pd.DataFrame({"feature": "a", "meaning": first, "rank": np.linspace(0, 1, n)})
    one["contribution"] = np.linspace(-1, 1, n)
    other = one.assign(feature="b", meaning="home city", rank=NAN, contribution=0.25)
    return pd.concat([one, other], ignore_index=True)


def importance(first="days since the last visit") -> pd.DataFrame:
    ways = ["higher raises", "higher lowers", "by category", "none"]
    return pd.DataFrame(
        {
            "feature": list("abcd"),
            "meaning": [first, "orders ever", "home city", "noise"],
            "group": "recency",
            "mean_abs": [0.6, 0.3, 0.1, 0.0],
            "share": [0.6, 0.3, 0.1, 0.0],
            "direction": ways,
        }
    )


def dependence(n=200) -> pd.DataFrame:
    value = np.arange(n, dtype=float)
    return pd.DataFrame({"value": value, "contribution": value / n - 0.5})


def by_city(first="Ghent", n_small=9) -> pd.DataFrame:
    city = [first] * 20 + ["Porto"] * 10 + ["Tiny"] * n_small
    return pd.DataFrame({"value": city, "contribution": [0.5, 0.3] * 10 + [-0.2] * (10 + n_small)})


def steps(first="no visit for 41 days") -> pd.DataFrame:
    odds = np.array([-2.0, -1.0, -1.5, -1.5])
    return pd.DataFrame(
        {
            "words": ["the average customer", first, "2 orders ever", "this customer"],
            "contribution": [-2.0, 1.0, -0.5, -1.5],
            "probability": 1 / (1 + np.exp(-odds)),
        }
    )


def bins(n=(50, 60, 9)) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "bin": [1, 2, 3],
            "n": list(n),
            "n_hit": [5, 30, 9],
            "predicted": [0.1, 0.2, 0.9],
            "observed": [0.1, 0.5, 1.0],
            "low": [0.05, 0.4, 0.7],
            "high": [0.2, 0.6, 1.0],
        }
    )


def gains(name="the model") -> pd.DataFrame:
    share = np.linspace(0, 1, 11)
    table = pd.DataFrame({"contacted": share, "n_contacts": share * 100, "found": share**0.5})
    return table.assign(precision=0.1, lift=1.0, candidate=name)


def profits() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "threshold": [np.inf, 0.6, 0.4, 0.2, 0.1],
            "contacted": [0, 0.1, 0.3, 0.6, 1.0],
            "n_contacts": [0, 10, 30, 60, 100],
            "profit": [0.0, 50.0, 90.0, 40.0, -500.0],
            "low": [0.0, 30.0, 60.0, 0.0, -600.0],
            "high": [0.0, 70.0, 120.0, 80.0, -400.0],
            "expected": [0.0, 45.0, 95.0, 50.0, -450.0],
        }
    )


def race(first="no purchase for 120 days") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "candidate": [first, "the model"],
            "kind": ["rule", "model"],
            "auc": [0.6, 0.8],
            "auc_low": [0.55, 0.78],
            "auc_high": [0.65, 0.82],
            "n_contacts": 100.0,
            "caught": [20.0, 30.0],
            "precision": [0.2, 0.3],
            "precision_low": [0.15, 0.25],
            "precision_high": [0.25, 0.35],
        }
    )


def deciles() -> pd.DataFrame:
    table = pd.concat([bins((10, 10, 10))] * 4, ignore_index=True).head(10)
    return table.rename(columns={"bin": "decile"}).assign(decile=range(1, 11))


def drift(first="days_since_visit") -> pd.DataFrame:
    verdicts = ["steady", "retrain", "watch"]
    return pd.DataFrame(
        {"feature": ["(score)", first, "b"], "excess": [0.0, 3.0, 0.15], "verdict": verdicts}
    )


def weeks() -> pd.DataFrame:
    table = pd.DataFrame(
        {"cutoff": pd.to_datetime(["2026-09-07", "2026-09-14"]), "auc": [0.7, 0.8]}
    )
    return table.assign(auc_low=0.6, auc_high=0.9)


ALL = {
    "beeswarm": lambda label: charts.beeswarm_chart(points(label)),
    "importance": lambda label: charts.importance_chart(importance(label)),
    "dependence": lambda label: charts.dependence_chart(dependence(), label),
    "by category": lambda label: charts.dependence_chart(by_city(label), "home city"),
    "waterfall": lambda label: charts.waterfall_chart(steps(label)),
    "calibration": lambda label: charts.calibration_chart(bins(), label),
    "gain": lambda label: charts.gain_chart(gains(label)),
    "profit": lambda label: charts.profit_chart(profits(), label, currency="EUR"),
    "race": lambda label: charts.race_chart(race(label)),
    "deciles": lambda label: charts.decile_chart(deciles(), label),
    "drift": lambda label: charts.drift_chart(drift(label)),
    "stability": lambda label: charts.stability_chart(weeks(), title=label),
}


@pytest.mark.parametrize("name", ALL)
def test_a_chart_carries_words_and_its_data(name):
    content = json.loads(ALL[name]("plain label").to_json())
    meta = content["layout"]["meta"]
    assert meta["alt"].endswith(".") and len(meta["alt"]) > 15
    assert meta["table"]["rows"] and len(meta["table"]["headings"]) == len(meta["table"]["rows"][0])


@pytest.mark.parametrize("name", ALL)
def test_a_label_from_data_never_becomes_markup(name):
    figure = json.loads(ALL[name](HOSTILE).to_json())
    figure["layout"].pop("meta")  # words and data travel as text and are escaped by the page
    ours = ("<br>", "<b>", "</b>", "<extra></extra>", "<extra>%{fullData.name}</extra>")
    drawn = strings(figure)
    for mark in ours:
        drawn = [text.replace(mark, " ") for text in drawn]
    assert not [text for text in drawn if "<" in text]
    assert any("&lt;a href" in text for text in drawn)


def test_the_beeswarm_draws_each_point_once_and_colours_by_rank():
    figure = charts.beeswarm_chart(points())
    drawn = sorted(x for trace in figure.data for x in trace.x)
    assert drawn == pytest.approx(sorted(points()["contribution"].round(4)))
    grey = [trace for trace in figure.data if trace.marker.coloraxis is None and len(trace.x)]
    assert [len(trace.x) for trace in grey] == [12]  # the category
    for trace in figure.data:  # each feature's points stay in its own row
        assert len(trace.y) == 0 or np.ptp(np.round(trace.y)) == 0
    # Equal contributions lie side by side, not on one another.
    assert len(set(grey[0].y)) == 12


def test_ten_customers_are_drawn_and_nine_are_not():
    assert len(charts.beeswarm_chart(points(n=10)).data) == 4
    few = charts.beeswarm_chart(points(n=9))
    assert not few.data and "Fewer than 10" in few.layout.meta["alt"]


def test_importance_is_coloured_by_direction_and_leaves_out_what_moves_nobody():
    figure = charts.importance_chart(importance())
    told = {trace.name: (list(trace.x), trace.marker.color) for trace in figure.data}
    assert told["a higher value raises the chance"] == ([0.6], charts.ORANGE)
    assert told["a higher value lowers it"] == ([0.3], charts.BLUE)
    assert "noise" not in figure.to_json()
    assert figure.layout.meta["alt"] == (
        "Most weight: days since the last visit (60.0%), orders ever (30.0%), home city (10.0%). "
        "This is how the model reckons, not what causes it."
    )
    short = charts.importance_chart(importance(), top=1).layout.meta["alt"]
    assert "The 3 not shown hold 40.0%. " in short


def test_dependence_draws_the_mean_of_each_tenth():
    figure = charts.dependence_chart(dependence(), "days")
    # Tenths of 0..199: the first holds 0..19, median 9.5, mean contribution 9.5 / 200 - 0.5.
    assert (figure.data[1].x[0], figure.data[1].y[0]) == pytest.approx((9.5, -0.4525))
    assert len(figure.data[1].x) == 10
    # The dots leave out the outermost hundredths on either side.
    assert (min(figure.data[0].x), max(figure.data[0].x)) == (2, 197)


def test_dependence_tells_what_missing_adds_and_hides_small_categories():
    missing = pd.DataFrame({"value": [NAN] * 10, "contribution": 0.7})
    figure = charts.dependence_chart(pd.concat([dependence(), missing]), "days")
    assert "missing (10 customers) it adds +0.70. " in figure.layout.meta["alt"]
    cities = charts.dependence_chart(by_city(), "home city")
    assert list(cities.data[0].y) == ["Ghent", "Porto"] and "Tiny" not in cities.to_json()
    assert "Tiny" in charts.dependence_chart(by_city(n_small=10), "home city").to_json()
    few = charts.dependence_chart(dependence(9), "days")
    assert not len(few.data[0].x) and "Too few" in few.layout.meta["alt"]


def test_the_waterfall_goes_from_the_average_to_this_customer():
    figure = charts.waterfall_chart(steps())
    fall = figure.data[0]
    assert fall.base + sum(fall.x) == pytest.approx(-1.5)
    assert [text.strip() for text in fall.text] == ["11.9%", "+1.00", "−0.50", "18.2%"]
    assert figure.layout.meta["alt"] == "From 11.9%, the average customer, to 18.2%."


def test_calibration_marks_the_groups_that_are_off_and_hides_the_small():
    figure = charts.calibration_chart(bins())
    dots = figure.data[1]
    assert list(dots.x) == [0.1, 0.2] and list(dots.marker.color) == [charts.BLUE, charts.ORANGE]
    assert [y + up for y, up in zip(dots.y, dots.error_y.array, strict=True)] == [0.2, 0.6]
    assert "In 1 of 2 groups" in figure.layout.meta["alt"]
    assert len(figure.layout.meta["table"]["rows"]) == 2


def test_gain_is_read_off_at_the_mark():
    both = pd.concat([gains(), gains("a rule").assign(found=np.linspace(0, 1, 11))])
    words = charts.gain_chart(both, mark=0.25).layout.meta["alt"]
    # By hand: between sqrt(0.2) and sqrt(0.3), half way: (0.4472 + 0.5477) / 2.
    assert words == "Of all outcomes, contacting 25.0% finds: the model 49.7%, a rule 25.0%."
    nothing = charts.gain_chart(gains().assign(found=NAN))
    assert nothing.layout.meta["alt"] == "Nothing happened to be found."


def test_profit_is_marked_at_the_best_threshold_and_at_a_half():
    figure = charts.profit_chart(profits(), currency="EUR")
    marks = {trace.name: (trace.x[0], trace.y[0]) for trace in figure.data if trace.showlegend}
    # At 0.5 those from 0.6 on are contacted; the best of these thresholds is 0.4.
    assert marks == {"best: €90.00 from 40.0% on": (0.4, 90.0), "0.5: €50.00": (0.5, 50.0)}
    assert figure.layout.meta["alt"] == (
        "Profit by threshold: €90.00 from 40.0% on (30 contacts); €50.00 from 50.0% on "
        "(10 contacts); −€500 from contacting everyone."
    )
    beyond = charts.profit_chart(profits(), best=0.9, marks=())
    assert "0.00 from 90.0% on (0 contacts)" in beyond.layout.meta["alt"]
    never = charts.profit_chart(profits(), best=np.inf, marks=())
    assert never.layout.meta["alt"].startswith("Profit by threshold: no threshold pays; ")
    assert not any(trace.showlegend for trace in never.data)


def test_a_deep_loss_does_not_flatten_what_one_looks_for():
    assert figure_range(profits()) == (-180.0, 138.0)  # 1.5 and 1.15 times the highest, 120
    assert figure_range(profits().assign(low=-100.0)) is None


def figure_range(table):
    """The set range of the profit axis, or None."""
    found = charts.profit_chart(table).layout.yaxis.range
    return found and tuple(round(end, 6) for end in found)


def test_the_race_is_ranked_and_an_auc_starts_at_a_coin():
    figure = charts.race_chart(race(), value="auc")
    bars = figure.data[0]
    assert [bars.base + x for x in bars.x] == [0.8, 0.6] and bars.base == 0.5
    assert list(bars.marker.color) == [charts.ORANGE, charts.BLUE]
    assert figure.layout.meta["alt"] == "AUC: the model 0.800, no purchase for 120 days 0.600."
    shares = charts.race_chart(race()).data[0]
    assert list(shares.x) == [0.3, 0.2] and list(shares.error_x.array) == pytest.approx([0.05] * 2)


def test_drift_runs_out_of_the_picture_and_says_how_far():
    figure = charts.drift_chart(drift(), meanings={"days_since_visit": "days since the last visit"})
    assert tuple(figure.layout.xaxis.range) == (0, 1.0)
    red = next(trace for trace in figure.data if trace.name == "retrain")
    assert list(red.x) == [3.0] and red.text[0].strip() == "3.00"
    assert figure.layout.meta["alt"] == "Shifted: days since the last visit, b."
    calm = charts.drift_chart(drift().head(1))
    assert calm.layout.meta["alt"] == "None of 1 has shifted since training."


def test_a_table_without_rows_gives_an_empty_chart_that_says_so():
    for figure in (
        charts.beeswarm_chart(points().head(0)),
        charts.importance_chart(importance().head(0)),
        charts.dependence_chart(dependence().head(0), "days"),
        charts.calibration_chart(bins().head(0)),
        charts.gain_chart(gains().head(0)),
        charts.profit_chart(profits().head(0)),
        charts.race_chart(race().head(0)),
        charts.decile_chart(deciles().head(0)),
        charts.drift_chart(drift().head(0)),
        charts.stability_chart(weeks().head(0)),
    ):
        assert figure.layout.meta["alt"]
        assert "nothing to draw" in [note.text for note in figure.layout.annotations]


def test_a_missing_column_is_refused_with_the_columns_there_are():
    with pytest.raises(Refusal, match="it has candidate, auc"):
        charts.race_chart(race()[["candidate", "auc"]])
    with pytest.raises(Refusal, match="waterfall_table"):
        charts.waterfall_chart(steps().head(0))
