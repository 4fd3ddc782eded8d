"""The shop's past as an experiment is sized by it, and the plan that follows."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.lift import design
from cdp_lib.tables import open_shop
from cdp_lib.world import simulate

START = datetime(2026, 1, 1)
AS_OF = START + timedelta(days=60)


def small_shop(folder, con, rows, customers=None, cost=True):
    """A shop of orders from (customer, day, revenue, cost); as_of is day 60."""
    orders = pd.DataFrame(rows, columns=["customer_id", "day", "revenue", "cost"])
    orders["ordered_at"] = [START + timedelta(days=day) for day in orders.pop("day")]
    orders["ordered_at"] = orders["ordered_at"].astype("datetime64[us]")
    orders["order_id"] = [f"o{i}" for i in range(len(orders))]
    tables = {"orders": orders if cost else orders.drop(columns="cost")}
    if customers:
        tables["customers"] = pd.DataFrame({"customer_id": customers})
    lines = ['name = "small"', f"as_of = {AS_OF.isoformat()}Z"]
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
        lines += [f"[tables.{name}]", f'path = "{name}.parquet"']
    (folder / "shop.toml").write_text("\n".join(lines))
    return open_shop(folder / "shop.toml", con=con)


# Two windows of 10 days before day 60; d's order of day 5 makes the data reach back far enough.
ROWS = [
    ("d", 5, 1.0, 0.5), ("d", 59, 10.0, 4.0),
    ("a", 55, 30.0, 10.0), ("a", 56, 20.0, 5.0), ("a", 35, 40.0, 10.0),
    ("b", 45, 60.0, 20.0), ("b", 58, -60.0, -20.0),
    (None, 57, 99.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "newest", "oldest"),
    [  # of a, b, c, d: in days 50 to 59, and in days 40 to 49
        pytest.param("conversion", [1, 0, 0, 1], [0, 1, 0, 0], marks=pytest.mark.long_on_spark),
        pytest.param("orders", [2, 0, 0, 1], [0, 1, 0, 0], marks=pytest.mark.long_on_spark),
        ("revenue", [50, -60, 0, 10], [0, 60, 0, 0]),
        pytest.param("margin", [35, -40, 0, 6], [0, 40, 0, 0], marks=pytest.mark.long_on_spark),
    ],
)
def test_history_of_a_shop_that_can_be_counted(tmp_path, con, metric, newest, oldest):
    shop = small_shop(tmp_path, con, ROWS, customers=["a", "b", "c", "d"])
    past = design.history(shop, metric, window_days=10, n_windows=2, pre_days=20)
    windows = np.array([newest, oldest], float)
    assert past.n_windows == 2
    assert past.n_units == 4
    assert past.mean == pytest.approx(windows.mean())
    assert past.by_window["mean"].tolist() == pytest.approx(windows.mean(axis=1))
    assert past.by_window["sd"].tolist() == pytest.approx(windows.std(axis=1, ddof=1))
    assert past.sd == pytest.approx(np.sqrt(windows.var(axis=1, ddof=1).mean()))
    third = ((windows - windows.mean(axis=1, keepdims=True)) ** 3).mean()
    assert past.skewness == pytest.approx(third / past.sd**3)
    if metric == "revenue":  # the 20 days before: a brought 40 and b 60; then a 40
        r = np.corrcoef([40, 60, 0, 0], newest)[0, 1], np.corrcoef([40, 0, 0, 0], oldest)[0, 1]
        assert past.by_window["cuped_r2"].tolist() == pytest.approx(np.square(r))


@pytest.mark.long_on_spark
def test_history_of_a_ratio_that_can_be_counted(tmp_path, con):
    shop = small_shop(tmp_path, con, ROWS, customers=["a", "b", "c", "d"])
    past = design.history(shop, "basket_value", window_days=10, n_windows=1, pre_days=20)
    spent, orders = np.array([50.0, -60, 0, 10]), np.array([2.0, 0, 0, 1])
    ratio = spent.sum() / orders.sum()
    linear = (spent - ratio * orders) / orders.mean()
    assert past.mean == ratio
    assert past.sd == pytest.approx(linear.std(ddof=1))
    assert past.skewness == pytest.approx((linear**3).mean() / linear.std(ddof=1) ** 3)
    assert past.cuped_r2 == 0


@pytest.mark.long_on_spark
def test_history_among_those_who_were_eligible_then(tmp_path, con):
    shop = small_shop(tmp_path, con, ROWS, customers=["a", "b", "c", "d"])
    seen = []

    def bought_before(then):
        seen.append(then.as_of)
        return then.orders.select("customer_id")

    past = design.history(shop, "orders", 10, bought_before, n_windows=2, pre_days=20)
    # Before day 50: a, b, d. Before day 40: a and d, since b's first order is of day 45.
    assert seen == [AS_OF - timedelta(days=10), AS_OF - timedelta(days=20)]
    assert past.by_window["n_units"].tolist() == [3, 2]
    assert past.by_window["mean"].tolist() == [1.0, 0.0]
    frame = pd.DataFrame({"customer_id": ["a", "a", "c", None]})
    fixed = design.history(shop, "orders", 10, frame, n_windows=1, pre_days=20)
    assert (fixed.n_units, fixed.mean) == (2, 1.0)


@pytest.mark.long_on_spark
def test_what_history_refuses(tmp_path, con):
    shop = small_shop(tmp_path, con, ROWS, cost=False)
    with pytest.raises(Refusal, match="did you mean 'revenue'"):
        design.history(shop, "revenu")
    with pytest.raises(Refusal, match="orders have no cost"):
        design.history(shop, "margin")
    with pytest.raises(TooLittleData, match="no past window"):
        design.history(shop, "revenue", window_days=40)
    with pytest.raises(TooLittleData, match="no past window"):
        design.history(shop, "revenue", 10, pd.DataFrame({"customer_id": []}), pre_days=20)
    with pytest.raises(Refusal, match="no column customer_id"):
        design.history(shop, "revenue", 10, shop.orders.select("order_id"), pre_days=20)


@pytest.mark.long_on_spark
def test_a_shop_without_orders_or_with_few_days_has_no_history(tmp_path, con):
    frame = pd.DataFrame({"customer_id": ["a"]})
    frame.to_parquet(tmp_path / "customers.parquet")
    text = f'as_of = {AS_OF.isoformat()}Z\n[tables.customers]\npath = "customers.parquet"\n'
    (tmp_path / "shop.toml").write_text(text)
    with pytest.raises(MissingTable):
        design.history(open_shop(tmp_path / "shop.toml", con=con))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_shop(simulate(tmp_path_factory.mktemp("design"), customers=3000, seed=5))


def test_the_plan_holds_for_the_shop_it_was_made_from(world):
    """Draw A/A arms over the shop's next window, add the effect planned for, and count.

    2,000 draws: the standard error of a power of 0.8 is 0.9 points; three of them, and one for
    the law of the tail.
    """
    now = world.as_of - timedelta(days=7)
    past = design.history(world.at(now), "revenue", 7)
    units = world.at(now).customers.select("customer_id").execute()["customer_id"]
    orders = world.orders.filter(world.orders.ordered_at >= now).execute()
    y = orders.groupby("customer_id")["revenue"].sum().reindex(units).fillna(0.0).to_numpy()
    rng, n_holdout = np.random.default_rng(8), round(0.3 * len(y))
    spread, skewness = y.std(ddof=1), stats.skew(y)
    n_treated = len(y) - n_holdout
    lift = design.mde(n_treated, n_holdout, spread, skewness=skewness)
    found = 0
    for _ in range(2_000):
        drawn = rng.permutation(y)
        held, treated = drawn[:n_holdout], drawn[n_holdout:] + lift
        found += stats.ttest_ind(treated, held, equal_var=False).pvalue < 0.05
    assert found / 2_000 == pytest.approx(0.8, abs=0.037)
    # What the past said of the spread is what came: a Poisson shop's weeks are alike.
    assert past.sd == pytest.approx(spread, rel=0.25)
    assert past.n_units == pytest.approx(len(y), rel=0.05)


def plan_of(sd=10.0, mean=2.0, n=1000.0, r2=0.0, window_days=7.0, skewness=0.0):
    return design.History(
        "revenue", window_days, 28.0, 4, n, mean, sd, skewness, r2, pd.DataFrame()
    )


def test_a_plan_counts_waves_until_the_effect_is_known():
    plan = design.plan_table(plan_of(), abs_lift=1.0, starts_at=AS_OF).set_index("holdout")
    for holdout, row in plan.iterrows():
        needed = design.sample_size(1.0, 10.0, holdout)
        assert row["weeks"] == -(-needed // 1000)
        assert row["known_on"] == AS_OF + timedelta(weeks=int(row["weeks"]))
        assert row["mde"] == pytest.approx(design.mde(1000 * (1 - holdout), 1000 * holdout, 10.0))
        assert row["units_held_out"] == pytest.approx(row["weeks"] * 1000 * holdout)
        assert row["forgone"] == pytest.approx(row["units_held_out"])
    assert plan["weeks"].is_monotonic_decreasing
    longer = design.plan_table(plan_of(window_days=28.0), abs_lift=1.0)
    assert (longer["known_after_days"].to_numpy() == (plan["weeks"] - 1) * 7 + 28).all()


def test_cuped_and_heavy_tails_change_the_plan():
    plain = design.plan_table(plan_of(), 0.5)
    better = design.plan_table(plan_of(r2=0.5), 0.5)
    assert (better["weeks"] < plain["weeks"]).all()
    assert (design.plan_table(plan_of(r2=0.5), 0.5, use_cuped=False)["mde"] == plain["mde"]).all()
    tailed = design.plan_table(plan_of(skewness=8.0), 0.5).set_index("holdout")
    assert tailed.loc[0.05, "mde"] > plain["mde"][0]
    assert tailed.loc[0.5, "normal_error"] == 0
    assert not design.plan_table(plan_of(n=50.0, skewness=8.0), 0.5)["trusted"][0]


def test_the_sentence_of_a_plan():
    plan = design.plan_table(plan_of(), abs_lift=1.0)
    weeks = plan.set_index("holdout")["weeks"]
    said = design.plan_sentence(plan)
    assert said == (
        f"With 10 % held out you will know in {weeks[0.1]} weeks; with 5 % in {weeks[0.05]} weeks."
    )
    one = design.plan_table(plan_of(), abs_lift=5.0)
    assert design.plan_sentence(one, 0.3, 0.5).endswith("in 1 week; with 50 % in 1 week.")
    never = design.plan_table(plan_of(), abs_lift=0.01)
    assert never["weeks"].isna().all()
    assert design.plan_sentence(never) == (
        "With 10 % held out you will not know in time; with 5 % not in time."
    )
    with pytest.raises(Refusal, match=r"choose one of 0\.05"):
        design.plan_sentence(plan, chosen=0.11)


def test_a_plan_refuses_what_has_no_answer():
    with pytest.raises(Refusal, match="no effect to look for"):
        design.plan_table(plan_of(mean=0.0))
    with pytest.raises(Refusal, match="no effect to look for"):
        design.plan_table(plan_of(mean=float("nan")))
    with pytest.raises(TooLittleData, match="does not vary"):
        design.plan_table(plan_of(sd=0.0))
    with pytest.raises(Refusal, match="units_per_week"):
        design.plan_table(plan_of(), units_per_week=0)


def test_the_code_of_the_guide_runs(world, capsys):
    text = (Path(__file__).parents[2] / "docs" / "lift-design.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(block.replace("data/demo/shop.toml", str(world.path)), {})
    said, effect = capsys.readouterr().out.strip().splitlines()
    assert re.fullmatch(r"With 10 % held out you will .*; with 5 % .*\.", said)
    assert float(effect) > 0
