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

        A permission is what it was before its first change from `as_of` on. Where that is a
        push_on and push was on by then, it is a push_on said again, and push stays on. Where a
        channel is changed both ways at one instant, it was allowed before.
        """
        columns = {c: f"{c}_opt_in" for c in CHANNELS if f"{c}_opt_in" in given}
        if self.newest < as_of or not columns:
            return customers
        told = self.table.mutate(past=self.table.changed_at < ibis.literal(as_of))
        ends = told.group_by("customer_id", "channel").aggregate(
            last=_.changed_at.max(where=_.past), first=_.changed_at.min(where=~_.past)
        )
        told = told.join(ends, ["customer_id", "channel"])
        told = told.filter(ibis.ifelse(told.past, told.changed_at == told.last,
                                       told.changed_at == told.first))  # fmt: skip
        states = told.group_by("customer_id").aggregate(
            **{f"{c}__": told.before.max(where=(told.channel == c) & ~told.past) for c in columns},
            turned_on__=(1 - told.before).max(where=(told.channel == "push") & told.past),
        )
        joined = customers.left_join(states, "customer_id")
        chosen = {name: joined[name] for name in customers.columns}
        for channel, name in columns.items():
            before = joined[f"{channel}__"]
            allowed = before == 1
            if channel == "push":
                allowed |= before.notnull() & (joined.turned_on__ == 1).fill_null(False)
            chosen[name] = ibis.coalesce(allowed, joined[name])
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
        log = events.table.mutate(visit__=events.table.session_id)
        switches = log.filter(_.event.isin(["push_on", "push_off"])).drop("visit__")
        switches = identity.owned(switches, identity.ties(log, identities))
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
