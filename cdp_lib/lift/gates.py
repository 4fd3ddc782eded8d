"""What must hold before an experiment may have a verdict.

Each gate is a small function of counts that were collected before; none queries. A gate that fails
refuses the verdict and says why; one that warns is shown beside it; one that cannot be told says
what would have to be written down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from cdp_lib.lift.sums import Sums

SRM_ALPHA = 0.01  # cookie cats' known mismatch has p = 0.0086
BALANCE_ALPHA = 0.001
HEAVY = 0.3  # share of a metric's variance in one unit from which its plain mean says little
PASS, WARN, FAIL, UNKNOWN = "pass", "warning", "fail", "not known"


@dataclass(frozen=True)
class Gate:
    """One condition. name: of the gate. status: "pass", "warning", "fail" or "not known".
    short: the reason in a few words. detail: a sentence. pvalue: of its test, else NaN."""

    name: str
    status: str
    short: str
    detail: str
    pvalue: float = float("nan")


def table(gates: Iterable[Gate]) -> pd.DataFrame:
    """The gates as a table: gate, status, detail, pvalue."""
    rows = [(g.name, g.status, g.detail, g.pvalue) for g in gates]
    return pd.DataFrame(rows, columns=["gate", "status", "detail", "pvalue"])


def failed(gates: Iterable[Gate]) -> Gate | None:
    """The first gate that fails, or None."""
    return next((gate for gate in gates if gate.status == FAIL), None)


def sample_ratio(n: Mapping[str, int], shares: Mapping[str, float] | None) -> Gate:
    """Whether the arms are as large as was drawn: Pearson's chi-square over all arms.

    n: units drawn into each arm. shares: as they were meant to be, None where nobody wrote it
    down. Source: Fabijan et al. (2019), "Diagnosing sample ratio mismatch", KDD.
    """
    from scipy import stats

    name = "sample ratio"
    if shares is None:
        detail = "The shares that were drawn are not written down, so a mismatch cannot be seen."
        return Gate(name, UNKNOWN, "shares not known", detail)
    arms, whole = sorted({*shares, *n}), sum(n.values())
    counted = np.array([n.get(arm, 0) for arm in arms], float)
    meant = np.array([shares.get(arm, 0.0) for arm in arms])
    strange = [arm for arm, part in zip(arms, meant, strict=True) if part == 0]
    if strange:
        detail = f"Arms that nobody meant to draw: {', '.join(strange)}."
        return Gate(name, FAIL, "an arm that was not drawn", detail, 0.0)
    if not whole:
        return Gate(name, UNKNOWN, "no unit", "No unit was drawn.")
    wanted = meant / meant.sum() * whole
    chi = float(((counted - wanted) ** 2 / wanted).sum())
    pvalue = float(stats.chi2.sf(chi, len(arms) - 1))
    seen = ", ".join(f"{arm} {int(k):,} ({w:,.0f} meant)" for arm, k, w in zip(
        arms, counted, wanted, strict=True))  # fmt: skip
    said = f"{seen}: chi-square {chi:.2f} with {len(arms) - 1} df, p = {pvalue:.2g}"
    if pvalue < SRM_ALPHA:
        detail = f"{said}. Units were lost or added after the draw, so the arms cannot be compared."
        return Gate(name, FAIL, "sample ratio mismatch", detail, pvalue)
    return Gate(name, PASS, "", f"{said}.", pvalue)


def arms_there(control: str | None, arms: Sequence[str], n: Mapping[str, int]) -> Gate:
    """Whether there is a control, something to compare it with, and a unit in each."""
    name = "arms"
    if control is None:
        have = ", ".join(sorted(n)) or "none"
        detail = f"No control among the arms ({have}): name it in shop.toml, `control = ...`."
        return Gate(name, FAIL, "no control", detail)
    if not n.get(control):
        return Gate(name, FAIL, "control has no unit", f"The control {control!r} has no unit.")
    empty = [arm for arm in arms if not n.get(arm)]
    if empty or not arms:
        who = ", ".join(map(repr, empty)) or "any arm but the control"
        return Gate(name, FAIL, "an arm has no unit", f"No unit in {who}.")
    few = [arm for arm in (control, *arms) if n[arm] < 2]
    if few:
        detail = f"Only one unit in {', '.join(map(repr, few))}."
        return Gate(name, FAIL, "an arm has one unit", detail)
    return Gate(name, PASS, "", f"{len(arms)} against the control {control!r}.")


def one_arm_each(n_in_two: int, n_units: int) -> Gate:
    """Whether no unit was drawn into two arms."""
    name = "units in one arm"
    if n_in_two:
        detail = f"{n_in_two:,} of {n_units:,} units stand in two arms or more."
        return Gate(name, FAIL, "units in two arms", detail)
    return Gate(name, PASS, "", "No unit stands in two arms.")


def balance(control: Sums, treated: Mapping[str, Sums], covariates: Sequence[str]) -> Gate:
    """Whether the arms were alike before the start: Welch tests, Bonferroni over all of them."""
    from scipy import stats

    name = "alike before the start"
    tested = []
    for arm, part in treated.items():
        for column in covariates:
            if min(part.n, control.n) < 2:
                continue
            spread = control.var(column) / control.n + part.var(column) / part.n
            apart = part.mean_of(column) - control.mean_of(column)
            if spread > 0:
                tested.append((2 * stats.norm.sf(abs(apart) / math.sqrt(spread)), arm, column))
    if not tested:
        detail = "Nothing is known of the units from before the start."
        return Gate(name, UNKNOWN, "no covariate", detail)
    least, arm, column = min(tested)
    pvalue = float(min(1.0, least * len(tested)))
    said = f"{len(tested)} comparisons; the furthest apart is {column} in {arm}, p = {pvalue:.2g}"
    if pvalue < BALANCE_ALPHA:
        detail = f"{said} after correction. The arms already differed: the draw went wrong."
        return Gate(name, FAIL, "arms differed before", detail, pvalue)
    return Gate(name, PASS, "", f"{said} after correction.", pvalue)


def exposed_after(n_early: int, n_control_exposed: int, n_control: int) -> Gate:
    """Whether assignment came before exposure, and the control was left alone."""
    name = "assigned before exposed"
    if n_early:
        detail = f"{n_early:,} units were reached before they were drawn into an arm."
        return Gate(name, FAIL, "assignment after exposure", detail)
    if n_control and n_control_exposed:
        part = n_control_exposed / n_control
        detail = f"{part:.1%} of the control were reached all the same: the effect is understated."
        return Gate(name, WARN, "control was reached", detail)
    return Gate(name, PASS, "", "Nobody was reached before the draw.")


def outcomes_after(n_before: int | None) -> Gate:
    """Whether every outcome came after its unit's assignment; None: nothing says when."""
    name = "outcomes after the draw"
    if n_before is None:
        detail = "The table does not say when units were drawn and when outcomes came."
        return Gate(name, UNKNOWN, "no times", detail)
    if n_before:
        detail = f"{n_before:,} outcomes came before their unit was drawn."
        return Gate(name, FAIL, "outcomes before assignment", detail)
    return Gate(name, PASS, "", "No outcome came before its unit was drawn.")


def window_closed(n_closed: int, n_waiting: int, closes_at: datetime | None) -> Gate:
    """Whether the outcome window is over, for some units at least; closes_at: for the next."""
    name = "window closed"
    when = f"{closes_at:%Y-%m-%d %H:%M} UTC" if closes_at is not None else "later"
    if not n_closed:
        detail = f"The outcome window is not over: wait until {when}."
        return Gate(name, FAIL, f"window closes {when[:10]}", detail)
    if n_waiting:
        detail = f"{n_waiting:,} units drawn later are not read yet: the next window ends {when}."
        return Gate(name, PASS, "", detail)
    return Gate(name, PASS, "", "The outcome window is over for every unit.")


def units_known(n_known: int, n_units: int) -> Gate:
    """Whether the units are customers of the shop, so that their orders can be found."""
    name = "units are customers"
    if n_units and n_known < n_units / 2:
        detail = (
            f"{n_known:,} of {n_units:,} units are customers: no orders of the others are seen."
        )
        return Gate(name, FAIL, "units are not customers", detail)
    if n_known < n_units:
        detail = f"{n_units - n_known:,} of {n_units:,} units are not among the customers."
        return Gate(name, WARN, "some units not known", detail)
    return Gate(name, PASS, "", "Every unit is a customer of the shop.")


def values_sane(seen: pd.DataFrame, net: bool = False) -> Gate:
    """Whether the metrics hold values that can be averaged.

    In: a row a metric: metric, kind, n, n_null, n_not_finite, n_negative, n_not_binary,
    largest_share (of the sum of squared deviations, in one unit). net: money is net of returns, so
    that it may be negative.
    """
    name = "values"
    for row in seen.itertuples():
        for count, words, short in (
            (row.n_not_finite, "are not finite", "values not finite"),
            (row.n_null, "are missing", "outcomes missing"),
            (row.n_not_binary if row.kind == "conversion" else 0, "are neither 0 nor 1",
             "not a conversion"),
            (row.n_negative if row.kind == "revenue" and not net else 0, "are negative",
             "negative revenue"),
        ):  # fmt: skip
            if count:
                detail = f"{int(count):,} of {int(row.n):,} values of {row.metric} {words}."
                return Gate(name, FAIL, short, detail)
    heavy = seen[seen.largest_share > HEAVY]
    if len(heavy):
        worst = heavy.loc[heavy.largest_share.idxmax()]
        detail = (
            f"One unit makes {worst.largest_share:.0%} of the variance of {worst.metric}: read the "
            "capped figure."
        )
        return Gate(name, WARN, "one unit dominates", detail)
    return Gate(name, PASS, "", "Every value can be averaged.")
