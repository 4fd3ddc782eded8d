"""What a wave will be able to show, from the past of those who are in it."""

from __future__ import annotations

from collections.abc import Collection
from math import nan

import pandas as pd

from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.lift import design
from cdp_lib.tables import Shop


def detectable(
    shop: Shop,
    ids: Collection[str],
    n_treated: int,
    n_holdout: int,
    metric: str = "revenue",
    window_days: float = 7,
) -> tuple[float, float]:
    """The smallest effect a unit that is found (80 % power, alpha 0.05), and the metric's mean.

    Both from the past windows of these customers, by `design.history`; CUPED and the heavy tail
    are counted in.
    NaN where an arm has fewer than two units, or the shop has no orders or too short a past.
    """
    if min(n_treated, n_holdout) < 2:
        return nan, nan
    units = pd.DataFrame({"customer_id": sorted(ids)})
    try:
        past = design.history(shop, metric, window_days, among=units)
    except (MissingTable, TooLittleData):
        return nan, nan
    if not past.sd > 0:
        return nan, past.mean
    found = design.mde(
        n_treated, n_holdout, past.sd, cuped_r2=past.cuped_r2, skewness=past.skewness
    )
    return found, past.mean
