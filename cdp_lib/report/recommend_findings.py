"""Sentences, headlines and tables on recommendations, computed from a study of them.

Every function takes the study or one of its tables; none of them queries. What is said of value
was read from behaviour: it is inferred, and an upper bound of what lists can bring.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from cdp_lib.activate.recommend import Study
from cdp_lib.activate.recommend_family import TITLES
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing

CLAIM = "Recommendations bring 31% of the revenue of e-commerce"
CLAIMED_SHARE = 0.31
SOUGHT = 0.1  # of what a customer brings
MEASURES = {
    "recall": ("Purchases foreseen (recall)", "share"),
    "ndcg": ("Order (NDCG)", "number"),
    "value_rate": ("Share of money", "share"),
    "novelty": ("Novelty (bits)", "number"),
}


def question_note(one: Study) -> str:
    """What was learnt from, what it was judged on, and what lists may hold."""
    fitted, offer = one.tested, one.now.goods
    kept = wording.as_text(offer.kept_share, "share")
    again = wording.as_text(one.rebuy_share, "share")
    owned = (
        "lists may hold what a customer has"
        if one.owned == "keep"
        else "lists leave out what a customer has"
    )
    return (
        f"{len(offer):,} articles ({kept} of all lines sold) and {len(one.now.seen):,} customers. "
        f"Judged on what {len(one.later.rows):,} customers bought in the {one.horizon_days:g} days "
        f"from {fitted.as_of:%Y-%m-%d}, by lists made before. {again} of later purchases are of "
        f"articles that the customer had bought before, so {owned}."
    )


def answer_headline(one: Study) -> Headline:
    """The share of the window's money that went to articles on the buyer's list of five."""
    name = "Money spent on articles that stood on the list"
    table = one.judged.set_index("family")
    best, base = table.loc["blend"], table.loc["popular"]
    if not best.n_customers or not math.isfinite(best.value_rate):
        return nothing(name, "share", "Nobody who was known before bought anything to judge by.")
    plain = wording.as_text(base.value_rate, "share")
    word = {"yes": "act", "no": "watch"}.get(best.beats, "cannot tell")
    told = {
        "act": "The lists foresee more than what sells best; try them against it",
        "watch": "The lists foresee no more than what sells best; show that instead",
    }.get(word, "The lists may foresee no more than what sells best")
    return Headline(
        name=name,
        value=best.value_rate,
        low=best.value_rate_low,
        high=best.value_rate_high,
        unit="share",
        n=int(best.n_customers),
        verdict=word,
        sentence=f"{told}. Of all money spent in the window this went to articles among the five "
        f"listed to their buyer; of a list of what sells best: {plain}. Inferred, and an upper "
        "bound of what the lists bring: most would have been bought anyway.",
        higher_is="better",
    )


def recall_headline(one: Study) -> Headline:
    """The share of a customer's purchases that stood on the list of five."""
    table = one.judged.set_index("family")
    best, base = table.loc["blend"], table.loc["popular"]
    name = "Purchases foreseen by a list of five"
    if not best.n_customers:
        return nothing(name, "share", "No purchase to judge by.")
    single = table.drop(index="blend").recall
    top, over = single.idxmax(), best.recall - single.max()
    over_text = wording.change_as_text(over, "share")
    return Headline(
        name=name,
        value=best.recall,
        low=best.recall_low,
        high=best.recall_high,
        unit="share",
        n=int(best.n_customers),
        verdict="good" if best.beats == "yes" else "cannot tell",
        sentence=f"What sells best: {wording.as_text(base.recall, 'share')}. The best single "
        f"family is {TITLES[top].lower()} with {wording.as_text(single.max(), 'share')} "
        f"({over_text} by blending).",
        higher_is="better",
    )


def money_headline(one: Study, currency: str = "") -> Headline:
    """The same share in money a week."""
    name = "Spent a week on articles that stood on the list"
    best = one.judged.set_index("family").loc["blend"]
    if not best.n_customers or not math.isfinite(best.value_rate):
        return nothing(name, "money", "No money was spent in the window.")
    weekly = one.later.all_value * 7 / one.horizon_days
    rest = wording.as_text(weekly, "money", currency)
    return Headline(
        name=name,
        value=best.value_rate * weekly,
        low=best.value_rate_low * weekly,
        high=best.value_rate_high * weekly,
        unit="money",
        n=int(best.n_customers),
        verdict="watch",
        sentence=f"Of {rest} a week in orders of known customers. Not what the lists earn: that is "
        "told by an experiment.",
        higher_is="neutral",
        currency=currency,
    )


def family_view(table: pd.DataFrame) -> pd.DataFrame:
    """A row per family, the best first: its measures, each with its 95 % interval, as text, and
    whether it beats what sells best."""
    table = table.sort_values("recall", ascending=False, kind="stable")
    shown = {"Family": table.family.map(TITLES).to_numpy()}
    shown["Beats popularity"] = table.beats.replace("", "is it").to_numpy()
    for measure, (heading, unit) in MEASURES.items():
        rows = zip(*(table[f"{measure}{end}"] for end in ("", "_low", "_high")), strict=True)
        shown[heading] = [wording.with_interval(*row, unit) for row in rows]
    shown["Articles on a list"] = [wording.as_text(one, "share") for one in table.coverage_rate]
    return pd.DataFrame(shown)


def other_chart_of(one: Study) -> tuple[pd.DataFrame, str]:
    """The table of the task that the lists do not serve, and what it shows."""
    if one.owned == "leave out":
        return one.any, "Any article, bought before or not, foreseen by a list of five"
    return one.new, "Articles not bought before, foreseen by a list of five"


def family_note(table: pd.DataFrame) -> str:
    """Which families do not beat what sells best."""
    told = []
    for word, text in (("no", "do not beat what sells best"), ("cannot tell", "may not beat it")):
        names = [TITLES[name].lower() for name in table.family[table.beats == word]]
        if names:
            told.append(f"{', '.join(names)} {text}")
    n = int(table.n_customers.max()) if len(table) else 0
    if not told:
        return f"Every family beats what sells best, over {n:,} customers."
    return f"Over {n:,} customers: {'; '.join(told)}. A family may still help in the blend."


def kind_note(one: Study) -> str:
    """Which collaborative family was chosen."""
    how = one.now.families["together"].how
    return (
        f"The collaborative family is the {how}: of {len(one.kinds)} tried, it foresaw most new "
        "purchases of an earlier window."
    )


def coverage_view(one: Study, listed: pd.DataFrame) -> pd.DataFrame:
    """What is known of the customers on the lists: known, n_customers, share_with_list,
    articles_each."""
    seen = one.now.seen
    bought = np.diff(seen.bought.indptr) > 0
    kind = np.where(bought, "bought before", np.where(seen.cold, "nothing yet", "looked only"))
    sizes = listed.groupby("customer_id").size().reindex(seen.customers).fillna(0).to_numpy()
    rows = []
    for name in ("bought before", "looked only", "nothing yet"):
        mine = sizes[kind == name]
        rows.append(
            {
                "known": name,
                "n_customers": len(mine),
                "share_with_list": float((mine > 0).mean()) if len(mine) else math.nan,
                "articles_each": float(mine.mean()) if len(mine) else math.nan,
            }
        )
    return pd.DataFrame(rows)


def first_view(listed: pd.DataFrame) -> pd.DataFrame:
    """By which family the articles on the lists stand highest: family, n_customers (who see
    it first), share_of_first, share_of_places."""
    first = listed[listed["rank"] == 1]
    table = pd.DataFrame({"family": list(TITLES)[:-1]})
    table["n_customers"] = table.family.map(first.family.value_counts()).fillna(0).astype(int)
    table["share_of_first"] = table.n_customers / max(len(first), 1)
    table["share_of_places"] = table.family.map(listed.family.value_counts(normalize=True)).fillna(
        0
    )
    table["family"] = table.family.map(TITLES)
    table = table[table.share_of_places > 0]
    return table.sort_values("share_of_places", ascending=False, kind="stable", ignore_index=True)


def claim_table(one: Study) -> pd.DataFrame:
    """What vendors publish beside this shop's upper bound."""
    best = one.judged.set_index("family").loc["blend"]
    row = {"claim": CLAIM, "published_share": CLAIMED_SHARE}
    row |= {f"own_share{end}": best[f"value_rate{end}"] for end in ("", "_low", "_high")}
    return pd.DataFrame([row | {"basis": "inferred; an upper bound"}])


def shown_note(seen: pd.DataFrame, days: float) -> str:
    """What is left out since a message has just shown it. In: `shown.just_shown`."""
    n = seen.customer_id.nunique()
    if not n:
        return f"No message that left in the last {days:g} days showed a product."
    few = n < wording.SMALL_GROUP
    told = f"fewer than {wording.SMALL_GROUP}" if few else f"{n:,}"
    return (
        f"What messages of the last {days:g} days showed to {told} customers is not recommended to "
        "them again."
    )


def list_note(listed: pd.DataFrame, path: Path | None) -> str:
    """How long the lists are, where they lie, and how they leave."""
    n, places = listed.customer_id.nunique(), int(listed["rank"].max()) if len(listed) else 0
    where = f" They are in {path.name} beside this page." if path else " No file was written."
    return (
        f"{n:,} customers have a list of up to {places} articles.{where} To send them, hand the "
        "table to an audience with columns for the articles: it carries a holdout, and the next "
        "report says what it earned."
    )


def experiment_note(n: int, effect: float, mean: float, currency: str = "") -> str:
    """What an experiment on all listed customers could show in a week."""
    if not math.isfinite(effect):
        return (
            "To measure the lists, show them to a half drawn at random, and what sells best to "
            "the other. The shop's past is too short to say what that could show."
        )
    found = wording.as_text(effect, "money", currency)
    usual = wording.as_text(mean, "money", currency)
    # The error of a mean over weeks falls with their root.
    weeks = math.ceil((effect / (SOUGHT * mean)) ** 2) if mean > 0 else 0
    return (
        f"To measure the lists, show them to a half of the {n:,} customers, drawn at random, and "
        f"what sells best to the other. A week of it would find a difference of {found} a "
        f"customer, where a customer brings {usual} now, in four cases of five. To find a tenth of "
        f"that takes about {weeks:,} weeks."
    )


def limits(one: Study) -> str:
    """What would change this answer."""
    offer, parts = one.now.goods, []
    parts.append(
        "Only an experiment tells what a list changes: lists are judged by what people bought "
        "without being shown them."
    )
    parts.append(
        f"The judgement is of one window of {one.horizon_days:g} days; a season or a sale in it "
        "would tilt it."
    )
    for n, words in (
        (offer.n_unpriced, "without a price"),
        (offer.n_out_of_stock, "out of stock"),
        (offer.n_at_a_loss, "that cost as much as they bring"),
    ):
        if n:
            parts.append(f"{n:,} articles {words} are never listed.")
    if offer.n_left_out:
        parts.append(f"{offer.n_left_out:,} articles that few buy were left out.")
    parts.append(
        "What was shown lately is left out only where the shop says what was shown. A price made "
        "for one customer is no part of any list."
    )
    return " ".join(parts)
