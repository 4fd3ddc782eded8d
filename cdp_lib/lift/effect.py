"""The effect of an arm on a metric, intention to treat, from tea-tasting's aggregates.

Welch's t interval for a difference of means, the delta method for a ratio of means (Deng, Knoblich
and Lu 2018) and for a relative lift (on the log scale), CUPED where there are covariates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdp_lib.lift import cuped
from cdp_lib.lift.metrics import Metric
from cdp_lib.lift.sums import Sums

NAN = float("nan")


@dataclass(frozen=True)
class Effect:
    """What an arm did to a metric, per unit drawn into it.

    n_control, n_treated: units. mean_control, mean_treated: of the metric, after CUPED where it
    was used. abs_lift with its interval low, high; rel_lift (0.1 is 10 % more than the control)
    with rel_low, rel_high: NaN where a mean is not above 0. se: standard error of abs_lift.
    degrees: Welch's degrees of freedom. pvalue: two-sided, of no effect. cuped_saved: the share
    of variance that the covariates took away (0-1), NaN without any. raw_lift, raw_low, raw_high:
    without CUPED. Undefined is NaN.
    """

    n_control: int
    n_treated: int
    mean_control: float = NAN
    mean_treated: float = NAN
    abs_lift: float = NAN
    low: float = NAN
    high: float = NAN
    rel_lift: float = NAN
    rel_low: float = NAN
    rel_high: float = NAN
    se: float = NAN
    degrees: float = NAN
    pvalue: float = NAN
    cuped_saved: float = NAN
    raw_lift: float = NAN
    raw_low: float = NAN
    raw_high: float = NAN


def effect(
    control: Sums,
    treated: Sums,
    metric: Metric,
    covariates: Sequence[str] = (),
    alpha: float = 0.05,
    everyone: Sums | None = None,
) -> Effect:
    """The effect of one arm against the control; intervals at 1 - alpha.

    everyone: the units that CUPED learns from; None: these two arms. An arm of fewer than two
    units, or a ratio without a denominator, gives NaN and not 0.
    """
    raw = _compared(control, treated, metric, None, alpha)
    plain = replace(raw, raw_lift=raw.abs_lift, raw_low=raw.low, raw_high=raw.high)
    if not covariates or math.isnan(raw.se):
        return plain
    theta = cuped.weights(everyone or control + treated, metric, covariates)
    name = cuped.COVARIATE
    less = _compared(
        control.with_column(name, theta), treated.with_column(name, theta), metric, name, alpha
    )
    saved = 1 - (less.se / raw.se) ** 2 if raw.se > 0 else NAN
    return replace(
        less, cuped_saved=saved, raw_lift=raw.abs_lift, raw_low=raw.low, raw_high=raw.high
    )


def _compared(
    control: Sums, treated: Sums, metric: Metric, covariate: str | None, alpha: float
) -> Effect:
    from scipy import special

    few = Effect(control.n, treated.n)
    means = [_mean(part, metric) for part in (control, treated)]
    if min(control.n, treated.n) < 2 or not all(map(math.isfinite, means)):
        return few
    names = [*metric.columns, *([covariate] if covariate else [])]
    both = _aggregates(control, names), _aggregates(treated, names)
    slope, middle = 0.0, 0.0
    if covariate:
        everyone = both[0] + both[1]
        known = everyone.var(covariate)
        slope = (
            everyone.ratio_cov(metric.column, metric.per, covariate, None) / known if known else 0.0
        )
        middle = everyone.mean(covariate)
    mean, spread = [], []
    for value, part in zip(means, both, strict=True):
        variance = part.ratio_var(metric.column, metric.per)
        if covariate:
            along = part.ratio_cov(metric.column, metric.per, covariate, None)
            variance += slope**2 * part.var(covariate) - 2 * slope * along
            value -= slope * (part.mean(covariate) - middle)
        mean.append(value)
        spread.append(max(variance, 0.0) / part.count())
    lift, se = mean[1] - mean[0], math.sqrt(sum(spread))
    # All units alike, or all but for rounding: there is no spread to build an interval from.
    if not se > 1e-12 * max(map(abs, mean)):
        return replace(few, mean_control=mean[0], mean_treated=mean[1], abs_lift=lift)
    degrees = _degrees(spread, control, treated)
    half = se * float(special.stdtrit(degrees, 1 - alpha / 2))
    return Effect(
        n_control=control.n,
        n_treated=treated.n,
        mean_control=mean[0],
        mean_treated=mean[1],
        abs_lift=lift,
        low=lift - half,
        high=lift + half,
        se=se,
        degrees=degrees,
        pvalue=float(2 * special.stdtr(degrees, -abs(lift) / se)),
        **_relative(mean, spread, control, treated, alpha),
    )


def _relative(
    mean: Sequence[float], spread: Sequence[float], control: Sums, treated: Sums, alpha: float
) -> dict[str, float]:
    """The relative lift; its interval is symmetric on the log scale, where the error is small."""
    from scipy import special

    if not min(mean) > 0:
        return {}
    logged = [v / m**2 for v, m in zip(spread, mean, strict=True)]
    degrees = _degrees(logged, control, treated)
    reach = math.sqrt(sum(logged)) * float(special.stdtrit(degrees, 1 - alpha / 2))
    ratio = mean[1] / mean[0]
    # Far beyond any use: the interval would overflow.
    reach = min(reach, 700.0)
    return {
        "rel_lift": ratio - 1,
        "rel_low": ratio * math.exp(-reach) - 1,
        "rel_high": ratio * math.exp(reach) - 1,
    }


def _degrees(spread: Sequence[float], control: Sums, treated: Sums) -> float:
    parts = (v**2 / (part.n - 1) for v, part in zip(spread, (control, treated), strict=True))
    return sum(spread) ** 2 / sum(parts)


def _mean(part: Sums, metric: Metric) -> float:
    if not part.n:
        return NAN
    above = part.mean_of(metric.column)
    below = 1.0 if metric.per is None else part.mean_of(metric.per)
    return above / below if below else NAN


def _aggregates(part: Sums, names: Sequence[str]):
    from tea_tasting.aggr import Aggregates

    return Aggregates(
        count_=part.n,
        mean_={name: part.mean_of(name) for name in names},
        var_={name: part.var(name) for name in names},
        cov_={(a, b): part.cov(a, b) for at, a in enumerate(names) for b in names[at + 1 :]},
    )
