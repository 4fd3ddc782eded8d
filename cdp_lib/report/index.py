"""The overview of a week: what needs attention, the pages, the data, how to read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

import pandas as pd

from cdp_lib.report.cards import card_html, plain_verdict, template
from cdp_lib.report.findings import MONEY_FIRST
from cdp_lib.report.page import shell_html
from cdp_lib.report.record import Outcome
from cdp_lib.report.tables_html import table_html
from cdp_lib.windows import iso_week

_ORDER = ("act", "wait", "watch", "cannot tell", "good", "refused")
_MANY_WEEKS = 26


@dataclass(frozen=True)
class Week:
    """The week reported: its ISO name, the shop, the end of the data and the currency."""

    name: str
    shop: str
    as_of: datetime
    currency: str

    def days_as_text(self) -> str:
        """The days of the week that the data reach, such as "16 to 22 November 2026"."""
        last = (self.as_of - timedelta(microseconds=1)).date()
        first = last - timedelta(days=last.weekday())
        end = f"{last.day} {last:%B %Y}"
        if first == last:
            return end
        start = f"{first.day}" if first.month == last.month else f"{first.day} {first:%B}"
        if first.year != last.year:
            start += f" {first.year}"
        return f"{start} to {end}"


def index_html(
    week: Week,
    outcomes: Sequence[Outcome],
    earlier: Sequence[tuple[str, list[dict]]],
    health: Mapping,
) -> str:
    """The overview page.

    `earlier` holds (week, headlines) of the shop's reports before, oldest first; `health` the
    `rows` per table, the `span`, the table of `problems` and whether one is `fatal`.
    """
    body = (
        _trouble(outcomes, health)
        + _findings(week, outcomes, earlier)
        + _pages(outcomes)
        + _data(health)
        + template("reading.html")
    )
    return shell_html(
        title=f"{week.shop}: the week in findings",
        body=body,
        contents=[],
        about={
            "Week": week.name,
            "Days": week.days_as_text(),
            "Data until": f"{week.as_of:%Y-%m-%d %H:%M} UTC",
        },
        index="",
        scripts=[],
        styles=[template(n) for n in ("house.css", "card.css", "table.css", "index.css")],
    )


def order_of_attention(headline: Mapping) -> tuple:
    """Sort key of a card: what last week's audiences earned, then what to act on, the most money
    first, then the rest by name."""
    money = headline["value"] if headline["unit"] == "money" and headline["value"] else 0.0
    verdict = _ORDER.index(plain_verdict(headline["verdict"]))
    return (headline.get("name") != MONEY_FIRST, verdict, -money, headline["notebook"])


def _findings(
    week: Week, outcomes: Sequence[Outcome], earlier: Sequence[tuple[str, list[dict]]]
) -> str:
    headlines = [headline for outcome in outcomes for headline in outcome.headlines]
    if not headlines:
        return '<section id="findings"><p>No notebook gave a finding this week.</p></section>'
    before = earlier[-1][0] if earlier else ""
    since = "last week" if before == iso_week(week.as_of - timedelta(days=7)) else before
    cards = []
    for headline in sorted(headlines, key=order_of_attention):
        past = [_same(headline, found) for _, found in earlier[-_MANY_WEEKS:]]
        history = [one["value"] if one else None for one in past]
        cards.append(
            card_html(
                headline,
                previous=past[-1] if past else None,
                history=history if any(value is not None for value in history) else (),
                link=f"{headline['notebook']}.html",
                since=since,
            )
        )
    return f'<section id="findings" class="cards">{"".join(cards)}</section>'


def _same(headline: Mapping, found: list[dict]) -> dict | None:
    for one in found:
        if (one.get("notebook"), one.get("name")) == (headline["notebook"], headline["name"]):
            return one if one.get("unit") == headline["unit"] else None
    return None


def _trouble(outcomes: Sequence[Outcome], health: Mapping) -> str:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    words = ""
    if health["fatal"]:
        words += (
            "<p>The data have a problem that makes numbers wrong: see "
            '<a href="#data">the data behind this</a>.</p>'
        )
    if failed:
        lines = (
            f"<li><strong>{escape(one.title)}</strong>: {escape(one.message)}</li>"
            for one in failed
        )
        words += (
            f"<p>{len(failed)} of {len(outcomes)} pages could not be finished. "
            f"The others stand.</p><ul>{''.join(lines)}</ul>"
        )
    return f'<section class="error" role="alert">{words}</section>' if words else ""


def _pages(outcomes: Sequence[Outcome]) -> str:
    items = []
    for one in outcomes:
        title = escape(one.title)
        if one.status != "not run":
            title = f'<a href="{escape(one.name)}.html">{title}</a>'
        detail = escape(one.message) if one.message else f"made in {one.seconds:.0f} s"
        items.append(
            f'<li><span class="status {one.status.replace(" ", "-")}">{escape(one.status)}</span>'
            f'<span class="page">{title}<small>{detail}</small></span></li>'
        )
    return f'<section id="pages"><h2>Pages</h2><ul class="pages">{"".join(items)}</ul></section>'


def _data(health: Mapping) -> str:
    span = health["span"]
    reach = (
        f"<p>The log runs from {escape(str(span['first']))} to {escape(str(span['last']))} UTC.</p>"
        if span["first"]
        else ""
    )
    rows = pd.DataFrame([{"table": name, **counts} for name, counts in health["rows"].items()])
    words = {"n_read": "Rows read", "n_set_aside": "Set aside", "n_used": "Rows used"}
    counts = table_html(rows, headings=words) if len(rows) else ""
    problems: pd.DataFrame = health["problems"]
    columns = [c for c in ("table", "rule", "n_rows", "treatment", "meaning") if c in problems]
    found = (
        "<h3>What was found in the data</h3>" + table_html(problems[columns], max_rows=40)
        if len(problems)
        else "<p>No problem was found in the data.</p>"
    )
    return f'<section id="data"><h2>The data behind this</h2>{reach}{counts}{found}</section>'
