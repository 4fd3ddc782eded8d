"""The yield of an audience: by hand, beside a loop, and chosen on others than it is judged on."""

import numpy as np
import pytest

from cdp_lib.activate import yields
from cdp_lib.activate.yields import assumed_profit, best_size, yield_table
from cdp_lib.checks import Refusal


def test_a_curve_by_hand():
    """Ten customers in order: the first five earn 2 each, the others lose 1 each."""
    profit, score = np.repeat([2.0, -1.0], 5), np.arange(10.0, 0, -1)
    table = yield_table(profit, score).set_index("share")
    assert table.loc[0.1, "profit"] == pytest.approx(2)
    assert table.loc[0.5, "profit"] == pytest.approx(10)
    assert table.loc[1.0, "profit"] == pytest.approx(5)
    assert table.loc[0.5, "n"] == 5 and table.loc[1.0, "marginal"] == pytest.approx(-1)
    hundred = yield_table(profit, score, n_now=100).set_index("share")
    assert hundred.loc[0.5, "profit"] == pytest.approx(100)


def test_ties_share_what_is_left_alike():
    table = yield_table(np.array([4.0, 0.0, 0.0, 0.0]), np.zeros(4)).set_index("share")
    assert table.loc[0.5, "profit"] == pytest.approx(2)


def test_the_curve_equals_a_loop():
    rng = np.random.default_rng(3)
    profit, score = rng.normal(size=200), rng.normal(size=200)
    table = yield_table(profit, score, outcome=profit > 0).set_index("share")
    order = np.argsort(-score)
    for share in (0.05, 0.1, 0.5, 1.0):
        first = order[: round(share * 200)]
        assert table.loc[share, "profit"] == pytest.approx(profit[first].sum(), abs=1e-4)
        assert table.loc[share, "gained"] == pytest.approx((profit[first] > 0).sum(), abs=1e-4)
    assert (table.profit_low <= table.profit).all() and (table.profit <= table.profit_high).all()


def test_who_buys_anyway_counts_against_an_incentive():
    """A customer who buys for 20 of margin anyway: 10 % more are 2; an incentive of 5 costs 5.5."""
    gained = assumed_profit([20.0, 0.0], [1, 0], 0.1, contact_cost=0.5, incentive=5.0)
    assert gained.tolist() == pytest.approx([2 - 5.5 - 0.5, -0.5])
    assert assumed_profit([20.0], [1], 0.1).tolist() == pytest.approx([2.0])


def test_the_best_size_of_a_planted_order():
    """40 % earn 3, the rest lose 1, each with noise of 1: the best size is 40 % of 4,000."""
    rng = np.random.default_rng(4)
    good = np.arange(4000) < 1600
    profit = np.where(good, 3.0, -1.0) + rng.normal(size=4000)
    score = good + rng.normal(0, 0.01, 4000)
    best = best_size(profit, score, "measured")
    assert best.share == pytest.approx(0.4) and best.word == "contact" and best.n == 1600
    assert best.low <= 4800 <= best.high and best.all_profit == pytest.approx(2400, abs=300)


def test_noise_alone_is_no_audience():
    """Nothing earns anything, so the highest point of a curve is luck. Judged on other customers
    the interval of the profit holds 0 in 95 % of 200 worlds: fewer than 181 have a chance of
    0.6 %. A walk of 22 points stays below 0 with a chance of about 12 %, so in 176 worlds the
    curve's own highest point promises something; fewer than 161 have a chance below 0.1 %."""
    rng, held, lucky = np.random.default_rng(6), 0, 0
    for seed in range(200):
        profit, score = rng.normal(size=300), rng.normal(size=300)
        best = best_size(profit, score, "measured", n_boot=200, seed=seed)
        held += best.low <= 0 <= best.high
        lucky += yield_table(profit, score, n_boot=2).profit.max() > 0
    assert held >= 181
    assert lucky > 160


def test_nobody_is_an_answer():
    best = best_size(np.full(100, -1.0), np.arange(100.0), "assumed")
    assert (best.share, best.n, best.word, best.profit) == (0.0, 0, "nobody", 0.0)
    assert best.all_profit == pytest.approx(-100)


def test_what_cannot_be_used_is_refused():
    with pytest.raises(Refusal, match="not one for each"):
        yield_table(np.ones(3), np.ones(2))
    with pytest.raises(Refusal, match="no number"):
        best_size(np.array([1.0, np.nan]), np.ones(2), "measured")
    with pytest.raises(Refusal, match="measured, assumed"):
        best_size(np.ones(2), np.ones(2), "guessed")
    with pytest.raises(Refusal, match="greater than -1"):
        assumed_profit([1.0], [1], raised=-1)
    assert set(yields.SHARES) >= {0.1, 0.5, 1.0}
