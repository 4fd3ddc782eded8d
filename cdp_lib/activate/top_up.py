"""The free-shipping top-up: the cheapest relevant article that closes the gap of an open cart.

Relevant is what goes with something in the cart (`pairs`), or what stands high on the customer's
own next-best list. A cart without one gets none: a top-up that nobody wants is worse than none.
"""

from __future__ import annotations

from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.next_best import fitting, next_best
from cdp_lib.activate.pairs import Pairs
from cdp_lib.activate.recommend import Study
from cdp_lib.behaviour.cart_states import Carts, read
from cdp_lib.checks import Refusal, above
from cdp_lib.tables import Shop, identity
from cdp_lib.tables.contract import CONTRACT

LYING = ("open", "abandoned")
LIST_DAYS = 7.0
LOG_DAYS = 60.0
LIKED = 20  # articles of a customer's own list that count as relevant
COLUMNS = [
    "cart_id",
    "person_id",
    "customer_id",
    "value",
    "gap",
    "product_id",
    "article",
    "price",
    "why",
]


def of_shop(
    shop: Shop, study: Study, days: float = LIST_DAYS, sizes: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The top-ups of the shop's late carts, as `top_ups` gives them.

    Without a row where the shop has no events or names no threshold from which shipping is free.
    """
    threshold = shop.settings.free_shipping_threshold
    if threshold is None or not shop.has("events"):
        return pd.DataFrame(columns=COLUMNS)
    carts, now = late_carts(shop, days), study.now
    owners = carts.table.filter(_.state.isin(LYING) & _.customer_id.notnull())
    owners = owners.select("customer_id").distinct().execute().customer_id
    liked = None
    if known := sorted(set(owners) & set(now.seen.customers)):
        liked = next_best(study, LIKED, known)
    return top_ups(carts, now.goods, now.pairs, threshold, liked, sizes, 24 * days)


def late_carts(shop: Shop, days: float = LIST_DAYS) -> Carts:
    """The carts of people who put something in one in the last `days`, from the log of 60 days.

    Cheaper than to read all carts; what was put in a cart before that is not seen. Raises
    MissingTable without events.
    """
    above("days", days, 0)
    shop.require("events")
    since, begun = (shop.as_of - timedelta(days=span) for span in (days, days + LOG_DAYS))
    recent = shop.visits.filter(_.occurred_at >= ibis.literal(begun))
    rows = identity.stitch(recent, shop.find("identities"))
    every = CONTRACT["events"].columns
    rows = rows.mutate(**{c.name: ibis.null(c.dtype) for c in every if c.name not in rows.columns})
    rows = rows.cache()
    lately = rows.filter((_.event == "add_to_cart") & (_.occurred_at >= ibis.literal(since)))
    rows = rows.semi_join(lately.select("person_id").distinct(), "person_id")
    return read(rows, shop.as_of, shop.settings.idle_hours)


def top_ups(
    carts: Carts,
    goods: Goods,
    pairs: Pairs,
    threshold: float | None,
    liked: pd.DataFrame | None = None,
    sizes: pd.DataFrame | None = None,
    max_idle_hours: float = 24 * LIST_DAYS,
    dearest: float = 2.0,
) -> pd.DataFrame:
    """The top-up of each cart that lies short of free shipping.

    carts: of `late_carts`, or of `behaviour.carts.read`; those open or abandoned, idle for less
    than `max_idle_hours`. threshold: the goods value from which shipping is free. liked: a
    next-best list (customer_id, product_id), a long one. sizes: as in `next_best`. dearest: an
    article that costs more than so many times the gap is no top-up, unless the gap is below a
    tenth of the threshold.

    Out: a row per cart short of free shipping: cart_id, person_id, customer_id (None where
    unknown), value (at prices now), gap, product_id, article (index), price, why ("goes with the
    cart" or "on their list"); the last four null where nothing relevant closes the gap. Carts that
    hold a product without a price are left out: their gap is unknown. Raises Refusal without a
    threshold.
    """
    if threshold is None:
        raise Refusal(
            "settings.free_shipping_threshold", None, "the shop has none, so there is no gap",
            "set free_shipping_threshold in shop.toml",
        )  # fmt: skip
    above("free_shipping_threshold", threshold, 0)
    above("dearest", dearest, 0)
    lying = carts.table.filter(_.state.isin(LYING))
    lines = carts.lines.filter(_.pieces > 0).join(
        lying.select("cart_id", "person_id", "customer_id", "last_activity_at"), "cart_id"
    )
    held = lines.execute()
    idle = pd.Timestamp(carts.as_of) - held.last_activity_at
    held = held[idle < pd.Timedelta(hours=max_idle_hours)]
    known = goods.variants.set_index("product_id")
    held = held.assign(
        article=known.article.reindex(held.product_id).to_numpy(float),
        price=known.price.reindex(held.product_id).to_numpy(float),
    )
    held["price"] = held.price.fillna(held.price_seen)
    held["worth"] = held.pieces * held.price
    by_cart = held.groupby("cart_id").agg(
        person_id=("person_id", "first"),
        customer_id=("customer_id", "first"),
        value=("worth", "sum"),
        n_unknown=("price", lambda prices: prices.isna().sum()),
    )
    short = by_cart[(by_cart.n_unknown == 0) & (by_cart.value < threshold)].reset_index()
    short["gap"] = threshold - short.value
    offers = _offers(short, held, goods, pairs, liked)
    limit = offers.gap * dearest
    limit = limit.where(offers.gap >= threshold / 10, threshold / 10 * dearest)
    offers = offers[(offers.price >= offers.gap) & (offers.price <= limit)]
    best = offers.sort_values(["cart_id", "price", "rank", "article"]).drop_duplicates("cart_id")
    best["product_id"] = fitting(goods, best, sizes)
    found = short.merge(
        best[["cart_id", "product_id", "article", "price", "why"]], "left", "cart_id"
    )
    found["article"] = found.article.astype("Int64")
    return found.sort_values("cart_id", ignore_index=True)[COLUMNS]


def _offers(short, held, goods: Goods, pairs: Pairs, liked) -> pd.DataFrame:
    """Relevant articles not in the cart: cart_id, article, price, gap, rank, why, customer_id."""
    sure = pairs.complements()
    both = pd.DataFrame(
        {
            "inside": np.r_[sure.a, sure.b],
            "article": np.r_[sure.b, sure.a],
            "rank": np.r_[-sure.lift_low, -sure.lift_low],
        }
    )
    inside = held[held.cart_id.isin(short.cart_id) & held.article.notna()]
    inside = inside[["cart_id", "article"]].astype({"article": int}).drop_duplicates()
    fits = inside.rename(columns={"article": "inside"}).merge(both, on="inside")
    parts = [fits[["cart_id", "article", "rank"]].assign(why="goes with the cart")]
    if liked is not None and len(liked):
        place = goods.variants.set_index("product_id").article
        mine = liked.assign(article=place.reindex(liked.product_id).to_numpy())
        mine = short[["cart_id", "customer_id"]].merge(
            mine[["customer_id", "article"]].dropna(), on="customer_id"
        )
        parts.append(mine[["cart_id", "article"]].assign(rank=0.0, why="on their list"))
    offers = pd.concat(parts, ignore_index=True).astype({"article": int})
    offers = offers.sort_values(["cart_id", "article", "rank"]).drop_duplicates(
        ["cart_id", "article"]
    )
    # What lies in the cart is no top-up, in any size.
    lying = pd.MultiIndex.from_frame(inside)
    offers = offers[~pd.MultiIndex.from_frame(offers[["cart_id", "article"]]).isin(lying)]
    offers = offers[goods.table.offered.to_numpy()[offers.article]]
    offers = offers.assign(price=goods.table.price.to_numpy(float)[offers.article])
    return offers.merge(short[["cart_id", "customer_id", "gap"]], on="cart_id")
