"""One more week of the same people: visits, carts, messages and replies after the first span.

Visits of a Poisson process have no memory, so a week is drawn alone, by the stages of `draw_chunk`
and from streams of its own. What reaches over from the past is handed in (`Standing`): who has an
account, who may be reached, the messages of the last weeks, the carts that come back.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from cdp_lib.world import campaigns, log, messages, money
from cdp_lib.world.catalogue import Catalogue
from cdp_lib.world.clock import Clock
from cdp_lib.world.ids import ids
from cdp_lib.world.law import CAUSES, Campaign, World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.people import People
from cdp_lib.world.sessions import SETTLED_DAYS, draw_sessions
from cdp_lib.world.tables import numbered
from cdp_lib.world.trade import RETURNING, Span
from cdp_lib.world.visits import (
    EMPTIED,
    LATER,
    Carts,
    draw_base_visits,
    draw_carts,
    draw_slots,
    gather_visits,
)

WEEK_STAGES = ("visits", "carts", "messages", "effects", "replies", "sessions", "log", "returns")


@dataclass(frozen=True)
class Standing:
    """What of the past matters in a week, a row a person.

    numbers, person_ids: the world's number and the id of each. account_at: day on which the account
    opened, −inf where it was there from the start, inf where there is none. opted (n, CHANNELS),
    recent (MEMORY_WEEKS, n), phase: as in `Mailing`. removals: person and day. coming: the carts
    that come back in the week, as in `trade.coming_carts`, `person` being an index here.
    """

    numbers: np.ndarray
    person_ids: pa.Array
    account_at: np.ndarray
    opted: np.ndarray
    recent: np.ndarray
    phase: np.ndarray
    removals: tuple[np.ndarray, np.ndarray]
    coming: pa.Table


@dataclass(frozen=True)
class Contacts:
    """Whom the week's experiments drew, a row a unit of an experiment.

    person, experiment: indices. channel: index of CHANNELS. treated: it was sent, not held out.
    response, effect: how the person responds to the experiment's audience. laws: by experiment.
    """

    person: np.ndarray
    experiment: np.ndarray
    channel: np.ndarray
    treated: np.ndarray
    response: np.ndarray
    effect: np.ndarray
    laws: tuple[Campaign, ...]


@dataclass(frozen=True)
class Week:
    """Everything drawn for a group of people in a week.

    effects: of each experiment, rows as its rows of `Contacts`. n_back: the first so many carts
    are those of `Standing.coming`.
    """

    span: Span
    sent: messages.Sent
    replies: messages.Replies
    opted: np.ndarray
    effects: tuple[campaigns.Effects, ...]
    n_back: int


def draw_week(
    world: World,
    goods: Catalogue,
    law: Leaving,
    time: Clock,
    week: int,
    people: People,
    past: Standing,
    contacts: Contacts,
    seed: np.random.SeedSequence,
    number: int,
    origin_us: int,
) -> Week:
    """Draw week `week` (from 0 at the world's start); `number`: of its rows, for their ids."""
    start, end = week * 7.0, week * 7.0 + 7
    streams = {stage: np.random.default_rng(_child(seed, i)) for i, stage in enumerate(WEEK_STAGES)}
    person, at = draw_base_visits(people, time, end, streams["visits"], since=start)
    slot = draw_slots(people, person, streams["visits"])
    opens = streams["visits"].random(len(person)) < people.cart_prob[person]
    fresh = draw_carts(
        world, law, people, time, person[opens], at[opens], slot[opens], streams["carts"]
    )
    back, discount, skus = _returning(past.coming)
    carts = back.plus(fresh)
    coupon = money.draw_coupons(world, people, fresh, streams["carts"])
    opened = np.where(opens, len(back) + np.cumsum(opens) - 1, -1)
    account_at = _accounts(past, carts, len(back))
    sent, opted = _send(world, people, past, contacts, account_at, week, streams["messages"])
    carts, discount, never, effects = _respond(
        world, goods, law, people, time, carts, np.concatenate([discount, coupon]), contacts,
        start, streams["effects"],
    )  # fmt: skip
    takes_place = np.ones(len(person), bool)
    takes_place[opens] = ~never[len(back) : len(back) + len(fresh)]
    base = tuple(column[takes_place] for column in (person, at, slot, opened))
    off = (sent.channel == messages.PUSH) & np.isfinite(sent.opted_out)
    push_off = (sent.person[off], sent.opted_out[off])
    visits = gather_visits(base, carts, push_off, past.removals, end, since=start)
    replies = messages.reply(people, visits, sent, streams["replies"])
    entry = np.full(len(visits), -1)
    led = replies.visit >= 0
    entry[replies.visit[led]] = messages.TOUCHPOINT[sent.channel[led]]
    sessions = draw_sessions(
        world, people, visits, carts, account_at, entry, past.numbers, streams["sessions"]
    )
    drawn = log.draw_skus(goods, people, carts, streams["log"])
    drawn[: len(back)] = skus
    rows = log.write_log(goods, people, visits, carts, drawn, sessions, streams["log"])
    rows = log.before(rows, int(end) * 86_400)
    made = ids("k", numbered(number, np.arange(len(carts) - len(back))))
    cart_ids = pa.concat_arrays([past.coming["cart_id"].combine_chunks(), made])
    span = Span(
        world, goods, origin_us, end, number, past.person_ids, cart_ids, carts, discount, drawn,
        visits, sessions, rows,
    )  # fmt: skip
    return Week(span, sent, replies, opted, effects, len(back))


def returns_stream(seed: np.random.SeedSequence) -> np.random.Generator:
    """The stream of the week's returned goods."""
    return np.random.default_rng(_child(seed, WEEK_STAGES.index("returns")))


def _returning(coming: pa.Table) -> tuple[Carts, np.ndarray, np.ndarray]:
    """Carts of earlier weeks, with their discount rates and products."""
    n = coming.num_rows
    columns = {name: coming[name].to_numpy() for name in ("person", *RETURNING)}
    carts = Carts(**columns, p_cause=np.zeros((n, len(CAUSES))), extra=np.zeros(n, bool))
    skus = [coming[name].to_numpy() for name in coming.column_names if name.startswith("sku_")]
    return carts, coming["discount"].to_numpy(), np.column_stack(skus)


def _accounts(past: Standing, carts: Carts, n_back: int) -> np.ndarray:
    """When each account opens; a cart of an earlier week can open one only when it comes back."""
    passes = carts.passes_at()
    outcome, returns = carts.outcome[:n_back], carts.returns_at[:n_back]
    passes[:n_back] = np.where(outcome == LATER, returns, np.inf)
    account_at = past.account_at.copy()
    np.minimum.at(account_at, carts.person, passes)
    return account_at


def _send(
    world: World,
    people: People,
    past: Standing,
    contacts: Contacts,
    account_at: np.ndarray,
    week: int,
    rng: np.random.Generator,
) -> tuple[messages.Sent, np.ndarray]:
    """What the audiences get as the week begins, then the newsletters; and who may be reached."""
    post = messages.Mailing(
        past.opted.copy(), past.recent.copy(), past.phase, account_at + SETTLED_DAYS
    )
    post.recent[week % messages.MEMORY_WEEKS] = 0
    n, sent = len(people), []
    for experiment in range(len(contacts.laws)):
        mine = (contacts.experiment == experiment) & contacts.treated
        for channel in np.unique(contacts.channel[mine]):
            who = np.zeros(n, bool)
            who[contacts.person[mine & (contacts.channel == channel)]] = True
            when = np.full(n, week * 7.0)
            sent.append(post.message(world, people, experiment, channel, who, when, rng))
    sent += post.newsletters(world, people, week, rng)
    return messages.joined(sent), post.opted


def _respond(
    world: World,
    goods: Catalogue,
    law: Leaving,
    people: People,
    time: Clock,
    carts: Carts,
    discount: np.ndarray,
    contacts: Contacts,
    start: float,
    rng: np.random.Generator,
) -> tuple[Carts, np.ndarray, np.ndarray, tuple[campaigns.Effects, ...]]:
    """The experiments laid one upon the other: what each adds to those before it, in order.

    So the increments of the experiments of a week add up to what all brought together.
    """
    never, effects = np.zeros(len(carts), bool), []
    for experiment, theirs in enumerate(contacts.laws):
        rows = np.flatnonzero(contacts.experiment == experiment)
        draw = messages.Draw(
            np.zeros(len(rows), int), contacts.person[rows], contacts.treated[rows],
            np.full(len(rows), start),
        )  # fmt: skip
        before = len(carts)
        carts, discount, gone, effect = campaigns.respond(
            replace(world, campaigns=(theirs,)), goods, law, people, time, carts, discount, draw,
            contacts.response[rows], contacts.effect[rows], rng,
        )  # fmt: skip
        # A purchase that one experiment prevented is none that the next could prevent.
        carts = replace(carts, outcome=np.where(gone, EMPTIED, carts.outcome))
        never = np.concatenate([never, np.zeros(len(carts) - before, bool)]) | gone
        kept = ~(gone & carts.extra)
        carts, discount, never = carts.take(kept), discount[kept], never[kept]
        effects.append(effect)
    return carts, discount, never, tuple(effects)


def _child(seed: np.random.SeedSequence, key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, key))
