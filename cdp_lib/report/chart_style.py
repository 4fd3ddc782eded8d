"""One look for every chart, and what each carries besides its picture: words and a table."""

import textwrap
from collections.abc import Iterable, Sequence
from html import escape, unescape

import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.report import wording

# Okabe and Ito's palette (2008), told apart with every common colour blindness; darkened where
# the original is too pale for text on white.
INK, MUTED, GRID = "#17202b", "#566170", "#e3e8ee"
BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, GREY = (
    "#0b62a4",
    "#c8520a",
    "#00795a",
    "#a8558a",
    "#4aa3df",
    "#c98a00",
    "#8b96a3",
)
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, GREY)
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
MAX_TABLE_ROWS = 60
_LABEL_WIDTH = 26


def wash(colour: str, strength: float = 0.16) -> str:
    """A pale form of a palette colour, for bands."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{strength})"


def axis(unit: str | None, currency: str = "") -> dict:
    """Plotly's settings of an axis that carries `unit`."""
    if unit == "share":
        return {"tickformat": ".0%"}
    if unit == "money":
        symbol = wording.as_text(0, "money", currency).removesuffix("0.00")
        return {"tickprefix": symbol, "tickformat": "~s"}
    return {"tickformat": "~s" if unit == "count" else ""}


def finish(
    figure,
    title: str,
    alt: str,
    table: pd.DataFrame,
    units: dict[str, str] | None = None,
    currency: str = "",
    height: int = 360,
):
    """Give a figure the house look, its text alternative and the data behind it.

    `figure.layout.meta` holds `alt` (a sentence of what is seen) and `table` (`headings`,
    `numeric`, `rows` as text), which the report page shows beside the picture.
    """
    figure.update_layout(
        template="none",
        title={
            "text": escape(title, quote=False),
            "x": 0,
            "xref": "paper",
            "font": {"size": 17},
            "xanchor": "left",
        },
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        colorway=list(SERIES),
        height=height,
        autosize=True,
        margin={"l": 12, "r": 18, "t": 56, "b": 44},
        hoverlabel={"bgcolor": "#ffffff", "bordercolor": MUTED, "font": {"color": INK}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        barcornerradius=3,
        bargap=0.28,
        meta={"alt": alt, "table": _as_text_table(table, units or {}, currency)},
    )
    grid = {"gridcolor": GRID, "zerolinecolor": "#b8c1cc", "automargin": True, "linecolor": GRID}
    grid |= {"ticks": "outside", "ticklen": 5, "tickcolor": "#ffffff"}
    figure.update_xaxes(**grid, title={"font": {"size": 12, "color": MUTED}})
    figure.update_yaxes(**grid, title={"font": {"size": 12, "color": MUTED}})
    if table.empty:
        words = {"text": "nothing to draw", "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
        figure.add_annotation(**words, showarrow=False, font={"color": MUTED})
        figure.update_layout(height=150, xaxis_visible=False, yaxis_visible=False)
    if title and any(getattr(trace, "showlegend", False) for trace in figure.data):
        figure.update_layout(margin={"t": 84})
    return figure


def need(table: pd.DataFrame, columns: Iterable[str], chart: str) -> None:
    """Refuse a table that lacks a column the chart draws."""
    for column in columns:
        if column not in table.columns:
            have = ", ".join(map(str, table.columns))
            raise Refusal(chart, column, "the table lacks this column", f"it has {have}")


def labels(values: Iterable[object]) -> list[str]:
    """Labels of a category axis: escaped, in lines, told apart where two read the same."""
    seen: dict[str, int] = {}
    result = []
    for value in values:
        lines = textwrap.wrap(unescape(wording.chart_label(value)), width=_LABEL_WIDTH)
        text = "<br>".join(escape(line, quote=False) for line in lines) or " "
        seen[text] = seen.get(text, 0) + 1
        result.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return result


def group_label(group: object, by: str) -> str:
    """The name of a group in a legend; a yes or no is told in the column's own words."""
    if isinstance(group, bool) or type(group).__name__ == "bool_":
        name = wording.heading_of_column(by).lower()
        return name if group else f"not {name}"
    return wording.chart_label(group)


def dash(index: int) -> str:
    """The line style of a series: a second round through the palette is dotted."""
    return "solid" if index < len(SERIES) else "dot"


def ends_of(table: pd.DataFrame, value: str) -> tuple[str | None, str | None]:
    """The columns that hold the interval of `value`, where the table has them."""
    ends = f"{value}_low", f"{value}_high"
    return ends if set(ends) <= set(table.columns) else (None, None)


def whiskers(table: pd.DataFrame, value: str, low: str, high: str) -> dict | None:
    """Plotly's error bars from an interval's ends; None where the table has no interval."""
    if low not in table.columns or high not in table.columns:
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": (table[high] - table[value]).tolist(),
        "arrayminus": (table[value] - table[low]).tolist(),
        "color": INK,
        "thickness": 1.4,
        "width": 5,
    }


def extremes(
    names: Sequence[object], values: Sequence[float], unit: str, currency: str = ""
) -> str:
    """The words for the largest and the smallest of some values."""
    known = [
        (float(value), str(name))
        for name, value in zip(names, values, strict=True)
        if pd.notna(value)
    ]
    if not known:
        return "No value is known."
    top, least = max(known, key=lambda pair: pair[0]), min(known, key=lambda pair: pair[0])
    words = f"Largest: {top[1]} with {wording.as_text(top[0], unit, currency)}"
    if len(known) > 1:
        words += f"; smallest: {least[1]} with {wording.as_text(least[0], unit, currency)}"
    return words + "."


def course(values: Sequence[float], unit: str, currency: str = "") -> str:
    """The words for how a series went from its first to its last known value."""
    known = [float(value) for value in values if pd.notna(value)]
    if not known:
        return "No value is known."
    first, last = (wording.as_text(value, unit, currency) for value in (known[0], known[-1]))
    if len(known) == 1:
        return f"One value: {first}."
    lowest, highest = (wording.as_text(v, unit, currency) for v in (min(known), max(known)))
    way = "unchanged" if first == last else "up" if known[-1] > known[0] else "down"
    return f"From {first} to {last} ({way}); lowest {lowest}, highest {highest}."


def _as_text_table(table: pd.DataFrame, units: dict[str, str], currency: str) -> dict:
    from cdp_lib.report.tables_html import cell_as_text

    columns = list(table.columns)
    unit = {column: units.get(column) or wording.unit_of_column(str(column)) for column in columns}
    rows = [
        [
            cell_as_text(value, unit[column], currency)
            for column, value in zip(columns, row, strict=True)
        ]
        for row in table.head(MAX_TABLE_ROWS).itertuples(index=False, name=None)
    ]
    return {
        "headings": [wording.heading_of_column(column) for column in columns],
        "numeric": [bool(pd.api.types.is_numeric_dtype(table[c].dtype)) for c in columns],
        "rows": rows,
        "n_more": max(len(table) - MAX_TABLE_ROWS, 0),
    }
