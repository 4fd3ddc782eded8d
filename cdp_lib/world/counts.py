"""Mean numbers of actions in windows that begin at one moment, of people alive throughout.

For a person alive throughout [t0, t1) visits and the returns they bring are Poisson, so an action
is too. With A and D the clock's `integral` and `displaced` from the person's entry its mean is

    visit_rate · (direct · (A(t1) − A(t0))
                  + back_any · (D(upto t0, by t1) − D(upto t0, by t0))
                  + back_only · (D(upto t1, by t1) − D(upto t0, by t1)))

Who has seen the carts of the past leaves the second line away and asks each open cart instead.
The clock depends on a person's hour preference alone, so its integrals are small tables.
"""

from dataclasses import dataclass

import numpy as np

from cdp_lib.world.actions import Rates, Shows, back_shares, rates, shows
from cdp_lib.world.campaigns import MEMORY_DAYS
from cdp_lib.world.clock import Clock
from cdp_lib.world.law import HOUR_PREFERENCES
from cdp_lib.world.truth import Truth

_EACH = np.arange(len(HOUR_PREFERENCES))[:, None]


@dataclass(frozen=True)
class OpenCarts:
    """Carts left before the window that may still come back; a row a cart.

    `person`: row of the people. `opened`: day. `cause`: index of CAUSES. `in_app`: whether the
    cart, and so its return, is one of the app.
    """

    person: np.ndarray
    opened: np.ndarray
    cause: np.ndarray
    in_app: np.ndarray

    def where(self, chosen: np.ndarray) -> "OpenCarts":
        """The carts chosen by a mask."""
        return OpenCarts(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def mean_counts(
    truth: Truth, event: str, begin: float, ends: np.ndarray, seen_carts: bool = False
) -> np.ndarray:
    """Mean number of each person's `event`s in [begin, end) for each end: shape (n, ends).

    With `seen_carts`, of those that no cart of the past brings.
    """
    rate = rates(truth, event)
    since = np.minimum(truth.day("entered_at"), begin)
    mean = fresh_counts(truth, rate, begin, ends)
    if not seen_carts:
        mean += rate.back_any[:, None] * returns(truth, since, begin, ends)
    return truth.number("visit_rate")[:, None] * mean


def fresh_counts(truth: Truth, rate: Rates, begin: float, ends: np.ndarray) -> np.ndarray:
    """Mean numbers from visits that come in [begin, end), at visit rate 1: shape (n, ends)."""
    hour, time = truth.hours(), truth.clock
    visits = time.integral(_EACH, ends) - time.integral(_EACH, np.asarray(begin))
    back = due(time, begin, ends, ends)
    return rate.direct[:, None] * visits[hour] + rate.back_only[:, None] * back[hour]


def due(clock: Clock, since, upto, by) -> np.ndarray:
    """Mean carts opened in [since, upto) and due by `by`, at rate 1 a day: a row an hour
    preference, a column a window.
    """
    return clock.displaced(_EACH, 0.0, np.asarray(upto), np.asarray(by)) - clock.displaced(
        _EACH, 0.0, np.asarray(since), np.asarray(by)
    )


def returns(truth: Truth, since: np.ndarray, begin: float, ends: np.ndarray) -> np.ndarray:
    """Mean carts opened in [since, begin) and due in [begin, end), at rate 1: shape (n, ends).

    `since` is a day per person; carts of more than MEMORY_DAYS ago are no longer due.
    """
    time, hour = truth.clock, truth.hours()
    zero = np.zeros(1)
    counted = due(time, zero, begin, ends) - due(time, zero, begin, np.asarray([begin]))
    mean = counted[hour]
    late = np.flatnonzero(since > begin - MEMORY_DAYS)
    mine, of = since[late, None], hour[late, None]
    before = time.displaced(of, 0.0, mine, np.asarray(ends)[None])
    mean[late] -= before - time.displaced(of, 0.0, mine, np.asarray([[begin]]))
    return np.maximum(mean, 0.0)


def delay_share(clock: Clock, age: np.ndarray) -> np.ndarray:
    """G: the share of returns that come within `age` days of the cart."""
    past = np.maximum(age - clock.shift, 0.0)
    return 1 - sum(w * np.exp(-past / m) for w, m in zip(clock.weights, clock.means, strict=True))


def still_open(truth: Truth, age: np.ndarray) -> np.ndarray:
    """Probability that a left cart of a living person has not come back within `age` days."""
    world = truth.world
    comes = world.buy_later_share + (1 - world.buy_later_share) * world.touch_share
    return 1 - comes * delay_share(truth.clock, age)


def carts_silent(
    truth: Truth, shown: Shows, carts: OpenCarts, begin: float, ends: np.ndarray
) -> np.ndarray:
    """Log of the probability that none of a person's open carts shows the action in
    [begin, end): shape (n, ends).
    """
    share = back_shares(truth, shown)[carts.person, carts.cause][:, None]
    total = np.zeros((len(truth.people), len(ends)))
    np.add.at(total, carts.person, np.log1p(-share * due_shares(truth, carts, begin, ends)))
    return total


def due_shares(truth: Truth, carts: OpenCarts, begin: float, ends: np.ndarray) -> np.ndarray:
    """Of each cart that is still open, G over [begin, end) by the chance to be open: what the
    shares of `back_shares` are multiplied with. Shape (carts, ends).
    """
    age = (begin - carts.opened)[:, None]
    later = age + (np.asarray(ends) - begin)[None]
    comes = delay_share(truth.clock, later) - delay_share(truth.clock, age)
    return comes / still_open(truth, age)


def log_silence(
    truth: Truth, event: str, begin: float, ends: np.ndarray, carts: OpenCarts | None = None
) -> np.ndarray:
    """Log of the probability of no `event` in [begin, end) for one who lives: shape (n, ends).

    `carts`: those open at `begin`, where they are known.
    """
    mean = mean_counts(truth, event, begin, ends, seen_carts=carts is not None)
    if carts is None:
        return -mean
    return carts_silent(truth, shows(truth, event), carts, begin, ends) - mean
