"""An audience that leaves the workbench, and the part of it that is held out to measure it.

Every week an audience goes out it is a *wave*: a draw of its own, named by the ISO week in which
it leaves. Who may be in it is settled before the draw: consent for the channel, suppressions, the
global holdout, and no other open experiment of its layer. Those who remain are drawn; the treated
stand in the files, the held out in the ledger alone. docs/audiences.md says it at length.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.activate import audience_files as files
from cdp_lib.activate.audience_draw import (
    Asked,
    check_global,
    draw,
    people_of,
    treated_again,
)
from cdp_lib.activate.eligible import HASHES, suppressed_ids
from cdp_lib.activate.exports import Export, export_of_draw, export_of_row
from cdp_lib.activate.ledger import Experiment, Ledger, ledger_of
from cdp_lib.activate.lists import check_name
from cdp_lib.checks import Refusal, above, at_least, one_of
from cdp_lib.lift.assignment import GLOBAL_HOLDOUT, HOLDOUT, TREATED, global_salt, global_shares
from cdp_lib.lift.history import METRICS
from cdp_lib.tables import Shop

FOLDER = "audiences"
TAKEN = {"allowed", "arm", *HASHES}  # columns that must not come from the caller's table


class AlreadySent(Refusal):
    """The audience has left this week already, with other customers or in another way."""


def export(
    shop: Shop,
    customers: Table | pd.DataFrame,
    name: str,
    channel: str,
    holdout: float = 0.1,
    columns: Collection[str] = (),
    *,
    window_days: float = 7,
    metric: str = "revenue",
    stratify_by: str = "",
    suppressed: Collection[str] | str | Path = (),
    layer: str = "",
    layer_shares: Mapping[str, float] | None = None,
    contact_cost: float = 0.0,
    incentive_cost: float = 0.0,
    why_no_holdout: str = "",
    folder: str | Path | None = None,
    send: bool = True,
    if_sent: str = "refuse",
) -> Export:
    """Send an audience with its holdout: files of the treated, and the ledger, or neither.

    customers: a table with customer_id; rows without one are nobody's, and several rows of a
    customer are one where the columns asked for agree. columns: personal columns that go into the
    files, from `customers` or else from the shop's. holdout: the share left alone; 0 needs
    `why_no_holdout`. stratify_by: a column whose every value has its share held out. suppressed:
    ids, or a file of them. layer: experiments of one layer share no customer while open; by
    default the audience's name, so that a wave leaves out whom the one before still measures.
    layer_shares: ranges of the layer by audience. folder: by default `audiences/<wave>` beside
    shop.toml. send=False: say what would be sent, write nothing.

    The same call with the same shop is the same export: it adds nothing, and restores files that
    are gone. Another call in the same week raises AlreadySent; with if_sent="keep" it returns what
    was sent. Raises Refusal for what cannot be used, before anything is written; MissingTable and
    TooLittleData where the shop cannot tell who gave consent.
    """
    _check(name, channel, holdout, window_days, metric, why_no_holdout, if_sent)
    at_least("contact_cost", contact_cost, 0)
    at_least("incentive_cost", incentive_cost, 0)
    for column in {*columns, stratify_by} & TAKEN:
        fix = "hashes stand in the files anyway; give any other column another name"
        raise Refusal("columns", column, "is a name of the export's own", fix)
    ledger, wave = ledger_of(shop), week_of(shop.as_of)
    holdout = float(holdout)
    home = ledger.path.parent
    place = Path(folder).absolute() if folder is not None else home / FOLDER / wave
    experiment = Experiment(
        experiment_id=f"{name}.{wave}",
        audience=name,
        wave=wave,
        channel=channel,
        salt=f"{shop.name}:{name}.{wave}",
        arms={TREATED: float(1 - Fraction(repr(holdout))), HOLDOUT: holdout}
        if holdout
        else {TREATED: 1.0},
        control=HOLDOUT if holdout else None,
        assigned_at=shop.as_of,
        window_days=float(window_days),
        metric=metric,
        layer=layer or name,
        stratified_by=stratify_by or None,
        contact_cost=float(contact_cost),
        incentive_cost=float(incentive_cost),
        why_no_holdout=why_no_holdout.strip() or None,
        global_share=shop.settings.global_holdout,
        folder=os.path.relpath(place, home),
    )
    asked = Asked(
        experiment,
        people_of(customers, [*columns, stratify_by]),
        tuple(columns),
        frozenset(suppressed_ids(suppressed)),
        dict(layer_shares or {}),
    )
    if not send:
        return _planned(shop, ledger, asked, if_sent)
    with ledger.locked():
        files.settle(ledger, [place, *(home / FOLDER).glob("*")])
        return _sent(shop, ledger, asked, if_sent, place)


def week_of(as_of: datetime) -> str:
    """The ISO week in which an audience leaves: that of the first instant after the data.

    >>> week_of(datetime(2026, 11, 23))
    '2026-W48'
    """
    year, week, _ = as_of.isocalendar()
    return f"{year}-W{week:02d}"


def _planned(shop: Shop, ledger: Ledger, asked: Asked, if_sent: str) -> Export:
    before = _before(shop, ledger, asked, if_sent)
    if before is not None:
        return export_of_row(shop, ledger, before)
    return export_of_draw(shop, asked.experiment, draw(shop, ledger, asked), "planned")


def _sent(shop: Shop, ledger: Ledger, asked: Asked, if_sent: str, place: Path) -> Export:
    before = _before(shop, ledger, asked, if_sent)
    if before is not None:
        if if_sent == "refuse":
            _restore(shop, ledger, asked, before, place)
        return export_of_row(shop, ledger, before)
    one, drawn = asked.experiment, draw(shop, ledger, asked)
    if drawn.units.empty:
        return export_of_draw(shop, one, drawn, "planned")
    if one.global_share and GLOBAL_HOLDOUT not in set(ledger.experiments().experiment_id):
        ledger.append(_global(one, shop.name), drawn.units.head(0), [])
    written = files.stage(place, one.audience, drawn.treated)
    entry = replace(one, counts=drawn.counts, files=written, request=asked.request())
    try:
        ledger.append(entry, drawn.units, drawn.treated.customer_id.tolist())
    except Exception:
        files.discard(place, written)
        raise
    files.release(place, written)
    return export_of_draw(shop, one, drawn, "sent", tuple(place / file for file in written))


def _before(shop: Shop, ledger: Ledger, asked: Asked, if_sent: str) -> pd.Series | None:
    """The row of the ledger where this wave has left already; refuses what does not fit it."""
    rows, one = ledger.experiments(), asked.experiment
    check_global(shop, rows)
    later = rows[(rows.audience == one.audience) & (rows.assigned_at > one.assigned_at)]
    same = rows[rows.experiment_id == one.experiment_id]
    if same.empty and not later.empty:
        raise Refusal(
            "as_of", str(one.assigned_at),
            f"{one.audience} has left since, in {later.wave.iloc[-1]}",
            "a wave leaves in its own week; use send=False to look back",
        )  # fmt: skip
    if same.empty or if_sent == "keep" or same.request.iloc[0] == asked.request():
        return None if same.empty else same.iloc[0]
    raise AlreadySent(
        "name", one.audience,
        f"has left in {one.wave} already, with other customers or in another way",
        "wait for the next week, choose another name, or use if_sent='keep' to see what was sent",
    )  # fmt: skip


def _restore(shop: Shop, ledger: Ledger, asked: Asked, before: pd.Series, place: Path) -> None:
    """Write the files of a wave again where they are gone."""
    recorded = json.loads(before.files)
    if all((place / file).exists() for file in recorded):
        return
    sent = ledger.deliveries(before.experiment_id).unit_id
    written = files.stage(place, asked.experiment.audience, treated_again(shop, asked, sent))
    csv = f"{asked.experiment.audience}.csv"
    if written[csv] != recorded[csv]:
        files.discard(place, written)
        raise Refusal(
            "files", csv, "is gone, and the shop's data no longer give the same one",
            "take it from a copy; who was sent what stands in the ledger",
        )  # fmt: skip
    files.release(place, written)


def _global(one: Experiment, shop_salt: str) -> Experiment:
    return Experiment(
        experiment_id=GLOBAL_HOLDOUT,
        audience=GLOBAL_HOLDOUT,
        wave=one.wave,
        channel="",
        salt=global_salt(shop_salt),
        arms=global_shares(one.global_share),
        control=GLOBAL_HOLDOUT,
        assigned_at=one.assigned_at,
        window_days=0.0,
        metric=one.metric,
        layer=GLOBAL_HOLDOUT,
        global_share=one.global_share,
    )


def _check(name, channel, holdout, window_days, metric, why_no_holdout, if_sent) -> None:
    check_name(name)
    check_name(channel, "channel")
    one_of("if_sent", if_sent, ("refuse", "keep"))
    one_of("metric", metric, METRICS)
    above("window_days", window_days, 0)
    if not 0 <= holdout < 1:
        raise Refusal("holdout", holdout, "must lie in [0, 1)", "use 0.1 to hold out a tenth")
    if name == GLOBAL_HOLDOUT:
        raise Refusal("name", name, "means the shop's global holdout", "choose another name")
    if not holdout and not why_no_holdout.strip():
        raise Refusal(
            "holdout", holdout, "nobody held out, so nobody will know what it earned",
            "hold out a tenth, or say why not with why_no_holdout=…",
        )  # fmt: skip
