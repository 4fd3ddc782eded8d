"""What a treatment changes for each unit, learned from a randomised experiment.

`fit` learns from all rows and then speaks of units to come; `foretold` speaks of units by models
that have not seen them, which is what effects are judged with (`uplift_curves`). How they learn
stands in `uplift_learners`. In: arrays; a table is read by `predict.uplift_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.lift.uplift_learners import (
    PARTS,
    Sheet,
    ceiling,
    contributions,
    foretell,
    last_stage,
    predicted,
    s_learners,
)

if TYPE_CHECKING:
    import xgboost

FOLDS, TEACHING = 6, 2
FEWEST_UNITS = 200  # of each arm
FEWEST_HITS = 25  # outcomes above 0, of both arms together


@dataclass(frozen=True)
class Uplift:
    """A model of effects. effect_trees: the last stage. outcome_trees: the S-learners before it.
    ceiling: the outcome above which all was learned as this. n: rows learned from."""

    effect_trees: xgboost.Booster
    outcome_trees: tuple[xgboost.Booster, ...]
    ceiling: float
    n: int

    def effect(self, sheet: Sheet) -> np.ndarray:
        """How much treating a unit adds to its outcome, in the outcome's unit."""
        return predicted(self.effect_trees, sheet)

    def outcome(self, sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
        """The expected outcome of each unit, untreated and treated, by the S-learners."""
        return foretell(self.outcome_trees, sheet)

    def contributions(self, sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
        """SHAP values of the effect, (rows, columns), and its base; together they are `effect`."""
        return contributions(self.effect_trees, sheet)


@dataclass(frozen=True)
class Foretold:
    """What is said of units by models that have not seen them; arrays, a value a judged unit.

    at: the places of the judged units among all. effect: of being treated. untreated, treated: the
    expected outcomes. fold: of each unit; scores of one fold are by one model.
    """

    at: np.ndarray
    effect: np.ndarray
    untreated: np.ndarray
    treated: np.ndarray
    fold: np.ndarray

    def foreseen(self, share: np.ndarray | float) -> np.ndarray:
        """The expected outcome whatever the arm: what a response model would say."""
        return (1 - share) * self.treated + share * self.untreated


def fit(
    sheet: Sheet, treated: np.ndarray, y: np.ndarray, share: np.ndarray | float, seed: int = 7
) -> Uplift:
    """Learn the effect of a treatment that was drawn at random.

    treated: True or False a row. y: the outcome, 0 or 1, or an amount. share: the chance of being
    treated that was drawn, one for all or one a row, within (0, 1). Raises Refusal for values that
    cannot be used, and TooLittleData under 200 units in an arm or 25 outcomes above 0. With a fixed
    number of threads the same rows in the same order give the same model.
    """
    treated, y, share = checked(sheet, treated, y, share)
    top = ceiling(y)
    known = np.minimum(y, top)
    part = np.random.default_rng(seed).permutation(len(y)) % PARTS
    trees, *told = s_learners(sheet, treated, known, part, seed)
    last = last_stage(sheet, treated, known, share, tuple(told), seed)
    return Uplift(last, trees, top, len(y))


def foretold(
    sheet: Sheet,
    treated: np.ndarray,
    y: np.ndarray,
    share: np.ndarray | float,
    fold: np.ndarray,
    seed: int = 7,
) -> Foretold:
    """Tell the effects of each fold from TEACHING on by a model of the folds before it alone.

    fold: 0, 1, 2, … a unit, drawn at random; rows of one person belong in one fold. The folds
    before TEACHING only teach. Ordinary cross-fitting would let every fold teach every other; then
    a chance pattern that two halves share looks like skill in both, and the intervals are too
    narrow (Wager 2024, "Sequential validation of treatment heterogeneity", arXiv:2405.05534).
    Raises as `fit` does.
    """
    treated, y, share = checked(sheet, treated, y, share)
    fold = np.asarray(fold)
    parts = []
    for k in range(TEACHING, int(fold.max()) + 1):
        before, own = fold < k, fold == k
        model = fit(sheet.rows(before), treated[before], y[before], share[before], seed)
        rows = sheet.rows(own)
        parts.append((np.flatnonzero(own), model.effect(rows), *model.outcome(rows)))
    at, effect, untreated, later = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(at)
    at = at[order]
    return Foretold(at, effect[order], untreated[order], later[order], fold[at])


def checked(
    sheet: Sheet, treated: np.ndarray, y: np.ndarray, share: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arms as booleans, outcomes as floats and a share a row, or a Refusal."""
    treated, y = np.asarray(treated), np.asarray(y, float)
    share = np.broadcast_to(np.asarray(share, float), y.shape)
    n = len(sheet.x)
    if not len(treated) == len(y) == n:
        given = {"x": n, "treated": len(treated), "y": len(y)}
        raise Refusal("rows", given, "not as many of each", "give a value a row")
    if not np.isin(treated, (0, 1)).all():
        raise Refusal("treated", treated[:3].tolist(), "not True or False", "code the arm so")
    if not np.isfinite(y).all():
        n_bad = int((~np.isfinite(y)).sum())
        raise Refusal("y", n_bad, "outcomes that are no number", "leave those rows out")
    if not ((share > 0) & (share < 1)).all():
        raise Refusal("share", float(share.min()), "must lie in (0, 1)", "give the share treated")
    if not sheet.names:
        raise Refusal("x", 0, "no column to learn from", "give covariates known before the draw")
    treated = treated.astype(bool)
    n_treated, n_hits = int(treated.sum()), int((y != 0).sum())
    if min(n_treated, n - n_treated) < FEWEST_UNITS:
        raise TooLittleData(
            "arms", (n_treated, n - n_treated), f"fewer than {FEWEST_UNITS} units in an arm",
            "wait for a larger experiment",
        )  # fmt: skip
    if n_hits < FEWEST_HITS:
        raise TooLittleData(
            "outcome", n_hits, f"fewer than {FEWEST_HITS} units with an outcome",
            "take an outcome that comes more often",
        )  # fmt: skip
    return treated, y, share
