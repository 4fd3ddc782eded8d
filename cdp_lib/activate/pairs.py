"""Which articles are bought together more often than chance would have it.

Chance is two random lines of the same baskets: a basket of s articles has s (s − 1) / 2 pairs, and
an article stands in them as often as in lines. So large baskets do not make everything look
related. The *lift* of a pair is its baskets over those expected. Lifts vary among pairs as a
gamma law does, fitted to all pairs by moments; a pair's own lift is then a gamma too, and its
lower bound is that law's 2.5 % quantile: few baskets, low bound (the shrinkage of DuMouchel 1999,
The American Statistician 53, with one gamma for his two).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.activate.goods import Goods, purchases
from cdp_lib.activate.recommend_family import Family, dense
from cdp_lib.activate.recommend_popular import shares
from cdp_lib.activate.seen import Seen
from cdp_lib.checks import Refusal, at_least
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

MOST_PAIRED = 2_000  # articles whose pairs are counted: the most bought
LEAST_BASKETS = 3
SAME_NEED = ("category",)
TAIL = 0.025
FALSE_RATE = 0.05


@dataclass(frozen=True)
class Pairs:
    """Pairs of articles in baskets.

    table: a row per pair with at least one basket: a, b (article indices, a < b), n_baskets,
    expected, lift (shrunk) with lift_low and lift_high of 95 %, same_need, false_rate (of the pairs
    at least as sure, the share to expect by chance: Poisson, then Benjamini and Hochberg 1995).
    n_baskets: orders read. strength, worth: of the gamma law that lifts are shrunk to, whose mean
    is strength / worth.
    """

    table: pd.DataFrame
    n_baskets: int
    strength: float
    worth: float

    def complements(self, least: int = LEAST_BASKETS) -> pd.DataFrame:
        """The pairs above chance that do not serve one need, the strongest first.

        Of them one in twenty is expected to be chance; each has at least `least` baskets.
        """
        table = self.table
        sure = (table.lift_low > 1) & (table.false_rate <= FALSE_RATE)
        found = table[sure & (table.n_baskets >= least) & ~table.same_need]
        return found.sort_values(["lift_low", "a", "b"], ascending=[False, True, True])


def pairs(
    shop: Shop, goods: Goods, most: int = MOST_PAIRED, same_need: Collection[str] = SAME_NEED
) -> Pairs:
    """Count the pairs of the `most` most bought articles in orders before `shop.as_of`.

    same_need: attributes of goods that, all alike, mean that two articles serve one need: then
    they are not complements. Sizes of one article are the same article. An attribute that is
    unknown of either, or alike throughout the shop, tells nothing.
    """
    at_least("most", most, 2)
    for name in same_need:
        if name not in goods.table.columns:
            fix = f"choose among {', '.join(goods.table.columns)}"
            raise Refusal("same_need", name, "not an attribute of goods", fix)
    chosen = goods.table.head(most).article_id
    items = purchases(shop).select("order_id", "article_id").distinct()
    sizes = items.group_by("order_id").agg(s=_.count())
    sums = sizes.agg(n=_.count(), pairs=(_.s * (_.s - 1)).sum(), lines=_.s.sum()).execute()
    n_orders, n_pairs, n_lines = (float(value or 0) for value in sums.iloc[0])
    single = items.group_by("article_id").agg(n=_.count()).execute()
    if len(goods) > most or goods.n_left_out:
        kept = place(shop, pd.DataFrame({"article_id": chosen}), {"article_id": "string"})
        items = items.semi_join(kept, "article_id")
    other = items.view()
    same = [items.order_id == other.order_id, items.article_id < other.article_id]
    both = items.join(other, same).select(first=items.article_id, second=other.article_id)
    counted = both.group_by("first", "second").agg(n_baskets=_.count())
    return _shrunk(counted.execute(), single, goods, chosen, same_need, n_orders, n_pairs, n_lines)


def _shrunk(counted, single, goods, chosen, same_need, n_orders, n_pairs, n_lines) -> Pairs:
    index = pd.Series(np.arange(len(goods)), index=goods.table.article_id)
    weight = single.set_index("article_id").n.reindex(chosen).fillna(0).to_numpy(float)
    q = weight / max(n_lines, 1.0)
    first, second = index[counted["first"]].to_numpy(), index[counted["second"]].to_numpy()
    a, b = np.minimum(first, second), np.maximum(first, second)
    n = counted.n_baskets.to_numpy(float)
    expected = n_pairs * q[a] * q[b]
    # Sums over all pairs, also those that no basket holds.
    all_e = n_pairs * (q.sum() ** 2 - (q**2).sum()) / 2
    all_ee = n_pairs**2 * ((q**2).sum() ** 2 - (q**4).sum()) / 2
    mean = n.sum() / all_e if all_e > 0 else 1.0
    squares = (n**2).sum() - 2 * mean * (n * expected).sum() + mean**2 * all_ee
    spread = (squares - mean * all_e) / all_ee if all_ee > 0 else 0.0
    spread = max(spread, 1e-3 * mean**2)
    strength, worth = mean**2 / spread, mean / spread
    from scipy.special import gammaincinv
    from scipy.stats import false_discovery_control, poisson

    # Pairs that no basket holds were tested too.
    n_tested = len(chosen) * (len(chosen) - 1) / 2
    false = poisson.sf(n - 1, mean * expected)
    false = false_discovery_control(false) * n_tested / max(len(n), 1) if len(n) else false
    with np.errstate(divide="ignore", invalid="ignore"):
        table = pd.DataFrame(
            {
                "a": a,
                "b": b,
                "n_baskets": n.astype(int),
                "expected": expected,
                "lift": (strength + n) / (worth + expected),
                "lift_low": gammaincinv(strength + n, TAIL) / (worth + expected),
                "lift_high": gammaincinv(strength + n, 1 - TAIL) / (worth + expected),
                "same_need": alike(goods, a, b, same_need),
                "false_rate": np.minimum(false, 1.0),
            }
        )
    table = table.sort_values(["a", "b"], ignore_index=True)
    return Pairs(table, int(n_orders), float(strength), float(worth))


def alike(goods: Goods, a: np.ndarray, b: np.ndarray, same_need: Collection[str]) -> np.ndarray:
    """Which pairs of articles serve one need; see `pairs`."""
    alike, asked = np.ones(len(a), bool), 0
    for name in same_need:
        codes = goods.codes(name)
        if len(np.unique(codes[codes >= 0])) < 2:
            continue
        asked += 1
        alike &= (codes[a] == codes[b]) & (codes[a] >= 0)
    return alike if asked else np.zeros(len(a), bool)


def fit(seen: Seen, goods: Goods, found: Pairs) -> Family:
    """What completes the customer's fresh purchases: by the sure part of each pair's lift."""
    from scipy import sparse

    sure = found.complements()
    q = shares(seen)
    a, b = sure.a.to_numpy(), sure.b.to_numpy()
    over = (sure.lift_low - 1).to_numpy("float32")
    rows, columns = np.r_[a, b], np.r_[b, a]
    values = np.r_[over * q[b], over * q[a]]
    size = len(goods)
    weights = sparse.csr_array((values, (rows, columns)), shape=(size, size))

    def score(rows: np.ndarray) -> np.ndarray:
        return dense(seen.fresh[rows] @ weights)

    return Family("complement", score, f"{len(sure):,} pairs above chance")
