"""What all customers together, or each group of them, are expected to bring, with an interval.

Everything comes from the cells of a value model; no customer is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal
from cdp_lib.customers import coming, histories
from cdp_lib.customers.worth import ValueModel, faded_orders

HORIZONS = (91, 182, 365)  # days
STEP = 1e-4  # of the logarithm of a parameter, for slopes
FIELDS = (("r", "alpha", "a", "b"), ("p", "q", "gamma"))


def totals(
    model: ValueModel,
    horizons: tuple[float, ...] = HORIZONS,
    discount_rate: float = 0.0,
    by: Table | None = None,
) -> pd.DataFrame:
    """What all customers are expected to bring, or each group of them.

    by: a table of customer_id and one column that names the group. Out: a row per group and
    horizon: [the group's column], horizon_days, n_customers, expected_orders, expected_revenue,
    expected_value, value_low, value_high, chance_sd (standard deviation of what the customers
    happen to do), parameter_sd (of the fitted parameters and the rate kept). The 95 % interval is
    of what they will bring, by a Gamma of that mean and variance: it covers both, and no change of
    the law (season, prices, campaigns); `backtest.widened` adds how large that was.
    """
    groups, cells = [], model.cells
    if by is not None:
        groups = [name for name in by.columns if name != "customer_id"]
        if len(groups) != 1 or "customer_id" not in by.columns:
            raise Refusal(
                "by", list(by.columns), "must have customer_id and one further column",
                "select the two",
            )  # fmt: skip
        cells = histories.cells(model.histories.join(by, "customer_id"), tuple(groups))
    parts = cells.groupby(groups, dropna=False, sort=False) if groups else [((), cells)]
    rows = [
        (*name, horizon, *_over(model, part, horizon, discount_rate))
        for name, part in parts
        for horizon in horizons
    ]
    columns = [
        "horizon_days", "n_customers", "expected_orders", "expected_revenue", "expected_value",
        "value_low", "value_high", "chance_sd", "parameter_sd",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*groups, *columns])


def revenue_of(model: ValueModel, cells: pd.DataFrame, count: np.ndarray) -> float:
    """What so many orders of a customer of each cell are worth, summed up. NaN where infinite."""
    spend, n_valued = model.spend, cells.n_valued.to_numpy(float)
    spent = spend.gamma * cells.n_customers + n_valued * cells.sum_mean
    shape = spend.p * n_valued + spend.q - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(shape > 0, count * spend.p * spent / shape, np.nan).sum())


def nudged(model: ValueModel) -> Iterator[tuple[tuple[int, int], ValueModel, ValueModel]]:
    """The model with one logarithm of a parameter a little higher, and lower, for slopes.

    Gives ((part, place), higher, lower): part is the generation, -1 for the spending; place that
    of the parameter in the covariance of its part.
    """
    for part, one in (*enumerate(model.orders.models), (-1, model.spend)):
        for place, name in enumerate(FIELDS[part < 0]):
            sides = []
            for way in (STEP, -STEP):
                moved = replace(one, **{name: getattr(one, name) * np.exp(way)})
                if part < 0:
                    sides.append(replace(model, spend=moved))
                else:
                    all_models = list(model.orders.models)
                    all_models[part] = moved
                    orders = replace(model.orders, models=tuple(all_models))
                    sides.append(replace(model, orders=orders))
            yield (part, place), *sides


def variance(model: ValueModel, slopes: dict[tuple[int, int], float]) -> float:
    """The variance that the parameters bring to a figure with these slopes (as in `nudged`)."""
    found = 0.0
    for part, covariance in (*enumerate(model.orders_covariance), (-1, model.spend_covariance)):
        slope = np.array([slopes.get((part, place), 0.0) for place in range(len(covariance))])
        found += float(slope @ covariance @ slope)
    return max(found, 0.0)


def _over(
    model: ValueModel, cells: pd.DataFrame, horizon: float, discount_rate: float
) -> tuple[float, ...]:
    """The figures of `totals` for some cells within a horizon."""
    kept, spend = model.kept, model.spend
    count = faded_orders(model.orders, horizon, discount_rate, cells)
    revenue = revenue_of(model, cells, count)
    slopes = {}
    place = cells.generation.to_numpy()
    for (part, at), *sides in nudged(model):
        ends = []
        for side in sides:
            moved = count
            if part >= 0:  # the orders of this generation alone move
                mine = place == part
                moved = count.copy()
                moved[mine] = faded_orders(side.orders, horizon, discount_rate, cells[mine])
            ends.append(revenue_of(side, cells, moved))
        slopes[part, at] = (ends[0] - ends[1]) / (2 * STEP)
    first, second = model.orders.moments(horizon, cells)
    spread = coming.worth_moments(spend, cells.n_valued, first, second)[1]
    n_valued = cells.n_valued.to_numpy(float)
    # Sum over customers of (gamma + what they spent) squared.
    scales = spend.gamma**2 * cells.n_customers + n_valued**2 * cells.sum_squares
    scales += 2 * spend.gamma * n_valued * cells.sum_mean
    chance = kept.rate**2 * float(spread @ scales) + kept.noise * revenue
    known = kept.rate**2 * variance(model, slopes) + kept.noise * revenue**2 / kept.revenue
    value = revenue * kept.rate
    n = cells.n_customers.to_numpy(float)
    orders = float(n @ model.orders.expected_orders(horizon, cells))
    ends = _gamma_ends(value, chance + known)
    return int(n.sum()), orders, revenue, value, *ends, chance**0.5, known**0.5


def _gamma_ends(mean: float, variance: float) -> tuple[float, float]:
    """The 95 % ends of a Gamma of this mean and variance, mirrored for a mean below 0."""
    from scipy.special import gammaincinv

    if not np.isfinite(variance) or mean == 0:
        return float("nan"), float("nan")
    if variance <= 0:
        return mean, mean
    shape, scale = mean**2 / variance, variance / mean
    low, high = sorted(float(gammaincinv(shape, at) * scale) for at in (0.025, 0.975))
    return low, high
