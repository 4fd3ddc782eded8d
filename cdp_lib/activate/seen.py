"""What customers bought and looked at, as sparse matrices over customers and articles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.activate.goods import Goods, purchases, with_article
from cdp_lib.checks import above
from cdp_lib.customers.actions import owned
from cdp_lib.customers.ages import DAY, Span
from cdp_lib.customers.part import Part
from cdp_lib.tables import Shop
from cdp_lib.tables.micros import micros

BOUGHT_HALF_DAYS = 60.0
VIEWED_HALF_DAYS = 14.0
LATE_HALF_DAYS = 3.0
VIEW_DAYS = 90
CART_WEIGHT = 3.0  # an addition to the cart, in views
MOST_PAIRS = 20_000_000


@dataclass(frozen=True)
class Seen:
    """Customers and articles as known before `as_of`.

    customers: ids, sorted; a row of each matrix. bought: orders that hold the article. fresh: the
    same, each order weighing half as much for every 60 days of its age. viewed: product views of
    the last 90 days, an addition to the cart counting three, halved every 14 days. late: the same,
    halved every three days. days: since the
    pair was last bought (stored on the pattern of `bought`). city: a code per customer, −1 where
    unknown. n_pairs: pairs of customer and article bought; n_dropped: those beyond the cap, the
    oldest.
    """

    customers: np.ndarray
    bought: object
    fresh: object
    viewed: object
    late: object
    days: object
    city: np.ndarray
    as_of: datetime
    n_pairs: int
    n_dropped: int

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def cold(self) -> np.ndarray:
        """Customers of whom neither a purchase nor a view is known."""
        return (np.diff(self.bought.indptr) == 0) & (np.diff(self.viewed.indptr) == 0)


def seen(shop: Shop, goods: Goods, half_days: float = BOUGHT_HALF_DAYS) -> Seen:
    """What is known at `shop.as_of` of every customer the shop lists or sold to.

    half_days: days after which a purchase counts half. Of more than 20 million pairs the latest
    are kept. Raises MissingTable without orders and lines.
    """
    above("half_days", half_days, 0)
    span = Span(shop.as_of, VIEW_DAYS)
    pairs, n_dropped = _bought(purchases(shop), span, half_days), 0
    # Pairs are no more than lines, which are cheaper to count.
    if int(shop.order_lines.count().execute()) > MOST_PAIRS:
        n_dropped = max(0, int(pairs.count().execute()) - MOST_PAIRS)
        pairs = pairs.order_by(["days", "customer_id", "article_id"]).limit(MOST_PAIRS)
    parts = {"bought": pairs.execute(), "viewed": pd.DataFrame()}
    if shop.has("events"):
        parts["viewed"] = _viewed(shop, span).execute()
    people = _people(shop)
    customers = np.unique(
        np.concatenate([_texts(people, "customer_id")] +
                       [_texts(part, "customer_id") for part in parts.values()])
    )  # fmt: skip
    shape = (len(customers), len(goods))
    place = pd.Series(np.arange(len(goods)), index=goods.table.article_id)
    place_of = pd.Index(customers)

    def matrix(part: pd.DataFrame, column: str):
        from scipy import sparse

        if part.empty:
            return sparse.csr_array(shape, dtype="float32")
        column_of = place.reindex(part.article_id).to_numpy()
        kept = ~np.isnan(column_of)
        row = place_of.get_indexer(_texts(part, "customer_id")[kept])
        at = (row, column_of[kept].astype(int))
        return sparse.csr_array((part[column].to_numpy("float32")[kept], at), shape=shape)

    bought = parts["bought"]
    cities = people.set_index("customer_id").city.reindex(customers)
    return Seen(
        customers,
        *(matrix(bought, column) for column in ("n", "fresh")),
        *(matrix(parts["viewed"], column) for column in ("weight", "late")),
        matrix(bought, "days"),
        pd.factorize(cities, sort=True)[0],
        shop.as_of,
        len(bought) + n_dropped,
        n_dropped,
    )


def bought_between(shop: Shop, start: datetime, end: datetime) -> pd.DataFrame:
    """What known customers bought in [start, end): customer_id, article_id, value (money)."""
    rows = purchases(shop)
    inside = (rows.ordered_at >= ibis.literal(start)) & (rows.ordered_at < ibis.literal(end))
    worth = (_.quantity * _.unit_price).sum()
    found = rows.filter(inside).group_by("customer_id", "article_id").agg(value=worth).execute()
    return found.sort_values(["customer_id", "article_id"], ignore_index=True)


def _bought(rows: Table, span: Span, half_days: float) -> Table:
    """A row per customer and article: n, fresh, days (since it was last bought)."""
    age = span.age_us(micros(rows.ordered_at)).cast("float64") / DAY
    once = rows.mutate(age=age).group_by("customer_id", "article_id", "order_id")
    once = once.agg(age=_.age.min())
    once = once.mutate(weight=(-_.age * (np.log(2) / half_days)).exp())
    pairs = once.group_by("customer_id", "article_id")
    return pairs.agg(n=_.count(), fresh=_.weight.sum(), days=_.age.min())


def _viewed(shop: Shop, span: Span) -> Table:
    """A row per customer and article looked at: weight, late."""
    rows = owned(Part(shop), span, ["product_id"], ["view_item", "add_to_cart"])
    rows = rows.filter(rows.product_id.notnull()).rename(customer_id="owner_id")
    rows = with_article(shop, rows.select("customer_id", "product_id", "event", "us"))
    weight = ibis.ifelse(rows.event == "view_item", 1.0, CART_WEIGHT)
    age = span.age_days(rows.us).cast("float64")
    faded = {
        name: weight * (-age * (np.log(2) / half)).exp()
        for name, half in (("weight", VIEWED_HALF_DAYS), ("late", LATE_HALF_DAYS))
    }
    rows = rows.mutate(**faded).group_by("customer_id", "article_id")
    return rows.agg(weight=_.weight.sum(), late=_.late.sum())


def _people(shop: Shop) -> pd.DataFrame:
    """Every customer listed, with the city where it is known."""
    if not shop.has("customers"):
        return pd.DataFrame({"customer_id": pd.Series(dtype=str), "city": pd.Series(dtype=str)})
    return shop.customers.select("customer_id", "city").execute()


def _texts(part: pd.DataFrame, column: str) -> np.ndarray:
    if part.empty:
        return np.empty(0, dtype=object)
    return part[column].to_numpy(object)
