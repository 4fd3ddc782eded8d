"""Logistic regression as the other candidate: plain numbers in, plain numbers out.

Numbers become sign(x)·log(1 + |x|), standardised; a missing one stands at the mean with a flag
beside it; categories become one column a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from cdp_lib.predict.columns import Columns

STRENGTHS = (0.001, 0.01, 0.1)
RARE = 20
_ROWS = 20_000


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression.

    numbers: positions of the number columns in the matrix. means, scales: of their logs. flags:
    positions whose missingness has a column. levels: (position, category code) of each one-hot
    column. coefficients: of numbers, flags and levels, in this order. intercept. strength: the
    inverse of the penalty that was chosen.
    """

    numbers: tuple[int, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    flags: tuple[int, ...]
    levels: tuple[tuple[int, int], ...]
    coefficients: tuple[float, ...]
    intercept: float
    strength: float

    def margins(self, x: np.ndarray) -> np.ndarray:
        """Log odds of each row of `Columns.matrix`, float64; a row's own, whatever stands by."""
        weights = np.array(self.coefficients)
        # Row by row and not as one matrix product, whose rounding depends on how many rows come.
        parts = [(z * weights).sum(axis=1) for z in self.design(x)]
        return self.intercept + (np.concatenate(parts) if parts else np.zeros(0))

    def contributions(self, x: np.ndarray, n_columns: int) -> np.ndarray:
        """What each column adds to the log odds, around the mean of the training rows.

        Out: (rows, n_columns); with `intercept` a row adds up to its margin.
        """
        owner = [*self.numbers, *self.flags, *(position for position, _ in self.levels)]
        out = np.zeros((len(x), n_columns))
        weights, start = np.array(self.coefficients), 0
        for z in self.design(x):
            stop = start + len(z)
            for i, position in enumerate(owner):
                out[start:stop, position] += z[:, i] * weights[i]
            start = stop
        return out

    def design(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """The columns that the coefficients belong to, some rows at a time."""
        for start in range(0, len(x), _ROWS):
            yield _design(self, x[start : start + _ROWS].astype("float64"))

    def to_card(self) -> dict:
        """The regression as plain JSON."""
        return asdict(self)

    @staticmethod
    def from_card(card: dict) -> Logistic:
        """The regression that `to_card` wrote."""
        return Logistic(
            **{
                name: tuple(tuple(v) if isinstance(v, list) else v for v in value)
                if isinstance(value, list)
                else value
                for name, value in card.items()
            }
        )


def regress(
    columns: Columns,
    train: tuple[np.ndarray, np.ndarray],
    choose: tuple[np.ndarray, np.ndarray],
) -> tuple[Logistic, float]:
    """Fit by penalised maximum likelihood; the penalty with the least log loss on `choose`.

    train, choose: (matrix, labels). Out: the regression and its log loss on `choose`.
    """
    from sklearn.linear_model import LogisticRegression

    x, label = train
    plan = _plan(columns, x)
    z = np.concatenate(list(plan.design(x)))
    best, least = plan, np.inf
    # From the strongest penalty on, each fit starts where the last one ended.
    model = LogisticRegression(solver="newton-cholesky", max_iter=100, tol=1e-5, warm_start=True)
    for strength in STRENGTHS:
        model.set_params(C=strength).fit(z, label)
        found = Logistic(
            plan.numbers, plan.means, plan.scales, plan.flags, plan.levels,
            tuple(float(v) for v in model.coef_[0]), float(model.intercept_[0]), strength,
        )  # fmt: skip
        loss = log_loss(choose[1], found.margins(choose[0]))
        if loss < least:
            best, least = found, loss
    return best, least


def log_loss(label: np.ndarray, margin: np.ndarray) -> float:
    """Mean negative log likelihood of labels given log odds."""
    return float(row_losses(label, margin).mean())


def row_losses(label: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Negative log likelihood of each label given its log odds."""
    return np.logaddexp(0, margin) - label * margin


def _plan(columns: Columns, x: np.ndarray) -> Logistic:
    """The design read off the training rows, its coefficients all zero."""
    numbers, means, scales, flags, levels, seen = [], [], [], [], [], set()
    for i, kind in enumerate(columns.kinds):
        column = x[:, i].astype("float64")
        given = ~np.isnan(column)
        if kind == "category":
            codes, counts = np.unique(column[given].astype(int), return_counts=True)
            levels += [(i, int(c)) for c, n in zip(codes, counts, strict=True) if n >= RARE]
        else:
            logs = _logs(column[given])
            scale = float(logs.std()) if len(logs) else 0.0
            if scale > 0:
                numbers.append(i)
                means.append(float(logs.mean()))
                scales.append(scale)
        # Columns that are missing together share one flag.
        mark = given.tobytes()
        if RARE <= given.sum() <= len(given) - RARE and mark not in seen:
            seen.add(mark)
            flags.append(i)
    n = len(numbers) + len(flags) + len(levels)
    return Logistic(
        tuple(numbers), tuple(means), tuple(scales), tuple(flags), tuple(levels),
        (0.0,) * n, 0.0, 0.0,
    )  # fmt: skip


def _design(plan: Logistic, x: np.ndarray) -> np.ndarray:
    numbers = (_logs(x[:, list(plan.numbers)]) - np.array(plan.means)) / np.array(plan.scales)
    flags = np.isnan(x[:, list(plan.flags)]).astype("float64")
    levels = [(x[:, i] == code).astype("float64")[:, None] for i, code in plan.levels]
    # A value far outside what was seen must not carry a row away.
    return np.hstack([np.clip(np.nan_to_num(numbers, nan=0.0), -8, 8), flags, *levels])


def _logs(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))
