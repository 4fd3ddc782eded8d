"""One chunk of people from law to tables: each stage draws from a stream of its own."""

from dataclasses import dataclass
from datetime import UTC

import numpy as np
import pyarrow as pa

from cdp_lib.world import campaigns, log, mail, messages, money, record
from cdp_lib.world.catalogue import Catalogue
from cdp_lib.world.clock import Clock
from cdp_lib.world.ids import ids, instants
from cdp_lib.world.law import World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.people import APP, People, draw_people
from cdp_lib.world.sessions import SETTLED_DAYS, Sessions, account_times, draw_sessions
from cdp_lib.world.tables import customers_table, events_table, numbered, orders_tables
from cdp_lib.world.visits import (
    Carts,
    Visits,
    draw_base_visits,
    draw_carts,
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
        person_ids = ids("c", numbered(k, np.arange(len(people)), bits=20))
        cart_ids = ids("k", numbered(k, np.arange(len(carts))))
        bought = np.flatnonzero(rows.code == log.CODE["purchase"])
        order_of_row = np.full(len(rows.code), -1)
        order_of_row[bought] = np.arange(len(bought))
        cart, visit = rows.cart[bought], rows.visit[bought]
        ordered, person = rows.seconds[bought], self.visits.person[visit]
        lines = money.order_lines(
            goods, carts.basket[cart], self.skus[cart], money.week_of(goods, ordered),
            self.discount[cart],
        )  # fmt: skip
        fee = np.where(goods.shipping_share > 0, self.world.shipping_fee, 0.0)
        returned = money.draw_returns(self.world, lines, ordered, self.stream("returns"))
        in_span = returned[1] < self.days * 86_400
        orders, order_lines = orders_tables(
            k, origin, goods, person_ids, person, ordered,
            np.where(self.visits.slot[visit] == APP, 1, 0), fee[carts.basket[cart]], lines,
            (returned[0][in_span], returned[1][in_span]),
        )  # fmt: skip
        shows = (rows.code == log.CODE["add_shipping_info"]) & (rows.cart >= 0)
        shown = np.full(len(rows.code), np.nan)
        shown[shows] = fee[carts.basket[rows.cart[shows]]]
        created = self._created()
        who = np.flatnonzero(np.isfinite(created))
        phase = messages.draw_phases(len(people), self.stream("messages"))
        return {
            "events": events_table(
                k, origin, goods, self.visits, self.sessions, rows, order_of_row, person_ids,
                cart_ids, shown, self.days,
            ),
            "orders": orders,
            "order_lines": order_lines,
            "customers": customers_table(
                people, who, person_ids, created, self._permissions(), origin, self.stream("told")
            ),
            "identities": self._identities(person_ids),
            "messages": mail.messages_table(
                self.world, self.time, self.weeks, k, self.sent, self.replies, person_ids, origin
            ),
            "assignments": mail.assignments_table(
                self.world, self.time, self.weeks, self.draw, people, created, person_ids, origin
            ),
            "truth/effects": record.effects_table(
                self.world, self.time, self.weeks, self.draw, self.effects, people, person_ids,
                origin,
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

    def _identities(self, person_ids: pa.Array) -> pa.Table:
        rows = self.rows
        known = np.flatnonzero(rows.known)
        visit = rows.visit[known]
        visitor, person = self.sessions.visitor[visit], self.visits.person[visit]
        order = np.lexsort((rows.seconds[known], person, visitor))
        visitor, person = visitor[order], person[order]
        first = np.ones(len(order), bool)
        first[1:] = (visitor[1:] != visitor[:-1]) | (person[1:] != person[:-1])
        return pa.table(
            {
                "visitor_id": ids("v", visitor[first]),
                "customer_id": person_ids.take(pa.array(person[first])),
                "linked_at": instants(rows.seconds[known][order][first], self.origin_us),
            }
        )


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
    carts, discount, never, effects = campaigns.apply(
        world, goods, law, people, time, carts, coupon, draw, streams["effects"]
    )
    takes_place = np.ones(len(person), bool)
    takes_place[opens] = ~never[: opens.sum()]
    base = tuple(column[takes_place] for column in (person, at, slot, opened))
    off = (sent.channel == messages.PUSH) & np.isfinite(sent.opted_out)
    push_off = (sent.person[off], sent.opted_out[off])
    visits = gather_visits(people, base, carts, push_off, days, streams["gather"])
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
