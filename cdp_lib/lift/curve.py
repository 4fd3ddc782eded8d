"""How an effect builds up day by day after the assignment: does it last, or was it the novelty?"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.normal import Z
from cdp_lib.tables import Shop


def day_sums(shop: Shop, units: Table, window_days: float) -> pd.DataFrame:
    """Revenue by day since assignment, and what its variance over units needs; one query.

    In: units of `outcomes.unit_table`. Out: a row per experiment, arm and day with an order:
    experiment_id, arm, day (0 is the first), amount, squares (by how much the sum over units of
    their revenue so far, squared, grew that day).
    """
    orders = shop.orders.select("customer_id", "ordered_at", "revenue")
    rows = units.select("experiment_id", "unit_id", "arm", "assigned_at")
    joined = rows.join(orders, rows.unit_id == orders.customer_id)
    since = joined.ordered_at.epoch_seconds() - joined.assigned_at.epoch_seconds()
    joined = joined.mutate(since=since)
    joined = joined.filter(
        joined.ordered_at >= joined.assigned_at, joined.since < round(window_days * 86_400)
    )
    daily = joined.group_by(
        "experiment_id", "arm", "unit_id", day=(joined.since // 86_400).cast("int64")
    ).aggregate(amount=_.revenue.sum())
    so_far = ibis.window(
        group_by=[daily.experiment_id, daily.unit_id], order_by=daily.day, preceding=None,
        following=0,
    )  # fmt: skip
    daily = daily.mutate(until=daily.amount.sum().over(so_far))
    before = daily.until - daily.amount
    daily = daily.mutate(grown=daily.until * daily.until - before * before)
    found = daily.group_by("experiment_id", "arm", "day").aggregate(
        amount=_.amount.sum(), squares=_.grown.sum()
    )
    return found.order_by("experiment_id", "arm", "day").to_pandas()


def curve(
    sums: pd.DataFrame, control: str, arms: tuple[str, ...], n: dict[str, int], n_days: int
) -> pd.DataFrame:
    """The effect on revenue per unit, from assignment to the end of each day.

    In: `day_sums` of one experiment; n: units of each arm. Out: a row per arm and day: arm, day
    (1 is the first), abs_lift, low, high (95 %, for one look), se.
    """
    cumulated = {}
    for arm in (control, *arms):
        part = sums[sums.arm == arm].set_index("day").reindex(range(n_days))
        amount, squares = part.amount.fillna(0).cumsum(), part.squares.fillna(0).cumsum()
        units = n.get(arm, 0)
        mean = amount / units if units else amount * np.nan
        spread = (squares - units * mean**2) / (units - 1) / units if units > 1 else amount * np.nan
        cumulated[arm] = (mean.to_numpy(), np.maximum(spread.to_numpy(), 0))
    parts = []
    for arm in arms:
        lift = cumulated[arm][0] - cumulated[control][0]
        se = np.sqrt(cumulated[arm][1] + cumulated[control][1])
        se = np.where(se > 0, se, np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "day": np.arange(1, n_days + 1),
                    "abs_lift": lift,
                    "low": lift - Z * se,
                    "high": lift + Z * se,
                    "se": se,
                }
            )
        )
    columns = ["arm", "day", "abs_lift", "low", "high", "se"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
