"""From scores to probabilities: a logistic regression on the log odds of customers held apart.

Platt (1999); as a shift and a slope of the log odds, Cox (1958) doi:10.2307/2333203.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdp_lib.predict.logistic import log_loss


@dataclass(frozen=True)
class Calibration:
    """probability = logistic(intercept + slope · log odds). kind: "none" (0 and 1), "shift"
    (slope 1) or "shift and slope"."""

    intercept: float
    slope: float
    kind: str

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Probabilities of log odds."""
        return expit(self.intercept + self.slope * margin)


NONE = Calibration(0.0, 1.0, "none")


def calibrate(margin: np.ndarray, label: np.ndarray) -> Calibration:
    """The calibration that the rows ask for: none, a shift, or a shift and a slope.

    Each further number must lower Akaike's criterion, so nothing is corrected where nothing is
    off; a slope is never turned round.
    """
    if len(np.unique(label)) < 2:
        return NONE
    shift = newton(np.ones((len(margin), 1)), margin, label)
    both = newton(np.column_stack([np.ones(len(margin)), margin]), np.zeros(len(margin)), label)
    options = [NONE, Calibration(float(shift[0]), 1.0, "shift")]
    if both is not None and both[1] > 0:
        options.append(Calibration(float(both[0]), float(both[1]), "shift and slope"))
    costs = [
        len(margin) * log_loss(label, c.intercept + c.slope * margin) + n
        for n, c in enumerate(options)
    ]
    return options[int(np.argmin(costs))]


def newton(x: np.ndarray, offset: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Coefficients of a logistic regression with an offset, by damped Newton steps."""
    beta = np.zeros(x.shape[1])
    loss = log_loss(label, offset + x @ beta)
    for _ in range(100):
        p = expit(offset + x @ beta)
        slope = x.T @ (label - p)
        bend = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(bend, slope)
        while True:
            better = log_loss(label, offset + x @ (beta + step))
            if better <= loss or np.abs(step).max() < 1e-12:
                break
            step = step / 2
        beta, done = beta + step, np.abs(step).max() < 1e-10
        loss = better
        if done:
            break
    return beta


def expit(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), without overflow."""
    z = np.asarray(z, dtype="float64")
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))
