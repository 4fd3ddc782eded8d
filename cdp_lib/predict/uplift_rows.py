"""The rows that effects are learned from: the units of an experiment, with what was known before.

Two sources: a table of one row per unit (`from_units`), and a shop's own experiments, whose units
get the profile they had at the draw and the outcomes of the window after it (`from_shop`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, TooLittleData, above, one_of
from cdp_lib.customers import profile
from cdp_lib.customers.features import Feature
from cdp_lib.lift import gates, outcomes
from cdp_lib.lift.experiment import Experiment
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.uplift import FOLDS
from cdp_lib.lift.uplift_learners import Sheet
from cdp_lib.predict.columns import Columns, kind_of, numbers, read_columns, texts
from cdp_lib.predict.roles import hash_below, hashed, hashes
from cdp_lib.tables import Shop

LEARNED = ("conversion", "revenue", "margin", "mean")
MOST_DRAWS = 60  # instants of a draw that a profile is worked out for


@dataclass(frozen=True, eq=False)
class UpliftRows:
    """The units of one treated arm and the control, in the order of their ids.

    experiment: its name. arm, control: the two arms. metric: the outcome. treated (bool), outcome
    (float), share (chance of being treated), ids, fold: a value a unit; the units of one person
    have one fold. table: the covariates. columns, features: what they are. gate: of the sizes of
    the arms. set_aside: column -> why it is not used. warnings: sentences.
    """

    experiment: str
    arm: str
    control: str
    metric: Metric
    ids: np.ndarray
    treated: np.ndarray
    outcome: np.ndarray
    share: np.ndarray
    fold: np.ndarray
    table: pd.DataFrame
    columns: Columns
    features: tuple[Feature, ...]
    gate: gates.Gate
    set_aside: dict[str, str]
    warnings: tuple[str, ...]

    def sheet(self, threads: int = 2) -> Sheet:
        """The covariates as learners read them."""
        return sheet(self.columns, self.table, threads)

    def folds(self, seed: int) -> np.ndarray:
        """Another draw of folds."""
        return fold_of(self.ids, seed)


def sheet(columns: Columns, table: pd.DataFrame, threads: int = 2) -> Sheet:
    """Any table with these columns as learners read it."""
    return Sheet(columns.matrix(table), columns.names, tuple(columns.types), threads)


def from_units(
    table: Table | pd.DataFrame,
    experiment: Experiment,
    outcome: str = "",
    arm: str = "",
    covariates: Sequence[str] = (),
    cap: int = 200_000,
    seed: int = 7,
) -> UpliftRows:
    """Rows from a table of one row per unit.

    In: unit_id, arm, the outcome and the covariates. outcome: the name of a metric of the
    experiment ("": its first that can be learned). arm: the treated arm ("": the largest).
    covariates: columns known before the draw (none: the experiment's covariates and segments).
    cap: most units to use, drawn by the hash of their id. Units without an outcome are set aside
    and counted. Raises Refusal for an arm or column that is not there and for ids that repeat,
    TooLittleData where no column can be learned from.
    """
    metric = chosen_metric(experiment, outcome)
    names = list(covariates) or [*experiment.covariates, *experiment.segments]
    names = list(dict.fromkeys(names))
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    for name in ("unit_id", "arm", metric.column, *names):
        one_of("column", name, list(frame.columns))
    told = {column for one in experiment.metrics for column in one.columns}
    if told & set(names):
        raise Refusal(
            "covariates", sorted(told & set(names)), "are outcomes", "name what was known before"
        )
    frame = frame.assign(unit_id=texts(frame["unit_id"]), experiment_id=experiment.experiment_id)
    twice = frame["unit_id"].duplicated(keep=False)
    if twice.any() or frame["unit_id"].isna().any():
        n_bad = int(frame["unit_id"][twice].nunique() + frame["unit_id"].isna().any())
        raise Refusal("unit_id", n_bad, "ids that repeat or are missing", "give a row a unit")
    features = [_plain(name, frame[name]) for name in names]
    return _rows(frame, experiment, metric, arm, features, (), cap, seed)


def from_shop(
    shop: Shop,
    drawn: Table,
    experiment: Experiment,
    outcome: str = "",
    arm: str = "",
    lookback_days: int = 365,
    cap: int = 200_000,
    seed: int = 7,
) -> UpliftRows:
    """Rows from a shop's own experiment, or from all waves of an audience.

    In: drawn, a row per experiment and unit with experiment_id, unit_id (a customer), arm and
    assigned_at, of the experiments that belong together. Covariates are the profile of each unit
    as of its own draw, outcomes those of `lift.outcomes.unit_table`; units whose window is not over
    are left out. Raises as `from_units` does, and Refusal for units that were drawn one by one.
    """
    metric = chosen_metric(experiment, outcome)
    if drawn.assigned_at.nunique().execute() > MOST_DRAWS:
        raise Refusal(
            "experiment", experiment.experiment_id, "its units were drawn one by one, and a "
            f"profile is worked out for at most {MOST_DRAWS} instants", "take one drawn at once",
        )  # fmt: skip
    n = int(drawn.count().execute())
    warnings = []
    if n > cap:
        drawn = drawn.filter(hashed(drawn.unit_id, seed, "sample") < hash_below(cap / n))
        warnings.append(f"About {cap:,} of {n:,} units were drawn by the hash of their id.")
    units = outcomes.unit_table(shop, drawn, experiment.window_days)
    wanted = ["experiment_id", "unit_id", "arm", "assigned_at", "known"]
    base = units.select(*wanted, metric.column).to_pandas()
    parts = []
    for moment in sorted(base["assigned_at"].unique()):
        moment = pd.Timestamp(moment).to_pydatetime()
        among = units.filter(units.assigned_at == moment, units.known == 1)
        among = among.select(customer_id="unit_id").distinct()
        seen = profile.as_of(shop, moment, lookback_days, among).to_pandas()
        own = base[base["assigned_at"] == moment]
        seen = seen.drop(columns=[name for name in base.columns if name in seen])
        parts.append(own.merge(seen, left_on="unit_id", right_on="customer_id", how="inner"))
    if not parts:
        raise TooLittleData(
            "experiment", experiment.experiment_id, "no unit whose outcome window is over",
            "wait until the window closes",
        )  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    if len(frame) < len(base):
        warnings.append(f"{len(base) - len(frame):,} units are no customers the shop knows.")
    features = [one for one in profile.features(shop, lookback_days) if one.name in frame]
    features = [one for one in features if one.name not in base]
    return _rows(frame, experiment, metric, arm, features, warnings, cap, seed)


def chosen_metric(experiment: Experiment, outcome: str = "") -> Metric:
    """The outcome to learn: a metric by its name, or the first that can be learned."""
    known = {one.name: one for one in experiment.metrics if one.kind in LEARNED}
    if outcome:
        one_of("outcome", outcome, list(known))
        return known[outcome]
    better = [one for one in known.values() if one.higher_is == "better"]
    if not better:
        raise Refusal(
            "outcome", experiment.experiment_id, "no metric of which more is better",
            "name one of kind conversion, revenue, margin or mean",
        )  # fmt: skip
    return better[0]


def fold_of(ids: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each person: a pure function of the id."""
    return np.array([int(text, 16) % FOLDS for text in hashes(pd.Series(ids), seed, "fold")])


def _rows(
    frame: pd.DataFrame,
    experiment: Experiment,
    metric: Metric,
    arm: str,
    features: Sequence[Feature],
    warnings: Sequence[str],
    cap: int,
    seed: int,
) -> UpliftRows:
    above("cap", cap, 0)
    frame = frame.assign(arm=texts(frame["arm"]))
    sizes = frame["arm"].value_counts().to_dict()
    control, arms = experiment.among(sizes)
    gate = gates.sample_ratio(sizes, experiment.shares)
    if control is None or not sizes.get(control):
        raise Refusal(
            "control", control, f"no unit in it; the arms are {', '.join(map(str, sizes))}",
            "name the arm to compare with in shop.toml: control = …",
        )  # fmt: skip
    there = [one for one in arms if sizes.get(one)]
    if arm:
        one_of("arm", arm, there)
    if not there:
        raise Refusal("arms", arms, "no unit in any of them", "name a treated arm with units")
    arm = arm or max(sorted(there), key=sizes.__getitem__)
    frame = frame[frame["arm"].isin((arm, control))]
    shares = frame.groupby("experiment_id")["arm"].agg(lambda part: (part == arm).mean())
    frame = frame.assign(outcome__=numbers(frame[metric.column]))
    missing = frame["outcome__"].isna()
    odd = list(warnings)
    if missing.any():
        frame = frame[~missing]
        odd.append(f"{int(missing.sum()):,} units without a {metric.name} were set aside.")
    # What was drawn, where it was written down; else what came out, in each experiment.
    share = frame["experiment_id"].map(shares)
    if experiment.shares and {arm, control} <= set(experiment.shares):
        pair = experiment.shares[arm] + experiment.shares[control]
        share = pd.Series(experiment.shares[arm] / pair, index=frame.index)
    frame = frame.assign(share__=share.astype(float))
    if len(frame) > cap:
        key = hashes(frame["unit_id"], seed, "sample")
        frame = frame.iloc[np.argsort(key, kind="stable")[:cap]]
        odd.append(f"{cap:,} units were drawn by the hash of their id.")
    frame = frame.sort_values(["unit_id", "experiment_id"], ignore_index=True)
    kinds = {one.name: one.kind for one in features}
    columns, aside = read_columns(frame, list(kinds), kinds)
    if not columns.names:
        raise TooLittleData(
            "covariates", f"{len(kinds)} columns", "none can be learned from",
            "name columns that were known before the draw and differ between units",
        )  # fmt: skip
    named = {one.name: one for one in features}
    ids = frame["unit_id"].to_numpy()
    return UpliftRows(
        experiment.audience or experiment.experiment_id, arm, control, metric, ids,
        (frame["arm"] == arm).to_numpy(), frame["outcome__"].to_numpy(float),
        frame["share__"].to_numpy(float), fold_of(ids, seed), frame[list(columns.names)],
        columns, tuple(named[name] for name in columns.names), gate, aside, tuple(odd),
    )  # fmt: skip


def _plain(name: str, values: pd.Series) -> Feature:
    return Feature(
        name, name.replace("_", " "), "number", "units", name, kind_of(values), dated=False
    )
