"""How long a silence must last to mean something: the shop's own gaps between purchases."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis import _

from cdp_lib.checks import TooLittleData, share
from cdp_lib.predict.acts import acts, check_event
from cdp_lib.predict.span import data_span
from cdp_lib.tables import Shop

SHARE_OF_GAPS = 0.8
SHORTEST_DAYS, LONGEST_DAYS = 7, 364


@dataclass(frozen=True)
class Horizon:
    """A horizon and where it comes from.

    days: whole weeks, in days. n_gaps: gaps seen from one active day to the customer's next.
    share_of_gaps: estimated share of the gaps that close at all which close within `days`.
    sentence: the same in words.
    """

    days: int
    n_gaps: int
    share_of_gaps: float
    sentence: str


def default_horizon(
    shop: Shop, event: str = "purchase", share_of_gaps: float = SHARE_OF_GAPS
) -> Horizon:
    """The time within which `share_of_gaps` of the gaps between purchases close, in whole weeks.

    A gap runs from a day with a purchase to the customer's next such day; the gap still open at
    `as_of` counts as censored (Kaplan and Meier 1958, doi:10.2307/2281868). Those who never come
    back would keep the curve from closing, so the share is taken of the gaps that close within
    the longest one that can be seen. Held between 7 and 364 days and to a sixth of the history,
    which must hold the cutoffs that a model needs and a good while before the first of them.
    Raises Refusal where fewer than 25 gaps closed.
    """
    share("share_of_gaps", share_of_gaps)
    check_event(shop, event)
    gaps = gap_table(shop, event)
    n_gaps = int(gaps["n_closed"].sum())
    what = {"purchase": "purchases", "visit": "visits"}.get(event, f"{event} events")
    if n_gaps < 25:
        raise TooLittleData(
            "horizon_days", None, f"only {n_gaps} gaps between {what} to learn a horizon from",
            "state horizon_days",
        )  # fmt: skip
    curve = closed_curve(gaps)
    within = curve / curve[-1]
    wanted = int(gaps["days"].to_numpy()[np.argmax(within >= share_of_gaps)])
    # Windows to train, calibrate and test on follow each other. What is left before them tells
    # who was active at all, which must go back much further than the horizon.
    sixth = int(data_span(shop, event).days / 6 // 7) * 7
    longest = max(SHORTEST_DAYS, min(LONGEST_DAYS, sixth))
    days = min(max(SHORTEST_DAYS, -(-wanted // 7) * 7), longest)
    reached = float(within[gaps["days"].to_numpy() <= days][-1])
    sentence = (
        f"{reached:.0%} of the gaps between {what} that close do so within {days} days "
        f"({n_gaps:,} gaps, those still open counted as censored)."
    )
    if days < wanted:
        sentence += (
            f" {share_of_gaps:.0%} would take {wanted} days, but a horizon is held to a sixth "
            "of the history."
        )
    return Horizon(days, n_gaps, reached, sentence)


def gap_table(shop: Shop, event: str = "purchase") -> pd.DataFrame:
    """Gaps between days with the event, of all customers.

    Out: a row per length: days (whole, 0 for a first day that is the last of the data), n_closed
    (ended by the customer's next such day), n_open (still open at `as_of`).
    """
    rows = acts(shop, event, None, shop.as_of)
    days = rows.select("customer_id", day=(_.at.epoch_seconds() // 86_400).cast("int64")).distinct()
    after = days.day.lead().over(ibis.window(group_by="customer_id", order_by="day"))
    last = (int(pd.Timestamp(shop.as_of).timestamp()) - 1) // 86_400
    gaps = days.mutate(after=after).select(
        days=ibis.coalesce(_.after, ibis.literal(last)) - _.day, closed=_.after.notnull()
    )
    counted = gaps.group_by("days").aggregate(n_closed=_.closed.sum(), n_open=(~_.closed).sum())
    return counted.execute().sort_values("days", ignore_index=True).astype("int64")


def closed_curve(gaps: pd.DataFrame) -> np.ndarray:
    """Kaplan and Meier's estimate of the share of gaps closed by each length of `gap_table`.

    Cut where fewer than 10 gaps, or fewer than 0.1 %, are still watched: flat from there on.
    """
    ended = gaps["n_closed"].to_numpy(float)
    left = ended + gaps["n_open"].to_numpy(float)
    watched = left[::-1].cumsum()[::-1]
    kept = watched >= max(10.0, 0.001 * watched[0])
    return 1 - np.cumprod(np.where(kept, 1 - ended / watched, 1.0))
