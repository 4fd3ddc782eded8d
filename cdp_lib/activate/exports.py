"""What an export was: the numbers of one wave of an audience, as they were drawn or recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import nan
from pathlib import Path

import pandas as pd

from cdp_lib.activate.audience_draw import Drawn
from cdp_lib.activate.audience_files import folder_of
from cdp_lib.activate.detectable import detectable
from cdp_lib.activate.eligible import HASHES
from cdp_lib.activate.ledger import Experiment, Ledger
from cdp_lib.tables import Shop


@dataclass(frozen=True)
class Export:
    """A wave of an audience: who went out, who was held out, and what that will show.

    - `experiment_id`, `name`, `wave`, `channel`: "<name>.<wave>" and its parts
    - `status`: "sent" (by this call), "sent before" (nothing new was drawn) or "planned" (no
      file and no row of the ledger was written)
    - `assigned_at`, `window_days`, `closes_at`: the outcome counts in [assigned_at, closes_at)
    - `n_customers`: different customers asked for; they are all in one of the next six
    - `n_no_consent`, `n_suppressed`, `n_global`, `n_elsewhere`: left out before the draw, each for
      the first reason that holds: no consent for the channel, suppressed, in the global holdout,
      in another open experiment of the layer (or of a range that another one owns)
    - `n_treated`, `n_holdout`: drawn
    - `n_without_contact`: treated without a usable e-mail or phone hash; NaN for "sent before"
    - `metric`, `mde`, `usual`: the effect per customer that the wave finds with 80 % power at
      alpha 0.05, and what a customer brings in such a window otherwise; NaN where unknown
    - `why_no_holdout`: the reason given where nobody is held out: it cannot be measured
    - `paths`: the CSV and the Parquet file of the treated; none where it is planned
    """

    experiment_id: str
    name: str
    wave: str
    channel: str
    status: str
    assigned_at: datetime
    window_days: float
    n_customers: int
    n_no_consent: int
    n_suppressed: int
    n_global: int
    n_elsewhere: int
    n_treated: int
    n_holdout: int
    n_without_contact: float
    metric: str
    mde: float
    usual: float
    why_no_holdout: str = ""
    paths: tuple[Path, ...] = ()

    @property
    def closes_at(self) -> datetime:
        """The end of the outcome window: from then on it can be read out."""
        return self.assigned_at + timedelta(days=self.window_days)


def export_of_row(shop: Shop, ledger: Ledger, row: pd.Series) -> Export:
    """What a wave that has left was, from its row of the ledger."""
    units = ledger.assignments(row.experiment_id)
    n_holdout = int((units.arm == row.control).sum())
    place = folder_of(ledger, row.folder)
    found = detectable(
        shop, units.unit_id, len(units) - n_holdout, n_holdout, row.metric, row.window_days
    )
    return Export(
        *(row[name] for name in ("experiment_id", "audience", "wave", "channel")),
        status="sent before",
        assigned_at=row.assigned_at.to_pydatetime(),
        window_days=float(row.window_days),
        **json.loads(row.counts),
        n_treated=len(units) - n_holdout,
        n_holdout=n_holdout,
        n_without_contact=nan,
        metric=row.metric,
        mde=found[0],
        usual=found[1],
        why_no_holdout=row.why_no_holdout or "",
        paths=tuple(place / file for file in json.loads(row.files)),
    )


def export_of_draw(shop: Shop, one: Experiment, drawn: Drawn, status: str, paths=()) -> Export:
    """What a draw is, with the files that were written of it."""
    n_treated, n = len(drawn.treated), len(drawn.units)
    hashes = [name for name in HASHES if name in drawn.treated]
    mde, usual = detectable(
        shop, drawn.units.unit_id, n_treated, n - n_treated, one.metric, one.window_days
    )
    return Export(
        *(one.experiment_id, one.audience, one.wave, one.channel),
        status=status,
        assigned_at=one.assigned_at,
        window_days=one.window_days,
        **drawn.counts,
        n_treated=n_treated,
        n_holdout=n - n_treated,
        n_without_contact=int(drawn.treated[hashes].isna().all(axis=1).sum()),
        metric=one.metric,
        mde=mde,
        usual=usual,
        why_no_holdout=one.why_no_holdout or "",
        paths=paths,
    )
