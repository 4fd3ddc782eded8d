"""What a shop knew at a moment: no row not yet received, nothing that happened to a row later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import ibis
from ibis.expr.types import Table

from cdp_lib.tables.mapping import Mapped


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
