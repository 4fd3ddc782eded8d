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
from datetime import date, datetime

import ibis.expr.types as ir
import pandas as pd

from cdp_lib.behaviour import standing
from cdp_lib.behaviour.funnel_plan import COLUMNS, Step, make_plan
from cdp_lib.behaviour.leaks import leaks
from cdp_lib.behaviour.pace import clicks_to_convert, time_to_convert
from cdp_lib.tables.micros import moment

__all__ = [
    "Step",
    "clicks_to_convert",
    "furthest_table",
    "leaks",
    "step_table",
    "time_to_convert",
    "weekly_trend",
]


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
    counted = standing.depth_counts(plan, partitions)
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
    table = standing.furthest(plan)
    columns = {plan.unit: table["unit"]}
    if plan.hold and plan.attempts == "every":
        columns[plan.hold] = table["held"]
    columns |= {
        "depth": table.depth,
        "start": moment(table.start),
        "reached_at": moment(table.reached_at),
        "open": table.open,
    }
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
    counted = standing.depth_counts(plan, partitions)
    labels = [step.label for step in plan.steps]
    columns = ["week", "week_start", *COLUMNS, "complete"]
    if counted.empty:
        return pd.DataFrame(columns=columns)
    counted["value"] = pd.to_datetime(counted["value"], unit="us")
    tables = []
    for monday in pd.date_range(counted["value"].min(), counted["value"].max(), freq="7D"):
        year, week, _ = monday.isocalendar()
        ends = monday + pd.Timedelta(days=7, microseconds=plan.window)
        table = _rates(counted[counted["value"] == monday], labels).assign(
            week=f"{year}-W{week:02d}", week_start=monday, complete=ends <= plan.as_of
        )
        tables.append(table[columns])
    return pd.concat(tables, ignore_index=True)


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
