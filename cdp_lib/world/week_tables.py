"""The tables of a week that was lived after the first span."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cdp_lib.world import log, mail, messages, record
from cdp_lib.world.campaigns import Effects
from cdp_lib.world.cohorts import Cohort
from cdp_lib.world.ids import ids, instants
from cdp_lib.world.living import Contacts, Week, draw_week, returns_stream
from cdp_lib.world.past import Past, group_people, permissions
from cdp_lib.world.people import CHANNELS
from cdp_lib.world.tables import customers_table, numbered
from cdp_lib.world.trade import coming_carts, identities_table, trade_tables

NOBODY = messages.Draw(*(np.zeros(0, kind) for kind in (int, int, bool, float)))
DAY = 86_400


def week_tables(past: Past, group: int, contacts: pd.DataFrame) -> dict[str, pa.Table]:
    """The tables of a group of people in the week that comes, by path; customers and people whole.

    contacts: of all groups, sorted by experiment. Besides, `bought_later`: cart_id and bought_at of
    earlier carts that were bought now.
    """
    experiments = contacts["experiment_id"].unique().tolist()
    cohorts = past.cohorts(group)
    people, person_ids = group_people(cohorts)
    standing = past.standing(cohorts, people, person_ids)
    drawn = _drawn(past, cohorts, person_ids, contacts)
    seed, number, origin = past.seed(group), past.number(group), past.origin_us
    week = draw_week(
        past.world, past.goods, past.law, past.time, past.week, people, standing, drawn, seed,
        number, origin,
    )  # fmt: skip
    span, rows = week.span, week.span.rows
    created, signed = _created(past, cohorts, person_ids, week)
    draw, effects = _effects(past, drawn, week)
    return {
        **trade_tables(span, returns_stream(seed)),
        "customers": _customers(past, cohorts, person_ids, created, week),
        "identities": identities_table(span),
        "messages": mail.messages_table(
            experiments, span.days, number, week.sent, week.replies, person_ids, origin
        ),
        "assignments": mail.assignments_table(
            past.world, past.time, past.first_weeks, NOBODY, people, signed, person_ids, origin
        ),
        "truth/effects": record.effects_table(
            experiments, past.world.effect_days, draw, effects, people, person_ids, origin
        ),
        "truth/people": record.people_table(
            past.world, past.law, people, person_ids, created, standing.phase,
            log.held_shares(past.goods, people), origin,
        ),
        "truth/visits": record.visits_table(
            span.visits, ids("s", numbered(number, np.arange(len(span.visits)))), person_ids, origin
        ),
        "truth/carts": record.carts_table(
            past.goods, span.carts, rows, span.cart_ids, person_ids, span.days, origin
        ),
        "truth/coming_carts": coming_carts(span, standing.numbers),
        "bought_later": _bought_later(week, origin),
    }  # fmt: skip


def due_tables(past: Past) -> dict[str, pa.Table]:
    """What was to come and now is: returned goods of the week; and what is still to come."""
    truth = past.folder / "truth"
    orders = pq.read_table(truth / "coming_orders.parquet")
    lines = pq.read_table(truth / "coming_order_lines.parquet")
    end = pa.scalar(past.start + timedelta(weeks=1), pa.timestamp("us"))
    due = pc.less(orders["ordered_at"], end)
    now = orders.filter(due)
    of_now = pc.is_in(lines["order_id"], now["order_id"].combine_chunks())
    return {
        "orders": now,
        "order_lines": lines.filter(of_now),
        "truth/coming_orders": orders.filter(pc.invert(due)),
        "truth/coming_order_lines": lines.filter(pc.invert(of_now)),
        "truth/coming_carts": past.later_carts(),
    }


def _drawn(
    past: Past, cohorts: list[Cohort], person_ids: pa.Array, contacts: pd.DataFrame
) -> Contacts:
    """The contacts of these people, with how each responds."""
    person = pd.Index(person_ids.to_pandas()).get_indexer(contacts["unit_id"])
    mine, person = contacts[person >= 0], person[person >= 0]
    by_audience = {
        audience: [
            np.concatenate(column)
            for column in zip(
                *(c.responses(past.world, past.law, audience) for c in cohorts), strict=True
            )
        ]
        for audience in mine["audience"].unique()
    }
    response, effect = np.zeros(len(mine), int), np.zeros(len(mine))
    for audience, (responses, effects) in by_audience.items():
        theirs = (mine["audience"] == audience).to_numpy()
        response[theirs], effect[theirs] = responses[person[theirs]], effects[person[theirs]]
    names = contacts.drop_duplicates("experiment_id").set_index("experiment_id")["audience"]
    return Contacts(
        person,
        names.index.get_indexer(mine["experiment_id"]),
        pd.Categorical(mine["channel"], categories=CHANNELS).codes.astype(int),
        mine["treated"].to_numpy(bool),
        response,
        effect,
        tuple(past.world.audience(name) for name in names),
    )


def _effects(past: Past, drawn: Contacts, week: Week) -> tuple[messages.Draw, Effects]:
    """What was drawn in all experiments of the week, and what came of it."""
    at = np.full(len(drawn.person), past.week * 7.0)
    draw = messages.Draw(drawn.experiment, drawn.person, drawn.treated, at)
    none = Effects(*(np.zeros(0, kind) for kind in (int, *[float] * 5)))
    parts = [none, *week.effects]
    names = Effects.__dataclass_fields__
    return draw, Effects(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _created(
    past: Past, cohorts: list[Cohort], person_ids: pa.Array, week: Week
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds at which each account was made, and of those made in the week; NaN without."""
    rows = week.span.rows
    signed = np.full(len(person_ids), np.nan)
    now = rows.code == log.CODE["sign_up"]
    signed[week.span.visits.person[rows.visit[now]]] = rows.seconds[now]
    start = pd.Timestamp(past.time.start)
    opened = (past.accounts.reindex(person_ids.to_pandas()) - start) / pd.Timedelta(seconds=1)
    before = np.concatenate([cohort.opened_before() for cohort in cohorts])
    return np.fmin(np.fmin(before, opened.to_numpy()), signed), signed


def _customers(
    past: Past, cohorts: list[Cohort], person_ids: pa.Array, created: np.ndarray, week: Week
) -> pa.Table:
    """All customers of the group as they are after the week."""
    rows, sent = week.span.rows, week.sent
    names = person_ids.to_pandas().to_numpy()
    on = rows.code == log.CODE["push_on"]
    person = week.span.visits.person[rows.visit[on]]
    turned_on = pd.DataFrame({"customer_id": names[person], "at": rows.seconds[on] / DAY})
    off = (sent.channel == messages.PUSH) & np.isfinite(sent.opted_out)
    push_off = pd.DataFrame({"customer_id": names[sent.person[off]], "at": sent.opted_out[off]})
    old = past.messages[(past.messages["channel"] == messages.PUSH) & past.messages["out"].notna()]
    allowed = permissions(
        week.opted,
        person_ids,
        pd.concat([past.turned_on, turned_on]),
        pd.concat([old.rename(columns={"out": "at"})[["customer_id", "at"]], push_off]),
    )
    parts, first = [], 0
    for cohort in cohorts:
        rows = slice(first, first + len(cohort.people))
        first = rows.stop
        who = np.flatnonzero(np.isfinite(created[rows]))
        parts.append(
            customers_table(
                cohort.people, who, cohort.ids, created[rows], allowed[rows], past.origin_us,
                cohort.stream("told"),
            )
        )  # fmt: skip
    return pa.concat_tables(parts)


def _bought_later(week: Week, origin_us: int) -> pa.Table:
    """Carts of earlier weeks that were bought in this one."""
    rows = week.span.rows
    bought = (rows.code == log.CODE["purchase"]) & (rows.cart < week.n_back)
    return pa.table(
        {
            "cart_id": week.span.cart_ids.take(pa.array(rows.cart[bought])),
            "bought_at": instants(rows.seconds[bought], origin_us),
        }
    )
