"""Small models of a set of features, out of fold, for the leak sentinel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.predict.ranking import auc, auc_of, outcomes, rank
from cdp_lib.predict.resample import draws

N_FOLDS, N_TREES, N_SOLO_BINS, MOST_LEVELS = 3, 40, 30, 100
PARAMETERS = {
    "objective": "binary:logistic", "tree_method": "hist", "max_depth": 5, "eta": 0.2,
    "subsample": 0.8, "min_child_weight": 5, "max_bin": 64, "nthread": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """auc: out of fold; score: of each row, out of fold; shap_share: by feature, or None."""

    auc: float
    score: np.ndarray
    shap_share: pd.Series | None = None


@dataclass(frozen=True)
class Matrix:
    """The rows judged: features as numbers and categories, y as 0 and 1, and each row's fold."""

    columns: pd.DataFrame
    y: np.ndarray
    fold: np.ndarray
    seed: int

    @staticmethod
    def of(columns: pd.DataFrame, label, ids, seed: int) -> Matrix:
        """Rows in folds by customer; texts as categories, their rare values as one."""
        rng = np.random.default_rng(seed)
        codes = np.arange(len(columns)) if ids is None else pd.factorize(ids)[0]
        fold = rng.integers(0, N_FOLDS, codes.max() + 1)[codes]
        typed = {name: _typed(columns[name]) for name in columns.columns}
        return Matrix(pd.DataFrame(typed), outcomes(label), fold, seed)

    def fit(self, names: list[str], shap: bool = False, apart: str | None = None) -> Fit:
        """Boosted trees of these features; `apart` names one that no tree may combine."""
        import xgboost as xgb

        parameters = PARAMETERS | {"seed": self.seed}
        if apart is not None:
            groups = [[name for name in names if name != apart], [apart]]
            parameters["interaction_constraints"] = [group for group in groups if group]
        score, weight = np.zeros(len(self.y)), np.zeros(len(names))
        for fold in range(N_FOLDS):
            out = self.fold == fold
            if not out.any() or out.all():
                continue
            rows = self.columns[names]
            train = xgb.DMatrix(rows[~out], self.y[~out], enable_categorical=True)
            test = xgb.DMatrix(rows[out], enable_categorical=True)
            booster = xgb.train(parameters, train, N_TREES)
            score[out] = booster.predict(test, output_margin=True)
            if shap:
                weight += np.abs(booster.predict(test, pred_contribs=True)[:, :-1]).sum(axis=0)
        share = pd.Series(weight / weight.sum() if weight.sum() else weight, names)
        return Fit(auc_of(self.y, score), score, share if shap else None)

    def nothing(self) -> Fit:
        """The fit of no feature."""
        return Fit(0.5, np.zeros(len(self.y)))

    def surely_better(self, one: Fit, other: Fit) -> bool:
        """Whether an AUC is above another in 39 of 40 of the same bootstrap samples."""
        ranked = [rank(self.y, fit.score) for fit in (one, other)]
        gaps = [
            auc(ranked[0].sums(weights)) - auc(ranked[1].sums(weights))
            for weights in draws(len(self.y), n_boot=100, seed=self.seed)
        ]
        return bool(np.nanquantile(np.concatenate(gaps), 0.025) > 0)


def solo_auc(values: pd.Series, y: np.ndarray, fold: np.ndarray) -> float:
    """The AUC of a feature alone, at least 0.5.

    A number's order (missing at either end), or, if that is more, the share of outcomes in its
    30 bins or in its categories, learnt on the other folds; missing is a bin of its own.
    """
    found = [0.5]
    column = _typed(values)
    if isinstance(column.dtype, pd.CategoricalDtype):
        bins = column.cat.codes.to_numpy()
    else:
        number = column.to_numpy(float)
        gone = np.isnan(number)
        for end in (-np.inf, np.inf):
            plain = auc_of(y, np.where(gone, end, number))
            found += [plain, 1 - plain]
        fine = number[~gone]
        edges = np.quantile(fine, np.linspace(0, 1, N_SOLO_BINS + 1)[1:-1]) if len(fine) else []
        bins = np.where(gone, -1, np.searchsorted(np.unique(edges), number))
    bins = bins - bins.min()
    size = bins.max() + 1
    score = np.zeros(len(y))
    for one in np.unique(fold):
        others = fold != one
        n, hit = (np.bincount(bins[others], w, size) for w in (np.ones(others.sum()), y[others]))
        # Two rows at the overall rate keep a rare value from looking like knowledge.
        base = y[others].mean() if others.any() else 0.5
        score[~others] = ((hit + 2 * base) / (n + 2))[bins[~others]]
    return float(np.nanmax([*found, auc_of(y, score)]))


def _typed(values: pd.Series) -> pd.Series:
    values = values.reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(values):
        number = pd.Series(values.to_numpy(float, na_value=np.nan))
        return number.where(np.isfinite(number))
    if pd.api.types.is_datetime64_any_dtype(values):
        return ((values - values.min()) / pd.Timedelta(days=1)).astype(float)
    text = values.astype(object).where(values.notna(), None).map(str, na_action="ignore")
    top = text.value_counts().index[:MOST_LEVELS]
    kept = text.where(text.isin(top) | text.isna(), "(other)")
    return kept.astype(pd.CategoricalDtype(sorted(set(kept.dropna()))))
