"""Rates of carts: counted by hand, held against statsmodels, and right as often as they say."""

import numpy as np
import pandas as pd
import pytest
from cart_logs import at, journeys, row

from cdp_lib.behaviour import carts, intervals
from cdp_lib.behaviour.cart_rates import money_table, share_table
from cdp_lib.checks import Refusal

AS_OF = at(200)


def four_carts(make_table, con):
    """Two carts abandoned at 10 and 30, one bought at 5, one open."""
    rows = []
    for n, (hours, price, device) in enumerate(
        [(0, 10.0, "mobile"), (1, 30.0, None), (2, 5.0, "mobile"), (199, 7.0, "desktop")]
    ):
        who = {"person_id": f"v:{n}", "session_id": f"s{n}", "device_type": device}
        rows.append(row(hours, "add_to_cart", "p", price=price, **who))
        rows += [row(3, "purchase", "p", **who)] if n == 2 else []
    rows.append(row(0.5, "view_cart", person_id="v:0", session_id="s0"))
    return carts.read(journeys(make_table, con, rows), AS_OF)


@pytest.mark.long_on_spark
def test_tables_by_hand(con, make_table):
    found = four_carts(make_table, con)
    states = carts.state_table(found).set_index("state")
    assert states.n_carts.to_dict() == {
        "open": 1, "abandoned": 2, "emptied": 0, "bought": 1, "bought_later": 0,
    }  # fmt: skip
    assert states.value["abandoned"] == 40.0
    rate = carts.abandonment_rate(found).iloc[0]
    assert (rate.n_carts, rate.n_abandoned) == (3, 2)
    assert rate.abandonment_rate == pytest.approx(2 / 3)
    by = carts.abandonment_rate(found, by="device_type")
    assert by.n_carts.tolist() == [2, 1] and by.device_type.isna().tolist() == [False, True]
    stops = carts.stop_table(found)
    assert stops.step.tolist() == ["viewing the cart", "the purchase"]
    assert stops.n_carts.tolist() == [1, 1] and stops.value.tolist() == [30.0, 10.0]
    weeks = carts.weekly_table(found)
    assert weeks.n_carts.tolist() == [3, 0] and weeks.n_open.tolist() == [0, 1]
    assert weeks.whole.tolist() == [True, False]
    assert weeks.left_rate[0] == pytest.approx(2 / 3) and np.isnan(weeks.left_rate[1])


@pytest.mark.long_on_spark
def test_a_breakdown_by_an_unknown_column_names_the_nearest(con, make_table):
    with pytest.raises(Refusal, match="did you mean 'device_type'"):
        carts.abandonment_rate(four_carts(make_table, con), by="devicetype")


def test_definitions_by_hand(con, make_table):
    """One person: two sessions, one cart over both, bought; another: left, then none."""
    one = {"person_id": "v:1"}
    rows = [
        row(0, "add_to_cart", "p", session_id="a", **one),
        row(30, "add_to_cart", "p", session_id="b", **one),
        row(31, "purchase", "p", session_id="b", **one),
        row(0, "add_to_cart", "p", person_id="v:2", session_id="c"),
        row(0, "purchase", "p", person_id="v:3", session_id="d"),
    ]
    log = journeys(make_table, con, rows)
    table = carts.definition_table(carts.read(log, AS_OF), log)
    counts = list(zip(table.unit, table.n_units, table.n_lost, strict=True))
    assert counts == [
        ("cart", 2, 1), ("cart", 2, 2), ("cart", 2, 1),
        ("session", 3, 2), ("person", 2, 1), ("order", 2, 0),
    ]  # fmt: skip
    assert table.rate.tolist() == pytest.approx([0.5, 1, 0.5, 2 / 3, 0.5, 0])


def test_wilson_equals_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for hit, n in [(0, 7), (3, 7), (7, 7), (40, 100), (1, 100_000)]:
        low, high = intervals.wilson(hit, n)
        assert (low, high) == pytest.approx(proportion_confint(hit, n, method="wilson"), abs=1e-12)
    assert np.isnan(intervals.wilson(0, 0)).all()


def test_the_clustered_variance_is_that_of_a_regression(con, make_table):
    """The design effect is the cluster-robust variance of a mean over the binomial one."""
    import statsmodels.api as sm

    rng = np.random.default_rng(2)
    person = rng.integers(0, 60, 400)
    hit = rng.random(400) < rng.beta(1, 1, 60)[person]
    fit = sm.OLS(hit.astype(float), np.ones(400)).fit(
        cov_type="cluster", cov_kwds={"groups": person, "use_correction": False}
    )
    n, h = np.bincount(person), np.bincount(person, hit)
    people = int((n > 0).sum())
    effect = intervals.design_effect(people, 400, h.sum(), n @ n, n @ h, h @ h)
    share = hit.mean()
    wanted = fit.bse[0] ** 2 * people / (people - 1) / (share * (1 - share) / 400)
    assert effect == pytest.approx(wanted, rel=1e-9)
    assert effect > 1.5  # these carts are far from independent, and the interval must know
    table = make_table(con, pd.DataFrame({"person_id": person, "hit": hit}))
    got = share_table(table, {"hit": table.hit}).iloc[0]
    assert [got.low, got.high] == pytest.approx(np.array(intervals.wilson(h.sum(), 400, effect)))
    assert (got.n_people, got.n_people_hit) == (people, int((h > 0).sum()))


@pytest.mark.parametrize("spread", [None, 0.8])
def test_a_share_is_covered_as_often_as_its_interval_says(spread):
    """150 people with 2.5 carts each, independent or alike within a person (beta-binomial).

    Meant is 95 %. The design effect is itself estimated and never narrows, so 93 to 97 % is
    asked for, give or take 4 Monte Carlo errors of 4,000 draws (0.34 points each).
    """
    rng, covered, draws = np.random.default_rng(5), 0, 4000
    for _ in range(draws):
        n = 1 + rng.poisson(1.5, 150)
        p = 0.4 if spread is None else rng.beta(0.4 * 4, 0.6 * 4, 150)
        h = rng.binomial(n, p)
        _, low, high = intervals.clustered_share(150, n.sum(), h.sum(), n @ n, n @ h, h @ h)
        covered += low <= 0.4 <= high
    assert 0.93 - 4 * 0.0034 < covered / draws < 0.97 + 4 * 0.0034


def test_a_total_of_equal_amounts_has_the_exact_poisson_interval():
    from scipy.stats import chi2

    low, high = intervals.total(7 * 20.0, 7 * 20.0**2, 20.0)
    assert low == pytest.approx(20 * chi2.ppf(0.025, 14) / 2)
    assert high == pytest.approx(20 * chi2.ppf(0.975, 16) / 2)


def test_a_total_of_money_is_covered_at_least_as_often_as_its_interval_says():
    """Compound Poisson with log-normal amounts; Fay and Feuer's interval errs to the wide side.

    With skewed amounts and few people it may fall a little short: the bound is 94 % less 4
    Monte Carlo errors of 3,000 draws (0.4 points each).
    """
    rng, covered, draws = np.random.default_rng(8), 0, 3000
    truth = 60 * np.exp(3 + 0.7**2 / 2)
    for _ in range(draws):
        amounts = rng.lognormal(3, 0.7, rng.poisson(60))
        low, high = intervals.total(amounts.sum(), amounts @ amounts, amounts.max())
        covered += low <= truth <= high
    assert covered / draws > 0.94 - 4 * 0.004


def test_money_is_summed_over_people(con, make_table):
    frame = pd.DataFrame({"person_id": list("aab"), "g": list("xxx"), "v": [1.0, 2.0, 4.0]})
    table = make_table(con, frame)
    got = money_table(table, {"v": table.v}, by="g").iloc[0]
    assert got.total == 7.0
    wanted = intervals.total(7.0, 3.0**2 + 4.0**2, 4.0)
    assert [got.low, got.high] == pytest.approx(np.array(wanted))
