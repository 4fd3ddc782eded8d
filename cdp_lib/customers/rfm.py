"""Recency, frequency, money: customers scored by cuts taken from the shop itself.

Scores go from 1 to 5, 5 being best: the latest, the most often, the most money. Cuts are quantiles
of the shop's own buyers, rounded to figures one can say, so they never split equal values. Where
the data cannot carry five levels (few buyers, or many equal values) there are fewer, spread over
1 to 5. Those who ordered once are a level of their own where they are a fifth or more; the others
are then cut among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import IntegerValue, NumericValue, Table

from cdp_lib.checks import Refusal, TooLittleData, at_least
from cdp_lib.customers.ages import DAY, Span, amount, money, total
from cdp_lib.customers.rfm_names import named
from cdp_lib.tables.micros import micros
from cdp_lib.tables.purchases import of_customers
from cdp_lib.windows import instant

LEVELS = 5
FEWEST = 10  # buyers a level must be able to hold
VALUES = {"r": "recency_days", "f": "frequency", "m": "monetary"}
SOURCES = {  # value -> the profile's column
    "recency_days": "days_since_order",
    "frequency": "orders_ever",
    "monetary": "revenue_ever",
}


@dataclass(frozen=True)
class Cuts:
    """The upper ends of all levels but the last, ascending, of each value.

    recency_days: days since the last order. frequency: orders. monetary: money spent. n: buyers
    they were taken from. A value equal to an end belongs to the level below it.
    """

    recency_days: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Rfm:
    """Scored customers and the cuts they were scored by.

    table: an Ibis table, a row per customer with an order: customer_id, recency_days, frequency,
    monetary, r, f, m (1 to 5), name. cuts: as used.
    """

    table: Table
    cuts: Cuts


def rfm(customers: Table, cuts: Cuts | None = None, levels: int = LEVELS, fewest: int = FEWEST):
    """Score customers by recency, frequency and money.

    customers: a profile (`profile.as_of`), or a table of customer_id, recency_days, frequency,
    monetary such as `of_orders` makes. cuts: those of another day, instead of these customers' own
    (which one query fetches). levels: 2 to 5. fewest: buyers that a level must be able to hold.
    Out: an Rfm. Raises Refusal for missing columns and TooLittleData where nobody ordered.
    """
    values = values_of(customers)
    cuts = cuts if cuts is not None else own_cuts(values, levels, fewest)
    three = (values[name] for name in VALUES.values())
    scored = values.mutate(**scores(*three, cuts))
    return Rfm(scored.mutate(name=named(scored.r, scored.f, scored.m)), cuts)


def values_of(customers: Table) -> Table:
    """The buyers' customer_id, recency_days, frequency and monetary, of a profile or as given."""
    if set(VALUES.values()) <= set(customers.columns):
        table = customers.select("customer_id", *VALUES.values())
    else:
        for column in ("customer_id", *SOURCES.values()):
            if column not in customers.columns:
                fix = "pass a profile of a shop with orders, or rfm.of_orders(orders, cutoff)"
                raise Refusal("customers", column, "no such column", fix)
        table = customers.select("customer_id", **{k: customers[v] for k, v in SOURCES.items()})
    bought = (table.frequency > 0) & table.recency_days.notnull() & table.monetary.notnull()
    return table.filter(bought)


def of_orders(orders: Table, cutoff: str | date | datetime) -> Table:
    """What each customer's orders before a cutoff say.

    In: orders with customer_id, ordered_at, revenue; one with a negative revenue is a return and
    does not count. Out: customer_id, recency_days, frequency, monetary.
    """
    span = Span(instant(cutoff, "cutoff"), 1)
    rows = of_customers(orders).filter(_.ordered_at < ibis.literal(span.cutoff))
    rows = rows.mutate(us=micros(rows.ordered_at), paid=money(rows.revenue))
    sums = rows.group_by("customer_id").aggregate(
        last_us=_.us.max(), frequency=_.count(), paid=total(rows.paid)
    )
    return sums.select(
        "customer_id",
        recency_days=span.age_us(sums.last_us).cast("float64") / DAY,
        frequency=sums.frequency.cast("int64"),
        monetary=amount(sums.paid),
    )


def own_cuts(values: Table, levels: int = LEVELS, fewest: int = FEWEST) -> Cuts:
    """The cuts of these buyers; see the head of this file. One query."""
    at_least("levels", levels, 2)
    if levels > LEVELS:
        raise Refusal("levels", levels, f"more than {LEVELS}", f"use {LEVELS}")
    often = values.group_by("frequency").aggregate(n=_.count()).to_pandas()
    n = int(often.n.sum())
    if not n:
        raise TooLittleData("orders", 0, "nobody has ordered", "wait for the first order")
    carried = max(1, min(levels, n // fewest))
    parts = [k / carried for k in range(1, carried)]
    recency, monetary = [], []
    if parts:
        sums = {f"r{i}": values.recency_days.quantile(p) for i, p in enumerate(parts)}
        sums |= {f"m{i}": values.monetary.quantile(p) for i, p in enumerate(parts)}
        sums |= {"r_top": values.recency_days.max(), "m_top": values.monetary.max()}
        row = values.aggregate(**sums).to_pyarrow().to_pylist()[0]
        recency = [math.ceil(row[f"r{i}"]) for i in range(len(parts))]
        monetary = [_rounded(row[f"m{i}"]) for i in range(len(parts))]
        recency = [end for end in recency if end < row["r_top"]]
        monetary = [end for end in monetary if end < row["m_top"]]
    steps = _frequency_cuts(often.frequency.to_numpy(), often.n.to_numpy(), carried)
    return Cuts(_ends(recency), steps, _ends(monetary), n)


def scores(
    recency_days: NumericValue, frequency: NumericValue, monetary: NumericValue, cuts: Cuts
) -> dict[str, IntegerValue]:
    """The scores r, f and m of three columns, as arguments of `mutate`."""
    return {
        "r": _score(recency_days, cuts.recency_days, latest_first=True),
        "f": _score(frequency, cuts.frequency),
        "m": _score(monetary, cuts.monetary),
    }


def cut_table(cuts: Cuts) -> pd.DataFrame:
    """The cuts as a table, a row per value and score.

    Out: value ("recency_days", "frequency", "monetary"), score, above (exclusive; null for none)
    and up_to (inclusive; null for none), in days, orders and money.
    """
    rows = []
    for value in VALUES.values():
        ends = getattr(cuts, value)
        marks = spread(len(ends) + 1)
        marks = marks[::-1] if value == "recency_days" else marks
        for mark, low, high in zip(marks, (None, *ends), (*ends, None), strict=True):
            rows.append((value, mark, low, high))
    table = pd.DataFrame(rows, columns=["value", "score", "above", "up_to"])
    return table.astype({"above": "float64", "up_to": "float64"})


def spread(n_levels: int) -> list[int]:
    """The scores that so many levels get, from the lowest up.

    >>> spread(5), spread(3), spread(1)
    ([1, 2, 3, 4, 5], [1, 3, 5], [3])
    """
    if n_levels == 1:
        return [(1 + LEVELS) // 2]
    return [1 + math.floor(k * (LEVELS - 1) / (n_levels - 1) + 0.5) for k in range(n_levels)]


def _score(value: NumericValue, ends: Sequence[float], latest_first: bool = False) -> IntegerValue:
    marks = spread(len(ends) + 1)
    marks = marks[::-1] if latest_first else marks
    if not ends:
        return ibis.literal(marks[0], "int64")
    steps = [(value <= end, mark) for end, mark in zip(ends, marks[:-1], strict=True)]
    return ibis.cases(*steps, else_=marks[-1]).cast("int64")


def _frequency_cuts(value: np.ndarray, n: np.ndarray, levels: int) -> tuple[float, ...]:
    """Cuts of a whole number from how many have it: a common lowest value is a level of its own."""
    order = np.argsort(value)
    value, n = value[order], n[order]
    own = levels > 1 and len(value) > 1 and n[0] * levels >= n.sum()
    ends = [float(value[0])] if own else []
    value, n = (value[1:], n[1:]) if own else (value, n)
    left = levels - len(ends)
    reached = np.cumsum(n) / n.sum()
    for k in range(1, left):
        ends.append(float(value[np.searchsorted(reached, k / left - 1e-12)]))
    return _ends([end for end in ends if end < value[-1]])


def _ends(ends: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted({float(end) for end in ends}))


def _rounded(value: float) -> float:
    """Three significant digits, as a person would say it."""
    return float(f"{value:.3g}")
