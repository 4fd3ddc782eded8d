"""Charts of whom a treatment moves: each takes a table of an uplift study and gives a figure."""

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    axis,
    finish,
    labels,
    need,
    wash,
    whiskers,
)
from cdp_lib.report.charts_of_explanations import importance_chart, row_height
from cdp_lib.report.tables_html import hide_small

COLOURS = {"uplift": ORANGE, "response model": BLUE, "churn risk alone": PURPLE}
GROUP_COLOURS = {"persuadable": GREEN, "sure": BLUE, "lost": GREY, "do not disturb": ORANGE}


def gain_chart(
    table: pd.DataFrame,
    unit: str = "number",
    currency: str = "",
    title: str = "What treating the first of each order gains",
):
    """A line per order: the gain per 1,000 customers over the share treated; chance is dotted.

    `table`: of `uplift_study.curves`: candidate, contacted, gain, gain_low, gain_high, random. The
    band is the 95 % interval of the first order named. unit: of the gain, "money" or "number".
    """
    import plotly.graph_objects as go

    need(table, ["candidate", "contacted", "gain", "gain_low", "gain_high", "random"], "gain")
    names = list(dict.fromkeys(table["candidate"]))
    figure = go.Figure()
    for place, name in enumerate(names):
        part = table[table["candidate"] == name]
        x = part["contacted"].tolist()
        if place == 0:
            hidden = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
            hidden["showlegend"] = False
            figure.add_scatter(x=x, y=(1000 * part["gain_high"]).tolist(), **hidden)
            figure.add_scatter(
                x=x, y=(1000 * part["gain_low"]).tolist(), fill="tonexty",
                fillcolor=wash(COLOURS.get(name, INK)), **hidden,
            )  # fmt: skip
            figure.add_scatter(
                x=x, y=(1000 * part["random"]).tolist(), mode="lines", name="random order",
                line={"color": MUTED, "width": 1.6, "dash": "dot"}, hoverinfo="skip",
            )  # fmt: skip
        figure.add_scatter(
            x=x,
            y=(1000 * part["gain"]).tolist(),
            mode="lines",
            name=wording.chart_label(name),
            line={"color": COLOURS.get(name, INK), "width": 2.4},
            hovertemplate="first %{x:.0%}: %{y:,.1f}<extra>%{fullData.name}</extra>",
        )
    figure.add_hline(y=0, line_color=INK, line_width=1)
    listed = table[(table["contacted"] * 10).round(6) % 1 == 0]
    scaled = {name: 1000 * listed[name] for name in ("gain", "gain_low", "gain_high", "random")}
    units = dict.fromkeys(scaled, unit) | {"contacted": "share"}
    words = _at_a_fifth(table, unit, currency) if len(table) else "No order to draw."
    figure = finish(figure, title, words, listed.assign(**scaled), units, currency, height=400)
    figure.update_xaxes(tickformat=".0%", title_text="share of customers treated")
    figure.update_yaxes(title_text="gained per thousand customers", **axis(unit, currency))
    return figure


def calibration_chart(
    table: pd.DataFrame,
    unit: str = "share",
    currency: str = "",
    title: str = "The effect expected, and the effect measured",
):
    """Dots of the measured over the predicted effect of equal groups, beside the diagonal.

    `table`: of `uplift_study.calibration`: group, n, predicted, measured, _low, _high.
    """
    import plotly.graph_objects as go

    need(table, ["n", "predicted", "measured", "measured_low", "measured_high"], "calibration")
    table = hide_small(table, "n")
    figure = go.Figure()
    ends = table[["predicted", "measured_low", "measured_high"]]
    low, high = (float(ends.min().min()), float(ends.max().max())) if len(table) else (0.0, 1.0)
    figure.add_scatter(
        x=[low, high], y=[low, high], mode="lines", name="as predicted", hoverinfo="skip",
        line={"color": MUTED, "width": 1.4, "dash": "dot"},
    )  # fmt: skip
    figure.add_scatter(
        x=table["predicted"].tolist(),
        y=table["measured"].tolist(),
        mode="markers",
        name="a fifth of the customers, with its 95 % interval",
        marker={"size": 9, "color": BLUE},
        error_y=whiskers(table, "measured", "measured_low", "measured_high"),
        hovertemplate="expected %{x:.3~g}, measured %{y:.3~g}<extra></extra>",
    )
    figure.add_hline(y=0, line_color=INK, line_width=1)
    told = [
        f"{wording.as_text(row.predicted, unit, currency)} expected, "
        f"{wording.as_text(row.measured, unit, currency)} measured"
        for row in table.itertuples()
    ]
    words = f"Highest fifth: {told[0]}; lowest: {told[-1]}." if told else "No group to draw."
    units = dict.fromkeys(("predicted", "measured", "measured_low", "measured_high"), unit)
    figure = finish(figure, title, words, table, units, currency, height=380)
    figure.update_xaxes(title_text="expected effect of a contact", **axis(unit, currency))
    figure.update_yaxes(title_text="measured effect", **axis(unit, currency))
    return figure


def group_chart(
    table: pd.DataFrame,
    unit: str = "share",
    currency: str = "",
    title: str = "The four groups: what a contact changed",
):
    """Bars of the measured effect of a contact in each group, with its 95 % interval.

    `table`: of `uplift_study.groups`: group, n, share, measured, measured_low, measured_high.
    """
    import plotly.graph_objects as go

    columns = ["group", "n", "share", "measured", "measured_low", "measured_high"]
    table = table if len(table.columns) else pd.DataFrame(columns=columns)
    need(table, columns, "groups")
    table = hide_small(table, "n") if len(table) else table
    names = [
        f"{name}<br><b>{wording.as_text(share, 'share')} of customers</b>"
        for name, share in zip(labels(table["group"]), table["share"], strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=table["measured"].astype(float).tolist(),
            y=names,
            orientation="h",
            marker_color=[GROUP_COLOURS.get(name, GREY) for name in table["group"]],
            error_x=whiskers(table, "measured", "measured_low", "measured_high"),
            hovertemplate="%{y}: %{x:.3~g}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(x=0, line_color=INK, line_width=1)
    told = [
        f"{row.group} {wording.as_text(row.measured, unit, currency)}" for row in table.itertuples()
    ]
    words = f"Measured effect of a contact: {', '.join(told)}." if told else "Nobody is grouped."
    units = {c: unit for c in ("predicted", "measured", "measured_low", "measured_high")}
    units |= {"moved_low": "share", "moved_high": "share", "kept_share": "share"}
    height = 110 + row_height(names) * max(1, len(table))
    figure = finish(figure, title, words, table, units, currency, height=height)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(nticks=5, tickangle=0, **axis(unit, currency))
    return figure


def effect_chart(table: pd.DataFrame, title: str = "What goes with a larger or smaller effect"):
    """Bars of each feature's weight in the expected effect. `table`: of `uplift_study.reading`."""
    return importance_chart(table, title, what="effect")


def _at_a_fifth(table: pd.DataFrame, unit: str, currency: str) -> str:
    fifth = table.iloc[(table["contacted"] - 0.2).abs().argsort(kind="stable")]
    fifth = fifth.drop_duplicates("candidate")
    told = [
        f"{row.candidate} {wording.as_text(1000 * row.gain, unit, currency)}"
        for row in fifth.sort_values("gain", ascending=False).itertuples()
    ]
    chance = wording.as_text(1000 * float(fifth["random"].iloc[0]), unit, currency)
    return (
        f"Gained per thousand customers by treating the first fifth: {', '.join(told)}, "
        f"random {chance}."
    )
