"""Intervals that stay right however often one looks.

An asymptotic confidence sequence: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-
uniform central limit theory and asymptotic confidence sequences", theorem 2.2; the boundary is the
normal mixture of Robbins (1970) and Howard, Ramdas, McAuliffe and Sekhon (2021). With a share r of
the information that it was tuned for, its half-width is

    se sqrt((1 + 1 / (r v)) log((1 + r v) / alpha^2)),

v being the tuning constant that makes it narrowest at r = 1.
"""

from __future__ import annotations

import math

import numpy as np

from cdp_lib.checks import Refusal


def tuning(alpha: float = 0.05) -> float:
    """The constant v that makes the sequence narrowest when all information is in.

    >>> round(tuning(0.05), 2)
    7.94
    """
    if not 0 < alpha < 1:
        raise Refusal("alpha", alpha, "must lie in (0, 1)", "use 0.05")
    return -2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))


def width(information: float | np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """How many standard errors the interval reaches to each side.

    information: share of what it was tuned for; it may pass 1. NaN where it is not above 0.

    >>> width(1.0).round(2).item(), width(0.1).round(2).item()
    (3.04, 3.86)
    """
    r = np.asarray(information, float) * tuning(alpha)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.sqrt((1 + 1 / r) * np.log((1 + r) / alpha**2))
    return np.where(r > 0, half, np.nan)


def always_valid(
    abs_lift: float | np.ndarray,
    se: float | np.ndarray,
    information: float | np.ndarray = 1.0,
    alpha: float = 0.05,
) -> tuple[np.ndarray, np.ndarray]:
    """The interval (low, high) that covers at every look at once with 1 - alpha.

    information: share of the information planned, such as units so far over units planned, or
    the variance of the total so far over that of the whole; what was planned must not depend on
    the outcomes. NaN where the standard error is.
    """
    half = np.asarray(se, float) * width(information, alpha)
    return np.asarray(abs_lift) - half, np.asarray(abs_lift) + half
