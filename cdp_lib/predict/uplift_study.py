"""One experiment from end to end: whom does the treatment move, how sure is that, what to do.

A study holds what is said of units by models that had not seen them, and what was measured of
it. Each function here is one section of a page: it takes the study and returns a plain table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal
from cdp_lib.lift import uplift_curves, uplift_groups, uplift_policy
from cdp_lib.lift.gates import FAIL
from cdp_lib.lift.uplift import Foretold, Uplift, fit, foretold
from cdp_lib.lift.uplift_policy import RESPONSE, RISK, TESTED, UPLIFT, Costs, Decision
from cdp_lib.predict.explain import importance_table, point_table
from cdp_lib.predict.study import Reading
from cdp_lib.predict.uplift_rows import UpliftRows, sheet

MOST_EXPLAINED = 4_000


@dataclass(frozen=True, eq=False)
class UpliftStudy:
    """What an experiment says about whom to treat.

    rows: the units. costs: what an outcome brings and a contact costs. budget: share of customers
    that an order may treat. told: what is said of units by models that have not seen them; these
    units, two thirds of all, are judged. seed: of the draws.
    """

    rows: UpliftRows
    costs: Costs
    budget: float
    told: Foretold
    seed: int

    @property
    def n(self) -> int:
        """Units that are judged."""
        return len(self.told.at)

    @cached_property
    def people(self) -> np.ndarray | None:
        """The person of each judged unit, None where everybody has one."""
        ids = self.rows.ids[self.told.at]
        return None if len(set(ids)) == len(ids) else ids

    @cached_property
    def effects(self) -> np.ndarray:
        """The measured effect of each judged unit on the outcome."""
        y, treated, share = self._seen
        return uplift_curves.measured(y, treated, share, self.told.foreseen(share))

    @cached_property
    def profits(self) -> np.ndarray:
        """The measured effect of each judged unit on profit, in money."""
        (y, treated, share), costs = self._seen, self.costs
        # What a treated unit is expected to cost is foreseen too.
        spent = costs.least_effect(self.hit_rate) * costs.value * (1 - share)
        foreseen = costs.value * self.told.foreseen(share) - spent
        return uplift_curves.measured(costs.profit(y, treated), treated, share, foreseen)

    @property
    def _seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, at = self.rows, self.told.at
        return rows.outcome[at], rows.treated[at], rows.share[at]

    @property
    def hit_rate(self) -> float:
        """The share of the treated with an outcome above 0."""
        return float((self.rows.outcome[self.rows.treated] > 0).mean())

    @cached_property
    def candidates(self) -> dict[str, np.ndarray]:
        """The orders to compare: name -> a score a unit, the highest treated first."""
        return {
            UPLIFT: self.told.effect,
            RESPONSE: self.told.foreseen(self._seen[2]),
            RISK: -self.told.untreated,
        }

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Each order beside a random one; see `uplift_curves.score_table`."""
        return uplift_curves.score_table(
            self.effects, self.candidates, self.told.fold, self.people,
            tested=len(TESTED), seed=self.seed,
        )  # fmt: skip

    @cached_property
    def policies(self) -> pd.DataFrame:
        """What each policy earns; see `uplift_policy.policy_table`."""
        return uplift_policy.policy_table(
            self.effects, self.profits, self.told.effect, self.candidates, self.least,
            self.budget, self.told.fold, self.people, self.seed,
        )  # fmt: skip

    @property
    def least(self) -> float:
        """The effect, in outcome, from which a contact pays."""
        return self.costs.least_effect(self.hit_rate)

    @cached_property
    def decision(self) -> Decision:
        """Which order of customers to use, if any."""
        return uplift_policy.decide(self.scores, self.policies)

    @cached_property
    def model(self) -> Uplift:
        """A model learned from all units, for customers to come."""
        rows = self.rows
        return fit(rows.sheet(), rows.treated, rows.outcome, rows.share, self.seed)

    @property
    def average(self) -> tuple[float, float, float]:
        """The effect of treating one of them, with its 95 % interval."""
        whole, drawn = uplift_curves.sums(self.effects[:, None], self.people, seed=self.seed)
        low, high = uplift_curves.ends(drawn[:, 0], 0.025)
        return float(whole[0]), low, high


def study(
    rows: UpliftRows, costs: Costs | None = None, budget: float = 0.2, seed: int = 7
) -> UpliftStudy:
    """Learn effects from the units of an experiment and hold them against what was measured.

    rows: of `uplift_rows.from_units` or `from_shop`. Raises Refusal where the arms are not of the
    sizes that were drawn, TooLittleData where an arm or the outcomes are too few.
    """
    if rows.gate.status == FAIL:
        raise Refusal("experiment", rows.experiment, rows.gate.detail, "find out who got lost")
    told = foretold(rows.sheet(), rows.treated, rows.outcome, rows.share, rows.fold, seed)
    return UpliftStudy(rows, costs or Costs(), budget, told, seed)


def curves(one: UpliftStudy) -> pd.DataFrame:
    """What treating the first share of each order gains; see `uplift_curves.curve_table`."""
    return uplift_curves.curve_table(
        one.effects, one.candidates, one.told.fold, one.people, seed=one.seed
    )


def calibration(one: UpliftStudy, n_groups: int = 5) -> pd.DataFrame:
    """Predicted beside measured effects; see `uplift_groups.calibration_table`."""
    return uplift_groups.calibration_table(
        one.effects, one.told.effect, one.told.fold, one.people, n_groups, one.seed
    )


def slope(one: UpliftStudy) -> tuple[float, float, float]:
    """How far measured effects follow the predicted ones; see `uplift_groups.slope`."""
    return uplift_groups.slope(one.effects, one.told.effect, one.people, one.seed)


def groups(one: UpliftStudy) -> pd.DataFrame:
    """The four groups and how certain each is; see `uplift_groups.group_table`.

    An effect counts from the one that pays for a contact; where a contact is free, from half of the
    average. Without a usable order of effects nobody is grouped: the table is empty.
    """
    rows = one.rows
    if one.decision.order != UPLIFT:
        return uplift_groups.group_table(np.array([]), *[np.array([])] * 2, None, 0.0)
    least = one.least if not one.costs.free else abs(one.average[0]) / 2
    likely = float(np.average(rows.outcome, weights=~rows.treated))
    fold, seed = rows.folds(one.seed + 1), one.seed + 1
    other = foretold(rows.sheet(), rows.treated, rows.outcome, rows.share, fold, seed)
    group, renewed = (
        uplift_groups.group_of(found.effect, found.untreated, least, likely)
        for found in (one.told, other)
    )
    again = np.full(len(rows.ids), "", dtype=object)
    again[other.at] = renewed
    chance = one.told.untreated if rows.metric.kind == "conversion" else None
    return uplift_groups.group_table(
        group, one.effects, one.told.effect, chance, least, again[one.told.at], one.people, one.seed
    )


def reading(one: UpliftStudy) -> Reading:
    """What goes with a larger or smaller effect; empty where there is no usable order of effects.

    Out: `importance` and `points` as of `explain`, contributions being in units of the outcome.
    """
    from shap import Explanation

    if one.decision.order != UPLIFT:
        columns = ["feature", "meaning", "group", "mean_abs", "share", "direction"]
        points = ["feature", "meaning", "rank", "contribution"]
        return Reading(pd.DataFrame(columns=columns), pd.DataFrame(columns=points))
    rows = one.rows
    table = rows.table.iloc[:MOST_EXPLAINED]
    part = sheet(rows.columns, table)
    values, base = one.model.contributions(part)
    found = Explanation(
        values=values, base_values=base, data=part.x.astype(float), feature_names=list(part.names)
    )
    return Reading(importance_table(found, rows.features), point_table(found, rows.features))


def target_list(one: UpliftStudy, table: Table | pd.DataFrame | None) -> pd.DataFrame:
    """Whom to treat among some customers, best first, by the order that the study chose.

    In: customer_id and the study's covariates, a row per customer. Out: customer_id, score (the
    effect or outcome expected), at most the budget's share of them and, by uplift, only those whom
    a contact pays for. It is empty where no order is to be used, or no table is given.
    """
    decided = one.decision
    if not decided.targets or table is None:
        return pd.DataFrame(columns=["customer_id", "score"])
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    read = sheet(one.rows.columns, frame)
    if decided.order == UPLIFT:
        score = one.model.effect(read)
    else:
        untreated, treated = one.model.outcome(read)
        score = (untreated + treated) / 2
    listed = pd.DataFrame({"customer_id": frame["customer_id"].astype(str), "score": score})
    listed = listed.sort_values(["score", "customer_id"], ascending=[False, True])
    listed = listed.head(int(one.budget * len(frame)))
    if decided.order == UPLIFT:
        listed = listed[listed["score"] > one.least]
    return listed.reset_index(drop=True)
