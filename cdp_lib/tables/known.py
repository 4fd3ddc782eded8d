"""What a shop knew at a moment: rows not yet received, later edits, permissions since changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.tables import identity
from cdp_lib.tables.mapping import Mapped

CHANNELS = ("email", "push", "sms", "whatsapp")


def arrived(mapped: Mapped, as_of: datetime) -> Mapped:
    """The mapped table without the rows that had not reached the shop before `as_of`.

    Such rows are not set aside: at that moment nobody had seen them. A row that does not say
    when it arrived was known when it happened.
    """
    name = mapped.contract.known_by
    if name not in mapped.given:
        return mapped
    known = mapped.table[name].isnull() | (mapped.table[name] < ibis.literal(as_of))
    return replace(mapped, table=mapped.table.filter(known))


def newest(mapped: Mapped) -> datetime | None:
    """The newest instant at which a row of a log happened or was received, None without any.

    A clock that runs ahead must not move the end of the data, unless all lies ahead.
    """
    table, known_by = mapped.table, mapped.contract.known_by
    moment = table[mapped.contract.cut_by]
    if known_by in mapped.given:
        moment = ibis.greatest(moment, table[known_by].coalesce(moment))
    tomorrow = ibis.literal(datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1))
    asked = table.aggregate(past=moment.max(where=moment < tomorrow), ever=moment.max())
    row = asked.to_pyarrow().to_pylist()[0]
    return row["past"] or row["ever"]


def without_later(table: Table, mapped: Mapped, as_of: datetime) -> Table:
    """What happened to a row after `as_of` (a message opened later) is null: not known yet."""
    contract = mapped.contract
    later = {
        column.name: ibis.ifelse(
            table[column.name] < ibis.literal(as_of), table[column.name], ibis.null("timestamp")
        )
        for column in contract.columns
        if column.dtype == "timestamp"
        and column.name in mapped.given
        and column.name not in (contract.cut_by, contract.known_by)
    }
    return table.mutate(**later) if later else table


def permission_changes(
    messages: Mapped | None, events: Mapped | None, identities: Table | None
) -> Table | None:
    """Every change of a permission that a whole log tells, kept by the engine.

    Out: `customer_id`, `channel`, `changed_at` and `before`, 1 where messages were allowed until
    then: a push_off or an opt-out ends a permission, a push_on begins one. None where nothing
    tells. An event without a customer counts for the only customer its visitor was seen to be.
    """
    parts = []
    if messages is not None and "unsubscribed_at" in messages.given:
        sent = messages.table.filter(messages.table.unsubscribed_at.notnull())
        parts.append(
            sent.select(
                "customer_id",
                channel=sent.channel.lower(),
                changed_at=sent.unsubscribed_at,
                before=ibis.literal(1, "int64"),
            )
        )
    if events is not None:
        switches = events.table.filter(_.event.isin(["push_on", "push_off"]))
        switches = identity.owned(switches, identity.links(events.table, identities))
        parts.append(
            switches.select(
                customer_id="owner_id",
                channel=ibis.literal("push"),
                changed_at="occurred_at",
                before=(switches.event == "push_off").cast("int64"),
            )
        )
    if not parts:
        return None
    changes = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return changes.filter(_.customer_id.notnull() & _.changed_at.notnull()).cache()


def rolled_back(customers: Table, given: frozenset[str], changes: Table, as_of: datetime) -> Table:
    """The customers with their permissions as they were at `as_of`.

    In: customers whose permissions are those at the end of the data, and `permission_changes`.
    A permission is what it was before its first change from `as_of` on; where a channel is
    changed both ways at one instant, it was allowed.
    """
    columns = {c: f"{c}_opt_in" for c in CHANNELS if f"{c}_opt_in" in given}
    later = changes.filter(changes.changed_at >= ibis.literal(as_of))
    before = later.group_by("customer_id", "channel").aggregate(first=later.changed_at.min())
    first = later.join(
        before,
        [
            later.customer_id == before.customer_id,
            later.channel == before.channel,
            later.changed_at == before.first,
        ],
    ).select(later.customer_id, later.channel, later.before)
    states = first.group_by("customer_id").aggregate(
        **{f"{c}__": first.before.max(where=first.channel == c) for c in columns}
    )
    joined = customers.left_join(states, "customer_id")
    return joined.select(
        **{name: joined[name] for name in customers.columns}
        | {name: ibis.coalesce(joined[f"{c}__"] == 1, joined[name]) for c, name in columns.items()}
    )
