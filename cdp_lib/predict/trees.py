"""Gradient-boosted trees: a small seeded search, stopped early on a later cutoff.

XGBoost (Chen and Guestrin 2016, doi:10.1145/2939672.2939785), histogram trees, categories and
missing values as they are. With a fixed number of threads the same rows give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdp_lib.predict.columns import Columns
from cdp_lib.predict.logistic import row_losses

if TYPE_CHECKING:
    import xgboost

# Shallow trees: most outcomes of a shop have a faint signal. The first is used unless another is
# better by more than chance, since `choose` is small and its least loss is partly luck.
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
    """Fitted trees: the booster, which learned from train and choose; its parameters; the log odds
    on choose by as many trees that learned from train alone; and (parameters, log loss there) of
    everything that was tried."""

    booster: xgboost.Booster
    parameters: dict
    on_choose: np.ndarray
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
    """Search the candidates fast, grow the best one slowly, then as many trees on all rows.

    train, choose: (matrix, labels). Each growth but the last stops when the log loss on `choose`
    has not fallen for PATIENCE trees.
    """
    xgb = library()
    fit = data_matrix(columns, *train, threads)
    watch = data_matrix(columns, *choose, threads)
    both = (np.concatenate(parts) for parts in zip(train, choose, strict=True))
    whole = data_matrix(columns, *both, threads)

    def given(parameters: dict, rate: float) -> dict:
        return {
            "objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist",
            "max_bin": 128, "subsample": 0.8, "lambda": 2.0, "max_cat_to_onehot": 8,
            "learning_rate": rate, "nthread": threads, "seed": seed, **parameters,
        }  # fmt: skip

    def grown(parameters: dict, rate: float) -> tuple[int, np.ndarray]:
        """How many trees are best, and their log odds on `choose`."""
        booster = xgb.train(
            given(parameters, rate), fit, MOST_TREES, evals=[(watch, "choose")],
            verbose_eval=False, early_stopping_rounds=PATIENCE,
        )  # fmt: skip
        n_trees = booster.best_iteration + 1
        return n_trees, margins(booster[:n_trees], columns, choose[0], threads)

    losses = [row_losses(choose[1], grown(one, SEARCH_RATE)[1]) for one in CANDIDATES]
    best = CANDIDATES[least_beyond_chance(losses)]
    n_trees, on_choose = grown(best, FINAL_RATE)
    booster = xgb.train(given(best, FINAL_RATE), whole, n_trees)
    tried = tuple((one, float(loss.mean())) for one, loss in zip(CANDIDATES, losses, strict=True))
    return Trees(booster, {**best, "learning_rate": FINAL_RATE}, on_choose, tried)


def least_beyond_chance(losses: Sequence[np.ndarray]) -> int:
    """Which has the least mean of paired losses, or 0 where it is within a standard error of the
    first (the one-standard-error rule of Breiman et al. 1984, section 3.4.3)."""
    best = int(np.argmin([loss.mean() for loss in losses]))
    gain = losses[0] - losses[best]
    return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else 0


def margins(booster: xgboost.Booster, columns: Columns, x: np.ndarray, threads: int) -> np.ndarray:
    """Log odds of each row, float64."""
    matrix = data_matrix(columns, x, threads=threads)
    return booster.predict(matrix, output_margin=True).astype("float64")


def device() -> str:
    """Where trees are explained: "cuda" with XGBoost's build for GPUs, which goes back to the
    processor by itself where it sees none, else "cpu"."""
    return "cuda" if library().build_info().get("USE_CUDA") else "cpu"


def shap_values(booster: xgboost.Booster, matrix: xgboost.DMatrix) -> np.ndarray:
    """XGBoost's own exact TreeSHAP in log odds: (rows, 1, features and the base value)."""
    place, asked = device(), {"pred_contribs": True, "strict_shape": True}
    if place != "cpu":
        try:
            booster.set_param({"device": place})
            return booster.predict(matrix, **asked)
        except library().core.XGBoostError:
            pass  # a GPU that is full, or that cannot take these trees: the processor can
        finally:
            booster.set_param({"device": "cpu"})
    return booster.predict(matrix, **asked)
