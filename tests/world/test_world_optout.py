"""Opt-outs: the recursion over planned messages against every path walked one by one."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from cdp_lib.world import World
from cdp_lib.world.law import Campaign
from cdp_lib.world.messages import EMAIL, PUSH
from cdp_lib.world.optout import (
    States,
    opt_out_chances,
    planned,
    sent_before,
    states_before,
)

EMAIL_AND_PUSH = 0b00011
HARSH = World(opt_out_bias=-2.0, opt_out_per_message=0.4, campaigns=(Campaign("email", *[0] * 5),))


def one(every: int, phase: int, channels: int, history: int) -> States:
    return States(*(np.array([value]) for value in (every, phase, channels, history)))


def chance(recent: int) -> float:
    return 1 / (1 + np.exp(2.0 - 0.4 * recent))


def test_the_first_messages_by_hand():
    """Weekly mail and push, none before: mail at Tuesday, push at Thursday, mail at Tuesday."""
    law = World(opt_out_bias=-2.0, opt_out_per_message=0.4, campaigns=())
    sends = planned(law, 10, 14.0, 23.0)
    assert sends.channel.tolist() == [EMAIL, PUSH, EMAIL]
    np.testing.assert_allclose(sends.at, [15.425, 17.425, 22.425])
    got = opt_out_chances(law, one(1, 0, EMAIL_AND_PUSH, 0), sends, 2, (PUSH,))[0]
    # the mail before it counts for push whether it drove the person out of mail or not
    np.testing.assert_allclose(got, [0, chance(1), 0])
    got = opt_out_chances(law, one(1, 0, EMAIL_AND_PUSH, 0), sends, 2, (EMAIL,))[0]
    np.testing.assert_allclose(got, [chance(0), 0, (1 - chance(0)) * chance(2)])


def test_a_fortnightly_letter_comes_every_other_week():
    law = World(campaigns=())
    sends = planned(law, 10, 0.0, 28.0)
    got = opt_out_chances(law, one(2, 1, 1 << EMAIL, 0), sends, 0, (EMAIL,))[0]
    assert (got > 0).tolist() == [False, False, True, False, False, False, True, False]


def walked(law, sends, every, phase, channels, history, week, targets) -> np.ndarray:
    """The same by walking every path: treated or not, gone or not, at each message."""
    total = np.zeros(len(sends.at))
    digits = [history // 4**back % 4 for back in range(4)]  # this week's first
    for path in product((0, 1, 2), repeat=len(sends.at)):  # not sent, stays, leaves
        p, still, now, counts = 1.0, channels, week, list(digits)
        for s, step in enumerate(path):
            while now < sends.week[s]:
                now, counts = now + 1, [0, *counts[:3]]
            channel = int(sends.channel[s])
            comes = 0.0
            if still >> channel & 1:
                due = float((now + phase) % every == 0)
                comes = 1 - law.holdout_share if sends.campaign[s] else due
            leaves = 1 / (1 + np.exp(-law.opt_out_bias - law.opt_out_per_message * sum(counts)))
            p *= (1 - comes, comes * (1 - leaves), comes * leaves)[step]
            if p == 0:
                break
            counts[0] += step > 0
            if step == 2 and channel in targets:
                # later steps are summed over by counting this path once: its tail of zeros
                if not any(path[s + 1 :]):
                    total[s] += p
                break
            if step == 2:
                still &= ~(1 << channel)
    return total


@pytest.mark.parametrize("targets", [(PUSH,), (EMAIL,), (0, 1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize(("every", "phase", "history"), [(1, 0, 0), (2, 1, 0b01_10_00_11)])
def test_the_recursion_is_the_sum_over_all_paths(targets, every, phase, history):
    weeks = 12
    campaign = planned(HARSH, weeks, 0.0, weeks * 7.0)
    first = campaign.at[campaign.campaign][0]
    begin = float(first // 7 * 7 - 7)
    sends = planned(HARSH, weeks, begin, begin + 24)
    assert sends.campaign.sum() == 1 and len(sends.at) == 8
    week = int(begin // 7)
    got = opt_out_chances(HARSH, one(every, phase, 0b00011, history), sends, week, targets)[0]
    wanted = walked(HARSH, sends, every, phase, 0b00011, history, week, targets)
    np.testing.assert_allclose(got, wanted, atol=1e-14)
    assert wanted.sum() > 0.2


def test_the_state_is_what_the_log_says(world):
    begin = 121.0  # a Wednesday, of week 17
    log = sent_before(world.truth, begin)
    states = states_before(world.truth, begin, log)
    people = world.truth.people
    rows = pd.Index(people["person_id"])
    messages = world.table("messages")
    at = (messages["sent_at"] - pd.Timestamp(world.truth.clock.start)) / pd.Timedelta(days=1)
    out = (messages["unsubscribed_at"] - pd.Timestamp(world.truth.clock.start)).dt.days
    messages = messages.assign(at=at, out=out).query("at < @begin")
    busy = messages["customer_id"].value_counts().index[:40].to_list()
    left = messages.loc[messages["out"] < begin, "customer_id"].to_list()[:40]
    for person in busy + left:
        mine, row = messages[messages["customer_id"] == person], rows.get_loc(person)
        weeks = (mine["at"] // 7).value_counts()
        digits = [int(weeks.get(17 - back, 0)) for back in range(4)]
        assert states.history[row] == sum(n * 4**back for back, n in enumerate(digits))
        gone = set(mine.loc[mine["out"] < begin, "channel"])
        for i, channel in enumerate(("email", "push", "sms", "whatsapp", "in_app")):
            wanted = people.loc[row, f"opt_in_{channel}"] and channel not in gone
            assert bool(states.channels[row] >> i & 1) == wanted
        logged = log[log["person"] == row]
        for line in logged.itertuples():
            before = logged.loc[logged["at"] < line.at, "at"] // 7
            assert line.recent == (before > line.at // 7 - 4).sum()
