"""Numbers as people read them: one way to write a share, money, a count or a span of time."""

import math
from html import escape

from cdp_lib.checks import one_of
from cdp_lib.tables.currency import symbol

UNITS = ("share", "points", "money", "count", "hours", "days", "number")
UNKNOWN = "–"
SMALL_GROUP = 10


def as_text(value: float | None, unit: str = "number", currency: str = "") -> str:
    """Write a number with its unit; null, NaN and infinity are written as a dash.

    >>> as_text(0.4021, "share"), as_text(1234567, "money", "EUR"), as_text(75, "hours")
    ('40.2%', '€1.23m', '3.1 days')
    """
    one_of("unit", unit, UNITS)
    if value is None or not math.isfinite(value):
        return UNKNOWN
    sign, size = ("−" if value < 0 else ""), abs(float(value))
    if unit == "share":
        return sign + _percent(size)
    if unit == "points":
        return f"{sign}{size * 100:.1f} points"
    if unit == "money":
        return sign + _money(size, currency)
    if unit == "count":
        return sign + _count(size)
    if unit in ("hours", "days"):
        return sign + _span(size * (24 if unit == "days" else 1))
    return sign + (_compact(size, 0) if size >= 1000 else f"{size:.3g}")


def interval_as_text(
    low: float | None, high: float | None, unit: str = "number", currency: str = ""
) -> str:
    """Write an interval as "low to high", or nothing when an end is unknown.

    >>> interval_as_text(0.39, 0.41, "share")
    '39.0% to 41.0%'
    """
    ends = [as_text(end, unit, currency) for end in (low, high)]
    return "" if UNKNOWN in ends else " to ".join(ends)


def with_interval(value, low, high, unit: str = "number", currency: str = "") -> str:
    """Write a value and, in brackets, its interval where both ends are known.

    >>> with_interval(0.4, 0.39, 0.41, "share")
    '40.0% (39.0% to 41.0%)'
    """
    told, span = as_text(value, unit, currency), interval_as_text(low, high, unit, currency)
    return f"{told} ({span})" if span else told


def change_as_text(change: float, unit: str, currency: str = "") -> str:
    """Write a difference with its sign; a difference of shares is in points.

    >>> change_as_text(-0.012, "share"), change_as_text(3, "count")
    ('−1.2 points', '+3')
    """
    if unit == "share" and abs(change) < 0.0005:
        return "0.0 points"
    text = as_text(change, "points" if unit == "share" else unit, currency)
    return text if text.startswith("−") or text == UNKNOWN else f"+{text}"


def unit_of_column(column: str) -> str | None:
    """The unit that a column's name announces, or None.

    >>> [unit_of_column(name) for name in ("step_rate", "n_carts", "gross_per_week", "step")]
    ['share', 'count', 'money', None]
    """
    stem = column.removesuffix("_low").removesuffix("_high").removesuffix("_per_week")
    if stem.endswith(("_rate", "_share")) or stem in ("share", "rate") or stem.startswith("share_"):
        return "share"
    if stem.startswith("n_") or stem in ("entered", "open", "count", "attempts"):
        return "count"
    if stem.endswith(("_hours", "_hour")) or stem == "hours":
        return "hours"
    if stem.endswith("_days") or stem == "days":
        return "days"
    if stem in ("value", "revenue", "gross", "recoverable", "proven") or stem.endswith("_value"):
        return "money"
    return None


def heading_of_column(column: object) -> str:
    """A column's name as a heading.

    >>> heading_of_column("n_carts"), heading_of_column("share_low")
    ('Carts', 'Share, low')
    """
    text = str(column)
    for ending, word in (("_low", ", low"), ("_high", ", high")):
        if text.endswith(ending):
            text = text.removesuffix(ending) + word
    text = text.removeprefix("n_").replace("_", " ").strip()
    text = "Number" if text == "n" else text.replace("auc", "AUC")
    return text[:1].upper() + text[1:]


def chart_label(value: object) -> str:
    """Text from data as a chart label: Plotly reads some tags in labels, so they are escaped."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    text = " ".join(str(value).split())
    return escape(text if len(text) <= 78 else text[:77] + "…", quote=False)


def _percent(size: float) -> str:
    points = size * 100
    if 0 < points < 0.1:
        return "<0.1%"
    return f"{points:.0f}%" if points >= 99.95 and points == round(points) else f"{points:.1f}%"


def _count(size: float) -> str:
    if size >= 1e7:
        return _compact(size, 0)
    return f"{size:,.0f}" if size == round(size) or size >= 100 else f"{size:,.1f}"


def _money(size: float, currency: str) -> str:
    if size < 100:
        return f"{symbol(currency)}{size:.2f}"
    return symbol(currency) + _compact(size, 0)


def _compact(size: float, digits: int) -> str:
    for bound, scale, ending in ((1e9, 1e9, "bn"), (1e6, 1e6, "m")):
        if size >= bound:
            return f"{size / scale:.2f}{ending}"
    return f"{size:,.{digits}f}"


def _span(hours: float) -> str:
    if hours == 0:
        return "0 h"
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    if hours < 48:
        return f"{hours:.3g} h"
    return f"{hours / 24:.1f} days" if hours < 24 * 100 else f"{hours / 24:,.0f} days"
