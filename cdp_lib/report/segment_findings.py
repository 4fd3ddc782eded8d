"""Sentences and verdicts on who the customers are, computed from counts, names and moves.

Every function takes result tables and returns a `Headline`, a sentence or a smaller table; none
of them queries.
"""

import numpy as np
import pandas as pd

from cdp_lib.behaviour.intervals import wilson
from cdp_lib.customers.catalogue import Catalogue
from cdp_lib.customers.life import STATES, Pace
from cdp_lib.customers.migration import NONE, Stability, net
from cdp_lib.customers.portrait import Portrait
from cdp_lib.customers.rfm_names import ACTIONS, CHAMPIONS, NAMES
from cdp_lib.customers.segments import Preview
from cdp_lib.normal import Z
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing
from cdp_lib.report.segment_views import money_of, signed

IN_TOUCH, DRIFTING = NAMES[:5], NAMES[5:]
CLAIMED = "over 120"  # segments, in a published description
NAME_ORDER, STATE_ORDER = [NONE, *NAMES], list(STATES)
IN_PACE = ("new", "active", "won back")


def champions_headline(names: pd.DataFrame, moved: pd.DataFrame | None, currency: str) -> Headline:
    """What Champions bring, and how many slid. In: `migration.sizes` of rfm_name, `moves`."""
    money = money_of(names)
    title = f"Share of the {money} that Champions bring"
    found = names[names.rfm_name == CHAMPIONS]
    if found.empty or not np.isfinite(found[f"{money}_share"].iloc[0]):
        return nothing(title, "share", "Nobody is a Champion by these cuts.")
    one = found.iloc[0]
    share = wording.as_text(one.customer_share, "share")
    brought = wording.as_text(one[f"{money}_share"], "share")
    words = [f"Champions are {share} of the customers and bring {brought} of the year's {money}."]
    verdict = "good"
    if moved is not None:
        left = moved[(moved.came_from == CHAMPIONS) & (moved.went_to != CHAMPIONS)]
        before = int(moved[moved.came_from == CHAMPIONS].n_customers.sum())
        n, worth = int(left.n_customers.sum()), float(left.worth.sum())
        change = net(moved).set_index("state").verdict.get(CHAMPIONS, "steady")
        verdict = "act" if change == "shrank" else "good"
        words.append(
            f"{n:,} of {before:,} ({wording.as_text(n / before if before else None, 'share')}) "
            f"are no longer; they had brought {wording.as_text(worth, 'money', currency)} in a "
            f"year. The group {_CHANGED[change]}."
        )
    words.append(f"What to do: {ACTIONS[CHAMPIONS]}.")
    low, high = one[f"{money}_share_low"], one[f"{money}_share_high"]
    return Headline(title, one[f"{money}_share"], low, high, "share", int(one.n_customers),
                    verdict, " ".join(words), higher_is="neutral")  # fmt: skip


_CHANGED = {
    "grew": "grew beyond chance",
    "shrank": "shrank beyond chance",
    "steady": "did not change beyond chance",
}


def slide_headline(moved: pd.DataFrame | None, currency: str) -> Headline:
    """The year's money of those who slid from a name in touch to one that drifts. In: `moves`."""
    name = "Worth a year of those who drifted away"
    if moved is None:
        return nothing(name, "money", "There is no earlier day to compare with.")
    slid = moved[moved.came_from.isin(IN_TOUCH) & moved.went_to.isin(DRIFTING)]
    back = moved[moved.came_from.isin(DRIFTING) & moved.went_to.isin(IN_TOUCH)]
    worth, spread = float(slid.worth.sum()), float(np.sqrt(slid.worth_squares.sum()))
    n, n_back, again = int(slid.n_customers.sum()), int(back.n_customers.sum()), back.worth.sum()
    if n and not worth and not again:
        return nothing(name, "money", f"{n:,} customers slid away and {n_back:,} came back; none "
                       f"of them had bought within the year before.")  # fmt: skip
    gap = worth - again
    wide = Z * np.sqrt(slid.worth_squares.sum() + back.worth_squares.sum())
    verdict = "act" if gap > wide else "good" if gap < -wide else "watch"
    largest = slid.sort_values("worth", ascending=False).head(1)
    most = f" Most of it went from {largest.came_from.iloc[0]} to {largest.went_to.iloc[0]}." \
        if n else ""  # fmt: skip
    told = {"act": "More was lost than came back", "good": "More came back than was lost",
            "watch": "What came back and what was lost cannot be told apart"}  # fmt: skip
    return Headline(
        name, worth, worth - Z * spread, worth + Z * spread, "money", n, verdict,
        f"{n:,} customers slid to {DRIFTING[0]}, {DRIFTING[1]} or lower; {n_back:,} came back, "
        f"worth {wording.as_text(again, 'money', currency)} a year. {told[verdict]}.{most} What to "
        f"do: write to those who slid with what they used to buy, the dearest first. Their money "
        f"of the past is no forecast.",
        higher_is="worse", currency=currency,
    )  # fmt: skip


def pace_headline(states: pd.DataFrame, pace: Pace) -> Headline:
    """How many of those who ever ordered still do at the usual pace. In: `migration.sizes`."""
    name = "Buyers within their usual span"
    count = states.set_index("life_cycle").n_customers
    n = int(count.reindex(STATES[1:]).sum())
    if not n:
        return nothing(name, "share", "Nobody has ordered yet.")
    inside = int(count.reindex(IN_PACE).sum())
    low, high = (float(end) for end in wilson(inside, n))
    cooling, lapsed = (int(count.get(state, 0)) for state in ("cooling", "lapsed"))
    rests = (
        f"{pace.n:,} customers ordered twice; four in five came back within {pace.usual_days} days"
        if not pace.assumed
        else f"Too few ordered twice, so {pace.usual_days} days are assumed"
    )
    return Headline(
        name, inside / n, low, high, "share", n, "watch",
        f"{rests}. {inside:,} of {n:,} buyers are within that; {cooling:,} are cooling and "
        f"{lapsed:,} silent for more than {pace.long_days} days. What to do: write to those who "
        f"cool, before they lapse.",
        higher_is="better",
    )  # fmt: skip


def change_headline(counts: pd.DataFrame) -> Headline:
    """How many segments grew or shrank beyond chance, and which most. In: `segments.count`."""
    name = "Segments that changed beyond chance"
    known = counts[counts.needs == ""]
    if "verdict" not in counts.columns:
        return nothing(name, "count", "There is no earlier day to compare with.")
    changed = known[known.verdict.isin(["grew", "shrank"])]
    weight = (changed.change.abs() / np.sqrt(changed.n_in + changed.n_out)).sort_values()
    parts = []
    for word in ("grew", "shrank"):
        those = changed[changed.verdict == word]
        most = those.loc[[i for i in weight.index[::-1] if i in those.index][:2]]
        if len(those):
            told = ", ".join(f"{row.title} ({signed(row.change)})" for row in most.itertuples())
            parts.append(f"{len(those)} {word}, most of all {told}")
    words = "; ".join(parts) or "none"
    return Headline(
        name, len(changed), None, None, "count", int(known.n_customers.max()),
        "watch" if len(changed) else "good",
        f"Of {len(known)} segments: {words}. Those that people only ever enter grow every week.",
    )  # fmt: skip


def stability_note(found: Stability | None) -> str:
    """How far scores move only because the cuts do."""
    if found is None:
        return "There is no earlier day to compare the cuts with."
    share = lambda value: wording.as_text(value, "share")  # noqa: E731
    return (
        f"The cuts follow the shop. Against the earlier ones, {share(1 - found.same_share)} of "
        f"{found.n:,} buyers change a score only because cuts moved (recency "
        f"{share(found.r_share)}, frequency {share(found.f_share)}, money {share(found.m_share)}), "
        f"and {share(found.name_share)} their name. Moves on this page use one set of cuts for "
        f"both days, so only people move."
    )


def catalogue_note(counts: pd.DataFrame, catalogue: Catalogue) -> str:
    """How much of the catalogue this shop can use, beside the published claim."""
    left_out = counts[counts.needs != ""]
    why = left_out.needs.value_counts()
    needs = "; ".join(f"{n} {'needs' if n == 1 else 'need'} {text}" for text, n in why.items())
    held = int((counts.n_customers >= wording.SMALL_GROUP).sum())
    return (
        f"{len(counts) - len(left_out)} of {len(catalogue)} segments can be counted here, "
        f"{held} of them hold {wording.SMALL_GROUP} customers or more; published offers speak of "
        f"{CLAIMED}. Sizes count every customer, so they have no sampling error; the range of a "
        f"change is what customers crossing by chance would make of it, and the verdict allows for "
        f"the many groups looked at." + (f" Left out: {needs}." if needs else "")
    )


def preview_note(found: Preview, currency: str) -> str:
    """What a predicate would select. In: `segments.preview`."""
    n = found.n_customers
    if found.needs:
        return f"{found.where}: needs {found.needs}, which this shop does not have."
    if 0 < n < wording.SMALL_GROUP:
        return f"{found.where}: fewer than {wording.SMALL_GROUP} customers."
    words = [
        f"{found.where}: {n:,.0f} customers ({wording.as_text(found.customer_share, 'share')})"
    ]
    for name in ("revenue", "margin"):
        share, amount = getattr(found, f"{name}_share"), getattr(found, name)
        if np.isfinite(share):
            words.append(f"{wording.as_text(share, 'share')} of the year's {name} "
                         f"({wording.as_text(amount, 'money', currency)})")  # fmt: skip
    return f"{', '.join(words)}."


def limits(now: Portrait, weeks_back: int) -> str:
    """What would change this answer, in sentences."""
    cuts = now.cuts.n if now.cuts else 0
    pace = now.pace
    assumed = " (assumed: too few ordered twice)" if pace and pace.assumed else ""
    span = f"{pace.usual_days} and {pace.long_days} days{assumed}" if pace else "no days"
    weeks = f"{weeks_back} week{'s' if weeks_back != 1 else ''}"
    return (
        f"Names come from cuts on {cuts:,} buyers and states from {span}: other cuts give other "
        f"sizes. What a group brings is what it brought in the last year, not what a message to "
        f"it would change: that is inferred from behaviour until a holdout measures it. A change "
        f"over {weeks} is weighed as if customers crossed by themselves; a campaign moves many at "
        f"once. Whoever has no order has no name."
    )
