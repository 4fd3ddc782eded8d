"""Visits and people: which events are one visit, and which visitors are one customer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import above

VISIT = ("visitor_id", "visit__")  # what tells a visit from all others


@dataclass(frozen=True)
class Coverage:
    """How far the events of a shop are tied to people.

    n_events: events in all. without_id_rate: share with neither visitor nor customer; no journey
    has them. known_rate: share that carry a customer themselves. stitched_rate: share that carry
    none and got one. n_visitors: visitors seen. n_shared_visitors: visitors seen with two
    customers or more. n_people: people, after stitching. Rates are over n_events; NaN without any.
    """

    n_events: int
    without_id_rate: float
    known_rate: float
    stitched_rate: float
    n_visitors: int
    n_shared_visitors: int
    n_people: int


def sessions(events: Table, gap_minutes: float = 30, all_given: bool = False) -> Table:
    """The events of a visitor or customer, each with its visit.

    In: events of the contract. Out: the same rows and columns, less the rows with neither
    visitor_id nor customer_id. `visitor_id` is never null: an event without one gets
    "c:<customer_id>". `session_id` is never null and belongs to one visitor alone. Where the
    shop gives one it stands for a visit of that visitor, so an id that two visitors share is
    two visits. Where it gives none, a visit ends when more than `gap_minutes` pass without an
    event; exactly `gap_minutes` do not end it. all_given: no row lacks its session id, so none
    is looked for. One more column, `visit__`, tells a visit from the others of its visitor; the
    two say what session_id says, and need no text made for each row.
    """
    above("gap_minutes", gap_minutes, 0)
    named = _with_visitor(events)
    given = named.filter(named.session_id.notnull())
    if all_given:
        return with_session(given.mutate(visit__=given.session_id))
    given = given.mutate(visit__=ibis.literal("/") + given.session_id)
    bare = named.filter(named.session_id.isnull())
    by_visitor = ibis.window(group_by=bare.visitor_id, order_by=bare.occurred_at)
    gap = ibis.interval(seconds=round(gap_minutes * 60))
    before = bare.occurred_at.lag().over(by_visitor)
    bare = bare.mutate(
        starts__=ibis.ifelse(
            before.isnull() | (bare.occurred_at > before + gap),
            bare.occurred_at,
            ibis.null("timestamp"),
        )
    )
    # A range frame holds all events of one instant, so their order among themselves is nothing.
    so_far = ibis.range_window(
        group_by=bare.visitor_id, order_by=bare.occurred_at, preceding=None, following=0
    )
    started = bare.starts__.max().over(so_far)
    bare = bare.mutate(visit__=ibis.literal("#") + started.strftime("%Y%m%d%H%M%S"))
    rows = given.union(bare.select(given.columns))
    return rows.mutate(session_id=rows.visitor_id + rows.visit__)


def with_session(visits: Table) -> Table:
    """The visits of a log that gives each its session id, `visit__`, with their `session_id`."""
    return visits.mutate(session_id=visits.visitor_id + "/" + visits.visit__)


def _with_visitor(events: Table) -> Table:
    some = events.filter(events.visitor_id.notnull() | events.customer_id.notnull())
    return some.mutate(
        visitor_id=ibis.coalesce(some.visitor_id, ibis.literal("c:") + some.customer_id)
    )


def links(events: Table, identities: Table | None = None) -> Table:
    """Which visitors were seen to be which customers: distinct `visitor_id, customer_id`."""
    pairs = events.filter(events.visitor_id.notnull() & events.customer_id.notnull())
    pairs = pairs.select("visitor_id", "customer_id")
    if identities is not None:
        pairs = pairs.union(identities.select("visitor_id", "customer_id"))
    return pairs.distinct()


@dataclass(frozen=True)
class Ties:
    """What ties visitors and visits to customers, and since when; small, kept by the engine.

    pairs: `visitor_id, customer_id, tied_at`, a row per pair seen. visits: `visitor_id, visit__,
    customer_id, tied_at`, a row per visit and customer, of the visitors with several customers.
    """

    pairs: Table
    visits: Table

    def before(self, moment: datetime) -> Ties:
        """The ties that were known before a moment."""
        known = _.tied_at < ibis.literal(moment)
        return Ties(self.pairs.filter(known), self.visits.filter(known))


def ties(visits: Table, identities: Table | None = None) -> Ties:
    """The ties in what `sessions` returns and in identities of the contract."""
    named = visits.filter(visits.customer_id.notnull())
    known_at = named.occurred_at
    if "received_at" in visits.columns:
        known_at = ibis.greatest(known_at, named.received_at.coalesce(known_at))
    # A table that the engine keeps says its precision; both sides of a union must say the same.
    named = named.mutate(tied_at=known_at.cast("timestamp"))
    pair = ["visitor_id", "customer_id"]
    pairs = named.select(*pair, "tied_at")
    if identities is not None:
        pairs = pairs.union(
            identities.select(*pair, tied_at=identities.linked_at.cast("timestamp"))
        )
    pairs = pairs.group_by(pair).aggregate(tied_at=_.tied_at.min()).cache()
    several = pairs.group_by("visitor_id").aggregate(n__=_.count()).filter(_.n__ > 1)
    by_visit = named.semi_join(several, "visitor_id").group_by(*VISIT, "customer_id")
    return Ties(pairs, by_visit.aggregate(tied_at=_.tied_at.min()).cache())


def owned(events: Table, known: Ties) -> Table:
    """The events that belong to a customer, with `owner_id`: whose they are by `stitch`.

    In: events; where they have the `visit__` of `sessions`, what a shared device did is shared
    out by visits. Cheaper than `stitch` where only customers count.
    """
    seen = known.pairs.group_by("visitor_id").aggregate(n__=_.count(), only__=_.customer_id.min())
    joined = events.left_join(seen.filter(_.n__ == 1).drop("n__"), "visitor_id")
    customers = [joined.customer_id, joined.only__]
    if "visit__" in events.columns:
        alone = known.visits.group_by(VISIT).aggregate(n__=_.count(), one__=_.customer_id.min())
        joined = joined.left_join(alone.filter(_.n__ == 1).drop("n__"), VISIT)
        customers.append(joined.one__)
    rows = joined.select(
        **{name: joined[name] for name in events.columns}, owner_id=ibis.coalesce(*customers)
    )
    return rows.filter(rows.owner_id.notnull())


def stitch(visits: Table, identities: Table | None = None) -> Table:
    """The events of `sessions`, each with the person it belongs to.

    In: what `sessions` returns, and identities of the contract; both cut at the time as of which
    people are known, since every link in them is used. Out: the same rows with `person_id`
    ("c:<customer_id>" or "v:<visitor_id>"), `known` (the row itself carries a customer) and
    `returning` (the visit began after the first event of the person in the log, so false in the
    first visit that the log holds).

    A row that carries a customer is that customer's. Another row of a visitor that was ever
    linked to one customer alone is that customer's too, so a login stitches what came before
    it. A visitor linked to two customers or more is a shared device and no person: its other
    rows belong to the customer of their visit where that has one alone, else to "v:<visitor>".
    """
    # The person depends on visitor, visit and customer alone: work on those few rows.
    parts = (
        visits.view()
        .group_by("visitor_id", "session_id", "customer_id")
        .aggregate(began=ibis._.occurred_at.min())
    )
    customers = (
        links(parts.view(), identities)
        .group_by("visitor_id")
        .aggregate(n_customers=ibis._.customer_id.nunique(), only=ibis._.customer_id.min())
    )
    by_visit = ibis.window(group_by=parts.session_id)
    parts = parts.mutate(
        n_in_visit=parts.customer_id.count().over(by_visit),
        visit_customer=parts.customer_id.min().over(by_visit),
    )
    parts = parts.left_join(customers, "visitor_id")
    customer = ibis.coalesce(
        parts.customer_id,
        ibis.cases(
            (parts.n_customers == 1, parts.only),
            (parts.n_in_visit == 1, parts.visit_customer),
            else_=ibis.null("string"),
        ),
    )
    parts = parts.select(
        "session_id",
        "began",
        customer__=parts.customer_id.fill_null(""),
        person_id=ibis.coalesce(
            ibis.literal("c:") + customer, ibis.literal("v:") + parts.visitor_id
        ),
    )
    by_person = ibis.window(group_by=parts.person_id)
    by_person_visit = ibis.window(group_by=[parts.person_id, parts.session_id])
    parts = parts.select(
        "session_id",
        "customer__",
        "person_id",
        returning=parts.began.min().over(by_person_visit) > parts.began.min().over(by_person),
    )
    joined = visits.mutate(customer__=visits.customer_id.fill_null("")).join(
        parts, ["session_id", "customer__"]
    )
    return joined.select(
        *visits.columns, "person_id", known=joined.customer_id.notnull(), returning="returning"
    )


def journeys(events: Table, identities: Table | None = None, gap_minutes: float = 30) -> Table:
    """`sessions` and `stitch` in one expression: every column of events, then the three more."""
    return stitch(sessions(events, gap_minutes).drop("visit__"), identities)


def coverage(events: Table, journey_table: Table, identities: Table | None = None) -> Coverage:
    """How far the events are tied to people: two small queries. See Coverage for the fields."""
    shared = (
        links(events, identities)
        .group_by("visitor_id")
        .aggregate(n=ibis._.customer_id.nunique())
        .filter(ibis._.n > 1)
        .count()
        .execute()
    )
    counted = events.aggregate(
        n=events.count(),
        bare=(events.visitor_id.isnull() & events.customer_id.isnull()).sum(),
        known=events.customer_id.notnull().sum(),
        visitors=events.visitor_id.nunique(),
    ).execute().iloc[0]  # fmt: skip
    people = journey_table.aggregate(
        stitched=(~journey_table.known & journey_table.person_id.startswith("c:")).sum(),
        n=journey_table.person_id.nunique(),
    ).execute().iloc[0]  # fmt: skip
    n = int(counted.n)
    rate = (lambda k: float(k) / n) if n else (lambda k: float("nan"))
    return Coverage(
        n_events=n,
        without_id_rate=rate(counted.bare),
        known_rate=rate(counted.known),
        stitched_rate=rate(people.stitched),
        n_visitors=int(counted.visitors),
        n_shared_visitors=int(shared),
        n_people=int(people.n),
    )
