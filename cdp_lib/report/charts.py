"""Charts of an abandonment report: each takes a plain table and gives a Plotly figure.

Every figure carries a text alternative computed from its data and the data as a table
(`figure.layout.meta`), and escapes labels that come from data. `title` says what is shown.
"""

from html import unescape

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREY,
    ORANGE,
    SERIES,
    axis,
    dash,
    ends_of,
    extremes,
    finish,
    group_label,
    labels,
    need,
    wash,
    whiskers,
)
from cdp_lib.report.charts_of_spread import effect_chart, heatmap, histogram_chart
from cdp_lib.report.charts_over_time import return_curve_chart, trend_chart

__all__ = [
    "bar_chart",
    "definition_chart",
    "effect_chart",
    "funnel_chart",
    "heatmap",
    "histogram_chart",
    "leak_chart",
    "return_curve_chart",
    "stop_chart",
    "trend_chart",
]


def funnel_chart(table: pd.DataFrame, title: str = "How far people get", by: str | None = None):
    """Bars of how many entered each step; with `by`, a line of overall rates per group.

    `table`: a row per step (and group): step, entered, step_rate, overall_rate, and open
    where attempts may still go on.
    """
    import plotly.graph_objects as go

    need(table, ["step", "entered", "step_rate", "overall_rate", *([by] if by else [])], "funnel")
    if by:
        return _funnel_by(table, title, by)
    names, entered = labels(table["step"]), table["entered"].tolist()
    still_open = [0] * len(table)
    if "open" in table.columns:
        still_open = table["open"].fillna(0).tolist()
    texts = [
        " "
        + wording.as_text(row.entered, "count")
        + (f" · {wording.as_text(row.step_rate, 'share')}" if pd.notna(row.step_rate) else "")
        for row in table.itertuples()
    ]
    figure = go.Figure(
        go.Bar(
            x=entered,
            y=names,
            orientation="h",
            marker_color=BLUE,
            name="entered · share of the step before",
            customdata=texts,
            hovertemplate="%{y}: %{customdata} of the step before<extra></extra>",
            showlegend=True,
        )
    )
    figure.add_bar(
        x=still_open,
        y=names,
        orientation="h",
        name="still open, may yet get there",
        marker={"color": wash(BLUE, 0.3), "pattern": {"shape": "/", "fgcolor": BLUE}},
        text=texts,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:,} still open<extra></extra>",
        showlegend=any(still_open),
    )
    longest = max([a + b for a, b in zip(entered, still_open, strict=True)], default=1) or 1
    figure.update_layout(barmode="stack")
    figure.update_xaxes(range=[0, longest * 1.32], nticks=6)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(**axis("count"))
    return finish(figure, title, _funnel_words(table), table, height=110 + 52 * len(table))


def leak_chart(
    table: pd.DataFrame,
    title: str = "Money lost at each step",
    currency: str = "",
    step: str = "step",
    total: str = "all steps",
):
    """Gross and recoverable money per step, with 95 % intervals.

    `table`: a row per step: step, gross, gross_low, gross_high, recoverable,
    recoverable_low, recoverable_high, in the shop's currency. The row named `total` is told in
    words and not drawn, since it would dwarf the steps.
    """
    import plotly.graph_objects as go

    need(table, [step, "gross", "recoverable"], "leaks")
    whole = table[table[step] == total]
    table = table[table[step] != total]
    figure = go.Figure()
    for column, colour, words in (
        ("gross", GREY, "gross: the value that stopped here"),
        ("recoverable", ORANGE, "recoverable: less what comes back by itself"),
    ):
        figure.add_bar(
            x=table[column].tolist(),
            y=labels(table[step]),
            orientation="h",
            name=words,
            marker_color=colour,
            error_x=whiskers(table, column, f"{column}_low", f"{column}_high"),
            hovertemplate="%{y}: %{x:,.0f}<extra></extra>",
            showlegend=True,
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(**axis("money", currency))
    figure.update_layout(barmode="group")
    words = "Recoverable money per step. " + extremes(
        table[step], table["recoverable"], "money", currency
    )
    if len(whole):
        words += f" All steps: {wording.as_text(whole.iloc[0].recoverable, 'money', currency)}."
    units = {column: "money" for column in table.columns if column.startswith(("gross", "recov"))}
    return finish(figure, title, words, table, units, currency, height=150 + 62 * len(table))


def bar_chart(
    table: pd.DataFrame,
    label: str,
    value: str,
    title: str,
    unit: str = "count",
    low: str | None = None,
    high: str | None = None,
    currency: str = "",
    first: object = None,
):
    """Horizontal bars, a row each, with whiskers where `low` and `high` name columns.

    `first` is the label that stands out; without it the largest does.
    """
    import plotly.graph_objects as go

    need(table, [label, value, *filter(None, (low, high))], "bars")
    values = table[value]
    chosen = table[label] == first if first is not None else values == values.max()
    texts = [wording.as_text(number, unit, currency) for number in values]
    named = [unescape(group_label(group, label)) for group in table[label]]
    figure = go.Figure(
        go.Bar(
            x=values.tolist(),
            y=labels(named),
            orientation="h",
            marker_color=[ORANGE if flag else BLUE for flag in chosen],
            error_x=whiskers(table, value, low, high) if low and high else None,
            text=texts,
            # A bar too short for its number carries it outside.
            textposition=["inside" if flag else "outside" for flag in values > values.max() * 0.15],
            insidetextanchor="start",
            textangle=0,
            constraintext="none",
            hovertemplate="%{y}: %{text}<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(rangemode="tozero", nticks=7, **axis(unit, currency))
    units = {column: unit for column in (value, low, high) if column}
    words = extremes(named, values, unit, currency)
    return finish(figure, title, words, table, units, currency, height=110 + 44 * len(table))


def stop_chart(table: pd.DataFrame, title: str = "Where abandoned carts stop", step: str = "step"):
    """The share of abandoned carts that stop at each step, with 95 % intervals.

    `table`: a row per step: step, share, and share_low, share_high where known.
    """
    return bar_chart(table, step, "share", title, "share", *ends_of(table, "share"))


def rate_chart(
    table: pd.DataFrame,
    title: str,
    label: str = "group",
    value: str = "reached_rate",
    first: object = None,
):
    """A rate (0–1) per row, with whiskers where the table has `<value>_low` and `<value>_high`."""
    low, high = ends_of(table, value)
    return bar_chart(table, label, value, title, "share", low, high, first=first)


def definition_chart(
    table: pd.DataFrame,
    title: str = "The same shop, counted in different ways",
    label: str = "definition",
    value: str = "rate",
    first: object = None,
):
    """The lost share by each definition. `table`: a row per definition with its rate (0–1)."""
    return rate_chart(table, title, label, value, first)


def _funnel_by(table: pd.DataFrame, title: str, by: str):
    import plotly.graph_objects as go

    size = table.groupby(by, dropna=False)["entered"].transform("max")
    shown = table[(size == 0) | (size >= wording.SMALL_GROUP)]
    n_small = table[by].nunique(dropna=False) - shown[by].nunique(dropna=False)
    figure, words = go.Figure(), []
    for index, (group, rows) in enumerate(shown.groupby(by, dropna=False, sort=False)):
        figure.add_scatter(
            x=labels(rows["step"]),
            y=rows["overall_rate"].tolist(),
            mode="lines+markers",
            name=group_label(group, by),
            line={"color": SERIES[index % len(SERIES)], "width": 2.4, "dash": dash(index)},
            hovertemplate="%{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
            showlegend=True,
        )
        words.append((unescape(group_label(group, by)), rows["overall_rate"].iloc[-1]))
    figure.update_yaxes(rangemode="tozero", **axis("share"))
    figure.update_xaxes(type="category")
    text = f"Share that reaches the last step, by {wording.heading_of_column(by).lower()}. "
    text += extremes([name for name, _ in words], [rate for _, rate in words], "share")
    if n_small:
        text += f" Groups of fewer than {wording.SMALL_GROUP} are not shown."
    return finish(figure, title, text, shown, height=420)


def _funnel_words(table: pd.DataFrame) -> str:
    if table.empty:
        return "No step was entered."
    first, last = table.iloc[0], table.iloc[-1]
    words = (
        f"{wording.as_text(first.entered, 'count')} entered at {first.step}; "
        f"{wording.as_text(last.entered, 'count')} reached {last.step} "
        f"({wording.as_text(last.overall_rate, 'share')})."
    )
    known = table.iloc[1:].dropna(subset=["step_rate"])
    if len(known):
        worst = known.loc[known["step_rate"].idxmin()]
        rate = wording.as_text(worst.step_rate, "share")
        words += f" The narrowest step is {worst.step}: {rate} of the step before."
    return words
