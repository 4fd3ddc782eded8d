"""From effects a unit to money: what an arm earned in all, what it cost, what it must earn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cdp_lib.lift import cuped
from cdp_lib.lift.evidence import Evidence
from cdp_lib.lift.exposure import exposed_effect
from cdp_lib.lift.metrics import MONEY

_COLUMNS = """
arm metric kind n_treated total low high total_se cost break_even roi roi_low roi_high
attributed n_exposed exposed_share exposed_lift exposed_low exposed_high
"""
COLUMNS = _COLUMNS.split()
EMPTY = pd.DataFrame(columns=COLUMNS)


def money_table(
    found: Evidence, control: str, arms: tuple[str, ...], effects: pd.DataFrame
) -> pd.DataFrame:
    """What each arm earned over its control, in the shop's currency.

    In: the evidence and the effects of `readout.Readout`. Out: a row per arm and metric of money
    (kind revenue or margin):

    - total, low, high, total_se: the effect a unit times the units treated (intention to treat)
    - cost: contacts made and incentives used by the treated; NaN where the costs are not known
    - break_even: the effect a unit that pays for it. Of revenue, by the margin that orders leave
    - roi, roi_low, roi_high: (incremental margin - cost) / cost; only of margin, NaN without cost
    - attributed: the revenue that a last-click count would claim; beside the total, not in it
    - n_exposed, exposed_share, exposed_lift, exposed_low, exposed_high: of `exposure.Exposed`
    """
    one, rows = found.experiment, []
    held = found.arm(control)
    everyone = held
    for arm in arms:
        everyone = everyone + found.arm(arm)
    for row in effects[effects.kind.isin(MONEY)].itertuples():
        part = found.arm(row.arm)
        n, total = part.n, row.abs_lift * part.n
        reach = None
        if found.tracked and n:
            metric = next(m for m in one.metrics if m.name == row.metric)
            theta = cuped.weights(everyone, metric, one.covariates)
            less = {metric.column: 1.0} | {name: -value for name, value in theta.items()}
            both = (sums.with_column("less__", less) for sums in (held, part))
            reach = exposed_effect(*both, "less__", "exposed")
        cost = _cost(found, part, reach)
        kept = _kept(found, row.kind, held, part)
        margin = row.kind == "margin" and cost > 0
        ends = (row.low * n, row.high * n)
        rows.append(
            {
                "arm": row.arm,
                "metric": row.metric,
                "kind": row.kind,
                "n_treated": n,
                "total": total,
                "low": ends[0],
                "high": ends[1],
                "total_se": row.se * n,
                "cost": cost,
                "break_even": cost / n / kept if n and kept > 0 else np.nan,
                "roi": total / cost - 1 if margin else np.nan,
                "roi_low": ends[0] / cost - 1 if margin else np.nan,
                "roi_high": ends[1] / cost - 1 if margin else np.nan,
                "attributed": part.mean_of("attributed") * n if found.tracked and n else np.nan,
                "n_exposed": reach.n_exposed if reach else np.nan,
                "exposed_share": reach.exposed_share if reach else np.nan,
                "exposed_lift": reach.exposed_lift if reach else np.nan,
                "exposed_low": reach.low if reach else np.nan,
                "exposed_high": reach.high if reach else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _cost(found: Evidence, part, reach) -> float:
    """Contacts are paid for each unit reached, or drawn where nobody tells who was reached."""
    one = found.experiment
    if one.contact_cost is None and one.incentive is None:
        return float("nan")
    reached = reach.n_exposed if reach else part.n
    orders = next((name for name in ("n_orders", "conversion") if name in part.columns), None)
    used = part.mean_of(orders) * part.n if orders and part.n else 0.0
    return (one.contact_cost or 0.0) * reached + (one.incentive or 0.0) * used


def _kept(found: Evidence, kind: str, held, part) -> float:
    """How much of the metric is margin: 1 of margin itself, NaN where goods' costs are unknown."""
    if kind == "margin":
        return 1.0
    both = held + part
    if "margin" not in both.columns or not both.n or not both.mean_of("revenue") > 0:
        return float("nan")
    return both.mean_of("margin") / both.mean_of("revenue")
