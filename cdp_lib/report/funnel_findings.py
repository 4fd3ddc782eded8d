"""Sentences and verdicts on funnels and leaks, computed from their result tables.

Every function takes result tables and returns a `Headline`, a sentence or a smaller table; none
of them queries.
"""

import pandas as pd

from cdp_lib.behaviour.leaks import Leaks
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing

STEP_WORDS = {
    "view_item_list": "a list of products",
    "view_item": "a product page",
    "search": "a search",
    "add_to_cart": "the cart",
    "view_cart": "a look at the cart",
    "begin_checkout": "the checkout",
    "add_shipping_info": "shipping",
    "add_payment_info": "payment",
    "purchase": "a purchase",
}
WEEKS_SHOWN = 26


def funnel_headline(
    steps: pd.DataFrame, reach: pd.DataFrame, weeks: pd.DataFrame, unit: str
) -> Headline:
    """How many units get from the first step to the last.

    In: `funnel.step_table`, `paths.reach_share` for the interval, and `funnel.weekly_trend` for
    the line of the last whole weeks.
    """
    first, last = steps.iloc[0], steps.iloc[-1]
    name = f"From {_in_words(first.step)} to {_in_words(last.step)}"
    if not first.entered:
        return nothing(name, "share", f"No {unit} entered the first step.")
    lost = (steps.entered.shift() - steps.entered - steps.open).iloc[1:]
    worst, before = steps.loc[lost.idxmax()], steps.step[lost.idxmax() - 1]
    where = (
        f"Most are lost between {_in_words(before)} and {_in_words(worst.step)}: "
        f"{wording.as_text(worst.abandonment_rate, 'share')} of those who were there."
        if lost.max() > 0
        else "The others may still go on: too early to call them lost."
    )
    return Headline(
        name=name,
        value=reach.share[0],
        low=reach.share_low[0],
        high=reach.share_high[0],
        unit="share",
        n=int(first.entered),
        verdict="watch",
        sentence=f"{last.entered:,} of {first.entered:,} {_plural(unit)} get there. {where}",
        trend=tuple(whole_weeks(weeks).query("step == @last.step").overall_rate),
        higher_is="better",
    )


def group_table(reach: pd.DataFrame) -> pd.DataFrame:
    """How many of each group get to the last step. In: `paths.reach_share` with `by`.

    Out: a row per group, the best first: group, n_entered, n_reached, reached_rate,
    reached_rate_low, reached_rate_high (95 %, people being the clusters).
    Groups of fewer than 10 units or people are left out.
    """
    words = {True: "yes", False: "no"}
    values = reach.iloc[:, 0].map(lambda value: None if pd.isna(value) else value)
    group = values.map(lambda value: "unknown" if value is None else words.get(value, str(value)))
    rates = {"share": "reached_rate", "share_low": "reached_rate_low",
             "share_high": "reached_rate_high"}  # fmt: skip
    table = reach.rename(columns=rates).assign(group=group)
    fewest = table[["n_entered", "n_people"]].min(axis=1)
    table = table[fewest >= wording.SMALL_GROUP]
    table = table[["group", "n_entered", "n_reached", *rates.values()]]
    return table.sort_values("reached_rate", ascending=False, ignore_index=True)


def coverage_note(coverage: pd.DataFrame) -> str:
    """Whether the funnel can be believed. In: `paths.step_coverage`."""
    last = coverage.iloc[-1]
    if not last.n_units:
        return f"Nobody got to {_in_words(last.step)}, so the funnel has no end to measure."
    missed = wording.as_text(last.missed_share, "share")
    if last.missed_share <= 0.1:
        return (
            f"The funnel sees nearly all who got to {_in_words(last.step)}: {missed} came another "
            "way or took longer than the window."
        )
    return (
        f"Careful: {missed} of those who got to {_in_words(last.step)} came past a step of this "
        "funnel, in a later visit, or after the window. A step may be badly logged. The funnel "
        "counts them as lost; the carts page follows carts over visits."
    )


def leak_headline(leaks: Leaks, currency: str) -> Headline:
    """What left carts cost per week after what comes back by itself. In: `leaks.leaks`."""
    table = leaks.table
    every = table[table.furthest_step.isna()].iloc[0]
    name = "Money left in carts per week"
    if not every.n_lost:
        return nothing(name, "money", "No cart was left in this window.")
    if pd.isna(every.gross):
        return nothing(
            name, "money", "The carts have no known value: the events carry no price. Map `price`."
        )
    steps = table[table.furthest_step.notna()]
    worst = steps.loc[steps.recoverable.idxmax()]
    gross = wording.as_text(every.gross_per_week, "money", currency)
    kept = wording.as_text(worst.recoverable_per_week, "money", currency)
    return Headline(
        name=name,
        value=every.recoverable_per_week,
        low=every.recoverable_low / leaks.weeks,
        high=every.recoverable_high / leaks.weeks,
        unit="money",
        n=int(every.n_people),
        verdict="act" if every.recoverable_low > 0 else "watch",
        sentence=f"{gross} a week lay in carts that were left; this is what is left of it after "
        f"those that come back by themselves. The largest part, {kept}, stops at {worst.step}. "
        "No experiment has yet shown how much of it can be won back.",
        higher_is="worse",
        currency=currency,
    )


def leak_view(leaks: Leaks) -> pd.DataFrame:
    """The leaks as a report shows them: per week, with a word for what is not measured."""
    table = leaks.table
    view = table[["step", "n_people", "n_lost", "gross_per_week", "recoverable_per_week"]].copy()
    for end in ("low", "high"):
        view[f"recoverable_per_week_{end}"] = table[f"recoverable_{end}"] / leaks.weeks
    return view.assign(proven=table.proven_note)


def whole_weeks(weeks: pd.DataFrame, n_weeks: int = WEEKS_SHOWN) -> pd.DataFrame:
    """The last whole weeks of `funnel.weekly_trend`, without the first step (always 100 %)."""
    first = weeks.step.iloc[0] if len(weeks) else None
    kept = weeks[weeks.complete & (weeks.step != first)]
    return kept[kept.week_start.isin(kept.week_start.drop_duplicates().nlargest(n_weeks))]


def funnel_limits(coverage: pd.DataFrame, leaks: Leaks) -> str:
    """What would change the answer of the funnel page."""
    unpriced = (
        f" {leaks.n_unpriced:,} left carts have no known value and are missing from the money."
        if leaks.n_unpriced
        else ""
    )
    return (
        f"{coverage_note(coverage)} A longer window finds more that come back. Money is the value "
        f"of carts left in the last {leaks.weeks:.0f} weeks, at the price shown, before discounts "
        f"and costs.{unpriced} Only a randomised experiment can say what a fix earns."
    )


def _in_words(step: str) -> str:
    return STEP_WORDS.get(step, step)


def _plural(unit: str) -> str:
    return {"person": "people"}.get(unit, f"{unit}s")
