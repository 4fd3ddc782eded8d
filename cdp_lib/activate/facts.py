"""What the policy of next moves has to know of each customer: permissions, messages, affinity."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.activate.eligible import suppressed_ids
from cdp_lib.activate.ledger import Ledger, ledger_of
from cdp_lib.activate.policy import LAYER, Policy
from cdp_lib.customers.ages import DAY
from cdp_lib.tables import Shop
from cdp_lib.tables.micros import micros
from cdp_lib.tables.placed import place

WHO = {"customer_id": "string"}


def facts(
    shop: Shop,
    policy: Policy,
    affinity: Table | None = None,
    suppressed: Collection[str] | str | Path = (),
    ledger: Ledger | None = None,
) -> Table:
    """A row per customer of whom anything is known, as of the shop's end, kept by the engine.

    affinity: customer_id, affinity (0-1). suppressed: ids that nothing may be sent to, or a file of
    them. ledger: whose deliveries count beside the shop's messages (None: the one beside
    shop.toml); a message of one of its waves counts once. Out: customer_id, the customers'
    `<channel>_opt_in` columns, suppressed, busy (in an experiment of the policy that began earlier
    and is still open), and where the shop can tell n_messages (in the policy's `per_days`),
    days_since_message and affinity.
    """
    parts: dict[str, Table] = {}
    if shop.has("customers"):
        given = {*shop.given("customers"), *shop.mapped("customers").extras}
        columns = [c for c in shop.customers.columns if c.endswith("_opt_in") and c in given]
        parts["permissions"] = shop.customers.select("customer_id", *columns)
    ledger = ledger_of(shop) if ledger is None else ledger
    reached = _reached(shop, policy, ledger)
    if reached is not None:
        parts["messages"] = reached
    if affinity is not None:
        parts["affinity"] = affinity.select("customer_id", "affinity")
    marked = {"suppressed": suppressed_ids(suppressed), "busy": _busy(shop, ledger)}
    for name, ids in marked.items():
        if ids or not parts:
            rows = place(shop, pd.DataFrame({"customer_id": sorted(ids)}), WHO)
            parts[name] = rows.mutate(**{name: ibis.literal(True)})
    names = [part.select("customer_id") for part in parts.values()]
    table = (ibis.union(*names) if len(names) > 1 else names[0]).filter(_.customer_id.notnull())
    table = table.distinct()
    for part in parts.values():
        table = table.left_join(part, "customer_id").drop("customer_id_right")
    return table.cache()


def _busy(shop: Shop, ledger: Ledger) -> set[str]:
    """Units of the policy's experiments that began before the shop's end and are still open."""
    rows = ledger.experiments()
    ends = rows.assigned_at + pd.to_timedelta(rows.window_days.astype(float), "D")
    still = (rows.layer == LAYER) & (rows.assigned_at < shop.as_of) & (ends > shop.as_of)
    return {u for name in rows.experiment_id[still] for u in ledger.assignments(name).unit_id}


def _reached(shop: Shop, policy: Policy, ledger: Ledger) -> Table | None:
    """Messages of each customer within the policy's days, and days since the last one."""
    start = shop.as_of - timedelta(days=max(policy.per_days, policy.quiet_days))
    sent = ledger.deliveries()
    sent = sent[(sent.delivered_at >= start) & (sent.delivered_at < shop.as_of)]
    parts = []
    if shop.has("messages"):
        rows = shop.messages.filter(_.sent_at >= ibis.literal(start))
        known = sent.experiment_id.unique().tolist()
        if known:
            rows = rows.filter(_.campaign_id.notin(known))
        parts.append(rows.select("customer_id", us=micros(rows.sent_at)))
    if len(sent):
        frame = sent.rename(columns={"unit_id": "customer_id", "delivered_at": "at"})
        delivered = place(shop, frame, WHO | {"at": "timestamp(6)"})
        parts.append(delivered.select("customer_id", us=micros(delivered["at"])))
    if not parts:
        return None
    rows = (ibis.union(*parts) if len(parts) > 1 else parts[0]).filter(_.customer_id.notnull())
    end = int((shop.as_of - datetime(1970, 1, 1)) / timedelta(microseconds=1))
    rows = rows.mutate(days=(end - rows.us).cast("float64") / DAY)
    return rows.group_by("customer_id").aggregate(
        n_messages=(_.days <= policy.per_days).cast("int64").sum(),
        days_since_message=_.days.min(),
    )
