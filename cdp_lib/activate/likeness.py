"""How much a person is like the members of a seed: a logistic regression of plain numbers.

The seed's members are known to be what one looks for; of all others it is not known. A classifier
of members against all others orders people as a classifier of those who are what one looks for
against those who are not would, if members are a random part of them; its score is then the wanted
probability times that part (Elkan and Noto 2008, doi:10.1145/1401890.1401920, lemma 1). So nothing
but the order is used here, and how good it is gets measured. Bagging such classifiers (Mordelet and
Vert 2014, doi:10.1016/j.patrec.2013.06.010) steadies an unstable learner; a penalised regression
is stable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1)
RARE = 20  # rows below which a category has no column of its own
FAR = 8  # standard deviations: a value beyond them must not carry a row away


@dataclass(frozen=True, eq=False)
class Sheet:
    """How a table becomes numbers: signed logarithms, standardised, a missing one at the mean with
    a flag beside it; categories as a column a value.

    numbers, categories: the columns read. reader: scikit-learn's transformer, fitted without any
    label.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    reader: Any

    def read(self, frame: pd.DataFrame) -> np.ndarray:
        """The rows of a table as numbers."""
        return np.clip(self.reader.transform(_plain(frame, self)), -FAR, FAR)


@dataclass(frozen=True, eq=False)
class Likeness:
    """A fitted likeness: `weights` and `intercept` over the numbers of `sheet`; `strength` is the
    inverse of the penalty that foretold the held-out folds best."""

    sheet: Sheet
    weights: np.ndarray
    intercept: float
    strength: float

    def score(self, x: np.ndarray) -> np.ndarray:
        """The score of each row of `sheet.read`: how much more it is like the members."""
        # Row by row and not as one matrix product, whose rounding depends on how many rows come.
        return (x * self.weights).sum(axis=1) + self.intercept


def sheet_of(frame: pd.DataFrame, columns: Sequence[str]) -> Sheet:
    """Read off a table how its columns become numbers; those with one value alone are left out."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers, categories = [], []
    for name in columns:
        column = frame[name]
        if column.nunique(dropna=False) > 1:
            plain = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
            (numbers if plain else categories).append(name)
    plain = make_pipeline(
        FunctionTransformer(_logs), SimpleImputer(add_indicator=True), StandardScaler()
    )
    told = OneHotEncoder(
        min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    kinds = ColumnTransformer([("n", plain, numbers), ("c", told, categories)])
    sheet = Sheet(tuple(numbers), tuple(categories), kinds)
    kinds.fit(_plain(frame, sheet))
    return sheet


def fit(sheet: Sheet, x: np.ndarray, member: np.ndarray, strength: float) -> Likeness:
    """The likeness of all rows. x: of `sheet.read`. member: whether a row is of the seed."""
    return _path(sheet, x, np.asarray(member, int), (strength,))[0]


def apart(
    sheet: Sheet, x: np.ndarray, member: np.ndarray, fold: np.ndarray, strength: float
) -> list[Likeness]:
    """A likeness for each fold, which has not seen it. fold: of a row's person, 0 to FOLDS - 1."""
    rest = [np.asarray(fold) != k for k in range(FOLDS)]
    return [fit(sheet, x[inside], np.asarray(member)[inside], strength) for inside in rest]


def strength_of(sheet: Sheet, x: np.ndarray, member: np.ndarray, fold: np.ndarray) -> float:
    """The strength whose likeness, learned without fold 0, foretells fold 0 best."""
    y, held = np.asarray(member, int), np.asarray(fold) == 0
    if not 0 < y[held].sum() < held.sum():
        return STRENGTHS[0]
    tried = _path(sheet, x[~held], y[~held], STRENGTHS)
    losses = [_loss(y[held], one.score(x[held])) for one in tried]
    return STRENGTHS[int(np.argmin(losses))]


def scores_apart(parts: Sequence[Likeness], x: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The score of each row by the likeness that has not seen its person."""
    score = np.zeros(len(x))
    for k, part in enumerate(parts):
        mine = np.asarray(fold) == k
        score[mine] = part.score(x[mine])
    return score


def _path(sheet: Sheet, x: np.ndarray, y: np.ndarray, strengths: Sequence[float]) -> list[Likeness]:
    """A fit for each strength, from the strongest penalty on, each from where the last ended."""
    from sklearn.linear_model import LogisticRegression

    model, found = LogisticRegression(warm_start=True, max_iter=1000), []
    for strength in strengths:
        model.set_params(C=strength).fit(x, y)
        weights, intercept = model.coef_[0].copy(), float(model.intercept_[0])
        found.append(Likeness(sheet, weights, intercept, strength))
    return found


def _loss(y: np.ndarray, margin: np.ndarray) -> float:
    return float((np.logaddexp(0, margin) - y * margin).mean())


def _plain(frame: pd.DataFrame, sheet: Sheet) -> pd.DataFrame:
    parts = {n: pd.to_numeric(frame[n]).to_numpy(float, na_value=np.nan) for n in sheet.numbers}
    texts = {
        name: frame[name].astype(object).where(frame[name].notna(), "").astype(str).to_numpy(object)
        for name in sheet.categories
    }
    return pd.DataFrame(parts | texts)


def _logs(values):
    values = np.asarray(values, float)
    return np.sign(values) * np.log1p(np.abs(values))
