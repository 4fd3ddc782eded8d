"""Campaigns: arms at random, effects as planted, and incremental revenue that can be found."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.world import World
from cdp_lib.world.catalogue import catalogue, changes_price
from cdp_lib.world.chunk import draw_chunk
from cdp_lib.world.clock import clock
from cdp_lib.world.law import Campaign
from cdp_lib.world.leaving import leaving
from cdp_lib.world.messages import CAMPAIGN_HOUR, campaign_times


@pytest.fixture(scope="module")
def effects(world) -> pd.DataFrame:
    return world.truth.table("effects")


def test_arms_are_drawn_at_the_holdout_share(world, effects):
    assigned = world.table("assignments")
    for name, rows in effects.groupby("campaign_id"):
        n = len(rows)
        # Binomial(n, 0.7), bound 4 sigma
        assert abs(rows["treated"].sum() - 0.7 * n) < 4 * np.sqrt(n * 0.21)
        arms = assigned[assigned["experiment_id"] == name].set_index("unit_id")["arm"]
        treated = rows.set_index("customer_id")["treated"]
        assert ((arms == "treated") == treated.loc[arms.index]).all() and len(arms) == n
        sent = world.table("messages").query("campaign_id == @name")
        assert set(sent["customer_id"]) == set(treated.index[treated])


def test_the_revenue_in_the_log_is_that_of_the_arm_drawn(world, effects):
    orders = world.table("orders")
    orders = orders[~orders["order_id"].str.startswith("r")]
    rows = effects.reset_index().merge(orders, on="customer_id")
    inside = (rows["ordered_at"] >= rows["starts_at"]) & (rows["ordered_at"] < rows["ends_at"])
    seen = rows[inside].groupby("index")["revenue"].sum().reindex(effects.index, fill_value=0.0)
    drawn = effects["realised_treated"].where(effects["treated"], effects["realised_holdout"])
    # a visit that begins in the window and pays after it differs: a few minutes of seven days
    assert np.isclose(seen, drawn, atol=0.01).mean() > 0.999


def test_responses_have_their_signs(effects):
    sign = np.sign(effects["effect"]).groupby(effects["response"]).agg(["min", "max"])
    assert tuple(sign.loc["persuadable"]) == (1, 1)
    assert tuple(sign.loc["sleeping_dog"]) == (-1, -1)
    assert tuple(sign.loc["sure"]) == (0, 0) == tuple(sign.loc["lost"])
    buys = effects.groupby("response")["expected_holdout"].mean()
    assert buys["sure"] > 2 * buys["lost"]
    idle = effects[effects["response"].isin(["sure", "lost"])]
    free = idle[idle["campaign_id"].str.endswith(("push", "sms", "in_app", "whatsapp"))]
    assert (free["realised_treated"] == free["realised_holdout"]).all()


def test_campaigns_are_of_every_sort(world):
    brings = world.truth.table("campaigns").set_index("campaign_id")
    brings = brings["expected_incremental_revenue"].to_list()
    pays, useless, harmful, reminder, giveaway, _ = brings
    assert pays > 0 and useless == 0 and harmful < 0 and reminder > 0 and giveaway < 0


def test_windows_are_clear_of_price_changes_and_of_each_other():
    for weeks in range(1, 80):
        times = campaign_times(World(), weeks)
        assert (np.diff(times) >= 7).all()
        assert (times + 7 <= weeks * 7 + CAMPAIGN_HOUR).all()
        touched = np.unique(np.concatenate([times // 7, (times + 7) // 7])).astype(int)
        begins = (times // 7).astype(int)
        assert not changes_price(np.setdiff1d(touched, begins)).any()
        assert not changes_price(begins + 1).any()


def drawn_worlds(n: int, customers: int, law: World):
    """Effects of n independent chunks, drawn in memory over ten weeks."""
    from datetime import datetime

    time = clock(datetime(2025, 11, 24), 470, law)
    for seed in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
        goods = catalogue(law, 10, rng)
        child = np.random.SeedSequence(seed, spawn_key=(1,))
        chunk = draw_chunk(law, goods, leaving(law, goods), time, 70, 0, customers, child)
        known = chunk.people.existing[chunk.draw.person]
        yield chunk.draw, chunk.effects, known


@pytest.mark.parametrize(
    "campaign",
    [
        Campaign("email", 0.10, 0.50, 8.0, 0.0, 0.0),  # far above any real gain, to see it well
        Campaign("email", 0.0, 0.0, 0.0, 0.90, 0.6),
        Campaign("email", 0.25, 0.0, 0.0, 0.0, 0.0),
    ],
    ids=["gain", "loss", "discount"],
)
def test_expected_revenue_is_the_mean_of_the_realised(campaign):
    """Among those with an account from the start, whose history says nothing of their return."""
    law = World(campaigns=(campaign,), newcomers_per_customer=0.1)
    gap, gap_0 = [], []
    for _, effects, known in drawn_worlds(12, 1500, law):
        realised = effects.realised_1 - effects.realised_0
        gap.append((realised - (effects.expected_1 - effects.expected_0))[known])
        gap_0.append((effects.realised_0 - effects.expected_0)[known])
    for each in (np.concatenate(gap), np.concatenate(gap_0)):
        # rows are independent people of mean 0: their sum over its own standard error
        assert abs(each.sum()) < 4 * np.sqrt((each**2).sum())


def test_a_loss_removes_its_share_of_the_purchases():
    law = World(campaigns=(Campaign("email", 0.0, 0.0, 0.0, 0.90, 0.6),))
    gap, variance = 0.0, 0.0
    for _, effects, _ in drawn_worlds(12, 1500, law):
        e, would = effects.effect, effects.realised_0
        gap += (effects.realised_1 - (1 + e) * would).sum()
        # each purchase stays with probability 1 + e; a row's revenue bounds its largest purchase
        variance += (would**2 * -e * (1 + e)).sum()
    assert abs(gap) < 4 * np.sqrt(variance)


def test_the_difference_of_the_arms_is_an_unbiased_estimate():
    law = World(campaigns=(Campaign("email", 0.10, 0.40, 1.6, 0.05, 0.4),))
    scores = []
    for draw, effects, _ in drawn_worlds(25, 1500, law):
        seen = np.where(draw.treated, effects.realised_1, effects.realised_0)
        arms = [seen[draw.treated], seen[~draw.treated]]
        error = np.sqrt(sum(arm.var(ddof=1) / len(arm) for arm in arms))
        truth = (effects.realised_1 - effects.realised_0).mean()
        scores.append((arms[0].mean() - arms[1].mean() - truth) / error)
    # Neyman: unbiased over the draw, with at most this error; the mean of 25 scores has σ ≤ 0.2
    assert abs(np.mean(scores)) < 4 * 0.2
    assert np.std(scores) < 1.6


def test_without_campaigns_there_are_none(quiet):
    assert len(quiet.truth.table("effects")) == 0
    assert set(quiet.table("assignments")["experiment_id"]) == {"newsletter-pressure"}
    assert quiet.table("messages")["campaign_id"].str.startswith("newsletter").all()


def test_a_drawn_chunk_gives_the_same_tables_each_time():
    from datetime import datetime

    law = World()
    goods = catalogue(law, 10, np.random.default_rng(0))
    time = clock(datetime(2025, 11, 24), 470, law)
    seed = np.random.SeedSequence(1)
    chunk = draw_chunk(law, goods, leaving(law, goods), time, 70, 0, 60, seed)
    once, again = chunk.tables(), chunk.tables()
    assert all(once[name].equals(again[name]) for name in once)
