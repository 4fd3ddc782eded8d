"""Steps in any order: a unit's depth is the most steps that one window holds together."""

import ibis
import ibis.expr.types as ir

from cdp_lib.behaviour.funnel_plan import Plan


def reached(plan: Plan) -> list[ir.Table]:
    """One table per step: a row per instant `t` at which a window of depth k closes.

    The columns are the keys, `start` (the window's first row that counts, as late as can be)
    and `t`. A window that holds the first k steps may be shrunk until a row of them ends it;
    then the latest row of each step up to there is the best choice, so running maxima suffice.
    """
    rows = _log(plan)
    sofar = ibis.cumulative_window(group_by=plan.keys, order_by="t")
    names = [f"last_{k}" for k in range(len(plan.steps))]
    swept = rows.mutate(
        **{
            name: ibis.ifelse(rows["k"] == k, rows.t, ibis.null("int64")).max().over(sofar)
            for k, name in enumerate(names)
        }
    )
    tables = []
    for k in range(1, len(names) + 1):
        last = [swept[name] for name in names[:k]]
        begun = last[0] if k == 1 else ibis.least(*last)
        full = swept.filter(*(column.notnull() for column in last), swept["k"] < k)
        held = full.select(*plan.keys, "t", start=begun)
        tables.append(held.filter(held.t < held.start + plan.window))
    return tables


def starts(plan: Plan) -> ir.Table:
    """The rows that may begin a window: the key columns, `t` and `value`."""
    return _log(plan, starts=True).drop("k")


def _log(plan: Plan, starts: bool = False) -> ir.Table:
    parts = [
        plan.rows(step, starts=starts).mutate(k=ibis.literal(k, "int8"))
        for k, step in enumerate(plan.steps)
    ]
    return ibis.union(*parts)
