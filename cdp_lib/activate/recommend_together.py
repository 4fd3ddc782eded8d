"""What others with the same purchases bought: EASE, or the cosine of articles.

EASE (Steck 2019, arXiv 1905.03375, equation 8) is a linear model that foretells each article from
all others: with G = X'X + λI and P its inverse, B = I − P / diag(P). The cosine of two articles is
that of their columns. Both are learnt from all purchases, a pair counting log(1 + orders), and
asked with the customer's fresh ones, the root of their faded counts.
"""

from __future__ import annotations

import numpy as np

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.seen import Seen
from cdp_lib.checks import above

EASE_SHARES = (0.3, 1.0, 3.0)  # λ, in units of the mean number of buyers of an article
NEAREST = 100


def taste(seen: Seen) -> object:
    """Customers by articles, each pair counting log(1 + orders)."""
    return seen.bought.log1p()


def ease_weights(x: object, ridge: float) -> np.ndarray:
    """B of EASE for a sparse matrix of customers by articles; `ridge` is λ. Raises Refusal for
    λ of 0 or less."""
    above("ridge", ridge, 0)
    from scipy import linalg

    gram = np.asarray((x.T @ x).toarray(), "float64")
    gram[np.diag_indices_from(gram)] += ridge
    # Symmetric and positive: half the work of a general inverse.
    inverse, failed = linalg.lapack.dpotri(linalg.cholesky(gram, lower=True), lower=1)
    if failed:
        raise ArithmeticError("the matrix of articles has no inverse")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights.astype("float32")


def cosine_weights(x: object, nearest: int = NEAREST) -> object:
    """The cosine of each article with its `nearest` ones, a sparse matrix; itself is left out."""
    from scipy import sparse

    norm = np.sqrt(np.asarray(x.multiply(x).sum(axis=0)).ravel())
    unit = x.multiply(np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)).tocsr()
    near = (unit.T @ unit).toarray()
    np.fill_diagonal(near, 0.0)
    if nearest < near.shape[1]:
        least = -np.partition(-near, nearest - 1, axis=0)[nearest - 1]
        near[near < least] = 0.0
    return sparse.csr_array(near.astype("float32"))


def fit(seen: Seen, goods: Goods, kind: str = "ease 1") -> Family:
    """A collaborative family of one kind: "cosine", or "ease" and λ over the mean of buyers."""
    x, asked = taste(seen), seen.fresh.sqrt()
    if kind == "cosine":
        weights, how = cosine_weights(x), "cosine of articles"
    else:
        mean = max(float(x.multiply(x).sum()) / max(x.shape[1], 1), 1e-6)
        ridge = float(kind.split()[1]) * mean
        weights, how = ease_weights(x, ridge), f"EASE with λ = {ridge:,.0f}"

    def score(rows: np.ndarray) -> np.ndarray:
        return np.maximum(dense(asked[rows] @ weights), 0.0)

    return Family("together", score, how)


KINDS = ("cosine", *(f"ease {share:g}" for share in EASE_SHARES))
