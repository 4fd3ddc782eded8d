"""Sentences and verdicts on carts, computed from their result tables.

Every function takes result tables and returns a `Headline` or a sentence; none of them queries.
"""

import math
from dataclasses import replace

import pandas as pd

from cdp_lib.behaviour.carts import Carts
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing

WEEKS_SHOWN = 26
MANY_OPEN = 0.25  # share of open carts above which the closed ones are mostly quick purchases
# What vendors and surveys publish: shown beside the shop's own figure, used for nothing.
CLAIMS = (
    ("Carts that are abandoned", 0.70, None),
    ("Left because of extra costs", 0.50, "extra_costs"),
    ("Left because an account is asked for", 0.28, "account"),
)


def abandonment_rate_headline(
    rate: pd.DataFrame, weeks: pd.DataFrame, idle_hours: float
) -> Headline:
    """How many carts are abandoned, and whether the last whole week differs from those before.

    In: `cart_rates.abandonment_rate` (one row) and `cart_rates.weekly_table`.
    """
    row, n_open = rate.iloc[0], int(weeks.n_open.sum())
    days = math.ceil(idle_hours / 24)
    if n_open > MANY_OPEN * (n_open + row.n_carts):
        return replace(
            nothing(
                "Carts abandoned",
                "share",
                f"{n_open:,} of {n_open + int(row.n_carts):,} carts had an action in the last "
                f"{wording.as_text(idle_hours, 'hours')}: too early to tell.",
            ),
            verdict=f"wait {days} day{'s' if days > 1 else ''}",
        )
    if not row.n_carts:
        return nothing("Carts abandoned", "share", "The log has no cart.")
    whole = weeks[weeks.whole]
    verdict, change = "watch", "Too few whole weeks to tell a change."
    if len(whole) >= 3:
        last, before = whole.iloc[-1], whole.iloc[-WEEKS_SHOWN:-1]
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
        trend=tuple(whole.left_rate.tail(WEEKS_SHOWN)),
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
    total, name = int(stops.n_carts.sum()), "Largest stop of abandoned carts"
    if not total:
        return nothing(name, "share", "No cart is abandoned.")
    if len(stops) < 2:
        return nothing(name, "share", "The log has no step between the cart and the purchase.")
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
        name=name,
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
        return nothing(
            name,
            "share",
            "The log shows no account step that guests must take, so this cannot be told. It "
            "needs begin_checkout, sign_up or login, and a later step.",
        )
    one = row.iloc[0]
    if not stops.n_carts.sum():
        return nothing(name, "share", "No cart is abandoned.")
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


def return_headline(delays: pd.DataFrame, idle_hours: float) -> Headline:
    """How many left carts come back by themselves. In: `returns.delay_table`."""
    row = delays[delays.delay_hours == idle_hours]
    name = "Left carts bought later without a nudge"
    if row.empty or not row.iloc[0].n_idle:
        return nothing(name, "share", f"No cart was idle for {idle_hours:g} hours.")
    one, first = row.iloc[0], delays.iloc[0]
    spared = (
        f" Waiting {wording.as_text(idle_hours, 'hours')} instead of "
        f"{wording.as_text(first.delay_hours, 'hours')} before a reminder spares the "
        f"{wording.as_text(one.share_spared, 'share')} of carts that are bought in between."
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


def gap_headline(gaps: pd.DataFrame, threshold: float | None, currency: str) -> Headline:
    """How many abandoned carts are a little short. In: `cart_lists.free_shipping_gap_table`."""
    name = "Abandoned carts just short of free shipping"
    if threshold is None or gaps.empty or not gaps.n_carts.sum():
        why = "It needs [settings] free_shipping_threshold in shop.toml, and prices."
        return nothing(name, "count", why)
    near = gaps[
        (gaps.gap_low >= 0) & (gaps.gap_high <= 0.2 * threshold + 1e-9) & (gaps.gap_high > 0)
    ]
    n_near, total = int(near.n_carts.sum()), int(gaps.n_carts.sum())
    step = wording.as_text(0.2 * threshold, "money", currency)
    return Headline(
        name=name,
        value=n_near,
        low=None,
        high=None,
        unit="count",
        n=total,
        verdict="watch",
        sentence=f"{n_near:,} of {total:,} abandoned carts lack {step} or less to the free "
        f"shipping from {wording.as_text(threshold, 'money', currency)}. A small product offered "
        "with the reminder would close the gap.",
    )


def list_headline(sizes: pd.DataFrame, list_days: float) -> Headline:
    """How many known people one could write to about a cart. In: `cart_lists.size_table`."""
    row, name = sizes.iloc[0], "Known people with a fresh abandoned cart"
    if not row.n_people:
        return nothing(name, "count", f"Nobody left a cart in the last {list_days:g} days.")
    return Headline(
        name=name,
        value=row.n_known,
        low=None,
        high=None,
        unit="count",
        n=row.n_people,
        verdict="act" if row.n_known >= 100 else "watch",
        sentence=f"{row.n_known:,} of the {row.n_people:,} people who left a cart in the last "
        f"{list_days:g} days are known customers. Write to a part of them, "
        "drawn at random, or nobody will know what it earned.",
    )


def price_drop_note(carts: pd.DataFrame, browses: pd.DataFrame) -> str:
    """Whether a price-drop notice has takers. In: `cart_lists.price_drop_table`, twice."""
    n_known = int(carts.n_known.iloc[0] + browses.n_known.iloc[0])
    if not n_known:
        return "No price drop can be told: it needs the price seen and the price now."
    at_least = carts.min_drop_rate.iloc[1]
    return (
        f"Prices have fallen by {wording.as_text(at_least, 'share')} or more since for "
        f"{carts.n_people.iloc[1]:,} people with an abandoned cart and "
        f"{browses.n_people.iloc[1]:,} who only looked."
    )


def driver_note(drivers: pd.DataFrame) -> str:
    """The clearest driver of leaving, with the word *inferred*. In: `drivers.driver_table`."""
    clear = drivers[drivers.effect_low > 0]
    if clear.empty:
        return "Inferred: nothing that could be compared goes clearly with leaving."
    top = clear.sort_values("carts_at_stake", ascending=False, kind="stable").iloc[0]
    return (
        f"Inferred: most carts are at stake with {top.driver!r}. Of like carts, "
        f"{wording.as_text(top.effect, 'points')} more are left with it than without it "
        f"({wording.interval_as_text(top.effect_low, top.effect_high, 'points')}). Nobody drew at "
        "random who met it, so only an experiment can say what removing it earns."
    )


def claim_table(rate: pd.DataFrame, causes: pd.DataFrame) -> pd.DataFrame:
    """Published figures beside the shop's own, a row per claim.

    In: `cart_rates.abandonment_rate` and `drivers.cause_table`. Out: claim, published_share,
    own_share, own_share_low, own_share_high (NaN where the log cannot tell), basis (measured or
    inferred).
    """
    found = causes.set_index("cause")
    rows = []
    for claim, published, cause in CLAIMS:
        row = {"claim": claim, "published_share": published}
        for end in ("", "_low", "_high"):
            if cause is None:
                row[f"own_share{end}"] = rate.iloc[0][f"abandonment_rate{end}"]
            else:
                row[f"own_share{end}"] = found[f"share{end}"].get(cause, float("nan"))
        rows.append(row | {"basis": "measured" if cause is None else "inferred"})
    return pd.DataFrame(rows)


def cart_limits(carts: Carts) -> str:
    """What would change the answer of the carts page."""
    alone = (
        f" {carts.n_purchases_without_cart:,} purchases have no recorded cart: carts are "
        "under-recorded, and the share abandoned is too high by as much."
        if carts.n_purchases_without_cart
        else ""
    )
    lacks = [step for step in ("begin_checkout", "add_shipping_info") if step not in carts.steps]
    blind = (
        f" The log has no {' and no '.join(lacks)}, so stops between are not seen." if lacks else ""
    )
    return (
        f"Another idle time: with less than {wording.as_text(carts.idle_hours, 'hours')} more "
        f"carts count as left, and more of them come back.{alone}{blind} Causes are inferred; an "
        "experiment can overturn them."
    )
