"""The audiences that left the workbench, as experiments that effects can be learned from."""

from __future__ import annotations

from ibis.expr.types import Table

from cdp_lib.activate.ledger import Ledger, ledger_of
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

UNIT = {"experiment_id": "string", "unit_id": "string"}
AT = "timestamp(6)"


def drawn(shop: Shop, ledger: Ledger | None = None) -> Table | None:
    """Who was drawn into which arm of every audience in the ledger, on the shop's engine.

    Out: experiment_id ("audience.wave"), unit_id, arm, assigned_at; None where nothing has left.
    """
    frame = (ledger_of(shop) if ledger is None else ledger).assignments()
    if frame.empty:
        return None
    return place(shop, frame, UNIT | {"arm": "string", "assigned_at": AT})


def delivered(shop: Shop, ledger: Ledger) -> Table:
    """Who was reached when: experiment_id, unit_id, delivered_at."""
    return place(shop, ledger.deliveries(), UNIT | {"delivered_at": AT})
