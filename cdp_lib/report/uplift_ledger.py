"""The audiences that left the workbench, as experiments that effects can be learned from."""

from __future__ import annotations

import ibis
from ibis.expr.types import Table

from cdp_lib.activate.ledger import ledger_of
from cdp_lib.tables import Shop

TEXTS = ("experiment_id", "unit_id", "arm")


def drawn(shop: Shop) -> Table | None:
    """Who was drawn into which arm of every audience in the shop's ledger, on the shop's engine.

    Out: experiment_id ("audience.wave"), unit_id, arm, assigned_at; None where nothing has left.
    """
    import pyarrow as pa

    frame = ledger_of(shop).assignments()
    if frame.empty:
        return None
    fields = [*((name, pa.string()) for name in TEXTS), ("assigned_at", pa.timestamp("us"))]
    rows = pa.Table.from_pandas(
        frame[[*TEXTS, "assigned_at"]], schema=pa.schema(fields), preserve_index=False
    )
    return ibis.memtable(rows)
