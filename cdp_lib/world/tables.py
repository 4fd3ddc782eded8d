"""From arrays to the shop's tables in Arrow, columns as the contract names them."""

import hashlib

import numpy as np
import pyarrow as pa

from cdp_lib.world.catalogue import CATEGORIES, SIZES, Catalogue
from cdp_lib.world.ids import ids, instants, pick, words
from cdp_lib.world.log import CODE, ERRORS, EVENTS, Rows
from cdp_lib.world.money import Lines, totals, week_of
from cdp_lib.world.people import CHANNELS, People
from cdp_lib.world.sessions import (
    CITIES,
    DEVICE_TYPES,
    MODELS,
    OPERATORS,
    SYSTEMS,
    TOUCHPOINTS,
    Sessions,
    version_names,
)
from cdp_lib.world.visits import Visits

EDUCATIONS = ("school", "vocational", "bachelor", "master")
PRICED = [
    CODE[name] for name in ("view_item", "add_to_wishlist", "add_to_cart", "remove_from_cart")
]
FIXED_PAGES = {
    "search": "/search", "add_to_cart": "/product", "add_to_wishlist": "/product",
    "remove_from_cart": "/cart", "view_cart": "/cart", "begin_checkout": "/checkout",
    "sign_up": "/checkout/account", "login": "/login", "add_shipping_info": "/checkout/shipping",
    "add_payment_info": "/checkout/payment", "purchase": "/checkout/thanks", "app_open": "/home",
    "push_on": "/settings", "push_off": "/settings", "contact_support": "/help",
}  # fmt: skip


def numbered(chunk: int, index: np.ndarray, bits: int = 24) -> np.ndarray:
    """The world's number of a chunk's row."""
    return (chunk << bits) + index


def events_table(
    chunk: int,
    origin_us: int,
    goods: Catalogue,
    visits: Visits,
    sessions: Sessions,
    rows: Rows,
    order_of_row: np.ndarray,
    customer_ids: pa.Array,
    cart_ids: pa.Array,
    fee: np.ndarray,
    days: float,
) -> pa.Table:
    """The events ordered by time; `order_of_row` and `fee` (shipping shown or NaN) go by row."""
    order = np.argsort(rows.seconds, kind="stable")
    visit, code, product = rows.visit[order], rows.code[order], rows.product[order]
    model = goods.sku_model[np.maximum(product, 0)]
    price = goods.price[model, week_of(goods, rows.seconds[order])]
    priced = np.isin(code, PRICED) & (product >= 0)
    visitors, visitor = np.unique(sessions.visitor, return_inverse=True)
    quantity, shown = rows.quantity[order], fee[order]
    person = np.where(rows.known[order], visits.person[visit], -1)
    order_id = order_of_row[order]

    def by_visit(names, index: np.ndarray) -> pa.Array:
        return words(names, index[visit])

    return pa.table(
        {
            "event_id": ids("e", numbered(chunk, np.arange(len(order))), scatter=False),
            "occurred_at": instants(rows.seconds[order], origin_us),
            "visitor_id": pick(ids("v", visitors), visitor[visit]),
            "customer_id": pick(customer_ids, person),
            "session_id": pick(ids("s", numbered(chunk, np.arange(len(visits)))), visit),
            "event": words(EVENTS, code),
            "product_id": words(goods.product_ids(), product),
            "quantity": pa.array(quantity.astype(np.int64), mask=quantity == 0),
            "price": pa.array(price, mask=~priced),
            "cart_id": pick(cart_ids, rows.cart[order]),
            "order_id": pick(order_ids(chunk, order_id.max(initial=-1) + 1), order_id),
            "page": _pages(goods, code, model),
            "touchpoint": by_visit(TOUCHPOINTS, sessions.touchpoint),
            "device_type": by_visit(DEVICE_TYPES, sessions.device_type),
            "device_model": by_visit(MODELS, sessions.device_model),
            "os": by_visit(SYSTEMS, sessions.system),
            "app_version": by_visit(version_names(days), sessions.app_version),
            "operator": by_visit(OPERATORS, sessions.operator),
            "city": by_visit([name for name, _ in CITIES], sessions.city),
            "shipping_cost": pa.array(shown, mask=np.isnan(shown)),
            "error": words(ERRORS, rows.error[order]),
        }
    )


def order_ids(chunk: int, n: int) -> pa.Array:
    """Ids of a chunk's orders."""
    return ids("o", numbered(chunk, np.arange(n)))


def _pages(goods: Catalogue, code: np.ndarray, model: np.ndarray) -> pa.Array:
    names = [FIXED_PAGES.get(event, "/") for event in EVENTS]
    names += [f"/product/{category}" for category, *_ in CATEGORIES]
    names += [f"/list/{category}" for category, *_ in CATEGORIES]
    page, category = code.copy(), goods.category[model]
    seen = code == CODE["view_item"]
    page[seen] = len(EVENTS) + category[seen]
    listed = code == CODE["view_item_list"]
    page[listed] = len(EVENTS) + len(CATEGORIES) + np.arange(len(code))[listed] % len(CATEGORIES)
    page[code == CODE["app_remove"]] = -1
    return words(names, page)


def orders_tables(
    chunk: int,
    origin_us: int,
    goods: Catalogue,
    customer_ids: pa.Array,
    person: np.ndarray,
    ordered: np.ndarray,
    channel: np.ndarray,
    shipping: np.ndarray,
    lines: Lines,
    returned: tuple[np.ndarray, np.ndarray],
) -> tuple[pa.Table, pa.Table]:
    """Orders and order lines, the returns after the orders."""
    n = len(person)
    _, discount, revenue, cost = totals(lines, n)
    line, back_at = returned
    of = lines.order[line]
    back_gross = lines.unit_price[line] * lines.quantity[line]
    back_cost = lines.unit_cost[line] * lines.quantity[line]
    order_id = pa.concat_arrays(
        [order_ids(chunk, n), ids("r", numbered(chunk, np.arange(len(line))))]
    )
    joined = np.concatenate
    orders = pa.table(
        {
            "order_id": order_id,
            "customer_id": pick(customer_ids, joined([person, person[of]])),
            "ordered_at": instants(joined([ordered, back_at]), origin_us),
            "revenue": np.round(joined([revenue, lines.discount[line] - back_gross]), 2),
            "discount": joined([discount, -lines.discount[line]]),
            "shipping": joined([shipping, np.zeros(len(line))]),
            "cost": np.round(joined([cost, -back_cost]), 2),
            "channel": words(("web", "app", "store"), joined([channel, channel[of]])),
        }
    )
    lines_table = pa.table(
        {
            "order_id": pick(order_id, joined([lines.order, n + np.arange(len(line))])),
            "product_id": words(goods.product_ids(), joined([lines.product, lines.product[line]])),
            "quantity": joined([lines.quantity, -lines.quantity[line]]).astype(np.int64),
            "unit_price": joined([lines.unit_price, lines.unit_price[line]]),
            "discount": joined([lines.discount, -lines.discount[line]]),
            "unit_cost": joined([lines.unit_cost, lines.unit_cost[line]]),
        }
    )
    return orders, lines_table


def customers_table(
    people: People,
    who: np.ndarray,
    customer_ids: pa.Array,
    created: np.ndarray,
    opted: np.ndarray,
    origin_us: int,
    rng: np.random.Generator,
) -> pa.Table:
    """The people with an account (`who`), the opt-ins they are left with and what they said of
    themselves; the keen answer the quiz more often.

    Draws are made for all people, so that an account more or less moves nobody else's answers.
    """
    n = len(people)
    keen = np.clip(people.visit_rate / 0.15, 0, 1)
    answers = rng.random(n) < 0.06 + 0.5 * keen
    taste = people.taste.argmax(axis=1)
    says = np.where(rng.random(n) < 0.85, taste, rng.integers(0, len(CATEGORIES), n))
    price = np.digitize(people.affinity + 0.12 * rng.standard_normal(n), [0.35, 0.65])
    year = np.clip(1985 + 11 * rng.standard_normal(n), 1940, 2007).astype(np.int64)
    gender = rng.choice(4, n, p=[0.55, 0.36, 0.03, 0.06])
    education = rng.choice(5, n, p=[0.18, 0.34, 0.24, 0.12, 0.12])
    marital = rng.choice(4, n, p=[0.36, 0.4, 0.12, 0.12])
    untold = rng.random(n) < 0.15
    customer = customer_ids.take(pa.array(who))
    names = customer.to_pylist()

    genders = np.where(gender < 3, gender, -1)
    educations = np.where(education < 4, education, -1)
    maritals = np.where(marital < 3, marital, -1)

    def said(index: np.ndarray, answered: np.ndarray) -> np.ndarray:
        return np.where(answered, index, -1)[who]

    return pa.table(
        {
            "customer_id": customer,
            "created_at": instants(created[who], origin_us),
            "birth_year": pa.array(year[who], mask=untold[who]),
            "gender": words(("female", "male", "other"), said(genders, ~untold)),
            "education": words(EDUCATIONS, said(educations, answers)),
            "marital_status": words(("single", "married", "divorced"), said(maritals, answers)),
            "city": words([name for name, _ in CITIES], people.city[who]),
            "country": words([land for _, land in CITIES], people.city[who]),
            "email_sha256": _hashed(f"{name}@example.org" for name in names),
            "phone_sha256": _hashed(f"+49{int(name[1:], 16)}" for name in names),
            **{f"{c}_opt_in": opted[who, i] for i, c in enumerate(CHANNELS) if c != "in_app"},
            "quiz_style": words([name for name, *_ in CATEGORIES], said(says, answers)),
            "quiz_price_focus": words(("quality", "balanced", "price"), said(price, answers)),
            "quiz_size": words(SIZES, said(people.size, answers & (rng.random(n) < 0.8))),
        }
    )  # fmt: skip


def _hashed(texts) -> pa.Array:
    return pa.array([hashlib.sha256(text.encode()).hexdigest() for text in texts], pa.string())


def products_table(goods: Catalogue) -> pa.Table:
    """The products, a model in a size each, at the last week's price."""
    model, names = goods.sku_model, goods.names()
    return pa.table(
        {
            "product_id": goods.product_ids(),
            "name": [names[m] for m in model],
            "category": words([name for name, *_ in CATEGORIES], goods.category[model]),
            "brand": words(goods.brands, goods.brand[model]),
            "size": words(SIZES, goods.sku_size),
            "price": goods.price[model, -1],
            "cost": goods.unit_cost[model],
        }
    )


def prices_table(goods: Catalogue, origin_us: int) -> pa.Table:
    """Each product's list price long before the start, then each Monday on which it changed."""
    week_us = 7 * 86_400 * 1_000_000
    held = np.column_stack([goods.base_price, goods.price])
    product, week = np.nonzero((np.diff(held, axis=1) != 0)[goods.sku_model])
    n = len(goods.sku_model)
    of = np.concatenate([np.arange(n), product])
    since = np.concatenate([np.full(n, -60), week])
    price = np.concatenate(
        [goods.base_price[goods.sku_model], goods.price[goods.sku_model[product], week]]
    )
    order = np.lexsort((since, of))
    return pa.table(
        {
            "product_id": words(goods.product_ids(), of[order]),
            "price": price[order],
            "valid_from": pa.array(since[order] * week_us + origin_us).cast(pa.timestamp("us")),
        }
    )  # fmt: skip
