"""Offers and channels on a page: what a notebook's cells show of each, or why it is not there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ibis.expr.types import Table

from cdp_lib.checks import MissingTable, TooLittleData
from cdp_lib.customers import pressure, reply, reply_hours
from cdp_lib.lift.readout import Readout
from cdp_lib.report import channel_findings as channels
from cdp_lib.report import discount_findings as discounts
from cdp_lib.report import pressure_findings as contact
from cdp_lib.report.charts import bar_chart
from cdp_lib.report.charts_of_channels import limit_chart, pressure_chart
from cdp_lib.report.charts_of_spread import effect_chart
from cdp_lib.report.findings import note, show, show_table
from cdp_lib.tables import Shop


def _or_why_not(shown: Callable) -> Callable:
    """A section that a shop's tables do not allow is a sentence, not the end of the page."""

    @wraps(shown)
    def page(*args, **options):
        try:
            return shown(*args, **options)
        except (MissingTable, TooLittleData) as lack:
            return note(f"Not shown: {lack.problem}. To have it: {lack.fix}.")

    return page


@_or_why_not
def show_discounts(shop: Shop, readouts: list[Readout]) -> None:
    """Display who needs a discount, and what went to those who did not. readouts: `campaigns`."""
    one = discounts.study(shop, readouts)
    show(discounts.given_headline(one), discounts.measured_headline(one))
    note(discounts.affinity_note(one))
    for table in (discounts.band_view(one), discounts.measured_view(one)):
        if len(table):
            people = "n_customers" if "n_customers" in table.columns else "n_discounted"
            show_table(table, formats=discounts.formats(table), people=people,
                       headings=discounts.headings(table), currency=one.currency)  # fmt: skip


@_or_why_not
def show_channels(shop: Shop, segments: Table | None = None) -> None:
    """Display which channel customers answer. segments: of customer_id and segment, as `reply`."""
    one = reply.read(shop, segments=segments)
    show(channels.channel_headline(one))
    table = channels.channel_view(channels.channel_table(one))
    show(bar_chart(table, "channel", "best_share", "For how many it is the best channel", "share"))
    gains = dict.fromkeys(("gain", "gain_low", "gain_high"), "points")
    headings = {"n_sent": "Messages", "n_compared": "With another channel", "gain": "Over the next"}
    headings |= {"gain_low": "… low", "gain_high": "… high"}
    show_table(table, formats=gains, people="n_customers", headings=headings)


@_or_why_not
def show_hours(shop: Shop) -> None:
    """Display whether the hour of sending matters."""
    hours = reply_hours.read(shop)
    show(channels.hour_headline(hours))
    table = channels.hour_view(hours)
    if len(table):
        ends = ("difference", "difference_low", "difference_high")
        chart = effect_chart(table, "Answers at an hour, over the other hours", "sent", *ends)
        show(chart.update_xaxes(tickformat="+.1%"))


@_or_why_not
def show_pressure(
    shop: Shop,
    plan: str = "",
    permission_value: float = 0.0,
    message_gain: float = 0.0,
    contact_cost: float = 0.0,
) -> None:
    """Display what sending more costs, and the weekly limit; see `pressure_findings.limit_of`."""
    found = pressure.read(shop)
    arms = contact.arms_of(shop, plan)
    worth = contact.worth_of(shop, permission_value)
    limit = contact.limit_of(found, arms, worth, message_gain, contact_cost)
    show(contact.pressure_headline(found, arms))
    show(contact.limit_headline(limit, worth, arms, shop.currency))
    show(pressure_chart(found.opt_outs, found.curve))
    show(limit_chart(limit.table, currency=shop.currency, now=limit.now))
    table = contact.arm_view(arms)
    if len(table):
        money = {name: "money" for name in table.columns if name.startswith("margin")}
        counts = {name: "count" for name in table.columns if name.startswith(("opt", "apps"))}
        headings = {"opt_outs": "Opt-outs a year, a thousand customers"}
        headings |= {"apps_removed": "Apps removed"} if "apps_removed" in table.columns else {}
        headings |= {name: "… low" for name in table.columns if name.endswith("_low")}
        headings |= {name: "… high" for name in table.columns if name.endswith("_high")}
        show_table(table, formats=money | counts, people="n_customers", headings=headings,
                   currency=shop.currency)  # fmt: skip


@_or_why_not
def show_claims(shop: Shop, readouts: list[Readout], contact_cost: float) -> None:
    """Display published figures on channels beside what this shop measured."""
    show_table(channels.claim_table(readouts, shop, contact_cost))


campaigns = discounts.campaigns


def limits(shop: Shop, plan: str = "") -> str:
    """What would change what is said of offers and channels, in sentences."""
    return channels.limits(plan if plan in contact.plans(shop) else "")
