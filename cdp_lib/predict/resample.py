"""Bootstrap draws by customer, as weights, so that a statistic is computed for many at once."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

CELLS = 4_000_000  # weights held at a time, 32 MB


def draws(n: int, ids=None, n_boot: int = 500, seed: int = 7) -> Iterator[np.ndarray]:
    """How often each row stands in each bootstrap sample, in blocks of samples.

    n: rows; ids: the customer of each row (None: each row is one); a customer's rows come
    together. Yields arrays (some samples, n) of float weights; all blocks make n_boot samples.
    Deterministic in the seed. Source: Field and Welsh (2007),
    doi:10.1111/j.1467-9868.2007.00593.x (the cluster bootstrap).
    """
    rng = np.random.default_rng(seed)
    codes = None if ids is None else pd.factorize(np.asarray(ids))[0]
    n_people = n if codes is None else int(codes.max()) + 1
    block = max(1, CELLS // max(n, 1))
    for start in range(0, n_boot, block):
        size = min(block, n_boot - start)
        drawn = rng.integers(0, n_people, (size, n_people))
        drawn += np.arange(size)[:, None] * n_people
        weights = np.bincount(drawn.ravel(), minlength=size * n_people).astype(float)
        weights = weights.reshape(size, n_people)
        yield weights if codes is None else weights[:, codes]


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap values; NaN when fewer than nine in ten are defined."""
    fine = values[np.isfinite(values)]
    if len(fine) < 0.9 * len(values) or not len(fine):
        return np.nan, np.nan
    low, high = np.quantile(fine, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
