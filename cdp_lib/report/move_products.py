"""The products that a message may show: those left behind, looked at, or recommended."""

from __future__ import annotations

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Column, Table

from cdp_lib.activate.lists import read_list
from cdp_lib.report.candidates import Sources

MOST = 3  # products beside a customer
RECOMMENDED = "07_recommendations"  # the list of recommendations, where that page has left it


def products(sources: Sources, what: str, customers: Table) -> pd.DataFrame | None:
    """The products to show to the customers of a list of the workbench.

    what: the list's name. customers: a table of customer_id. Out: a row per customer of whom any
    is known: customer_id, product_1 … (the most wanted first), null where there are fewer; None for
    a list that is not about products, or where nothing was recommended.

    - abandoned_carts: what lies in their carts, the dearest first
    - abandoned_browses: what they looked at, most often first
    - price_drop: what has become cheaper, the largest part of its price first
    - cross_sell, lookalike_prospects: what is recommended to them
    """
    if what == "abandoned_carts":
        table = sources.carted
        return _first(table, table.pieces * table.price_seen.coalesce(0.0), customers)
    if what == "abandoned_browses":
        return _first(sources.browsed, sources.browsed.n_views.cast("float64"), customers)
    if what == "price_drop":
        return _first(sources.cheaper, sources.cheaper.drop_rate, customers)
    listed = None
    if what in ("cross_sell", "lookalike_prospects"):
        listed = read_list(sources.lists, RECOMMENDED)
    if listed is None:
        return None
    named = [f"product_{k}" for k in range(1, MOST + 1) if f"product_{k}" in listed.columns]
    wanted = customers.select("customer_id").to_pandas().customer_id
    mine = listed[listed.customer_id.isin(wanted)]
    return mine[["customer_id", *named]].reset_index(drop=True)


def _first(table: Table, wanted: Column, customers: Table) -> pd.DataFrame:
    """Each customer's products by falling `wanted`; of two alike the first by its id."""
    rows = table.mutate(wanted__=wanted).filter(table.customer_id.notnull())
    rows = rows.semi_join(customers, "customer_id")
    rows = rows.group_by("customer_id", product_id=rows.product_id.cast("string")).aggregate(
        wanted=_.wanted__.max()
    )
    order = [ibis.desc(rows.wanted), rows.product_id]
    place = ibis.row_number().over(group_by=rows.customer_id, order_by=order)
    rows = rows.mutate(place=place).filter(_.place < MOST)
    named = {f"product_{k + 1}": rows.product_id.max(where=rows.place == k) for k in range(MOST)}
    return rows.group_by("customer_id").aggregate(**named).order_by("customer_id").to_pandas()
