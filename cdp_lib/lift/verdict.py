"""The one place that says what to do: scale, stop, keep testing, cannot tell, or refused."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cdp_lib.lift.gates import Gate
from cdp_lib.normal import FOUND, Z_POWER, Z

MOST_DAYS = 84  # who would have to wait longer is told what could be seen by now instead
WORDS = ("scale", "stop", "keep testing", "cannot tell", "refused")


@dataclass(frozen=True)
class Verdict:
    """word: one of WORDS. reason: a sentence, or a few words of why it was refused. days: further
    days to test, else None. mde: the effect a unit that would have been found in 4 of 5 cases."""

    word: str
    reason: str
    days: int | None = None
    mde: float = float("nan")

    @property
    def text(self) -> str:
        """The verdict with its number, such as "keep testing 12 more days"."""
        if self.word == "keep testing":
            return f"keep testing {self.days} more day{'' if self.days == 1 else 's'}"
        if self.word == "cannot tell" and math.isfinite(self.mde):
            return f"cannot tell (MDE {self.mde:.3g})"
        return f"refused ({self.reason})" if self.word == "refused" else self.word


def verdict(
    low: float,
    high: float,
    se: float,
    abs_lift: float,
    gate: Gate | None = None,
    wait_days: int | None = None,
    worth: float = 0.0,
    sign: int = 1,
    days_so_far: float | None = None,
    harm: str = "",
    sure: bool = True,
    reach: float = Z,
) -> Verdict:
    """What to do about an arm.

    low, high, se, abs_lift: its effect per unit. gate: the first gate that fails; wait_days: days
    until a window that is still open closes, and then that is the answer. worth: what a unit costs,
    in the metric's unit; the effect must pass it. sign: -1 where more is worse. days_so_far: how
    long it has been running; None where it is over, and no more days can be had. harm: a guardrail
    that was harmed. sure: whether it holds with the other comparisons counted. reach: standard
    errors from the estimate to an end of its interval.
    """
    if gate is not None and wait_days is not None:
        return Verdict("keep testing", gate.detail, wait_days)
    if gate is not None:
        return Verdict("refused", gate.short)
    if not (math.isfinite(se) and math.isfinite(low)):
        return Verdict("cannot tell", "There is no spread to build an interval from.")
    mde = FOUND * se
    if harm:
        return Verdict("stop", harm, mde=mde)
    good_low, good_high = (low, high) if sign > 0 else (-high, -low)
    than = f"what it costs ({worth:.3g} a unit)" if worth else "nothing"
    if good_low > worth and sure:
        return Verdict("scale", f"It brings more than {than}.", mde=mde)
    if good_high < worth and sure:
        what = "It brings less than " + than if worth else "It does harm"
        return Verdict("stop", f"{what}.", mde=mde)
    if days_so_far:
        distance = abs(sign * abs_lift - worth)
        times = ((reach + Z_POWER) * se / distance) ** 2 if distance else math.inf
        more = math.ceil(days_so_far * max(times - 1, 0.0)) if math.isfinite(times) else None
        if more is not None and more <= MOST_DAYS:
            said = "If the effect is what it looks like, that many more days will show it."
            return Verdict("keep testing", said, max(more, 1), mde)
    said = f"An effect below {mde:.3g} a unit would mostly go unseen with so many units."
    return Verdict("cannot tell", said, mde=mde)
