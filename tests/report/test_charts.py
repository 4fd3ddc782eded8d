"""Charts: what is drawn equals the table, the words name what is seen, labels stay text."""

import json

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.report import charts

HOSTILE = '<a href="https://example.org">x</a><b>bold</b><script>alert(1)</script>'
NAN = np.nan


def steps(first="add_to_cart") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": [first, "begin_checkout", "purchase"],
            "entered": [1000, 600, 500],
            "step_rate": [NAN, 0.6, 5 / 6],
            "overall_rate": [1.0, 0.6, 0.5],
            "abandonment_rate": [NAN, 0.35, 1 / 6],
            "open": [0, 50, 0],
        }
    )


def leaks(first="account") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": [first, "payment"],
            "gross": [100.0, 40.0],
            "gross_low": [90.0, 30.0],
            "gross_high": [120.0, 45.0],
            "recoverable": [70.0, 20.0],
            "recoverable_low": [60.0, 15.0],
            "recoverable_high": [85.0, 26.0],
        }
    )


def stops(first="account") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": ["cart", first],
            "share": [0.3, 0.7],
            "share_low": [0.2, 0.6],
            "share_high": [0.4, 0.8],
        }
    )


def effects(first="form errors") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "driver": [first, "shipping shown", "no signal"],
            "effect": [0.01, 0.2, NAN],
            "effect_low": [-0.02, 0.1, NAN],
            "effect_high": [0.04, 0.3, NAN],
        }
    )


def weeks(first="W1") -> pd.DataFrame:
    return pd.DataFrame(
        {"week": [first, "W2", "W3"], "rate": [0.5, NAN, 0.7], "lo": 0.4, "hi": 0.8, "by": first}
    )


def curve() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "hours": [0.0, 2.0, 30.0, 100.0],
            "share_back": [0.0, 0.1, 0.3, 0.4],
            "lo": [0.0, 0.08, 0.25, 0.3],
            "hi": [0.0, 0.12, 0.35, 0.5],
        }
    )


def gaps() -> pd.DataFrame:
    return pd.DataFrame({"gap_low": [0, 10, 20], "gap_high": [10, 20, NAN], "n_carts": [5, 9, 1]})


def grid(first="Mon") -> pd.DataFrame:
    return pd.DataFrame(
        {"day": [first, first, "Tue"], "part": ["pm", "am", "am"], "n_carts": [3, 4, 5]}
    )


ALL = {
    "funnel": lambda label: charts.funnel_chart(steps(label)),
    "funnel by": lambda label: charts.funnel_chart(steps().assign(device=label), by="device"),
    "leak": lambda label: charts.leak_chart(leaks(label), currency="EUR"),
    "stop": lambda label: charts.stop_chart(stops(label)),
    "definition": lambda label: charts.definition_chart(
        stops(label).rename(columns={"step": "definition", "share": "rate"})
    ),
    "effect": lambda label: charts.effect_chart(effects(label)),
    "trend": lambda label: charts.trend_chart(weeks(label), "rate", label, low="lo", high="hi"),
    "trend by": lambda label: charts.trend_chart(weeks(label), "rate", "Trend", by="by"),
    "return curve": lambda label: charts.return_curve_chart(
        curve(), title=label, low="lo", high="hi"
    ),
    "histogram": lambda label: charts.histogram_chart(gaps(), label, currency="EUR"),
    "heatmap": lambda label: charts.heatmap(grid(label), "part", "day", "n_carts", label),
}


def strings(value) -> list[str]:
    """Every text inside nested lists and dicts."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    return [text for part in value for text in strings(part)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", ALL)
def test_a_chart_carries_words_and_its_data(name):
    figure = ALL[name]("plain label")
    content = json.loads(figure.to_json())
    meta = content["layout"]["meta"]
    assert meta["alt"].endswith(".") and len(meta["alt"]) > 15
    assert meta["table"]["rows"] and len(meta["table"]["headings"]) == len(meta["table"]["rows"][0])
    assert "https://" not in " ".join(strings(content))


@pytest.mark.parametrize("name", ALL)
def test_a_label_from_data_never_becomes_markup(name):
    figure = json.loads(ALL[name](HOSTILE).to_json())
    figure["layout"].pop("meta")  # words and data travel as text and are escaped by the page
    drawn = [text.replace("<br>", " ") for text in strings(figure) if "<extra>" not in text]
    assert not [text for text in drawn if "<" in text]
    assert any("&lt;a href" in text for text in drawn)


def test_the_funnel_draws_the_counts_and_names_the_narrowest_step():
    figure = charts.funnel_chart(steps())
    assert list(figure.data[0].x) == [1000, 600, 500]
    assert list(figure.data[1].x) == [0, 50, 0] and figure.data[1].showlegend
    assert figure.layout.meta["alt"] == (
        "1,000 entered at add_to_cart; 500 reached purchase (50.0%). "
        "The narrowest step is begin_checkout: 60.0% of the step before."
    )


def test_whiskers_reach_the_ends_of_the_interval():
    bars = charts.leak_chart(leaks()).data[1]
    assert list(bars.x) == [70.0, 20.0]
    assert [x + up for x, up in zip(bars.x, bars.error_x.array, strict=True)] == [85.0, 26.0]
    assert [x - d for x, d in zip(bars.x, bars.error_x.arrayminus, strict=True)] == [60.0, 15.0]


def test_the_words_name_the_largest_and_the_smallest():
    assert charts.stop_chart(stops()).layout.meta["alt"] == (
        "Largest: account with 70.0%; smallest: cart with 30.0%."
    )
    assert charts.trend_chart(weeks(), "rate", "Trend").layout.meta["alt"] == (
        "From 50.0% to 70.0% (up); lowest 50.0%, highest 70.0%."
    )


def test_the_return_curve_reads_its_steps_at_the_marks():
    words = charts.return_curve_chart(curve()).layout.meta["alt"]
    # By hand: nothing before 2 h, 10 % from 2 h on, 30 % from 30 h on; 72 h is inside [30, 100).
    assert words == (
        "Bought without a nudge: 0.0% within 1 h, 10.0% within 4 h, 10.0% within 24 h, "
        "30.0% within 3.0 days."
    )
    beyond = charts.return_curve_chart(curve(), marks=(200,)).layout.meta["alt"]
    assert beyond == "Bought without a nudge: – within 8.3 days."


def test_an_effect_whose_interval_holds_zero_is_grey():
    figure = charts.effect_chart(effects())
    grey, orange = charts.GREY, charts.ORANGE
    assert list(figure.data[0].marker.color) == [grey, orange, grey]
    assert "For 2 of 3 the direction cannot be told." in figure.layout.meta["alt"]


def test_a_bin_reads_as_people_say_it():
    table = pd.DataFrame({"gap_low": [0, 0, 5.5], "gap_high": [0, 5.5, NAN], "n_carts": [9, 2, 3]})
    figure = charts.histogram_chart(table, "Gap", currency="EUR")
    assert list(figure.data[0].x) == ["€0", "€0 to €5.50", "€5.50 and more"]
    assert list(figure.data[0].y) == [9, 2, 3]


def test_the_heatmap_keeps_the_order_of_the_table():
    figure = charts.heatmap(grid(), "part", "day", "n_carts", "Left")
    assert (list(figure.data[0].x), list(figure.data[0].y)) == (["pm", "am"], ["Mon", "Tue"])
    drawn = np.asarray(figure.data[0].z, dtype=float)
    assert np.array_equal(drawn, [[3, 4], [NAN, 5]], equal_nan=True)


def test_the_total_of_the_leaks_is_told_and_not_drawn():
    total = leaks().head(1).assign(step="all steps", recoverable=90.0)
    figure = charts.leak_chart(pd.concat([leaks(), total]), currency="EUR")
    assert list(figure.data[1].x) == [70.0, 20.0]
    assert figure.layout.meta["alt"].endswith("smallest: payment with €20.00. All steps: €90.00.")


def test_a_long_curve_is_thinned_and_still_reads_the_same():
    hours = np.linspace(0.5, 300, 5000)
    table = pd.DataFrame({"hours": hours, "share_back": hours / 1000})
    figure = charts.return_curve_chart(table)
    drawn = dict(zip(figure.data[0].x, figure.data[0].y, strict=True))
    assert 100 < len(drawn) <= 400 and all(y == x / 1000 for x, y in drawn.items())
    assert "7.2% within 3.0 days" in figure.layout.meta["alt"]


def test_a_long_label_stands_in_lines_and_a_yes_or_no_in_words():
    table = stops("a step whose name is much longer than an axis has room for")
    assert charts.stop_chart(table).data[0].y[1].count("<br>") == 2
    both = pd.concat([steps().assign(returning=flag) for flag in (True, False)])
    names = [line.name for line in charts.funnel_chart(both, by="returning").data]
    assert names == ["returning", "not returning"]
    rates = pd.DataFrame({"guest": [True, False], "share": [0.6, 0.4]})
    assert list(charts.stop_chart(rates, step="guest").data[0].y) == ["guest", "not guest"]


def test_a_line_takes_its_band_from_the_columns_beside_it():
    table = weeks().rename(columns={"lo": "rate_low", "hi": "rate_high"})
    assert len(charts.trend_chart(table, "rate", "Trend").data) == 3


def test_a_group_of_few_is_neither_drawn_nor_listed():
    small = steps().assign(city="Tiny", entered=[9, 5, 5])
    figure = charts.funnel_chart(pd.concat([steps().assign(city="Big"), small]), by="city")
    assert [line.name for line in figure.data] == ["Big"]
    assert "Tiny" not in figure.to_json() and "fewer than 10" in figure.layout.meta["alt"]


def test_two_labels_that_read_the_same_are_two_bars():
    table = pd.DataFrame({"step": ["a", "a", None], "share": [0.1, 0.2, 0.7]})
    assert list(charts.stop_chart(table).data[0].y) == ["a", "a (2)", "unknown"]


def test_a_table_without_rows_gives_an_empty_chart_that_says_so():
    for figure in (
        charts.funnel_chart(steps().head(0)),
        charts.stop_chart(stops().head(0)),
        charts.leak_chart(leaks().head(0)),
        charts.effect_chart(effects().head(0)),
        charts.trend_chart(weeks().head(0), "rate", "Trend"),
        charts.return_curve_chart(curve().head(0)),
        charts.histogram_chart(gaps().head(0), "Gap"),
        charts.heatmap(grid().head(0), "part", "day", "n_carts", "Left"),
    ):
        assert figure.layout.meta["alt"]
        assert [note.text for note in figure.layout.annotations] == ["nothing to draw"]


def test_a_missing_column_is_refused_with_the_columns_there_are():
    with pytest.raises(Refusal, match="it has step, share"):
        charts.funnel_chart(stops())
