"""Expected value: histories by hand, tables that add up, generations, intervals that hold."""

import numpy as np
import pandas as pd
import pytest
from planted_buyers import KEPT, ORDERS, SPEND, START, planted

from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.customers import histories, worth
from cdp_lib.customers.backtest import happened
from cdp_lib.customers.totals import totals


def lines(*rows):
    """Orders from (customer, moment, revenue, cost)."""
    frame = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "revenue", "cost"])
    frame["ordered_at"] = pd.to_datetime(frame.ordered_at).astype("datetime64[us]")
    return frame.assign(order_id=[f"o{i}" for i in range(len(frame))])


BY_HAND = lines(
    ("one", "2026-11-20 08:00", 30.0, 10.0),
    ("two", "2026-11-01 08:00", 10.0, 6.0),
    ("two", "2026-11-01 20:00", 20.0, 12.0),  # the same day: one order of 30
    ("two", "2026-11-11 01:00", 50.0, 30.0),
    ("two", "2026-11-15 01:00", -50.0, -30.0),  # a return is no order
    ("free", "2026-11-10 12:00", 0.0, 3.0),  # an order without a value
    ("late", "2026-12-01 00:00", 99.0, 1.0),  # at the cutoff: not known
)


def test_histories_by_hand(con, make_shop):
    shop = make_shop(con, {"orders": BY_HAND}, as_of="2026-12-02")
    got = histories.history_table(shop, "2026-12-01").to_pandas().set_index("customer_id")
    told = got.drop(columns="first_at").astype(float).T.to_dict("list")
    # frequency, recency, age (to the last day before), n_valued, mean_value
    assert told["one"] == [0, 0, 10, 1, 30.0]
    assert told["two"] == [1, 10, 29, 2, 40.0]
    assert told["free"][:4] == [0, 0, 20, 0] and np.isnan(told["free"][4])
    assert set(told) == {"one", "two", "free"}
    assert got.first_at["two"] == pd.Timestamp("2026-11-01 08:00")
    table = histories.history_table(shop, "2026-12-01").mutate(generation=0)
    cells = histories.cells(table)
    assert cells.n_customers.sum() == 3 and cells.sum_mean.sum() == 70
    assert cells.sum_squares.sum() == 30**2 + 40**2
    spent = histories.spending(table)
    assert spent.n_customers.tolist() == [1, 1] and spent.mean_value.tolist() == pytest.approx(
        [30, 40]
    )


@pytest.mark.long_on_spark
def test_what_is_kept_by_hand(con, make_shop):
    """Revenue 110; one keeps 20, two 4 + 8 + 20 - 20 = 12, free -3: 29 of 110."""
    shop = make_shop(con, {"orders": BY_HAND}, as_of="2026-12-02")
    got = histories.kept(shop, "2026-12-01")
    rate = 29 / 110
    off = [20 - rate * 30, 12 - rate * 80, -3.0]
    half = 1.959964 * np.sqrt(np.square(off).sum()) / 110
    assert (got.kind, got.revenue, got.known_share) == ("margin", 110, 1)
    assert (got.rate, got.low, got.high) == pytest.approx((rate, rate - half, rate + half))
    assert got.noise == pytest.approx(np.square(off).sum() / 110)
    revenue = make_shop(con, {"orders": BY_HAND.drop(columns="cost")}, as_of="2026-12-02")
    got = histories.kept(revenue, "2026-12-01")
    assert got.kind == "revenue" and np.isnan(got.known_share)
    assert got.rate == pytest.approx((110 - 50) / 110)
    with pytest.raises(TooLittleData, match="no revenue"):
        histories.kept(shop, "2026-12-01", lookback_days=3)


@pytest.fixture(scope="module")
def shop(duckdb_con, tmp_path_factory):
    """2,500 planted customers of one law, and two who never ordered."""
    from cdp_lib.tables import open_shop

    folder = tmp_path_factory.mktemp("worth")
    planted(2500, 1, days=360).to_parquet(folder / "orders.parquet", index=False)
    people = pd.DataFrame({"customer_id": ["never", "nothing"]})
    people.to_parquet(folder / "customers.parquet", index=False)
    (folder / "shop.toml").write_text(
        'name = "planted"\nas_of = 2026-12-27T00:00:00Z\n'
        '[tables.orders]\npath = "orders.parquet"\n[tables.customers]\npath = "customers.parquet"\n'
    )
    return open_shop(folder / "shop.toml", con=duckdb_con)


def test_the_table_adds_up_to_the_totals(shop):
    model = worth.fit(shop, START + pd.Timedelta(days=270))
    assert model.n_without == 2 and len(model.orders.models) == 1
    for rate in (0.0, 0.2):
        table = worth.value_table(model, 90, rate, draws=200).to_pandas()
        row = totals(model, (90,), rate).iloc[0]
        assert len(table) == row.n_customers == model.n_customers
        for name in ("expected_revenue", "expected_value"):
            assert table[name].sum() == pytest.approx(row[name], rel=1e-9)
        assert not table.isna().any().any() and table.customer_id.is_unique
        assert (table.value_low <= table.value_high).all() and table.p_alive.between(0, 1).all()
    plain = totals(model, (90,)).iloc[0]
    assert 0.9 < row.expected_value / plain.expected_value < (1.2) ** (-1 / 365)
    # As every order keeps the same, the rate kept is certain.
    assert model.kept.rate == pytest.approx(KEPT) and model.kept.noise == pytest.approx(0, abs=1e-9)
    ids = worth.value_table(model, 90, intervals=False)
    halves = ids.select("customer_id", half=ids.expected_orders > 0.5)
    parts = totals(model, (90, 180), by=halves)
    assert parts.groupby("horizon_days").expected_value.sum().loc[90] == pytest.approx(
        plain.expected_value
    )
    assert ids.value_low.isnull().all().execute()


def test_customers_bring_what_their_span_says(shop):
    """Of the planted law: nineteen of twenty within the span, four standard errors below at most;
    the fit adds a little error of its own, 1 point."""
    cutoff = START + pd.Timedelta(days=270)
    model = worth.fit(shop, cutoff)
    table = worth.value_table(model, 90)
    came = happened(shop, cutoff, 90).select("customer_id", came="value")
    both = table.left_join(came, "customer_id").to_pandas()
    value = both.came.fillna(0.0)
    inside = value.between(both.value_low - 1e-6, both.value_high + 1e-6).mean()
    assert inside > 0.95 - 4 * np.sqrt(0.05 * 0.95 / len(both)) - 0.01
    tenth = pd.qcut(both.expected_value, 10, labels=False)
    for _, part in both.assign(gap=value - both.expected_value).groupby(tenth):
        # Calibration: the mean of each tenth, within 4.5 standard errors.
        assert abs(part.gap.mean()) < 4.5 * part.gap.std() / np.sqrt(len(part))


def within(folder, con, seed: int) -> tuple[bool, float]:
    """Whether a planted world's total lies in its interval, and how far off in its sd."""
    from cdp_lib.tables import open_shop

    folder.mkdir()
    planted(600, seed, days=240, arrive=(0, 120)).to_parquet(folder / "o.parquet", index=False)
    (folder / "shop.toml").write_text(
        'name = "w"\nas_of = 2026-08-29T00:00:00Z\n[tables.orders]\npath = "o.parquet"\n'
    )
    shop = open_shop(folder / "shop.toml", con=con)
    cutoff = START + pd.Timedelta(days=150)
    model = worth.fit(shop, cutoff)
    row = totals(model, (90,)).iloc[0]
    mine = model.histories.select("customer_id")
    came = mine.inner_join(happened(shop, cutoff, 90), "customer_id")
    value = float(came.value.sum().execute())
    off = (value - row.expected_value) / np.hypot(row.chance_sd, row.parameter_sd)
    return bool(row.value_low <= value <= row.value_high), off


def test_totals_lie_in_their_intervals(tmp_path, duckdb_con):
    """Ten small worlds: 7 or fewer inside has a chance of 1.2 % at 95 %; the seeds are fixed."""
    found = [within(tmp_path / str(seed), duckdb_con, seed) for seed in range(10)]
    assert sum(inside for inside, _ in found) >= 8
    assert abs(np.mean([off for _, off in found])) < 4 / np.sqrt(10)


@pytest.mark.proof
def test_totals_lie_in_their_intervals_at_the_stated_rate(tmp_path, duckdb_con):
    """200 worlds: 95 % within three standard errors of a share (90.4 to 99.6 %)."""
    found = [within(tmp_path / str(seed), duckdb_con, 100 + seed) for seed in range(200)]
    share, off = np.mean([inside for inside, _ in found]), np.array([off for _, off in found])
    print(f"inside {share:.1%}, mean distance {off.mean():.2f} sd, spread {off.std():.2f} sd")
    assert abs(share - 0.95) < 3 * np.sqrt(0.05 * 0.95 / 200)


def test_generations_that_differ_get_models_of_their_own(make_shop, duckdb_con):
    """Half of them loyal and there from the start; half come later and hardly stay."""
    from dataclasses import replace

    there = planted(1200, 2, orders=replace(ORDERS, a=0.2, b=3.0), arrive=(0, 25), name="old")
    come = planted(1600, 3, orders=replace(ORDERS, a=2.0, b=1.0), arrive=(35, 170), name="new")
    shop = make_shop(duckdb_con, {"orders": pd.concat([there, come])}, as_of="2026-09-28")
    model = worth.fit(shop)
    assert len(model.orders.models) == 5
    means = [one.a / (one.a + one.b) for one in model.orders.models]
    assert means[0] < 0.15 and min(means[1:]) > 0.4
    table = worth.value_table(model, 90, intervals=False).to_pandas()
    old = table.customer_id.str.startswith("old")
    assert table.expected_orders[old].mean() > 3 * table.expected_orders[~old].mean()


@pytest.mark.long_on_spark
def test_both_engines_say_the_same(con, make_shop, duckdb_con):
    orders = planted(400, 8, days=200, arrive=(0, 100))
    found = []
    for engine in (con, duckdb_con):
        shop = make_shop(engine, {"orders": orders}, as_of="2026-07-20")
        table = worth.value_table(worth.fit(shop), 91, draws=50).to_pandas()
        found.append(table.set_index("customer_id").sort_index())
    pd.testing.assert_frame_equal(*found, rtol=1e-6, check_dtype=False)


def test_bad_input_is_refused(shop, make_shop, duckdb_con):
    model = worth.fit(shop, START + pd.Timedelta(days=270))
    with pytest.raises(Refusal, match="horizon_days"):
        worth.value_table(model, 0)
    with pytest.raises(Refusal, match="discount_rate"):
        totals(model, (91,), -0.1)
    with pytest.raises(Refusal, match="one further column"):
        totals(model, (91,), by=model.histories)
    people = {"customers": pd.DataFrame({"customer_id": ["a"]})}
    with pytest.raises(MissingTable):
        worth.fit(make_shop(duckdb_con, people))
    with pytest.raises(TooLittleData):
        worth.fit(make_shop(duckdb_con, {"orders": BY_HAND}, as_of="2026-12-02"))
    nobody = BY_HAND.head(0)
    with pytest.raises(TooLittleData):
        worth.fit(make_shop(duckdb_con, {"orders": nobody}, as_of="2026-12-02"))


def test_warnings_say_what_is_not_known(make_shop, duckdb_con):
    orders = planted(300, 4, days=200, arrive=(0, 100)).drop(columns="cost")
    model = worth.fit(make_shop(duckdb_con, {"orders": orders}, as_of="2026-07-20"))
    assert model.kept.kind == "revenue" and model.n_without is None
    assert any("No cost of goods" in one for one in model.warnings)
    assert SPEND.q > 2
