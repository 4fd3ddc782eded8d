"""How precisely the parameters of the value models are known.

The covariance is the sandwich of Huber and White (White 1982, doi:10.2307/1912526), in the
logarithms of the parameters: it holds for the best parameters also where the model is not the
law that made the data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cdp_lib.customers import spend, value
from cdp_lib.customers.spend import GammaGamma
from cdp_lib.customers.value import BgNbd

STEP = 1e-4


def of_bgnbd(model: BgNbd, frequency, recency, age, weight) -> np.ndarray:
    """The (4, 4) covariance of log r, log alpha, log a and log b. Arrays as for `fit_bgnbd`."""
    parts = [np.asarray(part, float) for part in (frequency, recency, age)]
    logs = np.log(model.parameters)
    return _sandwich(
        lambda at: value.terms_of(np.exp(at), *parts, model.at_first)[1] * np.exp(at)[:, None],
        logs,
        weight,
    )


def of_gamma_gamma(model: GammaGamma, n_orders, mean_value, weight) -> np.ndarray:
    """The (3, 3) covariance of log p, log q and log gamma. Arrays as for `fit_gamma_gamma`."""
    parts = [np.asarray(part, float) for part in (n_orders, mean_value)]
    logs = np.log([model.p, model.q, model.gamma])
    return _sandwich(
        lambda at: spend.terms_of(np.exp(at), *parts)[1] * np.exp(at)[:, None], logs, weight
    )


def _sandwich(slopes: Callable[[np.ndarray], np.ndarray], logs: np.ndarray, weight) -> np.ndarray:
    weight = np.asarray(weight, float)
    here = slopes(logs)
    meat = (here * weight) @ here.T
    bread = np.empty((len(logs), len(logs)))
    for i in range(len(logs)):
        step = np.zeros(len(logs))
        step[i] = STEP
        bent = (slopes(logs + step) - slopes(logs - step)) * weight
        bread[i] = bent.sum(axis=1) / (2 * STEP)
    # A direction without any curvature (a parameter that ran off) tells nothing and is left out.
    inverse = np.linalg.pinv(-(bread + bread.T) / 2, rcond=1e-9, hermitian=True)
    return inverse @ meat @ inverse
