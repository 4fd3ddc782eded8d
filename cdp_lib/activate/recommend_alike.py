"""What customers with the same tastes bought: the nearest neighbours of a customer.

Nearness is the cosine of two customers over what they bought and looked at, an article weighing
less the more people have it, and over the categories and brands of it.
"""

from __future__ import annotations

import numpy as np

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.seen import Seen

NEIGHBOURS = 100
MOST_ASKED = 3_000  # customers who can be a neighbour: the latest buyers


def fit(seen: Seen, goods: Goods, neighbours: int = NEIGHBOURS, most: int = MOST_ASKED) -> Family:
    """The purchases of the `neighbours` nearest of the `most` latest buyers, by nearness."""
    places = _places(seen, goods)
    freshest = np.asarray(seen.fresh.sum(axis=1)).ravel()
    asked = np.flatnonzero(freshest > 0)
    asked = asked[np.argsort(-freshest[asked], kind="stable")[:most]]
    taught, theirs = places[asked].T.tocsr(), seen.fresh[asked]
    place_of = np.full(len(seen), -1)
    place_of[asked] = np.arange(len(asked))
    k = min(neighbours, len(asked))

    def score(rows: np.ndarray) -> np.ndarray:
        if not k:
            return np.zeros((len(rows), len(goods)), "float32")
        near = dense(places[rows] @ taught)
        own = place_of[rows]
        near[np.flatnonzero(own >= 0), own[own >= 0]] = 0.0  # nobody is their own neighbour
        if k < near.shape[1]:
            least = -np.partition(-near, k - 1, axis=1)[:, k - 1]
            near[near < np.maximum(least, 1e-9)[:, None]] = 0.0
        from scipy import sparse

        return dense(sparse.csr_array(near) @ theirs)

    return Family("alike", score, f"{k} neighbours of {len(asked):,} buyers")


def _places(seen: Seen, goods: Goods):
    """Customers as unit vectors over articles, categories and brands."""
    from scipy import sparse

    acts = seen.bought.log1p() + 0.2 * seen.viewed.log1p()
    held = np.diff(acts.tocsc().indptr)
    rare = np.log1p(len(seen) / np.maximum(held, 1)).astype("float32")
    blocks = [_unit((acts * rare).tocsr())]
    for name in ("category", "brand"):
        told = goods.kinds(name)
        if told is not None:
            blocks.append(_unit((acts @ told[1]).tocsr()))
    return _unit(sparse.hstack(blocks, format="csr"))


def _unit(x):
    """Rows of length 1; an empty row stays empty."""
    length = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return (x * scale[:, None]).tocsr().astype("float32")
