"""The lists of a study: three to five articles for each customer, in the size that fits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend import Study
from cdp_lib.activate.recommend_family import top
from cdp_lib.checks import Refusal, at_least, one_of
from cdp_lib.customers.sizes import preferred_size
from cdp_lib.tables import Shop

BATCH = 2_000
RANKS = ("chance", "margin")
COLUMNS = ["customer_id", "rank", "product_id", "family", "score"]


def next_best(
    study: Study,
    n: int = 5,
    customers: pd.Series | np.ndarray | None = None,
    shown: pd.DataFrame | None = None,
    sizes: pd.DataFrame | None = None,
    by: str = "chance",
) -> pd.DataFrame:
    """The next-best list of each customer, the best first.

    customers: ids to list; by default every customer the shop lists or sold to. A customer of whom
    nothing is known gets what sells in their city, else in the shop. shown: customer_id and
    product_id of what a customer was shown lately, which is left out in every size. sizes:
    customer_id and size, and category where sizes differ by it (`own_sizes`). by: "chance",
    or "margin" for chance times margin, where the cost is known.

    Out: a row per customer and rank: customer_id, rank (from 1), product_id (in the customer's size
    where known and in stock, else in the size sold most), family (the one on whose own list it
    stands highest), score (0–1, the chance beside the customer's other articles). Articles without
    price, stock or margin are left out, and owned ones where the study does so. Raises Refusal for
    unknown ids.
    """
    at_least("n", n, 1)
    one_of("by", by, RANKS)
    known, offer = study.now.seen, study.now.goods
    rows = _rows(known.customers, customers)
    hidden = _hidden(study, shown)
    worth = _margins(offer) if by == "margin" else np.ones(len(offer))
    closed = ~offer.table.offered.to_numpy()
    families = [study.now.families[name] for name in study.blend.names]
    weight = study.blend.share + study.blend.log
    speaks = (weight > 0) | (np.array(study.blend.names) == "popular")
    parts = []
    for batch in np.array_split(rows, max(1, -(-len(rows) // BATCH))):
        said = [family.scaled(batch) for family in families]
        score = study.blend.score(said)
        score = np.exp(score - score.max(axis=1, keepdims=True))
        chance = score / score.sum(axis=1, keepdims=True)
        ranked = chance * worth
        ranked[:, closed] = -1.0
        if hidden is not None:
            ranked[(hidden[batch] > 0).toarray()] = -1.0
        chosen = top(ranked, n)
        row = np.repeat(np.arange(len(batch)), chosen.shape[1])
        column = chosen.ravel()
        # Named is the family on whose own list the article stands highest.
        own = np.stack([values[row, column] for values in said]).round(4)
        family = np.where(speaks[:, None], own, -1.0).argmax(axis=0)
        part = pd.DataFrame(
            {
                "customer": batch[row],
                "rank": np.tile(np.arange(1, chosen.shape[1] + 1), len(batch)),
                "article": column,
                "family": family,
                "score": chance[row, column],
            }
        )
        parts.append(part[ranked[row, column] > 0])
    table = pd.concat(parts, ignore_index=True)
    table["customer_id"] = known.customers[table.customer.to_numpy(int)]
    table["family"] = np.array(study.blend.names, dtype=object)[table.family.to_numpy(int)]
    table["product_id"] = fitting(offer, table, sizes)
    return table[COLUMNS]


def wide(table: pd.DataFrame, n: int = 5) -> pd.DataFrame:
    """A row per customer: customer_id, product_1 … product_n; None where the list is shorter."""
    grid = table.pivot(index="customer_id", columns="rank", values="product_id")
    grid = grid.reindex(columns=range(1, n + 1)).astype(object).where(lambda t: t.notna(), None)
    grid.columns = [f"product_{rank}" for rank in grid.columns]
    return grid.reset_index()


def own_sizes(shop: Shop) -> pd.DataFrame:
    """The size each customer prefers by category: customer_id, category, size; empty where the
    shop has no sizes."""
    if not shop.has("products") or not {"size", "category"} <= shop.given("products"):
        return pd.DataFrame(columns=["customer_id", "category", "size"])
    return preferred_size(shop).select("customer_id", "category", "size").execute()


def fitting(goods: Goods, table: pd.DataFrame, sizes: pd.DataFrame | None) -> np.ndarray:
    """The product of each row (customer_id, article): in the customer's size where there is one."""
    there = goods.variants[goods.variants.available & goods.variants.price.notna()]
    there = there.sort_values(["article", "n_orders"], ascending=[True, False], kind="stable")
    usual = there.drop_duplicates("article").set_index("article").product_id
    chosen = usual.reindex(table.article).to_numpy(object)
    if sizes is None or sizes.empty:
        return chosen
    for column in ("customer_id", "size"):
        one_of("sizes", column, sizes.columns)
    wanted = table[["customer_id", "article"]].copy()
    keys = ["customer_id"]
    if "category" in sizes.columns:
        wanted["category"] = goods.table.category.reindex(wanted.article).to_numpy()
        keys.append("category")
    liked = sizes.drop_duplicates(keys)[[*keys, "size"]]
    wanted = wanted.merge(liked, on=keys, how="left")
    sized = there.drop_duplicates(["article", "size"])[["article", "size", "product_id"]]
    sized = sized[sized["size"].notna()]
    mine = wanted.merge(sized, on=["article", "size"], how="left").product_id.to_numpy(object)
    return np.where(pd.isna(mine), chosen, mine)


def _rows(ids: np.ndarray, customers) -> np.ndarray:
    if customers is None:
        return np.arange(len(ids))
    wanted = np.unique(np.asarray(customers, dtype=object))
    rows = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    missing = wanted[ids[rows] != wanted] if len(ids) else wanted
    if len(missing):
        raise Refusal(
            "customers", len(missing), "ids that the shop neither lists nor sold to",
            "ask for customers of this shop",
        )  # fmt: skip
    return rows


def _hidden(study: Study, shown: pd.DataFrame | None):
    """Pairs of customer and article that no list may hold, as a sparse matrix; None for none."""
    known, offer = study.now.seen, study.now.goods
    hidden = known.bought if study.owned == "leave out" else None
    if shown is None or shown.empty:
        return hidden
    from scipy import sparse

    for column in ("customer_id", "product_id"):
        one_of("shown", column, shown.columns)
    row = pd.Index(known.customers).get_indexer(shown.customer_id)
    article = offer.variants.set_index("product_id").article.reindex(shown.product_id).to_numpy()
    kept = (row >= 0) & ~np.isnan(article.astype(float))
    at = (row[kept], article[kept].astype(int))
    lately = sparse.csr_array((np.ones(kept.sum(), "float32"), at), shape=known.bought.shape)
    return lately if hidden is None else (hidden + lately).tocsr()


def _margins(goods: Goods) -> np.ndarray:
    """Money earned by one piece; of an article of unknown cost at the shop's usual margin."""
    price, cost = goods.table.price.to_numpy(float), goods.table.cost.to_numpy(float)
    rate = np.nanmedian(1 - cost / price) if np.isfinite(cost / price).any() else 1.0
    earned = np.where(np.isnan(cost), price * rate, price - cost)
    return np.nan_to_num(np.maximum(earned, 0.0))
