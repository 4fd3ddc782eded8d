"""Charts of how values lie: effects beside zero, counts over bins, a grid of shades."""

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    axis,
    extremes,
    finish,
    labels,
    need,
    whiskers,
)


def effect_chart(
    table: pd.DataFrame,
    title: str = "What goes with abandonment (inferred)",
    label: str = "driver",
    effect: str = "effect",
    low: str = "effect_low",
    high: str = "effect_high",
    unit: str = "points",
):
    """Dots with whiskers beside a line at zero; an interval that holds zero is grey.

    `table`: a row per driver: driver, effect, effect_low, effect_high (a difference of shares,
    0.1 = 10 points). A row without an effect keeps its place and is named in the words.
    """
    import plotly.graph_objects as go

    need(table, [label, effect, low, high], "effects")
    unclear = ((table[low] <= 0) & (table[high] >= 0)) | table[effect].isna()
    texts = [
        wording.change_as_text(value, "share" if unit == "points" else unit)
        for value in table[effect]
    ]
    figure = go.Figure(
        go.Scatter(
            x=table[effect].tolist(),
            y=labels(table[label]),
            mode="markers",
            marker={"size": 11, "color": [GREY if flag else ORANGE for flag in unclear]},
            error_x=whiskers(table, effect, low, high),
            text=texts,
            hovertemplate="%{y}: %{text}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(x=0, line_color=INK, line_width=1.2)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(tickformat="+.0%" if unit == "points" else "")
    if unit == "points":
        figure.update_xaxes(title_text="difference in percentage points")
    words = extremes(table[label], table[effect], unit)
    n_unclear = int(unclear.sum())
    if n_unclear:
        words += f" For {n_unclear} of {len(table)} the direction cannot be told."
    units = dict.fromkeys((effect, low, high), unit)
    return finish(figure, title, words, table, units, height=120 + 46 * len(table))


def histogram_chart(
    table: pd.DataFrame,
    title: str,
    left: str = "gap_low",
    right: str = "gap_high",
    count: str = "n_carts",
    unit: str = "money",
    currency: str = "",
):
    """Bars over bins [left, right). `table`: a row per bin with its two ends and its count."""
    import plotly.graph_objects as go

    need(table, [left, right, count], "histogram")
    names = [
        _bin_name(a, b, unit, currency) for a, b in zip(table[left], table[right], strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=names,
            y=table[count].tolist(),
            marker_color=BLUE,
            hovertemplate="%{x}: %{y:,}<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_layout(bargap=0.06)
    figure.update_xaxes(type="category", tickfont={"size": 11, "color": MUTED})
    figure.update_yaxes(**axis("count"))
    units = {left: unit, right: unit, count: "count"}
    words = extremes(names, table[count], "count")
    return finish(figure, title, words, table, units, currency)


def heatmap(table: pd.DataFrame, x: str, y: str, value: str, title: str, unit: str = "count"):
    """A grid of shades. `table`: a row per pair of `x` and `y` with a `value`."""
    import plotly.graph_objects as go

    need(table, [x, y, value], "heatmap")
    grid = table.pivot(index=y, columns=x, values=value)
    grid = grid.reindex(index=table[y].unique(), columns=table[x].unique())
    texts = grid.map(lambda number: wording.as_text(number, unit))
    figure = go.Figure(
        go.Heatmap(
            x=labels(grid.columns),
            y=labels(grid.index),
            z=grid.to_numpy(dtype=float),
            text=texts.to_numpy(),
            texttemplate="%{text}" if grid.size <= 120 else None,
            colorscale=[[0, "#eef4fa"], [0.5, "#6ea6d4"], [1, "#0a3f70"]],
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
            colorbar={"tickformat": ".0%" if unit == "share" else ",~r", "outlinewidth": 0},
        )
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    names = [f"{row[y]}, {row[x]}" for _, row in table.iterrows()]
    words = extremes(names, table[value], unit)
    return finish(figure, title, words, table, {value: unit}, height=130 + 34 * len(grid))


def _bin_name(left: float, right: float, unit: str, currency: str) -> str:
    """A bin in words: its two ends, one where they are equal, "and more" without a right end."""
    start, end = (
        wording.as_text(value, unit, currency).removesuffix(".00") for value in (left, right)
    )
    if end == wording.UNKNOWN:
        return f"{start} and more"
    return start if start == end else f"{start} to {end}"
