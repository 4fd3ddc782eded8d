"""Hours of sending: hand counts, the error rate where hours are nothing, planted hours found."""

import numpy as np
import pandas as pd
import pytest
from message_logs import drawn, messages
from scipy.stats import norm

from cdp_lib.checks import TooLittleData
from cdp_lib.customers import reply_hours
from cdp_lib.tables import open_shop
from cdp_lib.world import World, simulate


@pytest.mark.long_on_spark
def test_hours_are_compared_within_a_batch(con, make_shop):
    # Day 0: at 9 two of four answered, at 18 one of four. Day 1: all at 9, all answered.
    rows = [(f"c{i}", "email", 0, i < 2, 9) for i in range(4)]
    rows += [(f"d{i}", "email", 0, i < 1, 18) for i in range(4)]
    rows += [(f"c{i}", "email", 1, 1, 9) for i in range(4)]
    found = reply_hours.read(make_shop(con, {"messages": messages(rows)}, as_of="2026-07-01"))
    table = found.table.set_index("hour")
    assert table.n_sent.to_dict() == {9: 8, 18: 4}
    assert table.answer_rate.to_dict() == {9: pytest.approx(6 / 8), 18: pytest.approx(1 / 4)}
    # Only day 0 compares: 2 of 4 against 1 of 4, whatever day 1 says.
    assert table.difference.to_dict() == {9: pytest.approx(0.25), 18: pytest.approx(-0.25)}
    assert found.usual_hour == {"email": 9} and found.best is None
    assert 0 < found.pvalue <= 1


def test_the_difference_and_its_error_are_the_two_samples(duckdb_con, make_shop):
    """One batch, one message each: the plain difference of two shares."""
    rng = np.random.default_rng(1)
    hour = rng.choice([9, 18], 4000)
    hit = rng.random(4000) < np.where(hour == 9, 0.2, 0.25)
    rows = [(f"c{i}", "email", 0, hit[i], hour[i]) for i in range(4000)]
    found = reply_hours.read(
        make_shop(duckdb_con, {"messages": messages(rows)}, as_of="2026-07-01")
    )
    row = found.table.set_index("hour").loc[18]
    late, early = hit[hour == 18], hit[hour == 9]
    assert row.difference == pytest.approx(late.mean() - early.mean())
    se = np.sqrt(late.var() / len(late) + early.var() / len(early))
    assert (row.difference_high - row.difference_low) / 2 / 1.96 == pytest.approx(se, rel=0.05)
    # The p-value is that of the difference in such errors, which agree to 5 %.
    assert norm.isf(found.pvalue / 2) == pytest.approx(abs(row.difference) / se, rel=0.05)
    assert found.pvalue < 0.01


def told(con, make_shop, n_logs):
    """p-values of `n_logs` logs in which hours are nothing: for all alike, of one's own, found."""
    rng, rows = np.random.default_rng(2), []
    for seed in range(n_logs):
        log = drawn(rng.beta(1, 4, (150, 1)), 8, seed)
        found = reply_hours.read(make_shop(con, {"messages": log}, as_of="2026-07-01"))
        rows.append((found.pvalue, found.own_pvalue, found.best is not None))
    return pd.DataFrame(rows, columns=["pvalue", "own", "found"])


def test_where_hours_are_nothing_it_says_so(duckdb_con, make_shop):
    table = told(duckdb_con, make_shop, 4)
    # Of 4 tests at 5 % three or more are false with a chance of 0.05 %.
    assert (table.pvalue < 0.05).sum() <= 2 and (table.own < 0.05).sum() <= 2
    assert (table.found == (table.own < 0.05)).all()


@pytest.mark.proof
def test_where_hours_are_nothing_it_errs_at_the_stated_rate(duckdb_con, make_shop):
    table = told(duckdb_con, make_shop, 300)
    for name in ("pvalue", "own"):
        # 15 of 300 expected, with a standard deviation of 3.8.
        assert 4 <= (table[name] < 0.05).sum() <= 27
        assert table[name].median() == pytest.approx(0.5, abs=0.12)


def test_planted_hours_are_found(duckdb_con, make_shop):
    """Half answer at 9 more often, half at 18: no hour is better for all, each has their own."""
    rng, n, gap = np.random.default_rng(3), 400, 0.3
    evening = rng.random(n) < 0.5
    by_hour = np.where(evening[:, None], [[0, gap]], [[gap, 0]])
    log = drawn(np.full((n, 1), 0.2), 24, 4, by_hour=by_hour)
    found = reply_hours.read(make_shop(duckdb_con, {"messages": log}, as_of="2026-08-01"))
    # The same by every pair of messages of a customer.
    more, weight = [], []
    for _, part in log.groupby("customer_id"):
        hour, hit = part.sent_at.dt.hour.to_numpy(), part.opened_at.notna().to_numpy(float)
        pair = np.outer(hit - hit.mean(), hit - hit.mean())
        same = (hour[:, None] == hour) & ~np.eye(len(hit), dtype=bool)
        other = hour[:, None] != hour
        more.append(pair[same].mean() - pair[other].mean())
        weight.append(same.sum() * other.sum() / (same.sum() + other.sum()))
    assert found.own_variance == pytest.approx(np.average(more, weights=weight))
    # Two draws apart by the gap have half of its square as their variance.
    error = (found.own_variance - found.own_low) / 1.96
    assert abs(found.own_variance - gap**2 / 2) < min(3 * error, 0.25 * gap**2 / 2)
    assert found.own_low > 0 and found.own_pvalue < 1e-6
    usual = found.usual_hour["e"]
    best = found.best.execute()
    assert (best.best_hour != usual).all() and (best.better_low > 0).all()
    late = best.customer_id.str[1:].astype(int).map(lambda i: evening[i])
    right = (late == (best.best_hour == 18)).mean()
    # The interval leaves out what is unsure, so hardly anybody gets the wrong hour.
    assert right > 0.97 and len(best) > 0.05 * n
    assert best.better_by.mean() == pytest.approx(gap, abs=0.07)


def test_the_simulated_shop_shows_no_hour(tmp_path):
    """Openings there do not depend on the hour of sending, though people have hours of visiting."""
    shop = open_shop(simulate(tmp_path, customers=800, seed=9, params=World(campaigns=())))
    found = reply_hours.read(shop)
    assert found.pvalue > 0.01 and found.own_pvalue > 0.01
    clear = found.table.dropna(subset=["difference"])
    assert (clear.difference_low < 0).all() and (clear.difference_high > 0).all()


def test_nothing_sent_is_refused(duckdb_con, make_shop):
    log = messages([("ann", "email", 0, 1, 9)])
    with pytest.raises(TooLittleData, match="old enough"):
        reply_hours.read(make_shop(duckdb_con, {"messages": log}, as_of="2026-06-01"))
    one = reply_hours.read(make_shop(duckdb_con, {"messages": log}, as_of="2026-07-01"))
    assert np.isnan(one.pvalue) and np.isnan(one.own_pvalue) and one.best is None
    assert pd.isna(one.table.difference).all()
