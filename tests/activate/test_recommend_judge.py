"""Lists beside what was bought: counted by hand, beside scikit-learn, and on planted tastes."""

import numpy as np
import pandas as pd
import pytest
from goods_and_buyers import goods_of, seen_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cdp_lib.activate.recommend_blend import Blend, _fitted, learn
from cdp_lib.activate.recommend_family import Family
from cdp_lib.activate.recommend_judge import bootstrap, judge, later_of
from cdp_lib.checks import Refusal


def fixed(scores):
    return lambda rows: np.asarray(scores, float)[rows]


def bought(*rows):
    return pd.DataFrame(rows, columns=["customer_id", "article_id", "value"])


def test_measures_counted_by_hand():
    seen, goods = seen_of([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]), goods_of(4)
    later = later_of(
        seen,
        goods,
        bought(
            ("c0000", "a000", 10.0), ("c0000", "a002", 30.0), ("c0001", "a003", 5.0),
            ("c0001", "unheard", 15.0), ("stranger", "a000", 40.0),
        ),
    )  # fmt: skip
    assert later.rows.tolist() == [0, 1] and later.n_new_customers == 1 and later.all_value == 100
    scores = {"popular": fixed([[4, 3, 2, 1]] * 3), "own": fixed([[0, 0, 9, 0]] * 3)}
    table = judge(scores, seen, goods, later, "any", at=2).set_index("family")
    # popular lists a0, a1: c0 one of two, c1 none of two. own lists a2, then fills up with a0.
    assert table.recall.to_dict() == {"popular": 0.25, "own": 0.5}
    second = 1 / np.log2(3)
    assert table.ndcg["popular"] == pytest.approx((1 / (1 + second)) / 2)
    assert table.ndcg["own"] == pytest.approx((1 + 0) / 2)
    assert table.value_rate.to_dict() == {"popular": 0.10, "own": 0.40}
    assert table.coverage_rate.to_dict() == {"popular": 0.5, "own": 0.5}
    owners = -np.log2(np.array([3, 3, 1, 1]) / 7)
    assert table.novelty["popular"] == pytest.approx(owners[:2].mean())
    assert table.n_customers.tolist() == [2, 2] and table.beats["popular"] == ""
    new = judge(scores, seen, goods, later, "new", at=2).set_index("family")
    # c0 has a0, so it lists a1 and a2 by popularity and is asked for a2 alone.
    assert new.recall.to_dict() == {"popular": 0.5, "own": 0.5}
    with pytest.raises(Refusal, match="task"):
        judge(scores, seen, goods, later, "old")


def test_ndcg_is_scikit_learns():
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(8)
    seen, goods = seen_of(np.zeros((40, 12))), goods_of(12)
    truth, score = rng.random((40, 12)) < 0.3, rng.random((40, 12))
    truth[:, 0] = True
    row, column = np.nonzero(truth)
    rows = [(f"c{i:04d}", f"a{j:03d}", 1.0) for i, j in zip(row, column, strict=True)]
    later = later_of(seen, goods, bought(*rows))
    table = judge({"popular": fixed(score)}, seen, goods, later)
    assert table.ndcg[0] == pytest.approx(ndcg_score(truth, score, k=5))


def test_intervals_hold_the_true_recall_as_often_as_they_say():
    # A list that hits each purchase with probability 0.3: recall is the mean of 150 coins.
    inside, worlds = 0, 200
    for world in range(worlds):
        rng = np.random.default_rng(world)
        rows = (rng.random((1, 150, 1)) < 0.3).astype(float)
        low, high = np.quantile(bootstrap(rows, 7), (0.025, 0.975))
        inside += low <= 0.3 <= high
    # 95 % less a point or two for 150 coins; 200 worlds have a standard error of 1.6 points.
    assert 0.89 <= inside / worlds <= 0.99


def test_nobody_to_judge_by_is_no_number():
    seen, goods = seen_of([[1, 0]]), goods_of(2)
    later = later_of(seen, goods, bought(("c0000", "a000", 1.0)))
    table = judge({"popular": fixed([[1, 1]])}, seen, goods, later, "new")
    assert table.n_customers[0] == 0 and np.isnan(table.recall[0]) and np.isnan(table.over_low[0])


def test_weights_go_to_the_family_that_knows():
    rng = np.random.default_rng(3)
    n, articles = 800, 30
    truth = rng.gumbel(size=(n, articles))
    knows, guesses = np.exp(truth), rng.random((n, articles))
    chosen = (truth + rng.gumbel(size=(n, articles))).argmax(axis=1)
    later = sparse.csr_array((np.ones(n), (np.arange(n), chosen)), shape=(n, articles))
    families = [Family("knows", fixed(knows)), Family("guesses", fixed(guesses))]
    blend = learn(families, np.arange(n), later)
    # The choice is a logit of the logarithm with weight 1. With 800 choices of 30 articles, each
    # telling about a unit of information, its error is about 0.04. Over 30 seeds the two weights of
    # who knows add up to 1.04 with a standard deviation of 0.06; those of who guesses are 0.02 and
    # 0.04 with 0.03 and 0.07. Four deviations each.
    assert blend.log[0] + blend.share[0] == pytest.approx(1, abs=0.25)
    assert blend.log[0] == pytest.approx(1, abs=0.16)
    assert blend.log[1] < 0.14 and blend.share[1] < 0.31
    assert (blend.share >= 0).all() and (blend.log >= 0).all()
    assert list(blend.table().columns) == ["family", "share_weight", "log_weight"]


def test_the_slope_of_the_logit_is_that_of_its_differences():
    rng = np.random.default_rng(1)
    features, row = rng.random((40, 4)), np.repeat(np.arange(8), 5)
    hit = (np.arange(40) % 5 == 0).astype(float)
    first, second = _fitted([(features, row, hit, np.ones(8))], 2)
    best = np.r_[first, second]

    def loss(weights):
        said = (features @ weights).reshape(8, 5)
        return (weights**2).sum() - (said[:, 0] - np.log(np.exp(said).sum(axis=1))).sum()

    for i in range(4):
        for step in (-1e-2, 1e-2):
            moved = best.copy()
            moved[i] = max(0.0, moved[i] + step)
            assert loss(moved) >= loss(best) - 1e-6, "no better weights nearby"


def test_without_purchases_the_weights_are_equal():
    families = [Family("a", fixed([[1.0]])), Family("b", fixed([[1.0]]))]
    blend = learn(families, np.array([0]), sparse.csr_array((1, 1)))
    assert blend.share.tolist() == blend.log.tolist() == [0.5, 0.5]


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_blend_of_one_family_keeps_its_order(rows):
    scores = np.array(rows, "float32")
    blend = Blend(("a",), np.array([0.7]), np.array([0.3]))
    for counts in (False, True):
        scaled = Family("a", fixed(scores), counts=counts).scaled(np.arange(len(scores)))
        found = blend.score([scaled])
        assert np.isfinite(found).all() and (scaled >= 0).all() and (scaled <= 1).all()
        _keeps_order(scores, found)


def _keeps_order(scores, found):
    for before, after in zip(scores, found, strict=True):
        order = np.argsort(before, kind="stable")
        assert (np.diff(after[order]) >= -1e-6).all()
