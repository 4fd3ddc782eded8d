"""What an order of customers is worth: AUC, precision and outcomes found, ties shared fairly.

Every function takes weights, a row per bootstrap sample, and gives a value per sample. Rows with
equal scores share a place: half a pair each in the AUC, pro rata at the edge of a contact list.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.checks import Refusal


@dataclass(frozen=True)
class Ranked:
    """Rows by falling score: `order` of the rows, `starts` of the runs of equal score in it,
    and `hit` (1 where the outcome came), in that order."""

    order: np.ndarray
    starts: np.ndarray
    hit: np.ndarray

    def sums(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight, and weight of hits, of each run of equal score: (samples, runs) both."""
        placed = weights[:, self.order]
        hits = placed * self.hit
        if len(self.starts) == len(self.order):
            return placed, hits
        return (
            np.add.reduceat(placed, self.starts, axis=1),
            np.add.reduceat(hits, self.starts, axis=1),
        )


def rank(y, score) -> Ranked:
    """Order rows by falling score. y: 0 or 1 a row; score: a number a row, none missing."""
    y, score = outcomes(y), np.asarray(score, float)
    if score.shape != y.shape:
        raise Refusal("score", score.shape, f"not a number for each of {len(y)} rows", "give one")
    if np.isnan(score).any():
        raise Refusal("score", int(np.isnan(score).sum()), "missing values", "say where they stand")
    order = np.argsort(-score, kind="stable")
    placed = score[order]
    starts = np.flatnonzero(np.r_[True, placed[1:] != placed[:-1]])
    return Ranked(order, starts, y[order])


def outcomes(y) -> np.ndarray:
    """The outcomes as floats 0 and 1; raises Refusal for anything else, and for no row."""
    y = np.asarray(y, float)
    if y.ndim != 1 or not len(y):
        raise Refusal("y", y.shape, "not a row of outcomes", "give 0 or 1 for each customer")
    if not np.isin(y, (0.0, 1.0)).all():
        odd = y[~np.isin(y, (0.0, 1.0))][0]
        raise Refusal("y", float(odd), "an outcome is 0 or 1", "map the target to 0 and 1 first")
    return y


def auc(sums: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The share of pairs (one with the outcome, one without) in the right order; NaN for none."""
    weight, hit = sums
    miss = weight - hit
    n_hit, n_miss = hit.sum(axis=1), miss.sum(axis=1)
    below = n_miss[:, None] - np.cumsum(miss, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (hit * (below + miss / 2)).sum(axis=1) / (n_hit * n_miss)


def average_precision(sums: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The precision at each threshold, averaged over the outcomes found there (PR-AUC)."""
    weight, hit = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.cumsum(hit, axis=1) / np.cumsum(weight, axis=1)
        return np.nansum(hit * precision, axis=1) / hit.sum(axis=1)


def caught(sums: tuple[np.ndarray, np.ndarray], share: float) -> np.ndarray:
    """The outcomes expected among the first `share` of the weight, ties in random order.

    In the units of the weights: for weights of 1 a number of customers.
    """
    weight, hit = sums
    reach = np.cumsum(weight, axis=1)
    room = share * reach[:, -1]
    last = np.minimum((reach < room[:, None]).sum(axis=1), weight.shape[1] - 1)
    at = np.arange(len(weight))
    before = reach[at, last] - weight[at, last]
    found = np.cumsum(hit, axis=1)[at, last] - hit[at, last]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(weight[at, last] > 0, (room - before) / weight[at, last], 0.0)
    return found + hit[at, last] * part


def auc_of(y, score) -> float:
    """The AUC of one score. y: 0 or 1 a row; NaN when only one of them occurs.

    >>> auc_of([0, 1, 1, 0], [1, 2, 2, 2])
    0.75
    """
    ranked = rank(y, score)
    return float(auc(ranked.sums(np.ones((1, len(ranked.hit)))))[0])


def auc_with_error(label: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """The area under the ROC curve and its standard error; ties count half.

    By placements: DeLong, DeLong and Clarke-Pearson (1988) doi:10.2307/2531595. NaN where a class
    has fewer than two rows.
    """
    label = np.asarray(label).astype(bool)
    hits, misses = np.sort(score[label]), np.sort(score[~label])
    if len(hits) < 2 or len(misses) < 2:
        return float("nan"), float("nan")
    below = _below(misses, hits) / len(misses)
    above = 1 - _below(hits, misses) / len(hits)
    variance = below.var(ddof=1) / len(hits) + above.var(ddof=1) / len(misses)
    return float(below.mean()), float(np.sqrt(variance))


def _below(others: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of the sorted others lie below each value, ties as half."""
    left = np.searchsorted(others, values, "left")
    return (left + np.searchsorted(others, values, "right")) / 2
