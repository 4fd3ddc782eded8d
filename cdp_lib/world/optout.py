"""The chance to opt out of messages, by exact recursion over the messages that are planned.

A living person opts out at a message with logistic(bias + step · messages of this week and the
three before). Newsletters come by a fixed plan of weeks; a campaign's message comes with
probability 1 − holdout_share. So the state of a person is the set of channels still open and the
messages per week, and people alike in state and plan share one recursion. What the shop has sent
before the window, who had opted out and who had an account are known.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.world.law import World
from cdp_lib.world.messages import (
    CAMPAIGN_HOUR,
    EMAIL,
    MEMORY_WEEKS,
    NEWSLETTER_HOUR,
    NEWSLETTER_SPREAD,
    PUSH,
    PUSH_LATER,
    campaign_times,
)
from cdp_lib.world.people import CHANNELS, PRESSURE
from cdp_lib.world.sessions import SETTLED_DAYS
from cdp_lib.world.truth import Truth

BASE = 4  # more than the messages of any week: a campaign, a mail, a push
HISTORIES = BASE**MEMORY_WEEKS
ALL_CHANNELS = tuple(range(len(CHANNELS)))


@dataclass(frozen=True)
class Sends:
    """The messages planned in a window, a row each: `at` and `week` in days and weeks."""

    at: np.ndarray
    week: np.ndarray
    channel: np.ndarray
    campaign: np.ndarray  # bool


@dataclass(frozen=True)
class States:
    """People's states before the window, a row each; `channels` has a bit per channel open.

    `history` holds the messages of this week and the three before, as digits to base 4, this week's
    last. `every` and `phase`: newsletters come in weeks w with (w + phase) divisible by `every`.
    """

    every: np.ndarray
    phase: np.ndarray
    channels: np.ndarray
    history: np.ndarray


def planned(world: World, weeks: int, begin: float, end: float) -> Sends:
    """The messages planned in [begin, end), in order; campaigns lie within the span of `weeks`."""
    rows = []
    campaigns = campaign_times(world, weeks)
    for week in range(int(begin // 7), int(np.ceil(end / 7))):
        for at, campaign in zip(campaigns, world.campaigns, strict=False):
            if int(at // 7) == week:
                rows.append((week * 7 + CAMPAIGN_HOUR, week, CHANNELS.index(campaign.channel), 1))
        mail = week * 7 + NEWSLETTER_HOUR + NEWSLETTER_SPREAD / 2
        rows += [(mail, week, EMAIL, 0), (mail + PUSH_LATER, week, PUSH, 0)]
    table = np.array([row for row in rows if begin <= row[0] < end]).reshape(-1, 4)
    return Sends(table[:, 0], table[:, 1].astype(int), table[:, 2].astype(int), table[:, 3] > 0)


def opt_out_chances(
    world: World, states: States, sends: Sends, week: int, channels: tuple[int, ...]
) -> np.ndarray:
    """Probability to opt out of one of `channels` for the first time at each send, of one alive
    throughout: shape (states, sends); `week` is that in which the states were read.
    """
    n = len(states.every)
    chance = np.zeros((n, len(sends.at)))
    row, flags, history, mass = np.arange(n), states.channels, states.history, np.ones(n)
    for s, channel in enumerate(sends.channel):
        for _ in range(min(sends.week[s] - week, MEMORY_WEEKS)):
            history = history * BASE % HISTORIES
        week = sends.week[s]
        gets = (flags >> channel & 1) > 0
        if sends.campaign[s]:
            treated = np.where(gets, 1 - world.holdout_share, 0.0)
        else:
            treated = (gets & ((week + states.phase[row]) % states.every[row] == 0)).astype(float)
        leaves = opt_out_probability(world, _digit_sum(history))
        if channel in channels:
            np.add.at(chance[:, s], row, mass * treated * leaves)
            parts = [(flags, history, 1 - treated), (flags, history + 1, treated * (1 - leaves))]
        else:
            parts = [
                (flags, history, 1 - treated),
                (flags, history + 1, treated * (1 - leaves)),
                (flags & ~(1 << channel), history + 1, treated * leaves),
            ]
        row = np.tile(row, len(parts))
        mass = np.tile(mass, len(parts)) * np.concatenate([part[2] for part in parts])
        flags, history = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        row, flags, history, mass = _merged(row, flags, history, mass)
    return chance


def opt_out_probability(world: World, recent: np.ndarray) -> np.ndarray:
    """Probability to opt out at a message that `recent` others precede."""
    odds = world.opt_out_bias + world.opt_out_per_message * recent
    return 1 / (1 + np.exp(-odds))


def _digit_sum(history: np.ndarray) -> np.ndarray:
    return sum(history // BASE**place % BASE for place in range(MEMORY_WEEKS))


def _merged(row, flags, history, mass) -> tuple[np.ndarray, ...]:
    """One line per row, flags and history, without those of no mass."""
    there = mass > 0
    key = ((row << len(CHANNELS)) + flags) * HISTORIES + history
    key, place = np.unique(key[there], return_inverse=True)
    mass = np.bincount(place, mass[there], len(key))
    state = key // HISTORIES
    return state >> len(CHANNELS), state & (1 << len(CHANNELS)) - 1, key % HISTORIES, mass


def sent_before(truth: Truth, begin: float) -> pd.DataFrame:
    """The messages of the log before `begin` in order: person (row of the people), at (day),
    channel, recent (messages of this week and the three before, up to it), delivered, opened_at and
    out_at (day; NaN where nothing is seen by `begin`).
    """
    columns = ["message_id", "customer_id", "channel", "sent_at"]
    later = ["delivered_at", "opened_at", "unsubscribed_at"]
    log = truth.shop_table("messages", [*columns, *later])
    people = pd.Index(truth.people["person_id"])
    log["person"] = people.get_indexer(log["customer_id"])
    log["at"] = truth.days_of(log["sent_at"])
    log = log[(log["person"] >= 0) & (log["at"] < begin)].drop_duplicates("message_id")
    log = log.sort_values(["person", "at", "message_id"], ignore_index=True)
    key = log["person"].to_numpy() * 100_000 + (log["at"] // 7).astype(int).to_numpy()
    log["recent"] = np.arange(len(log)) - np.searchsorted(key, key - MEMORY_WEEKS + 1)
    log["channel"] = pd.Categorical(log["channel"], categories=CHANNELS).codes.astype(int)
    for column, name in zip(later, ("delivered", "opened_at", "out_at"), strict=True):
        day = truth.days_of(log[column])
        log[name] = np.where(day < begin, day, np.nan)
    log["delivered"] = log["delivered"].notna()
    return log.drop(columns=["message_id", "customer_id", "sent_at", *later[::2]])


def states_before(truth: Truth, begin: float, log: pd.DataFrame) -> States:
    """Each person's state at `begin`, read from the messages of `sent_before`."""
    channels = sum(truth.number(f"opt_in_{c}").astype(int) << i for i, c in enumerate(CHANNELS))
    out = log[log["out_at"].notna()]
    np.subtract.at(channels, out["person"], 1 << out["channel"].to_numpy())
    back = int(begin // 7) - (log["at"] // 7).astype(int).to_numpy()
    recent = back < MEMORY_WEEKS
    history = np.zeros(len(truth.people), int)
    np.add.at(history, log["person"][recent], BASE ** back[recent])
    weeks = dict(PRESSURE)
    every = truth.people["newsletter"].map(weeks).to_numpy()
    return States(every, truth.number("newsletter_phase"), channels, history)


def opt_outs_by_death(
    truth: Truth,
    channels: tuple[int, ...],
    begin: float,
    days: np.ndarray,
    owns: np.ndarray,
    signs: Callable[[np.ndarray], np.ndarray],
    log: pd.DataFrame,
) -> np.ndarray:
    """Probability to opt out of one of `channels` in the window, of one whose life ends `days`
    after `begin` (the last of them the horizon): shape (n, days).

    `owns`: who has an account. `signs(ends)`: probability that one who has none opens it by each
    end. `log`: the messages of `sent_before`.
    """
    sends = planned(truth.world, truth.first_weeks, begin, begin + days[-1])
    states, week = states_before(truth, begin, log), int(begin // 7)
    chance = np.zeros((len(owns), len(sends.at)))
    chance[owns] = _by_class(truth.world, _rows(states, owns), sends, week, channels)
    new = np.flatnonzero(~owns)
    if len(new) and len(sends.at):
        opened = np.diff(signs(sends.at - SETTLED_DAYS)[new], axis=1, prepend=0.0)
        fresh = _rows(states, new)
        for first in range(len(sends.at)):
            rest = Sends(sends.at[first:], sends.week[first:], sends.channel[first:],
                         sends.campaign[first:])  # fmt: skip
            later = _by_class(truth.world, fresh, rest, week, channels)
            chance[new, first:] += opened[:, first, None] * later
    by = np.concatenate([np.zeros((len(owns), 1)), np.cumsum(chance, axis=1)], axis=1)
    return by[:, np.searchsorted(sends.at, begin + days)]


def _rows(states: States, chosen: np.ndarray) -> States:
    return States(*(getattr(states, field)[chosen] for field in States.__dataclass_fields__))


def _by_class(world, states: States, sends: Sends, week: int, channels) -> np.ndarray:
    table = np.column_stack([getattr(states, f) for f in States.__dataclass_fields__])
    kinds, place = np.unique(table, axis=0, return_inverse=True)
    chance = opt_out_chances(world, States(*kinds.T), sends, week, channels)
    return chance[place.reshape(-1)]
