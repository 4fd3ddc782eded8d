"""Size an experiment by the shop's own past: what will be found, with which holdout, and when.

An audience goes out week after week, each time with a draw of its own, and the waves' totals and
variances add. So m waves of n units are read like one experiment with m n units, and the day on
which a given effect will be known is the day when the last wave's outcome window closes. The plan
counts one look, on that day; who wants to look every week reads the always-valid interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil, isfinite

import pandas as pd

from cdp_lib.checks import Refusal, TooLittleData, above, at_least
from cdp_lib.lift.history import History, history
from cdp_lib.lift.power import (
    conversion_mde,
    conversion_sd,
    mde,
    power,
    ratio_sd,
    sample_size,
    skew_error,
    trusted,
)

__all__ = [
    "HOLDOUTS", "History", "conversion_mde", "conversion_sd", "history", "mde", "plan_sentence",
    "plan_table", "power", "ratio_sd", "sample_size", "skew_error", "trusted",
]  # fmt: skip

HOLDOUTS = (0.05, 0.10, 0.20, 0.30, 0.50)
WAVE_DAYS = 7


def plan_table(
    past: History,
    rel_lift: float = 0.10,
    abs_lift: float | None = None,
    holdouts: Sequence[float] = HOLDOUTS,
    units_per_week: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    use_cuped: bool = True,
    max_weeks: int = 104,
    starts_at: datetime | None = None,
) -> pd.DataFrame:
    """What each holdout will find in one week, and after how many weeks an effect is known.

    abs_lift: the effect a unit that one wants to find, in the metric's unit; else `rel_lift` of the
    mean of `past`. units_per_week: units of a wave, else those of `past`; starts_at: when the
    first wave goes out, for the dates. Out: a row a holdout: holdout, n_treated, n_holdout (a
    week), mde, rel_mde (after one wave), weeks (waves needed; null where more than `max_weeks`),
    known_after_days, known_on, units_held_out (until then), forgone (the effect that those held
    out do without until then, in the metric's unit), normal_error (what the heavy tail takes off
    or adds to the power then), trusted (whether the arms of one wave are large enough for its mde
    to be right; see `power.trusted`). Raises Refusal.
    """
    wanted = past.mean * rel_lift if abs_lift is None else abs_lift
    if not isfinite(wanted) or wanted == 0:
        raise Refusal("abs_lift", wanted, "no effect to look for", "pass abs_lift, in the unit")
    n = past.n_units if units_per_week is None else units_per_week
    above("units_per_week", n, 0)
    at_least("max_weeks", max_weeks, 1)
    r2, skew = past.cuped_r2 if use_cuped else 0.0, _finite(past.skewness)
    rows = []
    for holdout in holdouts:
        needed = _needed(past, wanted, holdout, alpha, power, r2)
        weeks = ceil(needed / n)
        known = weeks <= max_weeks
        days = (weeks - 1) * WAVE_DAYS + past.window_days if known else None
        arms = n * (1 - holdout), n * holdout
        smallest = mde(*arms, past.sd, alpha, power, r2, skewness=skew)
        final = tuple(weeks * arm for arm in arms)
        off = skew_error(*final, wanted, past.sd, skew, alpha, r2)
        rows.append(
            {
                "holdout": holdout,
                "n_treated": arms[0],
                "n_holdout": arms[1],
                "mde": smallest,
                "rel_mde": smallest / abs(past.mean) if past.mean else float("nan"),
                "weeks": weeks if known else None,
                "known_after_days": days,
                "known_on": starts_at + timedelta(days=days) if known and starts_at else None,
                "units_held_out": final[1] if known else None,
                "forgone": wanted * final[1] if known else None,
                "normal_error": off,
                "trusted": trusted(*arms, skew),
            }
        )
    table = pd.DataFrame(rows)
    whole = {"weeks": "Int64", "known_on": "datetime64[us]"}
    numbers = {name: "float64" for name in ("known_after_days", "units_held_out", "forgone")}
    return table.astype({**whole, **numbers})


def plan_sentence(plan: pd.DataFrame, chosen: float = 0.10, other: float = 0.05) -> str:
    """What the plan says of two holdouts, in a sentence: "With 10 % held out you will know …".

    Raises Refusal for a holdout that the plan has no row for.
    """
    first, second = (_row(plan, holdout) for holdout in (chosen, other))
    start = f"With {_percent(chosen)} held out {_when(first)}"
    return f"{start}; with {_percent(other)} {_when(second, short=True)}."


def _needed(past, wanted, holdout, alpha, power, r2) -> int:
    if not past.sd > 0:
        raise TooLittleData(
            "history", past.metric, "the metric does not vary", "take a longer window"
        )
    skew = _finite(past.skewness)
    return sample_size(wanted, past.sd, holdout, alpha, power, r2, skewness=skew)


def _finite(skewness: float) -> float:
    return skewness if isfinite(skewness) else 0.0


def _row(plan: pd.DataFrame, holdout: float) -> pd.Series:
    rows = plan[(plan["holdout"] - holdout).abs() < 1e-9]
    if rows.empty:
        known = ", ".join(f"{value:g}" for value in plan["holdout"])
        raise Refusal("holdout", holdout, "not in the plan", f"choose one of {known}")
    return rows.iloc[0]


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _when(row: pd.Series, short: bool = False) -> str:
    if pd.isna(row["weeks"]):
        return "not in time" if short else "you will not know in time"
    weeks = ceil(row["known_after_days"] / 7)
    span = f"{weeks} week" if weeks == 1 else f"{weeks} weeks"
    return f"in {span}" if short else f"you will know in {span}"
