"""What the shop sells: models in sizes, prices by week, pairs that belong together, and baskets.

A basket is drawn from a finite pool, so many baskets per category of first interest. Hence every
mean over baskets is a plain average over the pool and exact. Prices change on Mondays only, and
never inside a campaign's week; a basket that a price change would carry over the free-shipping
threshold is not in the pool, so what a person is shown depends on the basket alone.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.law import World

# name, sized, price level, cost share
CATEGORIES = (
    ("tops", True, 18.0, 0.45),
    ("trousers", True, 32.0, 0.45),
    ("dresses", True, 36.0, 0.42),
    ("shoes", True, 46.0, 0.50),
    ("bags", False, 34.0, 0.40),
    ("accessories", False, 12.0, 0.35),
    ("beauty", False, 11.0, 0.38),
    ("home", False, 19.0, 0.52),
    ("kitchen", False, 23.0, 0.55),
    ("electronics", False, 44.0, 0.72),
)
SIZES = ("XS", "S", "M", "L", "XL")
BRANDS = ("Alder", "Birke", "Corvo", "Dune", "Elva", "Fjord", "Grano", "Hanno", "Isola")
UNKNOWN_BRANDS = ("Nuvio", "Oqari", "Pell")
MODELS = 24  # per category
POOL = 500  # baskets per category
ITEMS = 4  # most items in a basket


@dataclass(frozen=True)
class Catalogue:
    """The shop's goods, by model; a product is a model in a size.

    `sku[model, size]` is the product's index, `price[model, week]` the price in force. Of basket b:
    `model[b, item]` (−1 where there is none), `quantity[b, item]`, `value[b, week]`, and what moves
    people: `shipping_share`, `unknown_brand`, `single_cheap`. Basket b is of category b // POOL.
    """

    category: np.ndarray
    brand: np.ndarray
    brands: tuple[str, ...]
    base_price: np.ndarray
    unit_cost: np.ndarray
    price: np.ndarray
    popularity: np.ndarray
    complement: np.ndarray
    sku: np.ndarray
    sku_model: np.ndarray
    sku_size: np.ndarray
    model: np.ndarray
    quantity: np.ndarray
    value: np.ndarray
    shipping_share: np.ndarray
    unknown_brand: np.ndarray
    single_cheap: np.ndarray

    def product_ids(self) -> list[str]:
        """The id of each product, by index."""
        return [
            f"p{m:03d}{SIZES[s] if s >= 0 else ''}"
            for m, s in zip(self.sku_model, self.sku_size, strict=True)
        ]

    def names(self) -> list[str]:
        """The name of each model; its sizes share it."""
        singular = [name.rstrip("s") if name[-2:] == "ss" else name for name, *_ in CATEGORIES]
        return [
            f"{self.brands[b]} {singular[c]} {i % MODELS + 1:02d}"
            for i, (b, c) in enumerate(zip(self.brand, self.category, strict=True))
        ]

    def draw_models(self, category: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A model of each given category, by popularity."""
        rank = (rng.random(len(category))[:, None] >= self.popularity).sum(axis=1)
        return category * MODELS + np.minimum(rank, MODELS - 1)

    def skus(self, model: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Product index of each model in the size wanted, or its only one."""
        return self.sku[model, size]


def catalogue(world: World, weeks: int, rng: np.random.Generator) -> Catalogue:
    """The goods, their prices over `weeks` weeks and the pool of baskets."""
    n = len(CATEGORIES) * MODELS
    category = np.repeat(np.arange(len(CATEGORIES)), MODELS)
    levels = np.array([level for _, _, level, _ in CATEGORIES])[category]
    base = _shelf(levels * np.exp(0.32 * rng.standard_normal(n)))
    costs = np.round(base * np.array([c for *_, c in CATEGORIES])[category], 2)
    brands = BRANDS + UNKNOWN_BRANDS
    brand = rng.integers(0, len(brands), n)
    weight = 1 / np.arange(1, MODELS + 1) ** 0.8
    popularity = np.cumsum(weight / weight.sum())
    complement = _pairs(n, rng)
    price = _prices(base, weeks, rng)
    sku, sku_model, sku_size = _sizes(category)
    pool = _pool(world, category, popularity, complement, base, price, rng)
    model, quantity = pool
    value = _values(model, quantity, price)
    listed = _values(model, quantity, base[:, None])[:, 0]
    paid = listed < world.free_shipping_threshold
    unknown = (brand >= len(BRANDS))[model[:, 0]].astype(float)
    single = ((model >= 0).sum(axis=1) == 1) & (listed < 20)
    shipping = np.where(paid, world.shipping_fee / listed, 0.0)
    return Catalogue(
        category, brand, brands, base, costs, price, popularity, complement, sku, sku_model,
        sku_size, model, quantity, value, shipping, unknown, single.astype(float),
    )  # fmt: skip


def changes_price(week: np.ndarray) -> np.ndarray:
    """Whether prices may change on the Monday of that week."""
    return (week % 4 == 0) | (week % 4 == 3)


def campaign_weeks(weeks: int, n: int) -> list[int]:
    """Up to n weeks for campaigns, spread out, each clear of price changes while it works."""
    free = np.arange(1, weeks - 1, 4)
    picks = np.unique(np.linspace(0, len(free) - 1, min(n, len(free))).round().astype(int))
    return [int(free[pick]) for pick in picks] if n and len(free) else []


def _shelf(price: np.ndarray) -> np.ndarray:
    return np.round(np.maximum(np.round(price * 2) / 2, 1.0) - 0.01, 2)


def _pairs(n: int, rng: np.random.Generator) -> np.ndarray:
    """Half of the models come in pairs: complement[model] is the other one, or −1."""
    order = rng.permutation(n)[: n // 2 // 2 * 2].reshape(-1, 2)
    complement = np.full(n, -1)
    complement[order[:, 0]], complement[order[:, 1]] = order[:, 1], order[:, 0]
    return complement


def _prices(base: np.ndarray, weeks: int, rng: np.random.Generator) -> np.ndarray:
    """Price of each model in each week: one lasting change for half, and three-week sales."""
    n, week = len(base), np.arange(weeks)
    mondays = np.append(week[changes_price(week) & (week > 0)], weeks)
    at = np.where(rng.random(n) < 0.5, mondays[rng.integers(0, len(mondays), n)], weeks)
    lasting = np.where(rng.random(n) < 0.5, rng.uniform(0.88, 0.95, n), rng.uniform(1.03, 1.1, n))
    factor = np.where(week[None, :] >= at[:, None], lasting[:, None], 1.0)
    block, inside = week // 4, week % 4 < 3
    on_sale = rng.random((n, weeks // 4 + 1)) < 0.08
    factor = factor * np.where(on_sale[:, block] & inside, 0.8, 1.0)
    return _shelf(base[:, None] * factor)


def _sizes(category: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sized = np.array([sized for _, sized, *_ in CATEGORIES])[category]
    counts = np.where(sized, len(SIZES), 1)
    first = np.cumsum(counts) - counts
    sku = first[:, None] + np.where(sized[:, None], np.arange(len(SIZES)), 0)
    model = np.repeat(np.arange(len(category)), counts)
    size = np.where(sized[model], np.arange(counts.sum()) - first[model], -1)
    return sku, model, size


def _values(model: np.ndarray, quantity: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Value of each basket under each column of prices, summed item by item."""
    value = np.zeros((len(model), price.shape[1]))
    for item in range(model.shape[1]):
        value += (
            np.where(model[:, item, None] >= 0, price[model[:, item]], 0.0)
            * quantity[:, item, None]
        )
    return np.round(value, 2)


def _pool(
    world: World,
    category: np.ndarray,
    popularity: np.ndarray,
    complement: np.ndarray,
    base: np.ndarray,
    price: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """POOL baskets per category, none of which a price change carries over the threshold."""
    epochs = np.unique(np.column_stack([base, price]), axis=1)
    n_categories, tries = len(CATEGORIES), 2 * POOL
    first = np.repeat(np.arange(n_categories), tries)
    n = len(first)

    def drawn(group: np.ndarray) -> np.ndarray:
        rank = (rng.random(n)[:, None] >= popularity).sum(axis=1)
        return group * MODELS + np.minimum(rank, MODELS - 1)

    model = np.full((n, ITEMS), -1)
    model[:, 0] = drawn(first)
    for item in range(1, ITEMS):
        same = rng.random(n) < 0.6
        model[:, item] = drawn(np.where(same, first, rng.integers(0, n_categories, n)))
    partner = complement[model[:, 0]]
    model[:, 1] = np.where((partner >= 0) & (rng.random(n) < 0.45), partner, model[:, 1])
    size = rng.choice(ITEMS, n, p=[0.50, 0.29, 0.14, 0.07]) + 1
    model[np.arange(ITEMS) >= size[:, None]] = -1
    for item in range(1, ITEMS):
        again = (model[:, :item] == model[:, item, None]).any(axis=1)
        model[again, item] = -1
    quantity = rng.choice(3, (n, ITEMS), p=[0.88, 0.09, 0.03]) + 1
    quantity[model < 0] = 0
    values = _values(model, quantity, epochs)
    limit = world.free_shipping_threshold
    steady = (values.min(axis=1) >= limit) | (values.max(axis=1) < limit)
    kept = [
        np.resize(np.flatnonzero(steady & (first == group)), POOL) for group in range(n_categories)
    ]
    chosen = np.concatenate(kept)
    return model[chosen], quantity[chosen]
