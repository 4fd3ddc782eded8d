"""Contact pressure: counts by hand and by a loop, the planted law of opting out recovered."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.customers import pressure, pressure_arms
from cdp_lib.tables import open_shop
from cdp_lib.world import World, open_truth, simulate

MONDAY = pd.Timestamp("2026-06-01")


def messages(rows):
    """(customer, day from a Monday, opted out?, channel) as a table of messages."""
    table = pd.DataFrame(rows, columns=["customer_id", "day", "out", "channel"])
    sent = MONDAY + pd.to_timedelta(table.day, unit="D")
    return pd.DataFrame(
        {
            "message_id": [f"m{i:05d}" for i in range(len(table))],
            "campaign_id": "news",
            "customer_id": table.customer_id,
            "channel": table.channel,
            "sent_at": sent,
            "unsubscribed_at": (sent + pd.Timedelta(hours=1)).where(table.out.astype(bool)),
        }
    )


@pytest.mark.long_on_spark
def test_pressure_is_counted_as_by_hand(con, make_shop):
    days = [0, 1, 6, 7, 20, 27, 28, 35]  # weeks 0 0 0 1 2 3 4 5
    rows = [("ann", day, day == 28, "Push") for day in days] + [("bob", 28, False, "email")]
    events = pd.DataFrame(
        {
            "occurred_at": [MONDAY + pd.Timedelta(days=29), MONDAY + pd.Timedelta(days=60)],
            "visitor_id": "v1",
            "customer_id": "ann",
            "event": "app_remove",
        }
    )
    shop = make_shop(con, {"messages": messages(rows), "events": events}, as_of="2026-09-01")
    table = pressure.under_pressure(shop).order_by("customer_id", "sent_at").execute()
    # Week 4 sees weeks 1 to 3: the messages of days 7, 20 and 27. Week 5 those of 20, 27 and 28.
    assert table.n_before.to_list() == [0, 1, 2, 3, 4, 5, 3, 3, 0]
    assert table.opted_out.sum() == 1 and set(table.channel) == {"push", "email"}
    found = pressure.read(shop)
    # Few messages: all pressures from the lowest on are one row.
    assert found.opt_outs.n_messages.to_list() == [9] and found.opt_outs.n_lost.to_list() == [1]
    # Removed a day after the message of day 28, before that of day 35; day 60 comes too late.
    assert found.removals.n_lost.to_list() == [1] and found.removals.n_messages.to_list() == [8]
    assert np.isnan(found.n_per_week)


def test_pressure_is_that_of_a_loop(duckdb_con, make_shop):
    rng = np.random.default_rng(3)
    rows = [(f"c{rng.integers(0, 12)}", float(rng.uniform(0, 90)), rng.random() < 0.1, "email")
            for _ in range(400)]  # fmt: skip
    log = messages(rows)
    table = pressure.under_pressure(make_shop(duckdb_con, {"messages": log})).execute()
    table = table.sort_values(["customer_id", "sent_at"], ignore_index=True)
    log = log.sort_values(["customer_id", "sent_at"], ignore_index=True)
    week = (log.sent_at - MONDAY) // pd.Timedelta(weeks=1)
    for i, row in log.iterrows():
        mine = (log.customer_id == row.customer_id) & (log.sent_at < row.sent_at)
        assert table.n_before[i] == (mine & (week > week[i] - 4)).sum()


def test_the_curve_is_the_likeliest(duckdb_con):
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    table = pd.DataFrame({"n_before": np.arange(9), "n_messages": rng.integers(500, 5000, 9)})
    chance = 1 / (1 + np.exp(5 - 0.3 * table.n_before))
    table["n_lost"] = rng.binomial(table.n_messages, chance)
    found = pressure.fit(table)
    counts = np.column_stack([table.n_lost, table.n_messages - table.n_lost])
    glm = sm.GLM(counts, sm.add_constant(table.n_before), family=sm.families.Binomial()).fit()
    assert (found.level, found.slope) == pytest.approx(tuple(glm.params), rel=1e-6)
    assert (found.level_se, found.slope_se) == pytest.approx(tuple(glm.bse), rel=1e-4)
    assert found.chance(3) == pytest.approx(1 / (1 + np.exp(-(found.level + 3 * found.slope))))
    assert found.most_before == 8
    nobody = pressure.fit(table.assign(n_lost=0))
    assert np.isnan(nobody.slope) and nobody.n_messages == table.n_messages.sum()
    assert np.isnan(pressure.fit(table.head(1)).slope)


@pytest.fixture(scope="module")
def pressed(tmp_path_factory):
    """2,000 customers over a year in a world where many opt out."""
    folder = tmp_path_factory.mktemp("pressed")
    law = World(campaigns=(), opt_out_bias=-4.9, opt_out_per_message=0.25)
    return open_shop(simulate(folder, customers=2000, seed=4, params=law)), open_truth(folder)


def test_the_planted_law_is_recovered_among_the_living(pressed):
    shop, truth = pressed
    lives = truth.people[["person_id", "ends_at"]].rename(
        columns={"person_id": "customer_id", "ends_at": "until"}
    )
    lives["until"] = lives.until.astype("datetime64[us]")
    alive = shop.con.create_table("lives_pressed", lives, temp=True, overwrite=True)
    curve = pressure.read(shop, lookback_days=None, alive=alive).curve
    assert curve.n_lost > 200
    assert curve.level == pytest.approx(-4.9, abs=3 * curve.level_se)
    assert curve.slope == pytest.approx(0.25, abs=3 * curve.slope_se)
    assert curve.slope_se < 0.04
    # Without it, messages to those who have left lower the level: a chance per message sent.
    sent = pressure.read(shop, lookback_days=None).curve
    assert sent.level < curve.level and sent.n_messages > curve.n_messages


def test_the_drawn_plans_show_what_pressure_does(pressed):
    shop, truth = pressed
    assert pressure_arms.experiments(shop) == ["newsletter-pressure"]
    found = pressure_arms.read(shop, "newsletter-pressure")
    table = found.table.set_index("arm")
    assert found.table.arm.to_list() == ["monthly", "fortnightly", "weekly"]
    # By hand, from the files.
    drawn = truth.shop_table("assignments", ["unit_id", "arm", "assigned_at"])
    sent = truth.shop_table("messages", ["customer_id", "sent_at", "unsubscribed_at"])
    weeks = (pd.Timestamp(shop.as_of) - drawn.assigned_at) / pd.Timedelta(weeks=1)
    both = sent.merge(drawn, left_on="customer_id", right_on="unit_id")
    both = both[both.sent_at >= both.assigned_at]
    for arm, part in drawn.groupby("arm"):
        mine = both[both.arm == arm]
        assert table.customer_weeks[arm] == pytest.approx(weeks[part.index].sum())
        assert table.n_messages_per_week[arm] == pytest.approx(len(mine) / weeks[part.index].sum())
        assert table.n_opt_outs_per_week[arm] == pytest.approx(
            mine.unsubscribed_at.notna().sum() / weeks[part.index].sum()
        )
    lost = found.contrasts.set_index(["arm", "outcome"])
    assert lost.difference_low[("weekly", "n_opt_outs")] > 0, "four times the messages cost more"
    # The law lets nobody remove the app or buy because of a newsletter: both lie within 3.5 errors.
    for outcome in ("n_removals", "margin"):
        row = lost.loc[("weekly", outcome)]
        assert abs(row.difference) < 3.5 * row.se
    assert abs(found.gain) < 3.5 * found.gain_se


def test_arms_are_summed_on_both_engines(con, make_shop):
    draws = pd.DataFrame(
        [("plan", f"c{i}", "often" if i % 2 else "seldom", MONDAY) for i in range(8)]
        + [("plan", "c0", "often", MONDAY)],  # drawn twice: left out
        columns=["experiment_id", "unit_id", "arm", "assigned_at"],
    )
    rows = [(f"c{i}", 7 * week + 1, week == 2 and i == 1, "email")
            for i in range(8) for week in range(4 if i % 2 else 1)]  # fmt: skip
    rows += [("c1", -3, False, "email")]  # before the draw
    orders = pd.DataFrame(
        {"order_id": ["a", "b"], "customer_id": ["c1", "c2"], "revenue": [30.0, 20.0],
         "ordered_at": MONDAY + pd.Timedelta(days=3), "cost": [10.0, 10.0]}
    )  # fmt: skip
    tables = {"assignments": draws, "messages": messages(rows), "orders": orders}
    found = pressure_arms.read(make_shop(con, tables, as_of="2026-06-29"), "plan")
    table = found.table.set_index("arm")
    assert table.n_customers.to_dict() == {"seldom": 3, "often": 4}
    assert table.n_messages_per_week.to_dict() == {"seldom": pytest.approx(0.25), "often": 1.0}
    assert table.n_opt_outs_per_week["often"] == pytest.approx(1 / 16)
    assert table.margin_per_week.to_dict() == {"seldom": 10 / 12, "often": pytest.approx(20 / 16)}
    assert found.is_margin and table.n_removals_per_week.isna().all()
    # 4 customers, 4 weeks each: the standard error of a mean of 0, 0, 0, 5 a week.
    assert table.margin_per_week_se["often"] == pytest.approx(np.std([5, 0, 0, 0], ddof=1) / 2)
    # Two arms: the slope is the difference of the margins over that of the messages.
    assert found.gain == pytest.approx((20 / 16 - 10 / 12) / 0.75)


def test_what_cannot_be_told_is_refused(duckdb_con, make_shop):
    log = messages([("ann", 0, False, "email")])
    with pytest.raises(MissingTable, match="no opt-out"):
        pressure.read(make_shop(duckdb_con, {"messages": log.drop(columns="unsubscribed_at")}))
    with pytest.raises(TooLittleData, match="no message"):
        pressure.read(make_shop(duckdb_con, {"messages": log}, as_of="2026-05-01"))
    draws = pd.DataFrame({"experiment_id": ["plan"], "unit_id": ["ann"], "arm": ["often"],
                          "assigned_at": [MONDAY]})  # fmt: skip
    shop = make_shop(duckdb_con, {"messages": log, "assignments": draws})
    with pytest.raises(Refusal, match="did you mean 'plan'"):
        pressure_arms.read(shop, "plans")
    with pytest.raises(TooLittleData, match="fewer than two arms"):
        pressure_arms.read(shop, "plan")
    assert pressure_arms.experiments(make_shop(duckdb_con, {"messages": log})) == []
