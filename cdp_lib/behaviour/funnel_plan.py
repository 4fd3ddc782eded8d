"""What a funnel asks for: its steps and rules, checked once, and the rows they read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from cdp_lib.checks import Refusal, above, one_of
from cdp_lib.tables.micros import MONDAY, WEEK, in_micros, micros
from cdp_lib.windows import instant

UNITS = {
    "visitor": "visitor_id",
    "session": "session_id",
    "cart": "cart_id",
    "person": "person_id",
}
ATTEMPTS = ("any", "first", "every")
COLUMNS = ("step", "entered", "step_rate", "overall_rate", "abandonment_rate", "open")

Condition = Callable[[ir.Table], ir.BooleanValue] | Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """A step of a funnel: an event, perhaps with a condition, a name and a window of its own.

    `where` is a function from the events to a boolean expression, or a mapping from a column
    to the value it must have (a list: one of them; None: null). `within_hours` bounds the time
    since the step before it.
    """

    event: str
    name: str | None = None
    where: Condition | None = None
    within_hours: float | None = None

    @property
    def label(self) -> str:
        """The step's name, or else its event's."""
        return self.name or self.event


@dataclass(frozen=True)
class Plan:
    """A funnel whose every part has been checked against the events it reads.

    `unit`, `hold` and `by` are columns of `events`, `window` and `within` are microseconds,
    `strict(k)` says that step k must come later than step k - 1 and not at the same instant,
    `weekly` that each unit is counted once in every ISO week in which it starts, `cut` that there
    may be rows at or after `as_of`. `later`: `later_rows`, where the engine keeps them.
    """

    events: ir.Table
    steps: tuple[Step, ...]
    window: int
    unit: str
    hold: str | None
    by: str | None
    ordered: bool
    attempts: str
    exclude: tuple[Step, ...]
    as_of: datetime
    weekly: bool = False
    cut: bool = True
    later: ir.Table | None = None
    n_rows: int | None = None

    @property
    def units(self) -> list[str]:
        """The columns that name what is counted."""
        return ["unit", "week"] if self.weekly else ["unit"]

    @property
    def keys(self) -> list[str]:
        """The columns that every row of one attempt shares."""
        return [*self.units, "held"] if self.hold else self.units

    @property
    def bounded(self) -> bool:
        """Whether the way from one step to the next has a rule beyond its order."""
        return bool(self.exclude) or any(step.within_hours for step in self.steps[1:])

    def strict(self, k: int) -> bool:
        """Whether the event of step k (from 0) already stands at an earlier step."""
        return self.steps[k].event in {step.event for step in self.steps[:k]}

    def within(self, k: int) -> int | None:
        """The longest time from step k - 1 to step k in microseconds, if it has one."""
        hours = self.steps[k].within_hours
        return None if hours is None else in_micros(timedelta(hours=hours))

    @property
    def end(self) -> int:
        """`as_of` in microseconds since 1970."""
        return in_micros(self.as_of - datetime(1970, 1, 1))

    def rows(self, step: Step, starts: bool = False) -> ir.Table:
        """The rows of a step: the key columns, `t`, and for a starting step `value` if `by`."""
        return self.any_rows([step], starts)

    def rows_of(self, k: int) -> ir.Table:
        """The rows of a step after the first: the key columns and `t`."""
        if self.later is None:
            return self.rows(self.steps[k])
        return self.later.filter(self.later[f"serves_{k}"]).select(*self.keys, "t")

    def later_rows(self) -> ir.Table:
        """The rows of all steps but the first, in one scan: columns as in `rows_of`, and for each
        step `serves_1` … whether the row is one of its own.
        """
        steps = self.steps[1:]
        chosen = self.chosen(steps)
        serves = {f"serves_{k}": _serves(chosen, step) for k, step in enumerate(steps, 1)}
        return self._narrow(chosen, serves)

    def any_rows(self, steps: Sequence[Step], starts: bool = False) -> ir.Table:
        """The rows that serve any of these steps, in one scan; columns as in `rows`."""
        chosen = self.chosen(steps)
        value = {"value": chosen[self.by]} if starts and self.by else {}
        return self._narrow(chosen, value, starts)

    def _narrow(self, chosen: ir.Table, further: dict, starts: bool = False) -> ir.Table:
        held = {"held": chosen[self.hold]} if self.hold else {}
        unit, t = chosen[self.unit], micros(chosen.occurred_at)
        table = chosen.select(unit=unit, **held, t=t, **further)
        return self._in_weeks(table, starts) if self.weekly else table

    def chosen(self, steps: Sequence[Step]) -> ir.Table:
        """The events that serve any of these steps, whole: with a unit, an instant before `as_of`
        and a held value.
        """
        events = self.events
        known = [events[self.unit].notnull(), events.occurred_at.notnull()]
        if self.cut:
            known[1] = events.occurred_at < ibis.literal(self.as_of).cast("timestamp(6)")
        if self.hold:
            known.append(events[self.hold].notnull())
        return events.filter(reduce(or_, [_serves(events, step) for step in steps]), *known)

    def _in_weeks(self, table: ir.Table, starts: bool) -> ir.Table:
        """Each row once for every ISO week whose starts it may still follow."""
        own = (table.t - MONDAY) // WEEK * WEEK + MONDAY
        if starts:
            return table.mutate(week=own)
        parts = []
        for back in range(-(-self.window // WEEK) + 1):
            part = table.mutate(week=own - back * WEEK)
            # The last start of that week lies before its end, so its window ends before this.
            parts.append(part.filter(part.t < part.week + WEEK + self.window))
        return ibis.union(*parts)


def make_plan(
    events: ir.Table | pd.DataFrame,
    steps: Sequence[str | Step],
    conversion_window_hours: float = 24,
    unit: str = "visitor",
    by: str | None = None,
    ordered: bool = True,
    attempts: str = "any",
    exclude: Sequence[str | Step] = (),
    hold: str | None = None,
    as_of: str | date | datetime | None = None,
    weekly: bool = False,
) -> Plan:
    """Check a funnel against its events; raises Refusal for the first part that cannot stand."""
    if isinstance(events, pd.DataFrame):
        events = ibis.memtable(events)
    if not isinstance(events, ir.Table):
        raise Refusal("events", type(events).__name__, "not a table", "pass shop.events")
    for column in ("event", "occurred_at"):
        one_of("events", column, events.columns)
    above("conversion_window_hours", conversion_window_hours, 0)
    window = in_micros(_length("conversion_window_hours", conversion_window_hours))
    one_of("attempts", attempts, ATTEMPTS)
    checked = _steps("steps", steps, events)
    if len(checked) < 2:
        raise Refusal("steps", [s.label for s in checked], "a funnel has two steps", "name more")
    labels = [step.label for step in checked]
    for label in labels:
        if labels.count(label) > 1:
            raise Refusal("steps", label, "two steps have this name", "give Step(…, name=…) to one")
    excluded = _steps("exclude", exclude, events)
    if not ordered:
        _check_unordered(checked, attempts, excluded)
    unit_column = UNITS.get(unit, unit)
    for place, column in (("unit", unit_column), ("hold", hold), ("by", by)):
        if column is not None:
            _check_column(place, column, events)
    if by in (*COLUMNS, "week", "week_start", "complete"):
        raise Refusal("by", by, "is a column of the result", "rename it in the events")
    n_rows, end = (None, instant(as_of)) if as_of is not None else _extent(events)
    return Plan(
        events=events,
        steps=checked,
        window=window,
        unit=unit_column,
        hold=hold,
        by=by,
        ordered=ordered,
        attempts=attempts,
        exclude=excluded,
        as_of=end,
        weekly=weekly,
        cut=as_of is not None,
        n_rows=n_rows,
    )


def _extent(events: ir.Table) -> tuple[int, datetime]:
    """How many rows there are, and the instant just after the newest (any, if there is none)."""
    newest = events.occurred_at.max().cast("timestamp(6)")
    found = events.agg(n=events.count(), newest=newest).to_pyarrow().to_pylist()[0]
    return found["n"], (found["newest"] or datetime(1970, 1, 1)) + timedelta(microseconds=1)


def _steps(place: str, steps: Sequence[str | Step], events: ir.Table) -> tuple[Step, ...]:
    if isinstance(steps, str | Step):
        raise Refusal(place, steps, "not a list", f"write [{steps!r}]")
    made = []
    for step in steps:
        if isinstance(step, str):
            step = Step(step)
        if not isinstance(step, Step) or not isinstance(step.event, str):
            raise Refusal(place, step, "neither an event nor a Step", 'write "view_item" or Step()')
        if step.within_hours is not None:
            above(f"{step.label}.within_hours", step.within_hours, 0)
            _length(f"{step.label}.within_hours", step.within_hours)
        _conditions(events, step)
        made.append(step)
    return tuple(made)


def _length(place: str, hours: float) -> timedelta:
    try:
        length = timedelta(hours=hours)
    except (OverflowError, TypeError, ValueError) as error:
        raise Refusal(place, hours, "not a length of time", "pass a number of hours") from error
    if not timedelta(microseconds=1) <= length <= timedelta(days=3660):
        raise Refusal(place, hours, "out of bounds", "pass hours up to ten years")
    return length


def _check_unordered(steps: tuple[Step, ...], attempts: str, exclude: tuple[Step, ...]) -> None:
    if attempts != "any":
        raise Refusal("attempts", attempts, "needs an order", 'pass attempts="any"')
    if exclude:
        names = [step.event for step in exclude]
        raise Refusal("exclude", names, "needs an order", "pass ordered=True or exclude=()")
    for k, step in enumerate(steps):
        place = f"{step.label}.within_hours"
        if step.within_hours is not None:
            raise Refusal(place, step.within_hours, "needs an order", "leave it out")
        if step.event in {other.event for other in steps[:k]}:
            raise Refusal(
                "steps",
                step.event,
                "one row could serve two steps that have no order",
                "use an event once, or pass ordered=True",
            )


def _check_column(place: str, column: str, events: ir.Table) -> None:
    if place == "unit" and column == "person_id" and column not in events.columns:
        raise Refusal("unit", "person", "events carry no person_id", "pass shop.journeys")
    one_of(place, column, events.columns)


def _serves(events: ir.Table, step: Step) -> ir.BooleanValue:
    return reduce(and_, _conditions(events, step), events.event == step.event)


def _conditions(events: ir.Table, step: Step) -> list[ir.BooleanValue]:
    where, place = step.where, f"{step.label}.where"
    if where is None:
        return []
    if isinstance(where, Mapping):
        made = []
        for column, wanted in where.items():
            one_of(place, column, events.columns)
            if wanted is None:
                made.append(events[column].isnull())
            elif isinstance(wanted, list | tuple | set | frozenset):
                made.append(events[column].isin(list(wanted)))
            else:
                made.append(events[column] == wanted)
        return made
    if not callable(where):
        raise Refusal(place, where, "not a condition", 'write {"device_type": "mobile"}')
    made = where(events)
    if not isinstance(made, ir.BooleanValue):
        raise Refusal(place, type(made).__name__, "not a boolean expression", "return t.price > 50")
    return [made]
