"""The loop closed: every experiment of a shop, from wherever it is written down, read out.

The ledger knows the audiences that left and who was held out of them; the shop knows what they did
next. The read-out knows neither, so the two are put together here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

import ibis
import pandas as pd

from cdp_lib.activate.ledger import Ledger, ledger_of
from cdp_lib.checks import MissingTable
from cdp_lib.lift import assignment, declared_units, shop_units, summaries
from cdp_lib.lift.experiment import Experiment, declared
from cdp_lib.lift.metrics import SHOP
from cdp_lib.lift.readout import Readout, readout
from cdp_lib.report import uplift_ledger
from cdp_lib.tables import Shop

QUARTER_DAYS = 91.0


@dataclass(frozen=True, eq=False)
class Loop:
    """All experiments of a shop, read out as of its end.

    shop. readouts: oldest first; those without a time come last. whole: the global holdout against
    everybody else, or None where the shop has none.
    """

    shop: Shop
    readouts: tuple[Readout, ...]
    whole: Readout | None = None

    def one(self, experiment_id: str) -> Readout:
        """The read-out of that name. Raises KeyError."""
        return next(r for r in self.readouts if r.experiment.experiment_id == experiment_id)


def read(shop: Shop, ledger: Ledger | None = None, since_days: float | None = None) -> Loop:
    """Read out every experiment: declared ones, the shop's assignments, the ledger's audiences.

    ledger: None takes the one beside shop.toml. since_days: leave out what was drawn longer ago
    than that. Raises Refusal where one is declared that cannot be read, and MissingTable where
    the shop has no experiment at all.
    """
    ledger = ledger_of(shop) if ledger is None else ledger
    known = declared(shop.experiments)
    found = [readout(declared_units.collect(shop, e)) for e in known.values() if e.table == "units"]
    for one in known.values():
        if one.table == "summaries":
            found += summaries.readouts(shop, one)
    rows = ledger.experiments()
    if shop.has("orders"):
        found += _own(shop, known, since_days)
        found += audiences(shop, ledger, since_days)
    if not found:
        raise MissingTable(
            "shop",
            shop.name,
            "no experiment: no table of assignments, no audience in the ledger, none declared",
            "export an audience with a holdout, or add [experiments.<name>] to shop.toml",
        )
    found.sort(key=lambda r: (r.started_at is None, r.started_at or shop.as_of,
                              r.experiment.experiment_id))  # fmt: skip
    return Loop(shop, tuple(found), global_holdout(shop, rows))


def from_ledger(rows: pd.DataFrame, known: dict[str, Experiment]) -> list[Experiment]:
    """The experiments of a ledger, with the costs that shop.toml may add under an audience's name.

    In: `Ledger.experiments()`; the global holdout is left out.
    """
    found = []
    metrics = {metric.name: metric for metric in SHOP}
    for row in rows.itertuples():
        if row.experiment_id == assignment.GLOBAL_HOLDOUT:
            continue
        more = known.get(row.experiment_id) or known.get(row.audience)
        shares = json.loads(row.arms)
        lead = metrics.get(row.metric, SHOP[0])
        cost, incentive = float(row.contact_cost or 0), float(row.incentive_cost or 0)
        paid = cost > 0 or incentive > 0
        found.append(
            Experiment(
                experiment_id=row.experiment_id,
                control=_text(row.control) or None,
                metrics=(lead, *(metric for metric in SHOP if metric != lead)),
                shares=shares,
                window_days=float(row.window_days),
                audience=row.audience,
                wave=row.wave,
                contact_cost=cost if paid else more.contact_cost if more else None,
                incentive=incentive if paid else more.incentive if more else None,
                why_no_holdout=_text(row.why_no_holdout),
                claimed=more.claimed if more else None,
            )
        )
    return found


def global_holdout(shop: Shop, rows: pd.DataFrame) -> Readout | None:
    """Everybody whom campaigns may reach against the global holdout, since the ledger began.

    In: `Ledger.experiments()`. Who is in it is told from its salt, so no assignment is stored; the
    units are the customers known when it began. None where the shop has none, or it is too young.
    """
    mine = rows[rows.experiment_id == assignment.GLOBAL_HOLDOUT]
    if not len(mine) or not shop.has("orders") or not shop.has("customers"):
        return None
    row = mine.iloc[0]
    start, shares = pd.Timestamp(row.assigned_at).to_pydatetime(), json.loads(row.arms)
    days = (shop.as_of - start) // timedelta(days=1)
    if days < 1:
        return None
    people = shop.at(start).customers.select(unit_id="customer_id").distinct()
    drawn = assignment.drawn(people, "unit_id", row.salt, shares).mutate(
        experiment_id=ibis.literal(assignment.GLOBAL_HOLDOUT), assigned_at=ibis.literal(start)
    )
    one = Experiment(
        assignment.GLOBAL_HOLDOUT, control=assignment.GLOBAL_HOLDOUT, shares=shares,
        window_days=float(days), planned_days=QUARTER_DAYS,
    )  # fmt: skip
    return readout(shop_units.collect(shop, [one], drawn)[0])


def _own(shop: Shop, known: dict[str, Experiment], since_days: float | None) -> list[Readout]:
    wanted = shop_units.own(shop, {n: e for n, e in known.items() if e.table == "assignments"})
    drawn = shop.find("assignments")
    if drawn is None:
        return []
    if since_days is not None:
        start = shop.as_of - timedelta(days=since_days)
        first = drawn.group_by("experiment_id").aggregate(at=drawn.assigned_at.min()).to_pandas()
        late = set(first.experiment_id[first["at"] >= start])
        wanted = {name: one for name, one in wanted.items() if name in late}
    return [readout(one) for one in shop_units.collect(shop, wanted.values(), drawn)]


def audiences(
    shop: Shop, ledger: Ledger | None = None, since_days: float | None = None
) -> list[Readout]:
    """Read out the audiences of the ledger alone; as `read`, and none is an answer."""
    ledger = ledger_of(shop) if ledger is None else ledger
    rows, known = ledger.experiments(), declared(shop.experiments)
    rows = rows[rows.assigned_at < pd.Timestamp(shop.as_of) + pd.Timedelta(days=1)]
    if since_days is not None:
        rows = rows[rows.assigned_at >= pd.Timestamp(shop.as_of) - pd.Timedelta(days=since_days)]
    wanted = from_ledger(rows, known)
    if not wanted:
        return []
    drawn, sent = uplift_ledger.drawn(shop, ledger), uplift_ledger.delivered(shop, ledger)
    return [readout(one) for one in shop_units.collect(shop, wanted, drawn, sent)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
