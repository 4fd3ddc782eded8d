"""How good probabilities are: they order customers, and they mean what they say.

Every function takes y, 0 or 1 a row, and p, the probability given for it. Intervals are 95 % and
come from drawing customers, not rows, where `ids` are given.
"""

import numpy as np
import pandas as pd

from cdp_lib.behaviour.intervals import wilson
from cdp_lib.checks import Refusal, at_least
from cdp_lib.predict.ranking import auc, average_precision, outcomes, rank
from cdp_lib.predict.reliability import N_BINS, Line, bin_gaps, ece_floor, equal_bins
from cdp_lib.predict.resample import draws, interval

MEASURES = (
    "auc", "pr_auc", "brier", "log_loss", "ece", "ece_floor", "calibration_slope",
    "calibration_intercept",
)  # fmt: skip


def score_table(y, p, ids=None, n_boot: int = 500, seed: int = 7) -> pd.DataFrame:
    """The measures of a model on customers it has not seen, with 95 % bootstrap intervals.

    y, p: as above; ids: the customer of each row, where a customer may have several.
    Out: a row per measure: measure, value, low, high, n (rows). The measures:
    auc; pr_auc (average precision); brier; log_loss (natural logarithm);
    ece (mean |observed - predicted| over ten bins of equal numbers, weighted by size);
    ece_floor (the ece that a perfectly calibrated p would show here by chance alone, no interval);
    calibration_slope (of a logistic regression of y on the logit of p; 1 is right, below 1 is too
    bold) and calibration_intercept (with the slope held at 1; 0 is right, above 0 is too low).
    NaN where undefined: one class only, or one probability for all.
    The interval of the ece is wide on purpose: its low end takes off the 97.5 % point of the ece
    that noise alone adds. Raises Refusal for p outside [0, 1] and y other than 0 and 1.
    Sources: Van Calster et al. (2019) doi:10.1186/s12916-019-1466-7.
    """
    y, p = paired(y, p)
    ranked, bins = rank(y, p), equal_bins(p)
    loss = _row_losses(y, p)
    line, all_rows = Line(y, p), np.ones((1, len(y)))
    own_gaps = bin_gaps(all_rows, y - p, bins)

    def measures(weights: np.ndarray) -> dict[str, np.ndarray]:
        sums = ranked.sums(weights)
        total = weights.sum(axis=1)
        gaps = bin_gaps(weights, y - p, bins)
        return {
            "auc": auc(sums),
            "pr_auc": average_precision(sums),
            "brier": weights @ loss["brier"] / total,
            "log_loss": weights @ loss["log_loss"] / total,
            "ece": np.abs(gaps).sum(axis=1),
            "noise": np.abs(gaps - own_gaps).sum(axis=1),
            "calibration_slope": line.slopes(weights),
            "calibration_intercept": line.intercepts(weights),
        }

    value = {name: found[0] for name, found in measures(all_rows).items()}
    blocks = [measures(weights) for weights in draws(len(y), ids, n_boot, seed)]
    drawn = {name: np.concatenate([block[name] for block in blocks]) for name in value}
    ends = {name: interval(values) for name, values in drawn.items()}
    ends["ece"] = (max(0.0, value["ece"] - ends["noise"][1]), ends["ece"][1])
    value["ece_floor"], ends["ece_floor"] = ece_floor(p, bins), (np.nan, np.nan)
    return pd.DataFrame(
        [(name, float(value[name]), *ends[name], len(y)) for name in MEASURES],
        columns=["measure", "value", "low", "high", "n"],
    )


def calibration_table(y, p, n_bins: int = N_BINS) -> pd.DataFrame:
    """What was predicted beside what happened, over bins of equal numbers of rows.

    Out: a row per bin by rising p: bin (from 1), n, n_hit, predicted (mean p), observed, low,
    high (Wilson's 95 % interval of observed). Equal p are never split, so bins may be fewer.
    """
    y, p = paired(y, p)
    at_least("n_bins", n_bins, 2)
    return _rates(pd.DataFrame({"bin": equal_bins(p, n_bins) + 1, "y": y, "p": p}), "bin")


def gain_table(y, p, n_points: int = 100) -> pd.DataFrame:
    """Which share of all outcomes is found when the first share of customers is contacted.

    Out: a row per point: contacted (share, 0 to 1), n_contacts, found (share of all outcomes;
    customers of equal p in random order), precision (of those contacted), lift (found over
    contacted). At 0 contacts precision and lift are NaN, and so is all when nothing happened.
    """
    y, p = paired(y, p)
    ranked = rank(y, p)
    weight, hit = (part[0] for part in ranked.sums(np.ones((1, len(y)))))
    share = np.linspace(0, 1, n_points + 1)
    reach, found = np.r_[0, np.cumsum(weight)], np.r_[0, np.cumsum(hit)]
    hits = np.interp(share * len(y), reach, found)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, caught = hits / (share * len(y)), hits / y.sum()
        return pd.DataFrame(
            {
                "contacted": share,
                "n_contacts": share * len(y),
                "found": caught,
                "precision": precision,
                "lift": caught / share,
            }
        )


def decile_table(y, p, value=None) -> pd.DataFrame:
    """Ten equal parts of the customers by falling p, and how much of the outcome each holds.

    value: money a row (say, the margin at stake), where there is any; nulls are kept out of it.
    Out: a row per decile: decile (1 has the highest p), n, n_hit, predicted, observed, low,
    high (Wilson), found (share of all outcomes up to here), lift (observed over that of all),
    and with a value: value (total), value_hit (total of those with the outcome).
    Equal p are split by their place in the input.
    """
    y, p = paired(y, p)
    place = np.empty(len(p), int)
    place[np.argsort(-p, kind="stable")] = np.arange(len(p))
    frame = pd.DataFrame({"decile": place * 10 // len(p) + 1, "y": y, "p": p})
    table = _rates(frame, "decile")
    with np.errstate(invalid="ignore", divide="ignore"):
        table["found"] = table.n_hit.cumsum() / y.sum()
        table["lift"] = table.observed / y.mean()
    if value is not None:
        money = np.asarray(value, float)
        if money.shape != y.shape:
            raise Refusal("value", money.shape, f"not one for each of {len(y)} rows", "give one")
        for name, amount in {"value": money, "value_hit": np.where(y == 1, money, 0.0)}.items():
            sums = pd.Series(amount).groupby(frame.decile).sum(min_count=1)
            table[name] = table.decile.map(sums)
    return table


def _rates(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    grouped = frame.groupby(by, observed=True)
    table = grouped.agg(n=("y", "size"), n_hit=("y", "sum"), predicted=("p", "mean")).reset_index()
    table["n_hit"] = table.n_hit.astype(int)
    table["observed"] = table.n_hit / table.n
    table["low"], table["high"] = wilson(table.n_hit, table.n)
    return table


def paired(y, p) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and their probabilities as arrays of one length; raises Refusal for others."""
    y, p = outcomes(y), np.asarray(p, float)
    if p.shape != y.shape:
        raise Refusal("p", p.shape, f"not a probability for each of {len(y)} rows", "give one")
    if not ((p >= 0) & (p <= 1)).all():
        odd = float(p[~((p >= 0) & (p <= 1))][0])
        raise Refusal("p", odd, "not a probability", "calibrate the score first")
    return y, p


def _row_losses(y: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    tiny = np.finfo(float).eps
    told = np.clip(np.where(y == 1, p, 1 - p), tiny, 1)
    return {"brier": (y - p) ** 2, "log_loss": -np.log(told)}
