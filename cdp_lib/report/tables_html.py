"""A small table as HTML: escaped, numbers to the right, small groups left out."""

import math
from collections.abc import Mapping
from html import escape
from numbers import Number

import pandas as pd

from cdp_lib.checks import Refusal, at_least
from cdp_lib.report import wording
from cdp_lib.report.cards import style


def table_html(
    table: pd.DataFrame,
    title: str = "",
    formats: Mapping[str, str] | None = None,
    headings: Mapping[str, str] | None = None,
    people: str | None = None,
    max_rows: int = 25,
    currency: str = "",
    with_style: bool = False,
) -> str:
    """A pandas table as HTML text.

    `formats` gives a column's unit where its name does not announce it (`_rate`, `n_`,
    `_hours`); `headings` its words. `people` names the column that counts people: small groups
    are left out (`hide_small`) and a note says how many. `currency` marks money.
    """
    for place, names in (("formats", formats), ("headings", headings), ("people", [people])):
        for column in names or ():
            if column is not None and column not in table.columns:
                known = ", ".join(map(str, table.columns))
                raise Refusal(place, column, "no such column", f"choose one of {known}")
    at_least("max_rows", max_rows, 1)
    kept = hide_small(table, people) if people else table
    units = {
        column: (formats or {}).get(column) or wording.unit_of_column(str(column))
        for column in table.columns
    }
    numeric = {c: pd.api.types.is_numeric_dtype(table[c].dtype) for c in table.columns}
    for column, is_number in numeric.items():
        if is_number and pd.api.types.is_bool_dtype(table[column].dtype):
            numeric[column] = False
    head = "".join(
        f'<th scope="col"{_right(numeric[c])}>'
        f"{escape((headings or {}).get(c) or wording.heading_of_column(c))}</th>"
        for c in table.columns
    )
    rows = []
    for record in kept.head(max_rows).itertuples(index=False, name=None):
        cells = (
            f"<td{_right(numeric[c])}>{escape(cell_as_text(value, units[c], currency))}</td>"
            for c, value in zip(table.columns, record, strict=True)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    foot = _foot(len(table) - len(kept), len(kept) - max_rows)
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    if kept.empty and len(table):
        head = ""  # headings of nothing but hidden groups tell nothing
    return (
        (style("table.css") if with_style else "")
        + f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead>'
        + f"<tbody>{''.join(rows)}</tbody></table>{foot}</div>"
    )


def hide_small(table: pd.DataFrame, people: str) -> pd.DataFrame:
    """The rows of a table that may be shown, by their `people` column.

    Rows that count 1 to 9 people go. Where that is one row alone, the next smallest goes too, so
    that the hidden one cannot be had by subtraction. Rows of nobody, or unknown, stay.
    """
    counts = table[people]
    small = ((counts > 0) & (counts < wording.SMALL_GROUP)).fillna(False).astype(bool)
    shown = counts[~small & (counts > 0)]
    if small.sum() == 1 and len(shown):
        small[shown.idxmin()] = True
    return table[~small]


def cell_as_text(value: object, unit: str | None, currency: str = "") -> str:
    """One value of a table as text; null is a dash."""
    if value is None or value is pd.NaT or value is pd.NA:
        return wording.UNKNOWN
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "yes" if value else "no"
    if isinstance(value, Number):
        if unit == "count" and math.isfinite(float(value)) and value == round(value):
            return f"{int(value):,}".replace("-", "−")
        if unit:
            return wording.as_text(value, unit, currency)
        number = float(value)
        if not math.isfinite(number):
            return wording.UNKNOWN
        return wording.as_text(number, "count" if number == round(number) else "number")
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    return " ".join(str(value).split())


def _right(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _foot(n_hidden: int, n_more: int) -> str:
    notes = []
    if n_hidden > 0:
        rows = "1 row is" if n_hidden == 1 else f"{n_hidden:,} rows are"
        notes.append(f"{rows} not shown: a group of fewer than {wording.SMALL_GROUP} people")
    if n_more > 0:
        notes.append(f"{n_more:,} further rows not shown")
    return f'<p class="foot">{"; ".join(notes)}.</p>' if notes else ""
