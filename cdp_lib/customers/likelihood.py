"""The largest likelihood of a few positive parameters, and whether it was really found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ALIKE = 1e-7  # of a mean term: two starts that end this near each other agree


@dataclass(frozen=True)
class Likeliest:
    """parameters: where the likelihood is largest. mean_term: the mean of its terms there.
    converged: whether two starts agree, and no parameter ran off to an edge."""

    parameters: tuple[float, ...]
    mean_term: float
    converged: bool


def likeliest(
    terms: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    share: np.ndarray,
    starts: Sequence[Sequence[float]],
    edge: float,
) -> Likeliest:
    """Maximise a mean log-likelihood over positive parameters.

    terms: parameters -> the log-likelihood of each row, and its slopes (a row per parameter).
    share: the weight of each row, which sum to 1. starts: tried in turn until two agree.
    edge: the logarithms of the parameters are sought in [-edge, edge].
    """
    from scipy import optimize
    from threadpoolctl import threadpool_limits

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        each, slopes = terms(np.exp(logs))
        return -float((share * each).sum()), -(slopes * share).sum(axis=1) * np.exp(logs)

    found: list = []
    for start in starts:
        # Threads of the linear algebra cost more than they save on a few numbers.
        with threadpool_limits(1):
            found.append(
                optimize.minimize(
                    loss, np.log(start), jac=True, method="L-BFGS-B",
                    bounds=[(-edge, edge)] * len(start),
                    options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500},
                )
            )  # fmt: skip
        best = min(found, key=lambda result: result.fun)
        agree = sum(result.fun - best.fun < ALIKE for result in found) >= 2
        if agree:
            break
    inside = bool((np.abs(best.x) < edge - 0.1).all())
    return Likeliest(tuple(map(float, np.exp(best.x))), -float(best.fun), agree and inside)
