"""One chunk of people from law to tables: each stage draws from a stream of its own."""

from dataclasses import dataclass
from datetime import UTC

import numpy as np
import pyarrow as pa

from cdp_lib.world import campaigns, log, mail, messages, money, record
from cdp_lib.world.catalogue import Catalogue
from cdp_lib.world.clock import Clock
from cdp_lib.world.ids import ids
from cdp_lib.world.law import World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.people import People, draw_people
from cdp_lib.world.sessions import SETTLED_DAYS, Sessions, account_times, draw_sessions
from cdp_lib.world.tables import customers_table, numbered
from cdp_lib.world.trade import Span, coming_carts, identities_table, trade_tables
from cdp_lib.world.visits import (
    Carts,
    Visits,
    draw_base_visits,
    draw_carts,
    draw_removals,
    draw_slots,
    gather_visits,
)

STAGES = (
    "people",
    "visits",
    "carts",
    "coupons",
    "messages",
    "effects",
    "replies",
    "gather",
    "sessions",
    "log",
    "returns",
    "created",
    "told",
)


@dataclass(frozen=True)
class Chunk:
    """Everything drawn for one chunk of people."""

    world: World
    goods: Catalogue
    law: Leaving
    time: Clock
    days: float
    number: int
    people: People
    carts: Carts
    discount: np.ndarray  # rate of each cart if bought
    sent: messages.Sent
    draw: messages.Draw
    effects: campaigns.Effects
    opted: np.ndarray
    replies: messages.Replies
    visits: Visits
    sessions: Sessions
    skus: np.ndarray
    rows: log.Rows
    seeds: dict[str, np.random.SeedSequence]

    def stream(self, stage: str) -> np.random.Generator:
        """The stage's stream from its beginning, so that the tables come out the same each time."""
        return np.random.default_rng(self.seeds[stage])

    @property
    def weeks(self) -> int:
        """Length of the span in weeks."""
        return int(self.days // 7)

    @property
    def origin_us(self) -> int:
        """The start of the world in microseconds."""
        return int(self.time.start.replace(tzinfo=UTC).timestamp()) * 1_000_000

    def tables(self) -> dict[str, pa.Table]:
        """The chunk's part of each table, by path without suffix."""
        people, carts, rows, goods = self.people, self.carts, self.rows, self.goods
        origin, k = self.origin_us, self.number
        numbers = numbered(k, np.arange(len(people)), bits=20)
        person_ids, cart_ids = ids("c", numbers), ids("k", numbered(k, np.arange(len(carts))))
        span = Span(
            self.world, goods, origin, self.days, k, person_ids, cart_ids, carts, self.discount,
            self.skus, self.visits, self.sessions, rows,
        )  # fmt: skip
        created = self._created()
        who = np.flatnonzero(np.isfinite(created))
        names = mail.campaign_names(self.world, self.time, self.weeks)
        phase = messages.draw_phases(len(people), self.stream("messages"))
        return {
            **trade_tables(span, self.stream("returns")),
            "customers": customers_table(
                people, who, person_ids, created, self._permissions(), origin, self.stream("told")
            ),
            "identities": identities_table(span),
            "messages": mail.messages_table(
                names, self.days, k, self.sent, self.replies, person_ids, origin
            ),
            "assignments": mail.assignments_table(
                self.world, self.time, self.weeks, self.draw, people, created, person_ids, origin
            ),
            "truth/effects": record.effects_table(
                names, self.world.effect_days, self.draw, self.effects, people, person_ids, origin
            ),
            "truth/people": record.people_table(
                self.world, self.law, people, person_ids, created, phase,
                log.held_shares(goods, people), origin,
            ),
            "truth/visits": record.visits_table(
                self.visits, ids("s", numbered(k, np.arange(len(self.visits)))), person_ids,
                origin,
            ),
            "truth/carts": record.carts_table(
                goods, carts, rows, cart_ids, person_ids, self.days, origin
            ),
            "truth/coming_carts": coming_carts(span, numbers),
        }  # fmt: skip

    def _permissions(self) -> np.ndarray:
        """Who may be reached by which channel in the end: opted out by messages, push turned on."""
        opted, turned = self.opted.copy(), self.rows.code == log.CODE["push_on"]
        opted[self.visits.person[self.rows.visit[turned]], messages.PUSH] = True
        return opted

    def _created(self) -> np.ndarray:
        """Seconds at which each account was made; NaN for those who have none."""
        rows, n = self.rows, len(self.people)
        created = np.full(n, np.nan)
        signed = rows.code == log.CODE["sign_up"]
        created[self.visits.person[rows.visit[signed]]] = rows.seconds[signed]
        before = -self.stream("created").random(n) * 3 * 365 * 86_400
        return np.where(self.people.existing, np.floor(before), created)


def draw_chunk(
    world: World,
    goods: Catalogue,
    law: Leaving,
    time: Clock,
    days: int,
    number: int,
    customers: int,
    seed: np.random.SeedSequence,
) -> Chunk:
    """Draw chunk `number`: the people behind `customers` customers over `days` days."""
    seeds = {
        stage: np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i))
        for i, stage in enumerate(STAGES)
    }
    streams = {stage: np.random.default_rng(child) for stage, child in seeds.items()}
    n_existing = round(customers * world.existing_share)
    n_new = round(customers * world.newcomers_per_customer)
    people = draw_people(world, n_existing, n_new, days, streams["people"])
    person, at = draw_base_visits(people, time, days, streams["visits"])
    slot = draw_slots(people, person, streams["visits"])
    opens = streams["visits"].random(len(person)) < people.cart_prob[person]
    carts = draw_carts(
        world, law, people, time, person[opens], at[opens], slot[opens], streams["carts"]
    )
    opened = np.where(opens, np.cumsum(opens) - 1, -1)
    coupon = money.draw_coupons(world, people, carts, streams["coupons"])
    account_at = account_times(people, carts)
    sent, draw, opted = messages.send(
        world, people, account_at + SETTLED_DAYS, days // 7, streams["messages"]
    )
    often = campaigns.buys_often(world, law, people)
    response, effect = campaigns.draw_effects(world, people, often, draw, streams["effects"])
    carts, discount, never, effects = campaigns.respond(
        world, goods, law, people, time, carts, coupon, draw, response, effect, streams["effects"]
    )
    takes_place = np.ones(len(person), bool)
    takes_place[opens] = ~never[: opens.sum()]
    base = tuple(column[takes_place] for column in (person, at, slot, opened))
    off = (sent.channel == messages.PUSH) & np.isfinite(sent.opted_out)
    push_off = (sent.person[off], sent.opted_out[off])
    removals = draw_removals(people, streams["gather"])
    visits = gather_visits(base, carts, push_off, removals, days)
    replies = messages.reply(people, visits, sent, streams["replies"])
    entry = np.full(len(visits), -1)
    led = replies.visit >= 0
    entry[replies.visit[led]] = messages.TOUCHPOINT[sent.channel[led]]
    sessions = draw_sessions(
        world,
        people,
        visits,
        carts,
        account_at,
        entry,
        numbered(number, np.arange(len(people)), 20),
        streams["sessions"],
    )
    skus = log.draw_skus(goods, people, carts, streams["log"])
    rows = log.write_log(goods, people, visits, carts, skus, sessions, streams["log"])
    rows = log.before(rows, days * 86_400)
    return Chunk(
        world, goods, law, time, days, number, people, carts, discount, sent, draw, effects, opted,
        replies, visits, sessions, skus, rows, seeds,
    )  # fmt: skip
