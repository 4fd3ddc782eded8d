"""Who the customers are, as tables that people read: names, states, cuts, segments.

Every function takes result tables and returns a smaller one; none of them queries.
"""

import numpy as np
import pandas as pd

from cdp_lib.customers.catalogue import Catalogue
from cdp_lib.customers.life import STATES
from cdp_lib.customers.migration import net
from cdp_lib.customers.rfm import Cuts, cut_table
from cdp_lib.customers.rfm_names import ACTIONS, NAMES
from cdp_lib.customers.segments import Preview
from cdp_lib.report import wording

WIDE = 0.25  # share of the customers above which a segment is too wide to act on
STATE_ACTIONS = {
    "prospect": "a reason for the first order",
    "new": "help with the product, suggest what goes with it",
    "active": "keep informed, no discount needed",
    "won back": "ask what brought them back",
    "cooling": "write now, with what they usually buy",
    "lapsed": "win back the worthy by name, leave the rest",
}


def with_orders(names: pd.DataFrame) -> pd.DataFrame:
    """The names without those who have never ordered."""
    return names[names.rfm_name.isin(NAMES)]


def name_view(names: pd.DataFrame, moved: pd.DataFrame | None) -> pd.DataFrame:
    """The names as people read them: size, money, change, what to do. In: `migration.sizes`."""
    shown = with_orders(names).sort_values("rfm_name", key=lambda c: c.map(NAMES.index))
    view = _with_changes(shown.rename(columns={"rfm_name": "name"}), "name", moved)
    return view.assign(what_to_do=view.name.map(ACTIONS))


def state_view(states: pd.DataFrame, moved: pd.DataFrame | None) -> pd.DataFrame:
    """The life cycle as people read it. In: `migration.sizes` of life_cycle, `moves`."""
    shown = states.sort_values("life_cycle", key=lambda c: c.map(STATES.index))
    view = _with_changes(shown.rename(columns={"life_cycle": "state"}), "state", moved)
    return view.assign(what_to_do=view.state.map(STATE_ACTIONS))


def cut_view(cuts: Cuts, currency: str) -> pd.DataFrame:
    """The cuts in words, a row per score: last order, orders, spent."""
    table = cut_table(cuts)
    said = {"recency_days": "last_order", "frequency": "orders", "monetary": "spent"}
    table["words"] = [_range(row, currency) for row in table.itertuples()]
    view = table.pivot(index="score", columns="value", values="words")
    view = view.reindex(sorted(view.index, reverse=True), columns=list(said)).rename(columns=said)
    return view.fillna("none").reset_index().rename_axis(columns=None)


def segment_view(counts: pd.DataFrame, top: int) -> pd.DataFrame:
    """The segments of each group that bring most, as people read them. In: `segments.count`.

    Segments wider than `WIDE` of the customers are left out: hardly anything can be aimed at them.
    """
    best = _best(counts, top)
    order = {name: i for i, name in enumerate(dict.fromkeys(counts.group))}
    best = best.sort_values("group", key=lambda group: group.map(order), kind="stable")
    columns = ["title", "n_customers", "customer_share", *_money_columns(best)]
    if "change" in best.columns:
        best = best.assign(change=_changes_as_text(best))
        columns += ["change", "verdict"]
    way = best.channel.replace("none", "")
    what = best.action.str.cat(way.where(way == "", " (" + way.str.replace("_", " ") + ")"))
    view = best[columns].assign(what_to_do=what)
    return view.rename(columns={"title": "segment"}).reset_index(drop=True)


def overlap_choice(counts: pd.DataFrame, most: int = 12) -> list[str]:
    """Segments to lay side by side: the one that brings most of each group."""
    return _best(counts, 1).name.head(most).tolist()


def _best(counts: pd.DataFrame, top: int) -> pd.DataFrame:
    known = counts[(counts.needs == "") & (counts.n_customers >= wording.SMALL_GROUP)]
    known = known[known.customer_share <= WIDE]
    worth = known[f"{money_of(counts)}_share"].fillna(known.customer_share)
    best = known.assign(_worth=worth).sort_values("_worth", ascending=False)
    return best.groupby("group", sort=False).head(top).drop(columns="_worth")


def preview_view(found: Preview, catalogue: Catalogue, most: int = 5) -> pd.DataFrame:
    """The segments most like a predicate's: title, share of it in them, likeness (Jaccard)."""
    rows = found.overlaps.dropna(subset=["jaccard"]).head(most)
    titles = [catalogue[name].title for name in rows.other]
    view = {"much_like": titles, "n_both": rows.n_both, "share": rows.share}
    return pd.DataFrame(view | {"likeness": rows.jaccard}).reset_index(drop=True)


def _with_changes(table: pd.DataFrame, key: str, moved: pd.DataFrame | None) -> pd.DataFrame:
    columns = [key, "n_customers", "customer_share", *_money_columns(table)]
    view = table[columns].reset_index(drop=True)
    if moved is None:
        return view
    found = net(moved).rename(columns={"state": key})
    found = found.assign(change=_changes_as_text(found))
    return view.merge(found[[key, "change", "verdict"]], on=key, how="left")


def _changes_as_text(table: pd.DataFrame) -> list[str]:
    return [
        f"{signed(row.change)} ({signed(row.change_low)} to {signed(row.change_high)})"
        if np.isfinite(row.change)
        else wording.UNKNOWN
        for row in table.itertuples()
    ]


def _range(row, currency: str) -> str:
    unit = {"recency_days": "days", "frequency": "count", "monetary": "money"}[row.value]
    say = lambda value: wording.as_text(value, unit, currency)  # noqa: E731
    if row.value == "recency_days":
        say = lambda value: f"{value:,.0f} days"  # noqa: E731
    if np.isnan(row.above) and np.isnan(row.up_to):
        return "all"
    if np.isnan(row.above):
        return f"up to {say(row.up_to)}"
    return f"more than {say(row.above)}" + (
        "" if np.isnan(row.up_to) else f", up to {say(row.up_to)}"
    )


def _money_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in ("revenue_share", "margin_share") if table[name].notna().any()]


def money_of(table: pd.DataFrame) -> str:
    """What groups are weighed by: "margin", or "revenue" where no cost is known."""
    return "margin" if table.margin_share.notna().any() else "revenue"


def signed(value: float) -> str:
    """A whole number with its sign."""
    return f"{value:+,.0f}".replace("-", "−")
