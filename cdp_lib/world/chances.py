"""Ask the truth for probabilities: of any action, within any window, for every person.

A person alive at the start of the window lives on for an exponential time, over which the
probabilities of `outlook` are averaged on a daily grid. Ignored are the minutes between the start
of a visit and its events, and what campaigns add or take away (their effects are in truth/effects).
"""

from datetime import date, datetime

import numpy as np
import pandas as pd

from cdp_lib.checks import above, one_of
from cdp_lib.world.actions import ACTIONS
from cdp_lib.world.outlook import BY_ACCOUNT, by_death, removal
from cdp_lib.world.presence import known_presence
from cdp_lib.world.truth import Truth
from cdp_lib.world.visits import REMOVE_DAYS

GIVEN = ("alive", "entered", "truth")


def probability(
    truth: Truth,
    event: str,
    start: str | date | datetime,
    horizon_days: float,
    given: str = "alive",
) -> pd.Series:
    """True probability of at least one `event` in [start, start + horizon_days), by person_id.

    `event` is one of ACTIONS, which hold every event of the log. A visit is any session with more
    than an app_remove or push_off; use_coupon is an order with a coupon of one's own, campaigns'
    offers apart; unsubscribe is an opt-out of any channel of messages.
    `given="alive"`: of a person who is alive at `start`, whatever the log shows; NaN before the
    person's arrival. `given="entered"`: of a person of whom it is only known that they arrived
    before; the chance to be still alive is a factor. `given="truth"`: it is known who still lives
    at `start`, and of those who do not, when they died.
    For sign_up, login, push_off and unsubscribe it is also known who has an account at `start`, and
    for the last two which messages were sent and who opted out; they ask for a start within the
    span, the last two for whole days. Raises Refusal for a window the clock does not reach.
    """
    one_of("event", event, ACTIONS)
    one_of("given", given, GIVEN)
    above("horizon_days", horizon_days, 0)
    begin = truth.window(start, horizon_days)
    entry, ends = truth.day("entered_at"), truth.day("ends_at")
    days, reached = by_death(truth, event, begin, horizon_days)
    chance = averaged(truth.number("death_rate"), days, reached)
    if given == "truth":
        late = removal(truth, begin, horizon_days, ends[:, None])[:, 0]
        chance = np.where(ends > begin, chance, late if event == "app_remove" else 0.0)
    elif given == "entered" and event == "app_remove":
        chance = _removals(truth, begin, horizon_days, entry)
    elif given == "entered" and event in BY_ACCOUNT:
        chance = chance * known_presence(truth, event, begin)
    elif given == "entered":
        chance = chance * np.exp(-truth.number("death_rate") * (begin - entry))
    chance = np.where(entry <= begin, chance, np.nan)
    return pd.Series(chance, index=truth.people["person_id"], name=f"p_{event}")


def averaged(death_rate: np.ndarray, days: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """The mean of `reached` (n, days) over an exponential time to live; constant after the last.

    Dying within a day counts half of what the day brings.
    """
    lives = np.exp(-death_rate[:, None] * days)
    dies = lives[:, :-1] - lives[:, 1:]
    return (dies * (reached[:, :-1] + reached[:, 1:]) / 2).sum(axis=1) + lives[:, -1] * reached[
        :, -1
    ]


def _removals(truth: Truth, begin: float, horizon: float, entry: np.ndarray) -> np.ndarray:
    """Probability to remove the app in the window, of one who arrived at `entry`.

    The removal follows the end of the life, exponential, by a uniform part of REMOVE_DAYS.
    """
    rate = truth.number("death_rate")

    def removed_by(moment: float) -> np.ndarray:
        upto, since = (np.maximum(moment - entry - back, 0) for back in (0, REMOVE_DAYS))
        # the mean of 1 − exp(−rate · y) over y in [since, upto]
        return (upto - since + (np.exp(-rate * upto) - np.exp(-rate * since)) / rate) / REMOVE_DAYS

    half = removal(truth, begin, np.inf, np.asarray([[begin]]))[:, 0]
    return half * (removed_by(begin + horizon) - removed_by(begin))
