"""A customer's timeline to look at in the lab: a small picture and the entries, all escaped.

It names a person, so it is for the analyst's own screen and stands in no notebook of the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from cdp_lib.checks import at_least
from cdp_lib.customers.timeline import timeline
from cdp_lib.tables import Shop

ROWS = {  # lines of the picture: which entries each holds, and its colour
    "visits": ({"visit"}, "#4aa3df"),
    "carts": ({"cart"}, "#c98a00"),
    "orders": ({"order", "return"}, "#00795a"),
    "messages": ({"message sent", "message opened", "message clicked"}, "#8b96a3"),
    "other": (set(), "#c8520a"),
}
WIDTH, LEFT, STEP = 720, 78, 20


@dataclass(frozen=True, eq=False)
class TimelineView:
    """A timeline that a notebook draws. customer_id: whose. table: as `timeline` gives it.
    last: how many of its newest entries are written out."""

    customer_id: str
    table: pd.DataFrame
    last: int

    def _repr_html_(self) -> str:
        shown = self.table.tail(self.last).iloc[::-1]
        head = "".join(f"<th>{name}</th>" for name in ("at", "channel", "what", "detail", "value"))
        rows = "".join(
            f"<tr><td>{row.at:%Y-%m-%d %H:%M}</td><td>{escape(str(row.channel))}</td>"
            f"<td>{escape(str(row.what))}</td><td>{escape(str(row.detail))}</td>"
            f"<td style='text-align:right'>{_money(row.value)}</td></tr>"
            for row in shown.itertuples()
        )
        more = len(self.table) - len(shown)
        note = f"<p>{more:,} older entries are in <code>.table</code>.</p>" if more > 0 else ""
        return (
            f"<h4>{escape(self.customer_id)}: {len(self.table):,} entries</h4>{picture(self.table)}"
            f"<table style='text-align:left'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
            f"</table>{note}"
        )


def view(shop: Shop, customer_id: str, last: int = 40) -> TimelineView:
    """The timeline of one customer to look at: call it as the last line of a cell in the lab.

    last: newest entries that are written out. Raises Refusal as `timeline` does.
    """
    at_least("last", last, 1)
    return TimelineView(customer_id, timeline(shop, customer_id), int(last))


def picture(table: pd.DataFrame) -> str:
    """The entries as marks on lines over time, in SVG with a text alternative; "" without any."""
    if table.empty:
        return ""
    start, end = table["at"].min(), table["at"].max()
    span = max((end - start).total_seconds(), 1.0)
    named = set().union(*(kinds for kinds, _ in ROWS.values()))
    marks, words = [], []
    for at, (name, (kinds, colour)) in enumerate(ROWS.items()):
        chosen = table["what"].isin(kinds) if kinds else ~table["what"].isin(named)
        y = 14 + at * STEP
        marks.append(
            f'<text x="0" y="{y + 4}" font-size="12">{name}</text>'
            f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}" stroke="#e3e8ee"/>'
        )
        words.append(f"{int(chosen.sum())} {name}")
        for moment in table.loc[chosen, "at"]:
            x = LEFT + (moment - start).total_seconds() / span * (WIDTH - LEFT - 6) + 3
            marks.append(f'<circle cx="{x:.1f}" cy="{y}" r="3.5" fill="{colour}"/>')
    height = 14 + len(ROWS) * STEP + 12
    marks.append(
        f'<text x="{LEFT}" y="{height - 4}" font-size="11">{start:%Y-%m-%d}</text>'
        f'<text x="{WIDTH}" y="{height - 4}" font-size="11" text-anchor="end">{end:%Y-%m-%d}</text>'
    )
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'aria-label="{", ".join(words)}" style="max-width:100%">{"".join(marks)}</svg>'
    )


def _money(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.2f}"
