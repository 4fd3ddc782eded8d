"""What each visit is made with: account and login, browser, device, app version, entry.

An account opens at the first cart that gets past the account step. From then on a visit of its
owner is logged in with the person's own probability; a visit whose cart stops at the account step
is a guest's. A guest who passes that step signs up, or logs in where there is an account.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.law import World
from cdp_lib.world.people import APP, DESKTOP, MOBILE, People
from cdp_lib.world.visits import ACCOUNT, BASE, BUY_LATER, EXTRA, TOUCH, Carts, Visits

TOUCHPOINTS = (
    "direct", "organic_search", "paid_search", "social", "email", "affiliate", "display", "push",
    "sms", "whatsapp", "in_app",
)  # fmt: skip
OPERATORS = ("Telva", "Onda", "Kirin Mobile", "Freefon")
CITIES = (
    ("Berlin", "DE"), ("Hamburg", "DE"), ("Munich", "DE"), ("Cologne", "DE"), ("Vienna", "AT"),
    ("Leipzig", "DE"), ("Zurich", "CH"), ("Stuttgart", "DE"), ("Graz", "AT"), ("Bremen", "DE"),
    ("Basel", "CH"), ("Dresden", "DE"),
)  # fmt: skip
DEVICE_TYPES = ("mobile", "desktop", "tablet")
SYSTEMS = ("iOS", "Android", "Windows", "macOS", "iPadOS")
MODELS = (
    "iPhone 17", "iPhone 16", "iPhone 14", "Galaxy S26", "Galaxy A57", "Pixel 10", "Redmi 15",
    "PC", "Mac", "iPad",
)  # fmt: skip
RELEASE_DAYS = 42.0  # between two app versions
CASUAL = 0.1  # visits without a cart, not logged in, that log in while browsing
SETTLED_DAYS = 0.125  # no visit that may overlap the one of the sign-up starts logged in
NONE, LOGIN, SIGN_UP = range(3)


@dataclass(frozen=True)
class Sessions:
    """A row a visit, in the order of `Visits`; indices into the lists above, −1 for none."""

    logged_in: np.ndarray  # from its first event
    account_step: np.ndarray  # NONE, LOGIN or SIGN_UP, where its checkout asks for it
    casual_login: np.ndarray  # logs in while browsing
    visitor: np.ndarray  # number of the browser or app install
    touchpoint: np.ndarray
    device_type: np.ndarray
    device_model: np.ndarray
    system: np.ndarray
    app_version: np.ndarray
    operator: np.ndarray
    city: np.ndarray


def account_times(people: People, carts: Carts) -> np.ndarray:
    """When each person's account opens: −inf for those who had one, inf for never."""
    at = np.where(people.existing, -np.inf, np.inf)
    np.minimum.at(at, carts.person, carts.passes_at())
    return at


def passes_account_step(visits: Visits, carts: Carts) -> np.ndarray:
    """Whether the visit's checkout gets past the account step."""
    first = np.isfinite(carts.passes_at()) & (carts.passes_at() == carts.at)
    has_cart = visits.cart >= 0
    at_once = np.zeros(len(visits), bool)
    at_once[has_cart] = first[visits.cart[has_cart]]
    return np.isin(visits.reason, (BUY_LATER, EXTRA)) | (at_once & (visits.reason == BASE))


def draw_sessions(
    world: World,
    people: People,
    visits: Visits,
    carts: Carts,
    account_at: np.ndarray,
    entry: np.ndarray,
    numbers: np.ndarray,
    rng: np.random.Generator,
) -> Sessions:
    """The circumstances of each visit; `entry` the touchpoint where a message brought it, else
    −1; `numbers` the world's number of each person.
    """
    n, person, at = len(visits), visits.person, visits.at
    has_cart = visits.cart >= 0
    blocked = np.zeros(n, bool)
    blocked[has_cart] = carts.cause[visits.cart[has_cart]] == ACCOUNT
    blocked &= np.isin(visits.reason, (BASE, TOUCH))
    owns = account_at[person] < at
    settled = account_at[person] + SETTLED_DAYS < at
    logged_in = settled & ~blocked & (rng.random(n) < people.stays_logged_in[person])
    passes = passes_account_step(visits, carts) & ~logged_in
    step = np.where(passes, np.where(owns, LOGIN, SIGN_UP), NONE)
    casual = settled & ~logged_in & ~has_cart & (rng.random(n) < CASUAL) & (visits.reason == BASE)

    desktop, app = visits.slot == DESKTOP, visits.slot == APP
    owner = np.where(people.shares_device[person] & desktop, person - 1, person)
    since = at.copy()
    back = np.isin(visits.reason, (BUY_LATER, TOUCH))
    since[back] = carts.at[visits.cart[back]]
    epoch = np.where(app, 0, since / world.cookie_days + people.cookie_phase[owner])
    visitor = (numbers[owner] * 3 + visits.slot) * 64 + np.minimum(epoch, 63).astype(int)

    tablet = desktop & people.tablet[owner]
    ios = people.ios[owner]
    system = np.where(tablet, 4, np.where(desktop, np.where(ios, 3, 2), np.where(ios, 0, 1)))
    phone = np.where(ios, people.operator[owner] % 3, 3 + people.operator[owner])
    version = np.floor((at - people.update_lag[person]) / RELEASE_DAYS).astype(int) + 10
    elsewhere = rng.random(n) < 0.04
    return Sessions(
        logged_in=logged_in,
        account_step=step,
        casual_login=casual,
        visitor=visitor,
        touchpoint=np.where(entry >= 0, entry, _touchpoints(people, visits, rng)),
        device_type=np.where(tablet, 2, np.where(desktop, 1, 0)),
        device_model=np.where(tablet, 9, np.where(desktop, np.where(ios, 8, 7), phone)),
        system=system,
        app_version=np.where(app, np.maximum(version, 0), -1),
        operator=np.where(visits.slot == MOBILE, people.operator[person], -1),
        city=np.where(elsewhere, rng.integers(0, len(CITIES), n), people.city[person]),
    )


def version_names(days: float) -> list[str]:
    """The app versions known by the end of the span, oldest first."""
    return [f"{5 + i // 10}.{i % 10}.0" for i in range(int(days // RELEASE_DAYS) + 12)]


def _touchpoints(people: People, visits: Visits, rng: np.random.Generator) -> np.ndarray:
    n = len(visits)
    usual = rng.random(n) < 0.5
    drawn = rng.choice(7, n, p=[0.25, 0.25, 0.15, 0.13, 0.1, 0.07, 0.05])
    touchpoint = np.where(usual, people.channel[visits.person], drawn)
    back = np.isin(visits.reason, (BUY_LATER, TOUCH))
    touchpoint = np.where(back, np.where(rng.random(n) < 0.35, 4, 0), touchpoint)
    in_app = np.where(rng.random(n) < 0.15, 7, 0)
    return np.where(visits.slot == APP, in_app, touchpoint)
