"""One question from end to end: who will, how sure we are, what it is worth, whom to contact, why.

A study holds a model of one outcome and its test customers, scored once. Each function here is one
section of a page: it takes the study and returns a plain table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import at_least
from cdp_lib.predict import drift, frames, race, rules, scoring, subgroups
from cdp_lib.predict.explain import explain, importance_table, point_table
from cdp_lib.predict.frame_set import Frames, typed
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.profit import Offer, profit_curve, profit_table
from cdp_lib.predict.propensity import Propensity, fit
from cdp_lib.predict.reasons import first_reason_table, reason_table
from cdp_lib.predict.sentinel import Sentinel, watch
from cdp_lib.tables import Shop

if TYPE_CHECKING:
    import shap

FEWEST_CONTACTED, MOST_CONTACTED = 0.01, 0.5  # of the customers; else a tenth is raced over
MOST_EXPLAINED = 4_000
REASONS = ("reason_1", "reason_2", "reason_3")
COUNTED = ("reason", "effect", "n_customers", "share")
GROUPINGS = ("last_device_type", "main_touchpoint", "gender", "main_category_bought", "has_account")


@dataclass(frozen=True, eq=False)
class Study:
    """A model of one outcome on a shop, and what it says of customers it has not seen.

    shop, outcome: the question. frames: the rows by role. model: fitted on all roles but the test.
    offer: what a contact costs and may keep. probability: of each row of `frames.test`. What is
    asked for twice is worked out once.
    """

    shop: Shop
    outcome: Outcome
    frames: Frames
    model: Propensity
    offer: Offer
    probability: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """The outcome of each test row, 0 or 1."""
        return self.frames.test["label"].to_numpy()

    @property
    def ids(self) -> np.ndarray:
        """The customer of each test row."""
        return self.frames.test["customer_id"].to_numpy()

    @property
    def usable(self) -> bool:
        """Whether the model ranks customers better than chance."""
        return self.model.verdict == "use"

    @property
    def leaving(self) -> bool:
        """Whether the outcome is one that the shop would rather prevent."""
        return not self.outcome.happens or self.outcome.event in rules.LEAVING

    @cached_property
    def at_risk_now(self) -> Table:
        """Everybody at risk at the end of the data, with their features, kept by the engine."""
        lookback = self.frames.lookback_days
        return frames.profile_at_risk(self.shop, self.outcome, self.shop.as_of, lookback).cache()

    @cached_property
    def now(self) -> pd.DataFrame:
        """Their probabilities: customer_id, probability."""
        parts = list(scoring.score(self.model, self.at_risk_now))
        empty = pd.DataFrame({"customer_id": [], "probability": np.array([], float)})
        return pd.concat(parts, ignore_index=True) if parts else empty

    @cached_property
    def field(self) -> rules.Field:
        """All that race on the test customers, and why others do not."""
        return rules.field(self.frames, self.model, self.shop)

    @cached_property
    def race(self) -> pd.DataFrame:
        """The model beside the rules on the test customers: `race.race_table`.

        With as many contacts as the best threshold makes, where that is a share worth comparing,
        else with a tenth.
        """
        chosen = (self.probability > self.offer.threshold()).mean()
        part = chosen if FEWEST_CONTACTED <= chosen <= MOST_CONTACTED else race.CONTACTED
        n_contacts = max(1.0, part * len(self.label))
        return race.race_table(self.label, self.field.candidates, n_contacts, self.ids)

    @cached_property
    def profits(self) -> pd.DataFrame:
        """What each way to choose would have earned on the test customers: `profit_table`.

        The last row is the best rule of the race, at its number of contacts.
        """
        rule = self.race[self.race.best_rule].iloc[0]
        score = next(c.score for c in self.field.candidates if c.name == rule.candidate)
        lists = {rule.candidate: first_of(score, rule.n_contacts)}
        return profit_table(self.label, self.probability, self.offer, lists=lists, ids=self.ids)

    @cached_property
    def explanation(self) -> shap.Explanation:
        """SHAP values of at most 4,000 test rows; see `explain.explain`."""
        rows = self.frames.test.iloc[:MOST_EXPLAINED]
        return explain(self.model, rows, background=self.frames.train)


@dataclass(frozen=True)
class Reading:
    """What the model looks at: `importance` as of `explain.importance_table`, `points` as of
    `explain.point_table`. Both are empty for a model that gives everybody one probability."""

    importance: pd.DataFrame
    points: pd.DataFrame


def study(
    shop: Shop,
    outcome: Outcome,
    seed: int = 7,
    cap: int = 200_000,
    margin: float | None = None,
    **costs: float,
) -> Study:
    """Build frames, fit a model and score the test customers.

    cap: about the most rows to learn from. margin: money that one changed outcome is worth; None
    takes `margin_of` the shop's own customers. costs: further fields of `Offer`. Raises Refusal as
    `frames.from_shop` does, above all where the history is too short.
    """
    offer = Offer(**costs) if margin is None else Offer(margin=margin, **costs)
    rows = frames.from_shop(shop, outcome, cap=cap, seed=seed)
    model = fit(rows, seed=seed)
    if margin is None:
        offer = replace(offer, margin=margin_of(rows))
    return Study(shop, outcome, rows, model, offer, model.predict(rows.test))


def margin_of(rows: Frames) -> float:
    """The money that one outcome is about, from the training customers; 1 where none is known.

    A purchase or a used coupon: the margin of an average order of the year before. Anything else:
    the margin of an average customer's year. Where a shop has no costs, revenue stands for margin.
    """
    name = "margin_365d" if "margin_365d" in rows.names else "revenue_365d"
    if name not in rows.names:
        return 1.0
    earned = float(rows.train[name].sum())
    bought = rows.outcome is not None and rows.outcome.happens
    if bought and rows.outcome.event in ("purchase", "use_coupon"):
        per = float(rows.train["orders_365d"].sum()) if "orders_365d" in rows.names else 0.0
    else:
        per = float(len(rows.train))
    return round(earned / per, 2) if per and earned > 0 else 1.0


def curve(one: Study) -> pd.DataFrame:
    """Profit by threshold on the test customers; columns of `profit_curve`."""
    return profit_curve(one.label, one.probability, one.offer, ids=one.ids)


def weekly_race(one: Study, n_weeks: int = 4) -> pd.DataFrame:
    """The race in each of the last weeks whose label window is over, on the test customers.

    Out: the columns of `race.race_by_cutoff`. Nobody of these customers was learned from, in
    whichever week.
    """
    at_least("n_weeks", n_weeks, 1)
    weeks = [one.frames.cutoffs.test - timedelta(weeks=back) for back in range(1, n_weeks)]
    parts = [one.frames.test]
    parts += [frames.frame_at(one.shop, one.frames, cutoff) for cutoff in weeks]
    parts = [part for part in parts if len(part)]
    scores: dict[tuple[str, str], list[np.ndarray]] = {}
    for part in parts:
        for candidate in rules.field(one.frames, one.model, one.shop, part).candidates:
            scores.setdefault((candidate.name, candidate.kind), []).append(candidate.score)
    field = [
        rules.Candidate(*key, np.concatenate(found))
        for key, found in scores.items()
        if len(found) == len(parts)
    ]
    rows = pd.concat([p[["label", "cutoff", "customer_id"]] for p in parts], ignore_index=True)
    return race.race_by_cutoff(rows.label, field, rows.cutoff, ids=rows.customer_id)


def drift_table(one: Study) -> pd.DataFrame:
    """How features and scores have shifted from the newest training cutoff to now.

    Out: the columns of `drift.drift_table`; weight is a feature's share of the model.
    """
    then = one.frames.train[one.frames.train["cutoff"] == one.frames.train["cutoff"].max()]
    now = _sample(one.at_risk_now, one.frames, MOST_EXPLAINED)
    weights = reading(one).importance.set_index("feature")["share"]
    score = (one.model.predict(then), one.model.predict(now))
    return drift.drift_table(then, now, one.frames.names, score, weights)


def reading(one: Study) -> Reading:
    """What moves the probabilities of the test customers."""
    if not one.usable:
        columns = ["feature", "meaning", "group", "mean_abs", "share", "direction"]
        points = ["feature", "meaning", "rank", "contribution"]
        return Reading(pd.DataFrame(columns=columns), pd.DataFrame(columns=points))
    known, found = one.frames.features, one.explanation
    return Reading(importance_table(found, known), point_table(found, known))


def suspects(one: Study) -> Sentinel:
    """Features that may know the outcome; see `sentinel.watch`."""
    return watch(one.frames.train, features=one.frames.names, ids=one.frames.train["customer_id"])


def group_checks(one: Study) -> pd.DataFrame:
    """Predicted beside observed in groups of test customers; see `subgroups.subgroup_table`."""
    test = one.frames.test
    names = [n for n in GROUPINGS if n in test and test[n].nunique() <= subgroups.MOST_LEVELS]
    groups = test[names] if names else pd.Series("all", index=test.index)
    return subgroups.subgroup_table(one.label, one.probability, groups, one.ids)


@dataclass(frozen=True)
class Listed:
    """Whom to contact. table: a row per customer, the likeliest first: customer_id, probability,
    value_at_stake (the probability times the offer's margin), reason_1 to reason_3 (words).
    reasons: how often each first reason comes up, as of `reasons.first_reason_table`."""

    table: pd.DataFrame
    reasons: pd.DataFrame


def scored_list(one: Study, most: int = 10_000) -> Listed:
    """The customers at risk now whom a contact pays for, with reasons; at most `most`."""
    at_least("most", most, 1)
    chosen = one.now[one.now.probability > one.offer.threshold()]
    chosen = chosen.sort_values(["probability", "customer_id"], ascending=[False, True]).head(most)
    if chosen.empty or not one.usable:
        columns = ["customer_id", "probability", "value_at_stake", *REASONS]
        return Listed(pd.DataFrame(columns=columns), pd.DataFrame(columns=COUNTED))
    table, known = one.at_risk_now, one.frames.features
    wanted = table.filter(table.customer_id.isin(chosen.customer_id.tolist())).to_pandas()
    wanted = wanted.set_index("customer_id").loc[chosen.customer_id].reset_index()
    found = explain(one.model, typed(wanted, one.frames.columns), background=one.frames.train)
    words = "the risk" if one.leaving else "the chance"
    ids = wanted["customer_id"].tolist()
    rows = reason_table(found, known, ids, words, currency=one.shop.currency)
    rows.insert(1, "probability", chosen.probability.to_numpy())
    rows.insert(2, "value_at_stake", rows.probability * one.offer.margin)
    return Listed(rows, first_reason_table(found, known))


def first_of(score: np.ndarray, n_contacts: float) -> np.ndarray:
    """The chance of each row to be among the first `n_contacts` by score; ties share alike."""
    falling = np.sort(score)[::-1]
    last = falling[min(len(score), max(1, int(np.ceil(n_contacts)))) - 1]
    left = (n_contacts - (score > last).sum()) / (score == last).sum()
    return np.where(score > last, 1.0, np.where(score == last, np.clip(left, 0, 1), 0.0))


def _sample(table: Table, rows: Frames, most: int) -> pd.DataFrame:
    n = int(table.count().execute())
    if n > most:
        bound = f"{int(most / n * 16**8):08x}"
        table = table.filter(table.customer_id.hexdigest("sha256") < bound)
    return typed(table.to_pandas(), rows.columns)
