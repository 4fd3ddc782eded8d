"""The best observer: knows the law and everyone's true rates, and sees the log, not the deaths.

It recognises everybody: each visit before the start is known to be whose it is. It also sees how
far each cart got, support contacts, app removals, and which messages were delivered, opened and
answered by an opt-out. From the last sign of life on it weighs the days on which a life may have
ended by all that was not seen since. No model that reads the log can do better on average, so its
scores are the ceiling of a model's.
"""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from cdp_lib.checks import above, one_of
from cdp_lib.world.actions import ACTIONS
from cdp_lib.world.campaigns import MEMORY_DAYS
from cdp_lib.world.counts import OpenCarts, still_open
from cdp_lib.world.law import CAUSES
from cdp_lib.world.log import LATE_DAYS, TROUBLE, TROUBLE_LATE
from cdp_lib.world.messages import (
    OPENS,
    OPT_OUT_AFTER,
    READING_DAYS,
    READING_MOST,
)
from cdp_lib.world.optout import opt_out_probability, sent_before
from cdp_lib.world.outlook import by_death, removal
from cdp_lib.world.people import CHANNELS
from cdp_lib.world.presence import at_cells, past_grid, posterior
from cdp_lib.world.truth import Truth

ROWS = 4_000  # people weighed at a time
BACK = ("buys_later", "looks_again")
TELLING = ("add_to_cart", "view_cart", "contact_support")  # every return views its cart


@dataclass(frozen=True)
class Evidence:
    """What the log says of each person before the start; times in days.

    `last`: the last sign of life, or the arrival. `gone`: the app was removed. `carts`: left and
    not come back since, no older than MEMORY_DAYS at `last`. `visits`, `messages`: rows of person,
    at and `factor`, the log of a likelihood. Of a visit: as one of the last LATE_DAYS of a life
    against an earlier one. Of a message after `last`: no reply of one who lives at its sending.
    """

    last: np.ndarray
    gone: np.ndarray
    carts: OpenCarts
    visits: pd.DataFrame
    messages: pd.DataFrame


def observer_probability(
    truth: Truth, event: str, start: str | date | datetime, horizon_days: float
) -> pd.Series:
    """Probability of at least one `event` in [start, start + horizon_days) for the best observer.

    Indexed by person_id; NaN before a person's arrival. `event` is one of ACTIONS. Exact up to what
    campaigns do to visits and purchases. Raises Refusal for a window the clock does not reach.
    """
    one_of("event", event, ACTIONS)
    above("horizon_days", horizon_days, 0)
    begin = truth.window(start, horizon_days)
    seen = gather(truth, begin)
    opened = seen.carts.opened > begin - MEMORY_DAYS
    days, reached = by_death(truth, event, begin, horizon_days, seen.carts.where(opened))
    more = horizon_days + np.arange(1, LATE_DAYS + 1)
    if len(days) <= len(np.arange(0.0, horizon_days)) + 1:
        days = np.append(days, more)
        reached = np.hstack([reached, np.repeat(reached[:, -1:], len(more), axis=1)])
    chance = np.empty(len(reached))
    for grid, rows, mass in _weighed(truth, begin, seen, days):
        mine = reached[rows]
        if event == "app_remove":
            part = truth.rows(rows)
            moments = (begin + grid)[None]
            mine = removal(part, begin, horizon_days, moments) / _kept(part, begin, moments)
        else:
            mine = np.hstack([np.zeros((len(mine), len(grid) - len(days))), mine])
            mass[:, : len(grid) - len(days)] = 0.0
        cells = (mass[:, :-1] * (mine[:, :-1] + mine[:, 1:]) / 2).sum(axis=1)
        chance[rows] = cells + mass[:, -1] * mine[:, -1]
    chance[seen.gone] = 0.0
    chance = np.where(truth.day("entered_at") <= begin, chance, np.nan)
    return pd.Series(chance, index=truth.people["person_id"], name=f"observed_{event}")


def observer_alive(truth: Truth, start: str | date | datetime) -> pd.Series:
    """Probability to be alive at `start` for the best observer, by person_id.

    NaN before a person's arrival.
    """
    begin = truth.window(start, 0)
    seen = gather(truth, begin)
    ahead = np.arange(0.0, LATE_DAYS + 1)
    chance = np.empty(len(seen.last))
    for _, rows, mass in _weighed(truth, begin, seen, ahead):
        chance[rows] = mass[:, -len(ahead) :].sum(axis=1)
    chance[seen.gone] = 0.0
    chance = np.where(truth.day("entered_at") <= begin, chance, np.nan)
    return pd.Series(chance, index=truth.people["person_id"], name="observed_alive")


def gather(truth: Truth, begin: float) -> Evidence:
    """Read the log before `begin`."""
    people = pd.Index(truth.people["person_id"])
    visits = truth.table("visits")
    visits["at"] = truth.days_of(visits["started_at"])
    visits["person"] = people.get_indexer(visits["person_id"])
    visits = visits[visits["at"] < begin]
    gone = np.zeros(len(people), bool)
    gone[visits.loc[visits["reason"] == "app_remove", "person"]] = True
    visits = visits[~visits["reason"].isin(["app_remove", "push_off"])]
    messages = sent_before(truth, begin)
    answered = messages["opened_at"].notna() | messages["out_at"].notna()
    last = np.minimum(truth.day("entered_at"), begin)
    for rows in (visits, messages[answered]):
        np.maximum.at(last, rows["person"].to_numpy(), rows["at"].to_numpy())

    columns = ["occurred_at", "session_id", "event", "cart_id", "app_version"]
    events = truth.shop_table("events", columns, [("event", "in", TELLING)])
    events = events[truth.days_of(events["occurred_at"]) < begin]
    asked = events.loc[events["event"] == "contact_support", "session_id"].unique()
    asks = visits["session_id"].isin(asked)
    late = np.where(asks, TROUBLE_LATE / TROUBLE, (1 - TROUBLE_LATE) / (1 - TROUBLE))
    visits["factor"] = np.log(late)
    carts = _open_carts(truth, events, visits, last)
    recent = visits["at"].to_numpy() > last[visits["person"]] - LATE_DAYS
    columns = ["person", "at", "factor"]
    messages = messages[messages["at"].to_numpy() > last[messages["person"]]].copy()
    messages["factor"] = _no_reply(truth, messages, begin)
    return Evidence(last, gone, carts, visits.loc[recent, columns], messages[columns])


def _open_carts(
    truth: Truth, events: pd.DataFrame, visits: pd.DataFrame, last: np.ndarray
) -> OpenCarts:
    """Carts left, and not looked at again or bought, by people last seen at `last`."""
    touched = events.dropna(subset=["cart_id"]).drop_duplicates(["session_id", "cart_id"])
    touched = touched.merge(visits[["session_id", "person", "at", "reason"]], on="session_id")
    back = touched.loc[touched["reason"].isin(BACK), "cart_id"]
    carts = touched[~touched["cart_id"].isin(back)]
    carts = carts.merge(truth.table("carts")[["cart_id", "cause"]].dropna(), on="cart_id")
    carts = carts[carts["at"].to_numpy() > last[carts["person"]] - MEMORY_DAYS]
    cause = pd.Categorical(carts["cause"], categories=CAUSES).codes.astype(int)
    in_app = carts["app_version"].notna().to_numpy()
    return OpenCarts(carts["person"].to_numpy(), carts["at"].to_numpy(), cause, in_app)


def _no_reply(truth: Truth, messages: pd.DataFrame, begin: float) -> np.ndarray:
    """Log of the probability that one who lives has neither opened nor opted out by `begin`."""
    age = begin - messages["at"].to_numpy()
    reads = pd.Categorical(truth.people["preferred_channel"], categories=CHANNELS).codes
    prefers = reads[messages["person"]] == messages["channel"].to_numpy()
    soon = np.where(age >= READING_MOST, 1.0, 1 - np.exp(-age / READING_DAYS))
    opened = OPENS[prefers.astype(int)] * soon * messages["delivered"].to_numpy()
    first, most = OPT_OUT_AFTER
    leaves = opt_out_probability(truth.world, messages["recent"].to_numpy())
    leaves = leaves * np.clip((age - first) / (most - first), 0, 1)
    return np.log1p(-opened) + np.log1p(-leaves)


def _weighed(truth: Truth, begin: float, seen: Evidence, ahead: np.ndarray):
    """For some people at a time: the grid of days from `begin`, the slice of people, and the
    probability that the life ends in each cell of the grid, which ends with the days `ahead`.
    """
    for first in range(0, len(seen.last), ROWS):
        rows = slice(first, min(first + ROWS, len(seen.last)))
        part, last = truth.rows(rows), seen.last[rows]
        past = past_grid(begin, last)
        grid = np.append(past[:-1], ahead)
        # once alive at `begin`, what was seen before says no more of the end, but for the visits
        log = np.zeros((len(last), len(grid)))
        log[:, : len(past)] = _silence(part, begin, past, last, _of(seen, rows))
        log[:, len(past) :] = log[:, len(past) - 1, None]
        log += _late(_of(seen, rows).visits, begin, grid, len(last))
        mass = posterior(part.number("death_rate"), last, begin, grid, log)
        yield grid, rows, mass


def _of(seen: Evidence, rows: slice) -> Evidence:
    """The evidence of some people, their rows counted from the first of them."""

    def mine(table: pd.DataFrame) -> pd.DataFrame:
        there = table["person"].between(rows.start, rows.stop, "left")
        return table[there].assign(person=table["person"] - rows.start)

    carts = seen.carts.where((seen.carts.person >= rows.start) & (seen.carts.person < rows.stop))
    carts = OpenCarts(carts.person - rows.start, carts.opened, carts.cause, carts.in_app)
    return Evidence(seen.last[rows], seen.gone[rows], carts, mine(seen.visits), mine(seen.messages))


def _silence(
    truth: Truth, begin: float, past: np.ndarray, last: np.ndarray, seen: Evidence
) -> np.ndarray:
    """Log-likelihood of nothing seen after `last` if the life ends at each day of `past`."""
    hour, time = truth.hours()[:, None], truth.clock
    end = np.maximum(begin + past[None], last[:, None])
    visits = time.integral(hour, end) - time.integral(hour, last[:, None])
    log = -truth.number("visit_rate")[:, None] * visits
    carts = seen.carts
    if len(carts.person):
        age = end[carts.person] - carts.opened[:, None]
        was = last[carts.person, None] - carts.opened[:, None]
        np.add.at(log, carts.person, np.log(still_open(truth, age) / still_open(truth, was)))
    rows = seen.messages
    when, who = rows["at"].to_numpy() - begin, rows["person"].to_numpy()
    log += at_cells(past, who, when, rows["factor"].to_numpy(), len(last)).cumsum(axis=1)
    return log + np.log(_kept(truth, begin, begin + past[None]))


def _late(visits: pd.DataFrame, begin: float, grid: np.ndarray, n: int) -> np.ndarray:
    """Sum of the factors of the visits that a life ending at each moment had in its last days."""
    expires = visits["at"].to_numpy() + LATE_DAYS - begin
    factors = at_cells(grid, visits["person"].to_numpy(), expires, visits["factor"].to_numpy(), n)
    return np.cumsum(factors[:, ::-1], axis=1)[:, ::-1] - factors


def _kept(truth: Truth, begin: float, ends_at: np.ndarray) -> np.ndarray:
    """Probability that the app is not removed by `begin` for a life that ends at `ends_at`."""
    return 1 - removal(truth, begin - 1e6, 1e6, ends_at)
