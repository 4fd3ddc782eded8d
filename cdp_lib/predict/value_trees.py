"""Boosted trees that forecast what a customer brings, from the profile at an earlier cutoff.

The outcome is mostly 0 and else spread wide, so the trees minimise Tweedie's deviance (Jørgensen
1987; power between a Poisson count and a Gamma amount). Values below 0, of those who pay back more
than they buy, are learned as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData
from cdp_lib.customers import buying, profile
from cdp_lib.customers.ages import Span
from cdp_lib.customers.backtest import happened
from cdp_lib.customers.features import WINDOWS, written
from cdp_lib.customers.part import Part
from cdp_lib.predict.columns import Columns, read_columns
from cdp_lib.predict.roles import role_of
from cdp_lib.predict.trees import data_matrix, library
from cdp_lib.tables import Shop

if TYPE_CHECKING:
    import xgboost

FEATURES = ("orders", "all")
POWERS = (1.5, 1.2)
MOST_TREES, PATIENCE, RATE = 300, 20, 0.1
LOOKBACK_DAYS = 365
LEAST_CUSTOMERS = 200


@dataclass(frozen=True)
class ValueTrees:
    """Fitted trees: the booster, its columns, the features they were made of ("orders" or "all"),
    the mean value of those learned from, and Tweedie's power."""

    booster: xgboost.Booster
    columns: Columns
    features: str
    mean: float
    power: float

    def predict(self, shop: Shop, among: Table, cutoff: datetime, ids: pd.Series) -> np.ndarray:
        """The value expected of each of these customers (of `among`) after a cutoff."""
        frame = features_at(shop, among, cutoff, self.features)
        frame = frame.set_index("customer_id").reindex(ids).reset_index()
        matrix = data_matrix(self.columns, self.columns.matrix(frame))
        return self.booster.predict(matrix).astype("float64")


def fit(
    shop: Shop,
    among: Table,
    cutoff: datetime,
    horizon_days: float,
    kind: str = "margin",
    features: str = "orders",
    seed: int = 7,
    threads: int = 2,
) -> ValueTrees:
    """Learn from the customers of `among` what they brought in the horizon after a cutoff.

    The number of trees and Tweedie's power are chosen by the squared error on the customers of the
    role "choose". Raises TooLittleData for fewer than 200 customers or none who brought anything.
    """
    frame = features_at(shop, among, cutoff, features)
    came = happened(shop, cutoff, horizon_days, kind).semi_join(among, "customer_id")
    value = came.to_pandas().set_index("customer_id").value.reindex(frame.customer_id)
    y = np.maximum(value.fillna(0.0).to_numpy(float), 0.0)
    if len(y) < LEAST_CUSTOMERS or not y.any():
        raise TooLittleData(
            "orders", len(y), f"fewer than {LEAST_CUSTOMERS} customers to learn from, or none who "
            "brought anything", "take a longer history",
        )  # fmt: skip
    columns, _aside = read_columns(frame, [c for c in frame.columns if c != "customer_id"])
    x, watched = columns.matrix(frame), role_of(frame.customer_id, seed) == "choose"
    xgb = library()
    parts = [data_matrix(columns, x[m], y[m], threads) for m in (~watched, watched)]
    best = None
    for power in POWERS:
        given = {
            "objective": "reg:tweedie", "tweedie_variance_power": power, "eval_metric": "rmse",
            "max_depth": 3, "min_child_weight": 10.0, "subsample": 0.8, "colsample_bytree": 0.6,
            "lambda": 2.0, "learning_rate": RATE, "tree_method": "hist", "max_bin": 128,
            "nthread": threads, "seed": seed,
        }  # fmt: skip
        grown = xgb.train(
            given, parts[0], MOST_TREES, evals=[(parts[1], "choose")], verbose_eval=False,
            early_stopping_rounds=PATIENCE,
        )  # fmt: skip
        if best is None or grown.best_score < best[0]:
            best = grown.best_score, given, grown.best_iteration + 1
    _loss, given, n_trees = best
    booster = xgb.train(given, data_matrix(columns, x, y, threads), n_trees)
    return ValueTrees(booster, columns, features, float(y.mean()), given["tweedie_variance_power"])


def features_at(shop: Shop, among: Table, cutoff: datetime, features: str) -> pd.DataFrame:
    """The features of these customers at a cutoff, a row each, in the order of their ids.

    features: "all" of the profile, or "orders": those of its block on orders alone.
    """
    if features == "all":
        table = profile.as_of(shop, cutoff, LOOKBACK_DAYS, among)
    else:
        past = shop.at(cutoff)
        span = Span(past.as_of, LOOKBACK_DAYS)
        sums = buying.sums(Part(past, among), WINDOWS, span)
        formulas = buying.formulas(past.given("orders"), WINDOWS, span)
        table = sums.select("customer_id", **written(sums, formulas))
    return table.to_pandas().sort_values("customer_id", ignore_index=True)
