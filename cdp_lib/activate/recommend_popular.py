"""What sells now: the baseline, and the answer for a customer of whom nothing is known.

Orders count half for every so many days of their age. People of one city are asked first where
they bought enough: their counts are shrunk towards those of everybody.
"""

from __future__ import annotations

import numpy as np

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import Family
from cdp_lib.activate.seen import Seen

PRIOR = 500.0  # purchases of everybody that a city's own are mixed with


def shares(seen: Seen) -> np.ndarray:
    """Of all fresh purchases the share of each article, never 0."""
    counts = np.asarray(seen.fresh.sum(axis=0), float).ravel() + 1e-3
    return (counts / counts.sum()).astype("float32")


def fit(seen: Seen, goods: Goods, prior: float = PRIOR, by_city: bool = True) -> Family:
    """Share of fresh purchases: of the customer's city, shrunk towards the shop's.

    prior: purchases of the whole shop that are added to a city's own. by_city=False: one list
    for everybody, the plain baseline.
    """
    overall = shares(seen)
    groups = np.where(seen.city < 0, 0, seen.city + 1) if by_city else np.zeros(len(seen), int)
    n_groups = int(groups.max(initial=0)) + 1
    table = np.tile(overall, (n_groups, 1))
    if n_groups > 1:
        from scipy import sparse

        member = sparse.csr_array(
            (np.ones(len(seen), "float32"), (groups, np.arange(len(seen)))),
            shape=(n_groups, len(seen)),
        )
        counts = (member @ seen.fresh).toarray()
        counts[0] = 0
        table = (counts + prior * overall) / (counts.sum(axis=1, keepdims=True) + prior)
    table = table.astype("float32")
    return Family("popular", lambda rows: table[groups[rows]], f"{n_groups} groups")
