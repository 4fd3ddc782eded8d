"""What a read-out is made of: the sums of an experiment and the counts that its gates look at.

Everything that touches rows is done here, by a few grouped queries for all experiments of one
kind at once; a `readout.readout` is arithmetic on the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.lift import cuped
from cdp_lib.lift.experiment import Experiment
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.sums import Sums, gather, none_of, total

CAPPED = "__capped"
CAP_AT = 0.99  # of the positive values, over all arms, so that the cap knows no arm


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was collected of one experiment.

    experiment, as_of, currency. sums: (arm, *segment values) -> Sums. segments: their names.
    n_drawn: units drawn into each arm, read or not. values: see `gates.values_sane`. capped_at: the
    cap of each capped column. n_waiting, closes_at: units whose window is open, and when the next
    closes. started_at: the first assignment. n_two_arms: units in two arms. n_known: units that
    are customers, None where that does not matter. n_early: units reached before the draw, None
    where not known. n_outcomes_before: outcomes before the draw, None where not known. tracked:
    whether it is known whom a message reached. days: `curve.day_sums` of it, or None.
    """

    experiment: Experiment
    as_of: datetime | None
    currency: str
    sums: Mapping[tuple, Sums]
    segments: tuple[str, ...]
    n_drawn: Mapping[str, int]
    values: pd.DataFrame
    capped_at: Mapping[str, float] = field(default_factory=dict)
    n_waiting: int = 0
    closes_at: datetime | None = None
    started_at: datetime | None = None
    n_two_arms: int = 0
    n_known: int | None = None
    n_early: int | None = None
    n_outcomes_before: int | None = None
    tracked: bool = False
    days: pd.DataFrame | None = None

    def arm(self, name: str) -> Sums:
        """All units of an arm that were read; of none, the sums of no unit."""
        parts = [part for key, part in self.sums.items() if key[0] == name]
        some = next(iter(self.sums.values()), None)
        return total(parts) if parts else none_of(some.columns if some is not None else ())

    def segment(self, name: str) -> dict[object, dict[str, Sums]]:
        """Value of a segment -> arm -> Sums."""
        at, found = 1 + self.segments.index(name), {}
        for key, part in self.sums.items():
            arms = found.setdefault(key[at], {})
            arms[key[0]] = arms[key[0]] + part if key[0] in arms else part
        return found


def capped(table: Table, metrics: Sequence[Metric]) -> tuple[Table, pd.DataFrame]:
    """The table with a capped copy of every column with a tail, and the caps by experiment.

    A column is cut at the 99th percentile of its positive values over all arms of an experiment.
    Out: the table with `<column>__capped`; a row an experiment: experiment_id and the caps.
    """
    names = list(dict.fromkeys(m.column for m in metrics if m.has_tail))
    if not names:
        return table, pd.DataFrame(columns=["experiment_id"])
    above = {
        f"{name}__cap": table[name].cast("float64").quantile(CAP_AT, where=table[name] > 0)
        for name in names
    }
    caps = table.group_by("experiment_id").aggregate(**above).cache()
    joined = table.left_join(caps, "experiment_id")
    columns = {
        f"{name}{CAPPED}": ibis.ifelse(
            joined[name] > joined[f"{name}__cap"],
            joined[f"{name}__cap"],
            joined[name].cast("float64"),
        )
        for name in names
    }
    found = caps.to_pandas().rename(columns=lambda name: name.removesuffix("__cap"))
    return joined.select(*table.columns, **columns), found


def gathered(
    table: Table,
    metrics: Sequence[Metric],
    covariates: Sequence[str],
    segments: Sequence[str],
    exposure: Sequence[tuple[str, str]] = (),
    others: Sequence[str] = (),
) -> dict[str, dict[tuple, Sums]]:
    """experiment -> (arm, *segment values) -> Sums, by one grouped query.

    In: a row per experiment and unit, with the capped columns. exposure: further pairs of
    columns whose products are wanted; others: further columns that only need their mean.
    """
    tails = [f"{m.column}{CAPPED}" for m in metrics if m.has_tail]
    columns = [name for m in metrics for name in m.columns] + [*tails, *covariates, *others]
    columns += [name for pair in exposure for name in pair]
    pairs = [pair for m in metrics for pair in cuped.pairs(m, covariates)] + list(exposure)
    pairs += [(tail, covariate) for tail in tails for covariate in covariates]
    found = gather(table, columns, ["experiment_id", "arm", *segments], pairs)
    by_experiment: dict[str, dict[tuple, Sums]] = {}
    for (name, *key), part in found.items():
        by_experiment.setdefault(name, {})[tuple(key)] = part
    return by_experiment


def values(table: Table, metrics: Iterable[Metric]) -> pd.DataFrame:
    """What the metrics' columns hold, by experiment; one query.

    Out: a row per experiment and column: experiment_id, metric, kind, column, n, n_null,
    n_not_finite, n_negative, n_not_binary, least, most.
    """
    metrics = list(metrics)
    wanted, sums = [], {}
    for metric in metrics:
        for name in metric.columns:
            at, value = len(wanted), table[name]
            wanted.append((metric, name))
            if value.type().is_boolean():
                value = value.cast("int64")
            strange = ibis.ifelse(value.isnull(), False, False)
            if value.type().is_floating():
                strange = (value.isnan() | value.isinf()).fill_null(False)
            fine = ibis.ifelse(strange, ibis.null(value.type()), value)
            sums |= {
                f"null_{at}": (value.isnull() & ~strange).sum(),
                f"strange_{at}": strange.sum(),
                f"negative_{at}": (fine < 0).sum(),
                f"other_{at}": (~fine.isin([0, 1])).sum(),
                f"least_{at}": fine.min().cast("float64"),
                f"most_{at}": fine.max().cast("float64"),
            }
    found = table.group_by("experiment_id").aggregate(n=_.count(), **sums).to_pandas()
    rows = []
    for row in found.itertuples(index=False):
        for at, (metric, name) in enumerate(wanted):
            counts = (getattr(row, f"{what}_{at}") for what in
                      ("null", "strange", "negative", "other", "least", "most"))  # fmt: skip
            plain = (0.0 if pd.isna(count) else float(count) for count in counts)
            rows.append((row.experiment_id, metric.name, metric.kind, name, row.n, *plain))
    columns = (
        "experiment_id metric kind column n n_null n_not_finite n_negative n_not_binary least most"
    )
    return pd.DataFrame(rows, columns=columns.split())


def with_largest(seen: pd.DataFrame, everyone: Sums) -> pd.DataFrame:
    """The `values` of one experiment with `largest_share`: of the sum of squared deviations of a
    column, the part that its furthest unit makes."""
    shares = []
    for row in seen.itertuples():
        mean = everyone.mean_of(row.column)
        apart = max(row.most - mean, mean - row.least)
        squares = everyone.var(row.column) * (everyone.n - 1)
        shares.append(apart**2 / squares if squares > 0 else np.nan)
    return seen.assign(largest_share=shares)
