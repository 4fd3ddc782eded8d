"""The blend: what each family says, weighed by what customers went on to buy.

What every family says is brought to [0, 1] and read twice: as it is, and as its logarithm.
The weights are those of a conditional logit (McFadden 1974) over the articles that some family
names high, none below 0, learnt where the families knew nothing of the purchases to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cdp_lib.activate.recommend_family import Family, top

FLOOR = 1e-3
MOST_LEARNT = 2_000  # customers to learn weights from
CANDIDATES = 25  # articles that each family names
CALM = 1.0  # penalty on the squared weights, in customers


@dataclass(frozen=True)
class Blend:
    """Weights of families. names: of the families. share, log: a weight per family."""

    names: tuple[str, ...]
    share: np.ndarray
    log: np.ndarray

    def table(self):
        """A row per family: family, share_weight, log_weight."""
        import pandas as pd

        return pd.DataFrame(
            {"family": self.names, "share_weight": self.share, "log_weight": self.log}
        )

    def score(self, scaled: Sequence[np.ndarray]) -> np.ndarray:
        """The blended scores, from what each family's `scaled` says; 0 where none says anything."""
        total = np.zeros_like(scaled[0])
        for values, share, log in zip(scaled, self.share, self.log, strict=True):
            if share:
                total += share * values
            if log:
                total += log * (np.log(values + FLOOR) - np.log(FLOOR))
        return total


def learn(
    families: Sequence[Family],
    rows: np.ndarray,
    later: object,
    owned: object | None = None,
    seed: int = 7,
) -> Blend:
    """Weights from customers `rows` and what they bought later.

    later: a sparse matrix of customers by articles, above 0 where the customer went on to buy.
    owned: likewise what they had, where lists leave that out.
    At most 2,000 customers are drawn; `seed` draws them. Without any the weights are equal.
    """
    n = len(families)
    names = tuple(family.name for family in families)
    rows = rows[np.diff(later[rows].indptr) > 0]
    if not len(rows):
        return Blend(names, np.full(n, 1 / n), np.full(n, 1 / n))
    if len(rows) > MOST_LEARNT:
        drawn = np.random.default_rng(seed).choice(len(rows), MOST_LEARNT, replace=False)
        rows = rows[np.sort(drawn)]
    blocks = [
        _block(families, part, later, owned) for part in np.array_split(rows, -(-len(rows) // 500))
    ]
    return Blend(names, *_fitted(blocks, n))


def _block(families, rows, later, owned):
    """Of some customers the features of candidates, which of them are one, and what was bought."""
    scores = [family.scaled(rows) for family in families]
    bought = np.asarray(later[rows].toarray(), "float32") > 0
    free = np.ones(bought.shape, bool) if owned is None else ~(owned[rows] > 0).toarray()
    bought &= free
    # What no family names high is never listed, whatever the weights.
    named = np.concatenate([top(values * free, CANDIDATES) for values in scores], axis=1)
    mask = np.zeros(bought.shape, bool)
    np.put_along_axis(mask, named, True, axis=1)
    row, column = np.nonzero(mask & free)
    features = np.stack(
        [values[row, column] for values in scores]
        + [np.log(values[row, column] + FLOOR) for values in scores],
        axis=1,
    )
    hit = bought[row, column].astype("float32")
    # Each customer counts once, however much they bought.
    per_row = np.bincount(row, hit, minlength=len(rows))
    hit /= np.maximum(per_row, 1.0)[row]
    return features, row, hit, (per_row > 0).astype(float)


def _fitted(blocks, n: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import minimize

    total = max(sum(counted.sum() for *_, counted in blocks), 1.0)

    def loss(weights):
        value, slope = CALM * (weights**2).sum(), 2 * CALM * weights
        for features, row, hit, counted in blocks:
            said = features @ weights
            largest = np.full(len(counted), -np.inf)
            np.maximum.at(largest, row, said)
            odds = np.exp(said - largest[row])
            sums = np.bincount(row, odds, minlength=len(counted))
            log_sum = np.log(sums) + largest
            value -= float((hit * (said - log_sum[row])).sum())
            chance = odds / sums[row] * counted[row]
            slope = slope + features.T @ (chance - hit)
        return value / total, slope / total

    start = np.full(2 * n, 0.5)
    best = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * (2 * n),
        options={"maxiter": 40},
    )  # fmt: skip
    return best.x[:n], best.x[n:]
