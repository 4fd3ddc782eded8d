"""Who the people are: rates, lifetimes, tastes, devices and answers, drawn independently.

Of a chunk's people the first `n_existing` have an account at the start; the others arrive at a
uniform moment of the span. A person lives from `entry` to `end` (days), with
end − entry ~ Exponential(death_rate), death_rate ~ Gamma and visit_rate ~ Gamma within its kind.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.catalogue import CATEGORIES, SIZES
from cdp_lib.world.law import HOUR_PREFERENCES, World

N_CLASSES = 16  # steps of the person's own log-odds: quantiles of a normal law
N_CITIES = 12
MOBILE, DESKTOP, APP = 0, 1, 2  # device slots
CHANNELS = ("email", "push", "sms", "whatsapp", "in_app")
OPT_IN = (0.62, 0.65, 0.24, 0.17, 1.0)
PRESSURE = (("weekly", 1), ("fortnightly", 2), ("monthly", 4))  # a newsletter every so many weeks


@dataclass(frozen=True)
class People:
    """A chunk of people, a row each; times in days, rates per day, everything else an index."""

    kind: np.ndarray
    existing: np.ndarray
    entry: np.ndarray
    end: np.ndarray
    visit_rate: np.ndarray
    death_rate: np.ndarray
    cart_prob: np.ndarray
    own_class: np.ndarray  # of log-odds to leave
    affinity: np.ndarray
    hour: np.ndarray  # index of HOUR_PREFERENCES
    taste: np.ndarray  # (n, categories): probability of each category
    size: np.ndarray
    device_mix: np.ndarray  # (n, 3): probability of MOBILE, DESKTOP, APP
    tablet: np.ndarray
    ios: np.ndarray
    operator: np.ndarray
    city: np.ndarray
    stays_logged_in: np.ndarray
    update_lag: np.ndarray  # days behind the newest app version
    channel: np.ndarray  # preferred touchpoint
    cookie_phase: np.ndarray
    shares_device: np.ndarray
    opt_in: np.ndarray  # (n, CHANNELS) before any message
    reads: np.ndarray  # index of CHANNELS: where messages are read most
    pressure: np.ndarray  # index of PRESSURE

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def mobile_share(self) -> np.ndarray:
        """Probability that a visit is on a phone."""
        return 1 - self.device_mix[:, DESKTOP]


def draw_people(
    world: World, n_existing: int, n_new: int, days: float, rng: np.random.Generator
) -> People:
    """People with an account at the start, then those who arrive within `days`."""
    n = n_existing + n_new
    existing = np.arange(n) < n_existing
    kinds = world.kinds
    share = np.array([[k.existing_share, k.new_share] for k in kinds])
    share = np.cumsum(share / share.sum(axis=0), axis=0)
    kind = (rng.random(n)[:, None] >= np.where(existing[:, None], share[:, 0], share[:, 1])).sum(1)
    kind = np.minimum(kind, len(kinds) - 1)

    def of_kind(field: str) -> np.ndarray:
        return np.array([getattr(k, field) for k in kinds])[kind]

    visit_rate = of_kind("visit_rate") * rng.gamma(world.rate_shape, 1 / world.rate_shape, n)
    life = of_kind("life_days") * np.where(existing, 1.0, world.newcomer_life_factor)
    death_rate = rng.gamma(world.death_shape, 1 / world.death_shape, n) / life
    entry = np.where(existing, 0.0, rng.random(n) * days)
    end = entry + rng.standard_exponential(n) / death_rate
    cart = of_kind("cart_prob")
    affinity = of_kind("affinity")
    desktop = rng.beta(2, 3, n)
    has_app = rng.random(n) < np.where(existing, 0.4, 0.1)
    app = np.where(has_app, (1 - desktop) * 0.65, 0.0)
    reachable = np.array([True, False, True, True, False]) | has_app[:, None]
    return People(
        kind=kind,
        existing=existing,
        entry=entry,
        end=end,
        visit_rate=visit_rate,
        death_rate=death_rate,
        cart_prob=rng.beta(cart * 8, (1 - cart) * 8),
        own_class=rng.integers(0, N_CLASSES, n),
        affinity=rng.beta(affinity * 6, (1 - affinity) * 6),
        hour=rng.choice(len(HOUR_PREFERENCES), n, p=[0.2, 0.25, 0.4, 0.15]),
        taste=_tastes(n, rng),
        size=rng.choice(len(SIZES), n, p=[0.12, 0.24, 0.3, 0.22, 0.12]),
        device_mix=np.column_stack([1 - desktop - app, desktop, app]),
        tablet=rng.random(n) < 0.15,
        ios=rng.random(n) < 0.42,
        operator=rng.choice(4, n, p=[0.38, 0.3, 0.2, 0.12]),
        city=rng.choice(N_CITIES, n, p=1 / np.arange(3, 15) / (1 / np.arange(3, 15)).sum()),
        stays_logged_in=rng.beta(world.logged_in_share * 4, (1 - world.logged_in_share) * 4, n),
        update_lag=rng.exponential(25.0, n),
        channel=rng.choice(7, n, p=[0.2, 0.24, 0.14, 0.16, 0.12, 0.08, 0.06]),
        cookie_phase=rng.random(n),
        shares_device=(rng.random(n) < world.shared_device_share) & (np.arange(n) % 2 == 1),
        opt_in=(rng.random((n, len(CHANNELS))) < OPT_IN) & reachable,
        reads=rng.choice(len(CHANNELS), n, p=[0.45, 0.2, 0.15, 0.1, 0.1]),
        pressure=rng.integers(0, len(PRESSURE), n),
    )


def _tastes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Three favourite categories with 55, 25 and 10 %, the rest even."""
    order = np.argsort(rng.random((n, len(CATEGORIES))), axis=1)
    taste = np.full((n, len(CATEGORIES)), 0.1 / len(CATEGORIES))
    for place, weight in enumerate((0.55, 0.25, 0.10)):
        taste[np.arange(n), order[:, place]] += weight
    return taste
