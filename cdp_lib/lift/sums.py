"""What a read-out needs to know of the units: counts, means and centred products, that add.

One grouped query fetches them, however many units there are; all that follows is arithmetic on
a few numbers a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal

_PROBE = 10_000  # rows from which a centre is guessed; it need not be exact, only near
_CANCELLED = 1e-7  # a spread this small beside its distance from the centre has lost digits


@dataclass(frozen=True, eq=False)
class Sums:
    """Sufficient statistics of a group of units.

    columns: the names. n: units. mean: of each column. cross: sums over units of
    (x - mean x)(y - mean y), a row and a column a name; NaN for pairs that were not asked for.
    Two groups without a unit in common add (Chan, Golub and LeVeque 1983).
    """

    columns: tuple[str, ...]
    n: int
    mean: np.ndarray
    cross: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        if self.columns != other.columns:
            raise Refusal("sums", other.columns, "other columns", f"they are {self.columns}")
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        # What is not finite stays so, and a gate tells of it.
        with np.errstate(invalid="ignore"):
            return self._joined(other, n)

    def _joined(self, other: Sums, n: int) -> Sums:
        apart = other.mean - self.mean
        cross = self.cross + other.cross + np.outer(apart, apart) * (self.n * other.n / n)
        return Sums(self.columns, n, self.mean + apart * (other.n / n), cross)

    def mean_of(self, name: str) -> float:
        """The mean of a column; NaN without a unit."""
        return float(self.mean[self.columns.index(name)])

    def cov(self, left: str, right: str) -> float:
        """The sample covariance of two columns; NaN with fewer than two units."""
        at = self.columns.index
        cross = self.cross[at(left), at(right)]
        return float(cross / (self.n - 1)) if self.n > 1 else float("nan")

    def var(self, name: str) -> float:
        """The sample variance of a column."""
        return self.cov(name, name)

    def with_column(self, name: str, weights: Mapping[str, float]) -> Sums:
        """The same with a further column, a weighted sum of known ones.

        What goes with a column of which a product was not asked for is NaN.
        """
        w = np.array([weights.get(column, 0.0) for column in self.columns])
        used = w != 0
        with np.errstate(invalid="ignore"):
            crossed = self.cross[:, used] @ w[used]
            own, mean = w[used] @ crossed[used], w[used] @ self.mean[used]
        cross = np.block([[self.cross, crossed[:, None]], [crossed[None, :], np.array([[own]])]])
        return Sums((*self.columns, name), self.n, np.append(self.mean, mean), cross)


def total(parts: Iterable[Sums]) -> Sums:
    """All of these groups as one."""
    return reduce(add, parts)


def none_of(columns: Sequence[str]) -> Sums:
    """The sums of no unit."""
    k = len(columns)
    return Sums(tuple(columns), 0, np.full(k, np.nan), np.zeros((k, k)))


def of_frame(frame: pd.DataFrame, columns: Sequence[str]) -> Sums:
    """The sums of a small table, every pair of columns; a row a unit, without nulls."""
    values = frame[list(columns)].to_numpy(float)
    if not len(values):
        return none_of(columns)
    mean = values.mean(axis=0)
    return Sums(tuple(columns), len(values), mean, (values - mean).T @ (values - mean))


def gather(
    table: Table,
    columns: Sequence[str],
    by: Sequence[str] = ("arm",),
    pairs: Iterable[tuple[str, str]] | None = None,
) -> dict[tuple, Sums]:
    """The sums of each group, by one grouped query on the engine.

    In: a row a unit; `columns` are numbers or booleans. by: the columns that make a group. pairs:
    the pairs whose products are wanted besides every column's square; None: all. A null counts as
    a value near the mean, so that it neither adds nor takes: right for a covariate, while a null
    outcome is for the caller to refuse (`screen.screen`). Out: group -> Sums, groups in order.

    Values are taken from a centre before they are multiplied. The centre is the mean of some
    rows; where digits were lost all the same, the query is run again from each group's own means.
    """
    columns, by = list(dict.fromkeys(columns)), list(by)
    for name in (*columns, *by):
        if name not in table.columns:
            have = ", ".join(table.columns)
            raise Refusal("columns", name, "the table has no such column", f"choose from {have}")
    for name in columns:
        if not (table[name].type().is_numeric() or table[name].type().is_boolean()):
            problem = f"is {table[name].type()}, not a number"
            raise Refusal("columns", name, problem, "name a column of numbers or booleans")
    wanted = _pairs(columns, pairs)
    centre = _means(table.limit(_PROBE), columns)
    found = _query(table, columns, by, wanted, centre)
    if any(_lost(one, centre, columns) for one in found.values()):
        found = _query(table, columns, by, wanted, None)
    return found


def _pairs(columns: Sequence[str], pairs: Iterable[tuple[str, str]] | None) -> list[tuple]:
    own = [(name, name) for name in columns]
    if pairs is None:
        return own + [(a, b) for at, a in enumerate(columns) for b in columns[at + 1 :]]
    place = {name: at for at, name in enumerate(columns)}
    ordered = {tuple(sorted(pair, key=place.__getitem__)) for pair in pairs}
    return own + sorted(ordered - set(own), key=lambda pair: (place[pair[0]], place[pair[1]]))


def _means(table: Table, columns: Sequence[str]) -> dict[str, float]:
    row = table.aggregate(
        **{f"m{at}": table[name].cast("float64").mean() for at, name in enumerate(columns)}
    ).to_pandas()
    means = row.iloc[0].astype(float)
    return {
        name: float(means.iloc[at]) if np.isfinite(means.iloc[at]) else 0.0
        for at, name in enumerate(columns)
    }


def _query(
    table: Table,
    columns: list[str],
    by: list[str],
    pairs: list[tuple],
    centre: dict[str, float] | None,
) -> dict[tuple, Sums]:
    own = ibis.window(group_by=by)
    place = {name: at for at, name in enumerate(columns)}
    moved = table.select(
        **{f"g{at}": table[name] for at, name in enumerate(by)},
        **{f"v{at}": table[name].cast("float64") for at, name in enumerate(columns)},
        **{
            f"c{at}": ibis.literal(centre[name])
            if centre is not None
            else table[name].cast("float64").mean().over(own)
            for at, name in enumerate(columns)
        },
    )
    moved = moved.mutate(
        **{
            f"x{at}": (moved[f"v{at}"] - moved[f"c{at}"]).fill_null(0.0)
            for at in range(len(columns))
        }
    )
    sums = {f"s{at}": moved[f"x{at}"].sum() for at in range(len(columns))}
    for a, b in pairs:
        sums[f"p{place[a]}_{place[b]}"] = (moved[f"x{place[a]}"] * moved[f"x{place[b]}"]).sum()
    if centre is None:
        sums |= {f"m{at}": moved[f"c{at}"].max() for at in range(len(columns))}
    groups = [f"g{at}" for at in range(len(by))]
    rows = moved.group_by(groups).aggregate(n=moved.count(), **sums).to_pandas()
    rows = rows.sort_values(groups, ignore_index=True)
    k, found = len(columns), {}
    for row in rows.itertuples(index=False):
        middle = [getattr(row, f"m{i}") if centre is None else centre[columns[i]] for i in range(k)]
        n = int(row.n)
        shift = np.array([getattr(row, f"s{at}") for at in range(k)], float) / n
        cross = np.full((k, k), np.nan)
        for a, b in pairs:
            i, j = place[a], place[b]
            squares = float(getattr(row, f"p{i}_{j}"))
            with np.errstate(invalid="ignore"):
                value = squares - n * shift[i] * shift[j]
            # What rounding leaves of a column that is all one value is no spread.
            if i == j and value < 1e-12 * squares:
                value = 0.0
            cross[i, j] = cross[j, i] = value
        key = tuple(_plain(getattr(row, name)) for name in groups)
        mean = np.array(middle, float) + shift
        # Nor is what it leaves of a mean of zeros a mean: two groups of zeros do not differ.
        mean[np.abs(mean) < 1e-12 * np.abs(shift)] = 0.0
        found[key] = Sums(tuple(columns), n, mean, cross)
    return found


def _lost(one: Sums, centre: dict[str, float], columns: Sequence[str]) -> bool:
    away = (one.mean - np.array([centre[name] for name in columns])) ** 2
    spread = np.diag(one.cross) / one.n
    return bool(((away > 0) & (spread < _CANCELLED * away) & (spread > 0)).any())


def _plain(value: object) -> object:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value
