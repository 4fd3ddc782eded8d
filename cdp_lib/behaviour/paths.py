"""The usual way to a purchase, as far as a shop logs it, and who gets there past its steps.

A funnel that demands a step which a shop records badly loses buyers who are there. So before a
funnel is believed, `step_coverage` says, for each step, how many units did it at all and how
many the funnel counts.
"""

from collections.abc import Sequence
from datetime import date, datetime

import ibis.expr.types as ir
import pandas as pd

from cdp_lib.behaviour.funnel import furthest_table, step_table
from cdp_lib.behaviour.funnel_plan import UNITS
from cdp_lib.behaviour.intervals import clustered_share
from cdp_lib.checks import Refusal, one_of

PATH = (
    "view_item",
    "add_to_cart",
    "begin_checkout",
    "add_shipping_info",
    "add_payment_info",
    "purchase",
)


def logged_path(events: ir.Table, path: Sequence[str] = PATH) -> list[str]:
    """The steps of a path that the log holds at least once, in the path's order.

    In: `event`. Raises Refusal where fewer than two are there, and names the events that are.
    """
    seen = set(events.select("event").distinct().to_pandas()["event"])
    steps = [step for step in path if step in seen]
    if len(steps) < 2:
        known = ", ".join(sorted(name for name in seen if name is not None)[:20])
        raise Refusal(
            "steps",
            list(path),
            f"fewer than two of them are in the log, which has {known or 'no event'}",
            "map the shop's event names in shop.toml, or name other steps",
        )
    return steps


def step_coverage(
    events: ir.Table,
    steps: Sequence[str],
    conversion_window_hours: float = 24,
    unit: str = "visitor",
) -> pd.DataFrame:
    """How many units did each step at all, beside how many the ordered funnel counts.

    `steps` are event names. Out: a row per step: step, n_units (did it at least once), entered
    (counted by `funnel.step_table`), n_missed (did it, but not by way of the steps before it
    inside the window), missed_share (of n_units; NaN where nobody did it). Raises Refusal.
    """
    one_of("unit", unit, [*UNITS, *events.columns])
    column = UNITS.get(unit, unit)
    rows = events.filter(events.event.isin(list(steps)) & events[column].notnull())
    counted = rows.group_by("event").agg(n_units=rows[column].nunique()).to_pandas()
    n_units = counted.set_index("event")["n_units"]
    funnel = step_table(events, steps, conversion_window_hours, unit)
    table = funnel[["step", "entered"]].copy()
    table.insert(1, "n_units", table["step"].map(n_units).fillna(0).astype(int))
    table["n_missed"] = table["n_units"] - table["entered"]
    table["missed_share"] = table["n_missed"] / table["n_units"].where(table["n_units"] > 0)
    return table


def reach_share(
    events: ir.Table,
    steps: Sequence[str],
    conversion_window_hours: float = 24,
    unit: str = "visitor",
    as_of: str | date | datetime | None = None,
    by: str | None = None,
) -> pd.DataFrame:
    """The share of units that get from the first step to the last, people being the clusters.

    Visits of one person are not independent draws, so the interval takes sums over people
    (`person_id` of `Shop.journeys`). Options as in `funnel.step_table`. Out: n_entered, n_reached,
    n_people, share, share_low, share_high (95 %; NaN where nobody entered): one row, or a row per
    value of `by`, which is then the first column, null last.
    """
    depths = furthest_table(events, steps, conversion_window_hours, unit, by, as_of=as_of)
    column = UNITS.get(unit, unit)
    group = {"value": depths[by]} if by else {}
    depths = depths.select(column, hit=(depths.depth == len(steps)).cast("int64"), **group)
    if column == "person_id":
        owned = depths.mutate(owner=depths.person_id)
    else:
        owners = events.group_by(column).agg(owner=events.person_id.max())
        owned = depths.join(owners, column)
    people = owned.group_by("owner", *group).agg(n=owned.count(), hit=owned.hit.sum())
    sums = people.agg(
        by=list(group),
        n_people=people.count(),
        n=people.n.sum(),
        hit=people.hit.sum(),
        nn=(people.n * people.n).sum(),
        nh=(people.n * people.hit).sum(),
        hh=(people.hit * people.hit).sum(),
    )
    rows = (sums.order_by("value") if by else sums).to_pandas()
    counts = rows[["n_people", "n", "hit", "nn", "nh", "hh"]].fillna(0)
    share, low, high = clustered_share(*(counts[name] for name in counts))
    return pd.DataFrame(
        {
            **({by: rows["value"].astype(object)} if by else {}),
            "n_entered": counts.n.astype("int64"),
            "n_reached": counts.hit.astype("int64"),
            "n_people": counts.n_people.astype("int64"),
            "share": share,
            "share_low": low,
            "share_high": high,
        }
    )
