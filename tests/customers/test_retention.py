"""The what-if of retention: no change is no gain, beside customers who go on, and the claim."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted_buyers import START, planted

from cdp_lib.checks import Refusal
from cdp_lib.customers import retention, worth
from cdp_lib.customers.totals import totals


@pytest.fixture(scope="module")
def model(duckdb_con, tmp_path_factory):
    """Value models of 1,200 planted customers after 270 days."""
    from cdp_lib.tables import open_shop

    folder = tmp_path_factory.mktemp("retention")
    planted(1200, 6).to_parquet(folder / "orders.parquet", index=False)
    (folder / "shop.toml").write_text(
        'name = "p"\nas_of = 2026-09-28T00:00:00Z\n[tables.orders]\npath = "orders.parquet"\n'
    )
    return worth.fit(open_shop(folder / "shop.toml", con=duckdb_con))


def test_no_change_is_no_gain_and_more_is_more(model):
    got = retention.retention_table(model, (0.0, 0.1, 0.5, 1.0))
    assert got.value[0] == pytest.approx(totals(model, (365,)).expected_value[0], rel=1e-3)
    assert got.loc[0, ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
    assert got.gain.is_monotonic_increasing and got.retention.is_monotonic_increasing
    assert (got.gain_low[1:] < got.gain[1:]).all() and (got.gain_low[1:] > 0).all()
    assert got.gain_share.tolist() == pytest.approx((got.value / got.value[0] - 1).tolist())
    assert got.retention.iloc[-1] == pytest.approx(1)
    # Nobody ever leaves: orders come at the rate of those alive, for the whole year.
    cells, one = model.cells, model.orders.models[0]
    rate = (one.r + cells.frequency) / (one.alpha + cells.age)
    alive = model.orders.p_alive(cells)
    count = float((alive * rate * cells.n_customers).sum() * 365)
    assert got.value.iloc[-1] / got.value[0] == pytest.approx(
        count / totals(model, (365,)).expected_orders[0], rel=0.02
    )


def test_the_gain_is_what_customers_do(model):
    """The posterior lived on with each chance to leave 30 % rarer, order by order.

    25 times all customers; orders within four standard errors of the difference.
    """
    one, cells, rng = model.orders.models[0], model.cells, np.random.default_rng(2)
    who = cells.loc[cells.index.repeat(25 * cells.n_customers)]
    x, recency, age = (who[name].to_numpy(float) for name in ("frequency", "recency", "age"))
    alive = rng.random(len(who)) < one.p_alive(x, recency, age)
    rate = rng.gamma(one.r + x, 1 / (one.alpha + age))
    leave = rng.beta(one.a, one.chance_to_stay(x))
    came = rng.poisson(rate * 365)
    counts = [
        np.where(alive, np.minimum(came, rng.geometric(np.maximum(leave * part, 1e-12))), 0)
        for part in (1.0, 0.7)
    ]
    free = replace(model, spend=replace(model.spend, p=1.0, q=1e12, gamma=1e12))
    got = retention.retention_table(free, (0.0, 0.3))
    # With order values that all are 1, value is orders times the rate kept.
    told = got.value / model.kept.rate
    for mean, found in zip(told / cells.n_customers.sum(), counts, strict=True):
        assert found.mean() == pytest.approx(mean, abs=4 * found.std() / np.sqrt(len(found)))


def test_readings_of_the_claim(model):
    got = retention.reading_table(model, 0.05)
    assert len(got) == 4 and set(got.span) == {"in a year", "in the long run"}
    year = got[got.span == "in a year"].set_index("reading")
    points = year.loc["5 points more stay each year"]
    assert points.retention == pytest.approx(retention.retention(model) + 0.05, abs=1e-6)
    assert year.loc["5% fewer leave after an order"].fewer_share == 0.05
    assert points.gain > year.gain.min() > 0
    # A year is less than the long run.
    assert got.groupby("reading").gain.apply(lambda gain: gain.iloc[0] < gain.iloc[1]).all()
    far = retention.reading_table(model, 0.9)
    assert far[far.reading.str.contains("points")].gain.isna().all()
    assert far[far.reading.str.contains("fewer")].gain.notna().all()


def test_bad_what_ifs_are_refused(model):
    with pytest.raises(Refusal, match="fewer"):
        retention.retention_table(model, (1.5,))
    with pytest.raises(Refusal, match="wanted"):
        retention.fewer_for(model, 0)
    assert np.isnan(retention.fewer_for(model, 0.01))
    assert isinstance(START, pd.Timestamp)
