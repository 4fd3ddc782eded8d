"""Experiments that come as one row per unit: the contract's table `units`."""

from __future__ import annotations

import ibis
from ibis.expr.types import Table

from cdp_lib.checks import Refusal
from cdp_lib.lift.evidence import Evidence, capped, gathered, values, with_largest
from cdp_lib.lift.experiment import Experiment, with_shares
from cdp_lib.lift.sums import total
from cdp_lib.tables import Shop

MOST_LEVELS = 50


def collect(shop: Shop, experiment: Experiment) -> Evidence:
    """What the units of an experiment did, as shop.toml declares it.

    Where the shares are not written down they are taken to be equal. A unit on two rows keeps the
    least of them. Raises Refusal for a column that is not there or is no number, and MissingTable.
    """
    place = f"experiments.{experiment.experiment_id}"
    shop.require("units")
    units = shop.units
    named = {name: m.name for m in experiment.metrics for name in m.columns}
    for name in (*named, *experiment.covariates):
        _number(units, name, f"{place}.metrics" if name in named else f"{place}.covariates")
    for name in experiment.segments:
        _there(units, name, f"{place}.segments")
    metrics, covariates = experiment.metrics, experiment.covariates
    table = units.mutate(experiment_id=ibis.literal(experiment.experiment_id))
    # The largest group says whether a column is one to split by.
    for name in experiment.segments:
        levels = int(table[name].nunique().execute())
        if levels > MOST_LEVELS:
            fix = f"name a column of at most {MOST_LEVELS} values"
            raise Refusal(f"{place}.segments", name, f"has {levels:,} values", fix)
        table = table.mutate(**{name: table[name].cast("string").fill_null("unknown")})
    seen = values(table, metrics)
    table, caps = capped(table, metrics)
    found = gathered(table, metrics, covariates, experiment.segments)
    sums = found.get(experiment.experiment_id, {})
    n_drawn: dict[str, int] = {}
    for (arm, *_rest), part in sums.items():
        n_drawn[arm] = n_drawn.get(arm, 0) + part.n
    experiment = with_shares(experiment, {*n_drawn, *experiment.arms})
    return Evidence(
        experiment=experiment,
        as_of=None,
        currency=shop.currency,
        sums=sums,
        segments=experiment.segments,
        n_drawn=n_drawn,
        values=with_largest(seen, total(sums.values())) if sums else seen.assign(largest_share=0.0),
        capped_at=caps.iloc[0].drop("experiment_id").to_dict() if len(caps) else {},
        n_two_arms=_in_two(shop),
        n_outcomes_before=_before(units, experiment, place),
    )


def _there(units: Table, name: str, place: str) -> None:
    if name not in units.columns:
        have = ", ".join(units.columns)
        raise Refusal(place, name, "the table units has no such column", f"choose from {have}")


def _number(units: Table, name: str, place: str) -> None:
    _there(units, name, place)
    kind = units[name].type()
    if not (kind.is_numeric() or kind.is_boolean()):
        raise Refusal(place, name, f"is {kind}, not a number", "name a column of numbers")


def _in_two(shop: Shop) -> int:
    """Units that stand in two arms, among rows that a key had to choose from."""
    if shop.repeats("units") is None:
        return 0
    arms = shop.sound("units").group_by("unit_id").aggregate(k=ibis._.arm.nunique())
    return int(arms.filter(arms.k > 1).count().execute())


def _before(units: Table, experiment: Experiment, place: str) -> int | None:
    if experiment.assigned_at is None or experiment.outcome_at is None:
        return None
    for name in (experiment.assigned_at, experiment.outcome_at):
        _there(units, name, place)
    drawn = units[experiment.assigned_at].cast("timestamp")
    came = units[experiment.outcome_at].cast("timestamp")
    return int((came < drawn).sum().fill_null(0).execute())
