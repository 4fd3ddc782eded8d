"""What a metric was like in the shop's own past: the numbers that an experiment is sized by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import nan, sqrt
from typing import TYPE_CHECKING

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, TooLittleData, above, one_of
from cdp_lib.lift.power import ratio_sd

if TYPE_CHECKING:
    from cdp_lib.tables.source import Shop

METRICS = ("conversion", "orders", "revenue", "margin", "basket_value")
Among = Table | pd.DataFrame | Callable[["Shop"], "Table | pd.DataFrame"]


@dataclass(frozen=True)
class History:
    """A metric over past windows of one length; moments are taken within windows, then averaged.

    metric: one of METRICS. window_days, pre_days: length of the outcome window and of the period
    before it that CUPED looks at. n_windows: windows averaged. n_units: units of a window (mean).
    mean: of the metric a unit; of basket_value the ratio of the means. sd: over units; of
    basket_value by the delta method. skewness: third standardised moment over units. cuped_r2:
    share of the variance that the metric of the days before explains, 0 where there is none.
    by_window: a row a window, newest first: starts_at, ends_at, n_units, mean, sd, cuped_r2.
    """

    metric: str
    window_days: float
    pre_days: float
    n_windows: int
    n_units: float
    mean: float
    sd: float
    skewness: float
    cuped_r2: float
    by_window: pd.DataFrame


def history(
    shop: Shop,
    metric: str = "revenue",
    window_days: float = 7,
    among: Among | None = None,
    n_windows: int = 4,
    pre_days: float = 28,
) -> History:
    """A metric per customer over the last `n_windows` windows of `window_days` before as_of.

    among: who would be in the experiment, as a table with customer_id, or, better, a function that
    is handed the shop as it was known when a window began and returns such a table: those who were
    eligible then. A table names today's people, whose past may differ from their future. None: all
    who were customers when the window began. Windows that begin before the shop's first order plus
    `pre_days` are left out. Raises Refusal for an unknown metric, MissingTable without orders,
    and TooLittleData when no window is left or none has two units.
    """
    one_of("metric", metric, METRICS)
    above("window_days", window_days, 0)
    above("pre_days", pre_days, 0)
    above("n_windows", n_windows, 0)
    shop.require("orders")
    if metric == "margin" and "cost" not in shop.given("orders"):
        raise Refusal("metric", metric, "orders have no cost", "map orders.cost in shop.toml")
    known = shop.orders.aggregate(first=_.ordered_at.min()).execute().iloc[0, 0]
    rows = []
    for back in range(1, n_windows + 1):
        start = shop.as_of - timedelta(days=window_days * back)
        if pd.isna(known) or start - timedelta(days=pre_days) < known.to_pydatetime():
            break
        eligible = _eligible(shop, start, among)
        if eligible is not None:
            rows.append(_moments(shop, metric, start, window_days, pre_days, eligible))
    sums = pd.DataFrame([row for row in rows if row["n"] >= 2])
    if sums.empty:
        raise TooLittleData(
            "history",
            f"{metric} over {window_days:g} days",
            "no past window with two units and the days before it in the data",
            "take a shorter window, or wait",
        )
    return _summed(metric, window_days, pre_days, sums)


def _eligible(shop: Shop, start: datetime, among: Among | None) -> Table | None:
    then = shop.at(start)
    if among is None:
        if shop.has("customers"):
            units = then.customers.select("customer_id")
        else:
            units = then.orders.select("customer_id")
    else:
        units = among(then) if callable(among) else among
    if isinstance(units, pd.DataFrame):
        if units.empty:
            return None
        units = ibis.memtable(units[["customer_id"]].astype("string"))
    if "customer_id" not in units.columns:
        raise Refusal("among", list(units.columns), "no column customer_id", "add that column")
    return units.filter(units.customer_id.notnull()).select("customer_id").distinct()


def _moments(shop, metric, start, window_days, pre_days, eligible) -> dict:
    """Sums over the units of one window: of the metric y, its whole w, its past x."""
    end, since = start + timedelta(days=window_days), start - timedelta(days=pre_days)
    orders = shop.orders
    orders = orders.filter(orders.ordered_at >= since, orders.ordered_at < end)
    orders = orders.filter(orders.customer_id.notnull())
    after = (orders.ordered_at >= ibis.literal(start)).cast("float64")
    sale = (orders.revenue > 0).cast("float64")
    amount = orders.revenue
    if metric == "margin":
        amount = orders.revenue - orders.cost
    amount = amount.fill_null(0.0)
    each = orders.select(
        "customer_id", now=after * amount, old=(1 - after) * amount,
        n_now=after * sale, n_old=(1 - after) * sale,
    )  # fmt: skip
    each = each.group_by("customer_id").aggregate(
        now=_.now.sum(), old=_.old.sum(), n_now=_.n_now.sum(), n_old=_.n_old.sum()
    )
    units = eligible.left_join(each, "customer_id")
    units = units.select(**{n: units[n].fill_null(0.0) for n in ("now", "old", "n_now", "n_old")})
    if metric == "conversion":
        y, x = (units.n_now > 0).cast("float64"), (units.n_old > 0).cast("float64")
    elif metric == "orders":
        y, x = units.n_now, units.n_old
    else:
        y, x = units.now, units.old
    units = units.select(y=y, x=x, w=units.n_now)
    found = units.aggregate(
        n=_.count(), y=_.y.mean(), x=_.x.mean(), w=_.w.mean(),
        yy=_.y.var(how="pop"), xx=_.x.var(how="pop"), ww=_.w.var(how="pop"),
        xy=(_.x * _.y).mean(), yw=(_.y * _.w).mean(), y2=(_.y * _.y).mean(),
        y3=(_.y * _.y * _.y).mean(), yyw=(_.y * _.y * _.w).mean(), yww=(_.y * _.w * _.w).mean(),
        w2=(_.w * _.w).mean(), w3=(_.w * _.w * _.w).mean(),
    ).execute().iloc[0]  # fmt: skip
    return {"starts_at": start, "ends_at": end, **found.to_dict()}


def _summed(metric: str, window_days: float, pre_days: float, rows: pd.DataFrame) -> History:
    per = [_of_window(metric, row) for row in rows.to_dict("records")]
    by_window = pd.DataFrame(
        {
            "starts_at": rows["starts_at"],
            "ends_at": rows["ends_at"],
            "n_units": rows["n"].astype("int64"),
            "mean": [one["mean"] for one in per],
            "sd": [sqrt(one["var"]) for one in per],
            "cuped_r2": [one["r2"] for one in per],
        }
    )
    weight = rows["n"] / rows["n"].sum()

    def mean_of(name: str) -> float:
        return float(sum(w * one[name] for w, one in zip(weight, per, strict=True)))

    var, third = mean_of("var"), mean_of("third")
    explained = sum(w * one["var"] * one["r2"] for w, one in zip(weight, per, strict=True))
    return History(
        metric=metric,
        window_days=float(window_days),
        pre_days=float(pre_days),
        n_windows=len(rows),
        n_units=float(rows["n"].mean()),
        mean=mean_of("mean"),
        sd=sqrt(var),
        skewness=third / var**1.5 if var > 0 else nan,
        cuped_r2=float(explained / var) if var > 0 else 0.0,
        by_window=by_window,
    )


def _of_window(metric: str, row: dict) -> dict:
    """Mean, variance, third central moment and r2 of one window, from its raw moments."""
    n = row["n"]
    unbiased = n / (n - 1)
    if metric == "basket_value":
        return _of_ratio(row, unbiased)
    third = row["y3"] - 3 * row["y"] * row["y2"] + 2 * row["y"] ** 3
    cov = row["xy"] - row["x"] * row["y"]
    both = row["xx"] * row["yy"]
    r2 = min(cov**2 / both, 1 - 1e-12) if both > 0 else 0.0
    return {"mean": row["y"], "var": row["yy"] * unbiased, "third": third, "r2": r2}


def _of_ratio(row: dict, unbiased: float) -> dict:
    """As `_of_window` of the linearised ratio (y - R w) / mean(w), whose mean is 0."""
    if not row["w"] > 0:
        return {"mean": nan, "var": nan, "third": nan, "r2": 0.0}
    ratio = row["y"] / row["w"]
    cov = row["yw"] - row["y"] * row["w"]
    sd = ratio_sd(row["y"], row["w"], row["yy"], row["ww"], cov)
    cubes = row["y3"] - 3 * ratio * row["yyw"] + 3 * ratio**2 * row["yww"] - ratio**3 * row["w3"]
    return {"mean": ratio, "var": sd**2 * unbiased, "third": cubes / row["w"] ** 3, "r2": 0.0}
