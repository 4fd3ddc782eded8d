"""At which hour customers answer: do hours matter at all, and does each have one of their own?

In words (hours are those of sending, in UTC):

- *Do hours matter?* Messages are compared within one campaign, channel and day of sending, where
  only the hour differs. Of each such batch the answers at an hour less those expected at the
  batch's rate are summed, by customers, and their distance from 0 is a chi-square over the hours.
- *Has each customer an hour of their own?* Of the messages that one customer got on one channel,
  two of the same hour should be answered alike more often than two of different hours. Where hours
  are nothing, both kinds of pairs go together equally, whatever the customer's own rate is. The
  mean difference over customers, with its error, is a test; its size is the variance of customers'
  own hours, a little low where each got few messages.
- Only where that test says yes (5 %) a customer gets a best hour: the one whose shrunk rate is
  highest, if it is above their usual one beyond chance. Else there is no evidence, and no hour.

Hours that were not drawn at random may differ for other reasons: *inferred*.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData
from cdp_lib.customers.reply import messages
from cdp_lib.normal import Z
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Hours:
    """Whether hours of sending matter.

    table: a row per channel and hour of sending: channel, hour (0–23, UTC), n_sent, n_customers,
    answer_rate, difference (from the batches' own rate), difference_low, difference_high (95 %).
    pvalue: that hours are nothing, for everybody alike; NaN where no batch was sent at two hours.
    own_variance, own_low: of customers' own deviations at an hour, with the lower end of its
    interval; own_pvalue: that there are none. NaN where nobody got two messages at different hours.
    best: a row per customer with an hour of their own, on the engine: customer_id, channel,
    best_hour, better_by (over the customer's rate at the hour usual on the channel), better_low,
    better_high; None where there is no evidence that anybody has one.
    usual_hour: channel -> the hour at which most is sent.
    """

    table: pd.DataFrame
    pvalue: float
    own_variance: float
    own_low: float
    own_pvalue: float
    best: Table | None
    usual_hour: dict[str, int]


def read(
    shop: Shop, answer: str = "opened", ripe_days: float = 3.0, lookback_days: float | None = 365
) -> Hours:
    """What the hour of sending does to answers; the options are those of `reply.read`.

    Raises MissingTable without messages or the column asked for, TooLittleData without a message
    old enough.
    """
    rows = messages(shop, answer, ripe_days, lookback_days)
    rows = rows.mutate(hour=rows.sent_at.hour().cast("int64"), day=rows.sent_at.truncate("D"))
    cells = rows.group_by("customer_id", "channel", "campaign_id", "day", "hour").aggregate(
        n=_.count().cast("float64"), x=_.answered.sum().cast("float64")
    )
    cells = cells.cache()
    table, pvalue = _by_hour(cells)
    if table.empty:
        raise TooLittleData("messages", 0, "none is old enough", "wait until answers are in")
    own = cells.group_by("customer_id", "channel", "hour").aggregate(n=_.n.sum(), x=_.x.sum())
    own = own.cache()
    variance, low, own_pvalue = _own(own)
    most = table.sort_values(["n_sent", "hour"], ascending=[False, True])
    usual = {row.channel: int(row.hour) for row in most.drop_duplicates("channel").itertuples()}
    found = own_pvalue < ALPHA and variance > 0
    best = _best(shop, own, variance, usual) if found else None
    return Hours(table, pvalue, variance, low, own_pvalue, best, usual)


def _by_hour(cells: Table) -> tuple[pd.DataFrame, float]:
    """The hours beside each other within batches, and the p-value that they are alike."""
    batch = ["channel", "campaign_id", "day"]
    sums = cells.group_by(*batch).aggregate(batch_n=_.n.sum(), batch_x=_.x.sum())
    rows = cells.inner_join(sums, batch)
    rows = rows.mutate(rate=rows.batch_x / rows.batch_n)
    rows = rows.mutate(apart=rows.x - rows.n * rows.rate)
    people = rows.group_by("customer_id", "channel", "hour").aggregate(
        n=_.n.sum(), x=_.x.sum(), apart=_.apart.sum()
    )
    found = people.group_by("channel", "hour").aggregate(
        n_sent=_.n.sum(), n_answered=_.x.sum(), n_customers=_.count(), apart=_.apart.sum(),
        squares=(_.apart * _.apart).sum(),
    ).execute()  # fmt: skip
    counts = ["n_sent", "n_answered", "n_customers", "hour"]
    found[counts] = found[counts].astype("int64")
    found = found.sort_values(["channel", "hour"], ignore_index=True)
    # The batch's rate holds the hour itself: what is left of a difference is the other hours' part.
    inside = rows.group_by("channel", "hour", *batch[1:]).aggregate(n=_.n.sum(), of=_.batch_n.max())
    inside = inside.group_by("channel", "hour").aggregate(free=(_.n * (1 - _.n / _.of)).sum())
    found = found.merge(inside.execute(), on=["channel", "hour"])
    known = found.free > 0
    scale = found.free.where(known)
    se = np.sqrt(found.squares * found.free / found.n_sent) / scale
    found["answer_rate"] = found.n_answered / found.n_sent
    found["difference"] = found.apart / scale
    found["difference_low"] = found.difference - Z * se
    found["difference_high"] = found.difference + Z * se
    pvalue = _alike(rows, found[known])
    columns = ["channel", "hour", "n_sent", "n_customers", "answer_rate"]
    return found[[*columns, "difference", "difference_low", "difference_high"]], pvalue


def _alike(rows: Table, found: pd.DataFrame) -> float:
    """The p-value of a chi-square over hours, with the customers' sums for its variances."""
    from scipy.stats import chi2

    hours = sorted(found.hour.unique())
    if len(hours) < 2:
        return float("nan")
    # An answer that lies above its batch's rate moves every hour of the batch a little.
    batch = ["channel", "campaign_id", "day"]
    shares = rows.group_by(*batch).aggregate(
        of=_.batch_n.max(), **{f"s{h}": _.n.sum(where=_.hour == int(h)) for h in hours}
    )
    joined = rows.inner_join(shares, batch)
    free = joined.x - joined.n * joined.rate
    moved = {
        f"m{h}": (free * ((joined.hour == int(h)).cast("float64") - joined[f"s{h}"].coalesce(0.0)
                          / joined.of)).sum()
        for h in hours
    }  # fmt: skip
    people = joined.group_by("customer_id").aggregate(**moved)
    sums = {f"m{h}": people[f"m{h}"].sum() for h in hours}
    sums |= {
        f"v{a}_{b}": (people[f"m{a}"] * people[f"m{b}"]).sum()
        for at, a in enumerate(hours)
        for b in hours[at:]
    }
    row = people.aggregate(**sums).execute().iloc[0]
    total = np.array([row[f"m{h}"] for h in hours], float)
    spread = np.array([[row[f"v{min(a, b)}_{max(a, b)}"] for b in hours] for a in hours], float)
    # The sums over all hours of a batch are 0, so some directions are nothing but rounding.
    size, direction = np.linalg.eigh(spread)
    known = size > 1e-9 * size.max(initial=0.0)
    if not known.any():
        return float("nan")
    distance = float(((direction[:, known].T @ total) ** 2 / size[known]).sum())
    return float(chi2.sf(distance, known.sum()))


def _own(own: Table) -> tuple[float, float, float]:
    """The variance of customers' own hours: its size, its lower end, and the p-value of none."""
    from scipy.stats import norm

    whole = ibis.window(group_by=["customer_id", "channel"])
    rows = own.mutate(all_n=own.n.sum().over(whole), all_x=own.x.sum().over(whole))
    rows = rows.mutate(rate=rows.all_x / rows.all_n)
    rows = rows.mutate(apart=rows.x - rows.n * rows.rate)
    # Of residuals that add up to 0, those of different hours multiply to less the same hours'.
    squares = rows.x * (1 - rows.rate) * (1 - rows.rate) + (rows.n - rows.x) * rows.rate * rows.rate
    cells = rows.mutate(same=rows.apart * rows.apart - squares, pairs=rows.n * (rows.n - 1))
    of_one = cells.group_by("customer_id", "channel").aggregate(
        same=_.same.sum(), crossed=(_.apart * _.apart).sum(), pairs=_.pairs.sum(), n=_.all_n.max()
    )
    of_one = of_one.mutate(others=of_one.n * (of_one.n - 1) - of_one.pairs)
    of_one = of_one.filter(_.pairs > 0, _.others > 0)
    weight = of_one.pairs * of_one.others / (of_one.pairs + of_one.others)
    more = of_one.same / of_one.pairs + of_one.crossed / of_one.others
    people = of_one.mutate(weight=weight, more=more * weight).group_by("customer_id")
    people = people.aggregate(weight=_.weight.sum(), more=_.more.sum())
    row = people.aggregate(
        n=_.count(), w=_.weight.sum(), m=_.more.sum(), mm=(_.more * _.more).sum(),
        mw=(_.more * _.weight).sum(), ww=(_.weight * _.weight).sum(),
    ).execute().iloc[0]  # fmt: skip
    if row.n < 2 or not row.w > 0:
        return (float("nan"),) * 3
    size = float(row.m / row.w)
    se = float(np.sqrt(max(row.mm - 2 * size * row.mw + size**2 * row.ww, 0.0))) / float(row.w)
    return (size, size - Z * se, float(norm.sf(size / se)) if se > 0 else float("nan"))


def _best(shop: Shop, own: Table, variance: float, usual: dict[str, int]) -> Table:
    """The hour at which a customer's shrunk rate is highest, if surely above their usual one."""
    whole = ibis.window(group_by=["customer_id", "channel"])
    known = pd.DataFrame({"channel": list(usual), "usual": list(usual.values())})
    known = place(shop, known, {"channel": "string", "usual": "int64"})
    rows = own.inner_join(known, "channel")
    rows = rows.mutate(all_n=rows.n.sum().over(whole), all_x=rows.x.sum().over(whole))
    rate = (rows.all_x + 0.5) / (rows.all_n + 1)
    noise = rate * (1 - rate) / rows.n
    kept = variance / (variance + noise)
    rows = rows.mutate(deviation=kept * (rows.x / rows.n - rate), left=kept * noise)
    at_usual = rows.hour == rows.usual
    there = rows.deviation.max(where=at_usual).over(whole).coalesce(0.0)
    unsure = rows.left.max(where=at_usual).over(whole).coalesce(variance)
    rows = rows.mutate(better_by=rows.deviation - there, se=(rows.left + unsure).sqrt())
    rows = rows.filter(rows.hour != rows.usual)
    order = [rows.better_by.desc(), rows.hour.asc()]
    nth = ibis.row_number().over(group_by=["customer_id", "channel"], order_by=order)
    rows = rows.mutate(nth=nth)
    rows = rows.filter(rows.nth == 0, rows.better_by - Z * rows.se > 0)
    return rows.select(
        "customer_id",
        "channel",
        best_hour="hour",
        better_by=rows.better_by,
        better_low=rows.better_by - Z * rows.se,
        better_high=rows.better_by + Z * rows.se,
    )
