"""How carts come back by themselves: the share bought within so many hours of being left.

A cart is left for d hours at the action before its first gap of d hours or more. From there
the clock runs until it is bought, or until `as_of`, where the data end (right-censored). A cart
that is emptied instead stays in the count as one that will not be bought: that is the
cumulative incidence of a purchase with emptying as a competing event, and it is plain
Kaplan-Meier because the time until `as_of` is known for every cart.
"""

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_states import Carts
from cdp_lib.behaviour.cart_sums import HOUR, pauses
from cdp_lib.checks import Refusal, above
from cdp_lib.normal import Z

HORIZON_HOURS = 30 * 24


def spell_table(carts: Carts, idle_hours: float | None = None) -> Table:
    """Every cart that was ever left for `idle_hours`, with what became of it.

    Out: an Ibis table, a row per cart: cart_id, person_id, left_at, duration_hours (to the
    purchase, or to `as_of`), bought (bool). Default idle_hours: that of the carts.
    """
    idle_hours = carts.idle_hours if idle_hours is None else idle_hours
    above("idle_hours", idle_hours, 0)
    rows = pauses(carts.actions, carts.as_of).filter(_.idle >= round(idle_hours * HOUR))
    left = rows.group_by("cart_id").agg(left_at=_.occurred_at.min())
    known = carts.table.select("cart_id", "person_id", "bought_at")
    spells = left.join(known, "cart_id")
    end = ibis.literal(carts.as_of).cast(spells.left_at.type())
    until = spells.bought_at.coalesce(end)
    return spells.select(
        "cart_id",
        "person_id",
        "left_at",
        duration_hours=until.delta(spells.left_at, unit="microsecond") / HOUR,
        bought=spells.bought_at.notnull(),
    )


def return_curve(
    carts: Carts, idle_hours: float | None = None, horizon_hours: float = HORIZON_HOURS
) -> pd.DataFrame:
    """The share of left carts that are bought within h hours of being left.

    Kaplan-Meier with log-log intervals (Kalbfleisch and Prentice 2002, section 1.4), carts
    taken as independent. Out: a row per distinct hour at which a cart was bought, from 0 on:
    hours, n_at_risk, n_bought, share_back, share_back_low, share_back_high. No left cart: no
    rows. Read it as a step: the share holds until the next row's hours.
    """
    above("horizon_hours", horizon_hours, 0)
    return survival(*_counts(spell_table(carts, idle_hours), horizon_hours))


def delay_table(
    carts: Carts, delays=(1, 4, 24, 72), horizon_hours: float = HORIZON_HOURS
) -> pd.DataFrame:
    """What waiting longer before a reminder would change.

    Of the carts idle for `delay_hours`, some are bought later with no reminder: to those it
    would come for nothing, and perhaps with a discount. Waiting longer spares more of them,
    and reaches fewer. Out: a row per delay: delay_hours, n_idle (carts that were ever idle so
    long), share_back (bought within `horizon_hours` of being left), share_back_low,
    share_back_high, n_back (bought so far), n_spared (bought before this delay, after the
    shortest one), share_spared (of the carts idle for the shortest delay), hours_median (from
    being left to the purchase, of those bought so far within the horizon).
    Raises Refusal for delays that are not increasing or reach past the horizon.
    """
    delays = list(delays)
    if not delays or delays != sorted(set(delays)) or not delays[0] > 0:
        raise Refusal("delays", delays, "must be increasing hours above 0", "pass (1, 4, 24, 72)")
    if delays[-1] >= horizon_hours:
        raise Refusal(
            "delays",
            delays,
            f"reach past the horizon of {horizon_hours} hours",
            "raise horizon_hours or drop the longest delay",
        )
    rows = []
    for delay in delays:
        spells = spell_table(carts, delay)
        hours, bought, weight = _counts(spells, horizon_hours)
        curve = survival(hours, bought, weight)
        last = curve.iloc[-1] if len(curve) else None
        back = bought & (hours <= horizon_hours)
        rows.append(
            {
                "delay_hours": float(delay),
                "n_idle": int(weight.sum()),
                "share_back": last.share_back if last is not None else np.nan,
                "share_back_low": last.share_back_low if last is not None else np.nan,
                "share_back_high": last.share_back_high if last is not None else np.nan,
                "n_back": int(weight[back].sum()),
                "hours_median": _median(hours[back], weight[back]),
            }
        )
    table = pd.DataFrame(rows)
    first = spell_table(carts, delays[0]).filter(_.bought)
    within = first.agg(
        **{f"d{i}": (_.duration_hours < delay).sum() for i, delay in enumerate(delays)}
    ).execute()
    table["n_spared"] = within.iloc[0].fillna(0).astype(int).to_numpy()
    table["share_spared"] = (
        table.n_spared / table.n_idle.iloc[0] if table.n_idle.iloc[0] else np.nan
    )
    return table


def survival(hours, bought, weight=None) -> pd.DataFrame:
    """The Kaplan-Meier share that is bought by each hour, from durations and their counts.

    hours: durations; bought: whether each ended in a purchase; weight: how many carts it stands
    for. Ties: purchases at an instant come before the carts censored at it. Out: as
    `return_curve`, first row at 0 hours.
    """
    hours, bought = np.asarray(hours, float), np.asarray(bought, bool)
    weight = np.ones(len(hours)) if weight is None else np.asarray(weight, float)
    if not len(hours):
        names = "hours n_at_risk n_bought share_back share_back_low share_back_high"
        return pd.DataFrame(columns=names.split(), dtype=float)
    times, place = np.unique(hours, return_inverse=True)
    ended = np.bincount(place, weight, len(times))
    died = np.bincount(place, weight * bought, len(times))
    at_risk = ended[::-1].cumsum()[::-1]
    kept = died > 0
    times, died, at_risk = times[kept], died[kept], at_risk[kept]
    stay = np.cumprod(1 - died / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.cumsum(died / (at_risk * (at_risk - died)))) / np.log(stay)
        low, high = stay ** np.exp(-Z * spread), stay ** np.exp(Z * spread)
    # Everything bought: the log-log interval is not defined there.
    low, high = np.where(stay > 0, low, np.nan), np.where(stay > 0, high, np.nan)
    return pd.DataFrame(
        {
            "hours": np.r_[0.0, times],
            "n_at_risk": np.r_[weight.sum(), at_risk].astype(int),
            "n_bought": np.r_[0, died].astype(int),
            "share_back": np.r_[0.0, 1 - stay],
            "share_back_low": np.r_[0.0, np.fmin(1 - low, 1 - high)],
            "share_back_high": np.r_[0.0, np.fmax(1 - low, 1 - high)],
        }
    )


def _counts(spells: Table, horizon_hours: float):
    """Durations, whether bought, and how many: those past the horizon are one row."""
    spells = spells.mutate(
        hours=ibis.least(_.duration_hours, float(horizon_hours)),
        back=_.bought & (_.duration_hours <= horizon_hours),
    )
    counted = spells.group_by("hours", "back").agg(n=_.count()).execute()
    counted = counted.sort_values(["hours", "back"])
    return counted.hours.to_numpy(), counted.back.to_numpy(bool), counted.n.to_numpy()


def _median(hours, weight) -> float:
    if not weight.sum():
        return np.nan
    reached = np.cumsum(weight) >= weight.sum() / 2
    return float(hours[reached.argmax()])
