"""What an audience of each size earns, and the best size.

A contact earns what it changes: whoever would have bought anyway earns nothing more, and takes the
incentive. Two sources, and the second is marked wherever it is used:

- *measured*: an experiment of the campaign gives each unit a measured effect
  (`lift.uplift_curves.measured`); the mean of it over some units is what contacting them changed.
- *assumed*: without one, customers who were not contacted show what comes anyway, and an assumption
  says by how much a contact raises it (`assumed_profit`). It favours those who buy most; that they
  are moved most is just what only an experiment can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, at_least, one_of
from cdp_lib.lift.uplift_curves import ends, share_within, standing, sums

SOURCES = ("measured", "assumed")
SHARES = tuple(round(float(share), 3) for share in np.r_[0.01, 0.02, np.linspace(0.05, 1, 20)])


@dataclass(frozen=True)
class Best:
    """The best size of an audience.

    share: of the customers, in the order of their scores; 0 is nobody. n: that many of those to
    choose from. profit, low, high: money earned by it over contacting nobody, with its 95 %
    interval, judged on other customers than those whose curve chose the size. all_profit,
    all_low, all_high: by contacting everybody. word: "contact", where it surely earns; "nobody",
    where no size earns on the curve; else "cannot tell". source: of `SOURCES`.
    """

    share: float
    n: int
    profit: float
    low: float
    high: float
    all_profit: float
    all_low: float
    all_high: float
    word: str
    source: str


def assumed_profit(
    margin: np.ndarray,
    n_orders: np.ndarray,
    raised: float,
    contact_cost: float = 0.0,
    incentive: float = 0.0,
) -> np.ndarray:
    """The profit of contacting each customer, if a contact raises what they buy by a share.

    margin, n_orders: what each brought in a window without the contact. raised: 0.1 is a tenth
    more of both. incentive: money for each order, also for those that come anyway.
    """
    above("raised", raised, -1)
    at_least("contact_cost", contact_cost, 0)
    at_least("incentive", incentive, 0)
    margin, n_orders = np.asarray(margin, float), np.asarray(n_orders, float)
    return raised * margin - incentive * (1 + raised) * n_orders - contact_cost


def yield_table(
    profit: np.ndarray,
    score: np.ndarray,
    outcome: np.ndarray | None = None,
    n_now: int | None = None,
    fold: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    n_boot: int = 500,
    seed: int = 7,
) -> pd.DataFrame:
    """What contacting the first share by score earns.

    profit: of contacting each unit, in money (measured or assumed). outcome: what it changes in
    each, such as conversions. n_now: customers to choose from, to whom all is put (None: the units
    themselves). fold: of scores by several models. ids: the person of each row.
    Out: a row per share of `SHARES`: share, n, profit, profit_low, profit_high (money in all; 95 %
    by drawing people), marginal (profit of one more contact there), and with an outcome: gained,
    gained_low, gained_high. Raises Refusal for unlike or empty input.
    """
    profit, score = _checked(profit, score)
    size = len(profit) if n_now is None else n_now
    inside = share_within(standing(score, fold), SHARES, fold)
    table = pd.DataFrame({"share": SHARES, "n": [share * size for share in SHARES]})
    for name, value in (("profit", profit), ("gained", outcome)):
        if value is None:
            continue
        value = np.asarray(value, float)
        if value.shape != profit.shape:
            raise Refusal("outcome", value.shape, f"not one for each of {len(profit)}", "give one")
        whole, drawn = sums(value[:, None] * inside, ids, n_boot, seed)
        low, high = ends(drawn, 0.025)
        table[name], table[f"{name}_low"] = whole * size, low * size
        table[f"{name}_high"] = high * size
    steps = np.diff(np.r_[0.0, table.profit]) / np.diff(np.r_[0.0, table.n])
    table.insert(table.columns.get_loc("profit_high") + 1, "marginal", steps)
    return table


def best_size(
    profit: np.ndarray,
    score: np.ndarray,
    source: str,
    n_now: int | None = None,
    fold: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    n_boot: int = 500,
    seed: int = 7,
) -> Best:
    """The size that earns most, and what it earns.

    The highest point of a curve is partly luck. So people are halved, each half chooses the size
    for the other, and the profit is that of the sizes so chosen. In: as `yield_table`.
    """
    one_of("source", source, SOURCES)
    profit, score = _checked(profit, score)
    size = len(profit) if n_now is None else n_now
    order = standing(score, fold)
    inside = np.column_stack([np.zeros(len(order)), share_within(order, SHARES, fold)])
    sizes = np.r_[0.0, SHARES]
    people = np.arange(len(profit)) if ids is None else pd.factorize(np.asarray(ids))[0]
    rng = np.random.default_rng(seed)
    half = (rng.permutation(int(people.max()) + 1) % 2)[people]
    chance = np.zeros(len(profit))
    for mine in (0, 1):
        curve = (profit[half != mine, None] * inside[half != mine]).sum(axis=0)
        chance[half == mine] = inside[half == mine, int(np.argmax(curve))]
    whole, drawn = sums(np.column_stack([profit * chance, profit]), ids, n_boot, seed)
    low, high = ends(drawn, 0.025)
    share = float(sizes[int(np.argmax((profit[:, None] * inside).sum(axis=0)))])
    word = "nobody" if share == 0 else "contact" if low[0] > 0 else "cannot tell"
    return Best(
        share, round(share * size), *(float(v[0] * size) for v in (whole, low, high)),
        *(float(v[1] * size) for v in (whole, low, high)), word, source,
    )  # fmt: skip


def _checked(profit, score) -> tuple[np.ndarray, np.ndarray]:
    profit, score = np.asarray(profit, float), np.asarray(score, float)
    if not len(profit) or profit.shape != score.shape:
        raise Refusal("score", score.shape, f"not one for each of {len(profit)} units", "give one")
    for name, value in (("profit", profit), ("score", score)):
        if not np.isfinite(value).all():
            raise Refusal(name, float("nan"), "holds a value that is no number", "leave it out")
    return profit, score
