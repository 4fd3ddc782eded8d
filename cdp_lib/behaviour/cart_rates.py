"""How many carts are lost, when and where they stop: shares with 95 % intervals.

A share counts carts; its interval takes the person as the unit of sampling (see `intervals`).
"""

from datetime import datetime

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.behaviour.cart_states import STATES, STOPS, Carts
from cdp_lib.behaviour.intervals import clustered_share, total
from cdp_lib.checks import one_of

# Emptied carts were not left for good: somebody came back and decided.
WAS_LEFT = _.first_left_at.notnull() & (_.state != "emptied")


def share_table(table: Table, hits: dict, by: str | None = None) -> pd.DataFrame:
    """The share of rows for which a condition holds, per group.

    In: an Ibis table with person_id; `hits` maps a name to a boolean (deferred) expression.
    Out: a row per group and hit: the `by` column, hit, n, n_hit, share, low, high (95 %),
    n_people (of the group), n_people_hit.
    """
    names = list(hits)
    keys = [by] if by else []
    flags = {f"h{i}": hits[name] for i, name in enumerate(names)}
    table = table.mutate(**{k: v.coalesce(False).cast("int64") for k, v in flags.items()})
    people = table.group_by(*keys, "person_id").agg(
        n=_.count(), **{flag: table[flag].sum() for flag in flags}
    )
    sums = {"n_people": people.count(), "n": people.n.sum(), "nn": (people.n * people.n).sum()}
    for flag in flags:
        hit = people[flag]
        sums |= {
            f"{flag}_n": hit.sum(),
            f"{flag}_nh": (people.n * hit).sum(),
            f"{flag}_hh": (hit * hit).sum(),
            f"{flag}_people": (hit > 0).sum(),
        }
    grouped = (people.group_by(*keys) if keys else people).agg(**sums).execute()
    parts = []
    for flag, name in zip(flags, names, strict=True):
        counts = grouped[["n_people", "n", f"{flag}_n", "nn", f"{flag}_nh", f"{flag}_hh"]]
        share, low, high = clustered_share(*counts.fillna(0).to_numpy(float).T)
        part = grouped[[*keys, "n", "n_people"]].assign(
            hit=name,
            n_hit=grouped[f"{flag}_n"].fillna(0).astype(int),
            n_people_hit=grouped[f"{flag}_people"].fillna(0).astype(int),
            share=share,
            low=low,
            high=high,
        )
        parts.append(part)
    order = [*keys, "hit", "n", "n_hit", "share", "low", "high", "n_people", "n_people_hit"]
    return pd.concat(parts, ignore_index=True)[order]


def money_table(table: Table, amounts: dict, by: str | None = None) -> pd.DataFrame:
    """Totals of money per group.

    In: an Ibis table with person_id; `amounts` maps a name to a (deferred) amount >= 0.
    Out: a row per group and amount: the `by` column, amount, total, low, high (95 %, of the
    expected total of such a span). A group in which every amount is null has NaN.
    """
    keys = [by] if by else []
    flags = {f"a{i}": amount for i, amount in enumerate(amounts.values())}
    table = table.mutate(**flags)
    people = table.group_by(*keys, "person_id").agg(**{f: table[f].sum() for f in flags})
    sums = {}
    for flag in flags:
        part = people[flag]
        sums |= {f"{flag}_sum": part.sum(), f"{flag}_sq": (part * part).sum()}
        sums |= {f"{flag}_max": part.max()}
    grouped = (people.group_by(*keys) if keys else people).agg(**sums).execute()
    parts = []
    for flag, name in zip(flags, amounts, strict=True):
        columns = [f"{flag}_sum", f"{flag}_sq", f"{flag}_max"]
        amount, squares, largest = grouped[columns].to_numpy(float).T
        low, high = total(amount, squares, largest)
        parts.append(grouped[keys].assign(amount=name, total=amount, low=low, high=high))
    return pd.concat(parts, ignore_index=True)


def state_table(carts: Carts) -> pd.DataFrame:
    """How many carts are in each state.

    Out: a row per state: state, n_carts, share (of all carts), share_low, share_high, n_people,
    value, value_low, value_high (what lies in those carts, in the shop's currency).
    """
    hits = {state: _.state == state for state in STATES}
    shares = share_table(carts.table, hits).set_index("hit")
    money = money_table(carts.table, {"value": _.value}, by="state").set_index("state")
    return _beside(pd.DataFrame({"state": list(STATES)}), "state", shares, money)


def abandonment_rate(carts: Carts, by: str | None = None) -> pd.DataFrame:
    """The share of carts abandoned, among those whose fate is known (all but the open ones).

    `by` breaks it down: device_type, touchpoint, returning, guest, or another column of the
    cart table; a missing value has a row of its own. Out: the `by` column, n_carts,
    n_abandoned, abandonment_rate, abandonment_rate_low, abandonment_rate_high, n_people.
    Raises Refusal for an unknown column.
    """
    if by is not None:
        one_of("by", by, carts.table.columns)
    decided = carts.table.filter(_.state != "open")
    table = share_table(decided, {"abandoned": _.state == "abandoned"}, by)
    table = table.drop(columns=["hit", "n_people_hit"]).rename(
        columns={"n": "n_carts", "n_hit": "n_abandoned", **_rates("abandonment_rate")}
    )
    return table.sort_values("n_carts", ascending=False, ignore_index=True) if by else table


def weekly_table(carts: Carts) -> pd.DataFrame:
    """Carts per ISO week of opening, how many were left, and how many still lie there.

    The share left is fixed soon after the week; the share abandoned of a recent week still
    falls, as carts come back. Out: a row per week: week_start (Monday), n_open, n_carts (fate
    known), n_people, n_left, left_rate, left_rate_low, left_rate_high, n_abandoned,
    abandonment_rate, abandonment_rate_low, abandonment_rate_high, whole (the week is over, and
    no cart of it is open).
    """
    table = carts.table.mutate(week_start=_.opened_at.truncate("W"))
    n_open = table.group_by("week_start").agg(n_open=(_.state == "open").sum()).execute()
    weeks = n_open.sort_values("week_start", ignore_index=True)
    shares = share_table(
        table.filter(_.state != "open"),
        {"left": WAS_LEFT, "abandoned": _.state == "abandoned"},
        by="week_start",
    )
    for hit, rate in {"left": "left_rate", "abandoned": "abandonment_rate"}.items():
        part = shares[shares.hit == hit].rename(columns={"n_hit": f"n_{hit}", **_rates(rate)})
        kept = ["week_start", f"n_{hit}", *_rates(rate).values()]
        kept += ["n", "n_people"] if hit == "left" else []
        weeks = weeks.merge(part[kept], on="week_start", how="left")
    weeks = weeks.rename(columns={"n": "n_carts"})
    counts = ["n_carts", "n_people", "n_left", "n_abandoned"]
    weeks[counts] = weeks[counts].fillna(0).astype(int)
    over = weeks.week_start + pd.Timedelta(days=7) <= pd.Timestamp(carts.as_of)
    return weeks.assign(whole=over & (weeks.n_open == 0))


def stop_table(
    carts: Carts, which: str = "abandoned", since: datetime | None = None
) -> pd.DataFrame:
    """Where carts stop: the step that they did not get past.

    `which`: "abandoned" (furthest step of the carts that lie there now) or "left" (furthest
    step at the first leaving, whatever came later). `since` keeps carts left from then on.
    Steps that the log never has are no rows; `carts.steps` lists those it has.
    Out: a row per step, in order: step (in words, the one not taken), furthest_step (the last
    one taken), n_carts, share (of these carts), share_low, share_high, n_people, value,
    value_low, value_high (the shop's currency).
    """
    one_of("which", which, ("abandoned", "left"))
    taken = "furthest_step" if which == "abandoned" else "left_step"
    stopped = stopped_carts(carts, which, since)
    steps = carts.steps[:-1]
    shares = share_table(stopped, {s: stopped[taken] == s for s in steps}).set_index("hit")
    money = money_table(stopped, {"value": _.value}, by=taken).set_index(taken)
    words = [STOPS[after] for after in carts.steps[1:]]
    rows = pd.DataFrame({"step": words, "furthest_step": list(steps)})
    return _beside(rows, "furthest_step", shares, money)


def _rates(name: str) -> dict[str, str]:
    return {"share": name, "low": f"{name}_low", "high": f"{name}_high"}


def _beside(
    rows: pd.DataFrame, key: str, shares: pd.DataFrame, money: pd.DataFrame
) -> pd.DataFrame:
    """The shares and the money of each row, in the columns that tables of carts have."""
    counts = {"n_hit": "n_carts", **_rates("share"), "n_people_hit": "n_people"}
    for old, new in counts.items():
        rows[new] = rows[key].map(shares[old])
    for old, new in {"total": "value", "low": "value_low", "high": "value_high"}.items():
        rows[new] = rows[key].map(money[old]).astype(float)
    rows.loc[rows.n_carts == 0, "value"] = 0.0
    return rows


def stopped_carts(carts: Carts, which: str, since: datetime | None = None) -> Table:
    """The carts that `stop_table` counts: abandoned ones, or all that were ever left."""
    lost = _.state == "abandoned" if which == "abandoned" else WAS_LEFT
    table = carts.table.filter(lost)
    return table if since is None else table.filter(_.first_left_at >= ibis.literal(since))
