"""What the customer looked at or put in the cart lately and may still want."""

from __future__ import annotations

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.seen import Seen


def fit(seen: Seen, goods: Goods) -> Family:
    """The customer's own product views and additions to the cart, fading in days."""
    return Family("looked", lambda rows: dense(seen.late[rows]), counts=True)
