"""What the customer bought before, latest and most often first: for shops where things run out."""

from __future__ import annotations

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.seen import Seen


def fit(seen: Seen, goods: Goods) -> Family:
    """The customer's own purchases, each counting less as it ages."""
    return Family("repeat", lambda rows: dense(seen.fresh[rows]))


def rebuy_share(seen: Seen, later: object) -> float:
    """Of what customers bought later, the share that they had bought before; NaN of nothing.

    later: a sparse matrix of later purchases over the same customers and articles.
    """
    n = later.count_nonzero()
    owned = (seen.bought > 0).multiply(later > 0).count_nonzero()
    return owned / n if n else float("nan")
