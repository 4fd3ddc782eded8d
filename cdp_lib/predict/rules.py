"""The rules that a marketer would use instead of a model, as scores of the same customers.

A score orders customers, higher for likelier to have the outcome; what it means beyond that does
not matter. Whatever a rule has to learn, it learns from the training rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, at_least
from cdp_lib.customers.features import Feature
from cdp_lib.customers.value import fit_bgnbd, frequency_table
from cdp_lib.predict.ranking import auc_of
from cdp_lib.tables.purchases import of_customers

if TYPE_CHECKING:
    from cdp_lib.predict.frames import Frames
    from cdp_lib.predict.propensity import Propensity
    from cdp_lib.tables import Shop

KINDS = ("no model", "rule", "simple model", "model")
SILENT_DAYS = 120
SINCE = {"purchase": "days_since_order", "use_coupon": "days_since_order"}
LEAVING = ("app_remove", "push_off")
MOST_FITTED = 50_000


@dataclass(frozen=True)
class Candidate:
    """One way to choose whom to contact, and its score of each customer of a frame.

    name: in words. kind: "no model", "rule" (what one can do without a model of one's own),
    "simple model" or "model". score: a number a row, none missing.
    """

    name: str
    kind: str
    score: np.ndarray


@dataclass(frozen=True)
class Field:
    """Who races: the candidates, and by name why others do not."""

    candidates: tuple[Candidate, ...]
    left_out: dict[str, str]


def no_model(n: int) -> Candidate:
    """Everybody alike: a random order, whose figures are the expected ones."""
    return Candidate("no model", "no model", np.zeros(n))


def silence(days, limit_days: float = SILENT_DAYS, leaving: bool = True) -> Candidate:
    """The customers who did nothing for `limit_days`, as one group, and the others.

    days: days since the last action of each customer, missing for one who never acted (silent).
    leaving: whether the outcome is one of leaving, so that the silent have it.
    """
    at_least("limit_days", limit_days, 0)
    silent = ~(np.asarray(days, float) < limit_days)
    name = f"{limit_days:g} days of silence" if leaving else f"active in {limit_days:g} days"
    return Candidate(name, "rule", np.where(silent == leaving, 1.0, 0.0))


def best_number(
    train: pd.DataFrame, frame: pd.DataFrame, features: Iterable[Feature], label: str = "label"
) -> Candidate:
    """The one number, and its direction, that orders the training rows best (by AUC).

    features: number columns to choose from (say, all on recency); the rule is named after the
    meaning of the one chosen. A missing value stands above all. Raises Refusal where there is no
    column to choose from.
    """
    best, chosen = -np.inf, None
    y = train[label].to_numpy()
    for feature in features:
        rising = auc_of(y, _above_all(train[feature.name]))
        for direction, found in ((1, rising), (-1, 1 - rising)):
            if found > best:
                best, chosen = found, (feature, direction)
    if chosen is None:
        raise Refusal("features", None, "no number to order by", "give features on recency")
    feature, direction = chosen
    score = direction * _above_all(frame[feature.name])
    return Candidate(_first_come(feature, direction > 0), "rule", score)


def expected_orders(
    shop: Shop, customers: Iterable[str], cutoff, horizon_days: float, leaving: bool = False
) -> Candidate:
    """Orders that a BG/NBD model of all customers expects of each within the horizon.

    Fitted to the orders before the cutoff alone (of at most 50,000 customers, by seeded draw).
    A fit that ran to the edge (say, of nobody ever leaving) still orders customers. Who never
    ordered comes last. leaving: turns the order around, for an outcome of not buying. Raises
    Refusal as `fit_bgnbd` does.
    """
    shop.require("orders")
    table = frequency_table(of_customers(shop.orders), cutoff).execute().sort_values("customer_id")
    known = table
    if len(known) > MOST_FITTED:
        kept = np.random.default_rng(7).choice(len(known), MOST_FITTED, replace=False)
        known = known.iloc[np.sort(kept)]
    model = fit_bgnbd(known.frequency, known.recency, known.age)
    table = table.set_index("customer_id").reindex(list(customers))
    expected = np.full(len(table), -1.0)
    seen = table.frequency.notna().to_numpy()
    if seen.any():
        of = table[seen]
        expected[seen] = model.expected_orders(horizon_days, of.frequency, of.recency, of.age)
    return Candidate("expected orders (BG/NBD)", "rule", -expected if leaving else expected)


def field(
    frames: Frames,
    model: Propensity,
    shop: Shop | None = None,
    frame: pd.DataFrame | None = None,
    limit_days: float = SILENT_DAYS,
) -> Field:
    """All that race on the test rows of a shop's frames, or of a prepared table.

    frame: other rows to race on, all of one cutoff (None: the test rows). shop: for the expected
    orders of purchases. A rule whose column or table is lacking is left out, with the
    reason, and so is one that puts everybody on one side.
    """
    frame = frames.test if frame is None else frame
    outcome = frames.outcome
    leaving = outcome is not None and (not outcome.happens or outcome.event in LEAVING)
    found, left_out = [no_model(len(frame))], {}
    since = "days_since_visit" if outcome is None else SINCE.get(outcome.event, "days_since_visit")
    if outcome is None or since not in frame.columns:
        left_out[f"{limit_days:g} days of silence"] = f"needs {since}"
    else:
        rule = silence(frame[since], limit_days, leaving)
        if len(set(rule.score)) == 2:
            found.append(rule)
        else:
            side = "silent for" if (rule.score[:1] == leaving).all() else "active within"
            left_out[rule.name] = (
                f"everybody at risk was {side} {limit_days:g} days, so the rule tells nobody apart"
            )
    # A prepared table has no groups: any number of its own may be the rule.
    recency = [
        one for one in frames.features
        if (outcome is None or one.group == "recency")
        and pd.api.types.is_numeric_dtype(frames.train[one.name])
    ]  # fmt: skip
    if recency:
        found.append(best_number(frames.train, frame, recency))
    else:
        left_out["best single number"] = "needs a number among the features"
    if shop is not None and outcome is not None and outcome.event == "purchase":
        try:
            cutoff = pd.Timestamp(frame["cutoff"].iloc[0]).to_pydatetime()
            ids = frame["customer_id"]
            found.append(
                expected_orders(shop, ids, cutoff, outcome.horizon_days, not outcome.happens)
            )
        except Refusal as refusal:
            left_out["expected orders (BG/NBD)"] = str(refusal)
    if model.linear is not None:
        score = model.linear.margins(model.columns.matrix(frame))
        found.append(Candidate("logistic regression", "simple model", score))
    found.append(Candidate("the model", "model", model.predict(frame)))
    return Field(tuple(found), left_out)


def _first_come(feature: Feature, rising: bool) -> str:
    """Who comes first by a number, such as "most days since the last visit"."""
    meaning = feature.meaning.removeprefix("whole ")
    if meaning.startswith("days ") or feature.unit == "count":
        word = "most" if rising else "fewest"
    elif meaning.startswith("time "):
        word = "longest" if rising else "shortest"
    else:
        word = "highest" if rising else "lowest"
    return f"{word} {meaning}"


def _above_all(values: pd.Series) -> np.ndarray:
    number = values.to_numpy(float, na_value=np.nan)
    return np.where(np.isnan(number), np.inf, number)
