"""Experiments on a shop's own customers: their assignments, and what became of the units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, one_of
from cdp_lib.lift.curve import day_sums
from cdp_lib.lift.evidence import Evidence, capped, gathered, values, with_largest
from cdp_lib.lift.experiment import Experiment
from cdp_lib.lift.metrics import MONEY, SHOP, Metric
from cdp_lib.lift.outcomes import COVARIATES, KEY, unit_table
from cdp_lib.lift.sums import total
from cdp_lib.tables import Shop

SEGMENTS = ("customer",)
_EXPOSURE = ("exposed", "attributed", "n_orders")


def own(shop: Shop, known: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The experiments of the shop's table `assignments`, with what shop.toml adds, by name."""
    if not shop.has("assignments"):
        return {}
    ids = shop.assignments.select("experiment_id").distinct().to_pandas()["experiment_id"]
    return {name: known.get(name, Experiment(name)) for name in sorted(ids)}


def judged(shop: Shop, lead: str | None = None) -> tuple[Metric, ...]:
    """The metrics that the shop's tables can tell; `lead` is put first, else revenue leads.

    Raises Refusal for a lead that is not among them.
    """
    without = set()
    if "cost" not in shop.given("orders"):
        without.add("margin")
    if not shop.has("events"):
        without |= {"app_removals", "support_contacts"}
        without |= set() if shop.has("messages") else {"opt_outs"}
    if not shop.has("order_lines"):
        without.add("returned_pieces")
    metrics = [metric for metric in SHOP if metric.name not in without]
    if lead is not None:
        one_of("metric", lead, [metric.name for metric in metrics])
        metrics.sort(key=lambda metric: metric.name != lead)
    return tuple(metrics)


def collect(
    shop: Shop,
    experiments: Iterable[Experiment],
    drawn: Table | None = None,
    deliveries: Table | None = None,
) -> list[Evidence]:
    """What the units of these experiments did, in the order given; a few queries a window length.

    drawn: a row per experiment and unit with experiment_id, unit_id, arm and assigned_at, on the
    shop's engine; None: the shop's own assignments. deliveries: whom the experiments reached,
    with experiment_id, unit_id, delivered_at, beside the shop's messages. The metrics are those
    of `judged`, in the order that each experiment names first. Raises MissingTable without orders.
    """
    shop.require("orders")
    table = shop.assignments if drawn is None else drawn
    in_two = _in_two(shop.sound("assignments") if drawn is None else drawn)
    wanted = list(experiments)
    found: dict[str, Evidence] = {}
    for days in sorted({one.window_days for one in wanted}):
        part = [one for one in wanted if one.window_days == days]
        names = [one.experiment_id for one in part]
        rows = table.filter(table.experiment_id.isin(names))
        for one in _of_length(shop, part, rows, days, deliveries, in_two):
            found[one.experiment.experiment_id] = one
    return [found[one.experiment_id] for one in wanted]


def _of_length(shop, experiments, drawn, days, deliveries, in_two) -> list[Evidence]:
    arms = _drawn_arms(shop, drawn, days)
    metrics = judged(shop)
    units = unit_table(shop, drawn, days, deliveries=deliveries)
    covariates = COVARIATES
    seen = values(units, metrics)
    table, caps = capped(units, metrics)
    exposure = [(m.column, "exposed") for m in metrics if m.kind in MONEY]
    exposure += [(name, "exposed") for name in covariates]
    sums = gathered(table, metrics, covariates, SEGMENTS, exposure, _EXPOSURE)
    counts = units.group_by("experiment_id").aggregate(
        n_known=_.known.sum(), n_early=_.early.sum(), n=_.count()
    ).to_pandas().set_index("experiment_id")  # fmt: skip
    by_day = day_sums(shop, units, days)
    caps = caps.set_index("experiment_id")
    result = []
    for one in experiments:
        name = one.experiment_id
        mine = arms[arms.experiment_id == name]
        own_sums, n_drawn = sums.get(name, {}), mine.set_index("arm").n.astype(int).to_dict()
        values_here = seen[seen.experiment_id == name]
        count = counts.loc[name] if name in counts.index else None
        n_read = int(count.n) if count is not None else 0
        # Of those whose window is open nothing is known yet: assume them to be like the others.
        known = None if count is None else int(count.n_known) + sum(n_drawn.values()) - n_read
        first = mine.first_at.min() if len(mine) else None
        waiting = int(mine.n_waiting.sum()) if len(mine) else 0
        opens = mine.waits_since.min() if waiting else None
        result.append(
            Evidence(
                experiment=_with_metrics(one, metrics, covariates),
                as_of=shop.as_of,
                currency=shop.currency,
                sums=own_sums,
                segments=SEGMENTS,
                n_drawn=n_drawn,
                values=with_largest(values_here, total(own_sums.values()))
                if own_sums
                else values_here.assign(largest_share=0.0),
                capped_at=caps.loc[name].to_dict() if name in caps.index else {},
                n_waiting=waiting,
                closes_at=None if opens is None else _instant(opens) + timedelta(days=days),
                started_at=None if first is None else _instant(first),
                n_two_arms=int(in_two.get(name, 0)),
                n_known=known,
                n_early=int(count.n_early) if count is not None else None,
                tracked=shop.has("messages") or deliveries is not None,
                days=by_day[by_day.experiment_id == name],
            )
        )
    return result


def _with_metrics(
    one: Experiment, metrics: tuple[Metric, ...], covariates: tuple[str, ...]
) -> Experiment:
    """The experiment with the shop's metrics, its own first one leading."""
    lead = one.metrics[0].name
    names = {metric.name for metric in metrics}
    if lead not in names:
        raise Refusal(
            f"experiments.{one.experiment_id}.metric",
            lead,
            "the shop's tables do not tell it",
            f"choose one of {', '.join(sorted(names))}",
        )
    ordered = sorted(metrics, key=lambda metric: metric.name != lead)
    return replace(one, metrics=tuple(ordered), covariates=covariates)


def _drawn_arms(shop: Shop, drawn: Table, days: float) -> pd.DataFrame:
    """A row per experiment and arm: n, n_waiting, first_at, waits_since."""
    at = drawn.assigned_at.cast("timestamp")
    end = at + ibis.interval(seconds=round(days * 86_400))
    rows = drawn.mutate(at__=at, open__=end > ibis.literal(shop.as_of))
    found = rows.group_by("experiment_id", "arm").aggregate(
        n=_.count(),
        n_waiting=rows.open__.cast("int64").sum(),
        first_at=rows.at__.min(),
        waits_since=rows.at__.min(where=rows.open__),
    )
    return found.order_by("experiment_id", "arm").to_pandas()


def _in_two(rows: Table) -> dict[str, int]:
    """Experiment -> units in two arms of it or more."""
    arms = rows.group_by(KEY).aggregate(k=rows.arm.nunique())
    arms = arms.filter(arms.k > 1).group_by("experiment_id").aggregate(n=_.count()).to_pandas()
    return dict(zip(arms.experiment_id, arms.n, strict=True))


def _instant(value) -> datetime:
    return pd.Timestamp(value).to_pydatetime()
