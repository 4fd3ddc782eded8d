"""Which forecast of customers' value is the best on this shop: its own model, trees, or an average?

Every candidate forecasts the value of customers whom no candidate learned from, over days that lie
after everything it saw. The simplest one within a standard error of the best is used (Breiman et
al. 1984, section 3.4.3), and an average is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, TooLittleData, above, one_of
from cdp_lib.customers import backtest, worth
from cdp_lib.customers.histories import history_table
from cdp_lib.predict import value_trees
from cdp_lib.predict.roles import bounds, hash_below, hashed
from cdp_lib.tables import Shop

AVERAGE, LAST, OWN, MODEL, TREES = CANDIDATES = (
    "an average customer",
    "the same as in the last span",
    "their own average a day",
    "BG/NBD and Gamma-Gamma",
    "boosted trees",
)
LEAST_HISTORY = 91  # days before the cutoff that is learned from
LEAST_CUSTOMERS = 200  # to test on


@dataclass(frozen=True)
class ValueRace:
    """How the candidates did, simplest first.

    table: a row per candidate: candidate, expected (sum over those tested), bias, mae, rank
    correlation and top tenth with their ends (as `backtest.score_table`, a column each), loss (mean
    squared error), behind (loss over the best one's) and behind_se. chosen: the candidate to use.
    sentence: why. happened: sum over those tested. n_customers: tested. horizon_days, cutoff: of
    the forecast. left_out: candidate -> why it did not run.
    """

    table: pd.DataFrame
    chosen: str
    sentence: str
    happened: float
    n_customers: int
    horizon_days: int
    cutoff: datetime
    left_out: dict[str, str]


def race(
    shop: Shop,
    horizon_days: int = 91,
    features: str = "orders",
    cap: int = 50_000,
    seed: int = 7,
    threads: int = 2,
    model: worth.ValueModel | None = None,
) -> ValueRace:
    """Let the candidates forecast the last `horizon_days` before as_of.

    features: what the trees read, "orders" (quick) or "all" of the profile. cap: most customers to
    learn from, and to test on, drawn by hash. Raises TooLittleData where fewer than 91 days lie
    before the forecast, or fewer than 200 customers are there to test on; trees that would need a
    longer history are left out.
    """
    above("horizon_days", horizon_days, 0)
    one_of("features", features, value_trees.FEATURES)
    shop.require("orders")
    test = shop.as_of - timedelta(days=horizon_days)
    first = shop.orders.ordered_at.min().execute()
    begun = shop.as_of if first is None or first != first else pd.Timestamp(first).to_pydatetime()
    if test - begun < timedelta(days=LEAST_HISTORY):
        raise TooLittleData(
            "orders", str(begun), f"fewer than {LEAST_HISTORY} days of orders before the forecast",
            "take a shorter horizon, or wait",
        )  # fmt: skip
    if model is None:
        model = worth.fit(shop, test)
    elif model.cutoff != test:
        raise Refusal("model", str(model.cutoff), "of another moment", f"fit it at {test}")
    kind = model.kept.kind
    tested = _drawn(_of_test(model.histories, seed), cap, seed).cache()
    values = worth.value_table(model, horizon_days, intervals=False)
    frame = _beside(shop, tested, values, test, horizon_days, kind)
    if len(frame) < LEAST_CUSTOMERS:
        raise TooLittleData(
            "orders", len(frame), f"fewer than {LEAST_CUSTOMERS} customers to test on",
            "wait for more customers",
        )  # fmt: skip
    known = {LAST: frame.last_value, OWN: frame.own_value, MODEL: frame.model_value}
    learn, left_out = test - timedelta(days=horizon_days), {}
    if learn - begun < timedelta(days=LEAST_HISTORY):
        why = f"needs {2 * horizon_days + LEAST_HISTORY} days of orders to learn and to test"
        left_out = dict.fromkeys((AVERAGE, TREES), why)
    else:
        rows = _drawn(_not_test(history_table(shop, learn), seed), cap, seed).cache()
        try:
            trees = value_trees.fit(shop, rows, learn, horizon_days, kind, features, seed, threads)
            known[AVERAGE] = np.full(len(frame), trees.mean)
            known[TREES] = trees.predict(shop, tested, test, frame.customer_id)
        except TooLittleData as refusal:
            left_out = dict.fromkeys((AVERAGE, TREES), refusal.problem)
    came = frame.happened.to_numpy(float)
    forecasts = {name: np.asarray(known[name], float) for name in CANDIDATES if name in known}
    return _judged(forecasts, came, int(horizon_days), test, left_out)


def chosen_values(
    shop: Shop,
    found: ValueRace,
    model: worth.ValueModel,
    features: str = "orders",
    cap: int = 50_000,
    seed: int = 7,
) -> pd.DataFrame:
    """What each customer is expected to bring in the race's horizon after as_of, by its choice.

    model: the value models at as_of. Trees learn anew, from the newest closed horizon. Out: a row
    per customer with a purchase: customer_id, expected_value.
    """
    days, kind, now = found.horizon_days, model.kept.kind, model.cutoff
    everybody = model.histories
    if found.chosen == MODEL:
        values = worth.value_table(model, days, intervals=False)
        rows = values.select("customer_id", "expected_value").to_pandas()
    elif found.chosen == OWN:
        rows = _own(shop, everybody, now, days, kind).to_pandas()
    else:
        last = everybody.select("customer_id").left_join(
            backtest.happened(shop, now - timedelta(days=days), days, kind), "customer_id"
        )
        rows = last.select("customer_id", expected_value=_.value.fill_null(0.0)).to_pandas()
    if found.chosen in (TREES, AVERAGE):
        learn = now - timedelta(days=days)
        among = _drawn(history_table(shop, learn), cap, seed).cache()
        trees = value_trees.fit(shop, among, learn, days, kind, features, seed)
        value = trees.mean
        if found.chosen == TREES:
            value = trees.predict(shop, everybody, now, rows.customer_id)
        rows = rows.assign(expected_value=value)
    return rows.sort_values("customer_id", ignore_index=True)


def judged_table(forecasts: dict[str, np.ndarray], came: np.ndarray) -> tuple[pd.DataFrame, str]:
    """The table of a race and the candidate to use; `forecasts` are simplest first."""
    losses = {name: (came - expected) ** 2 for name, expected in forecasts.items()}
    best = min(losses, key=lambda name: losses[name].mean())
    rows, chosen = [], None
    for name, expected in forecasts.items():
        gap = losses[name] - losses[best]
        error = float(gap.std(ddof=1) / np.sqrt(len(gap)))
        if chosen is None and gap.mean() <= error:
            chosen = name
        told = {"candidate": name, "expected": float(expected.sum())}
        for row in backtest.scores(expected, came).itertuples():
            measure = row.measure.replace(" ", "_")
            told |= {measure: row.value, f"{measure}_low": row.low, f"{measure}_high": row.high}
        told |= {"loss": float(losses[name].mean()), "behind": float(gap.mean())}
        rows.append(told | {"behind_se": error})
    return pd.DataFrame(rows), chosen or best


def _judged(
    forecasts: dict[str, np.ndarray], came: np.ndarray, horizon_days: int, cutoff: datetime,
    left_out: dict[str, str],
) -> ValueRace:  # fmt: skip
    table, chosen = judged_table(forecasts, came)
    best = table.candidate[table.loss.idxmin()]
    off = table.set_index("candidate").bias[chosen]
    told = f"Used: {chosen}. "
    if chosen == best:
        told += "Its squared error is the least"
    else:
        told += f"Its squared error is within a standard error of the least ({best})"
    told += f"; its total was {abs(off):.0%} too {'high' if off > 0 else 'low'}."
    return ValueRace(
        table, chosen, told, float(came.sum()), len(came), horizon_days, cutoff, left_out
    )


def _beside(
    shop: Shop, tested: Table, values: Table, test: datetime, horizon_days: int, kind: str
) -> pd.DataFrame:
    """The customers tested: what they brought, and what all but the trees expect of them."""
    came = backtest.happened(shop, test, horizon_days, kind)
    start = test - timedelta(days=horizon_days)
    last = backtest.happened(shop, start, horizon_days, kind).select(
        "customer_id", last_value="value"
    )
    own = _own(shop, tested, test, horizon_days, kind).rename(own_value="expected_value")
    rows = tested.select("customer_id").inner_join(
        values.select("customer_id", model_value="expected_value"), "customer_id"
    )
    rows = rows.inner_join(own, "customer_id")
    rows = rows.left_join(last, "customer_id", rname="{name}__last")
    rows = rows.left_join(
        came.select("customer_id", happened="value"), "customer_id", rname="{name}__came"
    )
    found = rows.select(
        "customer_id",
        "model_value",
        "own_value",
        last_value=_.last_value.fill_null(0.0),
        happened=_.happened.fill_null(0.0),
    )
    return found.to_pandas().sort_values("customer_id", ignore_index=True)


def _own(shop: Shop, rows: Table, cutoff: datetime, horizon_days: int, kind: str) -> Table:
    """What customers brought a day so far, over a horizon: customer_id, expected_value.

    A customer of yesterday has no rate a day worth the name: at least a horizon counts.
    """
    begun = datetime(1970, 1, 2)
    ever = backtest.happened(shop, begun, (cutoff - begun) / timedelta(days=1), kind)
    both = rows.select("customer_id", "age").left_join(ever, "customer_id")
    days = ibis.greatest(both.age.cast("float64") + 1, float(horizon_days))
    value = both.value.fill_null(0.0) / days * float(horizon_days)
    return both.select("customer_id", expected_value=value)


def _of_test(table: Table, seed: int) -> Table:
    low, high = bounds("test")
    text = hashed(table.customer_id, seed)
    return table.filter(text >= low, text < high)


def _not_test(table: Table, seed: int) -> Table:
    return table.filter(hashed(table.customer_id, seed) < bounds("test")[0])


def _drawn(table: Table, cap: int, seed: int) -> Table:
    n = int(table.count().execute())
    if n <= cap:
        return table
    return table.filter(hashed(table.customer_id, seed, "value") < hash_below(cap / n))
