"""Groups of customers by the effect expected: is it what was measured, and who is what?

The four groups are of the model's making; no one customer's effect can be seen. How far a group is
what it is called is measured twice: by the effect of treating its units, who were held apart, and
by what that leaves possible for the single customer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cdp_lib.checks import at_least
from cdp_lib.lift.uplift_curves import LEVEL, ends, standing, sums

GROUPS = ("persuadable", "sure", "lost", "do not disturb")
SMALL = 100  # units under which nothing is said of a group


def calibration_table(
    effects: np.ndarray,
    predicted: np.ndarray,
    fold: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    n_groups: int = 5,
    seed: int = 7,
) -> pd.DataFrame:
    """Predicted beside measured effects in equal groups by predicted effect.

    effects: of `uplift_curves.measured`, of units held apart. Out: a row per group, the highest
    first: group (1 to n_groups), n, predicted (mean), measured with _low and _high (95 %). Source:
    sorted group average effects, Chernozhukov et al. (2025) doi:10.3982/ECTA19303.
    """
    at_least("n_groups", n_groups, 2)
    place = np.minimum((standing(predicted, fold) * n_groups).astype(int), n_groups - 1)
    rows = []
    for k in np.unique(place):
        inside = place == k
        row = {"group": int(k) + 1, "n": int(inside.sum()), "predicted": predicted[inside].mean()}
        rows.append(row | _mean("measured", effects, inside, ids, seed))
    return pd.DataFrame(rows)


def slope(
    effects: np.ndarray, predicted: np.ndarray, ids: np.ndarray | None = None, seed: int = 7
) -> tuple[float, float, float]:
    """By how much measured effects rise for each unit of predicted effect: 1 is right, 0 is no use.

    Out: the slope with its 95 % interval. Source: best linear prediction, Chernozhukov et al.
    (2025). NaN where the predictions are all alike.
    """
    centred = predicted - predicted.mean()
    if not centred.std() > 0:
        return np.nan, np.nan, np.nan
    scaled = centred / centred.std()
    columns = np.column_stack([effects, scaled, scaled * effects, scaled**2])
    whole, drawn = sums(columns, ids, seed=seed)

    def of(mean: np.ndarray) -> np.ndarray:
        rise = mean[..., 2] - mean[..., 0] * mean[..., 1]
        return rise / (mean[..., 3] - mean[..., 1] ** 2) / centred.std()

    return float(of(whole)), *ends(of(drawn), (1 - LEVEL) / 2)


def group_of(
    predicted: np.ndarray, untreated: np.ndarray, least: float, likely: float
) -> np.ndarray:
    """The group of each unit, as texts of GROUPS.

    predicted: effects; untreated: expected outcomes without treatment. least: the effect from which
    one counts. likely: the expected outcome from which a unit counts as sure, others being lost.
    """
    at_least("least", least, 0)
    still = np.where(untreated >= likely, "sure", "lost")
    moved = np.where(predicted > least, "persuadable", "do not disturb")
    return np.where((predicted > least) | (predicted < -least), moved, still)


def group_table(
    group: np.ndarray,
    effects: np.ndarray,
    predicted: np.ndarray,
    untreated: np.ndarray | None,
    least: float,
    again: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    seed: int = 7,
) -> pd.DataFrame:
    """What each group is like, and how certain it is.

    group, least: of `group_of`. effects: measured, of units held apart. untreated: for an outcome
    of 0 or 1 its chance without treatment, else None. again: the group of each unit by models
    fitted on other units, "" for one that they were fitted on.

    Out: a row per group that has units: group, n, share, predicted (mean effect), measured with
    _low and _high (95 %), certain ("yes" where the group's mean effect is surely what its name
    says: above 0, below 0, or within `least` of 0; "no" where it surely is not; else "not yet"),
    kept_share (of its units that those other models put in the same group), moved_low and
    moved_high (between these lies the share of its units whom treating turns to the outcome:
    bounds of Tian and Pearl 2000, doi:10.1023/A:1018912507879). Numbers of a group under 100 units
    are NaN.
    """
    rows = []
    for name in GROUPS:
        inside = group == name
        n = int(inside.sum())
        if not n:
            continue
        row: dict[str, object] = {"group": name, "n": n, "share": n / len(group)}
        row["predicted"] = predicted[inside].mean()
        row |= _mean("measured", effects, inside, ids, seed)
        row["certain"] = _certain(name, row, least) if n >= SMALL else "too few"
        row["kept_share"] = _kept(name, inside, again)
        row |= {"moved_low": np.nan, "moved_high": np.nan}
        if untreated is not None:
            without = np.clip(untreated[inside], 0, 1)
            later = np.clip(without + predicted[inside], 0, 1)
            row["moved_low"] = np.maximum(0, later - without).mean()
            row["moved_high"] = np.minimum(later, 1 - without).mean()
        if n < SMALL:
            row |= dict.fromkeys(
                ("predicted", "measured", "measured_low", "measured_high", "moved_low",
                 "moved_high", "kept_share"), np.nan,
            )  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def _mean(
    name: str, effects: np.ndarray, inside: np.ndarray, ids: np.ndarray | None, seed: int
) -> dict[str, float]:
    people = None if ids is None else np.asarray(ids)[inside]
    whole, drawn = sums(effects[inside][:, None], people, seed=seed)
    low, high = ends(drawn[:, 0], (1 - LEVEL) / 2)
    return {name: float(whole[0]), f"{name}_low": low, f"{name}_high": high}


def _kept(name: str, inside: np.ndarray, again: np.ndarray | None) -> float:
    told = np.zeros(0) if again is None else again[inside & (again != "")]
    return float((told == name).mean()) if len(told) else np.nan


def _certain(name: str, row: dict, least: float) -> str:
    low, high = row["measured_low"], row["measured_high"]
    if name == "persuadable":
        yes, no = low > 0, high < 0
    elif name == "do not disturb":
        yes, no = high < 0, low > 0
    else:
        yes, no = -least < low and high < least, low > least or high < -least
    return "yes" if yes else ("no" if no else "not yet")
