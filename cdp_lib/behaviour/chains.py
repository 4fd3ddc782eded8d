"""Ordered chains of steps on the engine: who got how far, and from which start.

A chain is one row per step, at times t1 ≤ t2 ≤ … . Two facts make it cheap and exact.

The latest start dominates: of all starts that reach a given row of step k, the latest leaves
every later step the most time, and no rule looks at the others. So a row of step k keeps one
start.

The latest chain row dominates: within a unit, the later a row of step k, the later its start.
(Two chains that cross may swap their tails.) So the latest row of step k before a row of step
k + 1 has the latest start, the shortest way and the fewest exclusions on it.

The first fact makes a step an equi-join with a maximum, on the unit and on the span of time:
time is cut into spans of the window's length, and a row meets the chains that began in its own
span or in the one before. That is the fastest form while a unit has few
rows. For a unit with very many (a robot, an id that everybody shares) the pairs would grow as
their square; there the second fact makes the step a running maximum, which stays linear.
"""

import ibis
import ibis.expr.types as ir
import pandas as pd

from cdp_lib.behaviour.funnel_plan import Plan

# A unit with more rows than this in the later steps goes by the running maximum.
BUSY = 2_000


def chains(plan: Plan, busy: bool, previous: bool = False) -> list[ir.Table]:
    """One table per step: a row per chain end, with the keys, `start` and `t`.

    With attempts "any" and "first" a row is an instant of the step and `start` its latest
    start; with "every" it is a start and `t` an instant at which that start reaches the step,
    the first one alone where the order is the only rule. `busy` says that some unit has very
    many rows; `previous` asks for `prev` too, the instant of the step before.
    """
    first = plan.rows(plan.steps[0], starts=True)
    if plan.attempts == "first":
        # A start must be its unit's first, whatever week or held value is asked for.
        earliest = first.group_by("unit").agg(t=first.t.min())
        first = first.semi_join(earliest, ["unit", "t"])
    if plan.attempts == "every":
        first = first.select(*plan.keys, "t").distinct()
    reached = [_begun(plan, first)]
    if previous:
        reached[0] = reached[0].mutate(prev=reached[0].t)
    breaks = _breaks(plan)
    crowd = _crowd(plan) if busy else None
    for k in range(1, len(plan.steps)):
        rows = plan.rows_of(k)
        if breaks is not None:
            rows = _carry(breaks, rows, plan.keys, strict=True)
        if crowd is None:
            met = _by_join(plan, k, reached[-1], rows)
        else:
            calm = _by_join(plan, k, reached[-1], rows.anti_join(crowd, "unit"))
            kept = reached[-1].semi_join(crowd, "unit")
            busy_met = _by_sweep(plan, k, kept, rows.semi_join(crowd, "unit"))
            both = (*plan.keys, "start", "t", "at")
            met = calm.select(both).union(busy_met.select(both))
        reached.append(_best(plan, met, previous))
    return reached


def starts(plan: Plan) -> ir.Table:
    """The chains of one step: every row of the first step begins one."""
    return _begun(plan, plan.rows(plan.steps[0], starts=True))


def _begun(plan: Plan, first: ir.Table) -> ir.Table:
    return first.select(*plan.keys, start=first.t, t=first.t)


def has_crowd(plan: Plan) -> bool:
    """Whether a unit has so many rows that pairs of them must not be formed."""
    most = most_rows(plan)
    return most is not None and is_busy(most.execute())


def is_busy(n_rows: float | None) -> bool:
    """Whether a unit with so many rows goes by the running maximum; no rows may be null or NaN."""
    return not pd.isna(n_rows) and n_rows > BUSY


def most_rows(plan: Plan) -> ir.IntegerScalar | None:
    """How many rows the busiest unit has; None where all pairs are wanted in any case."""
    # With "every" each pair of a start and a row counts.
    if plan.attempts == "every" or not plan.ordered:
        return None
    return _rows_of_units(plan).n_rows.max()


def last_break(plan: Plan) -> ir.Table | None:
    """Per key the instant `broken` of its last excluded event, or None without exclusions."""
    breaks = _breaks(plan)
    return None if breaks is None else breaks.group_by(plan.keys).agg(broken=breaks.broken.max())


def _crowd(plan: Plan) -> ir.Table:
    counted = _rows_of_units(plan)
    return counted.filter(counted.n_rows > BUSY).select("unit")


def _rows_of_units(plan: Plan) -> ir.Table:
    # Rows that no step will take in the end may count too: that costs time, never exactness.
    rows = plan.any_rows(plan.steps[1:]) if plan.later is None else plan.later
    return rows.group_by("unit").agg(n_rows=rows.count())


def _breaks(plan: Plan) -> ir.Table | None:
    if not plan.exclude:
        return None
    rows = plan.any_rows(plan.exclude)
    return rows.select(*plan.keys, "t", broken=rows.t)


def _by_join(plan: Plan, k: int, reached: ir.Table, rows: ir.Table) -> ir.Table:
    """Every pair of a chain and a row of step k that may follow it."""
    # The rows come narrower than the starts and nothing is worked out on them before the join:
    # of two sides it takes for equally long, DuckDB then hashes the rows, which are few.
    # A remainder is whole numbers throughout; a quotient would go by way of floats.
    span = rows.t - rows.t % plan.window
    rows = rows.mutate(span=ibis.array([span, span - plan.window]).unnest())
    begun_in = reached.start - reached.start % plan.window
    begun = reached.select(*plan.keys, "start", at=reached.t, span=begun_in)
    return _allowed(plan, k, rows.join(begun, [*plan.keys, "span"]))


def _by_sweep(plan: Plan, k: int, reached: ir.Table, rows: ir.Table) -> ir.Table:
    """Every row of step k with the latest chain before it, if it may follow that one."""
    marks = reached.select(*plan.keys, "t", "start", at=reached.t)
    met = _carry(marks, rows, plan.keys, strict=plan.strict(k))
    return _allowed(plan, k, met)


def _allowed(plan: Plan, k: int, met: ir.Table) -> ir.Table:
    """The meetings that keep the rules of step k: the keys, `start`, `t`, `at` and more."""
    rules = [met.at < met.t if plan.strict(k) else met.at <= met.t, met.start > met.t - plan.window]
    within = plan.within(k)
    if within is not None:
        rules.append(met.at > met.t - within)
    if plan.exclude:
        rules.append(met.broken.isnull() | (met.broken <= met.at))
    return met.filter(*rules)


def _best(plan: Plan, met: ir.Table, previous: bool) -> ir.Table:
    prev = {"prev": met.at.max()} if previous else {}
    if plan.attempts != "every":
        return met.group_by([*plan.keys, "t"]).agg(start=met.start.max(), **prev)
    if plan.bounded:
        by_end = [*plan.keys, "start", "t"]
        return met.group_by(by_end).agg(**prev) if prev else met.select(by_end).distinct()
    return met.group_by([*plan.keys, "start"]).agg(t=met.t.min(), **prev)


def _carry(marks: ir.Table, rows: ir.Table, keys: list[str], strict: bool) -> ir.Table:
    """Each row with the marks' values as they last stood at (strict: before) its instant.

    The values must never fall over a key's time: each is a running maximum.
    """
    values = [name for name in marks.columns if name not in (*keys, "t")]
    rank = 1 if strict else -1
    blank = {name: ibis.null(marks[name].type()) for name in values if name not in rows.columns}
    extra = [name for name in rows.columns if name not in (*keys, "t")]
    empty = {name: ibis.null(rows[name].type()) for name in extra}
    order = [*keys, "t", "rank", *values, *extra]
    both = (
        rows.mutate(rank=ibis.literal(0, "int8"), **blank)
        .select(*order)
        .union(marks.mutate(rank=ibis.literal(rank, "int8"), **empty).select(*order))
    )
    sofar = ibis.cumulative_window(group_by=keys, order_by=["t", "rank"])
    swept = both.mutate(**{name: both[name].max().over(sofar) for name in values})
    return swept.filter(swept["rank"] == 0).drop("rank")
