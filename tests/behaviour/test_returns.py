"""How carts come back: by hand, against statsmodels, and unbiased by where the data end."""

import numpy as np
import pytest
from cart_logs import at, journeys, row

from cdp_lib.behaviour import carts
from cdp_lib.behaviour.returns import survival
from cdp_lib.checks import Refusal

AS_OF = at(200)


def some_carts(make_table, con):
    """Left at 0: bought after 30 and after 100 hours, emptied at 50, never; left at 150: open."""
    ends = {"a": (30, "purchase"), "b": (100, "purchase"), "c": (50, "remove_from_cart"), "d": None}
    rows = []
    for name, end in ends.items():
        who = {"person_id": f"v:{name}", "session_id": name}
        rows.append(row(0, "add_to_cart", "p", **who))
        rows += [row(end[0], end[1], "p", **who)] if end else []
    rows.append(row(150, "add_to_cart", "p", person_id="v:e", session_id="e"))
    return carts.read(journeys(make_table, con, rows), AS_OF)


def test_curve_and_delays_by_hand(con, make_table):
    found = some_carts(make_table, con)
    curve = carts.return_curve(found)
    # Five carts at risk at 30 hours; at 100 the one left at 150 is gone: the emptied one stays.
    assert curve.hours.tolist() == [0, 30, 100]
    assert curve.n_at_risk.tolist() == [5, 5, 3]
    assert curve.share_back.tolist() == pytest.approx([0, 1 / 5, 1 - 4 / 5 * 2 / 3])
    delays = carts.delay_table(found, delays=(1, 24, 40), horizon_hours=150)
    assert delays.n_idle.tolist() == [5, 5, 4]
    assert delays.n_back.tolist() == [2, 2, 1]
    assert delays.n_spared.tolist() == [0, 0, 1]
    assert delays.share_spared.tolist() == pytest.approx([0, 0, 1 / 5])
    assert delays.hours_median.tolist() == [30, 30, 100]
    # Reached at 40 hours: four carts; b is bought when three are at risk (e ran only 50 hours).
    assert delays.share_back[2] == pytest.approx(1 / 3)


def test_beyond_the_horizon_is_not_back(con, make_table):
    curve = carts.return_curve(some_carts(make_table, con), horizon_hours=60)
    assert curve.hours.tolist() == [0, 30]


def test_survival_equals_statsmodels():
    from statsmodels.duration.survfunc import SurvfuncRight

    rng = np.random.default_rng(4)
    hours = rng.integers(1, 40, 300).astype(float)  # many ties, of both kinds
    bought = rng.random(300) < 0.3
    ours = survival(hours, bought)[1:]
    theirs = SurvfuncRight(hours, bought)
    np.testing.assert_allclose(1 - ours.share_back, theirs.surv_prob)
    np.testing.assert_array_equal(ours.hours, theirs.surv_times)
    stay, error = theirs.surv_prob, theirs.surv_prob_se
    # Log-log interval: Kalbfleisch and Prentice 2002, section 1.4.
    wide = 1.959964 * error / (stay * np.log(stay))
    np.testing.assert_allclose(1 - ours.share_back_high, stay ** np.exp(-wide), rtol=1e-5)
    np.testing.assert_allclose(1 - ours.share_back_low, stay ** np.exp(wide), rtol=1e-5)


def test_counts_stand_for_repeated_rows():
    hours, bought, weight = [5.0, 5.0, 9.0, 12.0], [True, False, True, False], [3, 2, 1, 4]
    repeated = survival(np.repeat(hours, weight), np.repeat(bought, weight))
    np.testing.assert_allclose(survival(hours, bought, weight), repeated)


def test_the_end_of_the_data_does_not_bend_the_curve():
    """Planted: 30 % come back, after an exponential time of mean 50 hours.

    400 carts left evenly over 300 hours before the end. Over 500 draws the mean estimate at 100
    hours must lie within 4 Monte Carlo errors of the truth, and its intervals cover it in 95 %
    give or take 2 points (the binomial error of 500 draws is 1 point).
    """
    rng, draws, truth = np.random.default_rng(6), 500, 0.3 * (1 - np.exp(-2))
    found, covered, naive = [], 0, []
    for _ in range(draws):
        end = rng.uniform(0, 300, 400)
        back = np.where(rng.random(400) < 0.3, rng.exponential(50, 400), np.inf)
        curve = survival(np.minimum(back, end), back <= end)
        at_100 = curve[curve.hours <= 100].iloc[-1]
        found.append(at_100.share_back)
        covered += at_100.share_back_low <= truth <= at_100.share_back_high
        naive.append(((back <= end) & (back <= 100)).mean())
    error = np.std(found) / np.sqrt(draws)
    assert abs(np.mean(found) - truth) < 4 * error
    assert 0.93 <= covered / draws <= 0.97
    assert np.mean(naive) < truth - 20 * error  # what counting without censoring would say


@pytest.mark.parametrize("delays", [(), (4, 1), (0, 4), (1, 1), (1, 900)])
def test_delays_that_make_no_sense_are_refused(con, make_table, delays):
    with pytest.raises(Refusal, match="delays"):
        carts.delay_table(some_carts(make_table, con), delays)
