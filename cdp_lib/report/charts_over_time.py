"""Charts along time: a weekly course with its band, and how carts come back by themselves."""

import math
from html import unescape

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    MUTED,
    SERIES,
    axis,
    course,
    dash,
    ends_of,
    finish,
    group_label,
    need,
    wash,
)


def trend_chart(
    table: pd.DataFrame,
    y: str,
    title: str,
    x: str = "week",
    low: str | None = None,
    high: str | None = None,
    unit: str = "share",
    by: str | None = None,
    currency: str = "",
):
    """A line per group over weeks or days, with a band where `low` and `high` name columns.

    One line takes its band from the columns `<y>_low` and `<y>_high` where there are such.
    `table`: a row per `x` (and group), in order, with the value `y` in `unit`.
    """
    import plotly.graph_objects as go

    need(table, [x, y, *filter(None, (low, high, by))], "trend")
    if not by and not low and not high:
        low, high = ends_of(table, y)
    groups = list(table.groupby(by, dropna=False, sort=False)) if by else [(None, table)]
    figure, words = go.Figure(), []
    for index, (group, rows) in enumerate(groups):
        name = group_label(group, by) if by else wording.heading_of_column(y)
        colour = SERIES[index % len(SERIES)]
        along = rows[x].map(_as_axis_value).tolist()
        if low and high:
            _add_band(figure, along, rows[low], rows[high], colour)
        figure.add_scatter(
            x=along,
            y=rows[y].tolist(),
            mode="lines+markers" if len(rows) <= 60 else "lines",
            name=name,
            line={"color": colour, "width": 2.4, "dash": dash(index)},
            marker={"size": 6},
            text=[wording.as_text(value, unit, currency) for value in rows[y]],
            hovertemplate="%{x}: %{text}<extra></extra>",
            showlegend=bool(by),
        )
        told = course(rows[y], unit, currency)
        words.append(f"{unescape(name)}: {told.partition(';')[0].rstrip('.')}." if by else told)
    figure.update_yaxes(**axis(unit, currency))
    if not pd.api.types.is_numeric_dtype(table[x].dtype):
        figure.update_xaxes(nticks=12)
    units = {column: unit for column in (y, low, high) if column}
    return finish(figure, title, " ".join(words[:6]), table, units, currency)


def return_curve_chart(
    table: pd.DataFrame,
    title: str = "How many idle carts are bought without a nudge",
    hours: str = "hours",
    share: str = "share_back",
    low: str | None = None,
    high: str | None = None,
    marks: tuple[float, ...] = (1, 4, 24, 72),
):
    """A stepped curve of the share bought within so many idle hours, on a log axis.

    `table`: a row per time: hours (> 0) and the share, with `low` and `high` columns for the
    band (`<share>_low` and `<share>_high` where there are such). `marks` are hours drawn as lines:
    the delays one would compare.
    """
    import plotly.graph_objects as go

    need(table, [hours, share, *filter(None, (low, high))], "return curve")
    if not low and not high:
        low, high = ends_of(table, share)
    curve = table[table[hours] > 0]
    drawn = _thin_on_log_axis(curve, hours)
    figure = go.Figure()
    along = drawn[hours].tolist()
    if low and high:
        _add_band(figure, along, drawn[low], drawn[high], SERIES[0], shape="hv")
    figure.add_scatter(
        x=along,
        y=drawn[share].tolist(),
        mode="lines",
        line={"color": SERIES[0], "width": 2.4, "shape": "hv"},
        hovertemplate="%{x:.1f} h: %{y:.1%}<extra></extra>",
        showlegend=False,
    )
    for mark in marks:
        figure.add_vline(x=mark, line={"color": MUTED, "width": 1, "dash": "dot"})
    ticks = [value for value in (0.25, 1, 4, 12, 24, 72, 168, 336, 720)]
    texts = [wording.as_text(value, "hours") for value in ticks]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=texts)
    figure.update_xaxes(title_text="idle time")
    if along:
        reach = [math.log10(max(along[0], 0.1)), math.log10(max(along[-1], *marks, 0.2))]
        figure.update_xaxes(range=reach)
    figure.update_yaxes(rangemode="tozero", **axis("share"))
    at_marks = [
        f"{wording.as_text(_at(curve, hours, share, mark), 'share')} within "
        f"{wording.as_text(mark, 'hours')}"
        for mark in marks
    ]
    words = "Bought without a nudge: " + ", ".join(at_marks) + "."
    units = {share: "share", hours: "hours"} | {c: "share" for c in (low, high) if c}
    return finish(figure, title, words, _thin(drawn), units)


def _add_band(figure, along, low, high, colour, shape="linear") -> None:
    edge = {"width": 0, "shape": shape}
    options = {"mode": "lines", "line": edge, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=along, y=high.tolist(), **options)
    figure.add_scatter(x=along, y=low.tolist(), fill="tonexty", fillcolor=wash(colour), **options)


def _as_axis_value(value: object) -> object:
    if isinstance(value, str):
        return wording.chart_label(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _at(table: pd.DataFrame, hours: str, share: str, mark: float) -> float | None:
    """The value of a stepped curve at `mark`; unknown beyond its last time."""
    if table.empty or mark > table[hours].max():
        return None
    reached = table[table[hours] <= mark]
    return float(reached[share].iloc[-1]) if len(reached) else 0.0


def _thin_on_log_axis(table: pd.DataFrame, hours: str, n_rows: int = 400) -> pd.DataFrame:
    """At most `n_rows` steps of a long curve: the last of each stretch of the log axis."""
    if len(table) <= n_rows:
        return table
    return table.groupby(pd.cut(table[hours].map(math.log10), n_rows), observed=True).tail(1)


def _thin(table: pd.DataFrame, n_rows: int = 40) -> pd.DataFrame:
    """At most `n_rows` rows of a long table, evenly spread, the last one kept."""
    if len(table) <= n_rows:
        return table
    places = {round(place * (len(table) - 1) / (n_rows - 1)) for place in range(n_rows)}
    return table.iloc[sorted(places)]
