"""The value section of the page on customers; what a shop's history is too short for says so."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cdp_lib.checks import TooLittleData
from cdp_lib.customers import backtest, margins, retention, spread, totals, worth
from cdp_lib.customers.backtest import Backtest
from cdp_lib.customers.worth import ValueModel
from cdp_lib.predict import value_race
from cdp_lib.predict.value_race import ValueRace
from cdp_lib.report import charts_of_value as charts
from cdp_lib.report import value_findings as findings
from cdp_lib.report import value_race_findings as races
from cdp_lib.report.findings import note, nothing, show, show_table
from cdp_lib.tables import Shop
from cdp_lib.tables.purchases import is_purchase


@dataclass(frozen=True)
class ValueStudy:
    """What is known of the value of a shop's customers.

    model, test, race: as far as the history allows, else None. ahead: `backtest.widened` totals,
    or None. used: where another forecast won the race, what it expects of all within the race's
    horizon. missing: sentences on what could not be worked out.
    """

    model: ValueModel | None
    test: Backtest | None
    race: ValueRace | None
    ahead: pd.DataFrame | None
    missing: tuple[str, ...]
    used: float | None = None


def study(shop: Shop, horizon_days: int = 91) -> ValueStudy:
    """Fit the value models, test them on what happened, and let other forecasts race them."""
    missing: list[str] = []

    def tried(what: str, work):
        try:
            return work()
        except TooLittleData as refusal:
            missing.append(f"{what}: {refusal.problem}; {refusal.fix}.")
            return None

    model = tried("No value of customers", lambda: worth.fit(shop))
    if model is None:
        return ValueStudy(None, None, None, None, tuple(missing))
    test = tried("No test of the forecast", lambda: backtest.backtest(shop, horizon_days))
    race = ahead = None
    if test is not None:
        ahead = backtest.widened(totals.totals(model), test)
        race = tried(
            "No race of forecasts",
            lambda: value_race.race(shop, horizon_days, model=test.model),
        )
    used = None
    if race is not None and race.chosen != value_race.MODEL:
        used = float(value_race.chosen_values(shop, race, model).expected_value.sum())
    return ValueStudy(model, test, race, ahead, tuple(missing), used)


def show_answer(shop: Shop, one: ValueStudy) -> None:
    """The headline: what today's customers will bring, or why nobody can tell yet."""
    if one.ahead is None:
        show(nothing("Expected value of today's customers", "money", " ".join(one.missing)))
    else:
        show(findings.value_headline(one.model, one.ahead, one.test, shop.currency))


def show_horizons(shop: Shop, one: ValueStudy) -> None:
    """What is expected within 3, 6 and 12 months, and what the models say of themselves."""
    if one.ahead is not None:
        formats = findings.HORIZON_FORMATS
        show_table(findings.horizon_view(one.ahead), formats=formats, currency=shop.currency)
    if one.model is not None:
        note(findings.model_note(one.model))


def show_proof(shop: Shop, one: ValueStudy) -> None:
    """How far forecasts were right: the race, then tenths and cohorts."""
    if one.race is not None:
        show(races.race_headline(one.race))
        show_table(
            races.race_view(one.race), formats=races.RACE_FORMATS,
            headings=races.RACE_HEADINGS, currency=shop.currency,
        )  # fmt: skip
        if one.used is not None:
            note(races.used_note(one.race, one.used, one.model.kept.kind, shop.currency))
    if one.test is not None:
        tenths, cohorts = findings.tenth_view(one.test), findings.cohort_view(one.test)
        show(charts.forecast_chart(tenths, "A customer of each tenth", currency=shop.currency))
        show(charts.forecast_chart(cohorts, "By first order", "cohort", shop.currency))
    for sentence in one.missing:
        note(sentence)


def show_earners(shop: Shop) -> None:
    """Who brought the margin of the last year, on whom money was lost, what an order is worth."""
    try:
        earned = margins.margins(shop)
    except TooLittleData as refusal:
        note(f"Nothing was earned yet: {refusal.problem}.")
        return
    deciles, losses = margins.decile_table(earned), margins.loss_table(earned)
    show(findings.decile_headline(earned, deciles, losses))
    show(charts.curve_chart(spread.curve_table(earned.parts)))
    told = {
        "formats": findings.DECILE_FORMATS, "people": "n_customers", "currency": shop.currency
    }  # fmt: skip
    show_table(findings.decile_view(deciles), **told)
    if len(losses):
        show_table(findings.loss_view(losses), **told)
    bought = shop.orders.filter(is_purchase(shop.orders))
    orders = spread.part_table(bought, "revenue", "order_id")
    note(findings.order_note(spread.guarded_table(orders), orders, shop.currency))


def show_retention(shop: Shop, one: ValueStudy, change: float = 0.05) -> None:
    """What better retention would be worth, beside what is claimed of it."""
    if one.model is None:
        return
    readings = retention.reading_table(one.model, change)
    view = findings.retention_view(readings)
    show(findings.retention_headline(readings, one.model, shop.currency))
    show(charts.retention_chart(view, findings.CLAIM))
    show_table(
        view, formats=findings.RETENTION_FORMATS, headings=findings.RETENTION_HEADINGS,
        currency=shop.currency,
    )  # fmt: skip
    note(findings.retention_note())


def show_limits(one: ValueStudy) -> None:
    """What would change the answer."""
    note(findings.limits(one.race))
