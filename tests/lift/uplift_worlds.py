"""Randomised experiments with known effects, for the tests of uplift."""

import numpy as np

from cdp_lib.lift.uplift_learners import Sheet


def sheet(x: np.ndarray, threads: int = 1) -> Sheet:
    return Sheet(x, tuple(f"f{i}" for i in range(x.shape[1])), ("q",) * x.shape[1], threads)


def world(n: int, seed: int, kind: str = "conversion", share: float = 0.5):
    """Covariates, arms, outcomes and true effects of n units.

    The outcome follows columns 0 and 1, the effect columns 3 to 5, so that an order by the outcome
    expected is no order by effect. kind: "conversion" (0 or 1) or "revenue" (heavy-tailed money).
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)).astype("float32")
    x[:, 3], x[:, 5] = rng.integers(0, 5, n), x[:, 5] > 0
    base = 1 / (1 + np.exp(2 - 0.9 * x[:, 0] - 0.6 * x[:, 1]))
    effect = 0.02 + 0.06 * np.tanh(x[:, 4]) + 0.06 * (x[:, 3] == 2) - 0.04 * x[:, 5]
    effect = np.clip(effect, -base, 1 - base)
    treated = rng.random(n) < share
    hit = rng.random(n) < base + effect * treated
    if kind == "conversion":
        return x, treated, hit.astype(float), effect
    basket = np.exp(3 + 0.4 * x[:, 1])
    money = basket * np.exp(0.6 * rng.normal(size=n) - 0.18)
    return x, treated, hit * money, effect * basket


def no_signal(n: int, seed: int):
    """An experiment whose effect is the same for everybody: nobody can be told from another.

    Every second one has no effect at all, every third is of heavy-tailed money.
    """
    rng = np.random.default_rng(10_000 + seed)
    x = rng.normal(size=(n, 6)).astype("float32")
    base = 0.03 + 0.9 / (1 + np.exp(2 - x[:, 0] - 0.5 * x[:, 1]))
    treated = rng.random(n) < 0.5
    hit = rng.random(n) < base + 0.03 * treated * (seed % 2)
    # Amounts are drawn apart from everything, so money's effect is one for all too.
    money = np.exp(3 + rng.normal(size=n)) if seed % 3 == 0 else 1.0
    return x, treated, hit * money, rng.permutation(n) % 6


def first_fifth(score: np.ndarray, effect: np.ndarray) -> float:
    """True effect gained per unit by treating the first fifth of an order."""
    chosen = np.argsort(-score, kind="stable")[: len(effect) // 5]
    return float(effect[chosen].sum() / len(effect))
