"""Messages and assignments as the shop's tables."""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from cdp_lib.world.clock import Clock
from cdp_lib.world.ids import ids, instants, words
from cdp_lib.world.law import World
from cdp_lib.world.messages import Draw, Replies, Sent, campaign_times
from cdp_lib.world.people import CHANNELS, PRESSURE, People

DAY = 86_400
PRESSURE_EXPERIMENT = "newsletter-pressure"


def campaign_names(world: World, clock: Clock, weeks: int) -> list[str]:
    """The id of each campaign: the day it is sent and its channel."""
    days = [clock.start + timedelta(days=float(t)) for t in campaign_times(world, weeks)]
    return [f"{d:%Y-%m-%d}-{c.channel}" for d, c in zip(days, world.campaigns, strict=False)]


def messages_table(
    campaigns: list[str],
    days: float,
    number: int,
    sent: Sent,
    replies: Replies,
    person_ids: pa.Array,
    origin_us: int,
) -> pa.Table:
    """The messages in order of sending; what happens from day `days` on is not seen."""
    names = [f"newsletter-{channel}" for channel in CHANNELS[:2]] + campaigns
    name = np.where(sent.campaign < 0, sent.channel, len(CHANNELS[:2]) + sent.campaign)

    def seen(at: np.ndarray) -> pa.Array:
        return instants(np.where(at < days, at, np.nan) * DAY, origin_us)

    return pa.table(
        {
            "message_id": ids("m", (number << 24) + np.arange(len(sent.at)), scatter=False),
            "campaign_id": words(names, name),
            "customer_id": person_ids.take(pa.array(sent.person)),
            "channel": words(CHANNELS, sent.channel),
            "sent_at": instants(sent.at * DAY, origin_us),
            "delivered_at": seen(replies.delivered),
            "opened_at": seen(replies.opened),
            "clicked_at": seen(replies.clicked),
            "unsubscribed_at": seen(sent.opted_out),
        }
    )


def assignments_table(
    world: World,
    clock: Clock,
    weeks: int,
    draw: Draw,
    people: People,
    created: np.ndarray,
    person_ids: pa.Array,
    origin_us: int,
) -> pa.Table:
    """Arms of each campaign, and of the newsletter pressure for everybody with an account."""
    who = np.flatnonzero(np.isfinite(created))
    names = [*campaign_names(world, clock, weeks), PRESSURE_EXPERIMENT]
    arms = ("holdout", "treated", *(name for name, _ in PRESSURE))
    return pa.table(
        {
            "experiment_id": words(
                names, np.concatenate([draw.campaign, np.full(len(who), len(names) - 1)])
            ),
            "unit_id": person_ids.take(pa.array(np.concatenate([draw.person, who]))),
            "arm": words(
                arms, np.concatenate([draw.treated.astype(int), 2 + people.pressure[who]])
            ),
            "assigned_at": instants(
                np.concatenate([draw.at * DAY, np.maximum(created[who], 0)]),
                origin_us,
            ),
        }
    )
