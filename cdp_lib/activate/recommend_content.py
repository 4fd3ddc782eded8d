"""What is like that which the customer looked at and bought: category, brand and price band.

A customer's share of each value of an attribute is shrunk towards the shop's, and an article is
scored by the shop's share of it times how much more of each of its values the customer takes than
the shop: P(article | customer) of a naive Bayes over attributes. How far to shrink is learnt from
the spread of customers, by Dirichlet-multinomial moments (Mosimann 1962, Biometrika 49).
"""

from __future__ import annotations

import numpy as np

from cdp_lib.activate.goods import ATTRIBUTES, Goods
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.recommend_popular import shares
from cdp_lib.activate.seen import Seen

VIEW_WEIGHT = 0.3  # a fresh product view, in purchases


def fit(seen: Seen, goods: Goods, view_weight: float = VIEW_WEIGHT) -> Family:
    """Articles by the attributes of what the customer bought and, weighing less, looked at."""
    overall = shares(seen)
    acts = (seen.bought + view_weight * seen.viewed).tocsr()
    parts = []
    for name in ATTRIBUTES:
        told = goods.kinds(name)
        if told is None:
            continue
        codes, kinds = told
        counts = (acts @ kinds).tocsr()
        base = np.asarray(overall @ kinds, float).ravel()
        base = np.maximum(base / base.sum(), 1e-9)
        parts.append((codes, counts, base, concentration(counts, base)))

    def score(rows: np.ndarray) -> np.ndarray:
        scores = np.tile(overall, (len(rows), 1))
        for codes, counts, base, prior in parts:
            mine = dense(counts[rows])
            share = (mine + prior * base) / (mine.sum(axis=1, keepdims=True) + prior)
            over = np.ones((len(rows), len(goods)), "float32")
            over[:, codes >= 0] = (share / base)[:, codes[codes >= 0]]
            scores *= over
        return scores

    return Family("content", score, ", ".join(n for n in ATTRIBUTES if goods.codes(n).max() > 0))


def concentration(counts: object, base: np.ndarray) -> float:
    """How many purchases the shop's shares are worth beside a customer's own; in [0.5, 1000].

    counts: customers by values, sparse. base: the shop's shares. With customers' shares drawn from
    Dirichlet(prior · base), Σ (x − n p)² has the mean n p (1 − p) (n + prior) / (1 + prior).
    """
    n = np.asarray(counts.sum(axis=1)).ravel()
    some = n >= 2
    x, n = counts[some], n[some]
    if not len(n):
        return 1000.0
    square = np.asarray(x.multiply(x).sum(axis=0)).ravel().sum()
    cross = float((n * (x @ base)).sum())
    spread = square - 2 * cross + float((n**2).sum()) * float((base**2).sum())
    even = 1 - float((base**2).sum())
    # spread = even · Σ n (n + prior) / (1 + prior), solved for prior.
    first, second = even * float(n.sum()), even * float((n**2).sum())
    over = spread - first
    if over <= 0:
        return 1000.0
    return float(np.clip((second - spread) / over, 0.5, 1000.0))
