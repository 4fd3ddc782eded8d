"""Sentences and verdicts on the state of the data, computed from the health check."""

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.findings import Headline
from cdp_lib.tables import Coverage, HealthReport, Shop, coverage

LATER = ("at or after as_of", "line of an order set aside")
FEW, MANY = 0.005, 0.05  # shares of rows set aside: below FEW all is well, from MANY on act


def known_of(shop: Shop) -> Coverage | None:
    """How far the shop's events are tied to people; None where it has no events."""
    if not shop.has("events"):
        return None
    return coverage(shop.events, shop.journeys, shop.find("identities"))


def health_headline(health: HealthReport) -> Headline:
    """How many rows were set aside, and whether the numbers can be trusted."""
    rows = health.row_counts
    n_read, n_later = int(rows.n_read.sum()), _n_later(health)
    n_aside = max(int(rows.n_set_aside.sum()) - n_later, 0)
    fatal = health.problems[health.problems.treatment == "fatal"]
    share = n_aside / n_read if n_read else None
    if len(fatal):
        first = fatal.iloc[0]
        verdict = "refused"
        sentence = (
            f"Do not trust the numbers yet. {first.table}: {first.rule}. {first.meaning}."
            if len(fatal) == 1
            else f"Do not trust the numbers yet: {len(fatal)} fatal problems, the first in "
            f"{first.table}: {first.rule}."
        )
    elif share is None:
        verdict, sentence = "cannot tell", "No row was read."
    else:
        verdict = "good" if share < FEW else "watch" if share < MANY else "act"
        sentence = (
            f"{n_aside:,} of {n_read:,} rows in {len(rows)} tables were set aside"
            f"{_largest(health)}. No problem is fatal."
        )
        if n_later:
            sentence += f" {n_later:,} further rows lie at or after the end of the data."
    return Headline(
        name="Rows set aside",
        value=share,
        low=None,
        high=None,
        unit="share",
        n=n_read,
        verdict=verdict,
        sentence=sentence,
        higher_is="worse",
    )


def _n_later(health: HealthReport) -> int:
    """Rows after the end of the data: no fault where one looks back at an earlier date."""
    return int(health.problems[health.problems.rule.isin(LATER)].n_rows.sum())


def _largest(health: HealthReport) -> str:
    aside = health.problems[health.problems.treatment == "set aside"]
    aside = aside[~aside.rule.isin(LATER)]
    if aside.empty:
        return ""
    top = aside.sort_values("n_rows", ascending=False, kind="stable").iloc[0]
    return f", most of them for {top.rule!r} in {top.table}"


def known_headline(known: Coverage | None) -> Headline:
    """How much of what happens is tied to a customer, directly or by stitching."""
    name = "Events tied to a customer"
    if known is None or not known.n_events:
        why = "The shop has no events, so nobody can be followed."
        return Headline(name, None, None, None, "share", 0, "cannot tell", why)
    tied = known.known_rate + known.stitched_rate
    shared = (
        f" {known.n_shared_visitors:,} devices are shared by two customers or more and were not "
        "merged."
        if known.n_shared_visitors >= wording.SMALL_GROUP
        else ""
    )
    return Headline(
        name=name,
        value=tied,
        low=None,
        high=None,
        unit="share",
        n=known.n_events,
        verdict="good" if tied >= 0.5 else "watch",
        sentence=f"{wording.as_text(known.known_rate, 'share')} of events carry a customer; "
        f"stitching ties a further {wording.as_text(known.stitched_rate, 'share')}. "
        f"{wording.as_text(known.without_id_rate, 'share')} carry no id at all.{shared}",
        higher_is="better",
    )


def known_table(known: Coverage | None) -> pd.DataFrame:
    """What is known of whom, a row per figure: figure, value (as text)."""
    if known is None:
        return pd.DataFrame({"figure": ["Events"], "value": ["none"]})
    shares = {
        "Events that carry a customer (logged in)": known.known_rate,
        "Events tied to a customer by stitching": known.stitched_rate,
        "Events of unknown visitors": 1
        - known.known_rate
        - known.stitched_rate
        - known.without_id_rate,
        "Events without any id": known.without_id_rate,
    }
    counts = {
        "Events": known.n_events,
        "Visitors (browsers and app installs)": known.n_visitors,
        "People, after stitching": known.n_people,
        "Devices shared by two customers or more": known.n_shared_visitors,
    }
    rows = [(name, wording.as_text(value, "count")) for name, value in counts.items()]
    rows += [(name, wording.as_text(value, "share")) for name, value in shares.items()]
    return pd.DataFrame(rows, columns=["figure", "value"])


def hole_note(holes: pd.DataFrame) -> str:
    """Whether the log has holes. In: `arrivals.hole_table`."""
    if holes.empty:
        return "No whole week has fewer than half the rows of its neighbours."
    first = holes.iloc[0]
    more = f" and {len(holes) - 1} more" if len(holes) > 1 else ""
    return (
        f"{first.table} has a hole in the week of {first.week_start:%Y-%m-%d}: {first.n_rows:,} "
        f"rows where its neighbours have about {first.usual_rows:,.0f}{more}. Rates of that week "
        "mean little."
    )


def health_limits(health: HealthReport) -> str:
    """What the check cannot see."""
    missing = [name for name in ("events", "orders", "customers") if name not in _names(health)]
    lacks = f" This shop has no {' and no '.join(missing)}." if missing else ""
    return (
        "The check sees rows that are wrong, not rows that never came: compare the number of "
        f"orders with the shop's own books.{lacks}"
    )


def _names(health: HealthReport) -> set[str]:
    return set(health.row_counts.table)
