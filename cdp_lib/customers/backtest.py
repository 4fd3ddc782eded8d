"""Was it right? What the value models expected at earlier moments, beside what happened.

At each moment the models are fitted to what was known then, and nothing later. The error beyond
chance that shows there is what the season, campaigns and a wrong law add; `widened` puts it into
the interval of a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData, above, at_least
from cdp_lib.customers.ages import amount, money, total
from cdp_lib.customers.totals import totals
from cdp_lib.customers.worth import ValueModel, fit, value_table
from cdp_lib.normal import Z
from cdp_lib.tables import Shop
from cdp_lib.tables.purchases import is_purchase
from cdp_lib.windows import instant

LEAST_HISTORY = 91  # days before the first moment
MONTHS = 18  # of first orders, above which cohorts are quarters


@dataclass(frozen=True)
class Backtest:
    """What the models expected at earlier moments, and what happened.

    horizon_days: of each forecast. moments: a row per moment, newest first: cutoff, n_customers,
    expected_orders, happened_orders, expected_value, value_low, value_high (of chance and
    parameters), happened_value, ratio (happened over expected), inside. cohorts: of the newest
    moment, a row per month (or quarter) of the first order: cohort, n_customers, expected_value,
    value_low, value_high, happened_value, ratio, inside. deciles: of the newest moment, a row per
    tenth by expected value, the highest first: group, n_customers, expected_value, happened_value,
    happened_low, happened_high (95 %), all a customer. scores: measure, value, low, high. pairs: a
    row per customer of the newest moment: customer_id, expected_value, happened_value, kept by the
    engine. model: that of the newest moment.
    error: standard deviation of the relative error beyond chance.
    """

    horizon_days: int
    moments: pd.DataFrame
    cohorts: pd.DataFrame
    deciles: pd.DataFrame
    scores: pd.DataFrame
    pairs: Table
    model: ValueModel
    error: float


def backtest(shop: Shop, horizon_days: int = 91, n_moments: int = 5) -> Backtest:
    """Forecasts at up to `n_moments` moments, half a horizon apart, the newest just before as_of.

    Raises TooLittleData where fewer than 91 days lie before the newest moment.
    """
    above("horizon_days", horizon_days, 0)
    at_least("n_moments", n_moments, 1)
    shop.require("orders")
    first = shop.orders.ordered_at.min().execute()
    begun = None if first is None or first != first else pd.Timestamp(first).to_pydatetime()
    step = max(1, horizon_days // 2)
    cutoffs = [shop.as_of - timedelta(days=horizon_days + step * k) for k in range(n_moments)]
    least = timedelta(days=LEAST_HISTORY)
    cutoffs = [cutoff for cutoff in cutoffs if begun is not None and cutoff - begun >= least]
    if not cutoffs:
        raise TooLittleData(
            "orders", str(first),
            f"fewer than {LEAST_HISTORY + horizon_days} days of orders to test a forecast on",
            "take a shorter horizon, or wait",
        )  # fmt: skip
    rows, newest = [], None
    for cutoff in cutoffs:
        model = fit(shop, cutoff)
        came = happened(shop, cutoff, horizon_days, model.kept.kind)
        mine = model.histories.select("customer_id").inner_join(came, "customer_id")
        sums = mine.agg(orders=_.n_orders.sum(), value=_.value.sum()).to_pandas().iloc[0]
        told = totals(model, (horizon_days,)).iloc[0]
        rows.append((cutoff, told, *(float(sums[name] or 0) for name in ("orders", "value"))))
        newest = newest or (model, came)
    moments = _moment_table(rows)
    model, came = newest
    values = value_table(model, horizon_days, intervals=False)
    pairs = values.left_join(came, "customer_id").select(
        "customer_id",
        "expected_value",
        happened_value=_.value.fill_null(0.0),
    )
    pairs = pairs.cache()
    return Backtest(
        int(horizon_days),
        moments,
        _cohorts(model, pairs, horizon_days),
        decile_table(pairs),
        score_table(pairs),
        pairs,
        model,
        model_error(moments),
    )


def happened(
    shop: Shop, cutoff: str | date | datetime, horizon_days: float, kind: str = "margin"
) -> Table:
    """What customers brought in [cutoff, cutoff + horizon).

    kind: "margin" (orders of an unknown cost bring nothing) or "revenue", both after returns.
    Out: a row per customer with an order there: customer_id, n_orders (days with a purchase),
    value.
    """
    start = instant(cutoff, "cutoff")
    end = start + timedelta(days=horizon_days)
    rows = shop.at(min(end, shop.as_of)).orders
    rows = rows.filter(rows.customer_id.notnull(), rows.ordered_at >= ibis.literal(start))
    stays = rows.revenue - rows.cost if kind == "margin" else rows.revenue
    day = rows.ordered_at.epoch_seconds().floor().cast("int64") // 86_400
    day = is_purchase(rows).ifelse(day, ibis.null("int64"))
    rows = rows.mutate(stays=money(stays), day=day)
    return rows.group_by("customer_id").agg(
        n_orders=_.day.nunique().cast("int64"), value=amount(total(_.stays)).fill_null(0.0)
    )


def model_error(moments: pd.DataFrame) -> float:
    """The standard deviation of relative errors that chance and parameters do not explain.

    The mean of (happened - expected)² less the variance the interval claims, over expected², and
    not below 0. `moments`: as in Backtest, with sd.
    """
    off = (moments.happened_value - moments.expected_value) ** 2 - moments.sd**2
    return float(np.sqrt(max((off / moments.expected_value**2).mean(), 0.0)))


def widened(table: pd.DataFrame, test: Backtest) -> pd.DataFrame:
    """`worth.totals` with intervals that also cover the error the back-test showed.

    The error counts as the relative one of a total, the same for every horizon, with Student's
    quantile for as many horizons as the moments span. In: chance_sd, parameter_sd, expected_value.
    Out: the same rows with value_low, value_high and error_sd; alone_low, alone_high: the interval
    there was.
    """
    from scipy.special import stdtrit

    span = (test.moments.cutoff.max() - test.moments.cutoff.min()) / timedelta(days=1)
    free = 1 + span / test.horizon_days
    own = np.sqrt(table.chance_sd**2 + table.parameter_sd**2)
    off = test.error * table.expected_value.abs()
    half = np.sqrt((Z * own) ** 2 + (stdtrit(free, 0.975) * off) ** 2)
    low = table.expected_value - half
    return table.assign(
        alone_low=table.value_low,
        alone_high=table.value_high,
        value_low=np.where(table.expected_value > 0, np.maximum(low, 0.0), low),
        value_high=table.expected_value + half,
        error_sd=off,
    )


def decile_table(pairs: Table) -> pd.DataFrame:
    """Tenths by expected value: what was expected and what happened, a customer; see Backtest."""
    order = ibis.window(order_by=[pairs.expected_value.desc(), pairs.customer_id])
    cut = pairs.mutate(group=ibis.ntile(10).over(order) + 1)
    found = cut.group_by("group").agg(
        n_customers=_.count(), expected_value=_.expected_value.mean(),
        happened_value=_.happened_value.mean(),
        squares=(_.happened_value * _.happened_value).sum(),
    ).to_pandas().sort_values("group", ignore_index=True)  # fmt: skip
    n, mean = found.n_customers, found.happened_value
    spread = np.maximum(found.squares - n * mean**2, 0.0) / np.maximum(n - 1, 1)
    half = Z * np.sqrt(spread / n)
    found = found.assign(happened_low=mean - half, happened_high=mean + half)
    return found.drop(columns="squares")


def score_table(pairs: Table) -> pd.DataFrame:
    """How far forecasts of customers were right.

    Out: measure, value, low, high (95 %): "bias" (expected over happened, less 1), "mae" (money a
    customer), "rank correlation" (Spearman's), "top tenth" (share of what happened that the tenth
    with the highest forecasts brought).
    """
    frame = pairs.select("expected_value", "happened_value").to_pandas()
    return scores(frame.expected_value.to_numpy(float), frame.happened_value.to_numpy(float))


def scores(expected: np.ndarray, came: np.ndarray) -> pd.DataFrame:
    """`score_table` of arrays in memory, a customer each."""
    from scipy import stats

    n, nan = len(came), float("nan")
    ratio = expected.sum() / came.sum() if came.sum() > 0 else nan
    half = Z * np.sqrt(((expected - ratio * came) ** 2).sum()) / max(came.sum(), 1e-300)
    off = np.abs(expected - came)
    varied = n > 3 and np.ptp(came) > 0 and np.ptp(expected) > 0
    rank = float(stats.spearmanr(expected, came).statistic) if varied else nan
    swing = Z * np.sqrt(1.06 / (n - 3)) if n > 3 else nan
    near = np.sqrt(off.var(ddof=1) / n) * Z if n > 1 else nan
    top = np.zeros(n)
    top[np.argsort(-expected, kind="stable")[: max(1, round(n / 10))]] = 1
    caught = (top * came).sum() / came.sum() if came.sum() > 0 else nan
    wide = Z * np.sqrt((((top - caught) * came) ** 2).sum()) / max(came.sum(), 1e-300)
    rows = [
        ("bias", ratio - 1, ratio - 1 - half, ratio - 1 + half),
        ("mae", off.mean(), off.mean() - near, off.mean() + near),
        ("rank correlation", rank, *np.tanh(np.arctanh(rank) + np.array([-swing, swing]))),
        ("top tenth", caught, caught - wide, caught + wide),
    ]
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high"])


def _moment_table(rows: list[tuple]) -> pd.DataFrame:
    found = []
    for cutoff, told, n_orders, value in rows:
        found.append(
            {
                "cutoff": cutoff, "n_customers": int(told.n_customers),
                "expected_orders": told.expected_orders, "happened_orders": n_orders,
                "expected_value": told.expected_value, "value_low": told.value_low,
                "value_high": told.value_high, "happened_value": value,
                "ratio": value / told.expected_value if told.expected_value else float("nan"),
                "inside": bool(told.value_low <= value <= told.value_high),
                "sd": float(np.hypot(told.chance_sd, told.parameter_sd)),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def _cohorts(model: ValueModel, pairs: Table, horizon_days: float) -> pd.DataFrame:
    ends = model.histories.agg(a=_.first_at.min(), b=_.first_at.max()).to_pandas().iloc[0]
    unit = "M" if ends.b - ends.a < timedelta(days=MONTHS * 30.5) else "Q"
    named = model.histories.select("customer_id", cohort=_.first_at.truncate(unit))
    told = totals(model, (horizon_days,), by=named)
    came = pairs.join(named, "customer_id").group_by("cohort")
    came = came.agg(happened_value=_.happened_value.sum()).to_pandas()
    both = told.merge(came, on="cohort").sort_values("cohort", ignore_index=True)
    inside = both.happened_value.between(both.value_low, both.value_high)
    columns = [
        "cohort",
        "n_customers",
        "expected_value",
        "value_low",
        "value_high",
        "happened_value",
    ]
    return both[columns].assign(
        ratio=both.happened_value / both.expected_value.replace(0, np.nan), inside=inside
    )
