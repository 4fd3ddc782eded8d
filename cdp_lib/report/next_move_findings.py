"""Sentences and views of the next moves: what they are about, who asked, who got what.

Every function takes result tables and returns a `Headline`, a sentence or a smaller table; none of
them queries, and none names a person.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from cdp_lib.activate.exports import Export
from cdp_lib.activate.moves import REASONS
from cdp_lib.activate.outgoing import NotSent
from cdp_lib.activate.policy import Policy
from cdp_lib.normal import Z
from cdp_lib.report import wording
from cdp_lib.report.best_audience import BestAudience
from cdp_lib.report.findings import Headline, nothing
from cdp_lib.report.prospects import ForPlatforms, Prospects

REASON_WORDS = {
    "stopped": "stopped by its read-out",
    "ruled_out": "ruled out by another list",
    "no_permission": "no permission",
    "suppressed": "suppressed",
    "busy": "in an open experiment",
    "limit": "limit of messages",
    "lower_priority": "got another move",
}


def stake_headline(stakes: pd.DataFrame, currency: str) -> Headline:
    """The money at stake with likely churners who get a move this week.

    In: `next_moves.stakes`. The interval says how far chance decides who leaves; it takes the
    probabilities as right.
    """
    name = "At stake with those who get a move because they may leave"
    rows = stakes[stakes.worth.notna()]
    if rows.empty:
        return nothing(name, "money", "Nobody is both likely to leave and may be written to now.")
    n_calls = int((rows.audience == "service_recovery").sum())
    p, worth = rows.probability.to_numpy(float), rows.worth.to_numpy(float)
    value = float((p * worth).sum())
    half = Z * float(np.sqrt((p * (1 - p) * worth**2).sum()))
    return Headline(
        name=name, value=value, low=max(0.0, value - half), high=value + half, unit="money",
        n=len(rows), verdict="act",
        sentence=f"{_people(len(rows)).capitalize()} likely leavers get a move: "
        f"{_people(n_calls)} a call, since they had trouble, {_people(len(rows) - n_calls)} a "
        "message. That is margin which would "
        "go with them, inferred from their chance to leave; the holdouts will say what a move "
        "keeps of it.",
        higher_is="worse", currency=currency,
    )  # fmt: skip


def moves_headline(table: pd.DataFrame) -> Headline:
    """How many customers get a move, and how many were asked for more than once.

    In: `moves.matrix`.
    """
    name = "Customers with a next move"
    whole = table[table.audience == "all"].iloc[0]
    asked, got = int(whole.n_asked), int(whole.n_got)
    if not asked:
        return nothing(name, "count", "No list asks for anybody this week.")
    rows = table[table.audience != "all"]
    twice = int(rows.n_lower_priority.sum())
    none = asked - got
    text = (
        f"{_people(got).capitalize()} of {_people(asked)} customers whom a list asks for get one "
        f"move, and nobody gets two."
    )
    if twice:
        text += f" {_people(twice).capitalize()} wishes gave way to a list of higher priority."
    if none:
        lost = {r: int(rows[f"n_{r}"].sum()) for r in REASONS if r != "lower_priority"}
        most = max(lost, key=lambda reason: lost[reason])
        more = f", mostly for: {REASON_WORDS[most]}" if lost[most] else ""
        text += f" {_people(none).capitalize()} get none{more}."
    return Headline(
        name=name, value=got, low=None, high=None, unit="count", n=got,
        verdict="act" if got else "watch", sentence=text,
    )  # fmt: skip


def alike_headline(found: Prospects, currency: str) -> Headline:
    """What the first tenth of the prospects brings, in money."""
    name, one = "Expected of the first tenth of the prospects", found.one
    if one is None:
        return nothing(name, "money", f"No look-alikes: {found.why}.")
    row = found.lifts.set_index("seed").loc[found.seed]
    n = round(len(one.now) * 0.1)
    if not row.value_lift > 0 or not n:
        return nothing(name, "money", "Too few prospects bought to say what the first are worth.")
    value = row.margin_top * n
    low, high = (row.margin_all * row[f"value_lift_{end}"] * n for end in ("low", "high"))
    sure = row.value_lift_low > 1
    return Headline(
        name=name, value=value, low=low, high=high, unit="money", n=n,
        verdict="act" if sure else "cannot tell",
        sentence=f"Margin in {one.horizon_days} days from {_people(n)} of {_people(len(one.now))} "
        f"people without an order, those most like customers who {row.title.partition(':')[0]}. "
        f"In the last {one.horizon_days} days such a tenth brought {row.value_lift:.1f} times "
        f"({row.value_lift_low:.1f} to {row.value_lift_high:.1f}) as much a head as all prospects. "
        "It comes without a contact too: what one adds, the holdout will say.",
        higher_is="better", currency=currency,
    )  # fmt: skip


def best_headline(found: BestAudience, currency: str) -> Headline:
    """The best size of an audience, and on what it rests."""
    name, best = f"Best audience for {found.campaign.replace('_', ' ')}", found.best
    if best is None:
        return nothing(name, "money", found.why)
    every = wording.as_text(best.all_profit, "money", currency)
    if best.word == "nobody":
        text = f"Contact nobody: no size earns what it costs. Contacting everybody: {every}."
    else:
        text = (
            f"Contact {_people(best.n)} ({best.share:.0%}), the highest scores first. "
            f"Contacting everybody: {every}."
        )
    word = {"contact": "act" if best.source == "measured" else "watch", "nobody": "watch"}
    return Headline(
        name=name, value=best.profit, low=best.low, high=best.high, unit="money", n=None,
        verdict=word.get(best.word, "cannot tell"), sentence=f"{text} {found.why}",
        higher_is="better", currency=currency,
    )  # fmt: skip


def matrix_view(table: pd.DataFrame) -> pd.DataFrame:
    """`moves.matrix` in words, without counts of few people."""
    parts = ["n_got", *(f"n_{reason}" for reason in REASONS)]
    some = [name for name in parts if name == "n_got" or table[name].any()]
    shown = table[["audience", "title", "n_asked", *some]].copy()
    counts = _without_few(shown[["n_asked", *some]].astype(float))
    shown[counts.columns] = counts
    names = {f"n_{reason}": words for reason, words in REASON_WORDS.items()}
    shown["audience"] = shown.audience.str.replace("_", " ")
    return shown.rename(columns={"n_asked": "asked for", "n_got": "got it"} | names)


def asked_view(outcomes: pd.DataFrame) -> pd.DataFrame:
    """`moves.outcome_table` in words, without counts of few people, for the chart."""
    if outcomes.empty:
        return outcomes
    order = list(dict.fromkeys([*outcomes.asked, *outcomes.became]))
    grid = outcomes.pivot(index="asked", columns="became", values="n")
    grid = grid.reindex(index=outcomes.asked.unique(), columns=[c for c in order if c in grid])
    grid = _without_few(grid.fillna(0).astype(float))
    rows = grid.replace(0, np.nan).reset_index(names="asked")
    long = rows.melt("asked", var_name="became", value_name="n")
    words = {name: name.replace("_", " ") for name in order} | REASON_WORDS
    return long.assign(asked=long.asked.map(words), became=long.became.map(words))


def seed_view(found: Prospects, currency: str) -> pd.DataFrame:
    """Each seed in a row, as text with 95 % intervals: what its members bring afterwards, and how
    well their like are found."""
    if found.one is None:
        return found.quality
    table = found.quality.merge(found.lifts.drop(columns=["title", "n"]), "left", on="seed")

    def told(name: str, unit: str) -> list[str]:
        rows = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        return [wording.with_interval(*row, unit, currency) for row in rows]

    view = pd.DataFrame(
        {
            "They …": table.title,
            "Members": table.n,
            "Margin of each afterwards": told("margin", "money"),
            "Buy again": told("repeat", "share"),
            "Told apart (AUC)": told("auc", "number"),
            "Joined: first tenth over chance": told("lift", "number"),
            "Margin: first tenth over all": told("value_lift", "number"),
            "Used": table.seed == found.seed,
        }
    )
    return view[view.Members >= wording.SMALL_GROUP]


def lacking_note(moves_lacking: Mapping[str, str], found: Prospects) -> str:
    """Which lists and seeds this shop cannot make, and why."""
    every = {**moves_lacking, **(found.one.lacking if found.one else {"look-alikes": found.why})}
    if not every:
        return "Every list of the policy could be made, and every seed learned."
    said = [f"{name.replace('_', ' ')} ({why})" for name, why in every.items()]
    return f"Not available in this shop: {'; '.join(said)}."


def detectable_view(sent: Iterable[Export | NotSent]) -> pd.DataFrame:
    """What each audience will be able to show: the effect that four in five such waves find.

    Out: a row per audience with a holdout: audience, metric, detectable_value (a customer) and
    usual_value (what such a customer brings otherwise).
    """
    rows = [
        (one.name.replace("_", " "), one.metric, one.mde, one.usual)
        for one in sent
        if isinstance(one, Export) and one.n_holdout
    ]
    columns = ["audience", "metric", "detectable_value", "usual_value"]
    return pd.DataFrame(rows, columns=columns)


def recovery_note(called: pd.DataFrame, path, currency: str) -> str:
    """How long the list for customer care is, and what is at stake on it."""
    if called.empty:
        return "Nobody had trouble, may leave and is worth a call."
    stake = wording.as_text(float(called.at_risk.sum()), "money", currency)
    where = f" For your own eyes it lies beside this page as {path.name}." if path else ""
    return (
        f"{_people(len(called)).capitalize()} customers asked for help, sent goods back or met an "
        f"error in the last 30 days, may leave, and have {stake} of yearly margin at risk. Their "
        f"file for customer care holds reasons and what happened last.{where}"
    )


def platforms_note(found: ForPlatforms) -> str:
    """What the lists for advertising platforms hold."""
    if not found.sizes:
        return f"No list for advertising platforms: {found.why}."
    said = [f"{name.replace('_', ' ')}: {_people(n)}" for name, n in found.sizes.items()]
    more = f" Left out: {found.why}." if found.why else ""
    if found.consent != "ads":
        more += (
            f" The {found.consent} permission stands in for one to match people with platforms, "
            "which this shop does not record: ask whether it may."
        )
    return f"People in lists for advertising platforms, hashes alone: {'; '.join(said)}.{more}"


def limits(policy: Policy) -> str:
    """What would change this answer."""
    text = (
        "Another order in the policy gives other moves: the file says what the shop wants. "
        f"A customer gets at most {policy.most_messages} messages in {policy.per_days:g} days, and "
        f"none within {policy.quiet_days:g} of another. Lists read from behaviour are inferred; "
        "what each audience earns is measured by its holdout, and a read-out that says stop "
        "ends it here."
    )
    text += (
        " The order of prospects was learned from people who came to the shop by its channels of "
        "the time; after a new channel, look at the lift again."
    )
    return text


def _people(n: int) -> str:
    small = 0 < n < wording.SMALL_GROUP
    return f"fewer than {wording.SMALL_GROUP}" if small else f"{n:,}"


def _without_few(counts: pd.DataFrame) -> pd.DataFrame:
    """Counts of 1 to 9 people as null; and where one alone is hidden in a row or a column, the
    next smallest too, so that it cannot be had by subtraction."""
    values = counts.to_numpy(float).copy()
    hidden = (values > 0) & (values < wording.SMALL_GROUP)
    for _ in range(values.size):
        before = hidden.copy()
        for grid, mask in ((values, hidden), (values.T, hidden.T)):
            for line, gone in zip(grid, mask, strict=True):
                if gone.sum() == 1 and len(line) > 1:
                    left = np.where(gone | (line == 0), math.inf, line)
                    if np.isfinite(left).any():
                        gone[int(np.argmin(left))] = True
        if (hidden == before).all():
            break
    return pd.DataFrame(np.where(hidden, np.nan, values), counts.index, counts.columns)
