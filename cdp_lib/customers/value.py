"""How many orders a customer will place: the BG/NBD model, fitted by maximum likelihood.

While alive a customer orders as a Poisson process of rate lambda ~ Gamma(r, alpha); after each
order they leave for good with probability p ~ Beta(a, b). Three numbers a customer suffice:
frequency (orders after the first), recency (time from the first to the last) and age (time from
the first to the cutoff). One who ordered once is alive for sure in this model, so rank customers
by expected orders and not by p_alive. In the modified model (MBG/NBD) they may leave after the
first order too. Source: Fader, Hardie and Lee (2005), "Counting Your
Customers the Easy Way", Marketing Science 24(2), doi:10.1287/mksc.1040.0098; the modified one:
Batislam, Denizel and Filiztekin (2007), doi:10.1016/j.ijresmar.2006.12.005.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import ibis
import numpy as np
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, TooLittleData, one_of
from cdp_lib.customers.likelihood import likeliest
from cdp_lib.windows import instant

DAYS = {"days": 1, "weeks": 7}
EDGE = 8.0  # the logarithms of the parameters are sought in [-EDGE, EDGE]
FEWEST = 50  # customers below which four parameters are not worth fitting
CLEARLY = 3.0  # in the logarithm of the likelihood
STARTS = ((1.0, 1.0, 1.0, 1.0), (0.3, 5.0, 0.8, 2.5), (1.0, 10.0, 0.1, 3.0), (5.0, 1.0, 2.0, 20.0))


@dataclass(frozen=True)
class BgNbd:
    """A fitted BG/NBD model. Times are in the unit of the data it was fitted to.

    r, alpha: shape and rate of the Gamma of order rates (the mean is r / alpha orders a unit);
    a, b: the Beta of the probability to leave after an order (the mean is a / (a + b));
    log_likelihood: at the maximum; converged: whether an optimum inside the parameter space was
    found (two starts agree, and no parameter ran off); n: customers it was fitted to;
    at_first: whether customers may leave after their first order too (MBG/NBD).
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    converged: bool
    n: int
    at_first: bool = False

    def chance_to_stay(self, frequency) -> np.ndarray:
        """The second parameter of the Beta of leaving, of one alive with so many orders."""
        return self.b + np.asarray(frequency, float) + self.at_first

    def expected_orders(self, horizon, frequency, recency, age) -> np.ndarray:
        """Orders expected in (age, age + horizon] of customers with these histories.

        horizon: a number, or one a customer; an order day counts once, as in the fit.
        Source: equation 10 of the paper.
        """
        x, recency, age, t = _histories(frequency, recency, age, horizon)
        r, alpha, a, b = self.r, self.alpha, self.a, self.b + self.at_first
        if min(abs(a - 1), abs(a + b - 1)) < 1e-6:
            # The formula is 0/0 there; it is smooth, so the mean of its neighbours is the value.
            sides = [replace(self, a=a + step) for step in (-1e-4, 1e-4)]
            return sum(side.expected_orders(t, x, recency, age) for side in sides) / 2
        # Euler's transformation of the paper's 2F1: large x stands in the last parameter alone.
        z = t / (alpha + age + t)
        kept = _kept(a, a + b + x - 1, r + x, z)
        orders = (a + b + x - 1) / (a - 1) * (1 - kept)
        return np.maximum(orders, 0.0) * self.p_alive(x, recency, age)

    def p_alive(self, frequency, recency, age) -> np.ndarray:
        """The probability that a customer with this history has not left for good.

        1 for all who ordered once, unless `at_first`. Source: Fader and Hardie (2008), "Computing
        P(alive) Using the BG/NBD Model", technical note 021 at brucehardie.com.
        """
        x, recency, age, _none = _histories(frequency, recency, age, 0.0)
        passed = x + self.at_first
        grown = (self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + recency))
        with np.errstate(divide="ignore"):
            left = np.log(self.a) - np.log(self.b + np.maximum(passed, 1) - 1) + grown
        return np.where(passed > 0, 1 / (1 + np.exp(np.minimum(left, 700))), 1.0)

    def log_likelihood_of(self, frequency, recency, age) -> float:
        """The log-likelihood of these histories. Source: equation 6 of the paper."""
        x, recency, age, _none = _histories(frequency, recency, age, 0.0)
        return float(terms_of(self.parameters, x, recency, age, self.at_first)[0].sum())

    @property
    def parameters(self) -> tuple[float, float, float, float]:
        """r, alpha, a, b."""
        return self.r, self.alpha, self.a, self.b


def _kept(a: float, third: np.ndarray, orders: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(1 - z)^(a - 1) 2F1(third - orders, a - 1; third; z), in Gauss' function.

    Where SciPy's overflows (some whole parameters, very large ones), by the power series of
    (1 - z)^orders 2F1(orders, third - a + 1; third; z), which is the same, in logarithms.
    """
    from scipy.special import hyp2f1

    third, orders, z = np.broadcast_arrays(third, orders, z)
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.exp((a - 1) * np.log1p(-z)) * hyp2f1(third - orders, a - 1, third, z)
    odd = ~np.isfinite(kept)
    if odd.any():
        third, orders, z = third[odd], orders[odd], z[odd]
        # From its second term on all have the sign of `third`, which is above -1.
        term = total = np.log(orders * (third - a + 1) / np.abs(third) * z)
        for k in range(1, 100_000):
            step = (orders + k) * (third - a + 1 + k) / ((third + k) * (k + 1)) * z
            term = term + np.log(step)
            total = np.logaddexp(total, term)
            if (term < total - 40).all():
                break
        first = orders * np.log1p(-z)
        kept[odd] = np.exp(first) + np.sign(third) * np.exp(first + total)
    return kept


def fit_bgnbd(frequency, recency, age, weight=None, at_first: bool = False) -> BgNbd:
    """Fit a BG/NBD model to customers' histories.

    frequency: orders after the first; recency, age: times from the first order to the last one and
    to the cutoff, in one unit; recency is 0 where frequency is. weight: how many customers have
    each history (None: one each). at_first: the modified model. All arrays of one length.
    Raises Refusal for fewer than 50 customers, nobody who came back, and impossible histories.
    """
    x, recency, age, _none = _histories(frequency, recency, age, 0.0)
    n = len(x) if weight is None else int(np.sum(weight))
    if n < FEWEST:
        raise TooLittleData("frequency", n, f"fewer than {FEWEST} customers", "take a longer span")
    if not (x > 0).any():
        raise TooLittleData("frequency", 0, "nobody ordered twice", "take a longer span")
    if weight is None:  # equal histories are one row
        rows, weight = np.unique(np.column_stack([x, recency, age]), axis=0, return_counts=True)
        x, recency, age = rows.T
    weight = np.asarray(weight, float)
    unit = float(weight @ age / n) / 30 or 1.0  # times are scaled so that starts mean the same
    recency, age = recency / unit, age / unit

    found = likeliest(
        lambda parameters: terms_of(parameters, x, recency, age, at_first),
        weight / weight.sum(),
        STARTS,
        EDGE,
    )
    r, alpha, a, b = found.parameters
    # Scaled times add x log(unit) to each term; the likelihood is told in the caller's unit.
    likelihood = found.mean_term * weight.sum() - np.log(unit) * (weight @ x)
    return BgNbd(r, alpha * unit, a, b, float(likelihood), found.converged, n, at_first)


def fit_better(frequency, recency, age, weight=None) -> BgNbd:
    """The plain model, or the modified one where that is clearly likelier.

    Both have four parameters. Clearly is by more than 3 in the log-likelihood (strong evidence by
    Kass and Raftery 1995, doi:10.1080/01621459.1995.10476572). Arguments and errors are those of
    `fit_bgnbd`.
    """
    plain, modified = (
        fit_bgnbd(frequency, recency, age, weight, at_first) for at_first in (False, True)
    )
    return modified if modified.log_likelihood > plain.log_likelihood + CLEARLY else plain


def frequency_table(
    orders: Table, cutoff: str | date | datetime, unit: str = "days", since=None
) -> Table:
    """What each customer's orders before a cutoff say: how often, how recently, how long.

    In: orders with customer_id, ordered_at. All orders of one day are one. `unit`: "days" or
    "weeks" (a week is 7 days; parts of it count). `since`: only customers whose first order day
    is not before that one's, as the model wants the true first order of everybody.
    Out: a row per customer with an order before the cutoff: customer_id, frequency (order days
    after the first), recency (from the first order day to the last), age (from the first order day
    to the last day before the cutoff), both in `unit`. Raises Refusal for another unit.
    """
    one_of("unit", unit, DAYS)
    end = instant(cutoff, "cutoff")
    day = _.ordered_at.epoch_seconds().floor().cast("int64") // 86_400
    known = orders.filter(_.ordered_at < ibis.literal(end), _.customer_id.notnull())
    days = known.select("customer_id", day=day).distinct()
    spans = days.group_by("customer_id").agg(
        frequency=_.count() - 1, first=_.day.min(), last=_.day.max()
    )
    if since is not None:
        spans = spans.filter(_["first"] >= _day_of(instant(since, "since")))
    scale = float(DAYS[unit])
    return spans.select(
        "customer_id",
        frequency=_.frequency.cast("int64"),
        recency=(_["last"] - _["first"]).cast("float64") / scale,
        age=(-_["first"] + _day_of(end - timedelta(microseconds=1))).cast("float64") / scale,
    )


def _day_of(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)).days


def _histories(frequency, recency, age, horizon) -> list[np.ndarray]:
    arrays = np.broadcast_arrays(
        *[np.atleast_1d(np.asarray(v, float)) for v in (frequency, recency, age, horizon)]
    )
    x, recency, age, horizon = arrays
    checks = {
        "frequency": (x >= 0) & np.isfinite(x),
        "recency": (recency >= 0) & (recency <= age) & ((x > 0) | (recency == 0)),
        "age": (age >= 0) & np.isfinite(age),
        "horizon": (horizon >= 0) & np.isfinite(horizon),
    }
    for (name, fine), value in zip(checks.items(), arrays, strict=True):
        if not fine.all():
            raise Refusal(
                name, float(value[~fine][0]), "not a possible history", "see frequency_table"
            )
    return [x, recency, age, horizon]


def terms_of(parameters, x, recency, age, at_first: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The log-likelihood of each history and its slopes in r, alpha, a and b: (n,) and (4, n).

    All in logarithms, so that large counts stay finite; sums of x alone are made once a count.
    """
    from scipy.special import expit, gammaln, psi

    r, alpha, a, b = parameters
    count, place = np.unique(x, return_inverse=True)
    passed = count + at_first  # how often they might have left
    of_count = gammaln(r + count) - gammaln(r) + gammaln(b + passed) - gammaln(a + b + passed)
    slopes = np.array(
        [
            psi(r + count) - psi(r),
            np.zeros(len(count)),
            psi(a + b) - psi(a + b + passed),
            psi(b + passed) - psi(a + b + passed) - psi(b) + psi(a + b),
        ]
    )[:, place]
    before = np.maximum(b + x + at_first - 1, np.finfo(float).tiny)  # used where some might leave
    might = x + at_first > 0
    to_end, to_last = np.log(alpha + age), np.log(alpha + recency)
    # How much likelier it is to have left at the last order than to be alive, as a logarithm.
    left = np.where(might, np.log(a) - np.log(before) + (r + x) * (to_end - to_last), -np.inf)
    gone = expit(left)
    terms = of_count[place] + gammaln(a + b) - gammaln(b) + r * np.log(alpha)
    terms += np.logaddexp(0, left) - (r + x) * to_end
    slopes[0] += np.log(alpha) - (1 - gone) * to_end - gone * to_last
    slopes[1] += r / alpha - (r + x) * ((1 - gone) / (alpha + age) + gone / (alpha + recency))
    slopes[2] += gone / a
    slopes[3] -= np.where(might, gone / before, 0.0)
    return terms, slopes
