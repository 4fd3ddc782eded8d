"""What an order of a customer is worth: the Gamma-Gamma model, fitted by maximum likelihood.

The orders of a customer are worth Gamma(p, nu) each, nu ~ Gamma(q, gamma) over customers, and how
much somebody spends does not depend on how often they order (`independence` looks at that). Two
numbers a customer suffice: how many orders, and their mean. Sources: Fader, Hardie and Lee (2005),
"RFM and CLV: Using Iso-Value Curves for Customer Base Analysis", Journal of Marketing Research
42(4), doi:10.1509/jmkr.2005.42.4.415; Fader and Hardie (2013), "The Gamma-Gamma Model of Monetary
Value", note 025 at brucehardie.com.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.customers.likelihood import likeliest
from cdp_lib.normal import Z

EDGE = 10.0  # the logarithms of the parameters are sought in [-EDGE, EDGE]
FEWEST = 30  # customers below which three parameters are not worth fitting
STARTS = ((1.0, 1.0, 1.0), (6.0, 4.0, 0.5), (0.5, 3.0, 4.0), (20.0, 2.5, 0.1))
MATTERS = 0.1  # a correlation nearer to zero than this does no harm worth a warning


@dataclass(frozen=True)
class GammaGamma:
    """A fitted Gamma-Gamma model; money in the currency of the data.

    p: shape of a customer's order values; q, gamma: shape and rate of the Gamma of their rates.
    log_likelihood: at the maximum; converged: whether an optimum inside the parameter space was
    found (two starts agree, and no parameter ran off); n: customers it was fitted to.
    """

    p: float
    q: float
    gamma: float
    log_likelihood: float
    converged: bool
    n: int

    @property
    def mean(self) -> float:
        """The mean order value over customers; NaN where it is infinite (q <= 1)."""
        return self.p * self.gamma / (self.q - 1) if self.q > 1 else float("nan")

    def expected_value(self, n_orders, mean_value) -> np.ndarray:
        """The mean value of a customer's orders to come, given so many orders of that mean.

        n_orders 0 gives the mean over customers, whatever mean_value is. NaN where it is infinite.
        Source: equation 5 of the note.
        """
        n, seen = _spending(n_orders, mean_value)
        shape = self.p * n + self.q - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(shape > 0, self.p * (self.gamma + n * seen) / shape, np.nan)

    def log_likelihood_of(self, n_orders, mean_value) -> float:
        """The log-likelihood of customers with an order. Source: equation 1a of the note."""
        n, seen = _spending(n_orders, mean_value)
        return float(terms_of((self.p, self.q, self.gamma), n, seen)[0].sum())


@dataclass(frozen=True)
class Independence:
    """Whether how often customers order and how much they spend an order go together.

    correlation, low, high: of the logarithm of the number of orders with their mean value, with
    its 95 % interval; 0 in expectation where the model holds. (A correlation of ranks is not: the
    mean of many skewed values has a higher median than one of them.) plain: of the number itself,
    as the paper gives it. n: customers with an order of a known value. broken: the interval lies
    beyond 0.1 from zero. sentence: what it says.
    """

    correlation: float
    low: float
    high: float
    plain: float
    n: int
    broken: bool
    sentence: str


def fit_gamma_gamma(n_orders, mean_value, weight=None) -> GammaGamma:
    """Fit a Gamma-Gamma model to customers with an order of a known value.

    n_orders: orders behind the mean, at least 1; mean_value: their mean value, above 0;
    weight: how many customers have these (None: one each). Raises TooLittleData for fewer than 30
    customers, nobody with two orders, or everybody spending the same; Refusal for a count below 1
    or a value that is not above 0.
    """
    n, seen = _spending(n_orders, mean_value)
    weight = np.ones(len(n)) if weight is None else np.asarray(weight, float)
    for name, fine, value in (("n_orders", n >= 1, n), ("mean_value", seen > 0, seen)):
        if not fine.all():
            raise Refusal(
                name, float(value[~fine][0]), "must be above zero", "leave such customers out"
            )
    people = int(weight.sum())
    if people < FEWEST:
        raise TooLittleData(
            "n_orders", people, f"fewer than {FEWEST} customers", "take a longer span"
        )
    if not (n > 1).any():
        raise TooLittleData("n_orders", 1, "nobody ordered twice", "take a longer span")
    unit = float(weight @ seen / people)
    if np.ptp(seen) <= 1e-9 * unit:
        raise TooLittleData(
            "mean_value", unit, "everybody spends the same", "take it as the order value"
        )
    share, scaled = weight / people, seen / unit
    found = likeliest(lambda parameters: terms_of(parameters, n, scaled), share, STARTS, EDGE)
    p, q, gamma = found.parameters
    # A density of z / unit is one of z times unit.
    likelihood = found.mean_term * people - np.log(unit) * people
    return GammaGamma(p, q, gamma * unit, float(likelihood), found.converged, people)


def independence(n_orders, mean_value, weight=None) -> Independence:
    """Whether how often and how much go together; see Independence.

    Arguments as for `fit_gamma_gamma`. The interval takes the sample variance of the products of
    the two standardised values (Steiger and Hakstian 1982, doi:10.1111/j.2044-8317.1982.tb00653.x),
    as neither is normal.
    """
    n, seen = _spending(n_orders, mean_value)
    weight = np.ones(len(n)) if weight is None else np.asarray(weight, float)
    kept = (n > 0) & np.isfinite(seen) & (seen > 0)
    n, seen, weight = n[kept], seen[kept], weight[kept]
    people, nan = int(weight.sum()), float("nan")
    if people < FEWEST or np.ptp(n) == 0 or np.ptp(seen) == 0:
        said = "Too few customers to tell whether how often and how much go together."
        return Independence(nan, nan, nan, nan, people, False, said)
    found, error = _correlation(np.log(n), seen, weight)
    low, high = found - Z * error, found + Z * error
    broken = low > MATTERS or high < -MATTERS
    told = f"correlation {found:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    if broken:
        way = "more" if found > 0 else "less"
        said = (
            f"Those who order often spend {way} an order ({told}), which the model takes to be "
            "unrelated: believe it as far as the back-test bears it out."
        )
    else:
        said = f"How often and how much go together too little to matter ({told})."
    plain = _correlation(n, seen, weight)[0]
    return Independence(found, low, high, plain, people, broken, said)


def terms_of(parameters, n, seen) -> tuple[np.ndarray, np.ndarray]:
    """The log-likelihood of each customer and its slopes in p, q and gamma: (k,) and (3, k)."""
    from scipy.special import gammaln, psi

    p, q, gamma = parameters
    count, place = np.unique(n, return_inverse=True)
    grown = p * count
    of_count = (gammaln(grown + q) - gammaln(grown) + grown * np.log(count))[place]
    slope = (psi(grown + q) - psi(grown) + np.log(count))[place]
    log_seen, log_all = np.log(seen), np.log(gamma + n * seen)
    terms = of_count - gammaln(q) + q * np.log(gamma) + (p * n - 1) * log_seen
    terms -= (p * n + q) * log_all
    slopes = np.array(
        [
            n * (slope + log_seen - log_all),
            psi(grown + q)[place] - psi(q) + np.log(gamma) - log_all,
            q / gamma - (p * n + q) / (gamma + n * seen),
        ]
    )
    return terms, slopes


def _spending(n_orders, mean_value) -> list[np.ndarray]:
    n, seen = np.broadcast_arrays(
        np.atleast_1d(np.asarray(n_orders, float)), np.atleast_1d(np.asarray(mean_value, float))
    )
    if not (np.isfinite(n) & (n >= 0)).all():
        raise Refusal("n_orders", float(n[~(n >= 0)][0]), "not a count", "see history_table")
    odd = (n > 0) & ~(np.isfinite(seen) & (seen >= 0))
    if odd.any():
        raise Refusal(
            "mean_value", float(seen[odd][0]), "not a value of orders", "give a number, 0 or more"
        )
    return [n, np.where(n > 0, seen, 0.0)]


def _correlation(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """A correlation and its standard error, which does not suppose normal values."""
    people = weight.sum()
    one, other = (side - np.average(side, weights=weight) for side in (one, other))
    one, other = (side / np.sqrt(weight @ side**2 / people) for side in (one, other))
    found = float(weight @ (one * other) / people)
    off = one * other - found * (one**2 + other**2) / 2
    return found, float(np.sqrt(weight @ off**2) / people)
