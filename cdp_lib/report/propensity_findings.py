"""Sentences and verdicts on a propensity, computed from a study's tables.

Every function takes result tables (or the study that holds them) and returns a `Headline`, a
sentence or a smaller table; none of them queries.
"""

import math
from collections.abc import Iterable

import pandas as pd

from cdp_lib.customers.features import Feature
from cdp_lib.predict.drift import drift_verdict
from cdp_lib.predict.outcome import Outcome, default_horizon
from cdp_lib.predict.profit import Offer
from cdp_lib.predict.race import race_verdict
from cdp_lib.predict.sentinel import Sentinel
from cdp_lib.predict.study import Study
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing
from cdp_lib.report.tables_html import hide_small
from cdp_lib.tables import Shop

GOOD_ECE = 0.02
MEASURES = {
    "auc": "Order (AUC: 0.5 is chance, 1 is perfect)",
    "pr_auc": "Precision over all lists (PR-AUC)",
    "brier": "Squared error (Brier)",
    "log_loss": "Log loss",
    "ece": "Calibration error (ECE)",
    "ece_floor": "… of which chance alone explains",
    "calibration_slope": "Calibration slope (1 is right)",
    "calibration_intercept": "Calibration intercept (0 is right)",
}


def use_headline(one: Study, scores: pd.DataFrame) -> Headline:
    """Use the model, use the rule, or cannot tell. In: the study and `evaluate.score_table`."""
    name, auc = "How well the model orders customers", scores.set_index("measure").loc["auc"]
    if not one.usable:
        needed = one.model.n_needed
        more = f" It needs about {needed:,} customers with the outcome." if needed else ""
        return nothing(name, "number", f"Cannot tell: {one.model.reason}{more}")
    verdict = race_verdict(one.race)
    words = {"use the model": "act", "use the rule": "watch", "cannot tell": "cannot tell"}
    return Headline(
        name=name,
        value=auc.value,
        low=auc.low,
        high=auc.high,
        unit="number",
        n=int(auc.n),
        verdict=words[verdict.word],
        sentence=f"{verdict.sentence} The outcome: {one.outcome.name}, among {one.outcome.who}. "
        f"{_won(one)}",
        higher_is="better",
    )


def money_headline(one: Study) -> Headline:
    """What contacting those above the best threshold earns, for everybody at risk now.

    The profit on the test customers, put to the number at risk now.
    """
    name = "Earned by contacting those it pays for"
    if not one.usable:
        return nothing(name, "money", "Without a usable model there is no threshold to work with.")
    table = one.profits.set_index("policy")
    best, half, everyone = (table.loc[p] for p in ("best threshold", "threshold 0.5", "everyone"))
    rule = table.iloc[-1]
    scale = len(one.now) / max(1, len(one.label))
    n_above = int((one.now.probability > one.offer.threshold()).sum())
    shown = {k: _money(one, r.profit * scale) for k, r in
             {"half": half, "all": everyone, "rule": rule}.items()}  # fmt: skip
    if not math.isfinite(one.offer.threshold()) or n_above == 0:
        sentence = (
            f"Contact nobody: with these costs a contact pays only above a probability of "
            f"{wording.as_text(one.offer.threshold(), 'share')}, and nobody at risk now is there."
            if math.isfinite(one.offer.threshold())
            else "Contact nobody: a contact costs more than it can keep."
        )
    else:
        sentence = (
            f"Contact the {n_above:,} of {len(one.now):,} customers at risk now who are above "
            f"{wording.as_text(one.offer.threshold(), 'share')}. The usual threshold of 50% would "
            f"earn {shown['half']}, everyone {shown['all']}, {rule.name} {shown['rule']}."
        )
    return Headline(
        name=name,
        value=best.profit * scale,
        low=best.low * scale,
        high=best.high * scale,
        unit="money",
        n=len(one.now),
        verdict="act" if best.low > 0 else ("watch" if best.high > 0 else "cannot tell"),
        sentence=f"{sentence} {assumption(one.offer, one.shop.currency)}",
        higher_is="better",
        currency=one.shop.currency,
    )


def risk_headline(one: Study) -> Headline:
    """How many of those at risk now will have the outcome, by the model's probabilities."""
    n, what = len(one.now), one.outcome.name
    name = "Expected share that will leave" if one.leaving else "Expected share that will do it"
    if not n:
        return nothing(name, "share", "Nobody is at risk at the end of the data.")
    share = float(one.now.probability.mean())
    before = float(one.label.mean())
    return Headline(
        name=name,
        value=share,
        low=None,
        high=None,
        unit="share",
        n=n,
        verdict="watch",
        sentence=f"Expected: {share * n:,.0f} of {n:,} customers ({what}). It was "
        f"{wording.as_text(before, 'share')} in the window tested.",
        higher_is="worse" if one.leaving else "neutral",
    )


def calibration_headline(one: Study, scores: pd.DataFrame) -> Headline:
    """Whether a probability means what it says. In: the study and `evaluate.score_table`."""
    if not one.usable:
        sentence = "Everybody is given the base rate: there is nothing to calibrate."
        return nothing("Calibration error", "share", sentence)
    table = scores.set_index("measure")
    ece, slope, floor = table.loc["ece"], table.loc["calibration_slope"], table.loc["ece_floor"]
    fine = ece.value <= max(GOOD_ECE, 2 * floor.value)
    told = "mean what they say" if fine else "are off: read them as an order, not as chances"
    return Headline(
        name="Calibration error",
        value=ece.value,
        low=ece.low,
        high=ece.high,
        unit="share",
        n=int(ece.n),
        verdict="good" if fine else "watch",
        sentence=f"The probabilities {told}: off by {wording.as_text(ece.value, 'share')} on "
        f"average, of which chance alone explains {wording.as_text(floor.value, 'share')}; slope "
        f"{slope.value:.2f} (1 is right).",
        higher_is="worse",
    )


def drift_headline(one: Study, table: pd.DataFrame) -> Headline:
    """Whether customers are still those the model learned from. In: `study.drift_table`."""
    if not one.usable:
        sentence = "No model is in use, so none can grow old."
        return nothing("Shift of the scores since training (PSI)", "number", sentence)
    found = drift_verdict(table)
    score = table[table.feature == "(score)"].iloc[0]
    words = {"steady": "good", "watch": "watch", "retrain": "act"}
    return Headline(
        name="Shift of the scores since training (PSI)",
        value=score.psi,
        low=None,
        high=None,
        unit="number",
        n=int(score.n_now),
        verdict=words[found.verdict],
        sentence=found.sentence,
        higher_is="worse",
    )


def leak_note(found: Sentinel) -> str:
    """What the leak sentinel says, with its question."""
    names = found.suspects
    if not names:
        return f"Leak check: {found.sentence}"
    listed = ", ".join(names)
    return f"Leak check: {found.sentence} Ask of {listed}: is this known before the outcome?"


def question_note(shop: Shop, question: Outcome) -> str:
    """What is predicted of whom, and where the horizon comes from when it is the shop's own."""
    asked = f"Forecast for {question.who}: {question.name}."
    if question.happens or question.event not in ("purchase", "visit"):
        return asked
    found = default_horizon(shop, question.event)
    return f"{asked} {found.sentence}" if found.days == question.horizon_days else asked


def group_view(table: pd.DataFrame, features: Iterable[Feature]) -> pd.DataFrame:
    """The columns of a subgroup table that people read; small groups are left out."""
    known = {feature.name: feature.meaning for feature in features}
    shown = pd.concat(hide_small(part, "n") for _, part in table.groupby("grouping", sort=False))
    columns = ["n", "predicted", "observed", "low", "high", "verdict"]
    words = shown.grouping.map(known).fillna(shown.grouping)
    return pd.DataFrame({"by": words, "group": shown.group, **{c: shown[c] for c in columns}})


def meanings(one: Study) -> dict[str, str]:
    """The words of each feature, by name."""
    return {feature.name: feature.meaning for feature in one.frames.features}


def measure_table(scores: pd.DataFrame) -> pd.DataFrame:
    """The measures in words. In: `evaluate.score_table`. Out: measure, value, low, high."""
    table = scores.assign(measure=scores.measure.map(MEASURES))
    return table[["measure", "value", "low", "high"]]


def race_view(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a race that people read."""
    columns = ["candidate", "auc", "n_contacts", "caught", "precision", "precision_low",
               "precision_high", "gain", "gain_low", "gain_high"]  # fmt: skip
    return table[columns]


def weekly_view(table: pd.DataFrame) -> pd.DataFrame:
    """The model and the best rule of each week: week_start, what each caught, the verdict."""
    rows = []
    for cutoff, part in table.groupby("cutoff"):
        model, rule = part[part.kind == "model"].iloc[0], part[part.best_rule].iloc[0]
        rows.append(
            {
                "cutoff": pd.Timestamp(cutoff).date(),
                "n_contacts": round(model.n_contacts),
                "caught_by_model": model.caught,
                "best_rule": rule.candidate,
                "caught_by_rule": rule.caught,
                "verdict": model.verdict,
            }
        )
    return pd.DataFrame(rows)


def profit_view(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a profit table that people read."""
    return table[["policy", "threshold", "n_contacts", "profit", "low", "high", "lost"]]


def assumption(offer: Offer, currency: str) -> str:
    """The costs that a profit rests on, in one sentence."""
    amounts = (offer.contact_cost, offer.margin, offer.incentive_cost)
    cost, margin, given = (wording.as_text(one, "money", currency) for one in amounts)
    saved = wording.as_text(offer.saved_share, "share")
    extra = f", an incentive of {given}" if offer.incentive_cost else ""
    return (
        f"Assumed, not measured: a contact costs {cost}{extra}, changes {saved} of those it is "
        f"right for, and is then worth {margin}. Hold some out at random to measure it."
    )


def limits(one: Study) -> str:
    """What would change this answer, in sentences."""
    left = [f"{name}: {why}" for name, why in one.field.left_out.items()]
    parts = [
        "A probability says who will, not whom a contact would change: only a holdout tells that.",
        "What moves the model is not what causes the outcome.",
        f"Tested on {len(one.label):,} customers the model never saw, at the newest window that "
        f"is over ({one.frames.cutoffs.test:%Y-%m-%d}).",
        *one.model.warnings,
    ]
    undated = [f.name for f in one.frames.features if not f.dated]
    if undated:
        parts.append(
            f"{len(undated)} attributes carry no date, so they are as of the end of the data: "
            f"{', '.join(undated[:5])}{' and others' if len(undated) > 5 else ''}."
        )
    if left:
        parts.append(f"Not raced: {'; '.join(left)}.")
    return " ".join(parts)


def _won(one: Study) -> str:
    words = {
        "xgboost": "boosted trees won",
        "logistic": "a logistic regression won",
        "average": "the average of boosted trees and a logistic regression won",
    }
    return f"Chosen on an earlier cutoff: {words[one.model.winner]}."


def _money(one: Study, amount: float) -> str:
    return wording.as_text(amount, "money", one.shop.currency)
