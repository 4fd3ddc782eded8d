"""What a threshold earns: contact those above it, pay for each, keep some of those who would go.

The profit of contacting a customer is

    s (m - i) - c    when the outcome would come (they would leave), and
    -t i - c         when it would not,

with s the share saved, m the margin kept, i the incentive, t the share of the others who take it
too, and c the cost of a contact; of nobody contacted it is 0. With a calibrated p the expected
profit is p s (m - i) - (1 - p) t i - c, which is above 0 exactly when

    p > (c + t i) / (s (m - i) + t i).

The share saved is an assumption until an experiment has measured it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, at_least, share
from cdp_lib.predict.evaluate import paired
from cdp_lib.predict.resample import draws, interval


@dataclass(frozen=True)
class Offer:
    """What a contact costs and what it may keep; money in the shop's currency.

    contact_cost: per customer contacted; margin: kept for each customer saved, over the time one
    looks at; saved_share: of those contacted who would have left, the share that stays (0-1);
    incentive_cost: paid to each who takes the offer; taken_by_others: of those contacted who would
    have stayed anyway, the share that takes it too (0-1).
    """

    contact_cost: float = 1.0
    margin: float = 50.0
    saved_share: float = 0.1
    incentive_cost: float = 0.0
    taken_by_others: float = 1.0

    def __post_init__(self) -> None:
        at_least("contact_cost", self.contact_cost, 0)
        at_least("incentive_cost", self.incentive_cost, 0)
        above("margin", self.margin, 0)
        share("saved_share", self.saved_share)
        share("taken_by_others", self.taken_by_others)

    def per_hit(self, value=None):
        """Profit of contacting a customer who would have the outcome; value: their margin."""
        margin = self.margin if value is None else np.asarray(value, float)
        return self.saved_share * (margin - self.incentive_cost) - self.contact_cost

    @property
    def per_miss(self) -> float:
        """Profit (never above 0) of contacting a customer who would not."""
        return -self.taken_by_others * self.incentive_cost - self.contact_cost

    def threshold(self, value=None):
        """The probability above which a contact pays, when p is calibrated; inf where none does."""
        gain, loss = np.asarray(self.per_hit(value)), -self.per_miss
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.where(gain > 0, loss / (gain + loss), np.inf)
        return float(found) if found.ndim == 0 else found

    def expected(self, p, value=None) -> np.ndarray:
        """Expected profit of contacting customers of these calibrated probabilities."""
        p = np.asarray(p, float)
        return p * self.per_hit(value) + (1 - p) * self.per_miss


def profit_curve(
    y, p, offer: Offer, value=None, ids=None, n_points: int = 100, n_boot: int = 500, seed: int = 7
) -> pd.DataFrame:
    """The profit of contacting everybody with p at or above a threshold, for many thresholds.

    y, p: outcomes and probabilities of customers the model has not seen; value: each one's margin
    (None: the offer's); ids: the customer of each row. Out: a row per threshold by rising share
    contacted: threshold (inf: nobody), contacted (share), n_contacts, profit (of these
    customers), low, high (95 % by customer, point by point), expected (what p says it would be).
    """
    y, p = paired(y, p)
    gains, said = row_profits(y, offer, value), offer.expected(p, value)
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.r_[p[order][1:] != p[order][:-1], True])
    if len(ends) > n_points:
        wanted = np.unique(np.linspace(0, len(p) - 1, n_points).round().astype(int))
        ends = np.unique(ends[np.searchsorted(ends, wanted)])
    starts = np.r_[0, ends[:-1] + 1]
    drawn = np.vstack(
        [
            np.cumsum(np.add.reduceat((w * gains)[:, order], starts, axis=1), axis=1)
            for w in draws(len(y), ids, n_boot, seed)
        ]
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "threshold": np.r_[np.inf, p[order][ends]],
            "contacted": np.r_[0, ends + 1] / len(p),
            "n_contacts": np.r_[0, ends + 1],
            "profit": np.r_[0, np.cumsum(gains[order])[ends]],
            "low": np.r_[0, low],
            "high": np.r_[0, high],
            "expected": np.r_[0, np.cumsum(said[order])[ends]],
        }
    )


def profit_table(
    y, p, offer: Offer, value=None, lists=None, ids=None, n_boot: int = 500, seed: int = 7
) -> pd.DataFrame:
    """What several ways to choose whom to contact would have earned on the same customers.

    lists: further lists, name -> chance to be contacted of each row (0 or 1, or between for ties:
    a rule's contacts). Out: a row per policy: policy, threshold, n_contacts, profit, low, high
    (95 % by customer), lost, lost_low, lost_high (profit less than at the best threshold: of the
    same bootstrap samples). The policies: "best threshold" (the closed form for p, with each
    one's own value where given: chosen without looking at y), "threshold 0.5", "everyone",
    "nobody", "best in hindsight" (the threshold that these outcomes liked best, which no one can
    know before), and the lists.
    """
    y, p = paired(y, p)
    gains = row_profits(y, offer, value)
    best, curve = offer.threshold(value), _hindsight(gains, p)
    policies = {
        "best threshold": (best if value is None else np.nan, p > best),
        "threshold 0.5": (0.5, p >= 0.5),
        "everyone": (0.0, np.ones(len(p))),
        "nobody": (np.inf, np.zeros(len(p))),
        "best in hindsight": (curve, p >= curve),
    }
    for name, chance in (lists or {}).items():
        chance = np.asarray(chance, float)
        if chance.shape != p.shape or not ((chance >= 0) & (chance <= 1)).all():
            raise Refusal(f"lists[{name!r}]", chance.shape, "not a chance a row", "give 0 to 1")
        policies[name] = (np.nan, chance)
    earned = np.column_stack([np.asarray(chosen, float) * gains for _, chosen in policies.values()])
    drawn = np.vstack([weights @ earned for weights in draws(len(y), ids, n_boot, seed)])
    total = earned.sum(axis=0)
    rows = []
    for at, (name, (threshold, chosen)) in enumerate(policies.items()):
        low, high = interval(drawn[:, at])
        lost = interval(drawn[:, 0] - drawn[:, at])
        rows.append(
            (
                name,
                threshold,
                float(np.sum(chosen)),
                total[at],
                low,
                high,
                total[0] - total[at],
                *lost,
            )
        )
    columns = "policy threshold n_contacts profit low high lost lost_low lost_high"
    return pd.DataFrame(rows, columns=columns.split())


def row_profits(y: np.ndarray, offer: Offer, value=None) -> np.ndarray:
    """The profit of contacting each customer, now that the outcome is known."""
    if value is not None:
        value = np.asarray(value, float)
        if value.shape != np.shape(y) or not np.isfinite(value).all():
            raise Refusal("value", value.shape, "not an amount a row", "give each one's margin")
    return np.where(np.asarray(y) == 1, offer.per_hit(value), offer.per_miss)


def _hindsight(gains: np.ndarray, p: np.ndarray) -> float:
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.r_[p[order][1:] != p[order][:-1], True])
    total = np.r_[0, np.cumsum(gains[order])[ends]]
    return float(np.r_[np.inf, p[order][ends]][np.argmax(total)])
