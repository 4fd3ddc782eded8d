"""Power, detectable effect and sample size of a difference between two arms of unequal size.

The test is Welch's: the difference of the arms' means over its standard error

    se = sqrt((1 - r2) (sd_treated² / n_treated + sd_holdout² / n_holdout))

where r2 is the share of the variance that a covariate from before the start explains (CUPED: Deng
et al. 2013, doi:10.1145/2433396.2433413). Its power is that of the noncentral t distribution with
Welch's degrees of freedom; from 1,000 of them on the normal's. All tests are two-sided; the chance
to find an effect of the wrong sign is counted in the power, as the test finds it.

Metrics differ in their sd alone: sqrt(p (1 - p)) of a conversion, that of the revenue per unit, of
a ratio the delta method's (`ratio_sd`). Money has a heavy tail: `skew_error` says by how much the
normal law is then wrong.
"""

from math import exp, isfinite, nan, pi, sqrt

from cdp_lib.checks import Refusal, above, at_least

MANY = 1_000  # degrees of freedom from which t is as good as normal
LARGEST = 10**12  # units; nobody has more


def power(
    n_treated: float,
    n_holdout: float,
    abs_lift: float,
    sd: float,
    alpha: float = 0.05,
    cuped_r2: float = 0.0,
    sd_treated: float | None = None,
) -> float:
    """The probability that the test finds a true effect of `abs_lift` a unit.

    sd: of the metric over units, of the holdout where `sd_treated` is given too, else of both arms.
    NaN where an arm has fewer than two units. Raises Refusal for a negative size or sd and for an
    alpha or r2 outside its range.

    >>> round(power(900, 100, abs_lift=0.3, sd=1.0), 3)
    0.806
    """
    spread, freedom = _spread(n_treated, n_holdout, sd, alpha, cuped_r2, sd_treated)
    if not spread > 0:
        return nan if spread != 0 else float(abs_lift != 0)
    return _found(abs(abs_lift) / spread, freedom, alpha)


def mde(
    n_treated: float,
    n_holdout: float,
    sd: float,
    alpha: float = 0.05,
    power: float = 0.8,
    cuped_r2: float = 0.0,
    sd_treated: float | None = None,
) -> float:
    """The smallest effect a unit that the test finds with probability `power`; see `power`.

    >>> round(mde(900, 100, sd=1.0), 3)
    0.298
    """
    _power_in_range(power, alpha)
    spread, freedom = _spread(n_treated, n_holdout, sd, alpha, cuped_r2, sd_treated)
    if not spread > 0:
        return spread
    low, high = 0.0, 1.0
    while _found(high, freedom, alpha) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _found(middle, freedom, alpha) >= power else (middle, high)
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

    def enough(n: int) -> bool:
        arms = n * (1 - holdout), n * holdout
        if min(arms) < 2:
            return False
        return mde(*arms, sd, alpha, power, cuped_r2, sd_treated) <= abs(abs_lift)

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
    """How much the true power of the test lies above (+) or below (-) the normal law's.

    The first term of Edgeworth's series of a studentised difference of two means, both arms of the
    same skewness (third standardised moment of the metric, after CUPED where that is used). With
    k = skewness · sd³ (1 / n_treated² - 1 / n_holdout²) / se³ and w = z - lift / se it is
    k φ(w) ((w² - 1) / 6 - z w / 2). Source: Hall (1992), The Bootstrap and Edgeworth Expansion,
    section 2.6, for one mean; here for D - z se(D), D the difference of two. NaN as in `power`.
    """
    from scipy.special import ndtri

    spread, _ = _spread(n_treated, n_holdout, sd, alpha, cuped_r2, None)
    if not spread > 0:
        return nan
    z, own = float(ndtri(1 - alpha / 2)), sd * sqrt(1 - cuped_r2)
    k = skewness * own**3 * (1 / n_treated**2 - 1 / n_holdout**2) / spread**3

    def tail(effect: float, k: float) -> float:
        w = z - effect / spread
        return k * _density(w) * ((w * w - 1) / 6 - z * w / 2)

    # The other tail is the same for the difference with its sign turned.
    return tail(abs_lift, k) + tail(-abs_lift, -k)


def _density(x: float) -> float:
    return exp(-x * x / 2) / sqrt(2 * pi)


def _found(effect: float, freedom: float, alpha: float) -> float:
    """Power of the two-sided test of an effect in standard errors."""
    from scipy import special

    if freedom >= MANY:
        z = special.ndtri(1 - alpha / 2)
        return float(special.ndtr(effect - z) + special.ndtr(-effect - z))
    t = special.stdtrit(freedom, 1 - alpha / 2)
    below = special.nctdtr(freedom, effect, t) if effect else special.stdtr(freedom, t)
    wrong = special.nctdtr(freedom, effect, -t) if effect else special.stdtr(freedom, -t)
    return float(1 - below + wrong)


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
