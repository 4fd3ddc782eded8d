"""Who moved where between two days: from one state, or one name, to another."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, TooLittleData, one_of
from cdp_lib.customers.ages import amount, money, total
from cdp_lib.customers.portrait import Portrait
from cdp_lib.customers.rfm import Cuts, own_cuts, scores, values_of
from cdp_lib.customers.rfm_names import named
from cdp_lib.customers.segments import change_verdicts
from cdp_lib.normal import Z

NEW, NONE = "not known before", "no order"
WORTH = "margin_365d", "revenue_365d"


@dataclass(frozen=True)
class Stability:
    """How much of the change of scores is the cuts' doing.

    n: customers with an order. same_share: scored alike by both cuts. r_share, f_share, m_share:
    whose score of that kind is another by the earlier cuts. name_share: whose name is another.
    """

    n: int
    same_share: float
    r_share: float
    f_share: float
    m_share: float
    name_share: float


def moves(before: Table, now: Table, column: str) -> pd.DataFrame:
    """Count who went from which value of a column to which.

    before, now: portraits of two days, made with the same cuts and pace, so that only people
    move. Out: a row per pair that occurs: came_from ("not known before" for those who were not
    there), went_to, n_customers, share (of those who came from there), and worth, worth_squares:
    the sums of the customers' margin (revenue where no cost is known) of the year before the
    earlier day, and of its square; NaN without orders. One query.
    """
    for place, table in (("before", before), ("now", now)):
        if column not in table.columns:
            raise Refusal(place, column, "no such column", "pass a portrait of a shop with orders")
    worth = next((name for name in WORTH if name in before.columns), None)
    kept = {"was_id": before.customer_id, "was": before[column].coalesce(NONE)}
    if worth:
        kept["worth"] = money(before[worth])
    past = before.select(**kept)
    joined = now.select("customer_id", is_now=now[column].coalesce(NONE)).left_join(
        past, ibis._.customer_id == past.was_id
    )
    groups = joined.group_by(came_from=joined.was.coalesce(NEW), went_to=joined.is_now)
    sums = {"n_customers": joined.count()}
    if worth:
        sums["worth"] = amount(total(joined.worth))
        sums["worth_squares"] = amount(total((joined.worth / 1e6 * joined.worth).round()))
    table = groups.aggregate(**sums).to_pandas()
    for name in {"worth", "worth_squares"} - set(table.columns):
        table[name] = np.nan
    from_there = table.groupby("came_from").n_customers.transform("sum")
    table.insert(3, "share", table.n_customers / from_there)
    return table.sort_values(["came_from", "went_to"], ignore_index=True)


def between(before: Portrait | None, now: Portrait, column: str) -> pd.DataFrame | None:
    """`moves` between two portraits; None where there is no earlier one."""
    return None if before is None else moves(before.table, now.table, column)


def net(moved: pd.DataFrame) -> pd.DataFrame:
    """What moves add up to, in each state. In: `moves`.

    Out: state, n_before, n_in, n_out, change, change_low, change_high (95 %, as if each who
    crossed had done so by themselves), verdict ("grew", "shrank", "steady").
    """
    crossed = moved[moved.came_from != moved.went_to]
    states = pd.Index(sorted({*moved.came_from, *moved.went_to} - {NEW}), name="state")
    sums = {
        "n_before": moved.groupby("came_from").n_customers.sum(),
        "n_in": crossed.groupby("went_to").n_customers.sum(),
        "n_out": crossed.groupby("came_from").n_customers.sum(),
    }
    table = pd.DataFrame({name: one.reindex(states).fillna(0) for name, one in sums.items()})
    table["change"] = table.n_in - table.n_out
    half = Z * np.sqrt(table.n_in + table.n_out)
    table["change_low"], table["change_high"] = table.change - half, table.change + half
    table["verdict"] = change_verdicts(table.n_in, table.n_out)
    return table.reset_index()


def sizes(table: Table, column: str) -> pd.DataFrame:
    """How many customers have each value of a column, and what they brought in a year.

    Out: a row per value (null is "no order"): the column, n_customers, customer_share; revenue and
    margin, each with its _share and that one's _low and _high (95 %, of a like shop, as if these
    customers had been drawn from many); NaN where the shop has none. One query.
    """
    one_of("column", column, table.columns)
    paid = {"revenue": "revenue_365d", "margin": "margin_365d"}
    paid = {name: source for name, source in paid.items() if source in table.columns}
    sums_of = {name: money(table[source]) for name, source in paid.items()}
    rows = table.select(table[column].coalesce(NONE).name(column), **sums_of)
    sums = {"n_customers": rows.count()}
    sums |= {name: amount(total(rows[name])) for name in paid}
    sums |= {f"{name}_squares": amount(total((rows[name] / 1e6 * rows[name]).round()))
             for name in paid}  # fmt: skip
    found = rows.group_by(column).aggregate(**sums).to_pandas()
    found["customer_share"] = found.n_customers / found.n_customers.sum()
    for name in ("revenue", "margin"):
        if name not in paid:
            found[name] = found[f"{name}_squares"] = np.nan
        whole = found[name].sum() if name in paid else np.nan
        share = found[name] / whole if whole else found[name] * np.nan
        squares = found[f"{name}_squares"]
        # The linearised variance of a ratio of two sums over customers.
        spread = np.sqrt(squares * (1 - 2 * share) + share**2 * squares.sum()) / abs(whole or 1)
        found[f"{name}_share"] = share
        found[f"{name}_share_low"] = share - Z * spread
        found[f"{name}_share_high"] = share + Z * spread
    ends = ("", "_share", "_share_low", "_share_high")
    columns = ["n_customers", "customer_share"]
    columns += [f"{name}{end}" for name in ("revenue", "margin") for end in ends]
    return found[[column, *columns]].sort_values("n_customers", ascending=False, ignore_index=True)


def cut_stability(before: Portrait | None, now: Portrait) -> Stability | None:
    """`stability` of today's cuts against those that the earlier portrait's own buyers give.

    None where there is no earlier portrait, or nobody had ordered.
    """
    if before is None or now.cuts is None:
        return None
    try:
        return stability(now.table, now.cuts, own_cuts(values_of(before.table)))
    except TooLittleData:
        return None


def stability(customers: Table, now: Cuts, before: Cuts) -> Stability:
    """Score today's customers by today's cuts and by earlier ones, and compare. One query.

    customers: a profile, or what `rfm.values_of` takes.
    """
    values = values_of(customers)
    three = values.recency_days, values.frequency, values.monetary
    new, old = scores(*three, now), scores(*three, before)
    marked = values.select(
        **{f"{k}_now": v for k, v in new.items()}, **{f"{k}_then": v for k, v in old.items()}
    )
    moved = {k: marked[f"{k}_now"] != marked[f"{k}_then"] for k in new}
    names = [named(*(marked[f"{k}_{end}"] for k in "rfm")) for end in ("now", "then")]
    sums = {f"{k}_share": marked.count(where=value) for k, value in moved.items()}
    sums["name_share"] = marked.count(where=names[0] != names[1])
    sums["same_share"] = marked.count(where=~(moved["r"] | moved["f"] | moved["m"]))
    row = marked.aggregate(n=marked.count(), **sums).to_pyarrow().to_pylist()[0]
    n = int(row.pop("n"))
    return Stability(n, **{name: value / n if n else np.nan for name, value in row.items()})
