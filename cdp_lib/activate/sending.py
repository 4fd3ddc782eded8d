"""The moves of a week leave: each audience and channel as an experiment of its own.

All of them share one layer, so the ledger too keeps a customer out of a second audience while the
window of the first is open, whatever changes between two runs of a week.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from cdp_lib.activate.audience import Export
from cdp_lib.activate.moves import Moves
from cdp_lib.activate.outgoing import NotSent, send_all
from cdp_lib.activate.policy import LAYER, Audience
from cdp_lib.checks import one_of
from cdp_lib.tables import Shop


def send_moves(
    shop: Shop,
    moves: Moves,
    holdout: float = 0.1,
    send: bool = False,
    columns: Mapping[str, pd.DataFrame] | None = None,
    only: Collection[str] = (),
    suppressed: Collection[str] | str | Path = (),
) -> tuple[Export | NotSent, ...]:
    """Send every audience of the policy, or plan it where `send` is False.

    holdout: share held out, where the policy does not say. columns: audience -> a table with
    customer_id, a row per customer, whose other columns go into the files. only: audiences to
    send, all where empty. Out: an export per audience and channel, in the policy's order; the
    first channel leaves under the audience's name, another under `<name>_<channel>`.
    """
    for name in only:
        one_of("only", name, moves.policy.names)
    counted = moves.given.group_by("audience", "channel").aggregate(n=moves.given.count())
    sizes = {(row.audience, row.channel) for row in counted.to_pandas().itertuples()}
    found: list[Export | NotSent] = []
    for one in moves.policy.audiences:
        if only and one.name not in only:
            continue
        if one.name in moves.lacking:
            found.append(NotSent(one.name, moves.lacking[one.name]))
            continue
        for place, channel in enumerate(one.channels):
            if place and (one.name, channel) not in sizes:
                continue
            name = one.name if not place else f"{one.name}_{channel}"
            people, extra = _people(moves, one, channel, (columns or {}).get(one.name))
            found += send_all(
                shop,
                {name: people},
                channel,
                holdout if one.holdout is None else one.holdout,
                send,
                columns=extra,
                layer=LAYER,
                window_days=one.window_days,
                contact_cost=one.contact_cost,
                incentive_cost=one.incentive_cost,
                why_no_holdout=one.why_no_holdout,
                suppressed=suppressed or (),
            )
    return tuple(found)


def _people(
    moves: Moves, one: Audience, channel: str, more: pd.DataFrame | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Whom an audience has on a channel, with the columns for its files, and their names."""
    people = moves.of(one.name, channel).to_pandas()
    if one.discount == "never":
        people = people.drop(columns="discount")
    if more is not None:
        people = people.merge(more, "left", on="customer_id", validate="one_to_one")
    return people, tuple(name for name in people.columns if name != "customer_id")
