"""Power, detectable effect and sample size of a difference between two arms of unequal size.

The test is Welch's: the difference of the arms' means over its standard error

    se = sqrt((1 - r2) (sd_treated² / n_treated + sd_holdout² / n_holdout))

where r2 is the share of the variance that a covariate from before the start explains (CUPED: Deng
et al. 2013, doi:10.1145/2433396.2433413). Its power is that of the noncentral t distribution with
Welch's degrees of freedom; from 1,000 of them on the normal's. All tests are two-sided; the chance
to find an effect of the wrong sign is counted in the power, as the test finds it.

Metrics differ in their sd: sqrt(p (1 - p)) of a conversion, that of the revenue per unit, of a
ratio the delta method's (`ratio_sd`). Money has a heavy tail, and a small holdout then finds less
than the normal law says: an arm's mean and sd go together, both rise with its largest values.
With the skewness g (third standardised moment) of the metric in both arms,

    k = g sd³ (1 / n_treated² - 1 / n_holdout²) / se³

is the skewness of the difference and its covariance with its own standard error. The test rejects
where D - z se(D) > 0, which has mean lift - z se, variance se² (1 - z k) and skewness k: its
probability is the normal's with Edgeworth's term of that skewness. Source: Hall (1992), The
Bootstrap and Edgeworth Expansion, section 2.6, for one mean. Simulation agrees to a point of power
while |k| <= 0.4 (`trusted`); beyond that k is held there.
"""

from math import exp, isfinite, nan, pi, sqrt

from cdp_lib.checks import Refusal, above, at_least

MANY = 1_000  # degrees of freedom from which t is as good as normal
LARGEST = 10**12  # units; nobody has more
MOST_SKEWED = 0.4  # skewness of a difference up to which its power is right to a point

NARROWEST = 0.3  # the variance of D - z se(D) in se²: below it the series is no distribution


def power(
    n_treated: float,
    n_holdout: float,
    abs_lift: float,
    sd: float,
    alpha: float = 0.05,
    cuped_r2: float = 0.0,
    sd_treated: float | None = None,
    skewness: float = 0.0,
) -> float:
    """The probability that the test finds a true effect of `abs_lift` a unit.

    sd: of the metric over units, of the holdout where `sd_treated` is given too, else of both arms.
    skewness: of the metric (after CUPED where that is used); 0 takes the normal law. NaN where an
    arm has fewer than two units. Raises Refusal for a negative size or sd and for an alpha or r2
    outside its range.

    >>> round(power(900, 100, abs_lift=0.3, sd=1.0), 3)
    0.806
    """
    spread, freedom = _spread(n_treated, n_holdout, sd, alpha, cuped_r2, sd_treated)
    if not spread > 0:
        return nan if spread != 0 else float(abs_lift != 0)
    k = _skew(n_treated, n_holdout, sd, cuped_r2, spread, skewness)
    return _found(abs_lift / spread, freedom, alpha, k)


def mde(
    n_treated: float,
    n_holdout: float,
    sd: float,
    alpha: float = 0.05,
    power: float = 0.8,
    cuped_r2: float = 0.0,
    sd_treated: float | None = None,
    skewness: float = 0.0,
) -> float:
    """The smallest gain a unit that the test finds with probability `power`; see `power`.

    >>> round(mde(900, 100, sd=1.0), 3)
    0.298
    """
    _power_in_range(power, alpha)
    spread, freedom = _spread(n_treated, n_holdout, sd, alpha, cuped_r2, sd_treated)
    if not spread > 0:
        return spread
    k = _skew(n_treated, n_holdout, sd, cuped_r2, spread, skewness)
    low, high = 0.0, 1.0
    while _found(high, freedom, alpha, k) < power:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _found(middle, freedom, alpha, k) >= power else (middle, high)
    return high * spread


def conversion_mde(
    n_treated: float,
    n_holdout: float,
    rate: float,
    alpha: float = 0.05,
    power: float = 0.8,
    cuped_r2: float = 0.0,
) -> float:
    """As `mde` for a gain in a conversion of `rate`, whose variance moves with the rate.

    NaN where even a rate of 1 would not be found.
    """
    _rate_in_range(rate)
    found = mde(n_treated, n_holdout, conversion_sd(rate), alpha, power, cuped_r2)
    for _ in range(100):
        if not rate + found <= 1:
            return nan
        sds = conversion_sd(rate), conversion_sd(rate + found)
        better = mde(n_treated, n_holdout, sds[0], alpha, power, cuped_r2, sds[1])
        if abs(better - found) <= 1e-12:
            break
        found = better
    return better


def sample_size(
    abs_lift: float,
    sd: float,
    holdout: float = 0.1,
    alpha: float = 0.05,
    power: float = 0.8,
    cuped_r2: float = 0.0,
    sd_treated: float | None = None,
    skewness: float = 0.0,
) -> int:
    """How many units in all, a share `holdout` of them held out, find `abs_lift` with that power.

    >>> sample_size(0.3, sd=1.0, holdout=0.1)
    985
    """
    if not 0 < holdout < 1:
        raise Refusal("holdout", holdout, "must lie in (0, 1)", "use 0.1 to hold out a tenth")
    if not (isfinite(abs_lift) and abs_lift):
        raise Refusal("abs_lift", abs_lift, "must be a number other than 0", "pass the effect")
    _power_in_range(power, alpha)
    skew = skewness if abs_lift > 0 else -skewness  # a loss is a gain of the metric turned around

    def enough(n: int) -> bool:
        arms = n * (1 - holdout), n * holdout
        if min(arms) < 2:
            return False
        return mde(*arms, sd, alpha, power, cuped_r2, sd_treated, skew) <= abs(abs_lift)

    low, high = 1, 4
    while not enough(high):
        low, high = high, high * 2
        if high > LARGEST:
            raise Refusal("abs_lift", abs_lift, "no shop is large enough", "ask for more effect")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def conversion_sd(rate: float) -> float:
    """The standard deviation of a conversion of that rate."""
    _rate_in_range(rate)
    return sqrt(rate * (1 - rate))


def ratio_sd(
    mean_part: float, mean_whole: float, var_part: float, var_whole: float, cov: float
) -> float:
    """The sd a unit of a ratio of means, such as revenue over orders; NaN where the whole is 0.

    Of part / whole with the means, variances and covariance a unit: by the delta method the ratio
    of n units has the standard error ratio_sd / sqrt(n). Source: Deng, Knoblich and Lu (2018),
    doi:10.1145/3219819.3219919, section 2.
    """
    if not mean_whole:
        return nan
    ratio = mean_part / mean_whole
    spread = var_part - 2 * ratio * cov + ratio**2 * var_whole
    return sqrt(max(spread, 0.0)) / abs(mean_whole)


def skew_error(
    n_treated: float,
    n_holdout: float,
    abs_lift: float,
    sd: float,
    skewness: float,
    alpha: float = 0.05,
    cuped_r2: float = 0.0,
) -> float:
    """How far the power lies above (+) or below (-) what the normal law says, or NaN."""
    given = (n_treated, n_holdout, abs_lift, sd, alpha, cuped_r2)
    return power(*given, skewness=skewness) - power(*given)


def trusted(n_treated: float, n_holdout: float, skewness: float) -> bool:
    """Whether the arms are large enough for the power to be right to a point at this skewness."""
    if min(n_treated, n_holdout) < 2:
        return False
    spread = sqrt(1 / n_treated + 1 / n_holdout)
    return abs(_skew(n_treated, n_holdout, 1.0, 0.0, spread, skewness)) <= MOST_SKEWED


def _skew(n_treated, n_holdout, sd, cuped_r2, spread, skewness) -> float:
    own = sd * sqrt(1 - cuped_r2)
    return skewness * own**3 * (1 / n_treated**2 - 1 / n_holdout**2) / spread**3


def _found(effect: float, freedom: float, alpha: float, k: float = 0.0) -> float:
    """Power of the test of an effect in standard errors; `k`: the skewness of the difference."""
    from scipy import special

    if freedom >= MANY:
        z = special.ndtri(1 - alpha / 2)
        normal = special.ndtr(effect - z) + special.ndtr(-effect - z)
    else:
        z = special.stdtrit(freedom, 1 - alpha / 2)
        normal = 1 - _noncentral_t(freedom, effect, z) + _noncentral_t(freedom, effect, -z)
    k = min(max(k, -MOST_SKEWED), MOST_SKEWED)
    # Of the other tail: the difference with its sign turned.
    skewed = _over(effect, z, k) + _over(-effect, z, -k) if k else 0.0
    plain = _over(effect, z, 0.0) + _over(-effect, z, 0.0) if k else 0.0
    return float(min(max(normal + skewed - plain, 0.0), 1.0))


def _noncentral_t(freedom: float, effect: float, t: float) -> float:
    from scipy import special

    return special.nctdtr(freedom, effect, t) if effect else special.stdtr(freedom, t)


def _over(effect: float, z: float, k: float) -> float:
    """Probability that D - z se(D) lies above 0, by Edgeworth's first term."""
    from scipy.special import ndtr

    width = sqrt(max(1 - z * k, NARROWEST))
    w = (z - effect) / width
    return float(1 - ndtr(w)) + exp(-w * w / 2) / sqrt(2 * pi) * k / width**3 * (w * w - 1) / 6


def _spread(n_treated, n_holdout, sd, alpha, cuped_r2, sd_treated) -> tuple[float, float]:
    """The standard error of the difference and its degrees of freedom; NaN with too few units."""
    for name, n in (("n_treated", n_treated), ("n_holdout", n_holdout)):
        at_least(name, n, 0)
    for name, value in (("sd", sd), ("sd_treated", sd if sd_treated is None else sd_treated)):
        if value == value:
            at_least(name, value, 0)
    above("alpha", alpha, 0)
    if not alpha < 1:
        raise Refusal("alpha", alpha, "must lie in (0, 1)", "use 0.05")
    if not 0 <= cuped_r2 < 1:
        raise Refusal("cuped_r2", cuped_r2, "must lie in [0, 1)", "pass the squared correlation")
    if min(n_treated, n_holdout) < 2:
        return nan, nan
    parts = (sd if sd_treated is None else sd_treated) ** 2 / n_treated, sd**2 / n_holdout
    total = sum(parts)
    if not total > 0:
        return total, nan
    freedom = total**2 / (parts[0] ** 2 / (n_treated - 1) + parts[1] ** 2 / (n_holdout - 1))
    return sqrt(total * (1 - cuped_r2)), freedom


def _power_in_range(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise Refusal("power", power, f"must lie between alpha = {alpha} and 1", "use 0.8")


def _rate_in_range(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise Refusal("rate", rate, "must lie in [0, 1]", "give a share, such as 0.1 for a tenth")
