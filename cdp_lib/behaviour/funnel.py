"""Funnels: how many units get from step to step, where they stop, and who still may go on.

What a funnel means here:

Rows. A row without a unit, an instant, or (if held) a value of the held column, or at or after
`as_of`, is not read. A row serves one step at most.

Order. A chain is one row per step, at times t1 ≤ t2 ≤ … . Steps may share an instant, since
logs are coarse; only a step whose event already stands at an earlier step must come strictly
later. Other events may lie between. Later steps without a first step before them count nothing.

Window. Every row of a chain lies in [t1, t1 + conversion window), half-open; a step with
`within_hours` lies in [t, t + within) of the step before it. A chain never leaves its unit, nor
the one value of the `hold` column.

Attempts. "any": a unit's depth is its longest chain from any start, so a fresh start is a fresh
chance (ClickHouse's windowFunnel). "first": its first first-step instant alone may start.
"every": each instant of the first step is an attempt, and attempts are counted, not units.

Exclusion. An excluded event strictly between two consecutive steps breaks the chain.

Unordered. Depth k: some window [t, t + conversion window) holds a row of each of the first k
steps, in any order.

Open. A unit that stopped before step k is open there, not lost, while one of its deepest
attempts could still reach step k at `as_of`: its windows run, and no exclusion has broken it.

Breakdown. A unit counts once, under the value that the row starting its best attempt carries
(the deepest; of those the latest; of those the smallest value, null only when there is no
other). Null is a row of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

import ibis
import ibis.expr.types as ir
import pandas as pd

from cdp_lib.behaviour import anyorder, chains
from cdp_lib.behaviour.funnel_plan import COLUMNS, Plan, Step, interval, make_plan
from cdp_lib.behaviour.pace import clicks_to_convert, time_to_convert
from cdp_lib.checks import Refusal

__all__ = [
    "Step",
    "clicks_to_convert",
    "furthest_table",
    "step_table",
    "time_to_convert",
    "weekly_trend",
]

# Rows that one pass may hold on DuckDB: a few GiB at most.
ROWS_PER_PASS = 30_000_000


def step_table(
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
    partitions: int | str = "auto",
) -> pd.DataFrame:
    """Count the units that enter each step; the module says what every option means.

    `events`: a row per action, with `event`, `occurred_at`, the unit's column, and those of
    `hold` and `by`. `unit`: "visitor", "session", "cart", "person", or any column. `as_of`: the
    exclusive end of the data, by default just after its newest row. `partitions`: hash parts of
    the units worked through one after the other on DuckDB; "auto" goes by the number of rows.

    A row per step, and per value of `by`, which is then the first column: `step`; `entered`;
    `step_rate` over the step before, `overall_rate` over the first, `abandonment_rate` = lost
    over the step before, where lost = stopped there and not `open` (a count). In a row step_rate,
    abandonment_rate and open over the step before sum to 1. Rates over nobody are NaN, as are
    the first step's. Raises Refusal.
    """
    plan = make_plan(
        events, steps, conversion_window_hours, unit, by, ordered, attempts, exclude, hold, as_of
    )
    counted = _depth_counts(plan, partitions)
    labels = [step.label for step in plan.steps]
    if by is None:
        return _rates(counted, labels)
    tables = []
    for value in _in_order(counted["value"]):
        rows = counted["value"].isna() if value is None else counted["value"] == value
        table = _rates(counted[rows], labels)
        table.insert(0, by, pd.Series([value] * len(table), dtype=object))
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[by, *COLUMNS])


def furthest_table(
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
) -> ir.Table:
    """How far each unit got, as an expression on the engine; options as in `step_table`.

    A row per unit that entered the first step (attempts "every": per unit, held value and
    start): the unit's column; `depth`, the number of steps reached, from 1; `start`, when its
    best attempt began; `reached_at`, when it last stood at its deepest step; `open`, whether it
    may still go on at `as_of`; and the `by` column, if asked for. Raises Refusal.
    """
    plan = make_plan(
        events, steps, conversion_window_hours, unit, by, ordered, attempts, exclude, hold, as_of
    )
    table = _furthest(plan, busy=ordered and chains.has_crowd(plan))
    columns = {plan.unit: table["unit"]}
    if plan.hold and plan.attempts == "every":
        columns[plan.hold] = table["held"]
    columns |= {name: table[name] for name in ("depth", "start", "reached_at", "open")}
    return table.select(**columns, **({by: table["value"]} if by else {}))


def weekly_trend(
    events: ir.Table | pd.DataFrame,
    steps: Sequence[str | Step],
    conversion_window_hours: float = 24,
    unit: str = "visitor",
    attempts: str = "any",
    exclude: Sequence[str | Step] = (),
    hold: str | None = None,
    as_of: str | date | datetime | None = None,
    partitions: int | str = "auto",
) -> pd.DataFrame:
    """Count the funnel by the ISO week of the start; options as in `step_table`.

    A unit counts once in each week in which it starts, by the longest chain from a start in
    that week; what it reaches may lie in the next week. A row per week and step, weeks without
    a start included: `week` ("2026-W47"), `week_start` (its Monday), the columns of
    `step_table`, and `complete`: every window that began in the week has ended by `as_of`.
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
        weekly=True,
    )
    counted = _depth_counts(plan, partitions)
    labels = [step.label for step in plan.steps]
    columns = ["week", "week_start", *COLUMNS, "complete"]
    if counted.empty:
        return pd.DataFrame(columns=columns)
    counted["value"] = pd.to_datetime(counted["value"])
    tables = []
    for monday in pd.date_range(counted["value"].min(), counted["value"].max(), freq="7D"):
        year, week, _ = monday.isocalendar()
        ends = monday + pd.Timedelta(days=7) + plan.window
        table = _rates(counted[counted["value"] == monday], labels).assign(
            week=f"{year}-W{week:02d}", week_start=monday, complete=ends <= plan.as_of
        )
        tables.append(table[columns])
    return pd.concat(tables, ignore_index=True)


def _furthest(plan: Plan, busy: bool) -> ir.Table:
    """A row per unit (or attempt): the unit, `depth`, `start`, `reached_at`, `open`, `value`."""
    each = plan.attempts == "every"
    attempt = [*plan.keys, "start"] if each else plan.keys
    reached = chains.chains(plan, busy) if plan.ordered else anyorder.reached(plan)
    ends = [
        table.group_by(attempt)
        .agg(t=table.t.max(), **({} if each else {"start": table.start.max()}))
        .select(*plan.keys, "start", "t", depth=ibis.literal(k, "int64"))
        for k, table in enumerate(reached, 1)
    ]
    ends = ibis.union(*ends)
    best = ends.group_by(attempt).agg(
        depth=ends.depth.max(),
        **({} if each else {"start": ends.start.argmax(ends.depth)}),
        reached_at=ends.t.argmax(ends.depth),
    )
    best = best.mutate(open=_still_open(plan, best))
    if plan.exclude:
        broken = chains.last_break(plan).rename(**{f"{key}_": key for key in plan.keys})
        best = best.left_join(broken, [(key, f"{key}_") for key in plan.keys])
        best = best.mutate(open=best.open & ~(best.broken > best.reached_at).fill_null(False))
    best = best.mutate(value=best["week"]) if plan.weekly else _valued(plan, best)
    return best if each or not plan.hold else _over_held(plan, best)


def _still_open(plan: Plan, best: ir.Table) -> ir.BooleanValue:
    as_of = ibis.literal(plan.as_of).cast("timestamp(6)")
    going = (best.depth < len(plan.steps)) & (best.start + interval(plan.window) > as_of)
    for k in range(1, len(plan.steps)):
        within = plan.within(k)
        if within is not None:
            going &= (best.depth != k) | (best.reached_at + interval(within) > as_of)
    return going


def _valued(plan: Plan, best: ir.Table) -> ir.Table:
    """The attempts with the `by` value that their starting row carries."""
    if not plan.by:
        return best
    starts = plan.rows(plan.steps[0], starts=True) if plan.ordered else anyorder.starts(plan)
    starts = starts.group_by([*plan.keys, "t"]).agg(value=starts.value.min())
    starts = starts.rename(**{f"{key}_": key for key in plan.keys}, start_="t")
    pairs = [(key, f"{key}_") for key in [*plan.keys, "start"]]
    return best.left_join(starts, pairs).drop(*(right for _, right in pairs))


def _over_held(plan: Plan, best: ir.Table) -> ir.Table:
    """From a row per unit and held value to a row per unit."""
    of_unit = ibis.window(group_by=plan.units)
    best = best.mutate(deepest=best.depth.max().over(of_unit))
    best = best.filter(best.depth == best.deepest)
    best = best.mutate(latest=best.start.max().over(of_unit))
    latest = best.start == best.latest
    value = {"value": best.value.min(where=latest)} if plan.by else {}
    table = best.group_by(plan.units).agg(
        depth=best.depth.max(),
        start=best.start.max(),
        reached_at=best.reached_at.max(where=latest),
        open=best.open.cast("int8").max() == 1,
        **value,
    )
    return table.mutate(value=table["week"]) if plan.weekly else table


def _depth_counts(plan: Plan, partitions: int | str) -> pd.DataFrame:
    """Units (or attempts) by depth, and `value` if asked for: `depth`, `n`, `open`."""
    engine = ibis.get_backend(plan.events).name
    parts = _n_partitions(plan, partitions) if engine == "duckdb" else 1
    busy = plan.ordered and chains.has_crowd(plan)
    key = ["value", "depth"] if plan.by or plan.weekly else ["depth"]
    frames = []
    for part in range(parts):
        mine = plan.events
        if parts > 1:
            # The engine's hash is signed, and so is its remainder.
            mine = mine.filter((mine[plan.unit].hash() % parts).abs() == part)
        ends = _furthest(replace(plan, events=mine), busy)
        counted = ends.group_by(key).agg(n=ends.count(), open=ends.open.cast("int64").sum())
        frames.append(counted.to_pandas())
    return pd.concat(frames, ignore_index=True)


def _n_partitions(plan: Plan, partitions: int | str) -> int:
    if partitions == "auto":
        return 1 + int(plan.events.count().execute()) // ROWS_PER_PASS
    if not isinstance(partitions, int) or partitions < 1:
        raise Refusal("partitions", partitions, "not a number of parts", 'pass 1, 8, or "auto"')
    return partitions


def _in_order(values: pd.Series) -> list:
    known = sorted(values.dropna().unique().tolist())
    return known + [None] * bool(values.isna().any())


def _rates(counted: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    depth = counted["depth"]
    n_steps = range(1, len(labels) + 1)
    entered = pd.Series([int(counted["n"][depth >= k].sum()) for k in n_steps])
    still = pd.Series([int(counted["open"][depth == k - 1].sum()) for k in n_steps])
    before = entered.shift().where(lambda n: n > 0)
    return pd.DataFrame(
        {
            "step": labels,
            "entered": entered,
            "step_rate": entered / before,
            "overall_rate": entered / entered.where(entered > 0).iloc[0],
            "abandonment_rate": (before - entered - still) / before,
            "open": still,
        }
    )
