"""What customers are expected to bring: orders to come × their value × what the shop keeps.

`fit` reads a shop once; `value_table` says it of each customer, `totals` of all of them or of
groups. Nothing of it speaks of customers who are still to come, or who never ordered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import above, at_least
from cdp_lib.customers import generations, histories, precision
from cdp_lib.customers.generations import CELL, Generations
from cdp_lib.customers.histories import Kept
from cdp_lib.customers.spend import GammaGamma, Independence, fit_gamma_gamma, independence
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place
from cdp_lib.windows import instant

YEAR = 365.0
PARTS = 12  # steps of a horizon at whose middles money is discounted
TOLD = ("p_alive", "expected_orders", "faded_orders", "low", "high")  # of each cell


@dataclass(frozen=True)
class ValueModel:
    """The value models of a shop at a cutoff.

    orders, spend, kept: how many orders come, what they are worth, what is kept of it.
    orders_covariance, spend_covariance: of the logarithms of their parameters, a (4, 4) for each
    generation and a (3, 3). independence: of frequency and value. cutoff: its moment. n_customers:
    with a purchase; n_without: known customers without one, of whom it says nothing; None where the
    shop has no table of customers. histories: the table it was fitted to, kept by the engine.
    cells: `histories.cells` of it. warnings: sentences.
    """

    orders: Generations
    spend: GammaGamma
    kept: Kept
    orders_covariance: tuple[np.ndarray, ...]
    spend_covariance: np.ndarray
    independence: Independence
    cutoff: datetime
    n_customers: int
    n_without: int | None
    histories: Table
    cells: pd.DataFrame
    warnings: tuple[str, ...]


def fit(shop: Shop, cutoff: str | date | datetime | None = None) -> ValueModel:
    """Fit the value models to all that was known before a cutoff (None: the shop's as_of).

    Raises MissingTable without orders, and TooLittleData for fewer than 50 customers with a
    purchase or nobody who came back.
    """
    shop.require("orders")
    end = shop.as_of if cutoff is None else instant(cutoff, "cutoff")
    seen = histories.history_table(shop, end).cache()
    begun = generations.starts(seen)
    table = generations.split(seen, begun)
    cells = histories.cells(table)
    orders = generations.fit_generations(cells, begun)
    if len(orders.models) == 1 and begun:
        table = generations.split(seen, ())
        cells = histories.cells(table)
    spent = histories.spending(table)
    paid = (spent.n_valued, spent.mean_value, spent.n_customers)
    spend, apart = fit_gamma_gamma(*paid), independence(*paid)
    without = None
    if shop.has("customers"):
        known = shop.at(end).customers
        without = int(known.anti_join(seen, "customer_id").count().execute())
    keeps = histories.kept(shop, end)
    return ValueModel(
        orders,
        spend,
        keeps,
        generations.covariances(orders, cells),
        precision.of_gamma_gamma(spend, *paid),
        apart,
        end,
        int(cells.n_customers.sum()),
        without,
        table,
        cells,
        tuple(_warnings(orders, spend, apart, keeps)),
    )


def value_table(
    model: ValueModel,
    horizon_days: float = 365,
    discount_rate: float = 0.0,
    intervals: bool = True,
    draws: int = 400,
    seed: int = 7,
) -> Table:
    """What each customer is expected to bring within the horizon after the model's cutoff.

    discount_rate: a year, by which later money counts less. intervals: whether to work out the
    span of what a single customer may bring, from seeded draws. Out: a row per customer with a
    purchase: customer_id, p_alive, expected_orders (days with an order), order_value (expected,
    revenue), expected_revenue, expected_value (margin, or revenue where no cost is known, after
    returns), value_low, value_high (95 % of such customers bring as much; null without intervals).
    """
    cells, spend, rate = model.cells, model.spend, model.kept.rate
    count = model.orders.expected_orders(horizon_days, cells)
    faded = faded_orders(model.orders, horizon_days, discount_rate, cells)
    ends = np.full((len(cells), 2), np.nan)
    if intervals:
        ends = model.orders.quantiles(horizon_days, cells, spend, draws, seed)
        ends = ends * (faded / np.maximum(count, 1e-300))[:, None]
    scored = cells[CELL].assign(
        p_alive=model.orders.p_alive(cells), expected_orders=count, faded_orders=faded,
        low=ends[:, 0], high=ends[:, 1],
    )  # fmt: skip
    types = dict.fromkeys(CELL, "int64") | dict.fromkeys(TOLD, "float64")
    both = model.histories.join(place(model.histories, scored, types), CELL)
    spent = spend.gamma + both.n_valued * both.mean_value.fill_null(0.0)
    shape = spend.p * both.n_valued + (spend.q - 1)
    worth = (shape > 0).ifelse(spend.p * spent / shape.nullif(0), ibis.null("float64"))
    revenue = both.faded_orders * worth
    low, high = (_known(end * spent * rate) for end in (both.low, both.high))
    return both.select(
        "customer_id",
        "p_alive",
        "expected_orders",
        order_value=worth,
        expected_revenue=revenue,
        expected_value=revenue * rate,
        value_low=low if rate >= 0 else high,
        value_high=high if rate >= 0 else low,
    )


def faded_orders(
    orders: Generations, horizon: float, discount_rate: float, cells: pd.DataFrame
) -> np.ndarray:
    """Orders expected in the horizon of a customer of each cell, worth less the later they come."""
    above("horizon_days", horizon, 0)
    at_least("discount_rate", discount_rate, 0)
    if discount_rate == 0:
        return orders.expected_orders(horizon, cells)
    ends = np.linspace(0, horizon, PARTS + 1)
    count = [orders.expected_orders(end, cells) for end in ends]
    middle = (ends[1:] + ends[:-1]) / 2
    weight = (1 + discount_rate) ** (-middle / YEAR)
    return sum(w * (b - a) for w, a, b in zip(weight, count, count[1:], strict=False))


def _known(value):
    """NaN as null: what was not worked out."""
    return value.isnan().ifelse(ibis.null("float64"), value)


def _warnings(orders: Generations, spend: GammaGamma, apart: Independence, kept: Kept) -> list[str]:
    found = []
    if not orders.converged:
        found.append(
            "A fit of orders (BG/NBD) ran to the edge of its parameters: the history may be too "
            "short to see customers leave, so long horizons are doubtful."
        )
    if not spend.converged:
        found.append("The fit of order values (Gamma-Gamma) did not settle: see the back-test.")
    if spend.q <= 2:
        found.append("Order values have so heavy a tail that the spread of a total is not finite.")
    if apart.broken:
        found.append(apart.sentence)
    if kept.kind == "revenue":
        found.append("No cost of goods is known: value means revenue after returns, not margin.")
    elif kept.known_share < 0.95:
        found.append(f"The cost of {1 - kept.known_share:.0%} of the revenue is unknown.")
    return found
