"""The expected maximum profit of a churn model (EMPC), for comparison with the literature.

One contacts those above the best threshold, and the share of leavers that an offer keeps, gamma,
is not known but Beta(alpha, beta). Contacting a leaver earns gamma (clv - d) - f, anyone else
-(d + f). The best thresholds are the corners of the convex hull of the ROC curve, each for gammas
in an interval, so the expectation is a finite sum. Source: Verbraken, Verbeke and Baesens (2013),
doi:10.1109/TKDE.2012.50; the default parameters are theirs.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.checks import Refusal, above, at_least
from cdp_lib.predict.ranking import rank


@dataclass(frozen=True)
class Empc:
    """profit: expected maximum profit per customer, in the currency of clv; contacted: the
    expected share of customers to contact (0-1)."""

    profit: float
    contacted: float


def empc(
    y, score, clv: float = 200, d: float = 10, f: float = 1, alpha: float = 6, beta: float = 14
) -> Empc:
    """The EMPC of a score. y: 1 for those who left; score: any number, higher for likelier leavers.

    clv: value of a customer kept; d: cost of the offer, for each who takes it (all who would have
    stayed do); f: cost of a contact; alpha, beta: the distribution of the share kept.
    Raises Refusal for an offer that costs no less than a customer is worth.
    """
    from scipy.special import betainc

    for place, value in (("clv", clv), ("alpha", alpha), ("beta", beta)):
        above(place, value, 0)
    for place, value in (("d", d), ("f", f)):
        at_least(place, value, 0)
    if d >= clv:
        raise Refusal("d", d, f"an offer worth no less than the customer ({clv})", "offer less")
    ranked = rank(y, score)
    weight, hit = (part[0] for part in ranked.sums(np.ones((1, len(ranked.hit)))))
    corners = hull(np.r_[0, np.cumsum(weight - hit)], np.r_[0, np.cumsum(hit)]) / len(ranked.hit)
    stays, leaves = corners.T  # shares of all customers contacted at each corner
    paid = (d + f) * np.diff(stays) + f * np.diff(leaves)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.where(np.diff(leaves) > 0, paid / ((clv - d) * np.diff(leaves)), np.inf)
    edges = np.r_[0, np.clip(turn, 0, 1), 1]
    chance = np.diff(betainc(alpha, beta, edges))
    kept = alpha / (alpha + beta) * np.diff(betainc(alpha + 1, beta, edges))
    profit = (clv - d) * leaves @ kept - ((d + f) * stays + f * leaves) @ chance
    return Empc(float(profit), float((stays + leaves) @ chance))


def hull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The corners of the upper convex hull of points by rising x (and y), as rows (x, y)."""
    kept: list[tuple[float, float]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(kept) > 1 and _turns_left(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return np.array(kept)


def _turns_left(a, b, c) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])
