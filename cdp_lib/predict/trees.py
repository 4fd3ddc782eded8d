"""Gradient-boosted trees: a small seeded search, stopped early on a later cutoff.

XGBoost (Chen and Guestrin 2016, doi:10.1145/2939672.2939785), histogram trees, categories and
missing values as they are. With a fixed number of threads the same rows give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdp_lib.predict.columns import Columns

if TYPE_CHECKING:
    import xgboost

# Shallow and slow to split first: most outcomes of a shop have a faint signal.
CANDIDATES = (
    {"max_depth": 3, "min_child_weight": 5.0, "colsample_bytree": 0.6},
    {"max_depth": 4, "min_child_weight": 20.0, "colsample_bytree": 0.6},
    {"max_depth": 5, "min_child_weight": 40.0, "colsample_bytree": 0.4},
    {"max_depth": 2, "min_child_weight": 5.0, "colsample_bytree": 0.8},
)
SEARCH_RATE, FINAL_RATE = 0.15, 0.05
MOST_TREES, PATIENCE = 1000, 30


@dataclass(frozen=True)
class Trees:
    """Fitted trees: the booster, cut after its best tree; its parameters; its log loss on choose;
    and (parameters, log loss) of everything that was tried."""

    booster: xgboost.Booster
    parameters: dict
    log_loss: float
    tried: tuple[tuple[dict, float], ...]


def library():
    """XGBoost, imported where it is first needed."""
    import xgboost

    return xgboost


def data_matrix(
    columns: Columns, x: np.ndarray, label: np.ndarray | None = None, threads: int = 2
) -> xgboost.DMatrix:
    """The matrix of `Columns.matrix` as XGBoost takes it."""
    return library().DMatrix(
        x,
        label=label,
        feature_names=list(columns.names),
        feature_types=columns.types,
        enable_categorical=True,
        nthread=threads,
    )


def grow(
    columns: Columns,
    train: tuple[np.ndarray, np.ndarray],
    choose: tuple[np.ndarray, np.ndarray],
    seed: int,
    threads: int,
) -> Trees:
    """Search the candidates fast, then grow the best one slowly.

    train, choose: (matrix, labels). Each growth stops when the log loss on `choose` has not
    fallen for PATIENCE trees.
    """
    xgb = library()
    fit = data_matrix(columns, *train, threads)
    watch = data_matrix(columns, *choose, threads)

    def grown(parameters: dict, rate: float) -> tuple[xgboost.Booster, float]:
        given = {
            "objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist",
            "max_bin": 128, "subsample": 0.8, "lambda": 2.0, "max_cat_to_onehot": 8,
            "learning_rate": rate, "nthread": threads, "seed": seed, **parameters,
        }  # fmt: skip
        booster = xgb.train(
            given, fit, MOST_TREES, evals=[(watch, "choose")], verbose_eval=False,
            early_stopping_rounds=PATIENCE,
        )  # fmt: skip
        return booster, float(booster.best_score)

    tried = [(parameters, grown(parameters, SEARCH_RATE)[1]) for parameters in CANDIDATES]
    best = min(tried, key=lambda pair: pair[1])[0]
    booster, loss = grown(best, FINAL_RATE)
    return Trees(sliced(booster), {**best, "learning_rate": FINAL_RATE}, loss, tuple(tried))


def sliced(booster: xgboost.Booster) -> xgboost.Booster:
    """The booster up to its best tree, without the marks of the search."""
    cut = booster[: booster.best_iteration + 1]
    cut.set_attr(best_iteration=None, best_score=None)
    return cut


def margins(booster: xgboost.Booster, columns: Columns, x: np.ndarray, threads: int) -> np.ndarray:
    """Log odds of each row, float64."""
    matrix = data_matrix(columns, x, threads=threads)
    return booster.predict(matrix, output_margin=True).astype("float64")
