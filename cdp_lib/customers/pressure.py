"""Contact pressure: how the chance to lose a permission or an app grows with messages sent.

In words:

- Before each message we count those that the same customer got in the same calendar week (from
  Monday, UTC) and the three before it, on all channels: that is the pressure under which it came.
- Of the messages of one pressure, the share at which somebody opted out is a chance per message:
  what came before is known when a message is sent, so messages count one by one.
- A curve through these shares is fitted by maximum likelihood: the log-odds of opting out rise by
  `slope` with each message of the four weeks.
- An app removed within 7 days of a push message, before the next one, counts to that message.

Customers who get much differ from those who get little. So the curve is *associational*; what a
drawn plan of sending does is in `pressure_arms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.customers.ages import DAY
from cdp_lib.normal import Z
from cdp_lib.tables import Shop, identity
from cdp_lib.tables.micros import MONDAY, WEEK, micros

MEMORY_WEEKS = 4  # the week of the message and those before it
REMOVED_DAYS = 7
SMALL_GROUP = 10
THIN = 100  # messages below which a pressure is not shown by itself


@dataclass(frozen=True)
class Curve:
    """The chance of a loss at a message that `n` others precede: logistic(level + slope · n).

    level, slope, with level_se, slope_se and covariance; n_messages, n_lost: what it rests on;
    most_before: the highest pressure that a hundred messages or more came under. NaN where nobody
    was lost or all came under one pressure.
    """

    level: float
    slope: float
    level_se: float
    slope_se: float
    covariance: float
    n_messages: int
    n_lost: int
    most_before: float

    def chance(self, before) -> np.ndarray:
        """The chance at a message that so many others precede."""
        return 1 / (1 + np.exp(-(self.level + self.slope * np.asarray(before, float))))


@dataclass(frozen=True, eq=False)
class Pressure:
    """What pressure goes with, and how much there is.

    opt_outs, removals: a row per pressure: n_before, or_more (that many or more), n_messages,
    n_customers, n_lost, loss_rate, loss_rate_low, loss_rate_high (95 %); removals are None where
    the shop does not tell of apps removed. curve, removal_curve: fitted to them. n_per_week: mean
    messages a week of a customer who got one in the last four weeks.
    """

    opt_outs: pd.DataFrame
    curve: Curve
    removals: pd.DataFrame | None
    removal_curve: Curve | None
    n_per_week: float


def read(shop: Shop, lookback_days: float | None = 365, alive: Table | None = None) -> Pressure:
    """The losses by pressure.

    lookback_days: messages older than that don't count as messages, only as pressure. alive: a
    table of customer_id and until (an instant): messages sent later to that customer, or to one
    who is not in it, are left out; for a law among those who are still there. Raises MissingTable
    without messages that tell of opt-outs, TooLittleData without a message.
    """
    shop.require("messages")
    if "unsubscribed_at" not in shop.given("messages"):
        fix = "map unsubscribed_at in [tables.messages]"
        raise MissingTable("shop", shop.name, "messages tell of no opt-out", fix)
    rows = under_pressure(shop)
    end = shop.as_of
    if lookback_days is not None:
        rows = rows.filter(_.sent_at >= ibis.literal(end - timedelta(days=lookback_days)))
    if alive is not None:
        known = rows.inner_join(alive.select("customer_id", "until"), "customer_id")
        rows = known.filter(known.sent_at <= known.until).drop("until")
    rows = rows.cache()
    opt_outs = _by_pressure(rows.mutate(lost=rows.opted_out))
    if opt_outs.empty:
        raise TooLittleData("messages", 0, "no message in the time looked at", "look further back")
    removals = _removals(shop, rows)
    return Pressure(
        _shown(opt_outs),
        fit(opt_outs),
        None if removals is None else _shown(removals),
        None if removals is None else fit(removals),
        _per_week(rows, end),
    )


def under_pressure(shop: Shop) -> Table:
    """Every message with its pressure: customer_id, channel, sent_at, n_before, opted_out (0, 1).

    n_before: messages to the same customer in its week and the three before it, sent earlier; of
    messages of one instant the one with the lesser id came first.
    """
    table = shop.messages.filter(shop.messages.customer_id.notnull())
    rows = table.select(
        "message_id",
        "customer_id",
        "sent_at",
        channel=table.channel.lower(),
        week=((micros(table.sent_at) - MONDAY) // WEEK).cast("int64"),
        opted_out=table.unsubscribed_at.notnull().cast("int64"),
    )
    inside = ibis.window(group_by=["customer_id", "week"], order_by=["sent_at", "message_id"])
    rows = rows.mutate(earlier=ibis.row_number().over(inside).cast("int64"))
    weeks = rows.group_by("customer_id", "week").aggregate(n=_.count().cast("int64"))
    past = ibis.range_window(
        group_by="customer_id", order_by="week", preceding=MEMORY_WEEKS - 1, following=0
    )
    weeks = weeks.mutate(past=(weeks.n.sum().over(past) - weeks.n).cast("int64"))
    joined = rows.inner_join(weeks.select("customer_id", "week", "past"), ["customer_id", "week"])
    return joined.select(
        "customer_id", "channel", "sent_at", "opted_out", n_before=joined.earlier + joined.past
    )


def fit(table: pd.DataFrame) -> Curve:
    """The logistic curve through a table of n_before, n_messages and n_lost, by Newton's steps."""
    before, n, lost = (table[c].to_numpy(float) for c in ("n_before", "n_messages", "n_lost"))
    above = np.cumsum(n[::-1])[::-1] >= THIN
    counts = int(n.sum()), int(lost.sum()), float(before[above].max(initial=0.0))
    if not 0 < lost.sum() < n.sum() or len(np.unique(before[n > 0])) < 2:
        return Curve(*(float("nan"),) * 5, *counts)
    pooled = lost.sum() / n.sum()
    at = np.array([np.log(pooled / (1 - pooled)), 0.0])
    design = np.column_stack([np.ones_like(before), before])
    for _step in range(50):
        chance = 1 / (1 + np.exp(-(design @ at)))
        bend = design.T @ (design * (n * chance * (1 - chance))[:, None])
        step = np.linalg.solve(bend, design.T @ (lost - n * chance))
        # No step so long that the next one could not come back.
        at = at + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    else:
        return Curve(*(float("nan"),) * 5, *counts)
    spread = np.linalg.inv(bend)
    ends = np.sqrt(np.diag(spread))
    return Curve(*map(float, (*at, *ends, spread[0, 1])), *counts)


def _by_pressure(rows: Table) -> pd.DataFrame:
    sums = {
        "n_messages": _.count(),
        "n_customers": _.customer_id.nunique(),
        "n_lost": _.lost.sum(),
    }
    found = rows.group_by("n_before").aggregate(**sums).execute()
    return found.astype("int64").sort_values("n_before", ignore_index=True)


def _removals(shop: Shop, rows: Table) -> pd.DataFrame | None:
    """Push messages by pressure, and after how many of them the app was removed."""
    if not shop.has("events"):
        return None
    gone = identity.owned(shop.visits.filter(_.event == "app_remove"), shop.ties)
    gone = gone.select(customer_id="owner_id", gone_us=micros(gone.occurred_at))
    pushed = rows.filter(rows.channel == "push")
    pushed = pushed.mutate(us=micros(pushed.sent_at))
    one = ibis.window(group_by="customer_id", order_by="us")
    until = ibis.least(pushed.us + REMOVED_DAYS * DAY, pushed.us.lead().over(one).coalesce(2**62))
    pushed = pushed.mutate(until=until)
    hit = pushed.inner_join(gone, "customer_id")
    hit = hit.filter(hit.gone_us >= hit.us, hit.gone_us < hit.until)
    hit = hit.select("customer_id", "us", lost=ibis.literal(1, "int64")).distinct()
    joined = pushed.left_join(hit, ["customer_id", "us"])
    joined = joined.select("customer_id", "n_before", lost=joined.lost.coalesce(0))
    found = _by_pressure(joined)
    return found if len(found) and found.n_lost.sum() else None


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The rates with their intervals; pressures that few came under are put to the one below."""
    small = table.n_customers < SMALL_GROUP
    # From the last pressure down: where it gets too thin, all above are one row.
    last = len(table) - 1
    while last > 0 and (small.iloc[last] or table.n_messages.iloc[last:].sum() < THIN):
        last -= 1
    top = table.iloc[last:]
    kept = table.iloc[: last + 1].copy()
    kept.loc[kept.index[last], ["n_messages", "n_lost"]] = [top.n_messages.sum(), top.n_lost.sum()]
    # People of several of these rows are counted once at least.
    kept.loc[kept.index[last], "n_customers"] = top.n_customers.max()
    low, high = _wilson(kept.n_lost.to_numpy(float), kept.n_messages.to_numpy(float))
    more = np.arange(len(kept)) == last
    kept.insert(1, "or_more", more & (len(top) > 1))
    return kept.assign(
        loss_rate=kept.n_lost / kept.n_messages, loss_rate_low=low, loss_rate_high=high
    )


def _wilson(hits: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share, shrink = hits / n, 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / shrink
    half = Z / shrink * np.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2)
    return np.where(hits == 0, 0.0, centre - half), np.where(hits == n, 1.0, centre + half)


def _per_week(rows: Table, end: datetime) -> float:
    recent = rows.filter(rows.sent_at >= ibis.literal(end - timedelta(weeks=MEMORY_WEEKS)))
    found = recent.aggregate(n=recent.count(), people=recent.customer_id.nunique()).execute()
    n, people = found.iloc[0]
    return float(n) / float(people) / MEMORY_WEEKS if people else float("nan")
