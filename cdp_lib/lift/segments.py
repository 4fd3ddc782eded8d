"""Effects by segment, shrunk towards each other as far as the data say that they are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.normal import Z


@dataclass(frozen=True)
class Differences:
    """Whether segments differ in their effect.

    n_segments: with a known effect. q: Cochran's sum of weighted squared distances. pvalue: of no
    difference. between_sd: the standard deviation of the true effects (0: none was found). mean,
    mean_se: of the effects, by precision. sentence: what it says.
    """

    n_segments: int
    q: float
    pvalue: float
    between_sd: float
    mean: float
    mean_se: float
    sentence: str


def shrunk(effects: pd.DataFrame, alpha: float = 0.05) -> tuple[pd.DataFrame, Differences]:
    """Segment effects pulled to their mean by empirical Bayes, and whether they differ at all.

    In: a row a segment with abs_lift and se. Out: the same rows with shrunk_lift, shrunk_low,
    shrunk_high (95 %), and the test. The variance between segments is that of Paule and Mandel
    (1982); a segment keeps the share B = between / (between + se^2) of its own distance, and the
    error of the common mean is carried along (Morris 1983). Rows without an effect stay NaN.
    """
    from scipy import stats

    lift, se = effects.abs_lift.to_numpy(float), effects.se.to_numpy(float)
    known = np.isfinite(lift) & np.isfinite(se) & (se > 0)
    out = effects.assign(shrunk_lift=np.nan, shrunk_low=np.nan, shrunk_high=np.nan)
    k = int(known.sum())
    if k < 2:
        nan = float("nan")
        mean, error = (float(lift[known][0]), float(se[known][0])) if k else (nan, nan)
        said = "There are no two segments to compare."
        return out, Differences(k, nan, nan, nan, mean, error, said)
    y, v = lift[known], se[known] ** 2
    q = _distance(y, v, 0.0)
    pvalue = float(stats.chi2.sf(q, k - 1))
    between = _between(y, v)
    weight = 1 / (v + between)
    mean, error = float((weight * y).sum() / weight.sum()), float(weight.sum() ** -0.5)
    kept = between / (between + v)
    centre = mean + kept * (y - mean)
    half = Z * np.sqrt(kept * v + (1 - kept) ** 2 * error**2)
    rows = effects.index[known]
    out.loc[rows, "shrunk_lift"] = centre
    out.loc[rows, "shrunk_low"], out.loc[rows, "shrunk_high"] = centre - half, centre + half
    if pvalue >= alpha:
        said = f"No evidence that segments differ (p = {pvalue:.2g}): use the effect for all."
    else:
        said = f"Segments differ in their effect (p = {pvalue:.2g})."
    return out, Differences(k, q, pvalue, float(np.sqrt(between)), mean, error, said)


def _distance(y: np.ndarray, v: np.ndarray, between: float) -> float:
    weight = 1 / (v + between)
    return float((weight * (y - (weight * y).sum() / weight.sum()) ** 2).sum())


def _between(y: np.ndarray, v: np.ndarray) -> float:
    """The variance at which the weighted squared distances are as many as they should be."""
    from scipy.optimize import brentq

    free = len(y) - 1
    if _distance(y, v, 0.0) <= free:
        return 0.0
    top = float(np.var(y, ddof=1) + v.max())
    while _distance(y, v, top) > free:
        top *= 2
    return float(brentq(lambda between: _distance(y, v, between) - free, 0.0, top))
