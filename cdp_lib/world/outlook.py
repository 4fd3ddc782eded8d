"""What a person will do in a window, by the day on which their life ends.

`by_death` has a formula for every action: most are thinned Poisson processes; an account is opened
once; a login depends on the account, a support contact on the end of the life, an app removal
follows it, and an opt-out depends on the messages planned.
"""

import numpy as np

from cdp_lib.checks import Refusal
from cdp_lib.world.actions import IN_APP, PASSES, back_shares, left_shares, rates, shows
from cdp_lib.world.counts import (
    OpenCarts,
    delay_share,
    due,
    due_shares,
    fresh_counts,
    log_silence,
    returns,
)
from cdp_lib.world.law import HOUR_PREFERENCES
from cdp_lib.world.log import LATE_DAYS, TROUBLE, TROUBLE_LATE
from cdp_lib.world.messages import PUSH
from cdp_lib.world.optout import ALL_CHANNELS, opt_outs_by_death, sent_before
from cdp_lib.world.truth import Truth
from cdp_lib.world.visits import REMOVE_DAYS, REMOVES

OPT_OUTS = {"push_off": (PUSH,), "unsubscribe": ALL_CHANNELS}
BY_ACCOUNT = ("sign_up", "login", *OPT_OUTS)  # it is known who has an account at the start
_EACH = np.arange(len(HOUR_PREFERENCES))[:, None]


def by_death(
    truth: Truth, event: str, begin: float, horizon: float, carts: OpenCarts | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Days d from `begin` on, and the probability of the event in [begin, begin + horizon) for a
    life that ends at begin + d: shape (n, days). After the last day it changes no more.

    `carts`: those open at `begin`, where they are known.
    """
    days = np.append(np.arange(0.0, horizon), horizon)
    if event in OPT_OUTS:
        return days, _opts_out(truth, event, begin, days, carts)
    if event == "contact_support":
        days = np.append(days, horizon + np.arange(1, LATE_DAYS + 1))
        return days, 1 - np.exp(_untroubled(truth, begin, horizon, days, carts))
    if event == "app_remove":
        return days, removal(truth, begin, horizon, (begin + days)[None])
    if event == "login":
        chance = 1 - np.exp(_no_login(truth, begin, begin + days, carts))
        new = np.flatnonzero(~owners(truth, begin) & (truth.day("entered_at") <= begin))
        unsigned = np.exp(log_silence(truth, "sign_up", begin, begin + days, carts))
        chance[new] = _first_logins(truth.rows(new), begin, days, unsigned[new])
        return days, chance
    if carts is not None and event in IN_APP:
        carts = carts.where(carts.in_app)
    chance = 1 - np.exp(log_silence(truth, event, begin, begin + days, carts))
    if event == "sign_up":
        chance[owners(truth, begin)] = 0.0
    return days, chance


def owners(truth: Truth, begin: float) -> np.ndarray:
    """Who has an account before `begin`; Refusal after the span, where nobody has seen it."""
    if begin > truth.days:
        raise Refusal(
            "start", begin, "accounts and messages are known within the span only",
            f"start by day {truth.days}",
        )  # fmt: skip
    return truth.number("existing") | (truth.day("account_at") < begin)


def removal(truth: Truth, begin: float, horizon: float, ends_at: np.ndarray) -> np.ndarray:
    """Probability to remove the app in the window for a life that ends at `ends_at` (day)."""

    def done_by(moment: float) -> np.ndarray:
        return np.clip((moment - ends_at) / REMOVE_DAYS, 0, 1)

    owns_app = (truth.number("app_share") > 0)[:, None]
    return REMOVES * owns_app * (done_by(begin + horizon) - done_by(begin))


def _opts_out(truth: Truth, event: str, begin: float, days: np.ndarray, carts) -> np.ndarray:
    if begin % 1 or days[-1] % 1:
        raise Refusal(
            "horizon_days", days[-1], f"{event} is known for whole days", "start at a midnight"
        )
    owns = owners(truth, begin)

    def signs(ends: np.ndarray) -> np.ndarray:
        return 1 - np.exp(log_silence(truth, "sign_up", begin, ends, carts))

    log = sent_before(truth, begin)
    return opt_outs_by_death(truth, OPT_OUTS[event], begin, days, owns, signs, log)


def _untroubled(
    truth: Truth, begin: float, horizon: float, days: np.ndarray, carts: OpenCarts | None
) -> np.ndarray:
    """Log of the probability of no contact with support, by the day of death.

    Up to `calm` a visit asks for support with TROUBLE, from then on with TROUBLE_LATE.
    """
    end = begin + np.minimum(days, horizon)
    calm = begin + np.clip(days - LATE_DAYS, 0, horizon)
    rate, time, hour = rates(truth, "visit"), truth.clock, truth.hours()
    early, late = TROUBLE, TROUBLE_LATE
    at = time.integral(_EACH, calm)
    direct = early * (at - time.integral(_EACH, np.asarray([begin])))
    direct = direct + late * (time.integral(_EACH, end) - at)
    # of a cart opened and due in the window, the return counts where the visit did not ask
    both_early = due(time, begin, calm, calm)
    back = early * (1 - early) * both_early
    back = back + late * (1 - early) * (due(time, begin, calm, end) - both_early)
    back = back + late * (1 - late) * due(time, calm, end, end)
    mean = direct[hour] + rate.back_any[:, None] * back[hour]
    if carts is None:
        since = np.minimum(truth.day("entered_at"), begin)
        old = early * returns(truth, since, begin, calm)
        old += late * (returns(truth, since, begin, end) - returns(truth, since, begin, calm))
        return -truth.number("visit_rate")[:, None] * (mean + rate.back_any[:, None] * old)
    world = truth.world
    comes = world.buy_later_share + (1 - world.buy_later_share) * world.touch_share
    calmly = due_shares(truth, carts, begin, calm)
    asks = early * calmly + late * (due_shares(truth, carts, begin, end) - calmly)
    quiet = -truth.number("visit_rate")[:, None] * mean
    np.add.at(quiet, carts.person, np.log1p(-comes * asks))
    return quiet


def _no_login(truth: Truth, begin: float, ends: np.ndarray, carts) -> np.ndarray:
    """Log of the probability that the owner of an account does not log in."""
    if carts is not None:
        return log_silence(truth, "login", begin, ends, carts)
    passing, other = _login_returns(truth)
    entered = np.minimum(truth.day("entered_at"), begin)
    opened = np.where(truth.number("existing"), entered, truth.day("account_at"))
    # a cart that passed the account step cannot be older than the account
    opened = np.where(opened < begin, opened, begin)
    mean = fresh_counts(truth, rates(truth, "login"), begin, ends)
    mean += passing[:, None] * returns(truth, opened, begin, ends)
    mean += other[:, None] * returns(truth, entered, begin, ends)
    log = -truth.number("visit_rate")[:, None] * mean
    age = np.where(truth.number("existing"), np.inf, begin - opened)[:, None]
    comes = delay_share(truth.clock, age + (ends - begin)) - delay_share(truth.clock, age)
    return log + np.log1p(-_sign_up_returns(truth)[:, None] * comes)


def _login_returns(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Returns per visit that log in: to carts that passed the account step, and to the others."""
    cart = truth.number("cart_prob") * (1 - truth.world.emptied_share)
    back = left_shares(truth) * back_shares(truth, shows(truth, "login"))
    passing = cart * (back * PASSES).sum(axis=1)
    return passing, cart * back.sum(axis=1) - passing


def _sign_up_returns(truth: Truth) -> np.ndarray:
    """Probability that the cart of the sign-up itself comes back with a login."""
    left, later = left_shares(truth), truth.world.buy_later_share
    passing = (left * PASSES).sum(axis=1)
    lost = left.sum(axis=1) - passing
    guest = 1 - truth.number("logged_in_share")
    return later * passing * guest / (1 - lost + later * lost)


def _first_logins(truth: Truth, begin: float, days: np.ndarray, unsigned: np.ndarray) -> np.ndarray:
    """Probability that one without an account opens it and then logs in, by the day of death.

    `unsigned`: probability of no sign-up by each of the days. Averaged over the day on which the
    account is opened; the moment within it is its middle.
    """
    ends, entered = begin + days, truth.day("entered_at")
    rate, own = rates(truth, "login"), _sign_up_returns(truth)[:, None]
    _, other = _login_returns(truth)
    visit_rate = truth.number("visit_rate")[:, None]
    chance = np.zeros((len(entered), len(days)))
    for i in range(len(days) - 1):
        at, rest = (ends[i] + ends[i + 1]) / 2, ends[i + 1 :]
        mean = fresh_counts(truth, rate, at, rest)
        mean += other[:, None] * returns(truth, entered, at, rest)
        silent = np.exp(-visit_rate * mean) * (1 - own * delay_share(truth.clock, rest - at))
        chance[:, i + 1 :] += (unsigned[:, i] - unsigned[:, i + 1])[:, None] * (1 - silent)
    return chance
