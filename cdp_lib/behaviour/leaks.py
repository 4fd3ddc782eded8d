"""What each step of the checkout loses, in carts and in money.

Three figures per step, for the carts that were left there (the furthest step at the first
leaving, whatever came later):

- **gross**: what lay in them.
- **recoverable**: gross less what comes back by itself within a horizon of H hours. A cart that
  was bought by then is taken off; of one that still lies there, idle for h hours, the part that
  the return curve expects back: 1 - S(H) / S(h), S the share not bought by then. So a cart left
  last night counts for less than one left last month.
- **proven**: what measured experiments have won back. Not measured yet: no number.

The carts seen are one draw of what such a span brings: people come at random and each brings
what its carts hold. The intervals say where the expected total lies (`intervals.total`); that
of recoverable also carries the error of the return curve, taken at its worst, all carts erring
together. Carts without a known value count as carts, not as money.
"""

from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_rates import stopped_carts
from cdp_lib.behaviour.cart_states import STOPS, Carts
from cdp_lib.behaviour.cart_sums import HOUR
from cdp_lib.behaviour.intervals import total
from cdp_lib.behaviour.returns import HORIZON_HOURS, return_curve
from cdp_lib.checks import above
from cdp_lib.windows import Window

PROVEN = "not measured yet"
FIGURES = ("n_lost", "n_recoverable", "gross", "recoverable")


@dataclass(frozen=True)
class Leaks:
    """The leaks of a shop over a window.

    table: a row per step and one for all of them ("all steps"), see `leaks`.
    window: carts first left in it. weeks: its length in weeks.
    horizon_hours: how long a cart is given to come back by itself.
    n_unpriced: carts in the window whose value is not known.
    """

    table: pd.DataFrame
    window: Window
    weeks: float
    horizon_hours: float
    n_unpriced: int


def leaks(carts: Carts, weeks: float | None = None, horizon_hours: float = HORIZON_HOURS) -> Leaks:
    """Lost carts and money per step, gross, recoverable and proven, with 95 % intervals.

    Carts are counted by when they were first left. Whether one is left is known `idle_hours`
    later, so the window ends that long before `as_of`; `weeks` is its length (default: from the
    first cart on).

    Out, in `table`: step (in words, the one not taken), furthest_step, n_people; n_lost and
    n_recoverable (carts), gross and recoverable (the shop's currency, over the window; NaN where
    no cart has a value), each with _low and _high; gross_per_week, recoverable_per_week; proven,
    proven_low, proven_high (NaN) and proven_note.
    Raises Refusal for a horizon or weeks of 0 or less.
    """
    above("horizon_hours", horizon_hours, 0)
    window = _window(carts, weeks)
    lost = stopped_carts(carts, "left", window.start)
    stay = _stay_table(carts, horizon_hours)
    weights = _weights(lost, stay, carts, horizon_hours)
    rows = [_row(step, weights, carts) for step in carts.steps[:-1]]
    table = pd.DataFrame([*rows, _row(None, weights, carts)])
    weeks = window.days / 7
    for figure in ("gross", "recoverable"):
        table[f"{figure}_per_week"] = table[figure] / weeks
    proven = dict.fromkeys(("proven", "proven_low", "proven_high"), np.nan)
    table = table.assign(**proven, proven_note=PROVEN)
    unpriced = int(lost.filter(_.value.isnull()).count().execute())
    return Leaks(table, window, weeks, horizon_hours, unpriced)


def _window(carts: Carts, weeks: float | None) -> Window:
    end = carts.as_of - timedelta(hours=carts.idle_hours)
    if weeks is not None:
        above("weeks", weeks, 0)
        return Window(end - timedelta(weeks=weeks), end)
    first = carts.table.opened_at.min().execute()
    start = end if pd.isna(first) else pd.Timestamp(first).to_pydatetime()
    return Window(min(start, end - timedelta(hours=1)), end)


def _stay_table(carts: Carts, horizon_hours: float) -> pd.DataFrame:
    """Per whole hour idle: the chance to stay unbought until the horizon, and its error.

    S(H)/S(h) has the relative variance sum d / (n (n - d)) over the purchases in (h, H]
    (Greenwood 1926).
    """
    curve = return_curve(carts, horizon_hours=horizon_hours)
    hours = np.arange(int(np.ceil(horizon_hours)) + 1)
    if not len(curve):
        return pd.DataFrame({"hour": hours, "stay": 1.0, "stay_error": 0.0})
    left = 1 - curve.share_back.to_numpy()
    died, risk = curve.n_bought.to_numpy(float), curve.n_at_risk.to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(died > 0, died / (risk * (risk - died)), 0.0)
    spread = np.cumsum(np.where(np.isfinite(steps), steps, 0.0))
    at = np.searchsorted(curve.hours.to_numpy(), hours, side="right") - 1
    stay = np.where(left[at] > 0, left[-1] / np.where(left[at] > 0, left[at], 1), 1.0)
    error = stay * np.sqrt(np.maximum(spread[-1] - spread[at], 0.0))
    return pd.DataFrame({"hour": hours, "stay": stay, "stay_error": error})


def _weights(lost: Table, stay: pd.DataFrame, carts: Carts, horizon_hours: float) -> pd.DataFrame:
    """Sums per step over people: a row per step and figure, with what an interval needs."""
    top = len(stay) - 1
    since = ibis.literal(carts.as_of).delta(lost.first_left_at, unit="microsecond")
    hour = ibis.least((since / HOUR).floor().cast("int64"), top)
    took = lost.bought_at.delta(lost.first_left_at, unit="microsecond") / HOUR
    lost = lost.mutate(hour=hour, back=(took <= horizon_hours).coalesce(False))
    lost = lost.join(ibis.memtable(stay), "hour")
    carried = ibis.ifelse(_.back, 0.0, _.stay)
    errs = ibis.ifelse(_.back, 0.0, _.stay_error)
    lost = lost.mutate(kept=carried, err=errs).mutate(
        n_lost=ibis.literal(1.0),
        n_lost_err=ibis.literal(0.0),
        n_recoverable=_.kept,
        n_recoverable_err=_.err,
        gross=_.value,
        gross_err=_.value * 0.0,
        recoverable=_.value * _.kept,
        recoverable_err=_.value * _.err,
    )
    parts = []
    for keys in (["left_step"], []):
        people = lost.group_by(*keys, "person_id").agg(
            **{f: lost[f].sum() for f in FIGURES},
            **{f"{f}_err": lost[f"{f}_err"].sum() for f in FIGURES},
        )
        sums = {"n_people": people.count()}
        for f in FIGURES:
            sums |= {f"{f}_sum": people[f].sum(), f"{f}_sq": (people[f] * people[f]).sum()}
            sums |= {f"{f}_max": people[f].max(), f"{f}_err": people[f"{f}_err"].sum()}
        grouped = people.group_by(*keys) if keys else people
        part = grouped.agg(**sums).execute()
        parts.append(part if keys else part.assign(left_step="all"))
    return pd.concat(parts, ignore_index=True).set_index("left_step")


def _row(step: str | None, weights: pd.DataFrame, carts: Carts) -> dict:
    after = None if step is None else carts.steps[carts.steps.index(step) + 1]
    row = {"step": "all steps" if step is None else STOPS[after], "furthest_step": step}
    key = step or "all"
    if key not in weights.index or not weights.n_people[key]:
        zero = {"n_people": 0, **dict.fromkeys(FIGURES, 0.0)}
        ends = {f"{f}_{end}": np.nan for f in FIGURES for end in ("low", "high")}
        return {**row, **zero, **ends}
    sums = weights.loc[key]
    row["n_people"] = int(sums.n_people)
    for f in FIGURES:
        amount = float(sums[f"{f}_sum"])
        low, high = total(amount, sums[f"{f}_sq"] + sums[f"{f}_err"] ** 2, sums[f"{f}_max"])
        row |= {f: amount, f"{f}_low": float(low), f"{f}_high": float(high)}
    return row
