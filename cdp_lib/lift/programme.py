"""All experiments together: what an audience earned over its waves, and the whole programme.

The waves of an audience are drawn anew each week, so given the past their errors are independent:
totals add and so do their variances. The sum is looked at every week, so its interval is an
always-valid one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from cdp_lib.checks import one_of
from cdp_lib.lift.metrics import MONEY
from cdp_lib.lift.readout import Readout
from cdp_lib.lift.sequential import always_valid, width
from cdp_lib.lift.verdict import Verdict, verdict
from cdp_lib.normal import Z

PLANNED_WAVES = 8  # the interval of a sum of waves is narrowest about there
COLUMNS = """
audience n_waves n_read n_treated n_control total low high always_low always_high cost margin roi
attributed word verdict reason
""".split()  # noqa: SIM905


def counted(one: Readout, metric: str = "revenue") -> bool:
    """Whether an experiment may enter a sum: no gate failed and its money is known."""
    fine = not any(check.status == "fail" for check in one.checks)
    return fine and bool(money_of(one, metric).total_se.notna().any())


def money_of(one: Readout, metric: str = "revenue") -> pd.DataFrame:
    """The rows of `Readout.money` on the first metric of that kind, a row an arm."""
    part = one.money[one.money.kind == metric]
    return part[part.metric == part.metric.iloc[0]] if len(part) else part


def earned(one: Readout, metric: str = "revenue") -> tuple[float, float]:
    """What all arms of an experiment earned together, and its standard error.

    Arms that share a control have errors in common; they are added up as if wholly so, which is
    too wide rather than too narrow.
    """
    part = money_of(one, metric)
    return float(part.total.sum()), float(part.total_se.sum())


def audience_table(readouts: Iterable[Readout], metric: str = "revenue") -> pd.DataFrame:
    """What each audience earned over all its waves, and what to do about it.

    metric: revenue or margin. Out: a row an audience (an experiment that is no wave is its own):
    audience, n_waves, n_read (waves that count: closed, no gate failed), n_treated, n_control,
    total, low, high (95 %, one look), always_low, always_high (looked at every week), cost (NaN
    where unknown), margin (incremental), roi, attributed (what a last-click count would claim),
    word, verdict, reason.
    """
    one_of("metric", metric, MONEY)
    groups: dict[str, list[Readout]] = {}
    for one in readouts:
        if one.source == "assignments":
            groups.setdefault(one.experiment.audience or one.experiment.experiment_id, []).append(
                one
            )
    rows = [_audience(name, waves, metric) for name, waves in groups.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def total_row(readouts: Sequence[Readout], metric: str = "revenue") -> dict[str, float]:
    """What experiments earned in sum: n_experiments, n_left_out (a gate failed, or still open),
    n_treated, total, low, high (95 %), always_low, always_high, se, cost, attributed."""
    good = [one for one in readouts if counted(one, metric)]
    sums = [earned(one, metric) for one in good]
    value, se = sum(s for s, _ in sums), math.sqrt(sum(e**2 for _, e in sums))
    known = bool(good)
    first = sums[0][1] ** 2 if known else math.nan
    low, high = always_valid(value, se, se**2 / (PLANNED_WAVES * first) if known else np.nan)
    money = pd.concat([money_of(one, metric) for one in good]) if known else None
    return {
        "n_experiments": len(good),
        "n_left_out": len(readouts) - len(good),
        "n_treated": int(money.n_treated.sum()) if known else 0,
        "total": value if known else math.nan,
        "low": value - Z * se if known else math.nan,
        "high": value + Z * se if known else math.nan,
        "always_low": float(low),
        "always_high": float(high),
        "se": se if known else math.nan,
        "cost": float(money.cost.sum(min_count=1)) if known else math.nan,
        "attributed": float(money.attributed.sum(min_count=1)) if known else math.nan,
    }


def since(readouts: Iterable[Readout], moment: datetime, days: float = 91) -> list[Readout]:
    """The experiments drawn in the `days` before a moment."""
    start = moment - timedelta(days=days)
    return [o for o in readouts if o.started_at is not None and start <= o.started_at < moment]


def closed_in(readouts: Iterable[Readout], moment: datetime, days: float = 7) -> list[Readout]:
    """The experiments whose outcome window closed in the `days` up to a moment."""
    found = []
    for one in readouts:
        if one.started_at is not None:
            end = one.started_at + timedelta(days=one.experiment.window_days)
            if moment - timedelta(days=days) < end <= moment:
                found.append(one)
    return found


def claim_table(readouts: Iterable[Readout], metric: str = "revenue") -> pd.DataFrame:
    """What is claimed beside what was earned: the ledger of claims.

    Out: a row an audience: audience, by (who claims: "vendor", shop.toml's `claimed`, or "clicks",
    the revenue of orders within a week of a click), claimed, total, low, high (95 %), overclaim
    (claimed less earned), share_real (earned of claimed), holds (the claim lies in the interval).
    The interval is the always-valid one where there are several waves, else that of one look.
    """
    readouts = list(readouts)
    table = audience_table(readouts, metric).assign(by="clicks")
    said = {o.experiment.audience or o.experiment.experiment_id: o.experiment.claimed
            for o in readouts if o.experiment.claimed is not None}  # fmt: skip
    vendors = table[table.audience.isin(list(said))]
    vendors = vendors.assign(attributed=vendors.audience.map(said).astype(float), by="vendor")
    table = pd.concat([vendors, table], ignore_index=True) if len(vendors) else table
    table = table[table.attributed.notna() & table.total.notna()]
    several = table.n_waves > 1
    low, high = (table[f"always_{e}"].where(several, table[e]) for e in ("low", "high"))
    return pd.DataFrame(
        {
            "audience": table.audience,
            "by": table.by,
            "claimed": table.attributed,
            "total": table.total,
            "low": low,
            "high": high,
            "overclaim": table.attributed - table.total,
            "share_real": table.total / table.attributed.where(table.attributed > 0),
            "holds": (table.attributed >= low) & (table.attributed <= high),
        }
    ).reset_index(drop=True)


def _audience(name: str, waves: list[Readout], metric: str) -> dict:
    waves = sorted(waves, key=lambda one: (one.started_at is None, one.started_at))
    good = [one for one in waves if counted(one, metric)]
    row = total_row(waves, metric)
    n_control = sum(one.n.get(one.control, 0) for one in good)
    margins = [earned(one, "margin")[0] for one in good if len(money_of(one, "margin"))]
    margin = sum(margins) if margins and len(margins) == len(good) else math.nan
    said = _verdict(waves, good, row, metric)
    cost = row["cost"]
    return {
        "audience": name,
        "n_waves": len(waves),
        "n_read": len(good),
        "n_treated": row["n_treated"],
        "n_control": n_control,
        **{key: row[key] for key in ("total", "low", "high", "always_low", "always_high", "cost")},
        "margin": margin,
        "roi": margin / cost - 1 if cost > 0 else math.nan,
        "attributed": row["attributed"],
        "word": said.word,
        "verdict": said.text,
        "reason": said.reason,
    }


def _verdict(waves: list[Readout], good: list[Readout], row: dict, metric: str) -> Verdict:
    if not good:
        last = waves[-1]
        return next(iter(last.verdicts.values()), Verdict("refused", "nothing to compare"))
    # An audience's first wave is the first look of many; an experiment that is no wave has one.
    if len(waves) == 1 and not waves[0].experiment.audience and len(good[0].verdicts) == 1:
        return next(iter(good[0].verdicts.values()))
    n = row["n_treated"]
    money = pd.concat([money_of(one, metric) for one in good])
    worth = float((money.break_even * money.n_treated).sum()) / n
    se = row["se"] / n
    information = row["se"] ** 2 / (PLANNED_WAVES * earned(good[0], metric)[1] ** 2)
    days = sum(one.experiment.window_days for one in good)
    newest = good[-1].verdicts.values()
    harm = next((one.reason for one in newest if "guardrail" in one.reason), "")
    return verdict(
        row["always_low"] / n, row["always_high"] / n, se, row["total"] / n, None, None,
        worth if worth > 0 else 0.0, 1, days, harm, True, float(width(information)),
    )  # fmt: skip
