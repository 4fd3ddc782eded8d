"""What a drawn plan of sending does: messages, losses and money of each arm, per customer and week.

Customers were drawn at random into plans, such as a newsletter every week or every month. All that
they did from the draw to the end of the data is theirs, reached or not (intention to treat), so
differences between the arms are caused by the plans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData, one_of
from cdp_lib.customers.ages import Span
from cdp_lib.normal import Z
from cdp_lib.tables import Shop, identity
from cdp_lib.tables.micros import WEEK, micros

OUTCOMES = ("n_messages", "n_opt_outs", "n_removals", "margin")


@dataclass(frozen=True, eq=False)
class Arms:
    """The arms of an experiment on how much is sent.

    experiment: its id. table: a row per arm, the one with the fewest messages first: arm,
    n_customers, customer_weeks, then for each of n_messages, n_opt_outs, n_removals and margin
    (money; revenue where goods' costs are not known; null without orders) its mean per customer
    and week, as `<name>_per_week` with _low, _high (95 %, customers being the unit) and _se.
    contrasts: a row per further arm and outcome, against the first arm: arm, outcome, difference,
    difference_low, difference_high, se. gain, gain_se: margin that one more message brings, from
    the slope over the arms; NaN without orders. is_margin: whether it is margin, not revenue.
    """

    experiment: str
    table: pd.DataFrame
    contrasts: pd.DataFrame
    gain: float
    gain_se: float
    is_margin: bool


def experiments(shop: Shop) -> list[str]:
    """The experiments of the shop's assignments; none where it has no such table."""
    if not shop.has("assignments"):
        return []
    found = shop.assignments.select("experiment_id").distinct().execute()
    return sorted(found.experiment_id)


def read(shop: Shop, experiment: str) -> Arms:
    """The arms of that experiment. Raises MissingTable without assignments or messages, Refusal for
    an experiment that the shop does not have, TooLittleData where fewer than two arms have two
    customers."""
    shop.require("assignments", "messages")
    one_of("experiment", experiment, experiments(shop))
    drawn = shop.sound("assignments").filter(_.experiment_id == experiment)
    units = drawn.group_by(customer_id=drawn.unit_id).aggregate(
        arm=_.arm.min(), n_arms=_.arm.nunique(), assigned_at=_.assigned_at.min()
    )
    # Who was drawn into two arms tells nothing of either.
    end = Span(shop.as_of, 1).end_us
    units = units.filter(units.n_arms == 1)
    units = units.select("customer_id", "arm", start=micros(units.assigned_at))
    units = units.mutate(weeks=(end - units.start).cast("float64") / WEEK).cache()
    parts = [_messages(shop, units), _removals(shop, units)]
    is_margin = shop.has("orders") and "cost" in shop.given("orders")
    if shop.has("orders"):
        parts.append(_money(shop, units, is_margin))
    rows = units
    for part in filter(lambda part: part is not None, parts):
        rows = rows.left_join(part, "customer_id").drop("customer_id_right")
    rows = rows.mutate(**{name: rows[name].coalesce(0.0) for name in OUTCOMES
                          if name in rows.columns})  # fmt: skip
    sums = _sums(rows)
    if (sums.n >= 2).sum() < 2:
        raise TooLittleData(
            "experiment", experiment, "fewer than two arms with two customers", "wait for more"
        )
    table = _table(sums[sums.n >= 2]).sort_values("n_messages_per_week", ignore_index=True)
    gain, gain_se = _slope(table)
    return Arms(experiment, table, _contrasts(table), gain, gain_se, is_margin)


def _inside(rows: Table, units: Table, moment: str) -> Table:
    """The rows from the draw of their customer on."""
    joined = rows.inner_join(units.select("customer_id", "start"), "customer_id")
    return joined.filter(micros(joined[moment]) >= joined.start)


def _messages(shop: Shop, units: Table) -> Table:
    rows = _inside(shop.messages.filter(_.customer_id.notnull()), units, "sent_at")
    return rows.group_by("customer_id").aggregate(
        n_messages=_.count().cast("float64"),
        n_opt_outs=_.unsubscribed_at.count().cast("float64"),
    )


def _removals(shop: Shop, units: Table) -> Table | None:
    if not shop.has("events"):
        return None
    gone = identity.owned(shop.visits.filter(_.event == "app_remove"), shop.ties)
    gone = gone.select("occurred_at", customer_id="owner_id")
    rows = _inside(gone, units, "occurred_at")
    return rows.group_by("customer_id").aggregate(n_removals=_.count().cast("float64"))


def _money(shop: Shop, units: Table, is_margin: bool) -> Table:
    orders = shop.orders.filter(_.customer_id.notnull())
    rows = _inside(orders, units, "ordered_at")
    earned = rows.revenue - rows.cost.coalesce(0.0) if is_margin else rows.revenue
    return rows.group_by("customer_id").aggregate(margin=earned.sum())


def _sums(rows: Table) -> pd.DataFrame:
    """What the arms' ratios need: sums over customers, of products too."""
    sums = {"n": _.count(), "w": _.weeks.sum(), "ww": (_.weeks * _.weeks).sum()}
    for name in OUTCOMES:
        if name in rows.columns:
            sums |= {
                f"{name}_x": _[name].sum(),
                f"{name}_xx": (_[name] * _[name]).sum(),
                f"{name}_xw": (_[name] * _.weeks).sum(),
            }
    return rows.group_by("arm").aggregate(**sums).execute()


def _table(sums: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame({"arm": sums.arm, "n_customers": sums.n.astype("int64"),
                          "customer_weeks": sums.w.astype(float)})  # fmt: skip
    for name in OUTCOMES:
        if f"{name}_x" in sums.columns:
            x, xx, xw = (sums[f"{name}_{part}"].to_numpy(float) for part in ("x", "xx", "xw"))
            w, ww, n = (sums[part].to_numpy(float) for part in ("w", "ww", "n"))
            rate = x / w
            # The linearised variance of a ratio of sums over customers (Cochran 1977, 6.10).
            spread = np.maximum(xx - 2 * rate * xw + rate**2 * ww, 0.0) * n / (n - 1)
            se = np.sqrt(spread) / w
        else:
            rate = se = np.full(len(sums), np.nan)
        key = f"{name}_per_week"
        low = rate - Z * se if name == "margin" else np.maximum(rate - Z * se, 0.0)
        table = table.assign(**{key: rate, f"{key}_low": low, f"{key}_high": rate + Z * se,
                                f"{key}_se": se})  # fmt: skip
    return table


def _contrasts(table: pd.DataFrame) -> pd.DataFrame:
    rows, first = [], table.iloc[0]
    for arm in table.iloc[1:].to_dict("records"):
        for name in OUTCOMES:
            key = f"{name}_per_week"
            difference = arm[key] - first[key]
            se = float(np.hypot(arm[f"{key}_se"], first[f"{key}_se"]))
            ends = (difference - Z * se, difference + Z * se)
            rows.append((arm["arm"], name, difference, *ends, se))
    columns = ["arm", "outcome", "difference", "difference_low", "difference_high", "se"]
    return pd.DataFrame(rows, columns=columns)


def _slope(table: pd.DataFrame) -> tuple[float, float]:
    """Money by messages over the arms, weighted: the arms are instruments for what is sent."""
    x, y, se = (
        table[name].to_numpy(float)
        for name in ("n_messages_per_week", "margin_per_week", "margin_per_week_se")
    )
    if not np.isfinite(y).all() or not (se > 0).all():
        return float("nan"), float("nan")
    weight = 1 / se**2
    apart = x - (weight @ x) / weight.sum()
    size = float(weight @ apart**2)
    if not size > 0:
        return float("nan"), float("nan")
    return float((weight * apart) @ y / size), size**-0.5
