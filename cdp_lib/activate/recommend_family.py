"""What every family of recommendations is: scores of all articles for some customers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

TITLES = {
    "popular": "Popular (baseline)",
    "repeat": "Repeat purchase",
    "looked": "Looked at lately",
    "together": "Collaborative",
    "alike": "Similar customers",
    "content": "Content",
    "complement": "Complementary",
    "blend": "Blend of all",
}


@dataclass(frozen=True)
class Family:
    """One way to recommend, fitted.

    name: a key of `TITLES`. score: from row numbers of `Seen` to an array (rows, articles) of
    scores >= 0, larger first; 0 where the family has nothing to say. how: what was fitted. counts:
    the scores are counts that mean the same for every customer; else only their order and their
    ratio within a customer's scores mean anything.
    """

    name: str
    score: Callable[[np.ndarray], np.ndarray]
    how: str = ""
    counts: bool = False

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Scores in [0, 1]: a count s as s / (1 + s), another as a share of the customer's best."""
        scores = self.score(rows)
        if self.counts:
            return scores / (1 + scores)
        largest = scores.max(axis=1, keepdims=True)
        return np.divide(scores, largest, out=np.zeros_like(scores), where=largest > 0)


def dense(matrix: object) -> np.ndarray:
    """Rows of a sparse matrix, or of a product of two, as plain numbers of 32 bits."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, "float32")


def top(scores: np.ndarray, n: int) -> np.ndarray:
    """The columns of the n largest scores of each row, best first; ties by column."""
    n = min(n, scores.shape[1])
    # Partition first: a sort of every row would cost more than the scores.
    near = np.sort(np.argpartition(-scores, n - 1, axis=1)[:, :n], axis=1)
    order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)
