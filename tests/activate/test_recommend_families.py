"""Each family beside a plain computation of the same thing."""

import numpy as np
import pytest
from goods_and_buyers import goods_of, seen_of
from scipy import sparse

from cdp_lib.activate import (
    recommend_alike,
    recommend_content,
    recommend_looked,
    recommend_popular,
    recommend_repeat,
    recommend_together,
)
from cdp_lib.activate.recommend_family import top
from cdp_lib.checks import Refusal


@pytest.fixture
def bought():
    return np.random.default_rng(3).poisson(0.4, size=(60, 9))


def test_ease_is_a_ridge_regression_of_each_article_on_all_others(bought):
    x, ridge = sparse.csr_array(bought.astype(float)), 7.5
    weights = recommend_together.ease_weights(x, ridge)
    for article in range(bought.shape[1]):
        others = np.delete(np.arange(bought.shape[1]), article)
        a, y = bought[:, others].astype(float), bought[:, article].astype(float)
        plain = np.linalg.solve(a.T @ a + ridge * np.eye(len(others)), a.T @ y)
        assert weights[others, article] == pytest.approx(plain, abs=1e-5)
        assert weights[article, article] == 0
    with pytest.raises(Refusal, match="ridge"):
        recommend_together.ease_weights(x, 0)


def test_cosines_are_those_of_the_columns(bought):
    near = recommend_together.cosine_weights(sparse.csr_array(bought.astype(float))).toarray()
    length = np.linalg.norm(bought, axis=0)
    plain = bought.T @ bought / np.outer(length, length)
    np.fill_diagonal(plain, 0)
    assert near == pytest.approx(plain, abs=1e-6)
    few = recommend_together.cosine_weights(sparse.csr_array(bought.astype(float)), 2).toarray()
    assert ((few > 0).sum(axis=0) == 2).all() and (few[few > 0] == near[few > 0]).all()


def test_collaborative_scores_ask_fresh_purchases_and_are_never_negative(bought):
    seen, goods = seen_of(bought, fresh=bought * 0.25), goods_of(9)
    for kind in recommend_together.KINDS:
        scores = recommend_together.fit(seen, goods, kind).score(np.arange(5))
        assert scores.shape == (5, 9) and (scores >= 0).all() and scores.max() > 0
    weights = recommend_together.cosine_weights(recommend_together.taste(seen)).toarray()
    plain = np.sqrt(bought[:5] * 0.25) @ weights
    found = recommend_together.fit(seen, goods, "cosine").score(np.arange(5))
    assert found == pytest.approx(plain, abs=1e-5)


def test_als_of_a_customer_is_a_weighted_ridge_regression_on_the_articles_factors(bought):
    seen, goods = seen_of(bought, fresh=bought * 0.25), goods_of(9)
    factors, weight = 4, 5.0
    model = recommend_together.als_factors(recommend_together.taste(seen), factors, weight)
    y = model.item_factors.astype(float)
    found = recommend_together.fit(seen, goods, f"als {factors} {weight:g}").score(np.arange(60))
    # Hu, Koren and Volinsky, equation 4: what was not bought is 0 with confidence 1.
    for row in range(60):
        sure = weight * np.sqrt(bought[row] * 0.25)
        met = sure > 0
        left = y.T @ y + y[met].T @ ((sure[met] - 1)[:, None] * y[met])
        mine = np.linalg.solve(left + weight / 10 * np.eye(factors), y[met].T @ sure[met])
        assert found[row] == pytest.approx(np.maximum(y @ mine, 0), abs=1e-4)
    nobody = np.flatnonzero(bought.sum(axis=1) == 0)
    assert (found[nobody] == 0).all()
    with pytest.raises(Refusal, match="weight"):
        recommend_together.als_factors(recommend_together.taste(seen), factors, 0)


def test_als_finds_two_circles_of_buyers():
    rng = np.random.default_rng(5)
    own = (np.arange(300) % 2)[:, None] == np.arange(40) % 2
    bought = rng.random((300, 40)) < np.where(own, 0.3, 0.02)
    seen, goods, rows = seen_of(bought.astype(int)), goods_of(40), np.arange(300)
    scores = recommend_together.fit(seen, goods, "als 8 10").score(rows)
    assert (scores == recommend_together.fit(seen, goods, "als 8 10").score(rows)).all()
    # Of what was not bought, the own circle's articles stand above the other's.
    near = np.where(own & ~bought, scores, 0).sum(axis=1) / (own & ~bought).sum(axis=1)
    far = np.where(~own & ~bought, scores, 0).sum(axis=1) / (~own & ~bought).sum(axis=1)
    # An observer who counts a customer's purchases in each circle errs where the other circle has
    # as many: 0.0053 of customers. Of 300 at most 7, but once in a thousand times.
    assert (near <= far).sum() <= 7


def test_neighbours_are_the_nearest_by_a_plain_search(bought):
    seen, goods = seen_of(bought), goods_of(9)
    found = recommend_alike.fit(seen, goods, neighbours=4).score(np.arange(60))
    held = (bought > 0).sum(axis=0)
    place = np.log1p(bought) * np.log1p(60 / held)
    length = np.linalg.norm(place, axis=1, keepdims=True)
    place = np.divide(place, length, out=np.zeros_like(place), where=length > 0)
    for customer in range(60):
        near = place @ place[customer]
        near[customer] = 0
        best = np.argsort(-near, kind="stable")[:4]
        if near[best[-1]] == np.sort(near)[::-1][4] or near[best[-1]] <= 0:
            continue  # a tie at the edge: either is right
        assert found[customer] == pytest.approx(near[best] @ bought[best], rel=1e-4, abs=1e-5)


def test_a_customer_without_any_event_is_nobodys_neighbour_and_gets_what_sells(bought):
    bought[0] = 0
    seen, goods = seen_of(bought), goods_of(9)
    assert seen.cold[0] and seen.cold.sum() >= 1
    assert not recommend_alike.fit(seen, goods).score(np.array([0])).any()
    assert not recommend_repeat.fit(seen, goods).score(np.array([0])).any()
    popular = recommend_popular.fit(seen, goods).score(np.array([0]))[0]
    assert popular == pytest.approx((bought.sum(axis=0) + 1e-3) / (bought.sum() + 9e-3), rel=1e-4)
    content = recommend_content.fit(seen, goods).score(np.array([0]))[0]
    assert content == pytest.approx(popular, rel=1e-5)


def test_a_city_of_many_purchases_is_asked_before_the_shop():
    bought = np.zeros((4, 2))
    bought[0] = (900, 100)  # city 0
    bought[1] = (100, 900)  # city 1
    bought[2] = (0, 10)  # city 2: ten purchases, all of the second article
    score = recommend_popular.fit(seen_of(bought, city=[0, 1, 2, -1]), goods_of(2), prior=500).score
    all_of = np.array([1000, 1010]) / 2010
    assert score(np.array([0]))[0] == pytest.approx(
        (np.array([900, 100]) + 500 * all_of) / 1500, 1e-3
    )
    assert score(np.array([2]))[0] == pytest.approx((np.array([0, 10]) + 500 * all_of) / 510, 1e-3)
    assert score(np.array([3]))[0] == pytest.approx(all_of, 1e-3)


@pytest.mark.parametrize("prior", [2.0, 20.0])
def test_how_much_customers_differ_is_read_from_their_spread(prior):
    rng = np.random.default_rng(5)
    base = np.array([0.4, 0.3, 0.2, 0.1])
    shares = rng.dirichlet(prior * base, size=6_000)
    counts = np.stack([rng.multinomial(8, p) for p in shares])
    # 6,000 customers of 8 purchases: over 40 seeds the standard deviation is 2 % of a prior of 2
    # and 4 % of one of 20; four of the larger.
    found = recommend_content.concentration(sparse.csr_array(counts.astype(float)), base)
    assert found == pytest.approx(prior, rel=0.16)
    even = rng.multinomial(8, base, size=6_000)
    alike = recommend_content.concentration(sparse.csr_array(even.astype(float)), base)
    assert alike > 200, "customers who do not differ are shrunk to the shop"


def test_content_is_the_shops_share_times_what_the_customer_takes_more_of():
    category = ["x", "x", "y", "y"]
    rng = np.random.default_rng(1)
    bought = np.zeros((200, 4))
    bought[:100, :2], bought[100:, 2:] = rng.poisson(2, (100, 2)), rng.poisson(1, (100, 2))
    seen, goods = seen_of(bought), goods_of(4, category)
    score = recommend_content.fit(seen, goods).score(np.arange(200))
    overall = (bought.sum(axis=0) + 1e-3) / (bought.sum() + 4e-3)
    base = np.array([overall[:2].sum(), overall[2:].sum()])
    counts = np.column_stack([bought[:, :2].sum(axis=1), bought[:, 2:].sum(axis=1)])
    prior = recommend_content.concentration(sparse.csr_array(counts), base)
    share = (counts + prior * base) / (counts.sum(axis=1, keepdims=True) + prior)
    plain = overall * (share / base)[:, [0, 0, 1, 1]]
    assert score == pytest.approx(plain, rel=1e-3)
    assert score[0, :2].min() > score[0, 2:].max()


def test_what_was_looked_at_and_bought_again_is_the_customers_own():
    seen = seen_of([[1, 0], [0, 3]], fresh=[[0.5, 0], [0, 0.25]], viewed=[[0, 2], [0, 0]])
    assert recommend_repeat.fit(seen, goods_of(2)).score(np.array([1, 0])).tolist() == [
        [0, 0.25], [0.5, 0]
    ]  # fmt: skip
    assert recommend_looked.fit(seen, goods_of(2)).score(np.array([0])).tolist() == [[0, 2]]
    later = sparse.csr_array(np.array([[1, 1], [0, 1]]))
    assert recommend_repeat.rebuy_share(seen, later) == pytest.approx(2 / 3)
    assert np.isnan(recommend_repeat.rebuy_share(seen, sparse.csr_array((2, 2))))


def test_the_best_of_each_row_come_first_and_ties_by_column():
    scores = np.array([[1, 5, 5, 2], [0, 0, 0, 0]], float)
    assert top(scores, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert top(scores, 9).shape == (2, 4)
    rng = np.random.default_rng(0)
    many = rng.random((50, 300))
    plain = np.argsort(-many, axis=1, kind="stable")[:, :7]
    assert (top(many, 7) == plain).all()
