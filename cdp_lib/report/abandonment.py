"""Sentences and verdicts on funnels, carts and leaks, computed from their result tables.

Every function takes result tables and returns a `Headline` or a sentence; none of them queries.
"""

import pandas as pd

from cdp_lib.behaviour.leaks import Leaks
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline

_WEEKS_SHOWN = 26


def abandonment_rate_headline(rate: pd.DataFrame, weeks: pd.DataFrame) -> Headline:
    """How many carts are abandoned, and whether the last whole week differs from those before.

    In: `cart_rates.abandonment_rate` (one row) and `cart_rates.weekly_table`.
    """
    row = rate.iloc[0]
    if not row.n_carts:
        return _nothing("Carts abandoned", "share", "No cart is old enough to be judged yet.")
    whole = weeks[weeks.whole]
    verdict, change = "watch", "Too few whole weeks to tell a change."
    if len(whole) >= 3:
        last, before = whole.iloc[-1], whole.iloc[-_WEEKS_SHOWN:-1]
        usual = before.n_left.sum() / before.n_carts.sum() if before.n_carts.sum() else None
        change, verdict = _change_in_words(last, usual)
    sentence = (
        f"{wording.as_text(row.abandonment_rate, 'share')} of the carts whose fate is known were "
        f"left and not bought. {change}"
    )
    return Headline(
        name="Carts abandoned",
        value=row.abandonment_rate,
        low=row.abandonment_rate_low,
        high=row.abandonment_rate_high,
        unit="share",
        n=row.n_carts,
        verdict=verdict,
        sentence=sentence,
        trend=tuple(whole.left_rate.tail(_WEEKS_SHOWN)),
        higher_is="worse",
    )


def _change_in_words(last: pd.Series, usual: float | None) -> tuple[str, str]:
    if usual is None or pd.isna(last.left_rate):
        return "Too few whole weeks to tell a change.", "watch"
    figure = f"{wording.as_text(last.left_rate, 'share')} were left in the last whole week"
    usually = f"usual {wording.as_text(usual, 'share')}"
    if last.left_rate_low > usual:
        return f"{figure}: more than the {usually}.", "act"
    if last.left_rate_high < usual:
        return f"{figure}: fewer than the {usually}.", "good"
    return f"{figure}: no clear change from the {usually}.", "watch"


def largest_stop_headline(stops: pd.DataFrame) -> Headline:
    """The step at which most abandoned carts stop. In: `cart_rates.stop_table`."""
    total = int(stops.n_carts.sum())
    if not total:
        return _nothing("Largest stop", "share", "No cart is abandoned.")
    ranked = stops.sort_values("share", ascending=False, kind="stable")
    top, rest = ranked.iloc[0], ranked.iloc[1:]
    clear = rest.empty or top.share_low > rest.iloc[0].share_high
    beside = (
        "more than at any other step"
        if clear
        else f"not clearly more than at {rest.iloc[0].step} "
        f"({wording.as_text(rest.iloc[0].share, 'share')})"
    )
    return Headline(
        name="Largest stop of abandoned carts",
        value=top.share,
        low=top.share_low,
        high=top.share_high,
        unit="share",
        n=total,
        verdict="act" if clear else "watch",
        sentence=f"{wording.as_text(top.share, 'share')} of abandoned carts stop at {top.step}, "
        f"{beside}. The stop says where, not why.",
        higher_is="worse",
    )


def account_wall_headline(stops: pd.DataFrame) -> Headline:
    """The share of abandoned carts that stop at creating an account. In: `stop_table`."""
    row = stops[stops.step == "creating an account"]
    name = "Stopped at creating an account"
    if row.empty:
        return _nothing(
            name,
            "share",
            "The log shows no account step that guests must take, so this cannot be told. It "
            "needs begin_checkout, sign_up or login, and a later step.",
        )
    one = row.iloc[0]
    if not stops.n_carts.sum():
        return _nothing(name, "share", "No cart is abandoned.")
    test = "Try a guest checkout as an experiment before you build it for all."
    act = one.share_low > 0.1
    return Headline(
        name=name,
        value=one.share,
        low=one.share_low,
        high=one.share_high,
        unit="share",
        n=int(stops.n_carts.sum()),
        verdict="act" if act else "watch",
        sentence=f"{wording.as_text(one.share, 'share')} of abandoned carts were at the checkout "
        f"as guests and never signed up or logged in. {test if act else ''}".strip(),
        higher_is="worse",
    )


def funnel_headline(steps: pd.DataFrame, unit: str) -> Headline:
    """How many units get from the first step to the last. In: `funnel.step_table`."""
    from cdp_lib.behaviour.intervals import wilson

    first, last = steps.iloc[0], steps.iloc[-1]
    name = f"From {first.step} to {last.step}"
    if not first.entered:
        return _nothing(name, "share", f"No {unit} entered the first step.")
    low, high = wilson(last.entered, first.entered)
    lost = (steps.entered.shift() - steps.entered - steps.open).iloc[1:]
    worst = steps.loc[lost.idxmax()]
    before = steps.step[lost.idxmax() - 1]
    return Headline(
        name=name,
        value=last.entered / first.entered,
        low=float(low),
        high=float(high),
        unit="share",
        n=int(first.entered),
        verdict="watch",
        sentence=f"{last.entered:,} of {first.entered:,} {unit}s get there. Most are lost between "
        f"{before} and {worst.step}: {wording.as_text(worst.abandonment_rate, 'share')} of those "
        "who were there.",
        higher_is="better",
    )


def coverage_note(coverage: pd.DataFrame) -> str:
    """Whether the funnel can be believed. In: `paths.step_coverage`."""
    last = coverage.iloc[-1]
    if not last.n_units:
        return f"Nobody did {last.step}, so the funnel has no end to measure."
    missed = wording.as_text(last.missed_share, "share")
    if last.missed_share <= 0.1:
        return (
            f"The funnel sees nearly all who did {last.step}: {missed} came another way or took "
            "longer than the window."
        )
    return (
        f"Careful: {missed} of those who did {last.step} came past a step of this funnel or took "
        "longer than the window. A step may be badly logged. The funnel counts them as lost."
    )


def return_headline(delays: pd.DataFrame, idle_hours: float) -> Headline:
    """How many left carts come back by themselves. In: `returns.delay_table`."""
    row = delays[delays.delay_hours == idle_hours]
    name = "Left carts bought later without a nudge"
    if row.empty or not row.iloc[0].n_idle:
        return _nothing(name, "share", f"No cart was idle for {idle_hours:g} hours.")
    one, first = row.iloc[0], delays.iloc[0]
    spared = (
        f" A reminder after {wording.as_text(idle_hours, 'hours')} instead of "
        f"{wording.as_text(first.delay_hours, 'hours')} spares "
        f"{wording.as_text(one.share_spared, 'share')} of the carts that would have come anyway."
        if idle_hours > first.delay_hours
        else ""
    )
    return Headline(
        name=name,
        value=one.share_back,
        low=one.share_back_low,
        high=one.share_back_high,
        unit="share",
        n=one.n_idle,
        verdict="watch",
        sentence=f"Of the carts idle for {wording.as_text(idle_hours, 'hours')}, "
        f"{wording.as_text(one.share_back, 'share')} are bought later all the same. A campaign "
        f"must beat this to have earned anything.{spared}",
        higher_is="better",
    )


def leak_headline(leaks: Leaks, currency: str) -> Headline:
    """What left carts cost per week after what comes back by itself. In: `leaks.leaks`."""
    table = leaks.table
    every = table[table.furthest_step.isna()].iloc[0]
    name = "Money left in carts per week"
    if not every.n_lost:
        return _nothing(name, "money", "No cart was left in this window.")
    if pd.isna(every.gross):
        return _nothing(
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


def whole_weeks(weeks: pd.DataFrame, n_weeks: int = _WEEKS_SHOWN) -> pd.DataFrame:
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


def _nothing(name: str, unit: str, sentence: str) -> Headline:
    return Headline(name, None, None, None, unit, 0, "cannot tell", sentence)
