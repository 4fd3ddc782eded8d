"""Why and how often a cart is left: the law per cart, and its exact means per person.

A cart that is not emptied is left with probability 1 / (1 + exp(−(own + x·coefficients))): `own`
is the person's, by kind and class, and x the basket's and the device's. Given that it is left, the
cause is `account` with probability account_share; else one of four with weights by x, scaled so
that over all carts they come to their shares of the law. A person's baskets come from a finite
pool by category of taste, so means over them are plain averages and no approximation.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cdp_lib.world.catalogue import CATEGORIES, POOL, Catalogue
from cdp_lib.world.law import CAUSES, World
from cdp_lib.world.people import N_CLASSES, People


@dataclass(frozen=True)
class Leaving:
    """The law of leaving; `phone` and `new` index 0 for no, 1 for yes, b a basket of the pool.

    `own[kind, class]` and `basket[b, phone]`: log-odds. `cause[b, phone, new, cause]`: probability
    given left. `left[category, kind × class × phone, b in category]`: probability to be left;
    `mean_left[category, kind, class, phone]`: its mean over the category's baskets;
    `mean_cause[category, kind, class, phone, new, cause]`: mean of being left for that cause.
    """

    own: np.ndarray
    basket: np.ndarray
    cause: np.ndarray
    left: np.ndarray
    mean_left: np.ndarray
    mean_cause: np.ndarray

    def probability(self, kind, own_class, basket, phone) -> np.ndarray:
        """Probability that each cart is left."""
        return _logistic(self.own[kind, own_class] + self.basket[basket, phone])

    def of_person(self, people: People) -> np.ndarray:
        """Each person's probability that a cart is left."""
        return self._mixed(people, self.mean_left[:, people.kind, people.own_class])

    def on_phone(self, people: People) -> np.ndarray:
        """Each person's probability that a cart on a phone is left."""
        return np.einsum(
            "pc,cp->p", people.taste, self.mean_left[:, people.kind, people.own_class, 1]
        )

    def causes_of_person(self, people: People) -> np.ndarray:
        """Each person's probability that a cart is left for each cause: shape (n, causes)."""
        new = (~people.existing).astype(int)
        mine = self.mean_cause[:, people.kind, people.own_class]  # category, n, phone, new, cause
        mine = mine[:, np.arange(len(people)), :, new]  # n, category, phone, cause
        mine = np.moveaxis(mine, 0, 1)
        return np.column_stack(
            [self._mixed(people, mine[..., cause]) for cause in range(len(CAUSES))]
        )

    def mean_values(self, people: People, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each person's mean of value · P(left) and value · P(bought), by value of basket."""
        value = value.reshape(-1, POOL)
        lost = (self.left @ value[..., None] / POOL).reshape(self.mean_left.shape)
        mine = self._mixed(people, lost[:, people.kind, people.own_class])
        return mine, people.taste @ value.mean(axis=1) - mine

    @staticmethod
    def _mixed(people: People, mine: np.ndarray) -> np.ndarray:
        """Average over a person's devices and tastes of an array (category, person, phone)."""
        phone = people.mobile_share
        mixed = mine[..., 0] * (1 - phone) + mine[..., 1] * phone
        return np.einsum("pc,cp->p", people.taste, mixed)


def leaving(world: World, goods: Catalogue) -> Leaving:
    """The law of leaving for these goods."""
    steps = np.array([NormalDist().inv_cdf((i + 0.5) / N_CLASSES) for i in range(N_CLASSES)])
    own = world.left_bias + np.array([k.left_bias for k in world.kinds])[:, None]
    own = own + steps * world.person_spread
    odds = (
        world.on_shipping_share * goods.shipping_share
        + world.on_unknown_brand * goods.unknown_brand
        + world.on_single_cheap * goods.single_cheap
    )
    basket = np.column_stack([odds, odds + world.on_mobile])
    cause = _cause_shares(world, goods, _logistic(own.mean() + basket))
    shape = (len(CATEGORIES), *own.shape, 2)
    by_category = basket.T.reshape(2, len(CATEGORIES), POOL).swapaxes(0, 1)
    left = _logistic(own[:, :, None, None] + by_category[:, None, None])
    weights = cause.reshape(len(CATEGORIES), POOL, 2, 2, len(CAUSES))
    mean_cause = np.stack(  # phone by phone, as the weights depend on it
        [
            left[..., phone, :].reshape(len(CATEGORIES), -1, POOL)
            @ weights[:, :, phone].reshape(len(CATEGORIES), POOL, -1)
            for phone in (0, 1)
        ],
        axis=2,
    )
    left = left.reshape(len(CATEGORIES), -1, POOL)
    mean_cause = mean_cause.reshape(*shape, 2, len(CAUSES)) / POOL
    return Leaving(own, basket, cause, left, left.mean(axis=-1).reshape(shape), mean_cause)


def _logistic(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def _cause_shares(world: World, goods: Catalogue, left: np.ndarray) -> np.ndarray:
    """P(cause | left) by basket, phone and new, shape (b, 2, 2, causes).

    The scales are found by fitting the shares over a reference mix: each basket alike, 60 % on a
    phone, 25 % new.
    """
    raw = _raw_weights(goods)
    mix = left[:, :, None] * np.array([0.4, 0.6])[:, None] * np.array([0.75, 0.25])
    wanted, scales = np.array(world.other_cause_shares()), np.ones(4)
    for _ in range(40):
        part = raw * scales
        part = part / part.sum(axis=-1, keepdims=True)
        scales = scales * wanted / np.maximum(np.tensordot(mix, part, 3) / mix.sum(), 1e-12)
    part = raw * scales
    others = part / part.sum(axis=-1, keepdims=True) * (1 - world.account_share)
    account = np.full((*others.shape[:-1], 1), world.account_share)
    return np.concatenate([account, others], axis=-1)


def _raw_weights(goods: Catalogue) -> np.ndarray:
    """Weights of extra_costs, trust, long_checkout, low_intent: shape (b, phone, new, 4)."""
    shipping, n = goods.shipping_share, len(goods.model)
    phone, new = np.array([0.0, 1.0])[:, None], np.array([0.0, 1.0])
    columns = (
        np.where(shipping > 0, np.exp(2 * shipping), 0.0)[:, None, None],
        np.exp(0.9 * goods.unknown_brand[:, None, None] + 0.8 * new),
        np.exp(0.9 * phone)[None],
        np.exp(1.2 * goods.single_cheap)[:, None, None],
    )
    return np.stack([np.broadcast_to(column, (n, 2, 2)) for column in columns], axis=-1)
