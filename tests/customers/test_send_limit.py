"""The weekly send limit: solved by hand, its interval against draws, and when it is not known."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from cdp_lib.checks import Refusal
from cdp_lib.customers import send_limit
from cdp_lib.customers.pressure import Curve
from cdp_lib.customers.send_limit import given, limit
from cdp_lib.tables import open_shop
from cdp_lib.world import World, simulate

NAN = float("nan")


def curve(level=-5.9, slope=0.25, level_se=0.05, slope_se=0.01, most=14.0):
    return Curve(level, slope, level_se, slope_se, -0.5 * level_se * slope_se, 10**6, 5000, most)


def losses(w, level=-5.9, slope=0.25):
    """Permissions lost a week by one who gets w messages every week."""
    before = 3 * w + max(w - 1, 0) / 2
    return w / (1 + np.exp(-(level + slope * before)))


@pytest.mark.parametrize(("worth", "gain"), [(20.0, 0.3), (5.0, 0.2), (40.0, 0.6)])
def test_the_limit_is_where_one_message_more_costs_what_it_brings(worth, gain):
    found = limit(curve(), given(worth), gain, 0.0, now=1.0)

    def net(w, step=1e-5):
        return worth * (losses(w + step) - losses(w - step)) / (2 * step) - gain

    assert found.n_per_week == pytest.approx(brentq(net, 1.001, 4), abs=0.051)
    assert found.low <= found.n_per_week <= found.high
    at_one = found.table.set_index("n_per_week").loc[2.0]
    assert at_one.harm == pytest.approx(worth * (losses(2.001) - losses(1.999)) / 0.002, rel=1e-3)
    assert at_one.harm_low < at_one.harm < at_one.harm_high
    # The formula at the kink, where a second message a week begins to count in its own week.
    assert send_limit.before([0.5, 1, 2]) == pytest.approx([1.5, 3, 6.5])


def test_the_interval_is_as_wide_as_the_errors():
    rng = np.random.default_rng(1)
    worth, gain, gain_se = 20.0, 0.3, 0.05
    wide = limit(curve(), given(worth), gain, gain_se, now=1.0)
    draws = []
    for one in rng.normal(gain, gain_se, 150):
        draws.append(
            limit(curve(level_se=0, slope_se=0), given(worth), one, 0.0, now=1.0).n_per_week
        )
    ends = np.quantile(draws, [0.025, 0.975])
    # The 2.5 % point of 150 draws has a standard error of sqrt(.025 * .975 / 150) / .0584 = 0.22 of
    # their standard deviation (0.0584: the normal density there); three, and a step of the grid.
    bound = min(0.2, 3 * 0.22 * np.std(draws) + 0.05)
    assert wide.low == pytest.approx(ends[0], abs=bound)
    assert wide.high == pytest.approx(ends[1], abs=bound)
    sure = limit(curve(level_se=0, slope_se=0), given(worth), gain, 0.0, now=1.0)
    assert sure.low == sure.n_per_week == sure.high
    assert limit(curve(), given(worth), gain, gain_se, now=1.0).low == wide.low, (
        "one seed, one answer"
    )


def test_the_words_follow_the_interval():
    assert limit(curve(), given(20), 0.3, 0.01, now=2.0).word == "send less"
    assert limit(curve(), given(20), 0.3, 0.01, now=0.5).word == "room for more"
    assert limit(curve(), given(20), 0.3, 1.0, now=1.0).word == "cannot tell"
    assert limit(curve(), given(20), 0.3, 0.01, now=NAN).word == "cannot tell"
    assert limit(curve(), given(20), 0.3, 0.02, now=1.2).word == "about right"
    nothing = limit(curve(), given(20), -0.1, 0.01, now=1.0)
    assert (nothing.n_per_week, nothing.word) == (0.0, "send less")
    # Nothing to lose and something to gain: as much as there are messages to learn from.
    free = limit(curve(most=8.0), given(0), 0.1, 0.0, now=1.0)
    assert free.n_per_week == free.most == pytest.approx(2.4) and free.word == "room for more"
    assert free.table.n_per_week.max() <= free.most


def test_without_a_gain_it_says_what_a_message_must_bring():
    found = limit(curve(), given(20), NAN, now=1.0)
    assert np.isnan(found.n_per_week) and found.word == "cannot tell"
    harm = 20 * (losses(1.0001) - losses(1.0)) / 0.0001
    assert found.needed == pytest.approx(harm, rel=0.01)
    assert found.needed_low < found.needed < found.needed_high
    assert found.table.gain.isna().all() and found.table.harm.notna().all()
    nobody = limit(Curve(NAN, NAN, NAN, NAN, NAN, 100, 0, 3.0), given(20), 0.3, now=1.0)
    assert nobody.word == "cannot tell" and np.isnan(nobody.needed)
    with pytest.raises(Refusal, match="permission_value = -1"):
        given(-1)


def test_a_permission_is_worth_what_its_holders_left_more(con, make_shop):
    people = pd.DataFrame(
        {"customer_id": [f"c{i}" for i in range(6)], "created_at": pd.Timestamp("2024-01-01"),
         "email_opt_in": [True, True, True, False, False, None]}
    )  # fmt: skip
    rows = [("c0", "2026-06-01", 40.0), ("c1", "2026-06-01", 20.0), ("c3", "2026-07-01", 12.0),
            ("c2", "2025-06-01", 99.0), ("c5", "2026-07-01", 77.0)]  # fmt: skip
    orders = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "revenue"])
    orders = orders.assign(order_id=list("abcde"), ordered_at=pd.to_datetime(orders.ordered_at))
    out = pd.DataFrame(  # c3 has opted out since: a year ago they could be written to
        {"message_id": ["m"], "campaign_id": ["x"], "customer_id": ["c3"], "channel": ["email"],
         "sent_at": [pd.Timestamp("2026-03-01")], "unsubscribed_at": [pd.Timestamp("2026-03-02")]}
    )  # fmt: skip
    tables = {"customers": people, "orders": orders, "messages": out}
    shop = make_shop(con, tables, as_of="2026-11-30")
    found = send_limit.inferred(shop, "email", days=365)
    assert (found.n_with, found.n_without, found.inferred) == (4, 1, True)
    assert np.isnan(found.value), "one customer tells no spread"
    found = send_limit.inferred(shop, "email", days=182.5)
    assert (found.n_with, found.n_without) == (3, 2)
    # Half a year with 60 over 3 customers against 12 over 2, as a year's money.
    assert found.value == pytest.approx(2 * (60 / 3 - 12 / 2))
    spread = 4 * (np.var([40, 20, 0], ddof=1) / 3 + np.var([12, 0], ddof=1) / 2)
    assert found.se == pytest.approx(np.sqrt(spread))
    with pytest.raises(Refusal, match="email"):
        send_limit.inferred(shop, "push")


def test_where_a_permission_changes_nothing_it_is_worth_nothing(tmp_path):
    """Nobody buys for a newsletter there; those who opted out live, which must not bias it."""
    law = World(campaigns=(), opt_out_bias=-4.0)
    shop = open_shop(simulate(tmp_path, customers=1500, weeks=60, seed=8, params=law))
    found = send_limit.inferred(shop, "email")
    assert abs(found.value) < 3.5 * found.se and found.n_without > 200
