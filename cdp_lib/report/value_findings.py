"""What the value of customers says: headlines, sentences and the tables that people read."""

from __future__ import annotations

import pandas as pd

from cdp_lib.customers.backtest import Backtest
from cdp_lib.customers.margins import Margins
from cdp_lib.customers.spread import share_table
from cdp_lib.customers.worth import ValueModel
from cdp_lib.predict.value_race import ValueRace
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing

CLAIM = (0.25, 0.95)  # Reichheld and Sasser (1990) and what is quoted from it, of profit
CLOSE = 0.1  # relative error of a total below which a forecast is good enough to plan with


def value_headline(
    model: ValueModel, table: pd.DataFrame, test: Backtest, currency: str = ""
) -> Headline:
    """What today's customers will bring in the longest horizon of the table.

    table: of `backtest.widened`.
    """
    row = table.loc[table.horizon_days.idxmax()]
    kind, days = model.kept.kind, int(row.horizon_days)
    each = wording.as_text(row.expected_value / row.n_customers, "money", currency)
    alone = wording.interval_as_text(row.alone_low, row.alone_high, "money", currency)
    off = wording.as_text(test.error, "share")
    return Headline(
        name=f"Expected {kind} of today's customers in {_span(days)}",
        value=row.expected_value,
        low=row.value_low,
        high=row.value_high,
        unit="money",
        n=int(row.n_customers),
        verdict="good" if test.error <= CLOSE else "watch",
        sentence=f"From {row.n_customers:,.0f} customers with an order, {each} each, by the shop's "
        f"own model; newcomers are not in it. If the model were right it would lie within {alone}; "
        f"earlier forecasts of {test.horizon_days} days were off by {off} beyond chance, and the "
        "interval covers that too.",
        higher_is="better",
        currency=currency,
    )


def decile_headline(found: Margins, deciles: pd.DataFrame, losses: pd.DataFrame) -> Headline:
    """How much of the margin the best tenth of the customers brought."""
    name = f"Share of the {found.kind} from the best tenth of customers"
    if deciles.empty or deciles.share.isna().all():
        return nothing(name, "share", f"The {found.kind} is not above zero.")
    best, worst = deciles.iloc[0], deciles.iloc[-1]
    n_lost = int(losses.n_customers.sum()) if len(losses) else 0
    if 0 < n_lost < wording.SMALL_GROUP:
        told = f"Fewer than {wording.SMALL_GROUP} customers cost more than they brought."
    elif n_lost:
        told = f"{n_lost:,} customers cost more than they brought: see below what took it."
    else:
        told = "No customer cost more than they brought."
    return Headline(
        name=name,
        value=best.share,
        low=best.share_low,
        high=best.share_high,
        unit="share",
        n=int(best.n_customers),
        verdict="act" if n_lost >= wording.SMALL_GROUP else "watch",
        sentence=f"The last tenth brought {wording.as_text(worst.share, 'share')}, in "
        f"{found.days} days. {told} Keep the best by service and early access, not by discounts.",
    )


def retention_headline(table: pd.DataFrame, model: ValueModel, currency: str = "") -> Headline:
    """What 5 % fewer customers leaving is worth in a year, by the shop's own model. Inferred."""
    row = table[(table.span == "in a year") & table.reading.str.contains("fewer")].iloc[0]
    long = table[(table.span == "in the long run") & table.reading.str.contains("points")].iloc[0]
    part, most = (wording.as_text(one.gain_share, "share") for one in (row, long))
    claim = _claimed()
    far = "no reading of it is possible here" if long.isna().gain_share else f"{most} at most"
    return Headline(
        name="Worth of 5 % fewer customers leaving, in a year (inferred)",
        value=row.gain,
        low=row.gain_low,
        high=row.gain_high,
        unit="money",
        n=model.n_customers,
        verdict="watch",
        sentence=f"That is {part} of what today's customers will bring: the most that keeping them "
        f"may cost. Published: {claim} of profit, which rests on 5 points of yearly retention and "
        f"whole lifetimes; here that is {far}. Only an experiment tells what an action keeps.",
        higher_is="better",
        currency=currency,
    )


def model_note(model: ValueModel) -> str:
    """What the models were fitted to, how far they settled, and whom they leave out."""
    n = len(model.orders.models)
    told = "one model of orders" if n == 1 else f"{n} models of orders, by when customers came"
    kept = wording.as_text(model.kept.rate, "share")
    parts = [
        f"Fitted to {model.n_customers:,} customers with an order: {told}, "
        f"{'converged' if model.orders.converged else 'not all converged'}; one of order values, "
        f"{'converged' if model.spend.converged else 'not converged'}.",
        f"Of each unit of revenue the shop kept {kept} as {model.kept.kind}, after returns.",
        model.independence.sentence,
        *(one for one in model.warnings if one != model.independence.sentence),
    ]
    if model.n_without:
        parts.append(
            f"{model.n_without:,} known customers never ordered; the models say nothing of them."
        )
    return " ".join(parts)


def horizon_view(table: pd.DataFrame) -> pd.DataFrame:
    """What is expected by horizon, with both intervals, as people read it."""
    return pd.DataFrame(
        {
            "within": [_span(int(days)) for days in table.horizon_days],
            "n_customers": table.n_customers,
            "n_orders": table.expected_orders.round(),
            "value": table.expected_value,
            "value_low": table.value_low,
            "value_high": table.value_high,
            "model_alone_low": table.alone_low,
            "model_alone_high": table.alone_high,
        }
    )


HORIZON_FORMATS = {"model_alone_low": "money", "model_alone_high": "money"}


def cohort_view(test: Backtest) -> pd.DataFrame:
    """Cohorts by first order, named by their month or quarter, small ones left out."""
    table = test.cohorts[test.cohorts.n_customers >= wording.SMALL_GROUP]
    return table.assign(cohort=[f"{cohort:%Y-%m}" for cohort in table.cohort])


def tenth_view(test: Backtest) -> pd.DataFrame:
    """Tenths by what was expected of them, with the name of each."""
    return test.deciles.assign(group=[_tenth(group) for group in test.deciles.group])


def decile_view(deciles: pd.DataFrame) -> pd.DataFrame:
    """Tenths by margin as people read them."""
    columns = [
        "n_customers", "revenue", "paid_back", "discount", "value", "share",
        "share_low", "share_high",
    ]  # fmt: skip
    named = deciles[columns].rename(columns={"value": "margin"})
    named.insert(0, "group", [_tenth(group) for group in deciles.group])
    return named


DECILE_FORMATS = dict.fromkeys(("revenue", "paid_back", "discount", "margin"), "money")

WHAT_TO_DO = {
    "paid back what they had bought": "look at size advice and descriptions before any contact",
    "discounts took the margin": "no discount; offer service or the full assortment",
    "sold below cost": "check prices and costs of what they bought",
}


def loss_view(losses: pd.DataFrame) -> pd.DataFrame:
    """Those on whom money was lost, by what took it, with what to do."""
    return losses.assign(what_to_do=[WHAT_TO_DO[reason] for reason in losses.reason])


def order_note(guarded: pd.DataFrame, parts: pd.DataFrame, currency: str = "") -> str:
    """The order value in four ways, and how much the largest orders carry."""
    told = guarded.set_index("measure")

    def value(measure: str) -> str:
        row = told.loc[measure]
        text = wording.as_text(row.value, "money", currency)
        ends = wording.interval_as_text(row.low, row.high, "money", currency)
        return f"{text} ({ends})" if ends else text

    parts_said = f"An order is worth {value('mean')} on average, {value('median')} in the middle."
    if told.loc["trimmed"].value == told.loc["trimmed"].value:
        top = share_table(parts, (1, 100)).iloc[0]
        share = wording.as_text(top.share, "share")
        parts_said += (
            f" Without the lowest and the highest 1 % it is {value('trimmed')}, with these drawn "
            f"in {value('winsorised')}. The top 1 % of orders carry {share} of the revenue"
        )
        gap = abs(told.loc["mean"].value / told.loc["trimmed"].value - 1)
        parts_said += ": read the median, the mean is theirs." if gap > 0.1 else "."
    return parts_said


def retention_view(table: pd.DataFrame) -> pd.DataFrame:
    """Readings of a better retention with a name each, and the claim as the last row."""
    named = table.assign(name=table.reading + ", " + table.span)
    columns = [
        "name", "retention", "gain", "gain_low", "gain_high", "gain_share", "gain_share_low",
        "gain_share_high",
    ]  # fmt: skip
    return named[columns]


RETENTION_FORMATS = dict.fromkeys(("gain", "gain_low", "gain_high"), "money") | {
    "retention": "share"
}
RETENTION_HEADINGS = {"name": "Reading, span", "retention": "Still there after a year"}


def retention_note() -> str:
    """What the published claim is, and why it is disputed."""
    claim = _claimed()
    return (
        f"Claimed: 5 % better retention brings {claim} more profit (Reichheld and Sasser, Harvard "
        "Business Review, 1990). It is disputed (Sharp 2005; East, Hammond and Gendall, Journal of "
        "Marketing Management, 2006): the 5 % are points of retention, which may halve the number "
        "who leave, and the profit is of lifetimes and not of a year. The figures above are the "
        "shop's own, inferred from a model; the cost of keeping anybody is not in them."
    )


def limits(race: ValueRace | None = None) -> str:
    """What would change the answer."""
    parts = [
        "The models of value know no season: a forecast before a peak is too low, one after it "
        "too high; with two years of orders the back-test shows by how much.",
        "Newcomers, campaigns and prices to come are not in it.",
    ]
    if race is not None:
        parts.append(f"Forecasts raced over {race.horizon_days} days; longer ones are the model's.")
        parts += [f"{name} did not run: {why}." for name, why in race.left_out.items()]
    return " ".join(parts)


def _claimed() -> str:
    low, high = CLAIM
    return f"{low:.0%} to {high:.0%}"


def _span(days: int) -> str:
    months = {91: "3 months", 182: "6 months", 365: "12 months"}
    return months.get(days, f"{days} days")


def _tenth(group: int) -> str:
    ends = {1: "1 (best)", 10: "10 (last)"}
    return ends.get(int(group), str(int(group)))
