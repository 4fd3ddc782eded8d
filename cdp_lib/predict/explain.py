"""What moves each customer's probability: exact SHAP values of the model that is used.

They explain the model, not the cause: a feature that raises a probability need not change anything
when it is changed. Only an experiment says what an action does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, one_of
from cdp_lib.customers.features import Feature
from cdp_lib.predict.columns import numbers, texts
from cdp_lib.predict.propensity import Propensity
from cdp_lib.predict.trees import data_matrix, shap_values

if TYPE_CHECKING:
    import shap

CLEAR = 0.3  # a rank correlation of value and contribution from which a direction is named
APART = ("attributes",)  # a group whose features have nothing in common


def explain(
    model: Propensity, frame: pd.DataFrame, background: pd.DataFrame | None = None
) -> shap.Explanation:
    """SHAP values of each row, in calibrated log odds.

    frame: rows with the columns of the model. Out: a shap.Explanation, (rows, features): a row's
    values and its base value add up to the log odds of `model.predict` within 1e-4. `data` holds
    numbers and category codes, `display_data` what the frame holds; missing is NaN or None.

    Trees are explained by exact TreeSHAP (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9;
    path-dependent, around the training rows), a regression by coefficient × (value − mean), the
    columns of a category and the flag of a missing number added to the feature they come from,
    the average of both by the average. Calibration stretches and shifts log odds; so it does the
    values. background: customers whom the regression's flags and categories are compared with,
    say the training rows; needed where it has such. Raises Refusal without it, for a model that
    gives everybody one probability, and for a frame that lacks a column.
    """
    from shap import Explanation

    columns = model.columns
    if model.winner == "constant":
        raise Refusal("model", model.verdict, "one probability for everybody", model.reason)
    x = columns.matrix(frame)
    parts = []
    if model.winner in ("xgboost", "average"):
        parts.append(_of_trees(model, x))
    if model.winner in ("logistic", "average"):
        parts.append(_of_regression(model, x, background))
    slope = model.calibration.slope
    values = sum(part for part, _ in parts) / len(parts) * slope
    base = sum(part for _, part in parts) / len(parts) * slope + model.calibration.intercept
    data = x.astype("float64")
    for place, (name, kind) in enumerate(zip(columns.names, columns.kinds, strict=True)):
        if kind == "number":
            data[:, place] = numbers(frame[name])
    return Explanation(
        values=values,
        base_values=base,
        data=data,
        display_data=_shown(model, frame, data),
        feature_names=list(columns.names),
    )


def importance_table(explanation: shap.Explanation, features: Iterable[Feature]) -> pd.DataFrame:
    """How much each feature moves the log odds, the strongest first.

    Out: a row per feature: feature, meaning, group, mean_abs (mean absolute contribution, log
    odds), share (of the sum of all), direction: "higher raises", "higher lowers" (yes counts as
    higher than no), "mixed" (no clear order), "by category", or "none" where it moves nobody.
    """
    known = {feature.name: feature for feature in features}
    names, values = explanation.feature_names, contributions(explanation)
    data, strength = explanation.data.reshape(values.shape), _mean_abs(values)
    rows = []
    for place, name in enumerate(names):
        feature = _known(known, name)
        way = _direction(data[:, place], values[:, place], feature.kind)
        rows.append((name, feature.meaning, feature.group, strength[place], way))
    table = pd.DataFrame(rows, columns=["feature", "meaning", "group", "mean_abs", "direction"])
    table.insert(4, "share", table.mean_abs / (table.mean_abs.sum() or np.nan))
    order = np.lexsort((table.feature, -table.mean_abs))
    return table.iloc[order].reset_index(drop=True)


def group_table(explanation: shap.Explanation, features: Sequence[Feature]) -> pd.DataFrame:
    """How much each group of features moves the log odds, the strongest first.

    The contributions of a group are added before the absolute value is taken, so that features
    which say the same count once. Out: a row per group: group, n_features, strongest (the
    feature), mean_abs (log odds), share (of the sum of all groups).
    """
    names, member = groups_of(explanation.feature_names, features)
    values = contributions(explanation)
    strength, rows = _mean_abs(values), []
    for place, name in enumerate(names):
        inside = np.flatnonzero(member == place)
        moved = _mean_abs(values[:, inside].sum(axis=1, keepdims=True))[0]
        strongest = explanation.feature_names[inside[np.argmax(strength[inside])]]
        rows.append((name, len(inside), strongest, moved))
    table = pd.DataFrame(rows, columns=["group", "n_features", "strongest", "mean_abs"])
    table["share"] = table.mean_abs / (table.mean_abs.sum() or np.nan)
    order = np.lexsort((table.group, -table.mean_abs))
    return table.iloc[order].reset_index(drop=True)


def dependence_table(explanation: shap.Explanation, feature: str) -> pd.DataFrame:
    """What each value of one feature adds to the log odds.

    Out: a row per explained row, in order: value (a number, or a category's text; NaN or None
    where missing), contribution (log odds). Raises Refusal for a feature that is not explained.
    """
    one_of("feature", feature, explanation.feature_names)
    place = explanation.feature_names.index(feature)
    added = contributions(explanation)[:, place]
    return pd.DataFrame({"value": shown_values(explanation, place), "contribution": added})


def point_table(
    explanation: shap.Explanation,
    features: Sequence[Feature],
    top: int = 12,
    n_points: int = 2000,
    seed: int = 7,
) -> pd.DataFrame:
    """The points of a beeswarm: the strongest features of some customers, drawn by the seed.

    Out: a row per feature and customer, at most `n_points`, the strongest feature first: feature,
    meaning, rank (of the value among the customers drawn, from 0 for the lowest to 1; NaN for a
    category and a missing value), contribution (log odds). Values themselves are not in it.
    """
    importance = importance_table(explanation, features).head(top)
    values = contributions(explanation)
    n = min(len(values), n_points // max(1, len(importance)))
    drawn = np.sort(np.random.default_rng(seed).permutation(len(values))[:n])
    kinds = {feature.name: feature.kind for feature in features}
    parts = []
    for name, meaning in zip(importance.feature, importance.meaning, strict=True):
        place = explanation.feature_names.index(name)
        shown = explanation.data.reshape(values.shape)[drawn, place]
        ranked = pd.Series(shown if kinds[name] == "number" else np.full(n, np.nan)).rank()
        spread = ranked.max() - ranked.min()
        # All of one value: neither low nor high.
        ranked = (ranked - ranked.min()) / spread if spread > 0 else ranked * 0 + 0.5
        part = {"feature": name, "meaning": meaning, "rank": ranked}
        parts.append(pd.DataFrame({**part, "contribution": values[drawn, place]}))
    columns = ["feature", "meaning", "rank", "contribution"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def groups_of(names: Sequence[str], features: Iterable[Feature]) -> tuple[list[str], np.ndarray]:
    """The groups of these features, and the place of each feature's group among them.

    Attributes have nothing in common, so each is a group of its own, by its name.
    """
    known = {feature.name: feature for feature in features}
    told = [_known(known, name) for name in names]
    groups = [one.name if one.group in APART else one.group for one in told]
    listed = list(dict.fromkeys(groups))
    return listed, np.array([listed.index(group) for group in groups], dtype=int)


def shown_values(explanation: shap.Explanation, place: int) -> np.ndarray:
    """The values of one feature as the frame holds them: floats, or texts of a category."""
    shape = contributions(explanation).shape
    if explanation.display_data is not None:
        column = np.reshape(explanation.display_data, shape)[:, place]
        if any(isinstance(value, str) for value in column):
            return column
    return explanation.data.reshape(shape)[:, place].astype(float)


def contributions(explanation: shap.Explanation) -> np.ndarray:
    """The values as (rows, features), also of one row or of none, which shap flattens."""
    return explanation.values.reshape(-1, len(explanation.feature_names))


def _mean_abs(values: np.ndarray) -> np.ndarray:
    return np.abs(values).mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)


def _of_trees(model: Propensity, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # The booster is cut after its best tree, so all of its trees are the model.
    matrix = data_matrix(model.columns, x, threads=model.threads)
    found = shap_values(model.booster, matrix)[:, 0, :].astype("float64")
    return found[:, :-1], found[:, -1]


def _of_regression(
    model: Propensity, x: np.ndarray, background: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray]:
    line, n = model.linear, len(model.columns.names)
    values = line.contributions(x, n)
    centre = np.zeros(n)
    if background is not None and len(background):
        centre = line.contributions(model.columns.matrix(background), n).mean(axis=0)
    elif line.flags or line.levels:
        raise Refusal(
            "background", None, "the regression has categories or flags of missing values, whose "
            "means it does not keep", "pass the training rows, such as frames.train",
        )  # fmt: skip
    return values - centre, np.full(len(x), line.intercept + centre.sum())


def _shown(model: Propensity, frame: pd.DataFrame, data: np.ndarray) -> np.ndarray | None:
    columns = model.columns
    if "category" not in columns.kinds:
        return None
    shown = data.astype(object)
    for place, (name, kind) in enumerate(zip(columns.names, columns.kinds, strict=True)):
        if kind == "category":
            shown[:, place] = texts(frame[name]).to_numpy(dtype=object, na_value=None)
    return shown


def _direction(value: np.ndarray, contribution: np.ndarray, kind: str) -> str:
    if not np.abs(contribution).sum() > 0:
        return "none"
    if kind == "category":
        return "by category"
    given = ~np.isnan(value)
    ranks = [pd.Series(part[given]).rank() for part in (value, contribution)]
    if len(ranks[0]) < 2 or min(part.std() for part in ranks) == 0:
        return "mixed"
    order = ranks[0].corr(ranks[1])
    if abs(order) < CLEAR:
        return "mixed"
    return "higher raises" if order > 0 else "higher lowers"


def _known(known: dict[str, Feature], name: str) -> Feature:
    if name not in known:
        raise Refusal("features", name, "is explained and not among them", "pass model.features")
    return known[name]
