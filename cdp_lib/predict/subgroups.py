"""Whether probabilities hold in each part of the customers, and at each cutoff."""

import numpy as np
import pandas as pd

from cdp_lib.behaviour.intervals import design_effect, wilson
from cdp_lib.checks import Refusal
from cdp_lib.predict.evaluate import paired, score_table

MOST_LEVELS = 50
FEWEST = 10  # rows of a group below which nothing is said about it
ALPHA = 0.05


def subgroup_table(y, p, groups, ids=None) -> pd.DataFrame:
    """Predicted beside observed in each group of customers, and whether they differ.

    groups: a value a row (an array or Series), or a DataFrame of several such columns; a missing
    value is a group of its own. ids: the customer of each row, where one may have several.
    Out: a row per column and value: grouping (the column's name), group, n, n_hit, predicted
    (mean p), observed, low, high (Wilson), difference (observed - predicted), p_value (two-sided,
    of no difference), adjusted (Holm over all rows of at least 10), verdict ("as predicted", "more
    than predicted", "less than predicted" at adjusted < 0.05, or "too few to tell").
    Raises Refusal for a column of more than 50 values. Source: Holm (1979), Scand. J. Stat. 6.
    """
    y, p = paired(y, p)
    columns = groups if isinstance(groups, pd.DataFrame) else _one_column(groups)
    if len(columns) != len(y):
        raise Refusal("groups", len(columns), f"not {len(y)} rows", "give a group for each row")
    people = np.arange(len(y)) if ids is None else pd.factorize(np.asarray(ids))[0]
    rows = [
        {"grouping": str(name), "group": level, **_group(y[inside], p[inside], people[inside])}
        for name in columns.columns
        for level, inside in _levels(str(name), columns[name])
    ]
    table = pd.DataFrame(rows)
    told = table.n >= FEWEST
    table["p_value"] = table.p_value.where(told)
    table["adjusted"] = holm(table.p_value.to_numpy())
    verdict = np.where(table.difference > 0, "more than predicted", "less than predicted")
    verdict = np.where(table.adjusted < ALPHA, verdict, "as predicted")
    table["verdict"] = np.where(told, verdict, "too few to tell")
    return table


def stability_table(y, p, cutoffs, ids=None, n_boot: int = 200, seed: int = 7) -> pd.DataFrame:
    """The measures of a model at each cutoff, so that one sees whether it holds over time.

    cutoffs: the cutoff of each row. Out: a row per cutoff, in order: cutoff, n, n_hit, predicted,
    observed, then auc, brier, ece, ece_floor and calibration_slope, each but the floor with _low
    and _high (95 %, by customer).
    """
    y, p = paired(y, p)
    when, ids = pd.Series(np.asarray(cutoffs)), None if ids is None else np.asarray(ids)
    if len(when) != len(y):
        raise Refusal("cutoffs", len(when), f"not {len(y)} rows", "give a cutoff for each row")
    rows = []
    for moment in sorted(when.dropna().unique()):
        inside = (when == moment).to_numpy()
        row = {"cutoff": moment, "n": int(inside.sum()), "n_hit": int(y[inside].sum())}
        row |= {"predicted": p[inside].mean(), "observed": y[inside].mean()}
        own = None if ids is None else ids[inside]
        found = score_table(y[inside], p[inside], own, n_boot, seed).set_index("measure")
        for name in ("auc", "brier", "ece", "ece_floor", "calibration_slope"):
            row[name] = found.value[name]
            if name != "ece_floor":
                row |= {f"{name}_low": found.low[name], f"{name}_high": found.high[name]}
        rows.append(row)
    return pd.DataFrame(rows)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values of one family of tests; NaN stays NaN and is not counted.

    >>> [round(float(p), 3) for p in holm(np.array([0.01, 0.04, 0.03]))]
    [0.03, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return adjusted


def _one_column(groups) -> pd.DataFrame:
    name = getattr(groups, "name", None) or "group"
    return pd.DataFrame({name: pd.Series(groups).to_numpy()})


def _levels(name: str, column: pd.Series):
    codes, levels = pd.factorize(column, sort=False)
    if len(levels) > MOST_LEVELS:
        raise Refusal(
            f"groups[{name!r}]", len(levels), f"more than {MOST_LEVELS} values", "band them first"
        )
    places = sorted(range(len(levels)), key=lambda place: str(levels[place]))
    yield from ((levels[place], codes == place) for place in places)
    if (codes == -1).any():
        yield None, codes == -1


def _group(y: np.ndarray, p: np.ndarray, people: np.ndarray) -> dict:
    from scipy import special

    n, hit, gap = len(y), y.sum(), y - p
    codes = np.unique(people, return_inverse=True)[1]
    size, hits, gaps = (np.bincount(codes, part) for part in (np.ones(n), y, gap))
    effect = design_effect(len(size), n, hit, (size**2).sum(), (size * hits).sum(), (hits**2).sum())
    low, high = wilson(hit, n, 1.0 if len(size) == n else effect)
    # Rows of one customer go up and down together: their summed gap is what varies.
    variance = (p * (1 - p)).sum()
    variance = variance if len(size) == n else max(variance, (gaps**2).sum())
    z = abs(gap.sum()) / np.sqrt(variance) if variance else (np.inf if gap.sum() else 0.0)
    return {
        "n": n,
        "n_hit": int(hit),
        "predicted": p.mean(),
        "observed": hit / n,
        "low": float(low),
        "high": float(high),
        "difference": gap.mean(),
        "p_value": float(2 * special.ndtr(-z)),
    }
