"""An experiment as its read-out sees it: who was drawn, against whom, and what is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cdp_lib.checks import Refusal, above, at_least, one_of
from cdp_lib.lift.metrics import SHOP, Metric, parse

TABLES = ("units", "assignments", "summaries")
CONTROLS = ("holdout", "control", "none", "placebo", "global_holdout")
WINDOW_DAYS, BEFORE_DAYS, ATTRIBUTION_DAYS = 7.0, 28.0, 7.0
_TEXTS = ("table", "control", "audience", "assigned_at", "outcome_at")
_LISTS = ("arms", "covariates", "segments")
_NUMBERS = ("window_days", "contact_cost", "incentive", "claimed")
_KEYS = (*_TEXTS, *_LISTS, *_NUMBERS, "metrics", "shares")


@dataclass(frozen=True)
class Experiment:
    """One draw of units into arms.

    experiment_id: its name. control: the arm the others are read against; None: the one arm named
    like a control. arms: the treated arms; (): all others. metrics: the first leads. covariates:
    columns known before the draw. segments: columns of the unit table to look apart at. shares:
    the shares that were drawn, arm to share; None where nobody wrote them down, so that no
    mismatch can be told. window_days: the outcome window, from each unit's assignment on.
    table: where its units lie ("units", "assignments" or "summaries"). audience, wave: what it is
    a wave of. contact_cost: money for each unit reached; incentive: money given with each order of
    a treated unit, both None where unknown. assigned_at, outcome_at: columns of a unit table that
    say when. why_no_holdout: the reason given where nobody was held out. planned_days: of one that
    goes on and is looked at on its way, the days that its interval is made for. claimed: the
    revenue that a vendor says it, or its audience in all, has earned.
    """

    experiment_id: str
    control: str | None = None
    arms: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = SHOP
    covariates: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    shares: Mapping[str, float] | None = field(default=None, hash=False)
    window_days: float = WINDOW_DAYS
    table: str = "assignments"
    audience: str = ""
    wave: str = ""
    contact_cost: float | None = None
    incentive: float | None = None
    assigned_at: str | None = None
    outcome_at: str | None = None
    why_no_holdout: str = ""
    planned_days: float | None = None
    claimed: float | None = None

    def __post_init__(self) -> None:
        one_of(f"experiments.{self.experiment_id}.table", self.table, TABLES)
        above(f"experiments.{self.experiment_id}.window_days", self.window_days, 0)
        for name in ("contact_cost", "incentive"):
            if getattr(self, name) is not None:
                at_least(f"experiments.{self.experiment_id}.{name}", getattr(self, name), 0)
        if self.shares is not None:
            object.__setattr__(self, "shares", MappingProxyType(dict(self.shares)))

    def among(self, arms: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
        """The control and the treated arms, given the arms that have units.

        The control is None where none was named and not exactly one is called like one. An arm that
        was named and has no unit is there all the same, for a gate to tell.
        """
        seen = sorted(set(arms))
        control = self.control
        if control is None:
            alike = [arm for arm in seen if arm.lower().replace(" ", "_") in CONTROLS]
            control = alike[0] if len(alike) == 1 else None
        named = self.arms or tuple(sorted({*seen, *(self.shares or ())}))
        return control, tuple(arm for arm in named if arm != control)


def declared(given: Mapping[str, Mapping]) -> dict[str, Experiment]:
    """The experiments of shop.toml's `[experiments.<name>]`, by name. Raises Refusal.

    One that names a `table` is read from it: "units" (a row a unit), "assignments", or "summaries"
    (counts and means over time). One that does not adds what the shop's assignments cannot say:
    its control, the shares drawn, its costs.
    """
    return {name: _declared(name, spec) for name, spec in given.items()}


def _declared(name: str, spec: object) -> Experiment:
    place = f"experiments.{name}"
    if not isinstance(spec, Mapping):
        raise Refusal(place, spec, "not a section", f"write it as [experiments.{name!r}]")
    for key in spec:
        one_of(place, key, _KEYS)
    found: dict = {}
    for names, read in ((_TEXTS, _text), (_LISTS, _names), (_NUMBERS, _number)):
        found |= {key: read(f"{place}.{key}", spec[key]) for key in names if key in spec}
    if "metrics" in spec:
        found["metrics"] = parse(f"{place}.metrics", spec["metrics"])
    elif found.get("table") == "units":
        fix = 'write metrics = { visit = "conversion", spend = "revenue" }'
        raise Refusal(place, sorted(spec), "a unit table needs its metrics named", fix)
    if "shares" in spec:
        found["shares"] = _shares(f"{place}.shares", spec["shares"])
    one = Experiment(name, **found)
    if one.control is not None and one.control in one.arms:
        raise Refusal(f"{place}.arms", one.control, "is the control", "take it out of the arms")
    return one


def _text(place: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Refusal(place, value, "not a text", "put it in quotes")
    return value


def _names(place: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Refusal(place, value, "not a list of names", 'write ["a", "b"]')
    names = tuple(_text(place, one) for one in value)
    if len(set(names)) < len(names):
        raise Refusal(place, value, "names one twice", "name each once")
    return names


def _number(place: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(place, value, "not a number", "write a plain number")
    return float(value)


def _shares(place: str, value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or len(value) < 2:
        fix = "write shares = { holdout = 0.1, treated = 0.9 }"
        raise Refusal(place, value, "not a table of two arms or more", fix)
    shares = {arm: _number(f"{place}.{arm}", share) for arm, share in value.items()}
    for arm, share in shares.items():
        above(f"{place}.{arm}", share, 0)
    # Weights such as 1 and 2 are shares too.
    whole = sum(shares.values())
    return {arm: share / whole for arm, share in shares.items()}


def with_shares(one: Experiment, arms: Iterable[str]) -> Experiment:
    """The experiment with equal shares of these arms, where none were written down."""
    arms = sorted(set(arms))
    return (
        one if one.shares or not arms else replace(one, shares=dict.fromkeys(arms, 1 / len(arms)))
    )
