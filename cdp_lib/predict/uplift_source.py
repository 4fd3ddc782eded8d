"""Which experiment of a shop to learn effects from, and its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, TooLittleData, one_of
from cdp_lib.customers import profile
from cdp_lib.lift.experiment import Experiment, declared
from cdp_lib.predict.uplift_rows import MOST_DRAWS, UpliftRows, from_shop, from_units
from cdp_lib.tables import Shop

HISTORY_DAYS = 28
COLUMNS = ["experiment", "source", "n", "n_arms", "first_at", "usable"]


def experiment_table(shop: Shop, drawn: Table | None = None) -> pd.DataFrame:
    """The experiments that effects may be learned from, the best one first.

    drawn: further assignments, such as those of a ledger: experiment_id, unit_id, arm, assigned_at.
    The waves of an audience ("audience.wave") are one experiment, under the audience's name. Out: a
    row per experiment: experiment, source ("units" or "assignments"), n (units), n_arms, first_at
    (of the draws; null for units), usable (True, or False where it has one arm, was drawn one by
    one or is not over). First come those with four weeks of data before them, then the largest.
    """
    known, rows = declared(shop.experiments), []
    for name, one in known.items():
        if one.table == "units" and shop.has("units"):
            units = shop.units
            found = units.aggregate(n=units.count(), n_arms=units.arm.nunique()).execute().iloc[0]
            rows.append((name, "units", int(found.n), int(found.n_arms), pd.NaT, found.n_arms > 1))
    table = _drawn(shop, drawn)
    if table is not None:
        found = table.group_by("experiment_id").aggregate(
            n=table.count(), n_arms=table.arm.nunique(), n_draws=table.assigned_at.nunique(),
            first_at=table.assigned_at.min(), last_at=table.assigned_at.max(),
        ).to_pandas()  # fmt: skip
        found["experiment"] = [_audience(name, drawn is not None) for name in found.experiment_id]
        for name, part in found.groupby("experiment"):
            days = known[name].window_days if name in known else Experiment(name).window_days
            over = part.first_at.min() + timedelta(days=days) <= shop.as_of
            usable = bool(over and part.n_arms.min() > 1 and part.n_draws.sum() <= MOST_DRAWS)
            n_arms = int(part.n_arms.max())
            rows.append(
                (name, "assignments", int(part.n.sum()), n_arms, part.first_at.min(), usable)
            )
    out = pd.DataFrame(rows, columns=COLUMNS)
    if out.empty:
        return out
    start = _first_row(shop)
    early = out.first_at < (start + timedelta(days=HISTORY_DAYS)) if start is not None else False
    order = out.assign(early=early, unusable=~out.usable.astype(bool))
    order = order.sort_values(["unusable", "early", "n", "experiment"],
                              ascending=[True, True, False, True])  # fmt: skip
    return out.loc[order.index].reset_index(drop=True)


def rows_of(
    shop: Shop,
    experiment: str = "",
    outcome: str = "",
    arm: str = "",
    covariates: Sequence[str] = (),
    drawn: Table | None = None,
    lookback_days: int = 365,
    cap: int = 200_000,
    seed: int = 7,
) -> UpliftRows:
    """The rows of one experiment of a shop; see `uplift_rows`.

    experiment: its name ("": the best of `experiment_table`). drawn: as there. Raises MissingTable
    for a shop without an experiment, Refusal for a name that is not there, TooLittleData where none
    is over.
    """
    table = experiment_table(shop, drawn)
    if table.empty:
        raise MissingTable(
            "shop", shop.name, "no experiment with a control",
            "hold some customers out at random, or declare [experiments.<name>] in shop.toml",
        )  # fmt: skip
    if experiment:
        one_of("experiment", experiment, table.experiment.tolist())
    elif not table.usable[0]:
        raise TooLittleData(
            "experiment", table.experiment[0], "none that was drawn at once, has two arms and is "
            "over", "wait until an outcome window closes",
        )  # fmt: skip
    row = table[table.experiment == experiment].iloc[0] if experiment else table.iloc[0]
    name = row.experiment
    known = declared(shop.experiments).get(name, Experiment(name))
    if row.source == "units":
        return from_units(shop.units, known, outcome, arm, covariates, cap, seed)
    found = _drawn(shop, drawn)
    waves = found.experiment_id.startswith(f"{name}.") if drawn is not None else False
    part = found.filter((found.experiment_id == name) | waves)
    known = replace(known, audience=name)
    return from_shop(shop, part, known, outcome, arm, lookback_days, cap, seed)


def customers_now(shop: Shop, rows: UpliftRows, lookback_days: int = 365) -> Table | None:
    """Everybody known at the end of the data, with the covariates of `rows`, to choose from.

    None where the rows came as a table of units: nothing is known of anybody else there.
    """
    if all(feature.source == "units" for feature in rows.features):
        return None
    return profile.as_of(shop, shop.as_of, lookback_days)


def _drawn(shop: Shop, more: Table | None) -> Table | None:
    """The shop's assignments and further ones, which lie on the same engine."""
    names = ["experiment_id", "unit_id", "arm", "assigned_at"]
    parts: Iterable[Table] = [shop.assignments] if shop.has("assignments") else []
    parts = [*parts, *([more] if more is not None else [])]
    parts = [one.select(*names[:3], assigned_at=one.assigned_at.cast("timestamp")) for one in parts]
    return None if not parts else (parts[0] if len(parts) == 1 else parts[0].union(parts[1]))


def _audience(name: str, waves: bool) -> str:
    """The audience of a wave's id, such as "abandoned_carts.2026-W48"; else the id as it is."""
    stem, dot, wave = name.rpartition(".")
    return stem if waves and dot and len(wave) == 8 and wave[4:6] == "-W" else name


def _first_row(shop: Shop):
    found = []
    for table, column in (("events", "occurred_at"), ("orders", "ordered_at")):
        if shop.has(table):
            found.append(shop.table(table)[column].min().execute())
    found = [moment for moment in found if moment is not None and moment == moment]
    return min(found) if found else None
