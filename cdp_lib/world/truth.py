"""Read the truth behind a simulated shop, and ask it for probabilities.

For a person alive throughout [t0, t1) the visits, and the first purchases of carts, are Poisson,
so P(no event in the window) = exp(−M). Each action has three numbers per visit of the person's own
rate: `direct`, the probability that the visit shows it; `back_any`, that a later return to its cart
shows it; `back_only`, that a return does and the visit does not. With A and D the clock's
`integral` and `displaced` from the person's entry,

    M = visit_rate · (direct · (A(t1) − A(t0))
                      + back_any · (D(upto t0, by t1) − D(upto t0, by t0))
                      + back_only · (D(upto t1, by t1) − D(upto t0, by t1)))

A person alive at t0 lives on for an exponential time, over which 1 − exp(−M) is averaged on a
daily grid. Ignored are the minutes between the start of a visit and its events, and what campaigns
add or take away (their effects are in truth/effects).
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, one_of
from cdp_lib.windows import instant
from cdp_lib.world.clock import Clock, clock
from cdp_lib.world.law import HOUR_PREFERENCES, World
from cdp_lib.world.log import CHECKOUT_AGAIN, VIEWS_MORE, VIEWS_STOP
from cdp_lib.world.simulate import BEYOND_DAYS

ACTIONS = (
    "visit", "view_item", "add_to_cart", "begin_checkout", "add_shipping_info", "add_payment_info",
    "purchase", "use_coupon",
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """The law and its people: `about` is world.json, `people` the frame of truth/people."""

    folder: Path
    about: dict
    world: World
    clock: Clock
    people: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        """Another truth table: carts, effects, campaigns or pairs."""
        return pd.read_parquet(self.folder / f"{name}.parquet")


def open_truth(out: str | Path) -> Truth:
    """Read the truth of the world that `simulate` wrote into the folder `out`."""
    folder = Path(out) / "truth"
    if not (folder / "world.json").is_file():
        raise Refusal("out", str(out), "holds no truth/world.json", "simulate a world there first")
    about = json.loads((folder / "world.json").read_text())
    world, start = World.from_dict(about["world"]), datetime.fromisoformat(about["start"])
    time = clock(start, about["weeks"] * 7 + BEYOND_DAYS, world)
    return Truth(folder, about, world, time, pd.read_parquet(folder / "people.parquet"))


def probability(
    truth: Truth,
    event: str,
    start: str | date | datetime,
    horizon_days: float,
    given: str = "alive",
) -> pd.Series:
    """True probability of at least one `event` in [start, start + horizon_days), by person_id.

    `event` is one of ACTIONS; use_coupon is an order with a coupon of one's own, campaigns' offers
    apart; a visit is any session with more than an app_remove or push_off.
    `given="alive"`: of a person who is alive at `start`, whatever the log shows; NaN before the
    person's arrival. `given="entered"`: of a person of whom it is only known that they arrived
    before; the chance to be still alive is a factor. `given="truth"`: 0 for those whose life was
    over at `start`. Raises Refusal for a window the clock does not reach.
    """
    one_of("event", event, ACTIONS)
    one_of("given", given, ("alive", "entered", "truth"))
    above("horizon_days", horizon_days, 0)
    people, begin = truth.people, _day(truth, instant(start, "start"))
    if begin < 0 or begin + horizon_days > truth.clock.days:
        raise Refusal("start", str(start), "the window leaves the world's clock", "choose another")
    days = np.append(np.arange(0.0, horizon_days), horizon_days)
    mu = people["death_rate"].to_numpy()
    mean = [expected_count(truth, event, begin, begin + day) for day in days[1:]]
    happened = np.vstack([np.zeros(len(people)), 1 - np.exp(-np.array(mean))])
    lives = np.exp(-mu * days[:, None])
    # at least one by the day of death, or by the horizon: dying within a day counts half of it
    dies = lives[:-1] - lives[1:]
    chance = (dies * (happened[:-1] + happened[1:]) / 2).sum(axis=0) + lives[-1] * happened[-1]
    entry = _days(truth, "entered_at")
    if given == "entered":
        chance = chance * np.exp(-mu * (begin - entry))
    elif given == "truth":
        chance = np.where(_days(truth, "ends_at") > begin, chance, 0.0)
    chance = np.where(entry <= begin, chance, np.nan)
    return pd.Series(chance, index=people["person_id"], name=f"p_{event}")


def expected_count(truth: Truth, event: str, t0: float, t1: float) -> np.ndarray:
    """M of each person for [t0, t1), in days from the world's start, if alive throughout."""
    people, time = truth.people, truth.clock
    hour = pd.Categorical(people["hour_preference"], categories=HOUR_PREFERENCES).codes.astype(int)
    entry = np.minimum(_days(truth, "entered_at"), t0)
    direct, back_any, back_only = action_rates(truth.world, people, event)
    before_by_end = time.displaced(hour, entry, t0, t1)
    mean = direct * (time.integral(hour, t1) - time.integral(hour, t0))
    mean += back_any * (before_by_end - time.displaced(hour, entry, t0, t0))
    mean += back_only * (time.displaced(hour, entry, t1, t1) - before_by_end)
    return people["visit_rate"].to_numpy() * mean


def action_rates(
    world: World, people: pd.DataFrame, event: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`direct`, `back_any` and `back_only` of an action, per visit of each person's own rate."""
    left = people["p_left"].to_numpy()
    account, low, trust = (
        people[f"p_left_{cause}"].to_numpy() for cause in ("account", "low_intent", "trust")
    )
    opened = people["cart_prob"].to_numpy()
    cart = opened * (1 - world.emptied_share)
    later, touch = world.buy_later_share, (1 - world.buy_later_share) * world.touch_share
    none = np.zeros(len(people))
    returns = cart * left * (later + touch)
    unseen = VIEWS_STOP * (1 - VIEWS_MORE)  # a visit looks at nothing while browsing
    buys_later = cart * later * left
    rates = {
        "visit": (none + 1, returns, none),
        "view_item": (1 - (1 - opened) * unseen, returns * (1 - unseen), none),
        "add_to_cart": (opened, none, none),
        "begin_checkout": (
            cart * (1 - low),
            buys_later + cart * touch * CHECKOUT_AGAIN * account,
            cart * later * low,
        ),
        "add_shipping_info": (
            cart * (1 - low - account), buys_later, cart * later * (low + account)
        ),
        "add_payment_info": (cart * (1 - left + trust), buys_later, cart * later * (left - trust)),
        "purchase": (cart * (1 - left), buys_later, buys_later),
    }  # fmt: skip
    # Each order draws its coupon by itself, so coupons are purchases thinned once more.
    coupon = world.coupon_rate * people["discount_affinity"].to_numpy()
    rates["use_coupon"] = tuple(coupon * rate for rate in rates["purchase"])
    return rates[event]


def _day(truth: Truth, moment: datetime) -> float:
    return (moment - truth.clock.start).total_seconds() / 86_400


def _days(truth: Truth, column: str) -> np.ndarray:
    since = truth.people[column] - pd.Timestamp(truth.clock.start)
    return (since / pd.Timedelta(days=1)).to_numpy()
