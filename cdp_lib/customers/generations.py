"""Customers by when they first bought, each generation with a model of orders of its own.

One model for all would take those who were already there when the data begin, and have proved that
they stay, for newcomers who have proved nothing. The first generation are the customers seen in
the first 30 days; the others are parts of equal size. A split is used where it is likelier by
Schwarz's criterion (1978, doi:10.1214/aos/1176344136), so a shop whose customers are alike keeps
one model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.customers import coming, precision
from cdp_lib.customers.spend import GammaGamma
from cdp_lib.customers.value import BgNbd, fit_better

HISTORY = ["frequency", "recency", "age"]
CELL = ["generation", *HISTORY, "n_valued"]
ALREADY_THERE = timedelta(days=30)
MOST = 4  # parts of those who came later
LEAST_CUSTOMERS, LEAST_RETURNED = 300, 50
LEAST_DAYS = 45  # mean days that a generation was watched


@dataclass(frozen=True)
class Generations:
    """The models of orders, one a generation.

    models: oldest generation first. starts: first instants of all but the oldest.
    """

    models: tuple[BgNbd, ...]
    starts: tuple[datetime, ...]

    @property
    def converged(self) -> bool:
        """Whether every model found an optimum."""
        return all(model.converged for model in self.models)

    def expected_orders(self, horizon: float, cells: pd.DataFrame) -> np.ndarray:
        """Orders expected of one customer of each cell within the horizon."""
        return self.each(cells, lambda one, _, *past: one.expected_orders(horizon, *past))

    def p_alive(self, cells: pd.DataFrame) -> np.ndarray:
        """The probability that a customer of each cell has not left."""
        return self.each(cells, lambda one, _, *past: one.p_alive(*past))

    def moments(self, horizon: float, cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Mean of the orders to come and of their square, by `coming.moments`."""
        both = self.each(
            cells, lambda one, _, *past: np.column_stack(coming.moments(one, horizon, *past))
        )
        return both[:, 0], both[:, 1]

    def quantiles(
        self, horizon: float, cells: pd.DataFrame, spend: GammaGamma, draws: int, seed: int
    ) -> np.ndarray:
        """The 95 % ends of what a customer brings, by `coming.worth_quantiles`."""
        return self.each(
            cells,
            lambda one, part, *past: coming.worth_quantiles(
                one, spend, horizon, *past, part.n_valued, draws=draws, seed=seed
            ),
        )

    def each(self, cells: pd.DataFrame, work: Callable[..., np.ndarray]) -> np.ndarray:
        """What `work(model, cells, frequency, recency, age)` says of each generation's cells."""
        place, parts = cells.generation.to_numpy(), []
        for i, model in enumerate(self.models):
            at = np.flatnonzero(place == i)
            if len(at):
                mine = cells.iloc[at]
                past = [mine[name].to_numpy(float) for name in HISTORY]
                parts.append((at, np.asarray(work(model, mine, *past))))
        first = parts[0][1] if parts else np.empty(0)
        out = np.empty((len(cells), *first.shape[1:]))
        for at, found in parts:
            out[at] = found
        return out


def split(histories: Table, begun: tuple[datetime, ...]) -> Table:
    """Histories with `generation`: how many of the instants in `begun` the first order reaches."""
    place = ibis.literal(0, "int64")
    for start in begun:
        place = place + (histories.first_at >= ibis.literal(start)).cast("int64")
    return histories.mutate(generation=place.cast("int64"))


def starts(histories: Table) -> tuple[datetime, ...]:
    """The first instants of all generations but the oldest, as many as the numbers allow.

    In: histories with customer_id, first_at, frequency and age. Every generation has at least 300
    customers, 50 who came back, and was watched for 45 days on average; one that has less joins
    the one before.
    """
    opened = histories.first_at.min().execute()
    if opened is None or opened != opened:
        return ()
    border = pd.Timestamp(opened).to_pydatetime() + ALREADY_THERE
    later = histories.filter(histories.first_at >= ibis.literal(border))
    parts = later.mutate(part=ibis.ntile(MOST).over(order_by=[_.first_at, _.customer_id]))
    sums = parts.group_by("part").agg(
        start=_.first_at.min(), n=_.count(), back=(_.frequency > 0).cast("int64").sum(),
        days=_.age.cast("float64").sum(),
    )  # fmt: skip
    rows = sums.to_pandas().sort_values("part")
    rest = histories.filter(histories.first_at < ibis.literal(border))
    told = rest.agg(n=_.count(), back=(_.frequency > 0).cast("int64").sum(), days=_.age.sum())
    first = told.to_pandas().iloc[0]
    groups = [[None, int(first.n), int(first.back or 0), float(first.days or 0)]]
    for row in rows.itertuples():
        start = border if row.part == 0 else pd.Timestamp(row.start).to_pydatetime()
        groups.append([start, int(row.n), int(row.back), float(row.days)])
    return tuple(group[0] for group in _joined(groups)[1:])


def fit_generations(cells: pd.DataFrame, begun: tuple[datetime, ...]) -> Generations:
    """The models of the generations in `cells`, or one for all where that is as likely.

    begun: the first instants that `split` used. Raises as `fit_bgnbd`.
    """
    together = _fit(cells)
    if not begun:
        return Generations((together,), ())
    apart = [_fit(part) for _place, part in cells.groupby("generation", sort=True)]
    gain = sum(model.log_likelihood for model in apart) - together.log_likelihood
    if gain <= 2 * (len(apart) - 1) * np.log(together.n):
        return Generations((together,), ())
    return Generations(tuple(apart), begun)


def covariances(found: Generations, cells: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """The (4, 4) covariance of each model's log parameters."""
    out = []
    for i, model in enumerate(found.models):
        mine = cells[cells.generation == i]
        past = [mine[name].to_numpy(float) for name in HISTORY]
        out.append(precision.of_bgnbd(model, *past, mine.n_customers.to_numpy(float)))
    return tuple(out)


def _fit(cells: pd.DataFrame) -> BgNbd:
    return fit_better(*(cells[name] for name in HISTORY), weight=cells.n_customers)


def _joined(groups: list[list]) -> list[list]:
    """Groups (start, customers, of them back, days watched) with the small ones put together.

    The youngest that is too small joins the one before it; an oldest that is too small takes the
    next one in.
    """
    groups = [list(group) for group in groups]

    def fine(group: list) -> bool:
        _start, n, back, days = group
        return n >= LEAST_CUSTOMERS and back >= LEAST_RETURNED and days >= LEAST_DAYS * n

    while len(groups) > 1 and not all(fine(group) for group in groups):
        at = max(i for i, group in enumerate(groups) if not fine(group))
        into = max(at - 1, 0)
        start = groups[into][0]
        sums = [a + b for a, b in zip(groups[into][1:], groups[into + 1][1:], strict=True)]
        groups[into : into + 2] = [[start, *sums]]
    return groups
