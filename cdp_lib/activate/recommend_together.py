"""What others with the same purchases bought: EASE, the cosine of articles, or implicit ALS.

EASE (Steck 2019, arXiv 1905.03375, equation 8) is a linear model that foretells each article from
all others: with G = X'X + λI and P its inverse, B = I − P / diag(P). The cosine of two articles is
that of their columns. Implicit ALS (Hu, Koren and Volinsky 2008, ICDM) gives every customer and
every article a few factors whose product is near 1 where they met, the surer the more often. All
are learnt from all purchases, a pair counting log(1 + orders), and asked with the customer's fresh
ones, the root of their faded counts.
"""

from __future__ import annotations

import numpy as np

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.seen import Seen
from cdp_lib.checks import above

EASE_SHARES = (0.3, 1.0, 3.0)  # λ, in units of the mean number of buyers of an article
NEAREST = 100
# Factors, and how much surer a purchase is than no purchase. Thin data want few factors and much
# weight, rich data more factors and little weight.
ALS = ((8, 10.0), (32, 1.0))
ROUNDS = 15


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


def als_factors(x: object, factors: int, weight: float, seed: int = 7) -> object:
    """implicit's ALS fitted to a sparse matrix of customers by articles; `weight` of a purchase.

    The ridge is a tenth of the weight. The same seed gives the same factors.
    """
    above("weight", weight, 0)
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # its own threads and those of BLAS fight
        model = AlternatingLeastSquares(
            factors=factors, alpha=weight, regularization=weight / 10, iterations=ROUNDS,
            num_threads=1, random_state=seed,
        )  # fmt: skip
        model.fit(sparse.csr_matrix(x), show_progress=False)
    return model


def fit(seen: Seen, goods: Goods, kind: str = "ease 1") -> Family:
    """A collaborative family of one kind: "cosine", "ease" and λ over the mean of buyers, or "als"
    with its factors and the weight of a purchase."""
    x, asked = taste(seen), seen.fresh.sqrt()
    name, *numbers = kind.split()
    if name == "als":
        return _als(x, asked, int(numbers[0]), float(numbers[1]))
    if name == "cosine":
        weights, how = cosine_weights(x), "cosine of articles"
    else:
        mean = max(float(x.multiply(x).sum()) / max(x.shape[1], 1), 1e-6)
        ridge = float(numbers[0]) * mean
        weights, how = ease_weights(x, ridge), f"EASE with λ = {ridge:,.0f}"

    def score(rows: np.ndarray) -> np.ndarray:
        return np.maximum(dense(asked[rows] @ weights), 0.0)

    return Family("together", score, how)


def _als(x, asked, factors: int, weight: float) -> Family:
    from scipy import sparse

    model = als_factors(x, factors, weight)

    def score(rows: np.ndarray) -> np.ndarray:
        theirs = sparse.csr_matrix(asked[rows])
        mine = model.recalculate_user(np.arange(len(rows)), theirs)
        # Without a purchase the factors are all 0, and so are the scores.
        return np.maximum(mine @ model.item_factors.T, 0.0)

    return Family("together", score, f"implicit ALS with {factors} factors")


KINDS = (
    "cosine",
    *(f"ease {share:g}" for share in EASE_SHARES),
    *(f"als {factors} {weight:g}" for factors, weight in ALS),
)
