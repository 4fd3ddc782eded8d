"""Reason codes: why a customer's probability is high or low, in words.

Features of one group make one reason, so that five ways to say "long ago" are not five reasons.
The words are of the model's reasoning, not of causes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, at_least
from cdp_lib.customers.features import Feature
from cdp_lib.predict.calibration import expit
from cdp_lib.predict.explain import contributions, groups_of, shown_values
from cdp_lib.tables.currency import symbol

if TYPE_CHECKING:
    import shap

NEGLIGIBLE = 0.05  # of the sum of a customer's absolute contributions; below it nothing is said
LONG_DAYS = 14
_LONGEST = 60
_SINCE = re.compile(r"^(?:whole )?days since (.+)$")


def reason_table(
    explanation: shap.Explanation,
    features: Sequence[Feature],
    ids: Sequence[str],
    outcome_words: str = "the risk",
    top: int = 3,
    currency: str = "",
) -> pd.DataFrame:
    """The strongest reasons of each customer, in words.

    ids: the customer of each explained row. outcome_words: what is raised or lowered, such as
    "the chance of an order". currency: of money, a code such as EUR. Out: a row per explained
    row, in order: customer_id, reason_1 to reason_<top>; None where no further reason is worth
    saying. A group's contribution is the sum of its features'; the words are those of the feature
    that moves most in the direction of that sum. A group below 5 % of the sum of the customer's
    absolute contributions is left out. Values from data come as plain text, not escaped.
    """
    at_least("top", top, 1)
    n = len(contributions(explanation))
    if len(ids) != n:
        raise Refusal("ids", len(ids), f"not one for each of {n} rows",
                      "pass the ids of the explained rows")  # fmt: skip
    group, strongest, sign = _strongest(explanation, features, top)
    known = {feature.name: feature for feature in features}
    told = [known[name] for name in explanation.feature_names]
    shown = [shown_values(explanation, place) for place in range(len(told))]
    columns: dict[str, Sequence] = {"customer_id": np.asarray(ids, dtype=object)}
    for rank in range(group.shape[1]):
        columns[f"reason_{rank + 1}"] = [
            sentence(told[place], shown[place][row], way > 0, outcome_words, currency)
            if place >= 0
            else None
            for row, (place, way) in enumerate(zip(strongest[:, rank], sign[:, rank], strict=True))
        ]
    table = pd.DataFrame(columns)
    for rank in range(group.shape[1], top):
        table[f"reason_{rank + 1}"] = None
    said = [name for name in table.columns if name != "customer_id"]
    return table.astype(dict.fromkeys(said, object)).where(table.notna(), None)


def waterfall_table(
    explanation: shap.Explanation, features: Sequence[Feature], top: int = 8, currency: str = ""
) -> pd.DataFrame:
    """How one customer's log odds come about, step by step: for the lab, since it is a person.

    explanation: of one row, such as `explanation[3]`. Out: a row per step: words ("the average
    customer" first, then the strongest features with their values, then "all other features", then
    "this customer"), contribution (log odds; the first and the last are log odds themselves),
    probability (after the step). Raises Refusal for more or fewer than one row.
    """
    at_least("top", top, 1)
    values = contributions(explanation)
    if len(values) != 1:
        raise Refusal("explanation", len(values), "rows, not one", "pass explanation[i]")
    known = {feature.name: feature for feature in features}
    order = np.argsort(-np.abs(values[0]), kind="stable")
    base = float(np.ravel(explanation.base_values)[0])
    steps = [("the average customer", base)]
    for place in order[:top]:
        feature = known[explanation.feature_names[place]]
        words, _ = phrase(feature, shown_values(explanation, place)[0], currency)
        steps.append((words, float(values[0, place])))
    if len(order) > top:
        steps.append(
            (f"all {len(order) - top} other features", float(values[0, order[top:]].sum()))
        )
    table = pd.DataFrame(steps, columns=["words", "contribution"])
    reached = table.contribution.cumsum()
    table.loc[len(table)] = ["this customer", reached.iloc[-1]]
    table["probability"] = expit(np.r_[reached, reached.iloc[-1]])
    return table


def first_reason_table(explanation: shap.Explanation, features: Sequence[Feature]) -> pd.DataFrame:
    """How often each feature is the first reason, and which way it moves those customers.

    Out: a row per feature and way, the most frequent first: reason (the feature's meaning), effect
    ("raises" or "lowers"), n_customers, share (of all explained rows).
    """
    _, strongest, sign = _strongest(explanation, features, 1)
    known = {feature.name: feature for feature in features}
    told = strongest[:, 0] >= 0
    frame = pd.DataFrame(
        {
            "reason": [
                known[explanation.feature_names[place]].meaning for place in strongest[told, 0]
            ],
            "effect": np.where(sign[told, 0] > 0, "raises", "lowers"),
        }
    )
    counted = frame.value_counts(["reason", "effect"]).reset_index(name="n_customers")
    return counted.assign(share=counted.n_customers / max(1, len(strongest)))


def sentence(
    feature: Feature, value: object, raises: bool, outcome_words: str, currency: str = ""
) -> str:
    """One reason: a feature's value in words, and what it does.

    >>> visit = Feature("v", "days since the last visit", "days", "events", "recency")
    >>> sentence(visit, 41.2, True, "the risk")
    'no visit for 41 days raises the risk'
    """
    words, many = phrase(feature, value, currency)
    verb = ("raise" if raises else "lower") + ("" if many else "s")
    return f"{words} {verb} {outcome_words}"


def phrase(feature: Feature, value: object, currency: str = "") -> tuple[str, bool]:
    """A feature's value as a noun phrase, and whether it is plural.

    >>> orders = Feature("o", "orders in the last 30 days", "count", "orders", "frequency")
    >>> phrase(orders, 0.0), phrase(orders, 4)
    (('no orders in the last 30 days', True), ('4 orders in the last 30 days', True))
    """
    meaning, unit = feature.meaning, feature.unit
    since = _SINCE.match(meaning) if unit == "days" else None
    many = unit == "count"
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        if since:
            what = since[1]
            last = what.removeprefix("the last ")
            return (
                f"no {last} on record" if last != what else f"{meaning} (none on record)"
            ), False
        return f"{meaning} (not known)", many
    if feature.kind == "category" or isinstance(value, str):
        return f"{meaning} ({_plain(value)})", False
    value = float(value)
    if unit == "yes/no":
        return f"{meaning} ({'yes' if value else 'no'})", False
    if since:
        return _since(since[1], value), False
    if unit == "count":
        plain = not meaning.startswith(("times ", "of ")) and value != 1
        if plain and value == 0:
            return f"no {meaning}", True
        amount = _number(value)
        return (f"{amount} {meaning}" if plain else f"{meaning} ({amount})"), True
    if unit == "money":
        amount = _money(value, currency)
        return (
            f"{amount} {meaning}" if meaning.startswith("spent ") else f"{meaning} ({amount})"
        ), (False)
    if unit == "share":
        return f"{meaning} ({_percent(value)})", False
    ending = f" {unit}" if unit in ("days", "hours") and not meaning.startswith(unit) else ""
    return f"{meaning} ({_number(value)}{ending})", False


def _strongest(
    explanation: shap.Explanation, features: Sequence[Feature], top: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each row and rank: the group, its strongest feature (-1: no reason), and the sign."""
    names, member = groups_of(explanation.feature_names, features)
    values = contributions(explanation)
    sums = np.column_stack([values[:, member == g].sum(axis=1) for g in range(len(names))])
    top = min(top, len(names))
    group = np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :top]
    moved = np.take_along_axis(sums, group, axis=1)
    bound = NEGLIGIBLE * np.abs(values).sum(axis=1, keepdims=True)
    worth = (np.abs(moved) >= bound) & (moved != 0)
    strongest = np.full(group.shape, -1)
    for g in range(len(names)):
        inside = np.flatnonzero(member == g)
        part = values[:, inside] * np.sign(sums[:, [g]])
        best = inside[np.argmax(part, axis=1)]
        strongest = np.where((group == g) & worth, best[:, None], strongest)
    return group, strongest, np.sign(moved)


def _since(what: str, days: float) -> str:
    last = what.removeprefix("the last ")
    span = "1 day" if round(days) == 1 else f"{days:,.0f} days"
    if last == what:
        return f"{'less than a day' if days < 0.5 else span} since {what}"
    if days >= LONG_DAYS:
        return f"no {last} for {span}"
    return f"the last {last} {'less than a day' if days < 0.5 else span} ago"


def _number(value: float) -> str:
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _money(value: float, currency: str) -> str:
    sign, size = ("−" if value < 0 else "") + symbol(currency), abs(value)
    return f"{sign}{size:,.0f}" if size >= 100 else f"{sign}{size:.2f}"


def _percent(value: float) -> str:
    return "less than 1%" if 0 < value < 0.01 else f"{value:.0%}"


def _plain(value: object) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
