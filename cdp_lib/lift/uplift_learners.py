"""Boosted trees that learn from a randomised experiment: what would come, and what it changes.

Two stages. An S-learner, cross-fitted, foretells each unit's outcome untreated and treated. A calm
last stage then learns the difference from pseudo-outcomes whose error has mean 0, because the
chance of treatment is known (the DR-learner: Kennedy 2023, doi:10.1214/23-EJS2157; S-learner:
Künzel et al. 2019, doi:10.1073/pnas.1804597116). The pseudo-outcome's noisy part is halved where
rows are few and nearly whole where they are many, so that the last stage leans on the S-learner
only as long as it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xgboost

MANY = 200_000  # rows from which the last stage is at its fullest
PARTS = 3  # of the inner cross-fit
OUTCOME = {"max_depth": 3, "learning_rate": 0.1, "n_trees": 100}
EFFECT = {"max_depth": 2, "learning_rate": 0.03}
FEWEST, MOST = 100, 200  # trees of the last stage
TRUSTED = 0.5, 0.8  # share of the noisy part
CAPPED = 0.995  # of the outcomes above 0: what lies higher is learned as this


@dataclass(frozen=True)
class Sheet:
    """What learners read: `x`, float32, a row a unit and NaN for missing (categories as codes);
    `names` and `types` of its columns, as XGBoost takes them ("q" or "c"); threads to work on."""

    x: np.ndarray
    names: tuple[str, ...]
    types: tuple[str, ...]
    threads: int = 2

    def rows(self, which: np.ndarray) -> Sheet:
        """Some of the rows."""
        return Sheet(self.x[which], self.names, self.types, self.threads)

    def with_arm(self, treated: np.ndarray | float) -> Sheet:
        """The same with the arm as one more column."""
        arm = np.broadcast_to(np.asarray(treated, np.float32), (len(self.x),))
        x = np.column_stack([self.x, arm])
        return Sheet(x, (*self.names, "treated?"), (*self.types, "q"), self.threads)


def grow(
    sheet: Sheet, y: np.ndarray, n_trees: int, seed: int, least: float, **shape
) -> xgboost.Booster:
    """Trees of least squares on `y`; least: rows that a leaf must hold."""
    import xgboost

    matrix = xgboost.QuantileDMatrix(
        sheet.x, label=y, feature_names=list(sheet.names), feature_types=list(sheet.types),
        enable_categorical=True, max_bin=64, nthread=sheet.threads,
    )  # fmt: skip
    given = {
        "objective": "reg:squarederror", "tree_method": "hist", "max_bin": 64, "subsample": 0.8,
        "colsample_bytree": 0.8, "lambda": 1.0, "max_cat_to_onehot": 8, "min_child_weight": least,
        "base_score": float(np.mean(y)), "nthread": sheet.threads, "seed": seed, **shape,
    }  # fmt: skip
    return xgboost.train(given, matrix, n_trees)


def predicted(booster: xgboost.Booster, sheet: Sheet) -> np.ndarray:
    """What the trees say of each row, float64."""
    return booster.predict(_plain(sheet)).astype("float64")


def contributions(booster: xgboost.Booster, sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
    """Exact SHAP values, (rows, columns), and the base of each row; together they are `predicted`.

    Source: TreeSHAP, Lundberg et al. (2020) doi:10.1038/s42256-019-0138-9.
    """
    found = booster.predict(_plain(sheet), pred_contribs=True, strict_shape=True)
    found = found[:, 0, :].astype("float64")
    return found[:, :-1], found[:, -1]


def foretell(
    trees: Sequence[xgboost.Booster], sheet: Sheet
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The outcome of each unit untreated and treated: the mean of some S-learners."""
    sides = (sheet.with_arm(0.0), sheet.with_arm(1.0))
    untreated, treated = (
        np.mean([predicted(one, side) for one in trees], axis=0) for side in sides
    )
    return untreated, treated


def s_learners(
    sheet: Sheet, treated: np.ndarray, y: np.ndarray, part: np.ndarray, seed: int
) -> tuple[tuple[xgboost.Booster, ...], np.ndarray, np.ndarray]:
    """An S-learner per part, grown on the other parts, and what each says of its own part.

    Out: the learners; the outcomes untreated and treated of every row, by one that has not seen it.
    """
    least, untreated, later = leaf_rows(len(y)), np.empty(len(y)), np.empty(len(y))
    trees = []
    for k in np.unique(part):
        inside = part == k
        learned = sheet.rows(~inside).with_arm(treated[~inside])
        trees.append(grow(learned, y[~inside], seed=seed, least=least, **OUTCOME))
        untreated[inside], later[inside] = foretell(trees[-1:], sheet.rows(inside))
    return tuple(trees), untreated, later


def last_stage(
    sheet: Sheet,
    treated: np.ndarray,
    y: np.ndarray,
    share: np.ndarray | float,
    told: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> xgboost.Booster:
    """The calm last stage of the DR-learner. told: outcomes untreated and treated, cross-fitted."""
    untreated, later = told
    seen = np.where(treated, later, untreated)
    surprise = (y - seen) * (treated - share) / (share * (1 - share))
    full = min(1.0, len(y) / MANY)
    target = later - untreated + (TRUSTED[0] + full * (TRUSTED[1] - TRUSTED[0])) * surprise
    n_trees = round(FEWEST + full * (MOST - FEWEST))
    return grow(sheet, target, n_trees, seed, 2 * leaf_rows(len(y)), **EFFECT)


def leaf_rows(n: int) -> float:
    """Rows that a leaf must hold: a four-hundredth, between 10 and 50."""
    return float(np.clip(n / 400, 10, 50))


def ceiling(y: np.ndarray) -> float:
    """Above this an outcome is learned as if it were this; infinite for one of two values.

    Few single orders must not bend the trees. Effects are judged on the outcomes as they are.
    """
    positive = y[y > 0]
    return np.inf if len(np.unique(positive[:1000])) < 3 else float(np.quantile(positive, CAPPED))


def _plain(sheet: Sheet) -> xgboost.DMatrix:
    import xgboost

    return xgboost.DMatrix(
        sheet.x, feature_names=list(sheet.names), feature_types=list(sheet.types),
        enable_categorical=True, nthread=sheet.threads,
    )  # fmt: skip
