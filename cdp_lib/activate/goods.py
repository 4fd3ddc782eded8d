"""What a shop can recommend: its articles, each in the sizes it comes in.

An *article* is what a customer thinks of as one thing. Products of one name, brand and category
whose sizes all differ are one article in several sizes; any other product is an article of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_lists import price_now
from cdp_lib.checks import TooLittleData, at_least
from cdp_lib.tables import Shop
from cdp_lib.tables.purchases import is_purchase, of_customers

if TYPE_CHECKING:
    from scipy import sparse

MOST_ARTICLES = 10_000
ATTRIBUTES = ("category", "brand", "price_band")
BANDS = 5
STOCK = ("stock", "available")  # further columns of products that say whether there is any


@dataclass(frozen=True)
class Goods:
    """The articles of a shop at a time.

    table: a row per article, by index: article_id, name, category, brand, price_band (0 the
    cheapest fifth of its category; −1 without a price), price (now, of one piece; NaN where
    unknown), cost, n_orders, n_variants, offered (may be recommended). variants: a row per
    product: product_id, article (index), size, price, cost, n_orders, available. n_unpriced,
    n_out_of_stock, n_at_a_loss: articles not offered, by the first of these reasons. n_left_out:
    articles beyond the most bought; kept_share: of all lines those of the articles kept.
    """

    table: pd.DataFrame
    variants: pd.DataFrame
    as_of: datetime
    n_unpriced: int
    n_out_of_stock: int
    n_at_a_loss: int
    n_left_out: int
    kept_share: float

    def __len__(self) -> int:
        return len(self.table)

    def codes(self, column: str) -> np.ndarray:
        """An attribute as whole numbers from 0 on, −1 where it is unknown."""
        values = self.table[column]
        if column == "price_band":
            return values.to_numpy(int)
        return pd.factorize(values, sort=True)[0]

    def kinds(self, column: str) -> tuple[np.ndarray, sparse.csr_array] | None:
        """An attribute's `codes`, and a matrix of ones: articles × codes. None where it does not
        tell two articles apart."""
        from scipy import sparse

        codes = self.codes(column)
        if codes.max(initial=-1) < 1:
            return None
        known = np.flatnonzero(codes >= 0)
        cells = np.ones(len(known), "float32"), (known, codes[known])
        return codes, sparse.csr_array(cells, shape=(len(self), codes.max() + 1))


def article_table(shop: Shop) -> Table | None:
    """Which article a product is: an Ibis table product_id, article_id; None without products.

    The article is named by the first of its products' ids.
    """
    products = shop.find("products")
    if products is None:
        return None
    if not {"name", "size"} <= shop.given("products"):
        return products.select("product_id", article_id=products.product_id)
    keyed = products.select(
        "product_id",
        "size",
        name_=_.name,
        brand_=_.brand.coalesce(""),
        category_=_.category.coalesce(""),
    )
    keys = ["name_", "brand_", "category_"]
    sized = keyed.filter(_.name_.notnull() & _.size.notnull()).group_by(keys)
    sized = sized.agg(first=_.product_id.min(), n=_.count(), n_sizes=_.size.nunique())
    # Two products of one size are two things, whatever they are called.
    sized = sized.filter(_.n == _.n_sizes).select(*keys, "first")
    joined = keyed.left_join(sized, keys)
    own = ibis.ifelse(joined.size.notnull(), joined["first"], ibis.null("string"))
    return joined.select("product_id", article_id=own.coalesce(joined.product_id))


def purchases(shop: Shop) -> Table:
    """What customers bought: lines of orders of known customers, without what came back.

    Out: an Ibis table, a row per line: order_id, customer_id, ordered_at, product_id, article_id,
    quantity, unit_price. Raises MissingTable without orders and their lines.
    """
    shop.require("orders", "order_lines")
    orders = of_customers(shop.orders).select("order_id", "customer_id", "ordered_at")
    return with_article(shop, _lines(shop, orders))


def with_article(shop: Shop, rows: Table) -> Table:
    """Rows of products with their article_id; a product the shop does not list is its own."""
    articles = article_table(shop)
    if articles is None:
        return rows.mutate(article_id=rows.product_id)
    joined = rows.left_join(articles, "product_id")
    joined = joined.mutate(article_id=joined.article_id.coalesce(joined.product_id))
    return joined.select(*rows.columns, "article_id")


def goods(shop: Shop, most: int = MOST_ARTICLES) -> Goods:
    """The articles that the shop sells, at `shop.as_of`: the `most` that most orders hold.

    A product without a price has that of its latest sale. Not offered are articles without a
    price, without stock where products have a column `stock` or `available`, and those that cost as
    much as they bring. Raises MissingTable without orders and lines, and TooLittleData where
    nothing was sold.
    """
    at_least("most", most, 1)
    shop.require("orders", "order_lines")
    bought = shop.orders.filter(is_purchase(shop.orders)).select("order_id", "ordered_at")
    sold = _lines(shop, bought)
    sold = sold.group_by("product_id").agg(
        n_orders=_.order_id.nunique(), last_price=_.unit_price.argmax(_.ordered_at)
    )
    rows = _listed(shop, sold).execute()
    if rows.empty or not rows.n_orders.sum():
        raise TooLittleData("order_lines", 0, "no order holds a product", "deliver order lines")
    rows["price"] = rows["price"].fillna(rows["last_price"]).astype(float)
    rows = rows.sort_values("product_id", ignore_index=True)
    counts = rows.groupby("article_id").n_orders.sum().sort_index()
    kept = counts.sort_values(ascending=False, kind="stable").head(most).index
    index = pd.Series(np.arange(len(kept)), index=kept)
    variants = rows[rows.article_id.isin(kept)].copy()
    variants.insert(1, "article", index[variants.article_id].to_numpy())
    table = _articles(variants)
    unpriced = table.price.isna()
    gone = ~variants.groupby("article").available.any() & ~unpriced
    loss = (table.cost >= table.price) & ~unpriced & ~gone
    table["offered"] = ~(unpriced | gone | loss)
    columns = ["product_id", "article", "size", "price", "cost", "n_orders", "available"]
    return Goods(
        table,
        variants[columns].reset_index(drop=True),
        shop.as_of,
        int(unpriced.sum()),
        int(gone.sum()),
        int(loss.sum()),
        len(counts) - len(kept),
        float(counts[kept].sum() / counts.sum()),
    )


def _lines(shop: Shop, orders: Table) -> Table:
    """Lines of these orders that were bought, with what is known of the order."""
    lines = shop.order_lines.filter(shop.order_lines.quantity > 0)
    lines = lines.select("order_id", "product_id", "quantity", "unit_price")
    return lines.inner_join(orders, "order_id")


def _listed(shop: Shop, sold: Table) -> Table:
    """A row per product listed or sold, with what is known of it."""
    products, stocked = shop.find("products"), ibis.literal(True)
    if products is None:
        names = ("name", "category", "brand", "size")
        rows = sold.mutate(**dict.fromkeys(names, ibis.null("string")))
        rows = rows.mutate(cost=ibis.null("float64"), article_id=rows.product_id, available=stocked)
        if not shop.has("prices"):
            return rows.mutate(price=ibis.null("float64"))
    else:
        extras = {name.lower(): name for name in shop.mapped("products").extras}
        for name in STOCK:
            if name in extras:
                value = products[extras[name]]
                there = value if value.type().is_boolean() else value.cast("float64") > 0
                stocked = stocked & there.fill_null(True)
        listed = products.select(
            *("product_id", "name", "category", "brand", "size", "cost"), available=stocked
        )
        # What was sold but is not listed has no description, and may be gone.
        every = products.select("product_id").union(sold.select("product_id")).distinct()
        rows = every.left_join(listed, "product_id").drop("product_id_right")
        rows = rows.left_join(sold, "product_id").drop("product_id_right")
        rows = with_article(shop, rows.mutate(available=rows.available.coalesce(True)))
    now = price_now(shop.as_of, shop.find("prices"), products)
    rows = rows.left_join(now, "product_id").drop("product_id_right")
    return rows.rename(price="price_now").mutate(n_orders=_.n_orders.coalesce(0))


def _articles(variants: pd.DataFrame) -> pd.DataFrame:
    """The row of each article: described by its product sold most, at the least price in stock."""
    best = variants.sort_values(["article", "n_orders"], ascending=[True, False], kind="stable")
    table = best.groupby("article").head(1).set_index("article")
    table = table[["article_id", "name", "category", "brand", "price", "cost"]].sort_index()
    table["n_orders"] = variants.groupby("article").n_orders.sum()
    table["n_variants"] = variants.groupby("article").size()
    place = table.groupby(table.category.fillna(""))["price"].rank(pct=True)
    band = np.ceil(place * BANDS) - 1
    table["price_band"] = band.fillna(-1).clip(upper=BANDS - 1).astype(int)
    return table
