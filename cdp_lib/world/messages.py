"""Messages and what they do to the opt-ins: newsletters by drawn pressure, and campaigns.

Each customer is drawn into a newsletter pressure (weekly, fortnightly, monthly) by mail and by
push. At each message a living customer opts out of its channel with probability
logistic(opt_out_bias + opt_out_per_message · messages of this week and the three before). A click
belongs to a visit that comes by the person's own rate within three days, so it moves no visit.
Openings and clicks are more frequent on the one channel that a person reads most.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.catalogue import campaign_weeks
from cdp_lib.world.law import World
from cdp_lib.world.people import APP, CHANNELS, PRESSURE, People
from cdp_lib.world.visits import BASE, Visits

NEWSLETTER = -1  # instead of a campaign's index
CAMPAIGN_HOUR, NEWSLETTER_HOUR = 9 / 24, 1 + 9 / 24  # Monday, Tuesday; in days of the week
PUSH_LATER, NEWSLETTER_SPREAD = 2.0, 0.1  # days after the mail; days over which it goes out
OPT_OUT_AFTER = (0.001, 0.4)  # days after the message, uniform
MEMORY_WEEKS = 4  # pressure: messages of this week and the three before it
ARRIVES, READING_DAYS, READING_MOST = 0.975, 0.25, 2.0  # mean and most days until it is opened
CLICK_DAYS = 3.0
OPENS, CLICKS = np.array([0.14, 0.35]), np.array([0.2, 0.45])  # elsewhere, where one reads most
EMAIL, PUSH = 0, 1
TOUCHPOINT = np.array([4, 7, 8, 9, 10])  # of CHANNELS among sessions.TOUCHPOINTS


@dataclass(frozen=True)
class Sent:
    """A row a message, in order of sending; times in days, `opted_out` NaN where nobody did."""

    campaign: np.ndarray  # index, or NEWSLETTER
    person: np.ndarray
    channel: np.ndarray  # index of CHANNELS
    at: np.ndarray
    opted_out: np.ndarray


@dataclass(frozen=True)
class Draw:
    """A row a campaign and eligible customer: drawn into treatment or holdout at `at` (days)."""

    campaign: np.ndarray
    person: np.ndarray
    treated: np.ndarray
    at: np.ndarray


def campaign_times(world: World, weeks: int) -> np.ndarray:
    """When each campaign is sent, in days; fewer than the law's where the span is short."""
    return np.array(campaign_weeks(weeks, len(world.campaigns))) * 7.0 + CAMPAIGN_HOUR


def draw_phases(n: int, rng: np.random.Generator) -> np.ndarray:
    """Week 0–3 of each person's newsletters: the first draw of the stream of messages."""
    return rng.integers(0, MEMORY_WEEKS, n)


@dataclass(frozen=True)
class Mailing:
    """Where the sending stands before a week, a row a person; the arrays are written to.

    `opted` (n, CHANNELS): who may be reached. `recent` (MEMORY_WEEKS, n): messages by week, week w
    at w modulo MEMORY_WEEKS. `phase`: of the newsletters. `account_at`: settled, in days.
    """

    opted: np.ndarray
    recent: np.ndarray
    phase: np.ndarray
    account_at: np.ndarray

    def message(
        self,
        world: World,
        people: People,
        campaign: int,
        channel: int,
        who: np.ndarray,
        when: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        """One message to each of `who`, at `when`: columns of `Sent`. Some opt out at it."""
        n = len(people)
        odds = world.opt_out_bias + world.opt_out_per_message * self.recent.sum(axis=0)
        leaves = who & (people.end > when) & (rng.random(n) < 1 / (1 + np.exp(-odds)))
        gone = when + rng.uniform(*OPT_OUT_AFTER, n)
        self.opted[leaves, channel] = False
        self.recent[int(when.flat[0] // 7) % MEMORY_WEEKS] += who
        rows = np.flatnonzero(who)
        size = len(rows)
        out = np.where(leaves, gone, np.nan)
        return np.full(size, campaign), rows, np.full(size, channel), when[rows], out[rows]

    def newsletters(
        self, world: World, people: People, week: int, rng: np.random.Generator
    ) -> list[tuple[np.ndarray, ...]]:
        """The newsletters of a week, by mail and by push: columns of `Sent` for each."""
        n, sent = len(people), []
        every = np.array([weeks for _, weeks in PRESSURE])[people.pressure]
        due = (week + self.phase) % every == 0
        for channel, offset in ((EMAIL, 0.0), (PUSH, PUSH_LATER)):
            when = week * 7 + NEWSLETTER_HOUR + offset + rng.random(n) * NEWSLETTER_SPREAD
            who = due & self.opted[:, channel] & (self.account_at < when)
            sent.append(self.message(world, people, NEWSLETTER, channel, who, when, rng))
        return sent


def send(
    world: World, people: People, account_at: np.ndarray, weeks: int, rng: np.random.Generator
) -> tuple[Sent, Draw, np.ndarray]:
    """All messages, all draws into arms, and who is opted in to which channel at the end."""
    n = len(people)
    recent = np.zeros((MEMORY_WEEKS, n), int)
    post = Mailing(people.opt_in.copy(), recent, draw_phases(n, rng), account_at)
    times = campaign_times(world, weeks)
    by_week = {int(t // 7): c for c, t in enumerate(times)}
    sent, drawn = [], []
    for week in range(weeks):
        recent[week % MEMORY_WEEKS] = 0
        if week in by_week:
            c = by_week[week]
            channel = CHANNELS.index(world.campaigns[c].channel)
            can = (account_at < times[c]) & post.opted[:, channel]
            treated = rng.random(n) >= world.holdout_share
            rows = np.flatnonzero(can)
            drawn.append((np.full(len(rows), c), rows, treated[rows], np.full(len(rows), times[c])))
            when = np.full(n, times[c])
            sent.append(post.message(world, people, c, channel, can & treated, when, rng))
        sent += post.newsletters(world, people, week, rng)
    arms = [np.concatenate(column) for column in zip(*drawn, strict=True)] if drawn else None
    empty = (np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool), np.zeros(0))
    return joined(sent), Draw(*(arms or empty)), post.opted


def joined(sent: list[tuple[np.ndarray, ...]]) -> Sent:
    """The messages of several sendings in one."""
    return Sent(*(np.concatenate(column) for column in zip(*sent, strict=True)))


@dataclass(frozen=True)
class Replies:
    """What came of each message, in days or NaN; `visit` is the visit a click led to, or −1."""

    delivered: np.ndarray
    opened: np.ndarray
    clicked: np.ndarray
    visit: np.ndarray


def reply(people: People, visits: Visits, sent: Sent, rng: np.random.Generator) -> Replies:
    """Deliveries, openings and clicks; an opt-out has been opened."""
    n, step = len(sent.person), 1e-4
    if not len(visits):  # nobody came: one visit that no message led to stands in
        visits = Visits(*(np.full(1, -1) for _ in Visits.__dataclass_fields__))
    arrives = (rng.random(n) < ARRIVES) | np.isfinite(sent.opted_out)
    delivered = np.where(arrives, sent.at + step * (1 + rng.random(n)), np.nan)
    follows, base = next_visit(visits, sent)
    soon = (
        base & (visits.at[follows] < sent.at + CLICK_DAYS) & (visits.at[follows] > sent.at + 0.01)
    )
    needs_app = np.isin(sent.channel, (PUSH, CHANNELS.index("in_app")))
    soon &= ~needs_app | (visits.slot[follows] == APP)
    prefers = (people.reads[sent.person] == sent.channel).astype(int)
    clicks = arrives & soon & (rng.random(n) < CLICKS[prefers])
    _, first = np.unique(np.where(clicks, follows, -1 - np.arange(n)), return_index=True)
    only = np.zeros(n, bool)
    only[first] = True
    clicks &= only  # a visit has one entry
    clicked = np.where(clicks, visits.at[follows] - step, np.nan)
    alive = people.end[sent.person] > sent.at
    reads = arrives & alive & (rng.random(n) < OPENS[prefers])
    delay = np.minimum(rng.exponential(READING_DAYS, n), READING_MOST)
    opened = np.where(reads, delivered + delay, np.nan)
    opened = np.fmin(opened, np.fmin(clicked, sent.opted_out) - step)
    opened = np.where(opened < delivered, delivered, opened)
    return Replies(delivered, opened, clicked, np.where(clicks, follows, -1))


def next_visit(visits: Visits, sent: Sent) -> tuple[np.ndarray, np.ndarray]:
    """Index of the person's next visit after each message, and whether there is one of its own."""
    span = 1e6  # days; more than any world lasts
    key = visits.person * span + visits.at
    found = np.searchsorted(key, sent.person * span + sent.at)
    last = np.minimum(found, len(key) - 1)
    mine = (found < len(key)) & (visits.person[last] == sent.person)
    return last, mine & (visits.reason[last] == BASE)
