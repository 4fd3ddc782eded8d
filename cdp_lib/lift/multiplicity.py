"""Many comparisons at once: p-values as they count when one has looked at all of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def holm(pvalues: Iterable[float]) -> np.ndarray:
    """Adjusted p-values that hold the chance of any false finding (Holm 1979).

    A NaN stays NaN and counts as no comparison.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjusted(pvalues, lambda p, m: np.maximum.accumulate((m - np.arange(m)) * p))


def benjamini_hochberg(pvalues: Iterable[float]) -> np.ndarray:
    """Adjusted p-values that hold the share of false findings (Benjamini and Hochberg 1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    return _adjusted(
        pvalues, lambda p, m: np.minimum.accumulate((p * m / np.arange(1, m + 1))[::-1])[::-1]
    )


def _adjusted(pvalues: Iterable[float], rule) -> np.ndarray:
    given = np.asarray(list(pvalues), float)
    found = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    if len(known):
        order = known[np.argsort(given[known], kind="stable")]
        found[order] = np.minimum(rule(given[order], len(order)), 1.0)
    return found
