"""Forecasts beside what happened: by hand, on CDNOW's second half, on the simulated shop."""

import numpy as np
import pandas as pd
import pytest
from planted_buyers import START, planted
from scipy import stats

from cdp_lib.checks import TooLittleData
from cdp_lib.customers import backtest, worth
from cdp_lib.customers.totals import totals
from cdp_lib.tables import open_shop


@pytest.mark.long_on_spark
def test_what_happened_by_hand(con, make_shop):
    """The window is half-open; a day is one order; a return counts in money alone."""
    rows = [
        ("a", "2026-05-01 00:00", 10.0, 4.0), ("a", "2026-05-01 23:00", 20.0, 8.0),
        ("a", "2026-05-20 00:00", -5.0, -2.0), ("b", "2026-05-30 23:59", 7.0, 2.0),
        ("b", "2026-05-31 00:00", 99.0, 1.0), ("c", "2026-04-30 23:59", 99.0, 1.0),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "revenue", "cost"])
    frame["ordered_at"] = pd.to_datetime(frame.ordered_at).astype("datetime64[us]")
    frame["order_id"] = [f"o{i}" for i in range(len(frame))]
    shop = make_shop(con, {"orders": frame}, as_of="2026-08-01")
    got = backtest.happened(shop, "2026-05-01", 30).to_pandas().set_index("customer_id")
    assert got.T.to_dict("list") == {"a": [1, 15], "b": [1, 5]}
    got = backtest.happened(shop, "2026-05-01", 30, "revenue").to_pandas()
    assert sorted(got.value) == [7, 25]


def test_scores_by_hand():
    expected, came = np.array([4.0, 3.0, 2.0, 1.0]), np.array([8.0, 0.0, 0.0, 0.0])
    got = backtest.scores(expected, came).set_index("measure")
    assert got.value["bias"] == pytest.approx(10 / 8 - 1)
    assert got.value["mae"] == pytest.approx((4 + 3 + 2 + 1) / 4)
    assert got.value["rank correlation"] == pytest.approx(stats.spearmanr(expected, came).statistic)
    assert got.value["top tenth"] == 1
    off = expected - 1.25 * came
    assert got.high["bias"] - got.value["bias"] == pytest.approx(
        1.959964 * np.sqrt((off**2).sum()) / 8, rel=1e-6
    )
    nothing = backtest.scores(expected, np.zeros(4)).set_index("measure")
    assert np.isnan(nothing.value["bias"]) and nothing.value["mae"] == 2.5


def test_the_error_beyond_chance_by_hand():
    """Off by 30 and 10 of 100 with a chance of 10: (900 - 100 + 100 - 100) / 2 of 10,000."""
    moments = pd.DataFrame(
        {"expected_value": [100.0, 100.0], "happened_value": [70.0, 110.0], "sd": [10.0, 10.0]}
    )
    assert backtest.model_error(moments) == pytest.approx(0.2)
    assert backtest.model_error(moments.assign(happened_value=105.0)) == 0


@pytest.fixture(scope="module")
def shop(duckdb_con, tmp_path_factory):
    """2,000 planted customers who keep coming for 300 days."""
    folder = tmp_path_factory.mktemp("backtest")
    frame = planted(2000, 5, days=300, arrive=(0, 280))
    frame.to_parquet(folder / "orders.parquet", index=False)
    (folder / "shop.toml").write_text(
        'name = "p"\nas_of = 2026-10-28T00:00:00Z\n[tables.orders]\npath = "orders.parquet"\n'
    )
    return open_shop(folder / "shop.toml", con=duckdb_con)


def test_a_law_that_holds_leaves_chance_alone(shop):
    got = backtest.backtest(shop, 60)
    assert len(got.moments) == 5 and got.moments.cutoff.is_monotonic_decreasing
    assert got.moments.inside.sum() >= 4  # at 95 % each, 2 % for fewer
    assert got.error < 0.05
    newest = got.moments.iloc[0]
    assert got.cohorts.n_customers.sum() == newest.n_customers == got.model.n_customers
    assert got.cohorts.happened_value.sum() == pytest.approx(newest.happened_value)
    assert got.cohorts.expected_value.sum() == pytest.approx(newest.expected_value)
    assert got.cohorts.inside.mean() >= 0.7
    assert got.deciles.n_customers.sum() == newest.n_customers
    assert got.deciles.expected_value.is_monotonic_decreasing
    inside = got.deciles.expected_value.between(got.deciles.happened_low, got.deciles.happened_high)
    assert inside.sum() >= 7
    bias = got.scores.set_index("measure").loc["bias"]
    assert bias.value == pytest.approx(newest.expected_value / newest.happened_value - 1)


def test_an_interval_grows_by_the_error_there_was(shop):
    test = backtest.backtest(shop, 60)
    table = totals(worth.fit(shop))
    same = backtest.widened(table, test)
    from dataclasses import replace

    wide = backtest.widened(table, replace(test, error=0.2))
    # Five moments 30 days apart span 120 days, two horizons more than one: 3 degrees of freedom.
    off = 0.2 * table.expected_value * stats.t(3).ppf(0.975)
    own = 1.959964 * np.hypot(table.chance_sd, table.parameter_sd)
    assert (wide.value_high - wide.expected_value).tolist() == pytest.approx(
        np.hypot(own, off).tolist(), rel=1e-6
    )
    assert (wide.value_high > same.value_high).all() and (wide.value_low >= 0).all()
    assert wide.alone_low.tolist() == table.value_low.tolist()


def test_nothing_after_a_moment_is_looked_at(shop, tmp_path):
    """A shop whose log ends at the moment says the same of it as one that goes on."""
    cutoff = START + pd.Timedelta(days=200)
    text = shop.path.read_text().replace("2026-10-28", f"{cutoff:%Y-%m-%d}")
    frame = pd.read_parquet(shop.path.parent / "orders.parquet")
    frame[frame.ordered_at < cutoff].to_parquet(tmp_path / "orders.parquet", index=False)
    (tmp_path / "shop.toml").write_text(text)
    cut = open_shop(tmp_path / "shop.toml", con=shop.con)
    tables = [totals(worth.fit(one, cutoff)) for one in (shop, cut)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-9)


def test_too_short_a_history_is_said(shop):
    with pytest.raises(TooLittleData, match="wait"):
        backtest.backtest(shop, 250)


def test_the_second_half_of_cdnow(shared_data, make_shop, duckdb_con):
    """Fitted to 39 weeks of 1997, tested on the 39 that follow, by week of the first order.

    The plain model expects 1,653 orders of them (as the paper's, in days), and 1,882 came, worth
    more each than before: chance alone does not cover it. The error that earlier moments of the
    first half show does, in total and for the cohorts: of 12 at least 10 (95 %: 9 or fewer has a
    chance of 2 %).
    """
    d = pd.read_parquet(shared_data / "cdnow" / "cdnow_sample.parquet")
    orders = pd.DataFrame(
        {
            "customer_id": d.customer_id.astype(str), "revenue": d.dollar_value.astype(float),
            "ordered_at": pd.to_datetime(d.date).astype("datetime64[us]"),
            "order_id": [f"o{i}" for i in range(len(d))],
        }
    )  # fmt: skip
    shop = make_shop(duckdb_con, {"orders": orders}, as_of="1998-07-01")
    model, days = worth.fit(shop, "1997-10-01"), 273
    assert model.kept.kind == "revenue" and model.n_customers == 2357
    assert len(model.orders.models) == 1 and not model.orders.models[0].at_first
    test = backtest.backtest(shop.at("1997-10-01"), 91)
    total = backtest.widened(totals(model, (days,)), test).iloc[0]
    came = backtest.happened(shop, "1997-10-01", days, "revenue").to_pandas()
    assert round(total.expected_orders) == 1653 and came.n_orders.sum() == 1882
    assert total.value_low <= came.value.sum() <= total.value_high
    week = model.histories.select("customer_id", cohort=model.histories.first_at.truncate("W"))
    told = backtest.widened(totals(model, (days,), by=week), test)
    told = told[told.n_customers >= 100]
    worths = came.merge(week.to_pandas(), on="customer_id").groupby("cohort").value.sum()
    value = worths.reindex(told.cohort).fillna(0).to_numpy()
    assert len(told) >= 12
    assert ((value >= told.value_low) & (value <= told.value_high)).sum() >= len(told) - 2
    alone = ((value >= told.alone_low) & (value <= told.alone_high)).sum()
    print(f"error {test.error:.3f}, {total.value_low:.0f} to {total.value_high:.0f}")
    print(f"came {came.value.sum():.0f}; {alone} of {len(told)} cohorts by chance alone")
