"""The size that a customer buys, and how steadily.

In words:

- Only lines of products with a size count, in pieces, less those that came back: a size that was
  returned speaks no more for itself. A line is one piece of evidence, however many pieces.
- Categories whose sizes are the same words (S, M, L …) speak of the same body: they make one
  *system*. Two categories are of one system where half of the sizes of the one with fewer are
  sizes of the other. Shoes of 36 to 46 and shirts of XS to XL tell nothing of each other.
- The preferred size in a category is the one of which most is expected: the customer's own lines
  in the category, shrunk towards their lines in the other categories of the system, shrunk towards
  what the shop sells there. How strongly is read from the shop itself: two lines of one customer
  are of one size more often than two lines of two customers (moments of the Dirichlet-multinomial
  law, Mosimann 1962).
- `consistency` is the share of their next lines that is expected in that size. Who never kept a
  line of a system has no row there: no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

LEAST_WEIGHT, MOST_WEIGHT = 1e-3, 1e4  # lines


@dataclass(frozen=True, eq=False)
class Sizes:
    """The sizes that customers buy.

    table: a row per customer and category, on the engine; see `preferred_size`.
    systems: a row per category that has sizes: category, system (the name of one of its
    categories), n_sizes. agreement: of two lines of one customer in one system, the share of one
    size; chance: of two lines of two customers; n_pairs: pairs of lines behind `agreement`. NaN
    without a pair. weight, category_weight: lines that the shop's shares, and the customer's in
    other categories, count as.
    """

    table: Table
    systems: pd.DataFrame
    agreement: float
    chance: float
    n_pairs: int
    weight: float
    category_weight: float


def preferred_size(shop: Shop) -> Table:
    """The preferred size of each customer in each category of a system in which they kept a line.

    Out: a row per customer and category: customer_id, category, size, n_bought (lines kept in the
    category), n_in_size (of these in that size), consistency, consistency_low, consistency_high
    (95 %). Raises MissingTable without orders, order_lines or sizes of products.
    """
    return read(shop).table


def read(shop: Shop) -> Sizes:
    """The sizes with what they were worked out from. Raises as `preferred_size`."""
    shop.require("orders", "order_lines", "products")
    if not {"size", "category"} <= shop.given("products"):
        fix = "map size and category in [tables.products]"
        raise MissingTable("shop", shop.name, "products without size or category", fix)
    sold = _sold(shop)
    systems = _systems(sold)
    lines = _lines(shop, systems).cache()
    pairs = _pairs(lines)
    usual = _usual(lines, sold.merge(systems[["category", "system"]], on="category"))
    weight = _weight(pairs["agreeing"], pairs["all"], pairs["chance"])
    across = pairs["all"] - pairs["within"], pairs["agreeing"] - pairs["agreeing_within"]
    other = across[1] / across[0] if across[0] else pairs["chance"]
    category_weight = _weight(pairs["agreeing_within"], pairs["within"], other)
    table = _preferred(shop, lines, usual, weight, category_weight)
    agreement = pairs["agreeing"] / pairs["all"] if pairs["all"] else float("nan")
    return Sizes(table, systems, agreement, pairs["chance"], int(pairs["all"] // 2), weight,
                 category_weight)  # fmt: skip


def _sold(shop: Shop) -> pd.DataFrame:
    """The sizes of each category: category, size."""
    products = shop.products.filter(_.size.notnull(), _.category.notnull(), _.size != "")
    found = products.select("category", "size").distinct().execute()
    return found.sort_values(["category", "size"], ignore_index=True)


def _systems(sold: pd.DataFrame) -> pd.DataFrame:
    sizes = {name: frozenset(part["size"]) for name, part in sold.groupby("category")}
    system = {name: name for name in sorted(sizes)}
    for name in system:
        for other in system:
            fewer = min(len(sizes[name]), len(sizes[other]))
            if other < name and 2 * len(sizes[name] & sizes[other]) >= fewer:
                old, new = system[name], system[other]
                system = {c: new if s == old else s for c, s in system.items()}
    rows = [(name, system[name], len(sizes[name])) for name in system]
    return pd.DataFrame(rows, columns=["category", "system", "n_sizes"]).astype(
        {"category": "object", "system": "object", "n_sizes": "int64"}
    )


def _lines(shop: Shop, systems: pd.DataFrame) -> Table:
    """Lines kept: customer_id, system, category, size, n."""
    orders = shop.orders.filter(shop.orders.customer_id.notnull()).select("order_id", "customer_id")
    rows = shop.order_lines.select("order_id", "product_id", "quantity").join(orders, "order_id")
    kept = rows.group_by("customer_id", "product_id").aggregate(
        bought=rows.count(where=rows.quantity > 0),
        pieces=rows.quantity.sum(),
        back=rows.count(where=rows.quantity < 0),
    )
    n = ibis.ifelse(kept.pieces > 0, ibis.greatest(kept.bought - kept.back, 1), 0)
    kept = kept.mutate(n=n.cast("int64")).filter(_.n > 0)
    sized = shop.products.filter(_.size.notnull(), _.size != "")
    kept = kept.inner_join(sized.select("product_id", "category", "size"), "product_id")
    known = place(shop, systems, {"category": "string", "system": "string"})
    kept = kept.inner_join(known, "category")
    by = kept.group_by("customer_id", "system", "category", "size")
    return by.aggregate(n=kept.n.sum()).mutate(n=_.n.cast("int64"))


def _pairs(lines: Table) -> dict[str, float]:
    """Ordered pairs of lines of one customer in one system: how many, and how many of one size.

    The same within a category, and the share of one size among lines of two customers.
    """
    sums = {}
    for name, keys in (("", []), ("_within", ["category"])):
        by = ["customer_id", "system", *keys]
        one = lines.group_by(*by, "size").aggregate(n=_.n.sum()).mutate(n=_.n.cast("float64"))
        one = one.group_by(*by).aggregate(agreeing=(_.n * (_.n - 1)).sum(), n=_.n.sum())
        found = one.aggregate(agreeing=_.agreeing.sum(), every=(_.n * (_.n - 1)).sum()).execute()
        row = found.fillna(0.0).iloc[0]
        sums |= {f"agreeing{name}": float(row.agreeing), name[1:] or "all": float(row.every)}
    sizes = lines.group_by("system", "size").aggregate(n=_.n.sum()).execute()
    whole = sizes.groupby("system").n.transform("sum")
    n, all_of = sizes.n.to_numpy(float), whole.to_numpy(float)
    same, every = (n * n / all_of).sum(), n.sum()
    return sums | {"chance": float(same / every) if every else float("nan")}


def _weight(agreeing: float, pairs: float, chance: float) -> float:
    """Lines that a common share counts as, from how often two lines of one owner agree."""
    # Half a pair on either side: some thousand pairs that agree do not prove that all do.
    agreement = (agreeing / 2 + 0.5) / (pairs / 2 + 1)
    apart = agreement - chance
    if not apart > 0:
        return MOST_WEIGHT
    return float(np.clip((1 - agreement) / apart, LEAST_WEIGHT, MOST_WEIGHT))


def _usual(lines: Table, sold: pd.DataFrame) -> pd.DataFrame:
    """The shop's share of each size in each category: category, system, size, usual."""
    found = lines.group_by("category", "size").aggregate(n_sold=_.n.sum()).execute()
    table = sold.merge(found, on=["category", "size"], how="left")
    n = table.n_sold.fillna(0).to_numpy(float) + 1
    return table.assign(usual=n / pd.Series(n).groupby(table.category).transform("sum"))


def _preferred(
    shop: Shop, lines: Table, usual: pd.DataFrame, weight: float, category_weight: float
) -> Table:
    texts = dict.fromkeys(("category", "system", "size"), "string")
    offered = place(shop, usual, texts)
    everywhere = lines.group_by("customer_id", "system", "size").aggregate(n_size=_.n.sum())
    by_customer = lines.group_by("customer_id", "system").aggregate(n_all=_.n.sum())
    here = lines.group_by("customer_id", "category").aggregate(n_category=_.n.sum())
    rows = everywhere.inner_join(by_customer, ["customer_id", "system"])
    rows = rows.inner_join(offered, ["system", "size"])
    rows = rows.left_join(here, ["customer_id", "category"]).drop(
        "customer_id_right", "category_right"
    )
    own = lines.select("customer_id", "category", "size", n_here="n")
    rows = rows.left_join(own, ["customer_id", "category", "size"])
    counts = ("n_size", "n_all", "n_category", "n_here")
    keys = ["category", "size", *counts]
    rows = rows.select(
        "customer_id",
        "category",
        "size",
        **{name: rows[name].coalesce(0).cast("int64") for name in counts},
    ).cache()
    told = _expected(rows.select(*keys).distinct().execute(), usual, weight, category_weight)
    types = texts | dict.fromkeys(counts, "int64") | dict.fromkeys(_ENDS, "float64")
    told = place(shop, told, {name: types[name] for name in [*keys, *_ENDS]})
    rows = rows.inner_join(told, keys)
    nth = ibis.row_number().over(
        group_by=["customer_id", "category"],
        order_by=[rows.consistency.desc(), rows["size"].asc()],
    )
    best = rows.mutate(nth=nth).filter(_.nth == 0)
    return best.select(
        "customer_id", "category", "size", *_ENDS, n_bought="n_category", n_in_size="n_here"
    ).relocate("n_bought", "n_in_size", after="size")


_ENDS = ("consistency", "consistency_low", "consistency_high")


def _expected(
    found: pd.DataFrame, usual: pd.DataFrame, weight: float, category_weight: float
) -> pd.DataFrame:
    """The share expected in a size, with its interval, for each combination of counts."""
    from scipy.special import betaincinv

    found = found.merge(usual[["category", "size", "usual"]], on=["category", "size"])
    share, size, every, category, here = (
        found[name].to_numpy(float) for name in ("usual", "n_size", "n_all", "n_category", "n_here")
    )
    elsewhere = (weight * share + size - here) / (weight + every - category)
    # What is known from elsewhere is worth no more lines than it rests on.
    worth = 1 / (1 / category_weight + 1 / (weight + every - category))
    a = worth * elsewhere + here
    b = worth * (1 - elsewhere) + category - here
    ends = [betaincinv(a, np.maximum(b, 1e-12), q) for q in (0.025, 0.975)]
    mean = a / (a + b)
    # A law as narrow as this is skewed so far that its mean may lie outside the middle 95 %.
    low, high = np.minimum(ends[0], mean), np.maximum(ends[1], mean)
    return found.assign(consistency=mean, consistency_low=low, consistency_high=high)
