"""The event log of a chunk: each visit becomes rows in a fixed order, then gets its clock times.

Within a visit the order is: open the app, list or search, look at goods, then for a cart look at
each item and add it, view the cart, begin the checkout, sign up or log in, shipping, payment,
purchase. How far a left cart gets follows from its cause:

    low_intent     add_to_cart or view_cart
    account        begin_checkout, as a guest
    extra_costs    add_shipping_info
    long_checkout  add_shipping_info, after two or more form errors
    trust          add_payment_info
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.catalogue import CATEGORIES, ITEMS, MODELS, POOL, SIZES, Catalogue
from cdp_lib.world.people import APP, CHANNELS, People
from cdp_lib.world.sessions import LOGIN, SIGN_UP, Sessions
from cdp_lib.world.visits import (
    ACCOUNT,
    APP_REMOVE,
    BASE,
    EMPTIED,
    EXTRA,
    LONG_CHECKOUT,
    LOW_INTENT,
    PUSH_OFF,
    TOUCH,
    TRUST,
    Carts,
    Visits,
)

EVENTS = (
    "view_item_list", "view_item", "search", "add_to_wishlist", "add_to_cart", "remove_from_cart",
    "view_cart", "begin_checkout", "sign_up", "login", "add_shipping_info", "add_payment_info",
    "purchase", "app_open", "app_remove", "push_on", "push_off", "contact_support",
)  # fmt: skip
CODE = {name: code for code, name in enumerate(EVENTS)}
# mean seconds before each event, by the list above
PAUSE = np.array([12, 35, 15, 10, 14, 12, 20, 25, 70, 25, 55, 50, 20, 1, 1, 20, 1, 60], float)
ERRORS = ("form_postcode", "form_phone", "form_address", "form_timeout")
MAX_VIEWS = 20
VIEWS_STOP, VIEWS_MORE = 0.38, 0.3  # goods looked at while browsing: a geometric law, plus one
PUSH = CHANNELS.index("push")
SEARCHES, LISTS, LIKES = 0.28, 0.5, 0.025  # of the visits, of the visits, of the goods looked at
PUSHES_ON = 0.03  # of the visits in the app, by those who did not allow push before the span
LOOKS, LOOKS_LOW = 0.75, 0.4  # first sittings that view the cart; with low intent
HOLDS = 0.1  # carts that also hold an item for a moment
OWN_SIZE = 0.85  # of the items; the others are a size off
CHECKOUT_AGAIN = 0.5  # a cart lost at the account step and looked at again gets there again
TROUBLE, TROUBLE_LATE, LATE_DAYS = 0.008, 0.12, 14.0  # visits that ask for support; late in a life
RANKS = 128  # places within a visit


@dataclass(frozen=True)
class Rows:
    """A row an event, ordered by visit and place; `seconds` from the start of the world.

    `product`, `cart`, `error` are indices or −1; `quantity` 0 for none; `known` whether the row
    carries the customer; `shipping` whether it shows the shipping cost.
    """

    visit: np.ndarray
    code: np.ndarray
    seconds: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    cart: np.ndarray
    error: np.ndarray
    known: np.ndarray


class _Script:
    """Collects blocks of rows that share an event name."""

    def __init__(self) -> None:
        self.blocks: list[tuple[np.ndarray, ...]] = []

    def add(self, event, visit, place, product=-1, quantity=0, cart=-1, error=-1) -> None:
        n = len(visit)
        columns = (CODE[event], place, product, quantity, cart, error)
        self.blocks.append((visit, *(np.broadcast_to(c, n) for c in columns)))

    def joined(self) -> list[np.ndarray]:
        return [np.concatenate(column) for column in zip(*self.blocks, strict=True)]


def draw_skus(goods: Catalogue, people: People, carts: Carts, rng: np.random.Generator):
    """Product of each item of each cart, in the person's size with probability 0.85; −1: none."""
    model = goods.model[carts.basket]
    size = people.size[carts.person][:, None] + _size_slips(model.shape, rng)
    return np.where(model >= 0, goods.skus(model, np.clip(size, 0, len(SIZES) - 1)), -1)


def held_shares(goods: Catalogue, people: People) -> np.ndarray:
    """Probability that a cart of each person holds an item for a moment: added, then removed.

    An item that the cart has already, in the same size, is not added a second time.
    """
    weight = np.diff(goods.popularity, prepend=0.0) / len(CATEGORIES)
    there = goods.model >= 0
    chance = np.where(there, weight[goods.model % MODELS], 0.0)
    sized = there & (goods.sku_size[goods.sku[goods.model, 0]] >= 0)
    by_category = [
        np.where(part, chance, 0.0).sum(axis=1).reshape(-1, POOL).mean(axis=1)
        for part in (sized, ~sized)
    ]
    edge = np.isin(people.size, (0, len(SIZES) - 1))  # a slip beyond the last size is no slip
    same = np.where(edge, (1 + OWN_SIZE) / 2, OWN_SIZE)
    already = same * (people.taste @ by_category[0]) + people.taste @ by_category[1]
    return HOLDS * (1 - already)


def write_log(
    goods: Catalogue,
    people: People,
    visits: Visits,
    carts: Carts,
    skus: np.ndarray,
    sessions: Sessions,
    rng: np.random.Generator,
) -> Rows:
    """All events of the visits."""
    script = _Script()
    _browse(script, goods, people, visits, sessions, rng)
    _shop(script, goods, people, visits, carts, skus, rng)
    _check_out(script, visits, carts, sessions, rng)
    return _timed(script, visits, sessions, rng)


def before(rows: Rows, seconds: int) -> Rows:
    """The rows before an instant: what the shop has seen by then."""
    kept = rows.seconds < seconds
    return Rows(*(getattr(rows, field)[kept] for field in Rows.__dataclass_fields__))


def _size_slips(shape, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(shape) < OWN_SIZE, 0, rng.choice([-1, 1], shape))


def _browse(script, goods, people, visits, sessions, rng) -> None:
    n, every = len(visits), np.arange(len(visits))
    fresh = np.isin(visits.reason, (BASE, EXTRA))
    has_cart = visits.cart >= 0
    alone = visits.reason >= APP_REMOVE  # one event and no visit to the shop
    app = (visits.slot == APP) & ~alone
    script.add("app_open", every[app], 0)
    script.add("app_remove", every[visits.reason == APP_REMOVE], 0)
    script.add("push_off", every[visits.reason == PUSH_OFF], 0)
    push_on = app & (rng.random(n) < PUSHES_ON) & ~people.opt_in[visits.person, PUSH]
    script.add("push_on", every[push_on], 1)
    views = np.minimum(rng.geometric(VIEWS_STOP, n) - 1 + (rng.random(n) < VIEWS_MORE), MAX_VIEWS)
    views = np.where(fresh, views, np.where(alone, 0, np.minimum(views, 1)))
    searches = fresh & (rng.random(n) < SEARCHES)
    lists = (fresh & (rng.random(n) < LISTS)) | ((views == 0) & ~has_cart & ~searches & ~alone)
    script.add("view_item_list", every[lists], 5)
    script.add("search", every[searches], 6)
    visit = np.repeat(every, views)
    nth = np.arange(len(visit)) - np.repeat(np.cumsum(views) - views, views)
    person = visits.person[visit]
    edge = np.cumsum(people.taste, axis=1)[person]
    category = np.minimum((rng.random(len(visit))[:, None] >= edge).sum(1), edge.shape[1] - 1)
    model = goods.draw_models(category, rng)
    size = np.clip(people.size[person] + _size_slips(len(visit), rng), 0, len(SIZES) - 1)
    product = goods.skus(model, size)
    script.add("view_item", visit, 20 + 2 * nth, product)
    liked = rng.random(len(visit)) < LIKES
    script.add("add_to_wishlist", visit[liked], 21 + 2 * nth[liked], product[liked])
    script.add("login", every[sessions.casual_login], 19)
    left = people.end[visits.person] - visits.at
    late = (left > 0) & (left < LATE_DAYS)
    troubled = rng.random(n) < np.where(late, TROUBLE_LATE, TROUBLE)
    troubled &= ~alone
    script.add("contact_support", every[troubled], 110)


def _shop(script, goods, people, visits, carts, skus, rng) -> None:
    filling = np.flatnonzero((visits.cart >= 0) & np.isin(visits.reason, (BASE, EXTRA)))
    cart = visits.cart[filling]
    quantity = goods.quantity[carts.basket[cart]]
    emptied = carts.outcome[cart] == EMPTIED
    for item in range(ITEMS):
        there = skus[cart, item] >= 0
        visit, of, product = filling[there], cart[there], skus[cart[there], item]
        amount = quantity[there, item]
        script.add("view_item", visit, 70 + 4 * item, product)
        script.add("add_to_cart", visit, 71 + 4 * item, product, amount, of)
        gone = emptied[there]
        script.add(
            "remove_from_cart", visit[gone], 93 + item, product[gone], amount[gone], of[gone]
        )
    second = rng.random(len(filling)) < HOLDS
    model = goods.draw_models(rng.integers(0, len(CATEGORIES), second.sum()), rng)
    product = goods.skus(model, people.size[visits.person[filling[second]]])
    fresh = (product[:, None] != skus[cart[second]]).all(axis=1)
    visit, of, product = filling[second][fresh], cart[second][fresh], product[fresh]
    script.add("view_item", visit, 87, product)
    script.add("add_to_cart", visit, 88, product, 1, of)
    script.add("remove_from_cart", visit, 89, product, 1, of)
    looks = rng.random(len(filling)) < np.where(carts.cause[cart] == LOW_INTENT, LOOKS_LOW, LOOKS)
    script.add("view_cart", filling[looks], 92, cart=cart[looks])


def _check_out(script, visits, carts, sessions, rng) -> None:
    rows = np.flatnonzero(visits.cart >= 0)
    cart, reason = visits.cart[rows], visits.reason[rows]
    cause = carts.cause[cart]
    first, touch = np.isin(reason, (BASE, EXTRA)), reason == TOUCH
    stays = first & (cause >= 0)  # this sitting ends without a purchase, for a cause
    emptied = first & (carts.outcome[cart] == EMPTIED)
    back = ~first
    script.add("view_cart", rows[back], 92, cart=cart[back])
    again = touch & (cause == ACCOUNT) & (rng.random(len(rows)) < CHECKOUT_AGAIN)
    begins = (~emptied & ~touch & ~(stays & (cause == LOW_INTENT))) | again
    script.add("begin_checkout", rows[begins], 97, cart=cart[begins])
    goes_on = begins & ~again & ~(stays & (cause == ACCOUNT))
    for name, step in (("login", LOGIN), ("sign_up", SIGN_UP)):
        asked = goes_on & (sessions.account_step[rows] == step)
        script.add(name, rows[asked], 98, cart=cart[asked])
    tedious = goes_on & stays & (cause == LONG_CHECKOUT)
    slips = np.where(tedious, 2 + rng.integers(0, 3, len(rows)), rng.random(len(rows)) < 0.04)
    for nth in range(4):
        slip = goes_on & (nth < slips)
        error = rng.integers(0, len(ERRORS), slip.sum())
        script.add("add_shipping_info", rows[slip], 99 + nth, cart=cart[slip], error=error)
    # who gives up in the form does so at an error; everybody else sees the step through
    script.add("add_shipping_info", rows[goes_on & ~tedious], 104, cart=cart[goes_on & ~tedious])
    buys = goes_on & ~stays
    pays = buys | (goes_on & stays & (cause == TRUST))
    script.add("add_payment_info", rows[pays], 105, cart=cart[pays])
    script.add("purchase", rows[buys], 106, cart=cart[buys])


def _sign_up_first(code: np.ndarray, person: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Of two visits at once, both past the account step, the earlier step is the sign-up."""
    steps = np.flatnonzero(np.isin(code, (CODE["login"], CODE["sign_up"])))
    new = np.unique(person[code == CODE["sign_up"]])
    steps = steps[np.isin(person[steps], new)]
    steps = steps[np.lexsort((seconds[steps], person[steps]))]
    first = np.ones(len(steps), bool)
    first[1:] = person[steps][1:] != person[steps][:-1]
    code = code.copy()
    code[steps] = np.where(first, CODE["sign_up"], CODE["login"])
    return code


def _timed(script, visits: Visits, sessions: Sessions, rng: np.random.Generator) -> Rows:
    visit, code, place, product, quantity, cart, error = script.joined()
    order = np.argsort(visit * RANKS + place)
    visit, code, product = visit[order], code[order], product[order]
    quantity, cart, error = quantity[order], cart[order], error[order]
    pause = 1 + np.minimum(rng.standard_exponential(len(visit)) * PAUSE[code], 600).astype(np.int64)
    first = np.ones(len(visit), bool)
    first[1:] = visit[1:] != visit[:-1]
    passed = np.cumsum(pause)
    starts = np.flatnonzero(first)
    base = np.repeat(passed[starts], np.diff(np.append(starts, len(visit))))
    seconds = (visits.at[visit] * 86_400).astype(np.int64) + passed - base
    code = _sign_up_first(code, visits.person[visit], seconds)
    step = np.isin(code, (CODE["login"], CODE["sign_up"]))
    so_far = np.cumsum(step)
    before = np.repeat(so_far[starts] - step[starts], np.diff(np.append(starts, len(visit))))
    known = sessions.logged_in[visit] | (so_far > before)
    return Rows(visit, code, seconds, product, quantity, cart, error, known)
