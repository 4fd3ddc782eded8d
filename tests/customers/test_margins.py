"""Margins and spreads by hand, beside plain NumPy, and intervals that hold."""

import ibis
import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.customers import margins, spread

ROWS = [
    # customer, day of November, revenue, cost, discount
    ("good", 2, 100.0, 40.0, 0.0),
    ("good", 3, -30.0, -12.0, 0.0),  # a return: 42 left
    ("back", 4, 50.0, 20.0, 0.0),
    ("back", 5, -50.0, -17.0, 0.0),  # the goods came back worth less: -3
    ("coupon", 6, 18.0, 20.0, 6.0),  # -2, and 4 without the discount
    ("cheap", 7, 10.0, 15.0, 0.0),  # -5
    ("unknown", 8, 20.0, None, 0.0),
    ("early", -40, 90.0, 10.0, 0.0),  # before the span
]


@pytest.fixture
def shop(con, make_shop):
    frame = pd.DataFrame(ROWS, columns=["customer_id", "day", "revenue", "cost", "discount"])
    frame["ordered_at"] = (
        pd.Timestamp("2026-11-01") + pd.to_timedelta(frame.day, unit="D")
    ).astype("datetime64[us]")
    frame["order_id"] = [f"o{i}" for i in range(len(frame))]
    return make_shop(con, {"orders": frame.drop(columns="day")})


@pytest.mark.long_on_spark
def test_margins_by_hand(shop):
    got = margins.margins(shop, days=30)
    table = got.table.to_pandas().set_index("customer_id")
    assert table.margin.to_dict() == {"good": 42, "back": -3, "coupon": -2, "cheap": -5}
    assert table.loc["good", ["n_orders", "revenue", "paid_back", "discount"]].tolist() == [
        1, 100, 30, 0,
    ]  # fmt: skip
    assert got.kind == "margin" and got.unknown_share == pytest.approx(20 / 198)
    losses = margins.loss_table(got).set_index("reason")
    assert losses.margin.to_dict() == dict(zip(margins.LOSSES, (-3, -2, -5), strict=True))
    assert losses.n_customers.tolist() == [1, 1, 1]
    with pytest.raises(TooLittleData, match="no order"):
        margins.margins(shop, "2026-09-01")


def test_without_costs_it_is_revenue(duckdb_con, make_shop):
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b"], "order_id": ["1", "2", "3"],
            "revenue": [10.0, -4.0, 3.0],
            "ordered_at": pd.to_datetime(["2026-11-02"] * 3).astype("datetime64[us]"),
        }
    )  # fmt: skip
    got = margins.margins(make_shop(duckdb_con, {"orders": frame}))
    assert got.kind == "revenue" and got.unknown_share == 0
    assert got.table.to_pandas().set_index("customer_id").margin.to_dict() == {"a": 6, "b": 3}
    with pytest.raises(MissingTable):
        margins.margins(make_shop(duckdb_con, {"customers": frame[["customer_id"]].head(1)}))


def parts_of(values, con=None) -> pd.DataFrame:
    frame = pd.DataFrame({"key": [f"k{i:06d}" for i in range(len(values))], "v": values})
    return spread.part_table(ibis.memtable(frame), "v", "key")


def test_parts_and_shares_beside_plain_sums(duckdb_con):
    values = np.random.default_rng(1).lognormal(3, 1, 2000)
    parts = parts_of(values)
    assert parts.n.tolist() == [20] * 100 and parts.total.sum() == pytest.approx(values.sum())
    got = spread.share_table(parts)
    ordered = np.sort(values)[::-1].reshape(10, 200)
    assert got.value.tolist() == pytest.approx(ordered.sum(axis=1))
    assert got.share.tolist() == pytest.approx(ordered.sum(axis=1) / values.sum())
    assert got.cumulative_share.iloc[-1] == pytest.approx(1) and got.n.sum() == 2000
    curve = spread.curve_table(parts)
    assert curve.iloc[0].tolist() == [0, 0] and curve.iloc[-1].tolist() == pytest.approx([1, 1])
    assert (curve.cumulative_share.diff().dropna() > 0).all()


def test_guarded_means_beside_scipy():
    from scipy import stats
    from scipy.stats import mstats

    values = np.random.default_rng(2).lognormal(3, 1, 5000)
    got = spread.guarded_table(parts_of(values)).set_index("measure")
    assert got.value["mean"] == pytest.approx(values.mean())
    assert got.value["trimmed"] == pytest.approx(stats.trim_mean(values, 0.01))
    drawn = np.asarray(mstats.winsorize(values, (0.01, 0.01)))
    assert got.value["winsorised"] == pytest.approx(drawn.mean())
    assert got.value["median"] == pytest.approx(np.median(values), rel=0.01)
    half = 1.959964 * values.std(ddof=1) / np.sqrt(5000)
    assert got.high["mean"] - got.value["mean"] == pytest.approx(half, rel=1e-6)
    half = 1.959964 * drawn.std(ddof=1) / (0.98 * np.sqrt(5000))
    assert got.high["trimmed"] - got.value["trimmed"] == pytest.approx(half, rel=1e-6)
    ends = stats.binom(5000, 0.5).ppf([0.025, 0.975]).astype(int)
    assert got.loc["median", ["low", "high"]].tolist() == pytest.approx(
        np.sort(values)[ends].tolist(), rel=0.01
    )
    few = spread.guarded_table(parts_of([1.0, 2.0, 6.0])).set_index("measure")
    assert few.value["mean"] == 3 and np.isnan(few.value["trimmed"])
    with pytest.raises(TooLittleData):
        parts_of(np.array([], float))


def test_share_intervals_hold():
    """The share of the best tenth: of 300 samples 95 % hold the true one, with four standard
    errors of a share (0.90 to 1); the truth of a lognormal law is Phi(1 - z), z the 90 % point."""
    from scipy import stats

    truth, inside = float(stats.norm.cdf(0.8 - stats.norm.ppf(0.9))), 0
    rng = np.random.default_rng(3)
    for _ in range(300):
        values = np.sort(rng.lognormal(3, 0.8, 1000)).reshape(100, 10)
        parts = pd.DataFrame(
            {
                "part": np.arange(1, 101), "n": 10, "total": values.sum(axis=1),
                "squares": (values**2).sum(axis=1), "lowest": values[:, 0],
                "highest": values[:, -1],
            }
        )  # fmt: skip
        row = spread.share_table(parts, (10, 100)).iloc[0]
        inside += row.share_low <= truth <= row.share_high
    assert inside >= 0.90 * 300


def test_shares_of_nothing_are_unknown():
    got = spread.share_table(parts_of(np.array([-3.0, 1.0, 1.0])))
    assert got.share.isna().all() and got.value.sum() == -1
