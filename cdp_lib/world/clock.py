"""When people come: a step-wise intensity in time and the integrals of it that have a formula.

Time is counted in days from the start of the world. The intensity of a person with hour
preference p is rate · s_p(t) with s_p = season(day) · weekday(day) · hour_p(hour), constant within
each hour. A cart left at u and bought later is bought at u + delay, where the delay is a fixed
shift plus a mixture of two exponentials. A displaced Poisson process is Poisson, so every count
in a window is Poisson with an integral from this file as its mean:

    integral(p, t)             A(t) = ∫₀ᵗ s(u) du
    faded(k, p, since, t)      E_k  = ∫ s(u) exp(−(t−u)/mean_k) du          over [since, t)
    displaced(p, since, upto, t)    = ∫ s(u) G(t−u) du                      over [since, upto)

with G the distribution function of the delay.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from cdp_lib.world.law import HOUR_PREFERENCES, World

WEEKDAY = np.array([1.0, 0.94, 0.94, 0.98, 1.0, 1.04, 1.1])
HOUR_PEAKS = ((8.0, 18.5), (12.5, 20.0), (20.0, 21.5), (22.5, 13.0))  # by HOUR_PREFERENCES
HOUR_WIDTH = 2.2


def season(day_of_year: np.ndarray) -> np.ndarray:
    """The yearly factor of demand: a peak about the first of December, a dip in late July."""
    to_december = (day_of_year - 335 + 182.5) % 365 - 182.5
    to_july = (day_of_year - 206 + 182.5) % 365 - 182.5
    return 1 + 0.35 * np.exp(-((to_december / 16) ** 2)) - 0.15 * np.exp(-((to_july / 25) ** 2))


def hour_factors() -> np.ndarray:
    """Factor of each hour of the day for each hour preference, of mean 1."""
    hours = np.arange(24) + 0.5
    rows = []
    for first, second in HOUR_PEAKS:
        far = [(hours - peak + 12) % 24 - 12 for peak in (first, second)]
        row = 0.12 + sum(np.exp(-0.5 * (distance / HOUR_WIDTH) ** 2) for distance in far)
        row = row * np.where((hours > 1) & (hours < 6), 0.15, 1.0)
        rows.append(row / row.mean())
    return np.array(rows)


@dataclass(frozen=True)
class Clock:
    """The intensity and its tables at each full hour; see the module for the three integrals.

    `level[p, h]` is s in hour h, `total[p, h]` is A at the start of hour h, `memory[k, p, h]` is
    E_k there with since = 0.
    """

    start: datetime
    days: int
    level: np.ndarray
    total: np.ndarray
    memory: np.ndarray
    shift: float
    weights: np.ndarray
    means: np.ndarray

    def integral(self, preference: np.ndarray, t: np.ndarray) -> np.ndarray:
        """A(t): the mean number of events in [0, t) at rate 1 a day."""
        hour = self._hour(t)
        return self.total[preference, hour] + self.level[preference, hour] * (t - hour / 24)

    def invert(self, preference: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The t with A(t) = target."""
        knots = np.arange(self.total.shape[1]) / 24
        found = np.empty(len(target))
        for p in range(len(HOUR_PREFERENCES)):
            mine = preference == p
            found[mine] = np.interp(target[mine], self.total[p], knots)
        return found

    def faded(self, k: int, preference: np.ndarray, since, t) -> np.ndarray:
        """E_k(since, t): the intensity of the past, each moment faded by its age."""
        rate = 1 / self.means[k]
        gone = np.exp(-rate * np.maximum(t - since, 0))
        return self._memory(k, preference, t) - gone * self._memory(k, preference, since)

    def displaced(self, preference: np.ndarray, since, upto, t) -> np.ndarray:
        """Mean number of carts opened in [since, upto), at rate 1 a day, and due by t."""
        upto = np.maximum(np.minimum(upto, t - self.shift), since)
        age = np.maximum(t - self.shift - upto, 0)
        done = self.integral(preference, upto) - self.integral(preference, since)
        for k, weight in enumerate(self.weights):
            done = done - weight * np.exp(-age / self.means[k]) * self.faded(
                k, preference, since, upto
            )
        return done

    def delays(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n delays in days."""
        which = (rng.random(n) >= self.weights[0]).astype(int)
        return self.shift + self.means[which] * rng.standard_exponential(n)

    def _hour(self, t) -> np.ndarray:
        return np.clip((np.asarray(t, float) * 24).astype(np.int64), 0, self.level.shape[1] - 1)

    def _memory(self, k: int, preference: np.ndarray, t) -> np.ndarray:
        hour, mean = self._hour(t), self.means[k]
        fade = np.exp(-(t - hour / 24) / mean)
        level = self.level[preference, hour]
        return self.memory[k, preference, hour] * fade + level * mean * (1 - fade)


def clock(start: datetime, days: int, world: World) -> Clock:
    """The clock from `start` (a midnight) over `days` days."""
    dates = [start + timedelta(days=day) for day in range(days)]
    by_day = season(np.array([date.timetuple().tm_yday for date in dates]))
    by_day = by_day * (WEEKDAY / WEEKDAY.mean())[[date.weekday() for date in dates]]
    level = by_day[None, :, None] * hour_factors()[:, None, :]
    n = len(HOUR_PREFERENCES)
    total = np.zeros((n, days * 24 + 1))
    np.cumsum(level.reshape(n, -1) / 24, axis=1, out=total[:, 1:])
    means = np.array(world.delay_mean_days)
    memory = np.stack([_memory_at_hours(level, mean) for mean in means])
    shift, weights = world.delay_shift_hours / 24, np.array(world.delay_weights)
    flat = np.ascontiguousarray(level.reshape(n, -1))
    return Clock(start, days, flat, total, memory, shift, weights, means)


def _memory_at_hours(level: np.ndarray, mean: float) -> np.ndarray:
    """E at each hour: within a day a triangular product, from day to day a recursion."""
    n, days, _ = level.shape
    step = np.exp(-1 / 24 / mean)
    lag = np.arange(24)[:, None] - np.arange(24)[None, :]
    within = np.where(lag >= 0, step ** np.maximum(lag, 0), 0.0) * mean * (1 - step)
    fresh = level @ within.T  # what the day's own hours left, at the end of each hour
    carried = np.zeros((n, days + 1))
    for day in range(days):
        carried[:, day + 1] = carried[:, day] * step**24 + fresh[:, day, -1]
    ends = carried[:, :-1, None] * step ** np.arange(1, 25) + fresh
    return np.concatenate([np.zeros((n, 1)), ends.reshape(n, -1)], axis=1)
