"""Recommendations of simulated shops beside their truth: pairs that belong together, and tastes."""

import numpy as np
import pytest
from scipy import stats

from cdp_lib.activate import recommend
from cdp_lib.activate.goods import article_table, goods
from cdp_lib.activate.pairs import pairs
from cdp_lib.tables import open_shop
from cdp_lib.world import open_truth, simulate


def planted_among(shop, truth, found, offer):
    """Of all pairs of articles of two categories: the lower bound of the lift, and the truth."""
    article = article_table(shop).execute().set_index("product_id").article_id
    place = {name: i for i, name in enumerate(offer.table.article_id)}
    table = truth.table("pairs")
    planted = {
        frozenset((place[article[a]], place[article[b]]))
        for a, b in zip(table.product_id, table.complement_id, strict=True)
        if article[a] in place and article[b] in place
    }
    size, category = len(offer), offer.codes("category")
    first, second = np.triu_indices(size, 1)
    low = np.zeros((size, size))
    low[found.table.a, found.table.b] = found.table.lift_low
    apart = category[first] != category[second]
    first, second = first[apart], second[apart]
    is_pair = np.array([frozenset(p) in planted for p in zip(first, second, strict=True)])
    return low[first, second], is_pair


def auc_with_interval(score, positive):
    """The AUC and its 95 % interval by DeLong's variance (1988)."""
    ranks, n, m = stats.rankdata(score), positive.sum(), (~positive).sum()
    auc = (ranks[positive].sum() - n * (n + 1) / 2) / (n * m)
    own = stats.rankdata(score[positive]), stats.rankdata(score[~positive])
    v10 = (ranks[positive] - own[0]) / m
    v01 = 1 - (ranks[~positive] - own[1]) / n
    error = np.sqrt(v10.var(ddof=1) / n + v01.var(ddof=1) / m)
    return auc, auc - 1.96 * error, auc + 1.96 * error


def test_the_interval_of_an_auc_is_that_of_plain_counting():
    rng = np.random.default_rng(0)
    score, positive = rng.normal(size=200).round(1), rng.random(200) < 0.3
    above = score[positive][:, None] - score[~positive][None]
    auc, low, high = auc_with_interval(score, positive)
    assert auc == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert low < auc < high


@pytest.mark.slow
def test_planted_complements_are_recovered(tmp_path):
    shop = open_shop(simulate(tmp_path / "shop", customers=2_000, weeks=30, seed=3))
    offer = goods(shop)
    low, is_pair = planted_among(shop, open_truth(tmp_path / "shop"), pairs(shop, offer), offer)
    auc, auc_low, _ = auc_with_interval(low, is_pair)
    correlation = stats.spearmanr(low, is_pair).statistic
    assert is_pair.sum() > 40
    # A planted partner joins 45 % of the baskets of two articles or more that its model opens, so
    # a pair has some dozen baskets where chance has under one. Models at the tail of their
    # category open few: of 24, the last sells a thirteenth of the first.
    assert auc_low > 0.85, (auc, auc_low)
    # Few of all pairs are planted, so that even the true order has a small rank correlation.
    ceiling = stats.spearmanr(np.where(is_pair, low.max() + 1, low), is_pair).statistic
    assert correlation > 0.85 * ceiling


@pytest.mark.slow
def test_the_blend_beats_popularity_in_a_small_world(tmp_path):
    shop = open_shop(simulate(tmp_path / "shop", customers=2_500, weeks=26, seed=5))
    one = recommend.study(shop, horizon_days=28)
    table = one.any.set_index("family")
    assert table.beats["blend"] == "yes"
    # Tastes for ten categories are planted, and the content family reads categories.
    assert table.beats["content"] == "yes"
    single = table.drop(index="blend").recall.max()
    # The blend may fall behind the best single family by noise alone: at 250 buyers the error of
    # the difference of two lists that share most places is about two points.
    assert table.recall["blend"] > single - 0.04


@pytest.mark.proof
def test_the_blend_beats_every_family_in_nine_of_ten_worlds(tmp_path):
    wins, told = 0, []
    for seed in range(10):
        folder = tmp_path / str(seed)
        shop = open_shop(simulate(folder, customers=20_000, weeks=40, seed=100 + seed))
        table = recommend.study(shop, horizon_days=7).any.set_index("family").recall
        single = table.drop("blend")
        wins += bool(table["blend"] > single.max())
        told.append((seed, round(table["blend"], 4), single.idxmax(), round(single.max(), 4)))
    assert wins >= 9, told
