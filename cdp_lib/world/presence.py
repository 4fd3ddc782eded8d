"""Who is still there: the law of a life's end, given signs of life and the silence after them.

A person was alive at `last` and dies at T, exponential from there. Whatever was seen or not seen up
to `begin` has a likelihood that depends on T. `posterior` brings both together on a daily grid.
"""

import numpy as np

from cdp_lib.world.actions import rates
from cdp_lib.world.optout import opt_out_probability, sent_before
from cdp_lib.world.truth import Truth


def past_grid(begin: float, last: np.ndarray) -> np.ndarray:
    """Days −J … 0 relative to `begin`, back to before the earliest `last`."""
    return np.arange(-np.ceil(max(begin - last.min(initial=begin), 0)), 1.0)


def posterior(
    death_rate: np.ndarray, last: np.ndarray, begin: float, grid: np.ndarray, log_likely: np.ndarray
) -> np.ndarray:
    """Probability that T lies in each cell [grid, next) from `begin`, the last one endless.

    `log_likely` (n, grid) is the log of the likelihood of all that was seen if T is at the grid's
    moment. Returns shape (n, grid), rows of sum 1.
    """
    since = np.maximum(begin + grid[None] - last[:, None], 0.0)
    lives = np.exp(-death_rate[:, None] * since)
    likely = np.exp(log_likely - log_likely.max(axis=1, keepdims=True))
    mass = np.empty_like(likely)
    mass[:, :-1] = (lives[:, :-1] - lives[:, 1:]) * (likely[:, :-1] + likely[:, 1:]) / 2
    mass[:, -1] = lives[:, -1] * likely[:, -1]
    return mass / mass.sum(axis=1, keepdims=True)


def at_cells(grid: np.ndarray, rows: np.ndarray, when: np.ndarray, weight: np.ndarray, n: int):
    """Sum of `weight` by row and by the first grid moment at or after `when`: shape (n, grid)."""
    total = np.zeros((n, len(grid)))
    place = np.searchsorted(grid, when)
    inside = place < len(grid)
    np.add.at(total, (rows[inside], place[inside]), weight[inside])
    return total


def known_presence(truth: Truth, event: str, begin: float) -> np.ndarray:
    """Probability to be alive at `begin` by what is known for an event of an account.

    For all of them, that the account was opened at a moment, or was not; for opt-outs also the
    messages that did or did not bring one.
    """
    entry = np.minimum(truth.day("entered_at"), begin)
    opened = truth.day("account_at")
    owns = truth.number("existing") | (opened < begin)
    last = np.where(owns & ~truth.number("existing"), opened, entry)
    log = sent_before(truth, begin) if event in ("push_off", "unsubscribe") else None
    if log is not None:
        out = log[log["out_at"].notna()]
        np.maximum.at(last, out["person"].to_numpy(), out["at"].to_numpy())
    grid = past_grid(begin, last)
    silent = np.zeros((len(last), len(grid)))
    if not owns.all():
        silent[~owns] = _no_sign_up(truth, entry, begin + grid)[~owns]
    if log is not None:
        stays = log[(log["at"].to_numpy() > last[log["person"]])]
        factor = np.log1p(-opt_out_probability(truth.world, stays["recent"].to_numpy()))
        when, who = stays["at"].to_numpy() - begin, stays["person"].to_numpy()
        silent += at_cells(grid, who, when, factor, len(last)).cumsum(axis=1)
    return posterior(truth.number("death_rate"), last, begin, grid, silent)[:, -1]


def _no_sign_up(truth: Truth, entry: np.ndarray, upto: np.ndarray) -> np.ndarray:
    """Log of the probability of no sign-up from the arrival up to each moment."""
    rate, hour, time = rates(truth, "sign_up"), truth.hours()[:, None], truth.clock
    since, upto = entry[:, None], np.maximum(upto[None], entry[:, None])
    mean = rate.direct[:, None] * (time.integral(hour, upto) - time.integral(hour, since))
    mean += rate.back_only[:, None] * time.displaced(hour, since, upto, upto)
    return -truth.number("visit_rate")[:, None] * mean
