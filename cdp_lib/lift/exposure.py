"""The effect on those who were really reached, by instrumental variable; and the vendor's count.

The draw is the instrument: it moves who is reached, and the outcome through that alone. Then the
effect of intention to treat over the difference in the share reached is the mean effect on those
whom the draw got reached (Imbens and Angrist 1994). It is an inference, and is marked as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cdp_lib.lift.sums import Sums
from cdp_lib.normal import Z

NAN = float("nan")


@dataclass(frozen=True)
class Exposed:
    """n_exposed: treated units that were reached. exposed_share: of the treated (0-1).
    exposed_lift: effect a unit reached, with low, high at 95 %; NaN where the draw moved nothing.
    """

    n_exposed: int
    exposed_share: float
    exposed_lift: float
    low: float
    high: float


def exposed_effect(control: Sums, treated: Sums, outcome: str, exposure: str) -> Exposed:
    """The effect on those reached: Wald's estimate, its error by the delta method.

    Both are columns of the sums, `exposure` 0 or 1, and their product was asked for.
    """
    if min(control.n, treated.n) < 2:
        return Exposed(0, NAN, NAN, NAN, NAN)
    share = treated.mean_of(exposure)
    moved = share - control.mean_of(exposure)
    n_exposed = round(share * treated.n)
    if not moved > 0:
        return Exposed(n_exposed, share, NAN, NAN, NAN)
    lift = (treated.mean_of(outcome) - control.mean_of(outcome)) / moved
    spread = sum(
        (part.var(outcome) - 2 * lift * part.cov(outcome, exposure) + lift**2 * part.var(exposure))
        / part.n
        for part in (control, treated)
    )
    half = Z * math.sqrt(max(spread, 0.0)) / moved
    return Exposed(n_exposed, share, lift, lift - half, lift + half)
