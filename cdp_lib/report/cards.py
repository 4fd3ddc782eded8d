"""A headline as a card of HTML: value, interval, verdict, change and a sparkline in SVG."""

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

from cdp_lib.report import wording

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def template(name: str) -> str:
    """The text of a file of the report's templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def style(*names: str) -> str:
    """A style element made of the named style sheets."""
    return "<style>\n" + "\n".join(template(name) for name in names) + "</style>"


def verdict_class(verdict: str) -> str:
    """The CSS class of a verdict.

    >>> verdict_class("wait 12 days"), verdict_class("cannot tell (MDE 0.4)"), verdict_class("stop")
    ('wait', 'cannot-tell', 'act')
    """
    return plain_verdict(verdict).replace(" ", "-")


def plain_verdict(verdict: str) -> str:
    """A verdict in one of the six words that every page has, whatever its numbers.

    >>> plain_verdict("keep testing 3 more days"), plain_verdict("scale")
    ('wait', 'good')
    """
    word = verdict.split(" (")[0]
    if word.startswith(("wait", "keep testing")):
        return "wait"
    return {"scale": "good", "stop": "act"}.get(word, word)


def card_html(
    headline: Mapping,
    previous: Mapping | None = None,
    history: Sequence[float | None] = (),
    link: str = "",
    since: str = "last week",
    with_style: bool = False,
) -> str:
    """One headline (as `Headline.to_json` writes it) as a card.

    `previous` is the same headline in the report before; `history` its values in earlier
    reports, oldest first; `link` the page to open; `since` the words for the report before. All
    text is escaped.
    """
    unit, currency = headline["unit"], headline.get("currency", "")
    value = wording.as_text(headline["value"], unit, currency)
    interval = wording.interval_as_text(headline["low"], headline["high"], unit, currency)
    name = escape(headline["name"])
    title = f'<a href="{escape(link)}">{name}</a>' if link else name
    parts = [
        f'<article class="card {verdict_class(headline["verdict"])}">',
        f'<header><h3>{title}</h3><span class="verdict">{escape(headline["verdict"])}</span>'
        "</header>",
        f'<p class="figures"><span class="value">{escape(value)}</span>',
        f'<span class="interval">95% interval {escape(interval)}</span></p>'
        if interval
        else "</p>",
        f'<p class="sentence">{escape(headline["sentence"])}</p>',
        f"<footer>{_foot(headline, previous, history, since)}</footer>",
        "</article>",
    ]
    return (style("card.css") if with_style else "") + "".join(parts)


def sparkline_svg(values: Sequence[float | None], width: int = 120, height: int = 28) -> str:
    """A line of at most 26 values in SVG with a text alternative; "" for fewer than two."""
    shown = list(values)[-26:]
    known = [value for value in shown if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    across = (width - 8) / max(len(shown) - 1, 1)
    points = [
        (4 + index * across, height - 4 - (value - low) / span * (height - 8))
        for index, value in enumerate(shown)
        if value is not None
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" aria-label="{len(shown)} weeks, from lowest to highest">'
        f'<polyline points="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/></svg>'
    )


def change_html(headline: Mapping, previous: Mapping | None, since: str = "last week") -> str:
    """The change since the report before; inside the interval it is called no clear change."""
    if previous is None or previous.get("value") is None or headline["value"] is None:
        return ""
    before, now = previous["value"], headline["value"]
    text = escape(
        wording.change_as_text(now - before, headline["unit"], headline.get("currency", ""))
    )
    low, high = headline["low"], headline["high"]
    if now == before:
        return f'<span class="change same">unchanged since {escape(since)}</span>'
    if low is not None and high is not None and low <= before <= high:
        return f'<span class="change same">{text} since {escape(since)}: no clear change</span>'
    rose, higher_is = now > before, headline.get("higher_is", "neutral")
    tone = "same" if higher_is == "neutral" else _tone(rose, higher_is)
    arrow = "▲" if rose else "▼"
    return f'<span class="change {tone}">{arrow} {text} since {escape(since)}</span>'


def _tone(rose: bool, higher_is: str) -> str:
    return "better" if rose == (higher_is == "better") else "worse"


def _foot(
    headline: Mapping, previous: Mapping | None, history: Sequence[float | None], since: str
) -> str:
    # Two or three points make a slope out of noise.
    told = sum(value is not None for value in history) >= 3
    series = [*history, headline["value"]] if told else list(headline.get("trend", ()))
    n = headline.get("n")
    behind = f'<span class="behind">n = {escape(wording.as_text(n, "count"))}</span>' if n else ""
    return change_html(headline, previous, since) + behind + sparkline_svg(series)
