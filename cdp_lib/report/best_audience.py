"""The best audience of a campaign: by measured uplift where it was tried, else by an assumption.

A campaign that has left with a holdout has shown whom it moved (`predict.uplift_study`). One that
has not can only be reckoned from what such customers bring without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cdp_lib.activate import yields
from cdp_lib.activate.yields import Best
from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.lift.uplift_policy import Costs
from cdp_lib.predict import uplift_source, uplift_study
from cdp_lib.report import uplift_ledger
from cdp_lib.report.prospects import Prospects
from cdp_lib.tables import Shop

MOST_UNITS = 20_000
FEWEST_UNITS = 400  # below it effects by customer are mostly chance


@dataclass(frozen=True)
class BestAudience:
    """campaign: its name. curve: of `yields.yield_table`. best: of `yields.best_size`, None where
    neither an experiment nor prospects tell. why: in words, on what it rests, or what lacks."""

    campaign: str
    curve: pd.DataFrame
    best: Best | None
    why: str

    @property
    def share(self) -> float:
        """The best share to contact; 0 where nobody is, or it cannot be told."""
        return 0.0 if self.best is None else self.best.share


def best_audience(
    shop: Shop,
    campaign: str,
    found: Prospects,
    raised: float = 0.1,
    contact_cost: float = 0.02,
    incentive: float = 0.0,
    margin_rate: float = 1.0,
) -> BestAudience:
    """The size of an audience that earns most.

    campaign: an experiment of the shop, or an audience of its ledger. Where there is none whose
    window is over, with `FEWEST_UNITS` units and more, the prospects in the order of their likeness
    are taken, and a contact is assumed to raise what they buy by `raised`. margin_rate:
    of revenue, where the experiment tells revenue alone.
    """
    try:
        one = _measured(shop, campaign, Costs(margin_rate, contact_cost, incentive))
    except (MissingTable, TooLittleData, Refusal) as lack:
        return _assumed(campaign, found, raised, contact_cost, incentive, lack)
    score = one.told.effect
    given = {"fold": one.told.fold, "ids": one.people, "n_now": len(one.rows.ids)}
    return BestAudience(
        campaign,
        yields.yield_table(one.profits, score, one.effects, **given),
        yields.best_size(one.profits, score, "measured", **given),
        f"Measured on {one.n:,} customers of this campaign, by models that had not seen them.",
    )


def _measured(shop: Shop, campaign: str, costs: Costs) -> uplift_study.UpliftStudy:
    drawn = uplift_ledger.drawn(shop)
    table = uplift_source.experiment_table(shop, drawn)
    usable = table[(table.experiment == campaign) & table.usable] if len(table) else table
    if not len(usable):
        raise TooLittleData(
            "campaign", campaign, "no experiment of it is over", "let it leave with a holdout"
        )
    rows = uplift_source.rows_of(shop, campaign, drawn=drawn, cap=MOST_UNITS)
    if len(rows.ids) < FEWEST_UNITS:
        raise TooLittleData(
            "campaign", campaign, f"{len(rows.ids)} units, and {FEWEST_UNITS} are needed",
            "wait for further waves",
        )  # fmt: skip
    return uplift_study.study(rows, costs)


def _assumed(
    campaign: str,
    found: Prospects,
    raised: float,
    contact_cost: float,
    incentive: float,
    lack: Refusal,
) -> BestAudience:
    if found.one is None:
        curve = pd.DataFrame(columns=["share", "n", "profit", "profit_low", "profit_high"])
        why = f"Not measured yet: {lack.problem}. And no prospects to reckon from: {found.why}."
        return BestAudience(campaign, curve, None, why)
    tested, n_now = found.one.tested, len(found.one.now)
    score = tested[f"score_{found.seed}"]
    profit = yields.assumed_profit(tested.margin, tested.n_orders, raised, contact_cost, incentive)
    return BestAudience(
        campaign,
        yields.yield_table(profit, score, raised * tested.n_orders, n_now),
        yields.best_size(profit, score, "assumed", n_now),
        f"Assumed, not measured ({lack.problem}): that a contact raises by {raised:.0%} what "
        "prospects brought without one. Whoever would buy anyway counts for no more than that, and "
        "only a holdout can tell whether those who buy most are moved most.",
    )
