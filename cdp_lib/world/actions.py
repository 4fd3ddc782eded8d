"""Every action of the log: with which probability each sort of visit shows it.

A visit opens no cart, or one that is emptied, bought at once, or left for one of the causes. A left
cart may bring one return: one that buys it, or one that only looks. First sitting and return show
an action independently, given the cause. So an action is a thinning of the Poisson process of
visits, described by a few probabilities (`Shows`) or by three numbers per visit (`Rates`).
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.law import CAUSES
from cdp_lib.world.log import (
    CHECKOUT_AGAIN,
    EVENTS,
    LIKES,
    LISTS,
    LOOKS,
    LOOKS_LOW,
    MAX_VIEWS,
    PUSHES_ON,
    SEARCHES,
    TROUBLE,
    VIEWS_MORE,
    VIEWS_STOP,
)
from cdp_lib.world.sessions import CASUAL
from cdp_lib.world.truth import Truth
from cdp_lib.world.visits import ACCOUNT, LOW_INTENT, PASSES_ACCOUNT, TRUST

ACTIONS = ("visit", *EVENTS, "use_coupon", "unsubscribe")
IN_APP = ("app_open", "push_on")  # these happen in the app alone
PASSES = PASSES_ACCOUNT.astype(float)  # by cause: the first sitting gets past the account step
UNSEEN = VIEWS_STOP * (1 - VIEWS_MORE)  # a visit looks at nothing while browsing


@dataclass(frozen=True)
class Shows:
    """Probability that an action shows, by sort of visit: shapes (n,) and (n, causes).

    `plain`: a visit without a cart. `emptied`, `bought`, `left`: the first sitting of a cart that
    ends so. `buys`, `looks`: the return that buys the cart or only looks at it.
    """

    plain: np.ndarray
    emptied: np.ndarray
    bought: np.ndarray
    left: np.ndarray
    buys: np.ndarray
    looks: np.ndarray


@dataclass(frozen=True)
class Rates:
    """Per visit of the person's own rate: `direct`, the probability that the visit shows the
    action; `back_any`, that a return to its cart does; `back_only`, that a return does and the
    visit does not.
    """

    direct: np.ndarray
    back_any: np.ndarray
    back_only: np.ndarray


def shows(truth: Truth, event: str) -> Shows:
    """How the visits of each person show an action; of those in the app where it is IN_APP.

    Of `login` it holds for one who has an account, of `sign_up` for one who has none, and of
    `contact_support` while the end of the life is far.
    """
    other = 1 - PASSES
    low, account, trust = np.eye(len(CAUSES))[[LOW_INTENT, ACCOUNT, TRUST]]
    first_view = (1 - UNSEEN) * LIKES
    likes = 1 - _views_generating(1 - LIKES)
    guest = 1 - truth.number("logged_in_share")
    coupon = truth.world.coupon_rate * truth.number("discount_affinity")
    held = truth.number("p_held")
    push = PUSHES_ON * (1 - truth.number("opt_in_push"))
    lists = LISTS + (1 - LISTS) * UNSEEN * (1 - SEARCHES)
    table = {  # plain, emptied, bought, left, buys, looks
        "visit": (1, 1, 1, 1, 1, 1),
        "view_item_list": (lists, LISTS, LISTS, LISTS, 0, 0),
        "view_item": (1 - UNSEEN, 1, 1, 1, 1 - UNSEEN, 1 - UNSEEN),
        "search": (SEARCHES, SEARCHES, SEARCHES, SEARCHES, 0, 0),
        "add_to_wishlist": (likes, likes, likes, likes, first_view, first_view),
        "add_to_cart": (0, 1, 1, 1, 0, 0),
        "remove_from_cart": (0, 1, held, held[:, None], 0, 0),
        "view_cart": (0, LOOKS, LOOKS, LOOKS + (LOOKS_LOW - LOOKS) * low, 1, 1),
        "begin_checkout": (0, 0, 1, 1 - low, 1, CHECKOUT_AGAIN * account),
        # a cart that passed the account step before has its account: no second sign-up
        "sign_up": (0, 0, 1, PASSES, other, 0),
        "login": (CASUAL * guest, 0, guest, guest[:, None] * PASSES, guest[:, None], 0),
        "add_shipping_info": (0, 0, 1, PASSES, 1, 0),
        "add_payment_info": (0, 0, 1, trust, 1, 0),
        "purchase": (0, 0, 1, 0, 1, 0),
        "app_open": (1, 1, 1, 1, 1, 1),
        "push_on": (push, push, push, *[push[:, None]] * 3),
        "contact_support": (TROUBLE,) * 6,
        "use_coupon": (0, 0, coupon, 0, coupon[:, None], 0),
    }
    n = len(truth.people)
    values = [np.asarray(value, float) for value in table[event]]
    single = [np.broadcast_to(value, n) for value in values[:3]]
    by_cause = [np.broadcast_to(value, (n, len(CAUSES))) for value in values[3:]]
    return Shows(*single, *by_cause)


def left_shares(truth: Truth) -> np.ndarray:
    """Probability that a cart that is not emptied is left for each cause: shape (n, causes)."""
    return truth.people[[f"p_left_{cause}" for cause in CAUSES]].to_numpy()


def rates(truth: Truth, event: str, shown: Shows | None = None) -> Rates:
    """The three numbers of an action for each person."""
    world, shown = truth.world, shown or shows(truth, event)
    left, share = left_shares(truth), 1.0
    if event in IN_APP:  # one device serves the cart and its return; an app is on a phone
        left = left * (truth.number("p_left_phone") / truth.number("p_left"))[:, None]
        share = truth.number("app_share")
    opened, emptied = truth.number("cart_prob"), world.emptied_share
    cart = opened * (1 - emptied)
    first = (1 - left.sum(axis=1)) * shown.bought + (left * shown.left).sum(axis=1)
    direct = (1 - opened) * shown.plain + opened * emptied * shown.emptied + cart * first
    back = left * back_shares(truth, shown)
    return Rates(
        share * direct,
        share * cart * back.sum(axis=1),
        share * cart * (back * (1 - shown.left)).sum(axis=1),
    )


def back_shares(truth: Truth, shown: Shows) -> np.ndarray:
    """Probability that a cart left for each cause brings a return that shows the action."""
    later = truth.world.buy_later_share
    return later * shown.buys + (1 - later) * truth.world.touch_share * shown.looks


def _views_generating(z: float) -> float:
    """E[z^views] of the goods a visit looks at while browsing, by the law of `write_log`."""
    more = VIEWS_STOP * (1 - VIEWS_STOP) ** np.arange(400)
    views = np.arange(400)
    with_more = z ** np.minimum(views + 1, MAX_VIEWS)
    without = z ** np.minimum(views, MAX_VIEWS)
    return float(more @ (VIEWS_MORE * with_more + (1 - VIEWS_MORE) * without))
