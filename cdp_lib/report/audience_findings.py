"""What is said of audiences that leave: how many, how many are held out, what it will show."""

from collections.abc import Iterable
from math import ceil, isfinite

import numpy as np
import pandas as pd

from cdp_lib.activate.exports import Export
from cdp_lib.activate.outgoing import NotSent
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing

_COUNTS = {
    "n_customers": "asked for",
    "n_no_consent": "no consent",
    "n_suppressed": "suppressed",
    "n_global": "in the global holdout",
    "n_elsewhere": "in another experiment",
    "n_treated": "treated",
    "n_holdout": "held out",
}


def audience_headlines(sent: Iterable[Export | NotSent], currency: str) -> list[Headline]:
    """A headline per audience: how many customers are written to. In: `outgoing.send_all`."""
    return [_headline(one, currency) for one in sent]


def audience_table(sent: Iterable[Export | NotSent]) -> pd.DataFrame:
    """How each audience came about, a row per audience.

    Out: audience, wave, status, n_customers (asked for), what they came to (n_no_consent,
    n_suppressed, n_global, n_elsewhere, n_treated, n_holdout), read_out_on. A count of one to
    nine people is null, and so is the next smallest where it could be had by subtraction.
    """
    rows = []
    for one in sent:
        if isinstance(one, NotSent):
            rows.append({"audience": one.name, "status": f"not sent: {one.why}"})
            continue
        counts = _without_small({name: getattr(one, name) for name in _COUNTS})
        rows.append(
            {"audience": one.name, "wave": one.wave, "status": one.status, **counts}
            | {"read_out_on": pd.Timestamp(one.closes_at) if one.n_holdout else pd.NaT}
        )
    columns = ["audience", "wave", "status", *_COUNTS, "read_out_on"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({name: "float64" for name in _COUNTS} | {"read_out_on": "datetime64[us]"})


def _headline(one: Export | NotSent, currency: str) -> Headline:
    words = one.name.replace("_", " ")
    name = f"Audience: {words}"
    if isinstance(one, NotSent):
        return nothing(name, "count", f"Not sent. {one.why[:1].upper()}{one.why[1:]}.")
    if not one.n_treated:
        return nothing(
            name, "count",
            f"Nobody to write to: {_people(one.n_customers)} asked for, none of whom may be "
            "reached." if one.n_customers else "Nobody to write to: the list is empty.",
        )  # fmt: skip
    planned = one.status == "planned"
    days = ceil(one.window_days)
    return Headline(
        name=name,
        value=one.n_treated,
        low=None,
        high=None,
        unit="count",
        n=one.n_treated,
        verdict="watch" if planned or not one.n_holdout else f"wait {days} days",
        sentence=" ".join([_who(one, planned), _what(one, currency)]),
    )


def _who(one: Export, planned: bool) -> str:
    verb = "would get" if planned else "get"
    channel = one.channel.replace("_", " ")
    drawn = f"{_people(one.n_treated).capitalize()} customers {verb} it by {channel}"
    held = f"; {_people(one.n_holdout)} are held out at random" if one.n_holdout else ""
    n_left_out = one.n_customers - one.n_treated - one.n_holdout
    others = (
        f" {_people(n_left_out).capitalize()} more were asked for and may not be written to now."
        if n_left_out
        else ""
    )
    return f"{'Planned, not sent. ' if planned else ''}{drawn}{held}.{others}"


def _what(one: Export, currency: str) -> str:
    if one.why_no_holdout:
        return f"Cannot be measured: nobody is held out ({one.why_no_holdout})."
    if not one.n_holdout:
        return "Cannot be measured: by chance nobody of so few was held out."
    when = f"On {one.closes_at:%Y-%m-%d} it can be read out"
    if not isfinite(one.mde):
        return f"{when}; the shop's past is too thin to say which effect will be found."
    unit = "share" if one.metric == "conversion" else "money"
    unit = "number" if one.metric == "orders" else unit
    effect = wording.as_text(one.mde, "points" if unit == "share" else unit, currency)
    beside = (
        f" (such customers otherwise bring {wording.as_text(one.usual, unit, currency)})"
        if isfinite(one.usual)
        else ""
    )
    faint = " That is more than they usually bring." if one.mde > one.usual else ""
    return (
        f"{when}: an effect of {effect} in {one.metric.replace('_', ' ')} a customer{beside} would "
        f"be found four times in five.{faint} Waves add up: four like it find half of that."
    )


def _people(n: int) -> str:
    if 0 < n < wording.SMALL_GROUP:
        return f"fewer than {wording.SMALL_GROUP}"
    return f"{n:,}"


def _without_small(counts: dict[str, int]) -> dict[str, float]:
    shown = {name: float(n) for name, n in counts.items()}
    small = [name for name, n in counts.items() if 0 < n < wording.SMALL_GROUP]
    if len(small) == 1:
        others = [name for name in counts if counts[name] and name not in small]
        small += [min(others, key=counts.__getitem__)] if others else []
    return shown | dict.fromkeys(small, np.nan)
