"""Pace: how long, and how many clicks, from a funnel's first step to each later one."""

from collections.abc import Sequence
from datetime import date, datetime

import ibis
import ibis.expr.types as ir
import pandas as pd

from cdp_lib.behaviour import chains
from cdp_lib.behaviour.funnel_plan import Plan, Step, make_plan
from cdp_lib.checks import one_of
from cdp_lib.tables.micros import micros

HOUR = 3_600 * 10**6
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def time_to_convert(
    events: ir.Table | pd.DataFrame,
    steps: Sequence[str | Step],
    conversion_window_hours: float = 24,
    unit: str = "visitor",
    attempts: str = "any",
    exclude: Sequence[str | Step] = (),
    hold: str | None = None,
    as_of: str | date | datetime | None = None,
    since: str = "start",
) -> pd.DataFrame:
    """Quantiles of the hours to each later step, over the units that reached it.

    A unit's time is that of its first arrival at the step, counted from the latest start that
    leads there (`since="start"`), or from the step before (`since="previous"`); with
    attempts="first" it runs from the unit's first start. Options as in
    `step_table`. A row per step from the second on: `step`, `n` (units, or attempts), and
    `p10_hours`, `p25_hours`, `p50_hours`, `p75_hours`, `p90_hours`, NaN where nobody arrived.
    Late starters whose window is still open are missing from the long times. Raises Refusal.
    """
    one_of("since", since, ("start", "previous"))
    plan = make_plan(
        events,
        steps,
        conversion_window_hours,
        unit,
        attempts=attempts,
        exclude=exclude,
        hold=hold,
        as_of=as_of,
    )
    arrived = _first_arrivals(plan)
    since_column = arrived.start if since == "start" else arrived.prev
    timed = arrived.select("k", amount=(arrived.t - since_column) / HOUR)
    return _quantile_table(plan, timed, "hours")


def clicks_to_convert(
    events: ir.Table | pd.DataFrame,
    steps: Sequence[str | Step],
    conversion_window_hours: float = 24,
    unit: str = "visitor",
    attempts: str = "any",
    exclude: Sequence[str | Step] = (),
    hold: str | None = None,
    as_of: str | date | datetime | None = None,
) -> pd.DataFrame:
    """Quantiles of the number of actions to each later step, over the units that reached it.

    Counted are all the unit's rows, whatever their event, after its start and up to its first
    arrival at the step: rows in (start, arrival]. So one more click straight to the step is 1,
    and steps that share the start's instant are 0. Columns as in `time_to_convert`, with
    `p10_clicks` … `p90_clicks`. Raises Refusal.
    """
    plan = make_plan(
        events,
        steps,
        conversion_window_hours,
        unit,
        attempts=attempts,
        exclude=exclude,
        hold=hold,
        as_of=as_of,
    )
    arrived = _first_arrivals(plan)
    log = plan.events.select(own=plan.events[plan.unit], at=micros(plan.events.occurred_at))
    # The start's own row is among the pairs, so an arrival always keeps at least one.
    pairs = arrived.join(log, arrived["unit"] == log.own)
    pairs = pairs.filter(pairs.at >= pairs.start, pairs.at <= pairs.t)
    counted = pairs.group_by([*_attempt(plan), "k"]).agg(amount=(pairs.at > pairs.start).sum())
    return _quantile_table(plan, counted, "clicks")


def _attempt(plan: Plan) -> list[str]:
    return [*plan.keys, "start"] if plan.attempts == "every" else plan.units


def _first_arrivals(plan: Plan) -> ir.Table:
    """A row per unit (or attempt) and step it reached: `k`, `start`, `t`, `prev`, the unit."""
    attempt = _attempt(plan)
    reached = chains.chains(plan, chains.has_crowd(plan), previous=True)
    parts = []
    for k, table in enumerate(reached[1:], 1):
        first = table.mutate(earliest=table.t.min().over(ibis.window(group_by=attempt)))
        first = first.filter(first.t == first.earliest)
        start = {} if "start" in attempt else {"start": first.start.max()}
        first = first.group_by(attempt).agg(t=first.t.min(), prev=first.prev.max(), **start)
        parts.append(first.select(*attempt, *start, "t", "prev", k=ibis.literal(k, "int64")))
    return ibis.union(*parts) if parts[1:] else parts[0]


def _quantile_table(plan: Plan, amounts: ir.Table, what: str) -> pd.DataFrame:
    columns = [f"p{round(100 * q)}_{what}" for q in QUANTILES]
    found = amounts.group_by("k").agg(
        n=amounts.count(),
        **{
            name: amounts.amount.cast("float64").quantile(q)
            for name, q in zip(columns, QUANTILES, strict=True)
        },
    )
    table = found.to_pandas().set_index("k").reindex(range(1, len(plan.steps)))
    table.insert(0, "step", [step.label for step in plan.steps[1:]])
    table["n"] = table["n"].fillna(0).astype(int)
    return table.astype(dict.fromkeys(columns, float)).reset_index(drop=True)
