"""What an experiment earned, with its intervals, and what to do about it.

`readout` is arithmetic on an `evidence.Evidence`; nothing here touches rows.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from cdp_lib.lift import gates, money
from cdp_lib.lift.curve import curve
from cdp_lib.lift.effect import effect
from cdp_lib.lift.evidence import CAPPED, Evidence
from cdp_lib.lift.experiment import Experiment
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.multiplicity import benjamini_hochberg, holm
from cdp_lib.lift.segments import shrunk
from cdp_lib.lift.sequential import always_valid, width
from cdp_lib.lift.verdict import Verdict, verdict
from cdp_lib.normal import FOUND, Z

MOST_RARE = 5  # expected events in the smaller arm below which a normal interval is not trusted


@dataclass(frozen=True, eq=False)
class Readout:
    """One experiment, read out by intention to treat.

    - experiment, currency; control, arms: as they were found; n: units read of each arm
    - started_at: the first assignment, None where nothing says when
    - checks: the gates; `gate_table()` shows them; srm_pvalue: of the sample ratio
    - effects: a row per arm and metric, the leading metric first: arm, metric, kind, unit (as
      wording writes it), higher_is, n (both arms), n_control, n_treated, mean_control,
      mean_treated, abs_lift, low, high (95 %, one look), rel_lift, rel_low, rel_high, se, pvalue,
      pvalue_holm, pvalue_bh, always_low, always_high (however often one looks), mde, cuped_saved,
      raw_lift, raw_low, raw_high (without CUPED), capped_at, capped_lift, capped_low, capped_high
      (winsorised), guardrail, verdict (its text)
    - segments: a row per arm, metric, segment and value: those names, n, abs_lift, low, high, se,
      pvalue_bh, shrunk_lift, shrunk_low, shrunk_high
    - differences: a row per arm, metric and segment: pvalue of no difference, sentence
    - money: see `money.money_table`; empty without a metric of money
    - days: see `curve.curve`; empty where no days are known
    - verdicts: arm -> Verdict on the leading metric
    """

    experiment: Experiment
    currency: str
    control: str | None
    arms: tuple[str, ...]
    n: dict[str, int]
    checks: tuple[gates.Gate, ...]
    effects: pd.DataFrame
    segments: pd.DataFrame
    differences: pd.DataFrame
    money: pd.DataFrame
    days: pd.DataFrame
    verdicts: dict[str, Verdict]
    started_at: datetime | None = None

    @property
    def source(self) -> str:
        """Where its units lie: "units", "assignments" or "summaries"."""
        return self.experiment.table

    @property
    def srm_pvalue(self) -> float:
        """The p-value of the sample-ratio test; NaN where the shares are not known."""
        return next((g.pvalue for g in self.checks if g.name == "sample ratio"), float("nan"))

    def gate_table(self) -> pd.DataFrame:
        """The gates: gate, status, detail, pvalue."""
        return gates.table(self.checks)


def readout(found: Evidence, alpha: float = 0.05, segment_metrics: int = 3) -> Readout:
    """Read out one experiment.

    alpha: one minus the coverage of the intervals. segment_metrics: how many metrics, the leading
    first, are looked at by segment.
    """
    one = found.experiment
    control, arms = one.among(found.n_drawn)
    sums = {arm: found.arm(arm) for arm in {*found.n_drawn, *arms, *([control] if control else [])}}
    checks = _checks(found, control, arms, sums)
    gate = gates.failed(checks)
    rows = []
    if control is not None and found.sums:
        everyone = found.arm(control)
        for arm in arms:
            everyone = everyone + sums[arm]
        for metric in one.metrics:
            for arm in arms:
                rows.append(_row(found, metric, arm, sums[control], sums[arm], everyone, alpha))
    effects = _adjusted(pd.DataFrame(rows, columns=_COLUMNS), one)
    n = {arm: part.n for arm, part in sums.items()}
    spent = money.money_table(found, control, arms, effects) if rows else money.EMPTY
    wait = _wait_days(found) if gate is not None and gate.name == "window closed" else None
    verdicts = {}
    texts = []
    for row in effects.itertuples():
        harm = _harm(found, effects, row.arm) if row.metric == one.metrics[0].name else ""
        said = _verdict(found, row, gate, wait, harm, _worth(spent, one, row))
        texts.append(said.text)
        if row.metric == one.metrics[0].name:
            verdicts[row.arm] = said
    effects["verdict"] = texts
    for arm in arms:
        if arm not in verdicts:
            none = (math.nan,) * 4
            verdicts[arm] = verdict(*none, gate, wait)
    parts = _segments(found, control, arms, segment_metrics, alpha) if rows else []
    segments, differences = _joined(parts)
    days = pd.DataFrame(columns=["arm", "day", "abs_lift", "low", "high", "se"])
    if control is not None and found.days is not None:
        days = curve(found.days, control, arms, n, max(1, math.ceil(one.window_days)))
    return Readout(
        one, found.currency, control, arms, n, checks, effects, segments, differences, spent,
        days, verdicts, found.started_at,
    )  # fmt: skip


_NAMES = """
arm metric kind unit higher_is n n_control n_treated mean_control mean_treated
abs_lift low high rel_lift rel_low rel_high se pvalue always_low always_high mde cuped_saved
raw_lift raw_low raw_high capped_at capped_lift capped_low capped_high guardrail
"""
_COLUMNS = _NAMES.split()
_SEGMENT = "arm metric unit segment value n abs_lift low high se pvalue"


def _row(found, metric, arm, control, treated, everyone, alpha) -> dict:
    covariates = found.experiment.covariates
    one = effect(control, treated, metric, covariates, alpha, everyone)
    row = asdict(one) | {"arm": arm, "metric": metric.name, "kind": metric.kind}
    row |= {"unit": metric.unit, "higher_is": metric.higher_is, "guardrail": metric.guardrail}
    row["n"] = one.n_control + one.n_treated
    low, high = always_valid(one.abs_lift, one.se, _information(found), alpha)
    row |= {"always_low": float(low), "always_high": float(high)}
    row["mde"] = FOUND * one.se
    row |= dict.fromkeys(("capped_at", "capped_lift", "capped_low", "capped_high"), np.nan)
    name = f"{metric.column}{CAPPED}"
    if metric.has_tail and name in control.columns:
        cut = replace(metric, column=name)
        less = effect(control, treated, cut, covariates, alpha, everyone)
        row["capped_at"] = found.capped_at.get(metric.column, np.nan)
        row |= {"capped_lift": less.abs_lift, "capped_low": less.low, "capped_high": less.high}
    return {key: row[key] for key in _COLUMNS}


def _information(found: Evidence) -> float:
    """How much is in of what was planned: of the days, else of the units drawn."""
    planned = found.experiment.planned_days
    if planned is not None:
        return found.experiment.window_days / planned
    read, drawn = sum(part.n for part in found.sums.values()), sum(found.n_drawn.values())
    return read / drawn if drawn else float("nan")


def _adjusted(effects: pd.DataFrame, one: Experiment) -> pd.DataFrame:
    """Holm and Benjamini-Hochberg: the leading metric over its arms, the others over all of them.

    Who names one metric to decide by pays for no other.
    """
    effects = effects.assign(pvalue_holm=np.nan, pvalue_bh=np.nan)
    leads = effects.metric == one.metrics[0].name
    for family in (leads, ~leads):
        pvalues = effects.loc[family, "pvalue"].astype(float)
        effects.loc[family, "pvalue_holm"] = holm(pvalues)
        effects.loc[family, "pvalue_bh"] = benjamini_hochberg(pvalues)
    return effects


def _checks(found, control, arms, sums) -> tuple[gates.Gate, ...]:
    one, n_units = found.experiment, sum(found.n_drawn.values())
    checks = [gates.arms_there(control, arms, found.n_drawn)]
    if one.why_no_holdout:
        said = f"Nobody was held out: {one.why_no_holdout}"
        checks = [gates.Gate("arms", gates.FAIL, "cannot be measured", said)]
    checks.append(gates.one_arm_each(found.n_two_arms, n_units))
    checks.append(gates.sample_ratio(found.n_drawn, one.shares))
    if found.n_known is not None:
        checks.append(gates.units_known(found.n_known, n_units))
    if found.as_of is not None:
        n_read = sum(part.n for part in sums.values())
        checks.append(gates.window_closed(n_read, found.n_waiting, found.closes_at))
    if control is not None and found.sums:
        treated = {arm: sums[arm] for arm in arms}
        checks.append(gates.balance(sums[control], treated, one.covariates))
        if found.tracked:
            held = sums[control]
            reached = round(held.mean_of("exposed") * held.n) if held.n else 0
            checks.append(gates.exposed_after(found.n_early or 0, reached, held.n))
    if found.as_of is None:
        checks.append(gates.outcomes_after(found.n_outcomes_before))
    checks.append(gates.values_sane(found.values, net=one.table == "assignments"))
    return tuple(checks)


def _wait_days(found: Evidence) -> int:
    left = (found.closes_at - found.as_of) / timedelta(days=1) if found.closes_at else 1
    return max(1, math.ceil(left))


def _still_open(found: Evidence) -> bool:
    """Whether the experiment goes on, so that one looks at it more than once."""
    waiting = found.n_waiting > 0 or found.experiment.planned_days is not None
    return waiting and found.started_at is not None


def _countable(row) -> bool:
    """Whether events are frequent enough for a normal interval: five in the smaller arm, if the
    arms were alike. Money, and means that may be negative, are not events."""
    if row.kind not in ("conversion", "mean") or min(row.mean_control, row.mean_treated) < 0:
        return True
    events = row.mean_control * row.n_control + row.mean_treated * row.n_treated
    return not events / row.n * min(row.n_control, row.n_treated) < MOST_RARE


def _verdict(found, row, gate, wait, harm, worth) -> Verdict:
    still = _still_open(found)
    if gate is None and not harm and not _countable(row):
        return Verdict("cannot tell", "Too few events for an interval.", mde=row.mde)
    days = (found.as_of - found.started_at) / timedelta(days=1) if still else None
    ends = (row.always_low, row.always_high) if still else (row.low, row.high)
    return verdict(
        *ends, row.se, row.abs_lift, gate, wait, worth, 1 if row.higher_is == "better" else -1,
        days, harm, bool(row.pvalue_holm < 0.05) or worth != 0,
        float(width(_information(found))) if still else Z,
    )  # fmt: skip


def _worth(spent: pd.DataFrame, one: Experiment, row) -> float:
    if row.metric != one.metrics[0].name or not len(spent):
        return 0.0
    mine = spent[(spent.arm == row.arm) & (spent.metric == row.metric)]
    if not len(mine) or not mine.break_even.iloc[0] > 0:
        return 0.0
    return float(mine.break_even.iloc[0])


def _harm(found: Evidence, effects: pd.DataFrame, arm: str) -> str:
    tolerated = {metric.name: metric.tolerance for metric in found.experiment.metrics}
    low, high = ("always_low", "always_high") if _still_open(found) else ("low", "high")
    for row in effects[(effects.arm == arm) & effects.guardrail].itertuples():
        worst = getattr(row, low) if row.higher_is == "worse" else -getattr(row, high)
        if _countable(row) and worst > tolerated[row.metric] and row.pvalue_holm < 0.05:
            return f"It harms a guardrail: {row.metric}."
    return ""


def _segments(found, control, arms, most: int, alpha: float) -> list[tuple]:
    one, parts = found.experiment, []
    judged = [metric for metric in one.metrics if not metric.guardrail][:most]
    whole = found.arm(control)
    everyone = whole
    for arm in arms:
        everyone = everyone + found.arm(arm)
    for name in found.segments:
        groups = found.segment(name)
        for metric in judged:
            for arm in arms:
                parts.append(_segment(found, name, groups, metric, control, arm, everyone, alpha))
    return parts


def _segment(found, name, groups, metric: Metric, control, arm, everyone, alpha) -> tuple:
    rows = []
    for value, by_arm in groups.items():
        if control not in by_arm or arm not in by_arm:
            continue
        one = effect(
            by_arm[control], by_arm[arm], metric, found.experiment.covariates, alpha, everyone
        )
        rows.append((arm, metric.name, metric.unit, name, value, one.n_control + one.n_treated,
                     one.abs_lift, one.low, one.high, one.se, one.pvalue))  # fmt: skip
    table = pd.DataFrame(rows, columns=_SEGMENT.split())
    table["pvalue_bh"] = benjamini_hochberg(table.pvalue.astype(float))
    table, differ = shrunk(table, alpha)
    return table, (arm, metric.name, name, differ.pvalue, differ.sentence)


def _joined(parts: list[tuple]) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["arm", "metric", "segment", "pvalue", "sentence"]
    if not parts:
        return pd.DataFrame(columns=["arm", "metric", "segment", "value", "n"]), pd.DataFrame(
            columns=columns
        )
    tables = pd.concat([table for table, _ in parts], ignore_index=True)
    return tables, pd.DataFrame([row for _, row in parts], columns=columns)
