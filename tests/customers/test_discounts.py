"""Discount affinity: orders counted by hand and by brute force, and planted affinities found."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.customers import discounts, given_away
from cdp_lib.customers.discounts import discount_affinity
from cdp_lib.tables import open_shop
from cdp_lib.world import World, open_truth, simulate


def order(customer, day, discount=0.0, revenue=50.0):
    return (customer, pd.Timestamp("2026-06-01") + pd.Timedelta(days=day), revenue, discount)


def orders(rows):
    table = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "revenue", "discount"])
    return table.assign(
        order_id=[f"o{i}" for i in range(len(table))],
        cost=1.0,
        customer_id=table.customer_id.astype("string"),
    )


def test_purchases_are_counted_as_by_hand(con, make_shop):
    rows = [
        order("ann", 0, 5.0), order("ann", 8), order("ann", 9, 5.0),
        order("ann", 10, 0.0, -50.0),  # a return
        order("bob", 1), order("bob", 8, 5.0), order(None, 1, 5.0), order("bob", 15, None),
    ]  # fmt: skip
    people = pd.DataFrame({"customer_id": ["ann", "bob", "cas"]})
    found = discount_affinity(make_shop(con, {"orders": orders(rows), "customers": people}))
    table = found.execute().set_index("customer_id")
    assert table.n_orders.to_dict() == {"ann": 3, "bob": 3, "cas": 0}
    assert table.n_discounted.to_dict() == {"ann": 2, "bob": 1, "cas": 0}
    # ann: week 1 has one other purchase, of bob, without; week 2 has two others each time.
    # Day 8: one of two others discounted beside her own none, so 2 of 2; day 9: 1 of 2.
    assert table.base_rate["ann"] == pytest.approx((0 + 1 + 0.5) / 3)
    # bob: 1 of 1 in week 1, 1 of 2 in week 2; nobody else bought in week 3, so that tells nothing.
    assert table.base_rate["bob"] == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(table.base_rate["cas"]) and table.from_prior.to_dict() == {
        "ann": False, "bob": False, "cas": True
    }  # fmt: skip
    assert (table.affinity_low <= table.affinity).all()
    assert (table.affinity <= table.affinity_high).all()


def everybody_week(seed=4, n=400, gives=0.9):
    """400 people who buy every week; in the fourth week nine in ten got a coupon."""
    rng = np.random.default_rng(seed)
    own = rng.beta(1.0, 4.0, n)
    rows = []
    for week in range(8):
        for i in range(n):
            if rng.random() < 0.5:
                chance = own[i] + (1 - own[i]) * (gives if week == 3 else 0)
                rows.append(order(f"c{i:03d}", 7 * week + 1, 5.0 * (rng.random() < chance)))
    return orders(rows), pd.Series(own, index=[f"c{i:03d}" for i in range(n)])


def test_a_week_with_a_coupon_for_everybody_tells_little(duckdb_con, make_shop):
    rows, own = everybody_week()
    found = discounts.read(make_shop(duckdb_con, {"orders": rows}))
    assert found.weeks.for_everybody.tolist() == [week == 3 for week in range(8)]
    week = found.weeks.iloc[3]
    given_to_all = (week.discounted_rate - found.usual_rate) / (1 - found.usual_rate)
    # 200 purchases: the standard error of the rate is below 2.5 points.
    assert given_to_all == pytest.approx(0.9, abs=0.08)
    assert week.own_share == pytest.approx(
        (1 - given_to_all) * found.usual_rate / week.discounted_rate
    )
    assert found.prior.mean == pytest.approx(0.2, abs=4 * 0.2 / np.sqrt(400 * 3.5))
    table = found.table.execute().set_index("customer_id")
    plain = table.n_discounted / table.n_orders
    error = (table.affinity - own).abs().mean()
    assert error < 0.7 * (plain - own).abs().mean()


def test_counting_a_part_is_as_good_as_the_whole_law():
    """A discounted purchase in such a week counts in part; the exact posterior says as much."""
    rng, mean, weight, given_to_all = np.random.default_rng(2), 0.2, 5.0, 0.9
    rate = given_to_all + (1 - given_to_all) * mean
    own = (1 - given_to_all) * mean / rate
    apart = []
    for _ in range(60):
        k, n, blanket = rng.integers(0, 4), rng.integers(3, 9), rng.integers(0, 3)

        def density(a, k=k, n=n, blanket=blanket):
            prior = a ** (mean * weight - 1) * (1 - a) ** ((1 - mean) * weight - 1)
            return (
                prior
                * a**k
                * (1 - a) ** (n - k)
                * (given_to_all + (1 - given_to_all) * a) ** (blanket)
            )

        exact = quad(lambda a: a * density(a), 0, 1)[0] / quad(density, 0, 1)[0]
        part = own * blanket
        apart.append((mean * weight + k + part) / (weight + n + part) - exact)
    assert np.abs(apart).max() < 0.02


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_counts_are_those_of_a_loop(duckdb_con, tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    rows = orders(
        [
            order(f"c{rng.integers(0, 6)}", float(rng.uniform(0, 40)),
                  float(rng.choice([0.0, 3.0])), float(rng.choice([20.0, -20.0], p=[0.9, 0.1])))
            for _ in range(n)
        ]
    )  # fmt: skip
    sure = orders([order("c0", 3.0)]).assign(order_id="sure")
    rows = pd.concat([rows, sure], ignore_index=True)
    folder = tmp_path_factory.mktemp("loop")
    rows.to_parquet(folder / "orders.parquet", index=False)
    (folder / "shop.toml").write_text(
        'as_of = 2026-12-01T00:00:00Z\n[tables.orders]\npath = "orders.parquet"\n'
    )
    found = discounts.read(open_shop(folder / "shop.toml", con=duckdb_con))
    table = found.table.execute().set_index("customer_id").sort_index()
    kept = rows[rows.revenue >= 0]
    week = kept.ordered_at.dt.to_period("W")
    for customer, part in kept.groupby("customer_id"):
        row, base = table.loc[customer], []
        for at, when in zip(part.order_id, week[part.index], strict=True):
            others = kept[(week == when) & (kept.order_id != at)]
            base += [(others.discount > 0).mean()] if len(others) else []
        assert row.n_orders == len(part) and row.n_discounted == (part.discount > 0).sum()
        assert row.base_rate == pytest.approx(np.mean(base)) if base else np.isnan(row.base_rate)
    assert set(table.index) == set(kept.customer_id)
    assert found.weeks.n_orders.sum() == len(kept)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """1,500 customers over a year without campaigns: coupons follow the affinity alone."""
    folder = tmp_path_factory.mktemp("coupons")
    path = simulate(folder, customers=1200, weeks=52, seed=21, params=World(campaigns=()))
    return open_shop(path), open_truth(folder)


def test_the_planted_affinity_is_ranked_as_well_as_can_be(quiet):
    shop, truth = quiet
    table = discount_affinity(shop).execute().set_index("customer_id")
    table = table[table.n_orders > 0]
    people = truth.people.set_index("person_id").loc[table.index]
    own, n = people.discount_affinity.to_numpy(), table.n_orders.to_numpy()
    found = stats.spearmanr(table.affinity, own).statistic
    # The ceiling: who knows the law of the affinities and of the coupons, and sees as many orders.
    # Its ranking is by the posterior mean under the law of all kinds; drawn anew 20 times.
    rng, rate = np.random.default_rng(0), truth.world.coupon_rate
    grid = (np.arange(200) + 0.5) / 200
    shares = people.kind.value_counts(normalize=True)
    law = sum(
        shares[kind.name] * stats.beta(kind.affinity * 6, (1 - kind.affinity) * 6).pdf(grid)
        for kind in truth.world.kinds
        if kind.name in shares
    )
    ranks = []
    for _ in range(20):
        k = rng.binomial(n, rate * own)
        chance = stats.binom.pmf(k[:, None], n[:, None], rate * grid[None, :]) * law
        ranks.append(stats.spearmanr((chance @ grid) / chance.sum(axis=1), own).statistic)
    ceiling, spread = np.mean(ranks), np.std(ranks)
    low = np.tanh(np.arctanh(found) - 1.96 * 1.03 / np.sqrt(len(own) - 3))
    assert ceiling > 0.3 and low > 0.25
    assert found > ceiling - 3 * spread - 0.02
    # Half of the affinity carries a coupon. The kind that buys most needs the fewest discounts and
    # weighs most in the one law for all, which pulls the others down by up to three points.
    assert table.affinity.mean() == pytest.approx(rate * own.mean(), abs=0.035)


def test_intervals_hold_the_planted_share(quiet):
    shop, truth = quiet
    table = discount_affinity(shop).execute().set_index("customer_id")
    own = truth.people.set_index("person_id").discount_affinity.loc[table.index]
    own = own * truth.world.coupon_rate
    inside = (table.affinity_low <= own) & (own <= table.affinity_high)
    # The law is a mixture of five betas, not one: two points are given for that, and three
    # standard errors of a share of some 1,500.
    assert inside.mean() > 0.95 - 0.02 - 3 * np.sqrt(0.95 * 0.05 / len(own))


def test_nothing_looks_past_the_cutoff(quiet, tmp_path):
    shop, _ = quiet
    cutoff = pd.Timestamp("2026-05-01")
    for name in ("orders", "customers"):
        table = pd.read_parquet(shop.path.parent / f"{name}.parquet")
        at = "ordered_at" if name == "orders" else "created_at"
        table[table[at] < cutoff].to_parquet(tmp_path / f"{name}.parquet", index=False)
    lines = [f'[tables.{name}]\npath = "{name}.parquet"\n' for name in ("orders", "customers")]
    (tmp_path / "shop.toml").write_text("as_of = 2026-05-01T00:00:00Z\n" + "".join(lines))
    cut = discount_affinity(open_shop(tmp_path / "shop.toml")).execute()
    then = discount_affinity(shop.at("2026-05-01")).execute()
    pd.testing.assert_frame_equal(
        *(one.sort_values("customer_id", ignore_index=True) for one in (cut, then))
    )


def test_a_shop_that_does_not_tell_is_refused(duckdb_con, make_shop):
    rows = orders([order("ann", 0, 5.0)])
    with pytest.raises(MissingTable, match="nothing of discounts"):
        discount_affinity(make_shop(duckdb_con, {"orders": rows.drop(columns="discount")}))
    only_back = orders([order("ann", 0, 0.0, -5.0)])
    with pytest.raises(TooLittleData, match="no purchase"):
        discount_affinity(make_shop(duckdb_con, {"orders": only_back}))


def test_lines_tell_where_orders_do_not(duckdb_con, make_shop):
    rows = orders([order("ann", 0), order("ann", 1), order("bob", 1)]).drop(columns="discount")
    lines = pd.DataFrame(
        {"order_id": ["o0", "o0", "o1", "o2"], "product_id": ["p", "q", "p", "p"], "quantity": 1,
         "unit_price": 20.0, "discount": [0.0, 2.0, 0.0, 0.0]}
    )  # fmt: skip
    shop = make_shop(duckdb_con, {"orders": rows, "order_lines": lines})
    table = discount_affinity(shop).execute().set_index("customer_id")
    assert table.n_discounted.to_dict() == {"ann": 1, "bob": 0}
    assert given_away.inferred(shop, discounts.read(shop)).discount == pytest.approx(2.0)


@pytest.mark.long_on_spark
def test_what_was_given_away_is_the_rest_of_the_affinity(con, make_shop):
    rows = [order("ann", 30 + i, 5.0) for i in range(4)] + [order("bob", 30 + i) for i in range(4)]
    rows += [order("cas", 31, 8.0), order("cas", 33), order("old", -400, 99.0)]
    shop = make_shop(con, {"orders": orders(rows)}, as_of="2026-09-01")
    habits = discounts.read(shop)
    share = habits.table.execute().set_index("customer_id").affinity
    found = given_away.inferred(shop, habits, days=365)
    assert (found.n_customers, found.n_orders, found.n_discounted) == (2, 10, 5)
    assert found.discount == pytest.approx(28.0)
    assert found.anyway == pytest.approx(20 * (1 - share["ann"]) + 8 * (1 - share["cas"]))
    assert 0 <= found.anyway_low < found.anyway < found.anyway_high <= 28
    assert found.share == pytest.approx(found.anyway / 28)


@pytest.mark.long_on_spark
def test_the_held_out_show_what_would_have_come_anyway(con, make_shop):
    draws = pd.DataFrame(
        {
            "experiment_id": "spring",
            "unit_id": [f"c{i:03d}" for i in range(200)],
            "arm": ["treated", "holdout"] * 100,
            "assigned_at": pd.Timestamp("2026-06-01"),
        }
    )
    rows = [order(f"c{i:03d}", 1, 5.0) for i in range(0, 80, 2)]  # 40 treated, all with a discount
    rows += [order(f"c{i:03d}", 1) for i in range(1, 60, 2)]  # 30 held out, none
    rows += [order("c000", 9, 5.0)]  # after the window
    shop = make_shop(con, {"orders": orders(rows), "assignments": draws}, as_of="2026-09-01")
    table = given_away.by_experiment(shop, window_days=7).set_index("arm")
    assert table.n_orders.to_dict() == {"treated": 40, "holdout": 30}
    assert table.discount.to_dict() == {"treated": 200.0, "holdout": 0.0}
    lift = pd.DataFrame({"experiment_id": ["spring"], "arm": ["treated"], "control": ["holdout"],
                         "rel_lift": [1 / 3], "rel_low": [-0.1], "rel_high": [1.0]})  # fmt: skip
    found = given_away.measured(table.reset_index(), lift).iloc[0]
    # 30 of 40 would have come: 0.75 of the 200 given; at the ends 0.5, and all of it.
    assert found.anyway_share == pytest.approx(0.75) and found.anyway == pytest.approx(150)
    assert (found.anyway_low, found.anyway_high) == (pytest.approx(100), pytest.approx(200))
    nobody = table.reset_index().assign(discounted_rate=0.5)
    assert given_away.measured(nobody, lift).empty
