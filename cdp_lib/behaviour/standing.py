"""Where each unit of a funnel stands: its depth, its best attempt, and whether it may go on."""

from dataclasses import replace
from datetime import timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

from cdp_lib.behaviour import anyorder, chains
from cdp_lib.behaviour.funnel_plan import Plan
from cdp_lib.checks import Refusal
from cdp_lib.tables.ahead import filling

# Rows of the log that one pass on DuckDB takes: a few GiB at most. Plain counting streams the
# starts by; a breakdown, a trend or "every" keeps a row for each unit or start.
ROWS_PER_PASS = {"streamed": 150_000_000, "kept": 30_000_000}
ALL = -1  # the rank of the row that counts everybody


def depth_counts(plan: Plan, partitions: int | str) -> pd.DataFrame:
    """Units (or attempts) by depth, and by `value` if asked for: `depth`, `n`, `open`.

    On DuckDB the units are worked through in hash parts, so that memory stays bounded.
    """
    if partitions != "auto" and (not isinstance(partitions, int) or partitions < 1):
        raise Refusal("partitions", partitions, "not a number of parts", 'pass 1, 8, or "auto"')
    duckdb = ibis.get_backend(plan.events).name == "duckdb"
    # DuckDB computes a chain once for all its readers; elsewhere a single reader is cheaper.
    alone = duckdb and plan.ordered and not (plan.by or plan.weekly)
    streamed = alone and plan.attempts != "every"
    parts = _n_partitions(plan, partitions, streamed) if duckdb else 1
    counts = _counts_alone if alone else _counts_by_value
    frames = []
    for part in range(parts):
        mine = plan.events
        if parts > 1:
            mine = mine.filter(_hash(mine[plan.unit]) % parts == part)
        frames.append(counts(replace(plan, events=mine)))
    return pd.concat(frames, ignore_index=True)


def _counts_by_value(plan: Plan) -> pd.DataFrame:
    table = furthest(plan)
    key = ["value", "depth"] if plan.by or plan.weekly else ["depth"]
    counted = table.group_by(key).agg(n=table.count(), open=table.open.cast("int64").sum())
    return counted.to_pandas()


def _counts_alone(plan: Plan) -> pd.DataFrame:
    """The same without a breakdown, which needs no row for a unit that went nowhere."""
    # The rows of the later steps are few, so one scan for all of them is worth keeping; and to
    # plan the rest takes as long as that scan of a million rows.
    with filling(plan.later_rows()) as ahead:
        plan = replace(plan, later=ahead.table)
        most = chains.most_rows(plan)
        n_most = None if most is None else ahead.planned(most)()
        counted = ahead.planned(_ranked(plan, busy=False))
        if n_most is not None and chains.is_busy(n_most.result().iat[0, 0]):
            counted = ahead.planned(_ranked(plan, busy=True))
        found = counted().result().set_index("rank")["n"]
    ranks = range(2 * len(plan.steps))
    n = [int(found.get(rank, 0)) for rank in ranks]
    if ALL in found.index:
        n[0] = int(found[ALL]) - sum(n[1:])
    lost, still = pd.Series(n[::2]), pd.Series(n[1::2])
    return pd.DataFrame({"depth": range(1, len(still) + 1), "n": lost + still, "open": still})


def _ranked(plan: Plan, busy: bool) -> ir.Table:
    """Units (or attempts) by `rank`, twice the depth from 0 and one more while open: `n`.

    With attempts "any" who never left the first step is in the row of rank ALL alone, with all
    others, and in that of rank 1 if still open.
    """
    reached = chains.chains(plan, busy)
    streamed = plan.attempts == "any"
    if streamed:
        # Told apart from the chains, so that DuckDB does not keep all starts for a second
        # reader; and open starts are the newest rows, so the rest is not scanned for them.
        oldest = ibis.literal(plan.as_of - timedelta(microseconds=plan.window))
        recent = plan.events.filter(plan.events.occurred_at > oldest.cast("timestamp(6)"))
        reached[0] = chains.starts(replace(plan, events=recent))
    who = [*plan.keys, "start"] if plan.attempts == "every" else plan.units
    broken = chains.last_break(plan)
    ends = []
    for k, table in enumerate(reached):
        table = _with_open(plan, k, table, broken)
        ends.append(table.select(*who, rank=2 * k + table.open.cast("int64")))
    ends = ibis.union(*ends)
    best = ends.group_by(who).agg(rank=ends["rank"].max())
    counted = best.group_by("rank").agg(n=best.count())
    if not streamed:
        return counted
    begun = plan.chosen(plan.steps[:1])
    everybody = begun.agg(rank=ibis.literal(ALL, "int64"), n=begun[plan.unit].nunique())
    return counted.union(everybody)


def furthest(plan: Plan) -> ir.Table:
    """A row per unit (or attempt): the unit, `depth`, `start`, `reached_at`, `open`, `value`."""
    each = plan.attempts == "every"
    attempt = [*plan.keys, "start"] if each else plan.keys
    tables = _ends(plan)
    ends = ibis.union(*tables)
    # Openness rides on depth, so that counting needs no more than one maximum per unit.
    best = ends.group_by(attempt).agg(
        rank=(2 * ends.k + ends.open.cast("int64")).max(),
        **{
            f"{name}_{k}": ends[name].max(where=ends.k == k)
            for name in (["t"] if each else ["t", "start"])
            for k in range(len(tables))
        },
    )
    deepest = {
        name: ibis.coalesce(*(best[f"{name}_{k}"] for k in reversed(range(len(tables)))))
        for name in (["t"] if each else ["t", "start"])
    }
    best = best.select(
        *attempt,
        **({} if each else {"start": deepest["start"]}),
        depth=(best["rank"] // 2).cast("int64") + 1,
        reached_at=deepest["t"],
        open=best["rank"] % 2 == 1,
    )
    best = best.mutate(value=best["week"]) if plan.weekly else _valued(plan, best)
    return best if each or not plan.hold else _over_held(plan, best)


def _chained(plan: Plan) -> list[ir.Table]:
    return chains.chains(plan, chains.has_crowd(plan))


def _ends(plan: Plan) -> list[ir.Table]:
    """Per step (k from 0) the attempts that reached it: keys, `start`, `t`, `k`, `open` there."""
    reached = _chained(plan) if plan.ordered else anyorder.reached(plan)
    broken = chains.last_break(plan)
    ends = []
    for k, table in enumerate(reached):
        if plan.attempts == "every":
            end = table.group_by([*plan.keys, "start"]).agg(t=table.t.max())
        else:
            end = table.group_by(plan.keys).agg(t=table.t.max(), start=table.start.max())
        end = _with_open(plan, k, end, broken)
        ends.append(end.select(*plan.keys, "start", "t", "open", k=ibis.literal(k, "int64")))
    return ends


def _with_open(plan: Plan, k: int, table: ir.Table, broken: ir.Table | None) -> ir.Table:
    """Chains to step k (from 0) with `open`: whether the next step may follow at `as_of`."""
    if k + 1 == len(plan.steps):
        return table.mutate(open=ibis.literal(False))
    going = table.start + plan.window > plan.end
    within = plan.within(k + 1)
    if within is not None:
        going &= table.t + within > plan.end
    if broken is None:
        return table.mutate(open=going)
    pairs = [(key, f"{key}_") for key in plan.keys]
    table = table.mutate(open=going)
    table = table.left_join(broken.rename(**{right: key for key, right in pairs}), pairs)
    return table.mutate(open=table.open & ~(table.broken > table.t).fill_null(False))


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


@ibis.udf.scalar.builtin(name="hash")
def _hash(value) -> ibis.dtype("uint64"):
    """DuckDB's own hash, unsigned; Ibis's `hash` takes four times as long to make it signed."""


def _n_partitions(plan: Plan, partitions: int | str, streamed: bool) -> int:
    if partitions == "auto":
        n_rows = ROWS_PER_PASS["streamed" if streamed else "kept"]
        found = plan.n_rows or int(plan.events.count().execute())
        return 1 + found // n_rows
    return int(partitions)
