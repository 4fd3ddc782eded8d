"""CUPED: taking out of an outcome what was known of the units before they were drawn.

Deng, Xu, Kohavi and Walker (2013), "Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data". The outcome y becomes y - theta'(x - mean x), theta from all arms
together; the effect stays unbiased since a draw cannot touch what came before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.sums import Sums

COVARIATE = "covariate__"


def weights(everyone: Sums, metric: Metric, covariates: Sequence[str]) -> dict[str, float]:
    """How much of each covariate to take off the metric; {} where nothing can be taken.

    The regression of the metric (a ratio: linearised at the ratio of the means) on the covariates
    over all units. Covariates that are constant, or sums of others, get a share or nothing.
    """
    if not covariates or everyone.n < len(covariates) + 2:
        return {}
    spread = np.array([[everyone.cov(a, b) for b in covariates] for a in covariates])
    along = np.array([_with(everyone, metric, name) for name in covariates])
    # Columns in days and in money differ by many powers of ten: solve in standard deviations.
    sd = np.sqrt(np.diag(spread))
    known = (sd > 0) & np.isfinite(sd)
    if not known.any() or not np.isfinite(along).all():
        return {}
    scaled = spread[np.ix_(known, known)] / np.outer(sd[known], sd[known])
    theta = np.linalg.lstsq(scaled, along[known] / sd[known], rcond=1e-10)[0] / sd[known]
    names = [name for name, kept in zip(covariates, known, strict=True) if kept]
    return {name: float(value) for name, value in zip(names, theta, strict=True) if value}


def pairs(metric: Metric, covariates: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of columns whose products a metric with these covariates needs."""
    names = [*metric.columns, *covariates]
    return [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]


def _with(everyone: Sums, metric: Metric, name: str) -> float:
    if metric.per is None:
        return everyone.cov(metric.column, name)
    below = everyone.mean_of(metric.per)
    if not below:
        return float("nan")
    ratio = everyone.mean_of(metric.column) / below
    return (everyone.cov(metric.column, name) - ratio * everyone.cov(metric.per, name)) / below
