"""Shares of few tries, pulled towards the share that is usual: the beta-binomial law.

Somebody with k hits in n tries has a share of their own, drawn from Beta(mean · weight,
(1 − mean) · weight). Both parameters are those under which the counts seen are likeliest
(Skellam 1948). `weight` is in tries: how many of its own it takes to count as much as the usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdp_lib.checks import TooLittleData

LEAST_WEIGHT = 0.05  # tries; below it a single hit would settle everything
_SURE = 2.7055434540954  # 5 % of the half-half law of a likelihood ratio at the edge (Self, Liang)


@dataclass(frozen=True)
class Prior:
    """What is usual, and how far units differ from it.

    mean: the usual share. mean_se: its standard error. weight: tries that it counts as. n_units,
    n_tries, n_hits: what it was fitted to. differ: whether units differ beyond chance (likelihood
    ratio, 5 %); where they don't, `weight` is all tries there are, so that everybody has the mean.
    """

    mean: float
    mean_se: float
    weight: float
    n_units: int
    n_tries: float
    n_hits: float
    differ: bool

    def posterior(self, hits, tries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The share of units with so many hits in so many tries: mean, low and high (95 %)."""
        from scipy.special import betaincinv

        hits, tries = np.asarray(hits, float), np.asarray(tries, float)
        a = self.mean * self.weight + hits
        b = (1 - self.mean) * self.weight + tries - hits
        return a / (a + b), betaincinv(a, b, 0.025), betaincinv(a, b, 0.975)


def fit(hits, tries, n_units=None) -> Prior:
    """The prior by maximum likelihood. hits, tries: counts, fractions allowed; n_units: how many
    units have these counts (1 each where None). Raises TooLittleData without a try.
    """
    from scipy.optimize import minimize

    hits, tries = np.asarray(hits, float), np.asarray(tries, float)
    times = np.ones(len(hits)) if n_units is None else np.asarray(n_units, float)
    # In an order of their own: an engine's would change the last digits from run to run.
    order = np.lexsort((times, hits, tries))
    order = order[tries[order] > 0]
    hits, tries, times = hits[order], tries[order], times[order]
    n, k = float(times @ tries), float(times @ hits)
    if n <= 0:
        raise TooLittleData("tries", 0, "nothing to learn from", "wait until there is one")
    units, pooled = int(times.sum()), (k + 0.5) / (n + 1)
    top = max(n, 2.0)

    def loss(at) -> float:
        mean, weight = _expit(at[0]), np.exp(at[1])
        return -float(times @ _log_likelihood(hits, tries, mean, weight))

    bounds = [(-14.0, 14.0), (np.log(LEAST_WEIGHT), np.log(top))]
    starts = [(_logit(pooled), np.log(np.clip(w, LEAST_WEIGHT, top))) for w in (0.5, 5.0, 100.0)]
    found = min(
        (minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts),
        key=lambda one: one.fun,
    )
    alike = -float(times @ (hits * np.log(pooled) + (tries - hits) * np.log1p(-pooled)))
    differ = bool(2 * (alike - found.fun) > _SURE)
    at = found.x if differ else np.array([_logit(pooled), np.log(top)])
    mean, step = _expit(at[0]), np.array([1e-3, 0.0])
    bend = (loss(at + step) - 2 * loss(at) + loss(at - step)) / step[0] ** 2
    se = mean * (1 - mean) / np.sqrt(bend) if bend > 0 else float("nan")
    return Prior(float(mean), float(se), float(np.exp(at[1])), units, n, k, differ)


def _log_likelihood(hits, tries, mean: float, weight: float) -> np.ndarray:
    from scipy.special import betaln

    a, b = mean * weight, (1 - mean) * weight
    return betaln(a + hits, b + tries - hits) - betaln(a, b)


def _expit(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def _logit(p: float) -> float:
    return float(np.log(p) - np.log1p(-p))
