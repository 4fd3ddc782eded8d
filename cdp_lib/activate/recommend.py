"""Next-best lists: the articles that each customer is likeliest to buy next, best first.

Seven families are fitted to what was known, and blended with weights learnt on the shop's own
earlier time split; a later split judges them all. One article is shown at a time, so a list is the
order in which to show them. Everything is read from behaviour, so it is inferred: what showing a
list earns is told by an experiment alone. docs/recommendations.md says it at length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd

from cdp_lib.activate import (
    pairs,
    recommend_alike,
    recommend_content,
    recommend_looked,
    recommend_popular,
    recommend_repeat,
    recommend_together,
)
from cdp_lib.activate.goods import MOST_ARTICLES, Goods, goods
from cdp_lib.activate.recommend_blend import Blend, learn
from cdp_lib.activate.recommend_family import Family
from cdp_lib.activate.recommend_judge import Later, judge, later_of
from cdp_lib.activate.seen import Seen, bought_between, seen
from cdp_lib.checks import TooLittleData, at_least, one_of
from cdp_lib.tables import Shop

REBUY_SHARE = 0.2
LEAST_BUYERS = 50
HORIZONS = (7, 14, 28, 56)  # days: whole weeks, so that windows hold the same weekdays


@dataclass(frozen=True)
class Fitted:
    """What is known at a time, and every family fitted to it.

    families: by name, in the order of the blend. pairs: of articles bought together.
    """

    goods: Goods
    seen: Seen
    families: Mapping[str, Family]
    pairs: pairs.Pairs

    @property
    def as_of(self) -> datetime:
        """Before this instant everything was known."""
        return self.goods.as_of


@dataclass(frozen=True)
class Study:
    """Recommendations of a shop, and how they did.

    now: fitted to all that is known. blend: the weights in use, learnt on the last window.
    tested: fitted before the last window; later: what was bought in it. any, new: tables of `judge`
    for all articles and for those not bought before, each with a blend learnt for that task on the
    window before. owned: "keep" or "leave out", what lists do with articles that the customer has.
    rebuy_share: of later purchases those of owned articles. kind: of the collaborative family.
    kinds: a row per kind tried, with its ndcg. horizon_days: of a window.
    """

    now: Fitted
    blend: Blend
    tested: Fitted
    later: Later
    any: pd.DataFrame
    new: pd.DataFrame
    owned: str
    rebuy_share: float
    kind: str
    kinds: pd.DataFrame
    horizon_days: float

    @property
    def judged(self) -> pd.DataFrame:
        """The table of the task that the lists serve: new articles where owned are left out."""
        return self.new if self.owned == "leave out" else self.any


def fit(
    shop: Shop, kind: str, most: int = MOST_ARTICLES, families: Mapping | None = None
) -> Fitted:
    """Every family, fitted to what the shop knew at its `as_of`; `kind` of the collaborative.

    Where nobody's product views are known there is no family of what was looked at.
    """
    offer = goods(shop, most)
    known = seen(shop, offer)
    found = pairs.pairs(shop, offer)
    fitted = [
        recommend_popular.fit(known, offer),
        recommend_repeat.fit(known, offer),
        recommend_together.fit(known, offer, kind),
        recommend_alike.fit(known, offer),
        recommend_content.fit(known, offer),
        pairs.fit(known, offer, found),
    ]
    if known.viewed.nnz:
        fitted.append(recommend_looked.fit(known, offer))
    return Fitted(offer, known, {family.name: family for family in fitted}, found)


def study(
    shop: Shop,
    horizon_days: float = 0,
    owned: str = "auto",
    most: int = MOST_ARTICLES,
    kind: str = "auto",
    seed: int = 7,
) -> Study:
    """Fit, choose and weigh on an earlier window, judge on the last, and fit to all that is known.

    horizon_days: of a window; 0 takes `usual_horizon`. owned: "keep" lists articles that a customer
    has bought too, "leave out" does not, "auto" leaves them out where fewer than a fifth of later
    purchases are of owned articles. kind: of the collaborative family, one of
    `recommend_together.KINDS`, or "auto" for the best on the earlier window. Raises MissingTable
    without orders and their lines, and TooLittleData where either window has fewer than 50 buyers
    who were known before it.
    """
    at_least("horizon_days", horizon_days, 0)
    one_of("owned", owned, ("auto", "keep", "leave out"))
    one_of("kind", kind, ("auto", *recommend_together.KINDS))
    shop.require("orders", "order_lines")
    horizon_days = horizon_days or usual_horizon(shop)
    step = timedelta(days=horizon_days)
    first, second = shop.as_of - 2 * step, shop.as_of - step
    early = fit(shop.at(first), recommend_together.KINDS[0] if kind == "auto" else kind, most)
    early_later = _later(shop, early, second)
    rebuy = recommend_repeat.rebuy_share(early.seen, early_later.bought)
    if owned == "auto":
        owned = "keep" if rebuy >= REBUY_SHARE else "leave out"
    kind, early, kinds = _chosen(early, early_later, kind, seed)
    tested = fit(shop.at(second), kind, most)
    later = _later(shop, tested, shop.as_of)
    tables = []
    for task, what in (("any", "keep"), ("new", "leave out")):
        scores = {name: family.score for name, family in tested.families.items()}
        scores["blend"] = blended(tested, _weighed(early, early_later, what, seed))
        tables.append(judge(scores, tested.seen, tested.goods, later, task, seed=seed))
    blend = _weighed(tested, later, owned, seed)
    now = fit(shop, kind, most)
    return Study(now, blend, tested, later, *tables, owned, rebuy, kind, kinds, float(horizon_days))


def usual_horizon(shop: Shop) -> int:
    """The shortest of `HORIZONS` in days of which each of the last two windows has clearly more
    buyers than a study needs; else the longest."""
    for days in HORIZONS:
        ends = [shop.as_of - timedelta(days=days * back) for back in (2, 1, 0)]
        buyers = [
            bought_between(shop, start, end).customer_id.nunique() for start, end in pairwise(ends)
        ]
        if min(buyers) >= 2 * LEAST_BUYERS:
            return days
    return HORIZONS[-1]


def blended(fitted: Fitted, blend: Blend):
    """The score of the blend, as a family's: rows of Seen in, an array of scores out."""
    families = [fitted.families[name] for name in blend.names]
    return lambda rows: blend.score([family.scaled(rows) for family in families])


def _later(shop: Shop, fitted: Fitted, end: datetime) -> Later:
    later = later_of(fitted.seen, fitted.goods, bought_between(shop, fitted.as_of, end))
    if len(later.rows) < LEAST_BUYERS:
        raise TooLittleData(
            "orders", len(later.rows),
            f"customers known before {fitted.as_of:%Y-%m-%d} bought by {end:%Y-%m-%d}",
            f"choose a longer horizon, so that {LEAST_BUYERS} did",
        )  # fmt: skip
    return later


def _chosen(early: Fitted, later: Later, kind: str, seed: int):
    """The collaborative kind that foresaw best what customers bought anew in the earlier window.

    Anew, since what they bought before is the business of another family.
    """
    if kind != "auto":
        return kind, early, pd.DataFrame({"kind": [kind], "ndcg": [np.nan]})
    tried = {
        one: early.families["together"]
        if one == recommend_together.KINDS[0]
        else recommend_together.fit(early.seen, early.goods, one)
        for one in recommend_together.KINDS
    }
    scores = {"popular": early.families["popular"].score}
    scores |= {one: family.score for one, family in tried.items()}
    table = judge(scores, early.seen, early.goods, later, "new", seed=seed)
    kinds = table[table.family != "popular"][["family", "ndcg", "ndcg_low", "ndcg_high"]]
    kinds = kinds.rename(columns={"family": "kind"}).reset_index(drop=True)
    kind = kinds.kind[int(kinds.ndcg.fillna(0).to_numpy().argmax())]
    return kind, replace(early, families={**early.families, "together": tried[kind]}), kinds


def _weighed(fitted: Fitted, later: Later, owned: str, seed: int) -> Blend:
    left_out = fitted.seen.bought if owned == "leave out" else None
    return learn(list(fitted.families.values()), later.rows, later.bought, left_out, seed)
