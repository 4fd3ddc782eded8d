"""What treating some of the customers earns after costs, and which order of them to use, if any.

A policy says of each unit how likely it is to be treated. What it earns is the mean of the measured
effects on profit (`uplift_curves.measured`) of those it treats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, at_least, one_of
from cdp_lib.lift.uplift_curves import LEVEL, ends, share_within, standing, sums

WORDS = ("use uplift", "rank by response", "treat all", "treat none", "cannot tell")
UPLIFT, RESPONSE, RISK, RANDOM = "uplift", "response model", "churn risk alone", "random"
TESTED = (UPLIFT, RESPONSE)
"""The orders one would act on; the others are there to compare with."""


@dataclass(frozen=True)
class Costs:
    """What an outcome brings and a contact costs.

    value: money for one unit of the outcome: of a conversion its margin, of revenue the share of it
    that is margin. contact_cost: money for each unit treated. incentive: money given to each
    treated unit that has an outcome.
    """

    value: float = 1.0
    contact_cost: float = 0.0
    incentive: float = 0.0

    def __post_init__(self) -> None:
        above("value", self.value, 0)
        at_least("contact_cost", self.contact_cost, 0)
        at_least("incentive", self.incentive, 0)

    def profit(self, y: np.ndarray, treated: np.ndarray) -> np.ndarray:
        """The profit of each unit as it came, in money."""
        spent = self.contact_cost + self.incentive * (np.asarray(y) > 0)
        return self.value * np.asarray(y, float) - np.asarray(treated, float) * spent

    def least_effect(self, hit_rate: float) -> float:
        """The effect, in outcome, from which treating a unit pays. hit_rate: of treated units."""
        return (self.contact_cost + self.incentive * hit_rate) / self.value

    @property
    def free(self) -> bool:
        """Whether treating a unit costs nothing."""
        return self.contact_cost == 0 and self.incentive == 0


@dataclass(frozen=True)
class Decision:
    """word: one of `WORDS`. order: the order to treat in, None where none is to be used. sentence:
    why, in words. pays: whether treating everybody surely earns (True), loses (False), or None."""

    word: str
    order: str | None
    sentence: str
    pays: bool | None

    def __post_init__(self) -> None:
        one_of("word", self.word, WORDS)

    @property
    def targets(self) -> bool:
        """Whether a list of whom to treat may be offered."""
        return self.order is not None


def policy_table(
    effects: np.ndarray,
    profits: np.ndarray,
    predicted: np.ndarray,
    scores: Mapping[str, np.ndarray],
    least: float,
    budget: float = 0.2,
    fold: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    seed: int = 7,
) -> pd.DataFrame:
    """What each policy earns on units that no score has learned from, per 1,000 of them.

    effects, profits: measured effects on the outcome and on profit. predicted: effects by the
    model. scores: name -> a score a unit. least: the predicted effect from which one pays (treated
    by the policy "uplift, where it pays"). budget: share of units that an order may treat.

    Out: a row per policy: policy, contacted (share), outcome (gained per 1,000 units), profit with
    profit_low and profit_high (money per 1,000 units; 95 %), over_all with _low and _high (profit
    more than by treating everybody).
    """
    if not 0 < budget < 1:
        raise Refusal("budget", budget, "must lie in (0, 1)", "give a share, such as 0.2")
    chances = {
        "nobody": np.zeros(len(effects)),
        "everybody": np.ones(len(effects)),
        f"{UPLIFT}, where it pays": (predicted > least).astype(float),
    }
    for name, score in scores.items():
        chances[f"{name}, first {budget:.0%}"] = share_within(standing(score, fold), budget, fold)
    chances[f"{RANDOM}, {budget:.0%}"] = np.full(len(effects), budget)
    columns = [profits * chance for chance in chances.values()]
    whole, drawn = sums(1000 * np.column_stack(columns), ids, seed=seed)
    tail, rows = (1 - LEVEL) / 2, []
    for at, (name, chance) in enumerate(chances.items()):
        row = {
            "policy": name,
            "contacted": chance.mean(),
            "outcome": 1000 * (effects * chance).mean(),
        }
        for measure, value, values in (
            ("profit", whole[at], drawn[:, at]),
            ("over_all", whole[at] - whole[1], drawn[:, at] - drawn[:, 1]),
        ):
            low, high = ends(values, tail)
            row |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def decide(scores: pd.DataFrame, policies: pd.DataFrame) -> Decision:
    """Which order to use. In: `score_table` with the scores of TESTED, and `policy_table`.

    An order is of use when its qini surely lies above 0, both of TESTED being tested together; of
    two that are, the one with the larger qini; and when treating its first is not surely a loss.
    Where none is, no list is offered: treat all where that surely earns, none where it surely
    loses, and else one cannot tell.
    """
    table = scores.set_index("candidate")
    pays = _sign(policies, "everybody")
    sure = [name for name in TESTED if name in table.index and table.loc[name].qini_low > 0]
    if not sure:
        why = "No usable signal: no order of customers is surely better than a random one"
        if pays is None:
            more = "and whether treating everybody earns or loses is not clear yet"
            return Decision("cannot tell", None, f"{why}, {more}. Keep the holdout.", pays)
        word, told = ("treat all", "earns") if pays else ("treat none", "loses")
        return Decision(word, None, f"{why}. Treating everybody {told}.", pays)
    best = max(sure, key=lambda name: table.loc[name].qini)
    first = _sign(policies, f"{best}, first")
    if first is False:
        why = "Some lose less than others, but treating even the best of them costs more than it"
        return Decision("treat none", None, f"{why} brings.", pays)
    word = "use uplift" if best == UPLIFT else "rank by response"
    why = _why(table, best)
    if first is None:
        why += " Whether a contact pays for itself there is not clear yet."
    elif pays and not (policies.over_all_low > 0).any():
        why += " Where contacts have no limit, treating everybody earns no less."
    return Decision(word, best, why, pays)


def _sign(policies: pd.DataFrame, policy: str) -> bool | None:
    """Whether the policy of that name (or its beginning) surely earns, surely loses, or neither."""
    row = policies[policies.policy.str.startswith(policy)].iloc[0]
    return True if row.profit_low > 0 else (False if row.profit_high < 0 else None)


def _why(table: pd.DataFrame, best: str) -> str:
    told = {UPLIFT: "the effect expected", RESPONSE: "the outcome expected"}
    text = f"Ordering customers by {told[best]} finds those whom a contact moves"
    others = [name for name in TESTED if name != best and name in table.index]
    if not others:
        return f"{text}."
    other = table.loc[others[0]]
    far = other.qini_high < table.loc[best].qini_low
    return f"{text}; ordering by {told[others[0]]} does {'clearly ' if far else ''}worse."
