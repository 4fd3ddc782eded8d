"""What an analysis found: a number with its interval, its verdict and one sentence.

A notebook ends a cell with `show(...)`. A headline then travels twice in the cell's output:
as a card for the reader, and as JSON from which the weekly run gathers all headlines.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape

from cdp_lib.checks import Refusal, one_of
from cdp_lib.report import wording
from cdp_lib.report.cards import card_html

HEADLINE_MIME = "application/vnd.cdp.headline+json"
MONEY_FIRST = "Earned by last week's audiences over their holdouts"  # opens the week's overview
PLOTLY_MIME = "application/vnd.plotly.v1+json"
# The second line is what an experiment's read-out says (lift.verdict).
_VERDICT = re.compile(
    r"act|cannot tell|watch|good|refused|wait \d+ days?"
    r"|scale|stop|keep testing \d+ more days?|cannot tell \(.+\)|refused \(.+\)"
)


@dataclass(frozen=True)
class Headline:
    """One number that a stakeholder should know.

    - `name`: what the number is, unique in its notebook
    - `value`, `low`, `high`: the number and its 95 % interval, in `unit`; None when unknown
    - `unit`: share (0–1), points, money, count, hours, days or number
    - `n`: how many carts, people or rows stand behind it; below 10 the number is hidden
    - `verdict`: act, wait N days, cannot tell, watch, good or refused; of an experiment scale,
      stop, keep testing N more days, cannot tell (MDE …) or refused (why)
    - `sentence`: what the number says, computed from the result
    - `trend`: the number in earlier weeks, oldest first
    - `higher_is`: better, worse or neutral
    - `currency`: the currency of a money value, such as EUR
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int | None
    verdict: str
    sentence: str
    trend: tuple[float | None, ...] = ()
    higher_is: str = "neutral"
    currency: str = ""

    def __post_init__(self) -> None:
        one_of("unit", self.unit, wording.UNITS)
        one_of("higher_is", self.higher_is, ("better", "worse", "neutral"))
        if not _VERDICT.fullmatch(self.verdict):
            raise Refusal(
                "verdict",
                self.verdict,
                "not a known verdict",
                "choose act, wait N days, cannot tell, watch, good or refused",
            )
        for place in ("name", "sentence"):
            if not str(getattr(self, place)).strip():
                raise Refusal(place, getattr(self, place), "is empty", "say it in words")
        for place in ("value", "low", "high"):
            object.__setattr__(self, place, _finite(getattr(self, place)))
        if self.n is not None:
            object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "trend", tuple(_finite(value) for value in self.trend))
        ends = [end for end in (self.low, self.value, self.high) if end is not None]
        if ends != sorted(ends):
            raise Refusal(
                f"headline {self.name!r}",
                (self.low, self.value, self.high),
                "low, value and high are out of order",
                "give low <= value <= high, or None for an end that is unknown",
            )

    @property
    def hidden(self) -> bool:
        """Whether too few units stand behind the number to show it."""
        return self.n is not None and 0 < self.n < wording.SMALL_GROUP

    def as_text(self) -> str:
        """The value as people read it, such as "€12,340" or "40.2%"."""
        if self.hidden:
            return f"fewer than {wording.SMALL_GROUP}"
        return wording.as_text(self.value, self.unit, self.currency)

    def interval_as_text(self) -> str:
        """The interval as people read it, or "" when it is unknown or hidden."""
        if self.hidden:
            return ""
        return wording.interval_as_text(self.low, self.high, self.unit, self.currency)

    def to_json(self) -> dict:
        """The headline as plain values; a hidden one carries no number."""
        fields = asdict(self) | {"trend": list(self.trend)}
        if self.hidden:
            fields |= {
                "value": None,
                "low": None,
                "high": None,
                "n": None,
                "trend": [],
                "verdict": "cannot tell",
                "sentence": f"Fewer than {wording.SMALL_GROUP} units stand behind this number, "
                "so it is not shown.",
            }
        return fields

    @classmethod
    def from_json(cls, fields: Mapping) -> "Headline":
        """The headline that `to_json` wrote; further keys are ignored."""
        known = {key: fields[key] for key in cls.__dataclass_fields__ if key in fields}
        return cls(**known | {"trend": tuple(known.get("trend", ()))})

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        plain = f"{self.name}: {self.as_text()} ({self.verdict})"
        return {
            HEADLINE_MIME: self.to_json(),
            "text/html": card_html(self.to_json(), with_style=True),
            "text/plain": plain,
        }


def nothing(name: str, unit: str, sentence: str) -> Headline:
    """A headline that cannot be told, and why."""
    return Headline(name, None, None, None, unit, 0, "cannot tell", sentence)


def show(*things: object) -> None:
    """Display headlines, figures, tables and plain text in a notebook, in the given order.

    A pandas table is shown through `show_table` with its defaults.
    """
    import pandas as pd
    from IPython.display import display

    for thing in things:
        if isinstance(thing, pd.DataFrame):
            show_table(thing)
        elif isinstance(thing, str):
            note(thing)
        elif hasattr(thing, "to_plotly_json"):
            _show_figure(thing)
        else:
            display(thing)


def show_table(table, **options) -> None:
    """Display a small table; the options are those of `tables_html.table_html`."""
    from IPython.display import HTML, display

    from cdp_lib.report.tables_html import table_html

    display(HTML(table_html(table, with_style=True, **options)))


def note(text: str) -> None:
    """Display a computed sentence as plain text; nothing in it is read as markup."""
    from IPython.display import HTML, display

    display(HTML(f'<p class="note">{escape(text)}</p>'))


def _show_figure(figure) -> None:
    """Plotly's JSON alone: small notebooks, drawn by JupyterLab and by the report page."""
    import json

    from IPython.display import display

    meta = figure.layout.meta
    alt = meta.get("alt", "") if isinstance(meta, dict) else ""
    bundle = {PLOTLY_MIME: json.loads(figure.to_json()), "text/plain": alt or "chart"}
    display(bundle, raw=True)


def _finite(value: float | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
