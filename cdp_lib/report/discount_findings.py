"""Sentences and tables on discounts: who needs one, and what was given to those who don't."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cdp_lib.customers import discounts, given_away
from cdp_lib.customers.discounts import Discounts
from cdp_lib.customers.given_away import GivenAway
from cdp_lib.lift import shop_units
from cdp_lib.lift.experiment import declared
from cdp_lib.lift.readout import Readout, readout
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing
from cdp_lib.tables import Shop

ADVICE = {
    0: "no discount: they pay the full price",
    1: "seldom: try without first",
    2: "only where an experiment says that it pays",
    3: "they buy little without: a discount, tested against a holdout",
}


@dataclass(frozen=True, eq=False)
class DiscountStudy:
    """What the pages on discounts show.

    habits: of `discounts.read`. given: of `given_away.inferred`. bands: of
    `given_away.by_affinity`. measured: of `given_away.measured`; empty where no experiment has a
    discount. currency.
    """

    habits: Discounts
    given: GivenAway
    bands: pd.DataFrame
    measured: pd.DataFrame
    currency: str


def campaigns(shop: Shop, without: str = "") -> list[Readout]:
    """The shop's own experiments read out by intention to treat, but for the one named `without`.

    None where the shop has no assignments or no orders.
    """
    if not (shop.has("assignments") and shop.has("orders")):
        return []
    known = shop_units.own(shop, declared(shop.experiments))
    wanted = [one for name, one in known.items() if name != without]
    return [readout(found) for found in shop_units.collect(shop, wanted)] if wanted else []


def study(shop: Shop, readouts: list[Readout] | None = None, days: float = 365.0) -> DiscountStudy:
    """The discounts of a shop. readouts: of `campaigns`. Raises as `discounts.read`."""
    habits = discounts.read(shop)
    lifts = _lifts(readouts or [])
    # Without a read-out the shop may have no experiments at all.
    told = _with_discounts(shop, readouts) if len(lifts) else None
    measured = pd.DataFrame() if told is None else given_away.measured(told, lifts)
    given, bands = (f(shop, habits, days) for f in (given_away.inferred, given_away.by_affinity))
    return DiscountStudy(habits, given, bands, measured, shop.currency)


def _with_discounts(shop: Shop, readouts: list[Readout]) -> pd.DataFrame:
    """The discounts of the experiments, each within the window that it is read out over."""
    windows = {one.experiment.experiment_id: one.experiment.window_days for one in readouts}
    parts = []
    for days in sorted(set(windows.values())):
        table = given_away.by_experiment(shop, days)
        parts.append(table[table.experiment_id.map(windows) == days])
    return pd.concat(parts, ignore_index=True)


def _lifts(readouts: list[Readout]) -> pd.DataFrame:
    """The relative lifts of orders: experiment_id, arm, control, rel_lift, rel_low, rel_high."""
    columns = ["experiment_id", "arm", "control", "rel_lift", "rel_low", "rel_high"]
    parts = [
        one.effects[one.effects.metric == "orders"].assign(
            experiment_id=one.experiment.experiment_id, control=one.control
        )
        for one in readouts
        if len(one.effects) and all(v.word != "refused" for v in one.verdicts.values())
    ]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def given_headline(one: DiscountStudy) -> Headline:
    """What discounts cost on purchases that would have come anyway, inferred."""
    name, given = "Discounts on purchases that would have come anyway (inferred)", one.given
    if not given.n_discounted:
        return nothing(name, "money", "No discount was used in the time looked at.")
    rate = wording.as_text(one.habits.prior.mean, "share")
    return Headline(
        name=name,
        value=given.anyway,
        low=given.anyway_low,
        high=given.anyway_high,
        unit="money",
        n=given.n_customers,
        verdict="act" if given.share_low > 0.5 else "watch",
        sentence=f"Of {wording.as_text(given.discount, 'money', one.currency)} let off in "
        f"{given.days:,.0f} days at least {wording.as_text(given.share, 'share')}: customers use a "
        f"discount on {rate} of their purchases, and who uses one may not have needed it. Keep "
        "discounts for those who buy little without, and test that against a holdout.",
        higher_is="worse",
        currency=one.currency,
    )


def measured_headline(one: DiscountStudy) -> Headline:
    """What discounts of campaigns went to people who would have bought anyway, as measured."""
    name = "Campaign discounts to people who would have bought anyway"
    if one.measured.empty:
        return nothing(name, "share", "No experiment with a discount can tell: hold some out.")
    table = one.measured
    total = table.discount.sum()
    value, low, high = (table[f"anyway{end}"].sum() / total for end in ("", "_low", "_high"))
    n, money = int(table.n_discounted.sum()), wording.as_text(total, "money", one.currency)
    campaign = "campaign" if len(table) == 1 else "campaigns"
    return Headline(
        name=name,
        value=value,
        low=low,
        high=high,
        unit="share",
        n=n,
        verdict="act" if low > 0.5 else "watch",
        sentence=f"Measured against those held out, in {len(table)} {campaign} that let off {money}"
        ". The ends are those of each campaign added up, so the interval errs to the wide side.",
        higher_is="worse",
    )


def affinity_note(one: DiscountStudy) -> str:
    """How affinity was read, and how far customers can be told apart."""
    prior, weeks = one.habits.prior, one.habits.weeks
    free = int(weeks.for_everybody.sum())
    apart = (
        f"A customer's own purchases outweigh what is usual from the {prior.weight:,.0f}th on."
        if prior.differ
        else "Customers do not differ beyond chance: nobody can be told to need discounts more."
    )
    left = (
        f" In {free} of {len(weeks)} weeks a discount was about for everybody; what was bought then"
        " tells little of a customer and counts in part."
        if free
        else ""
    )
    return (
        f"Discounts were used on {wording.as_text(one.habits.usual_rate, 'share')} of purchases in "
        f"a usual week, by {prior.n_units:,} buyers. {apart}{left}"
    )


def band_view(one: DiscountStudy) -> pd.DataFrame:
    """The bands of affinity as people read them, with what to do."""
    table, mean = one.bands, one.habits.prior.mean
    at = [sum(row >= edge for edge in (mean / 2, mean, 2 * mean)) for row in table.affinity_from]
    ends = zip(table.affinity_from, table.affinity_to, strict=True)
    names = [f"{wording.as_text(a, 'share')} to {wording.as_text(b, 'share')}" for a, b in ends]
    shown = table.drop(columns=["affinity_from", "affinity_to"])
    shown.insert(0, "needs_a_discount_on", names)
    return shown.assign(what_to_do=[ADVICE[int(band)] for band in at])


def measured_view(one: DiscountStudy) -> pd.DataFrame:
    """The campaigns with a discount as people read them."""
    if one.measured.empty:
        return one.measured
    columns = ["experiment_id", "arm", "n_discounted", "discount", "anyway_share",
               "anyway_share_low", "anyway_share_high", "anyway", "anyway_low",
               "anyway_high"]  # fmt: skip
    return one.measured[columns]


MONEY = {"discount": "money", "anyway": "money", "anyway_low": "money", "anyway_high": "money"}


def formats(table: pd.DataFrame) -> dict[str, str]:
    """The units of a view."""
    return {name: unit for name, unit in MONEY.items() if name in table.columns}


def headings(table: pd.DataFrame) -> dict[str, str]:
    """The words of a view's columns."""
    words = {
        "needs_a_discount_on": "Need a discount on", "discount": "Let off",
        "anyway": "… of it not needed", "anyway_low": "… low", "anyway_high": "… high",
        "anyway_share": "Would have bought anyway", "anyway_share_low": "… low ",
        "anyway_share_high": "… high ", "discounted_rate": "With a discount",
        "experiment_id": "Campaign", "n_discounted": "Orders with it",
    }  # fmt: skip
    return {name: word for name, word in words.items() if name in table.columns}
