"""The next moves of a week: candidates, facts and read-outs together, and what goes with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd
from ibis import _

from cdp_lib.activate import recovery
from cdp_lib.activate.facts import facts
from cdp_lib.activate.ledger import ledger_of
from cdp_lib.activate.moves import Moves, decide
from cdp_lib.activate.policy import Audience, Policy
from cdp_lib.checks import TooLittleData
from cdp_lib.customers.discounts import discount_affinity
from cdp_lib.lift.programme import audience_table
from cdp_lib.report import loop
from cdp_lib.report.candidates import LACKS, Sources, ask
from cdp_lib.report.move_products import products
from cdp_lib.tables import Shop


def decide_week(sources: Sources, suppressed: Collection[str] | str | Path = ()) -> Moves:
    """One move for each customer of the shop this week, by its policy.

    suppressed: ids that nothing may be sent to, or a file of them. Raises TooLittleData where no
    list can be made.
    """
    shop, policy = sources.shop, sources.policy
    found, lacking = ask(sources)
    if not found:
        raise TooLittleData(
            "policy", policy.path.name, "; ".join(f"{k}: {v}" for k, v in lacking.items()),
            "map the tables that the lists need",
        )  # fmt: skip
    try:
        affinity = discount_affinity(shop)
    except LACKS:
        affinity = None
    known = facts(shop, policy, affinity, suppressed or ())
    moves = decide(found, known, policy, verdicts(shop), lacking)
    return Moves(policy, moves.table.cache(), moves.lacking)


def verdicts(shop: Shop) -> dict[str, str]:
    """What the read-out of each audience of the ledger says: audience -> word of its verdict."""
    if ledger_of(shop).experiments().empty or not shop.has("orders"):
        return {}
    table = audience_table(loop.audiences(shop))
    return dict(zip(table.audience, table.word, strict=True))


def context(sources: Sources, moves: Moves) -> dict[str, pd.DataFrame]:
    """What goes into the files beside the ids: for customer care why each is called, for messages
    the products to show.

    Out: audience -> a row per customer: customer_id and further columns.
    """
    columns = {}
    for one in moves.policy.audiences:
        if not _asked(sources, moves, one):
            continue
        got = moves.given.filter(_.audience == one.name).select("customer_id")
        if one.list == "service_recovery":
            wanted = sources.troubled.customer_id.isin(got.to_pandas().customer_id)
            mine = sources.troubled[wanted]
            columns[one.name] = recovery.with_context(sources.shop, mine, sources.churners)
        elif (shown := products(sources, one.list, got)) is not None:
            columns[one.name] = shown
    return columns


def stakes(sources: Sources, moves: Moves) -> pd.DataFrame:
    """Likely leavers who get a move: audience, probability, worth (kept where they stay)."""
    parts = []
    for one in moves.policy.audiences:
        if one.list not in ("service_recovery", "likely_churners"):
            continue
        if not _asked(sources, moves, one):
            continue
        got = moves.given.filter(_.audience == one.name).select("customer_id").to_pandas()
        if one.list == "service_recovery":
            rows = sources.troubled
        else:
            rows = sources.churners
            rows = rows.assign(worth=rows.value_at_stake / rows.probability)
        rows = rows[rows.customer_id.isin(got.customer_id)]
        parts.append(rows[["probability", "worth"]].assign(audience=one.list))
    empty = pd.DataFrame(columns=["probability", "worth", "audience"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def called(columns: Mapping[str, pd.DataFrame], policy: Policy) -> pd.DataFrame:
    """Those of `context` whom customer care calls: the columns of `recovery.with_context`."""
    calls = [one.name for one in policy.audiences if one.list == "service_recovery"]
    parts = [columns[name] for name in calls if name in columns]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=recovery.COLUMNS)


def _asked(sources: Sources, moves: Moves, one: Audience) -> bool:
    return one.name not in moves.lacking and (not sources.only or one.name in sources.only)
