"""What would it be worth if fewer customers left? Read from the shop's own model of orders.

In the model a customer leaves after an order with a chance p of their own. The what-if lowers every
p by a share from the cutoff on and changes nothing else: no new customers, no dearer orders, no
cost of keeping them. It is inferred from behaviour, not measured: only an experiment tells what an
action changes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, share
from cdp_lib.customers.totals import STEP, nudged, revenue_of, variance
from cdp_lib.customers.value import BgNbd
from cdp_lib.customers.worth import PARTS, YEAR, ValueModel
from cdp_lib.normal import Z

NODES = 24
FEWER = (0.0, 0.05, 0.1, 0.15, 0.2)
POINTS = 0.05
LONG_DAYS = 3650.0


def retention_table(
    model: ValueModel,
    fewer: tuple[float, ...] = FEWER,
    horizon_days: float = 365,
    discount_rate: float = 0.0,
) -> pd.DataFrame:
    """What the customers of today would bring if leaving were rarer by these shares.

    Out: a row per share: fewer_share (of the chance to leave after an order), retention (share of
    those alive now who are alive after a year), value (in the horizon), gain, gain_low, gain_high
    (money over no change), gain_share, gain_share_low, gain_share_high. 95 % intervals of the
    fitted parameters. Raises Refusal for a share outside [0, 1].
    """
    above("horizon_days", horizon_days, 0)
    for one in fewer:
        share("fewer", one)
    every = np.array([0.0, *fewer])
    cells, span = model.cells, (horizon_days, discount_rate)
    count = _orders(model, cells, every, *span)
    values = _value(model, count)
    moved, place = {}, cells.generation.to_numpy()
    for at, *sides in nudged(model):
        mine, ends = np.flatnonzero(place == at[0]), []
        for side in sides:
            other = count.copy()
            if len(mine):  # the orders of this generation alone move
                other[mine] = _orders(side, cells.iloc[mine], every, *span)
            ends.append(_value(side, other))
        moved[at] = ends
    rows = []
    for i, one in enumerate(fewer, start=1):
        gain, part = values[i] - values[0], values[i] / values[0] - 1
        slopes = [
            {at: (f(high) - f(low)) / (2 * STEP) for at, (high, low) in moved.items()}
            for f in (lambda v, i=i: v[i] - v[0], lambda v, i=i: v[i] / v[0])
        ]
        half, wide = (Z * variance(model, slope) ** 0.5 for slope in slopes)
        rows.append(
            (one, retention(model, one), values[i], gain, gain - half, gain + half, part,
             part - wide, part + wide)
        )  # fmt: skip
    columns = [
        "fewer_share", "retention", "value", "gain", "gain_low", "gain_high", "gain_share",
        "gain_share_low", "gain_share_high",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def reading_table(
    model: ValueModel,
    change: float = POINTS,
    long_days: float = LONG_DAYS,
    discount_rate: float = 0.1,
) -> pd.DataFrame:
    """What "5 % better retention" may mean, and what each reading is worth.

    change: the 5 %, as a share of leaving and as points of yearly retention. long_days,
    discount_rate: of the long run. Out: two rows a reading, a year (not discounted) and the long
    run: reading, span, and the columns of `retention_table`. A reading that cannot be (retention
    is above 1 - change) has NaN.
    """
    share("change", change)
    points = fewer_for(model, retention(model) + change)
    readings = {
        f"{change:.0%} fewer leave after an order": change,
        f"{100 * change:g} points more stay each year": points,
    }
    known = {reading: 0.0 if fewer != fewer else fewer for reading, fewer in readings.items()}
    found = []
    for span, days, rate in (
        ("in a year", YEAR, 0.0),
        ("in the long run", long_days, discount_rate),
    ):
        table = retention_table(model, tuple(known.values()), days, rate)
        table[np.isnan(list(readings.values()))] = np.nan
        found.append(table.assign(reading=list(readings), span=span))
    columns = ["reading", "span", *found[0].columns.drop(["reading", "span"])]
    return pd.concat(found, ignore_index=True).sort_values(
        "reading", kind="stable", ignore_index=True
    )[columns]


def retention(model: ValueModel, fewer: float = 0.0, days: float = YEAR) -> float:
    """The share of the customers alive at the cutoff who are alive so many days later."""
    share("fewer", fewer)
    n = model.cells.n_customers.to_numpy(float)

    def stays(one: BgNbd, _part, x, recency, age) -> np.ndarray:
        leave, weight = _chances(one, x)
        grown = np.log1p(leave * (1 - fewer) * days / (one.alpha + age)[:, None])
        return np.exp(-(one.r + x)[:, None] * grown) @ weight

    alive = model.orders.p_alive(model.cells) * n
    return float(alive @ model.orders.each(model.cells, stays) / alive.sum())


def fewer_for(model: ValueModel, wanted: float, days: float = YEAR) -> float:
    """How much rarer leaving must be for this retention; NaN where it cannot be reached."""
    from scipy.optimize import brentq

    if not wanted > 0:
        raise Refusal("wanted", wanted, "must be above 0", "give a share of customers")
    if not retention(model, 0.0, days) <= wanted < 1:
        return float("nan")
    return float(brentq(lambda fewer: retention(model, fewer, days) - wanted, 0.0, 1.0))


def _value(model: ValueModel, count: np.ndarray) -> np.ndarray:
    """What so many orders bring: a column of counts a what-if, a row a cell."""
    sums = [revenue_of(model, model.cells, column) for column in count.T]
    return model.kept.rate * np.array(sums)


def _orders(
    model: ValueModel, cells: pd.DataFrame, fewer: np.ndarray, horizon: float, rate: float
) -> np.ndarray:
    """Orders expected of a customer of each cell, a column for each share of rarer leaving."""
    ends = np.linspace(0, horizon, 1 + (PARTS if rate else 1))
    middle = (ends[1:] + ends[:-1]) / 2
    weights = (1 + rate) ** (-middle / YEAR)

    def orders(one: BgNbd, _part, x, recency, age) -> np.ndarray:
        chance, weight = _chances(one, x)
        count = np.zeros((len(x), len(fewer)))
        for j, less in enumerate(fewer):
            leave, before = np.maximum(chance * (1 - less), 1e-9), 0.0
            for end, worth in zip(ends[1:], weights, strict=True):
                # Orders to the end: (1 - exp(-grown)) / p, which tends to rate times time.
                grown = (one.r + x)[:, None] * np.log1p(leave * end / (one.alpha + age)[:, None])
                upto = (-np.expm1(-grown) / leave * weight).sum(axis=1)
                count[:, j] += worth * (upto - before)
                before = upto
        return count * one.p_alive(x, recency, age)[:, None]

    return model.orders.each(cells, orders)


def _chances(one: BgNbd, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of each history's Beta of leaving, and their weights: Gauss-Legendre on its ranks."""
    from scipy.special import betaincinv

    points, weight = np.polynomial.legendre.leggauss(NODES)
    level, place = np.unique(x, return_inverse=True)
    stay = one.chance_to_stay(level)[:, None]
    return betaincinv(one.a, stay, ((points + 1) / 2)[None, :])[place], weight / 2
