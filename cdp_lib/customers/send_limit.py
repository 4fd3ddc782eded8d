"""The weekly send limit: from how many messages on the next one costs more than it brings.

A customer who gets w messages every week has, before each, on average 3 w + (w − 1) / 2 others in
its week and the three before. With the fitted chance p of losing the permission at a message, the
plan costs w · p · value a week, and one message more costs the slope of that. The limit is the
largest w at which it still costs no more than a message brings, less what sending it costs.

The gain of a message comes from an experiment on how much is sent, else from the analyst: without
either there is none, and the answer is what a message would have to bring. What a permission is
worth is *inferred* unless the analyst says: customers who have one differ from those who don't.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.checks import Refusal, above, at_least, one_of
from cdp_lib.customers.pressure import MEMORY_WEEKS, Curve
from cdp_lib.normal import Z
from cdp_lib.tables import Shop

MOST = 14.0  # messages a week beyond which nothing is looked for
STEP = 0.05
SHOWN = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 14)
DRAWS = 4000


@dataclass(frozen=True)
class Worth:
    """What a permission brings in a year, in the shop's currency, with its interval.

    value, low, high, se: se 0 where the analyst gave it. inferred: read from its holders' margins.
    n_with, n_without: customers compared; 0 where the analyst gave the value.
    """

    value: float
    low: float
    high: float
    se: float
    inferred: bool
    n_with: int = 0
    n_without: int = 0


@dataclass(frozen=True, eq=False)
class Limit:
    """From how many messages a week on harm passes gain.

    n_per_week, low, high: the limit and its 95 % interval; `most`, the pressure up to which there
    are messages to learn from, stands for "that or more", and NaN for not known. word: "send less",
    "room for more", "about right" or "cannot tell", against `now`, the messages a week that are
    sent. needed, needed_low, needed_high: what one message more would have to bring, at `now`, to
    pay for the permissions that it loses. table: a row per number of messages a week: n_per_week,
    chance, chance_low, chance_high (of losing the permission by one message more), harm, harm_low,
    harm_high (money that it costs so), gain, gain_low, gain_high (money that it brings, less what
    sending it costs; null where not known).
    """

    n_per_week: float
    low: float
    high: float
    word: str
    now: float
    most: float
    needed: float
    needed_low: float
    needed_high: float
    table: pd.DataFrame


def given(value: float) -> Worth:
    """The worth of a permission as the analyst says it: money a year."""
    at_least("permission_value", value, 0)
    return Worth(value, value, value, 0.0, False)


def inferred(shop: Shop, channel: str = "email", days: float = 365.0) -> Worth:
    """What the holders of a permission left more than others in the last `days`, as a year's money.

    Who held it is asked of the shop as it was known before those days: who has lost it since was
    there to lose it, and would make its holders look worse than they are. Margin where goods' costs
    are known, else revenue. NaN where a side has fewer than two. Raises MissingTable without
    customers or orders, Refusal for a channel of which the shop tells no permission.
    """
    shop.require("customers", "orders")
    above("days", days, 0)
    column = f"{channel}_opt_in"
    known = [name for name in shop.given("customers") if name.endswith("_opt_in")]
    if column not in known:
        one_of("channel", channel, [name.removesuffix("_opt_in") for name in sorted(known)])
        raise Refusal("channel", channel, "has no permission", "map it in [tables.customers]")
    since = shop.as_of - timedelta(days=days)
    then = shop.at(since).customers
    people = then.filter(then[column].notnull())
    orders = shop.orders.filter(shop.orders.ordered_at >= ibis.literal(since))
    is_margin = "cost" in shop.given("orders")
    earned = orders.revenue - orders.cost.coalesce(0.0) if is_margin else orders.revenue
    spent = orders.mutate(earned=earned).group_by("customer_id").aggregate(x=_.earned.sum())
    rows = people.select("customer_id", has=people[column]).left_join(spent, "customer_id")
    rows = rows.select("has", x=rows.x.coalesce(0.0))
    found = rows.group_by("has").aggregate(n=_.count(), x=_.x.sum(), xx=(_.x * _.x).sum())
    sums = found.execute().set_index("has").astype(float).reindex([True, False]).fillna(0.0)
    n = sums.n.to_numpy()
    if (n < 2).any():
        return Worth(*(float("nan"),) * 4, True, int(n[0]), int(n[1]))
    mean = (sums.x / sums.n).to_numpy() * 365 / days
    spread = (sums.xx - sums.x**2 / sums.n).to_numpy() / (n - 1) * (365 / days) ** 2
    value, se = float(mean[0] - mean[1]), float(np.sqrt((spread / n).sum()))
    return Worth(value, value - Z * se, value + Z * se, se, True, int(n[0]), int(n[1]))


def before(n_per_week) -> np.ndarray:
    """How many messages precede one in its week and the three before, of w sent every week."""
    w = np.asarray(n_per_week, float)
    return (MEMORY_WEEKS - 1) * w + np.maximum(w - 1, 0) / 2


def limit(
    curve: Curve,
    worth: Worth,
    gain: float = float("nan"),
    gain_se: float = 0.0,
    now: float = float("nan"),
    contact_cost: float = 0.0,
    seed: int = 7,
) -> Limit:
    """The weekly send limit, with an interval from the errors of all that it rests on.

    curve: of `pressure.read`. gain: money that one more message brings, with its standard error;
    NaN: not known. now: messages a week that are sent. The interval is of DRAWS draws from the
    normal laws of the curve, the worth and the gain.
    """
    at_least("contact_cost", contact_cost, 0)
    most = float(np.clip(np.floor((curve.most_before + 0.5) / 3.5 / STEP) * STEP, 1.0, MOST))
    weeks = np.arange(0.0, most + STEP / 2, STEP)
    rng = np.random.default_rng(seed)
    known = all(map(np.isfinite, (curve.level, worth.value)))
    middle = np.array([[curve.level, curve.slope]])
    spread = np.array([[curve.level_se**2, curve.covariance],
                       [curve.covariance, curve.slope_se**2]])  # fmt: skip
    at = rng.multivariate_normal(middle[0], spread, DRAWS, method="svd") if known else np.full(
        (DRAWS, 2), np.nan)  # fmt: skip
    values = worth.value + worth.se * rng.standard_normal(DRAWS)
    gains = gain + gain_se * rng.standard_normal(DRAWS) - contact_cost
    net = np.array([gain - contact_cost])
    table = _table(middle, at, worth.value, values, net, gains, weeks)
    needed = (float("nan"),) * 3
    if known and np.isfinite(now):
        at_now = np.array([min(now, most)])
        ends = np.quantile(_more(at, at_now)[:, 0] * values, [0.025, 0.975])
        needed = (float(_more(middle, at_now)[0, 0] * worth.value), *map(float, ends))
    if not (known and np.isfinite(gain)):
        nan = float("nan")
        return Limit(nan, nan, nan, "cannot tell", now, most, *needed, table)
    centre = float(_crossing(weeks, _more(middle, weeks) * worth.value, net)[0])
    every = _crossing(weeks, _more(at, weeks) * values[:, None], gains)
    low, high = map(float, np.quantile(every, [0.025, 0.975]))
    word = _word(low, high, now)
    return Limit(centre, min(low, centre), max(high, centre), word, now, most, *needed, table)


def _more(at: np.ndarray, weeks: np.ndarray) -> np.ndarray:
    """What one message more a week adds to the losses a week: a row a draw, a column a number."""
    k = before(weeks)
    chance = 1 / (1 + np.exp(-(at[:, :1] + at[:, 1:] * k)))
    rise = np.where(weeks < 1, MEMORY_WEEKS - 1, MEMORY_WEEKS - 0.5)
    return chance + weeks * chance * (1 - chance) * at[:, 1:] * rise


def _crossing(weeks: np.ndarray, harm: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The largest number up to which a message more costs no more than it brings."""
    pays = harm <= gain[:, None]
    n_paying = np.where(pays.all(axis=1), len(weeks), np.argmin(pays, axis=1))
    return np.where(n_paying == 0, 0.0, weeks[np.maximum(n_paying - 1, 0)])


def _word(low: float, high: float, now: float) -> str:
    if not np.isfinite(now):
        return "cannot tell"
    if high < now:
        return "send less"
    if low > now:
        return "room for more"
    return "about right" if high - low <= max(1.0, now) else "cannot tell"


def _table(middle, at, value, values, net, gains, weeks) -> pd.DataFrame:
    shown = np.array([w for w in SHOWN if w <= weeks[-1] + STEP / 2])
    quantiles = [0.025, 0.975]
    chances, chance = _more(at, shown), _more(middle, shown)[0]
    low, high = np.quantile(chances, quantiles, axis=0)
    harm_low, harm_high = np.quantile(chances * values[:, None], quantiles, axis=0)
    ends = np.quantile(gains, quantiles)
    return pd.DataFrame(
        {
            "n_per_week": shown,
            "chance": chance,
            "chance_low": low,
            "chance_high": high,
            "harm": chance * value,
            "harm_low": harm_low,
            "harm_high": harm_high,
            "gain": net[0],
            "gain_low": ends[0],
            "gain_high": ends[1],
        }
    )
