"""Permissions as they were: what a customer allowed before a later change of it.

A shop that keeps no history of its customers has their permissions as of the end of its data.
Its logs tell of changes, and each change tells what held before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
from ibis import _
from ibis.expr.types import Table

from cdp_lib.tables import identity
from cdp_lib.tables.mapping import Mapped

CHANNELS = ("email", "push", "sms", "whatsapp")


@dataclass(frozen=True)
class PermissionChanges:
    """Every change of a permission that a whole log tells, kept by the engine.

    table: `customer_id`, `channel`, `changed_at` and `before`, 1 where messages were allowed until
    then: a push_off or an opt-out ends a permission, a push_on begins one. newest: the last change.
    """

    table: Table
    newest: datetime

    def undone(self, customers: Table, given: frozenset[str], as_of: datetime) -> Table:
        """The customers with the permissions among their columns `given` as they were at `as_of`.

        A permission is what it was before its first change from `as_of` on; where a channel is
        changed both ways at one instant, it was allowed.
        """
        columns = {c: f"{c}_opt_in" for c in CHANNELS if f"{c}_opt_in" in given}
        if self.newest < as_of or not columns:
            return customers
        later = self.table.filter(self.table.changed_at >= ibis.literal(as_of))
        first = later.group_by("customer_id", "channel").aggregate(changed_at=_.changed_at.min())
        later = later.semi_join(first, ["customer_id", "channel", "changed_at"])
        states = later.group_by("customer_id").aggregate(
            **{f"{c}__": later.before.max(where=later.channel == c) for c in columns}
        )
        joined = customers.left_join(states, "customer_id")
        chosen = {name: joined[name] for name in customers.columns}
        for channel, name in columns.items():
            chosen[name] = ibis.coalesce(joined[f"{channel}__"] == 1, joined[name])
        return joined.select(**chosen)


def permission_changes(
    messages: Mapped | None, events: Mapped | None, identities: Table | None
) -> PermissionChanges | None:
    """The changes in a shop's whole logs, None where nothing tells.

    An event without a customer counts for the only customer its visitor was seen to be.
    """
    parts = []
    if messages is not None and "unsubscribed_at" in messages.given:
        sent = messages.table.filter(messages.table.unsubscribed_at.notnull())
        parts.append(
            sent.select(
                "customer_id",
                channel=sent.channel.lower(),
                changed_at=sent.unsubscribed_at.cast("timestamp"),
                before=ibis.literal(1, "int64"),
            )
        )
    if events is not None:
        switches = events.table.filter(_.event.isin(["push_on", "push_off"])).drop("session_id")
        switches = identity.owned(switches, identity.ties(events.table, identities))
        parts.append(
            switches.select(
                customer_id="owner_id",
                channel=ibis.literal("push"),
                changed_at=switches.occurred_at.cast("timestamp"),
                before=(switches.event == "push_off").cast("int64"),
            )
        )
    if not parts:
        return None
    changes = ibis.union(*parts) if len(parts) > 1 else parts[0]
    changes = changes.filter(_.customer_id.notnull() & _.changed_at.notnull()).cache()
    newest = changes.aggregate(newest=changes.changed_at.max()).to_pyarrow()["newest"][0].as_py()
    return None if newest is None else PermissionChanges(changes, newest)
