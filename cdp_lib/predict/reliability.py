"""Whether probabilities mean what they say: bins, calibration error, and the calibration line.

The line is the logistic regression logit P(y = 1) = intercept + slope * logit(p). Source: Van
Calster et al. (2019) doi:10.1186/s12916-019-1466-7.
"""

import numpy as np

N_BINS = 10
EDGE = 1e-6  # probabilities nearer to 0 or 1 than this are taken as this far away in a logit


def equal_bins(p, n_bins: int = N_BINS) -> np.ndarray:
    """The bin of each row, from 0, by rising p: equal numbers, equal values always together."""
    p = np.asarray(p, float)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, p, side="left"), return_inverse=True)[1]


def bin_gaps(weights: np.ndarray, gap: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Sum of `gap` (observed less predicted) of each bin over all weight: (samples, bins)."""
    inside = np.equal.outer(bins, np.arange(bins.max() + 1)) * gap[:, None]
    return weights @ inside / weights.sum(axis=1, keepdims=True)


def ece_floor(p: np.ndarray, bins: np.ndarray) -> float:
    """The calibration error that chance alone gives a perfectly calibrated p in such bins.

    A bin's count of outcomes has spread s = sqrt(sum p(1 - p)), and E|N(0, s)| = s sqrt(2/pi).
    """
    spread = np.sqrt(np.bincount(bins, p * (1 - p)))
    return float(np.sqrt(2 / np.pi) * spread.sum() / len(p))


class Line:
    """The calibration line of one set of rows, and of bootstrap samples of it.

    `slope` is that of the regression above; `intercept` is the intercept with the slope held at
    1, which compares the mean of p with the share of outcomes. NaN where undefined: one class
    only, one probability for all (the slope), or classes that p separates fully (the slope).
    """

    def __init__(self, y: np.ndarray, p: np.ndarray) -> None:
        kept = np.clip(p, EDGE, 1 - EDGE)
        self.y, self.logit = y, np.log(kept) - np.log1p(-kept)
        self._one = np.ones((1, len(y)))
        self._start, self.slope = self._fit_slope()
        self.intercept = self._fit_intercept()

    def slopes(self, weights: np.ndarray) -> np.ndarray:
        """The slope of each sample, by one Newton step from the slope of all rows.

        The step differs from a full fit by a term of the order 1/n.
        """
        if np.isnan(self.slope):
            return np.full(len(weights), np.nan)
        return self._step(weights, self._start, self.slope)[1]

    def intercepts(self, weights: np.ndarray) -> np.ndarray:
        """The intercept of each sample, by one Newton step from that of all rows."""
        return self.intercept + self._shift(weights, self.intercept)

    def _fit_slope(self) -> tuple[float, float]:
        start, slope = 0.0, 1.0
        if np.ptp(self.logit) == 0 or np.ptp(self.y) == 0:
            return np.nan, np.nan
        for _ in range(50):
            old = slope
            start, slope = (float(part[0]) for part in self._step(self._one, start, slope))
            if not (np.isfinite(slope) and abs(slope) < 1e3):
                return np.nan, np.nan
            if abs(slope - old) < 1e-10:
                return start, slope
        return np.nan, np.nan

    def _fit_intercept(self) -> float:
        if np.ptp(self.y) == 0:
            return np.nan
        start = 0.0
        for _ in range(100):
            # Steps of at most 2 keep Newton from overshooting where p is far off.
            move = float(np.clip(self._shift(self._one, start)[0], -2, 2))
            start += move
            if abs(move) < 1e-10:
                return start
        return np.nan

    def _step(self, weights, start, slope) -> tuple[np.ndarray, np.ndarray]:
        told = _logistic(start + slope * self.logit)
        miss, bend = self.y - told, told * (1 - told)
        x = self.logit
        sums = weights @ np.column_stack([miss, miss * x, bend, bend * x, bend * x * x])
        g0, g1, h00, h01, h11 = sums.T
        with np.errstate(invalid="ignore", divide="ignore"):
            size = h00 * h11 - h01**2
            return start + (h11 * g0 - h01 * g1) / size, slope + (h00 * g1 - h01 * g0) / size

    def _shift(self, weights, start) -> np.ndarray:
        told = _logistic(start + self.logit)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (weights @ (self.y - told)) / (weights @ (told * (1 - told)))


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))
