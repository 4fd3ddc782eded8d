"""Answers by channel: counted by hand, the levels recovered, planted channels found."""

import numpy as np
import pandas as pd
import pytest
from message_logs import drawn, messages

from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.customers import reply
from cdp_lib.tables import open_shop
from cdp_lib.world import World, open_truth, simulate
from cdp_lib.world.messages import OPENS


@pytest.mark.long_on_spark
def test_answers_are_counted_as_by_hand(con, make_shop):
    rows = [("ann", "Email", 0, 1, 9), ("ann", "email", 1, 0, 9), ("ann", "push", 1, 0, 9),
            ("bob", "push", 2, 1, 9), ("ann", "email", 29, 1, 9)]  # fmt: skip
    log = messages(rows)
    log.loc[1, "clicked_at"] = log.sent_at[1] + pd.Timedelta(hours=2)  # a click is an answer too
    shop = make_shop(con, {"messages": log}, as_of="2026-07-01")
    found = reply.read(shop, ripe_days=3)  # the last one is two days old
    table = found.table.execute().set_index(["customer_id", "channel"]).sort_index()
    assert table.n_sent.to_dict() == {("ann", "email"): 2, ("ann", "push"): 1, ("bob", "push"): 1}
    assert table.n_answered.to_list() == [2, 0, 1]
    assert table["rank"].to_list() == [1, 2, 1]
    ann = table.loc["ann"].response
    assert table.gain.to_list()[:2] == [pytest.approx(ann.email - ann.push),
                                        pytest.approx(ann.push - ann.email)]  # fmt: skip
    assert np.isnan(table.gain[("bob", "push")])
    assert (table.response_low <= table.response).all()
    assert (table.response <= table.response_high).all()
    assert found.channels.set_index("channel").n_sent.to_dict() == {"email": 2, "push": 2}
    clicks = reply.read(shop, answer="clicked").table.execute()
    assert clicks.n_answered.sum() == 1


def test_each_level_is_recovered(duckdb_con, make_shop):
    """Channels, a factor that is common to a customer's channels, and each channel's own."""
    rng, n = np.random.default_rng(3), 3000
    common = rng.gamma(1 / 0.3, 0.3, n)  # mean 1, variance 0.3
    means = np.minimum(np.outer(common, [0.2, 0.1]), 0.9)
    rates = rng.beta(12 * means, 12 * (1 - means))
    shop = make_shop(duckdb_con, {"messages": drawn(rates, 10, 4)}, as_of="2026-07-01")
    found = reply.read(shop)
    channels = found.channels.set_index("channel")
    # The standard error of a rate over 3,000 customers with a spread of about 0.14 is 0.3 points.
    assert channels.answer_rate["e"] == pytest.approx(0.2, abs=0.015)
    assert channels.answer_rate["p"] == pytest.approx(0.1, abs=0.015)
    assert found.together == pytest.approx(0.3, abs=0.1)
    # The prior of one channel is made from the other's ten messages, so it is itself off; what
    # differs beyond it is more than the planted 1 / 13, so the weight is less than 12.
    assert 5 < channels.weight["e"] < 13
    table = found.table.execute()
    at = table.customer_id.str[1:].astype(int), table.channel.map({"e": 0, "p": 1})
    own = rates[at]
    error = ((table.response - own) ** 2).mean()
    raw = ((table.n_answered / table.n_sent - own) ** 2).mean()
    usual = ((table.channel.map(channels.answer_rate) - own) ** 2).mean()
    assert error < 0.62 * min(raw, usual)
    inside = ((table.response_low <= own) & (own <= table.response_high)).mean()
    # A beta law stands in for a product of a gamma and a beta: three points are given for that.
    assert inside == pytest.approx(0.95, abs=0.03)


def test_segments_pull_their_own(duckdb_con, make_shop):
    rng, n = np.random.default_rng(5), 1200
    keen = np.arange(n) % 2 == 0
    rates = np.where(keen, 0.4, 0.1)[:, None] * rng.uniform(0.9, 1.1, (n, 1))
    shop = make_shop(duckdb_con, {"messages": drawn(rates, 3, 6)}, as_of="2026-07-01")
    who = pd.DataFrame({"customer_id": [f"c{i:05d}" for i in range(n)],
                        "segment": np.where(keen, "keen", "cool")})  # fmt: skip
    segments = duckdb_con.create_table("segments_of_reply", who, temp=True, overwrite=True)
    errors = []
    for asked in (None, segments):
        table = reply.read(shop, segments=asked).table.execute().sort_values("customer_id")
        errors.append(((table.response.to_numpy() - rates[:, 0]) ** 2).mean())
    assert errors[1] < 0.4 * errors[0]
    with pytest.raises(Refusal, match="lacks a column"):
        reply.read(shop, segments=segments.drop("segment"))


def test_one_who_never_answers_is_not_sent_elsewhere_for_lack_of_tries(duckdb_con, make_shop):
    """40 unanswered mails say that somebody has left; a channel with one try must not look good."""
    rng = np.random.default_rng(7)
    gone = rng.random(800) < 0.5
    rates = np.where(gone[:, None], 0.0, [[0.3, 0.3]])
    shop = make_shop(duckdb_con, {"messages": drawn(rates, [40, 2], 8)}, as_of="2026-09-01")
    table = reply.read(shop, lookback_days=None).table.execute()
    silent = table.customer_id.str[1:].astype(int).map(lambda i: gone[i])
    push = table[(table.channel == "p") & silent & (table.n_answered == 0)]
    assert push.response.max() < 0.1
    assert table[(table.channel == "p") & ~silent].response.mean() > 0.2


@pytest.fixture(scope="module")
def read_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    shop = open_shop(simulate(folder, customers=4000, seed=5, params=World(campaigns=())))
    return shop, open_truth(folder)


def test_the_planted_channel_is_found_as_often_as_can_be(read_world):
    shop, truth = read_world
    table = reply.read(shop).table.execute()
    people = truth.people.set_index("person_id")
    wide = table.pivot(index="customer_id", columns="channel", values="n_sent")
    several = wide[(wide.email >= 8) & (wide.push >= 8)].dropna().astype(int)
    one = people.preferred_channel.loc[several.index]
    several = several[one.isin(["email", "push"])]
    best = table[table["rank"] == 1].set_index("customer_id").channel.loc[several.index]
    right = (best == one.loc[several.index]).mean()
    # The ceiling: who knows the law and when each life ended, and weighs the counts by the exact
    # likelihoods; of an address that is read most 0.35 of the living are opened, else 0.14.
    rng, ends = np.random.default_rng(1), people.ends_at.loc[several.index]
    sent = truth.shop_table("messages", ["customer_id", "channel", "sent_at"])
    sent = sent[sent.customer_id.isin(several.index)]
    living = sent[sent.sent_at < ends.loc[sent.customer_id].to_numpy()]
    n = living.groupby(["customer_id", "channel"]).size().unstack(fill_value=0)
    n = n.reindex(index=several.index, columns=["email", "push"], fill_value=0).to_numpy()
    prior = np.log(0.45 / 0.20) * np.array([1, -1])
    truly = (one.loc[several.index] == "push").to_numpy().astype(int)
    hits = []
    for _ in range(100):
        rate = np.where(np.arange(2) == truly[:, None], OPENS[1], OPENS[0])
        x = rng.binomial(n, rate)
        gain = x * np.log(OPENS[1] / OPENS[0]) + (n - x) * np.log((1 - OPENS[1]) / (1 - OPENS[0]))
        mail = prior[0] + gain[:, 0] - gain[:, 1]
        hits.append(((mail < 0).astype(int) == truly).mean())
    ceiling, error = np.mean(hits), np.sqrt(np.mean(hits) * (1 - np.mean(hits)) / len(several))
    assert len(several) > 150 and ceiling > 0.85
    # An opt-out and a click count as an opening too, and the prior share is not known here.
    assert right > ceiling - 3 * error - 0.03
    assert right > 0.75


def test_what_cannot_be_told_is_refused(duckdb_con, make_shop):
    log = messages([("ann", "email", 0, 1, 9)])
    shop = make_shop(duckdb_con, {"messages": log}, as_of="2026-06-02")
    with pytest.raises(TooLittleData, match="old enough"):
        reply.read(shop)
    with pytest.raises(Refusal, match="choose one of opened, clicked"):
        reply.read(shop, answer="open")
    without = make_shop(duckdb_con, {"messages": log.drop(columns="opened_at")})
    with pytest.raises(MissingTable, match="when they were opened"):
        reply.read(without)
