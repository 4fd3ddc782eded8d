"""Look-alikes in a simulated shop: nothing of the future in them, and the planted value found."""

import shutil

import ibis
import numpy as np
import pandas as pd
import pytest

from cdp_lib.activate import lookalike, reach, seeds
from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.customers import rfm
from cdp_lib.tables import open_shop
from cdp_lib.world import observer_probability, open_truth, simulate

DAYS = 70
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("alike") / "shop", customers=3000, weeks=31, seed=21)


@pytest.fixture(scope="module")
def one(path):
    return lookalike.study(open_shop(path), ("recent_buyers",), DAYS)


def first_tenth(score, value) -> float:
    """How much more the first tenth of an order holds than a random one."""
    first = np.argsort(-np.asarray(score), kind="stable")[: round(len(score) / 10)]
    return value[first].mean() / value.mean()


def planted_value(truth, customers, end) -> np.ndarray:
    """What each person buys per day from now on: the law's own rate of purchases, while alive."""
    people = truth.people.set_index("person_id").reindex(customers)
    later = truth.world.buy_later_share
    rate = people.visit_rate * people.cart_prob * (1 - truth.world.emptied_share)
    rate = rate * (1 - people.p_left + later * people.p_left)
    return rate.where(people.ends_at > pd.Timestamp(end), 0.0).to_numpy()


def against_the_oracle(path, one, kind) -> float:
    """The lift of the first tenth of the prospects in planted value, over that of the best
    observer, who knows the law and everybody's rates and reads the same log."""
    end, truth = one.shop.as_of, open_truth(path.parent)
    ids = one.now.customer_id
    value = planted_value(truth, ids, end)
    best = observer_probability(truth, "purchase", end, DAYS).reindex(ids).fillna(0).to_numpy()
    return first_tenth(one.now[f"score_{kind}"], value) / first_tenth(best, value)


def test_prospects_have_no_order_and_seeds_are_told_later(path, one):
    shop = open_shop(path)
    t0, t1, end = lookalike.span_ends(shop, DAYS)
    orders = shop.orders.to_pandas()
    before = set(orders[orders.ordered_at < t1].customer_id)
    assert not before & set(one.tested.customer_id)
    since = orders[(orders.ordered_at >= t1) & (orders.revenue >= 0)]
    bought = one.tested.customer_id.isin(since.customer_id)
    assert (bought == one.tested.joined_recent_buyers).all()
    mine = since[since.customer_id.isin(one.tested.customer_id)]
    assert one.tested.n_orders.sum() == len(mine)
    assert not set(orders.customer_id) & set(one.now.customer_id)
    assert one.told.end == t1 and one.newest.end == end and t0 < t1 < end
    assert not [name for name in one.names if "order" in name and "begin" not in name]


def test_what_happened_later_reaches_no_score(path, one, tmp_path):
    """The same shop without an order after t1: who is tested, and how they score, is the same bit
    for bit, and now nobody joined."""
    _, t1, end = lookalike.span_ends(open_shop(path), DAYS)
    cut = tmp_path / "cut"
    shutil.copytree(path.parent, cut, ignore=shutil.ignore_patterns("truth"))
    orders = pd.read_parquet(cut / "orders.parquet")
    orders[orders.ordered_at < t1].to_parquet(cut / "orders.parquet", index=False)
    text = (cut / "shop.toml").read_text()
    assert f"as_of = {end:%Y-%m-%d}" in text
    other = lookalike.study(open_shop(cut / "shop.toml"), ("recent_buyers",), DAYS)
    assert other.tested.customer_id.tolist() == one.tested.customer_id.tolist()
    assert not other.tested.joined_recent_buyers.any() and one.tested.joined_recent_buyers.any()
    pd.testing.assert_series_equal(
        other.tested.score_recent_buyers, one.tested.score_recent_buyers, check_exact=True
    )


def test_the_first_of_the_order_are_the_planted_ones(path, one):
    """In worlds of 8,000 this order reaches 0.73 to 0.86 of the oracle's lift; with a tenth of 130
    people instead of 320 its error grows by half, so 0.6 is more than three of them below."""
    assert against_the_oracle(path, one, "recent_buyers") > 0.6
    table = reach.lift_table(one).iloc[0]
    # Surely better than chance, by what the shop itself can see.
    assert table.auc_low > 0.5 and table.lift_low > 1 and table.value_lift_low > 1
    curve = reach.size_curve(one, "recent_buyers")
    assert curve.caught.is_monotonic_increasing and curve.caught.iloc[-1] == pytest.approx(1)
    tenth = curve[curve.share == 0.1].iloc[0]
    assert tenth.caught == pytest.approx(table.caught)
    assert curve.margin.iloc[-1] == pytest.approx(one.tested.margin.sum())


def test_what_cannot_be_learned_says_why(path, one):
    shop = open_shop(path)
    with pytest.raises(Refusal, match="repeat_buyers"):
        lookalike.study(shop, ("repeat_buyer",), DAYS)
    with pytest.raises(TooLittleData, match="three horizons"):
        lookalike.study(shop, (), 200)
    with pytest.raises(Refusal, match="recent_buyers"):
        lookalike.ranked(one, "engaged")
    assert "advocates" in one.told.lacking and "share, review" in one.told.lacking["advocates"]
    first = lookalike.ranked(one, "recent_buyers", 10)
    assert first.score.is_monotonic_decreasing and len(first) == 10


def test_better_seeds_bring_more(path, one):
    """Repeat buyers come back more than buyers at all: their planted rates are higher."""
    table = seeds.quality_table(one.shop, one.told, one.newest.end).set_index("seed")
    assert table.loc["repeat_buyers", "over_buyers_low"] > 0
    assert table.loc["repeat_buyers", "repeat_low"] > table.loc["recent_buyers", "repeat"]
    margin = seeds.amounts(one.shop, one.told.end, one.newest.end).to_pandas()
    members = one.told.members["repeat_buyers"].to_pandas().merge(margin, "left", "customer_id")
    value = members.margin.fillna(0.0)
    row = table.loc["repeat_buyers"]
    assert row.n == len(members) and row.margin == pytest.approx(value.mean())
    half = 1.96 * value.std(ddof=1) / np.sqrt(len(value))
    assert row.margin_high - row.margin == pytest.approx(half, rel=1e-3)


def test_champions_are_those_of_the_span(one):
    """By pandas from the span's purchases; the cuts are those that RFM takes of the same rows."""
    orders = one.shop.orders.to_pandas()
    inside = (orders.ordered_at >= one.told.start) & (orders.ordered_at < one.told.end)
    rows = orders[inside & (orders.revenue >= 0) & orders.customer_id.notna()]
    buyers = rows.groupby("customer_id").agg(
        last=("ordered_at", "max"), frequency=("order_id", "count"), monetary=("revenue", "sum")
    )
    buyers["recency_days"] = (one.told.end - buyers["last"]) / pd.Timedelta(days=1)
    scored = rfm.rfm(ibis.memtable(buyers.drop(columns="last").reset_index())).table.execute()
    wanted = scored[scored.name == "Champions"].customer_id
    found = one.told.members["champions"].to_pandas().customer_id
    assert set(found) == set(wanted) and found.is_unique and len(found) > 5
    table = seeds.quality_table(one.shop, one.told, one.newest.end).set_index("seed")
    assert table.loc["champions", "n"] == len(found) < table.loc["recent_buyers", "n"]
    assert table.loc["champions", "over_buyers_low"] > 0


@pytest.mark.proof
def test_planted_prospects_are_found_in_shop_after_shop(tmp_path):
    """Six shops of 8,000 customers; of the seeds that can be learned the one that the test span
    chooses. Over the worlds the share of the oracle's lift is 0.80 and more."""
    shares = []
    for seed in range(1, 7):
        path = simulate(tmp_path / str(seed), customers=8000, weeks=52, seed=seed)
        one = lookalike.study(open_shop(path), ("recent_buyers", "repeat_buyers"))
        shares.append(against_the_oracle(path, one, reach.best_seed(reach.lift_table(one))))
        shutil.rmtree(path.parent)
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    # A mean of 0.80 is the target; its standard error is about 0.01.
    assert np.mean(shares) > 0.80 - 2 * error and error < 0.025
    assert np.mean(shares) > 0.78
