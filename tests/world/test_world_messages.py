"""Messages: their order in time, opt-outs by pressure, clicks that belong to visits."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.world.messages import CLICK_DAYS


@pytest.fixture(scope="module")
def messages(world) -> pd.DataFrame:
    return world.table("messages").sort_values(["customer_id", "sent_at", "message_id"])


def test_what_follows_a_message_follows_in_order(messages):
    for before, after in (
        ("sent_at", "delivered_at"),
        ("delivered_at", "opened_at"),
        ("opened_at", "clicked_at"),
        ("opened_at", "unsubscribed_at"),
    ):
        there = messages[after].notna()
        assert there.any() and messages.loc[there, before].notna().all()
        assert (messages.loc[there, before] <= messages.loc[there, after]).all()


def test_nobody_is_messaged_on_a_channel_left(messages):
    per_channel = messages.groupby(["customer_id", "channel"])
    gone = per_channel["unsubscribed_at"].transform("min")
    assert (messages["sent_at"] <= gone)[gone.notna()].all()
    assert per_channel["unsubscribed_at"].count().max() == 1


def test_opt_ins_at_the_end_lack_those_who_left(world, messages):
    customers = world.table("customers").set_index("customer_id")
    for channel in ("email", "push", "sms", "whatsapp"):
        gone = messages[(messages["channel"] == channel) & messages["unsubscribed_at"].notna()]
        assert not customers.loc[gone["customer_id"], f"{channel}_opt_in"].any()


def test_push_off_is_in_the_log(world, messages):
    gone = messages[(messages["channel"] == "push") & messages["unsubscribed_at"].notna()]
    off = world.table("events").query("event == 'push_off'")
    assert len(off) == len(gone) > 0


def test_pressure_drives_people_out_by_its_law(world, messages):
    """Each message's chance to opt out, recomputed from the messages before it."""
    law, people = world.truth.world, world.truth.people.set_index("person_id")
    sent = messages.merge(
        people["ends_at"].rename("ends_at"), left_on="customer_id", right_index=True
    )
    sent = sent.sort_values(["customer_id", "sent_at", "message_id"])
    week = (sent["sent_at"] - pd.Timestamp("2025-11-24")).dt.days // 7
    place = sent.groupby("customer_id").cumcount()
    key = sent["customer_id"].rank(method="dense").astype(int) * 1000 + week
    # messages of the same and the three weeks before, earlier in the order of sending
    ordered = key.to_numpy()
    first = np.searchsorted(ordered, ordered - 3)
    first = np.maximum(first, np.arange(len(sent)) - place.to_numpy())
    recent = np.arange(len(sent)) - first
    p = 1 / (1 + np.exp(-(law.opt_out_bias + law.opt_out_per_message * recent)))
    p = np.where(sent["ends_at"] > sent["sent_at"], p, 0)
    out = sent["unsubscribed_at"].notna().to_numpy()
    # those at the very end of the span opt out after it: at most one day of 364
    for chosen in (recent >= 0, recent <= 2, recent >= 5):
        spread = np.sqrt((p * (1 - p))[chosen].sum())
        assert abs(out[chosen].sum() - p[chosen].sum()) < 4 * spread + p[chosen].sum() / 364
    arms = world.table("assignments").query("experiment_id == 'newsletter-pressure'")
    left = sent[out].groupby("customer_id").size()
    share = arms["unit_id"].isin(left.index).groupby(arms["arm"]).mean()
    assert share["weekly"] > share["fortnightly"] > share["monthly"]


def test_a_click_is_a_visit_of_its_own_touchpoint(world, messages):
    clicked = messages.dropna(subset=["clicked_at"])
    assert (clicked["clicked_at"] - clicked["sent_at"]).max() < pd.Timedelta(days=CLICK_DAYS)
    events = world.table("events")
    entries = events.groupby("session_id").agg(
        touchpoint=("touchpoint", "first"), at=("occurred_at", "min")
    )
    for channel in ("sms", "whatsapp", "in_app"):
        n = (clicked["channel"] == channel).sum()
        assert (entries["touchpoint"] == channel).sum() == n > 0
    starts = np.sort(entries["at"].to_numpy())
    gap = starts[np.searchsorted(starts, clicked["clicked_at"].to_numpy())] - clicked["clicked_at"]
    assert (gap < pd.Timedelta(seconds=15)).all()


def test_messages_are_read_where_the_person_reads_most(world, messages):
    from cdp_lib.world.messages import OPENS

    people = world.truth.people.set_index("person_id")
    there = messages[messages["delivered_at"].notna() & messages["clicked_at"].isna()]
    there = there[there["unsubscribed_at"].isna()]
    there = there.join(people[["preferred_channel", "ends_at"]], on="customer_id")
    there = there[there["ends_at"] > there["sent_at"]]
    prefers = there["preferred_channel"] == there["channel"]
    for chosen, rate in ((~prefers, OPENS[0]), (prefers, OPENS[1])):
        n = chosen.sum()
        opened = there.loc[chosen, "opened_at"].notna().mean()
        # binomial, 4 sigma; openings after the span are unseen, at most two days of 364
        assert abs(opened - rate) < 4 * np.sqrt(rate * (1 - rate) / n) + rate * 2 / 364
