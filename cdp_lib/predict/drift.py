"""Whether customers have changed since training: the population stability index (PSI).

PSI = sum over bins of (now - then) ln(now / then), with the shares of each bin. With nothing
changed, PSI / (1/n_then + 1/n_now) follows a chi-square of (bins - 1) degrees of freedom, so small
samples have large PSIs by chance alone; what is judged is the excess over that expectation, and
only where PSI is beyond chance. Source: Yurdakul and Naranjo (2020), "Statistical properties of
the population stability index", Journal of Risk Model Validation 14(4).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, at_least

WATCH, RETRAIN = 0.1, 0.25  # the customary bounds of PSI, here of its excess
FALSE_ALARM = 0.01  # of one table: all its rows share it
N_BINS = 10
MOST_LEVELS = 20
VERDICTS = ("steady", "watch", "retrain")


@dataclass(frozen=True)
class Psi:
    """The PSI of one column. psi: the index; expected: its mean with nothing changed; limit: what
    it passes by chance in a share `alpha` of cases; n_bins: bins, missing among them; n_then,
    n_now: rows."""

    psi: float
    expected: float
    limit: float
    n_bins: int
    n_then: int
    n_now: int

    @property
    def excess(self) -> float:
        """PSI beyond what chance explains on average, never below 0."""
        return max(0.0, self.psi - self.expected)

    @property
    def verdict(self) -> str:
        """steady, watch (excess of 0.1 or more) or retrain (0.25), the last two beyond chance."""
        if self.psi <= self.limit or self.excess < WATCH:
            return "steady"
        return "retrain" if self.excess >= RETRAIN else "watch"


def psi(
    then, now, n_bins: int = N_BINS, alpha: float = FALSE_ALARM, worth: tuple | None = None
) -> Psi:
    """The PSI of one column between two sets of customers.

    then, now: values at training and now. Numbers fall into bins cut at the quantiles of `then`
    (equal numbers; a value that many share is a bin of its own side), categories and booleans
    into their 20 commonest values of `then` and the rest; missing is a bin of its own. worth: the
    customers of either side, where they have several rows each: rows of one are no news.
    Raises Refusal where either side has no row.
    """
    from scipy import stats

    at_least("n_bins", n_bins, 2)
    then, now = pd.Series(then), pd.Series(now)
    for place, side in (("then", then), ("now", now)):
        if not len(side):
            raise Refusal(place, 0, "no row", "give the customers of both times")
    old, new = _counts(then, now, n_bins)
    # Half a row a bin keeps an empty bin finite, and is too little to matter in a full one.
    share_then = (old + 0.5) / (old + 0.5).sum()
    share_now = (new + 0.5) / (new + 0.5).sum()
    index = float(((share_now - share_then) * np.log(share_now / share_then)).sum())
    n_then, n_now = worth or (len(then), len(now))
    scale, free = 1 / n_then + 1 / n_now, len(old) - 1
    limit = scale * stats.chi2.ppf(1 - alpha, free) if free else 0.0
    return Psi(index, scale * free, float(limit), len(old), len(then), len(now))


def drift_table(
    then: pd.DataFrame, now: pd.DataFrame, features=None, score=None, weight=None
) -> pd.DataFrame:
    """The drift of every feature, and of the score, since training.

    then, now: the rows at training and now; rows of one customer_id, where there is one, are
    taken to go together. features: the columns to compare (those both have, but customer_id,
    cutoff and label). score: the pair (scores at training, scores now). weight: a Series of each
    feature's share of the model (mean |SHAP|), where known.
    Out: a row per column, the score first and then by falling excess: feature ("(score)" for the
    score), psi, expected, limit, excess, n_bins, n_then, n_now, weight, verdict. The limit is held
    at a false alarm in 1 of 100 tables. Raises Refusal for a column that one side lacks.
    """
    if features is None:
        set_apart = {"customer_id", "cutoff", "label"}
        features = [name for name in then.columns if name in now.columns and name not in set_apart]
    for place, frame in (("then", then), ("now", now)):
        missing = [name for name in features if name not in frame.columns]
        if missing:
            raise Refusal(f"{place}[{missing[0]!r}]", None, "no such column", "compare like frames")
    alpha = FALSE_ALARM / max(1, len(features) + (score is not None))
    worth = (_customers(then), _customers(now))
    found = {name: psi(then[name], now[name], alpha=alpha, worth=worth) for name in features}
    if score is not None:
        found["(score)"] = psi(score[0], score[1], alpha=alpha, worth=worth)
    rows = [
        {"feature": name, "psi": one.psi, "expected": one.expected, "limit": one.limit,
         "excess": one.excess, "n_bins": one.n_bins, "n_then": one.n_then, "n_now": one.n_now,
         "verdict": one.verdict}
        for name, one in found.items()
    ]  # fmt: skip
    columns = ["feature", "psi", "expected", "limit", "excess", "n_bins", "n_then", "n_now"]
    table = pd.DataFrame(rows, columns=[*columns, "verdict"])
    shares = pd.Series(weight, dtype=float) if weight is not None else pd.Series(dtype=float)
    table.insert(8, "weight", table.feature.map(shares).astype(float))
    first = (table.feature == "(score)").to_numpy()
    order = np.lexsort((table.feature, -table.excess, ~first))
    return table.iloc[order].reset_index(drop=True)


@dataclass(frozen=True)
class DriftVerdict:
    """verdict: steady, watch or retrain; sentence: why, in words."""

    verdict: str
    sentence: str


def drift_verdict(table: pd.DataFrame) -> DriftVerdict:
    """One verdict on a drift table.

    Retrain: the score has drifted that far, or features that hold a quarter of the model's weight
    have (where weights are known). Watch: the score or any feature is beyond steady.
    """
    is_score = table.feature == "(score)"
    features = table[~is_score]
    moved = features[features.verdict != "steady"]
    far = features[features.verdict == "retrain"]
    score = next(iter(table.verdict[is_score]), "steady")
    heavy = far.weight.fillna(0).sum() >= 0.25
    names = ", ".join(moved.feature.head(3)) + (" and others" if len(moved) > 3 else "")
    if score == "retrain" or heavy:
        heaviest = ", ".join(far.sort_values("weight", ascending=False).feature.head(3))
        why = f"Features of great weight ({heaviest}) have"
        why = "The scores have" if score == "retrain" else why
        return DriftVerdict("retrain", f"{why} shifted far since training: train the model anew.")
    if score == "watch" or len(moved):
        parts = ["the scores"] if score == "watch" else []
        parts += [f"{len(moved)} of {len(features)} features ({names})"] if len(moved) else []
        return DriftVerdict("watch", f"Shifted since training: {' and '.join(parts)}.")
    return DriftVerdict("steady", f"None of {len(features)} features has shifted since training.")


def _customers(frame: pd.DataFrame) -> int:
    return frame["customer_id"].nunique() if "customer_id" in frame.columns else len(frame)


def _counts(then: pd.Series, now: pd.Series, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    if pd.api.types.is_numeric_dtype(then) and not pd.api.types.is_bool_dtype(then):
        if not pd.api.types.is_numeric_dtype(now) and now.notna().any():
            raise Refusal("now", now.dropna().iloc[0], "not a number, as it was", "compare like")
        old = then.to_numpy(float, na_value=np.nan)
        new = pd.to_numeric(now).to_numpy(float, na_value=np.nan)
        fine = old[np.isfinite(old)]
        edges = (
            np.unique(np.quantile(fine, np.linspace(0, 1, n_bins + 1)[1:-1])) if len(fine) else []
        )
        old, new = (_places(side, np.asarray(edges)) for side in (old, new))
    else:
        old, new = (side.astype(object).map(str, na_action="ignore") for side in (then, now))
        top = old.value_counts().index[:MOST_LEVELS]
        # A value out of the top is -1 to the indexer; it goes to the end, missing to -1.
        old, new = (
            np.where(side.isna(), -1, top.get_indexer(side) % (len(top) + 1)) for side in (old, new)
        )
    levels = np.union1d(old, new)
    return tuple(
        np.array([(np.asarray(side) == one).sum() for one in levels]) for side in (old, new)
    )


def _places(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))
