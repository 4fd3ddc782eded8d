"""Sentences and verdicts on whom a treatment moves, computed from an uplift study.

Every function takes the study or one of its tables and returns a `Headline`, a sentence or a
smaller table; none of them queries.
"""

import math
from pathlib import Path

import pandas as pd

from cdp_lib.lift.uplift_policy import UPLIFT, Costs
from cdp_lib.predict.uplift_study import UpliftStudy, slope
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing

WORD_VERDICT = {
    "use uplift": "act",
    "rank by response": "act",
    "treat all": "good",
    "treat none": "act",
    "cannot tell": "cannot tell",
}
MONEY_KINDS = ("revenue", "margin")


def costs_of(value: float, contact_cost: float, incentive: float) -> Costs:
    """The costs of a notebook's parameters; a value of 0 counts an outcome as one unit of money."""
    return Costs(value or 1.0, contact_cost, incentive)


def names_in(text: str) -> list[str]:
    """The names in a text such as "history, recency"."""
    return [name.strip() for name in text.split(",") if name.strip()]


def unit_of(one: UpliftStudy) -> str:
    """The unit of an effect: "points" of a conversion, "money", or "number"."""
    kind = one.rows.metric.kind
    return "points" if kind == "conversion" else "money" if kind in MONEY_KINDS else "number"


def axis_unit(one: UpliftStudy) -> str:
    """The unit of an effect on an axis and in a table; of points it is a share."""
    return "share" if unit_of(one) == "points" else unit_of(one)


def gain_unit(one: UpliftStudy) -> str:
    """The unit of an outcome gained: money, or a number of conversions."""
    return "money" if unit_of(one) == "money" else "number"


def question_note(one: UpliftStudy) -> str:
    """Which experiment is read, and on whom."""
    rows = one.rows
    n, outcome = int(rows.treated.sum()), wording.heading_of_column(rows.metric.name)
    return (
        f"Learned from the experiment {rows.experiment}: {n:,} customers drawn into {rows.arm}, "
        f"{len(rows.treated) - n:,} into {rows.control}. Judged on {one.n:,} of them, by models "
        f"that had not seen them. Outcome: {outcome}, intention to treat. "
        f"{len(rows.columns.names)} columns known before the draw."
    )


def decision_headline(one: UpliftStudy, currency: str = "") -> Headline:
    """What to do: use uplift, rank by response, treat all or none, or cannot tell.

    Its number is the effect on the first fifth of the order to use, else of the order by uplift.
    """
    order = one.decision.order or UPLIFT
    row = one.scores.set_index("candidate").loc[order]
    everybody = wording.as_text(one.average[0], unit_of(one), currency)
    return Headline(
        name="Effect of a contact on the first fifth",
        value=row.uplift_at_20,
        low=row.uplift_at_20_low,
        high=row.uplift_at_20_high,
        unit=unit_of(one),
        n=max(1, round(0.2 * one.n)),
        verdict=WORD_VERDICT[one.decision.word],
        sentence=f"{one.decision.word.capitalize()}. {one.decision.sentence} Of a random fifth: "
        f"{everybody}.",
        higher_is="better",
        currency=currency,
    )


def average_headline(one: UpliftStudy, currency: str = "") -> Headline:
    """What treating anybody changes, whoever it is."""
    value, low, high = one.average
    clear = low > 0 or high < 0
    way = "more" if value > 0 else "less"
    told = f"brings {way} than none" if clear else "may bring as much as none"
    return Headline(
        name="Effect of a contact on everybody",
        value=value,
        low=low,
        high=high,
        unit=unit_of(one),
        n=one.n,
        verdict="good" if low > 0 else "act" if high < 0 else "cannot tell",
        sentence=f"A contact {told}, over the {one.n:,} customers that are judged.",
        higher_is="better",
        currency=currency,
    )


def policy_headline(one: UpliftStudy, currency: str = "") -> Headline:
    """What the best of the policies that may be used earns per thousand customers."""
    table = one.policies.set_index("policy")
    name = "Earned per thousand customers by that choice"
    if not one.decision.targets:
        chosen = {"treat all": "everybody", "treat none": "nobody"}.get(one.decision.word)
        if chosen is None:
            return nothing(name, _profit_unit(one), "No choice is surely better than another.")
    else:
        order = one.decision.order
        open_ended = f"{UPLIFT}, where it pays"
        first = next(p for p in table.index if p.startswith(f"{order}, first"))
        wider = order == UPLIFT and table.loc[open_ended].profit > table.loc[first].profit
        chosen = open_ended if wider else first
    row, everybody = table.loc[chosen], table.loc["everybody"]
    share = wording.as_text(row.contacted, "share")
    by_all = wording.as_text(everybody.profit, _profit_unit(one), currency)
    return Headline(
        name=name,
        value=row.profit,
        low=min(row.profit_low, row.profit),
        high=max(row.profit_high, row.profit),
        unit=_profit_unit(one),
        n=one.n,
        verdict="good" if row.profit_low > 0 else "watch",
        sentence=f"Treating {share} of the customers ({chosen}); treating everybody: {by_all}. "
        f"{cost_note(one, currency)}",
        higher_is="better",
        currency=currency,
    )


def calibration_headline(one: UpliftStudy) -> Headline:
    """Whether the effects expected are the effects measured."""
    value, low, high = slope(one)
    name = "Slope of measured over expected effects"
    if not math.isfinite(value) or not math.isfinite(low):
        return nothing(name, "number", "Everybody is expected to react alike.")
    fits = low <= 1 <= high and low > 0
    if fits:
        told = "The sizes of the effects can be believed"
    elif low > 0:
        told = "Read the effects as an order, not as sizes"
    elif high < 1:
        told = "The effects expected do not show in what was measured"
    else:
        told = "Too few customers to tell whether the sizes of the effects can be believed"
    return Headline(
        name=name,
        value=value,
        low=low,
        high=high,
        unit="number",
        n=one.n,
        verdict="good" if fits else "watch" if low > 0 else "cannot tell",
        sentence=f"{told}: the slope is {value:.2f}, where one is right and zero is no use.",
    )


def cost_note(one: UpliftStudy, currency: str = "") -> str:
    """The costs that a profit rests on."""
    costs, metric = one.costs, one.rows.metric.name
    cost = wording.as_text(costs.contact_cost, "money", currency)
    gift = wording.as_text(costs.incentive, "money", currency)
    worth = wording.as_text(costs.value, "number")
    return (
        f"Reckoned with {worth} a unit of {metric}, {cost} a contact and {gift} to each treated "
        "customer with an outcome."
    )


def group_note(one: UpliftStudy, table: pd.DataFrame) -> str:
    """How far the four groups can be believed."""
    if table.empty:
        return "Nobody is grouped: the effects expected are no use, so the groups would be noise."
    sure = table.loc[table.certain == "yes", "group"].tolist()
    kept = float((table["kept_share"] * table["n"]).sum() / table["n"].sum())
    told = ", ".join(sure) if sure else "none"
    return (
        f"Borne out by what was measured: {told}. Models fitted on other customers put "
        f"{wording.as_text(kept, 'share')} into the same group. No single customer's effect can be "
        "seen: a group is right on average only."
    )


def list_name(one: UpliftStudy) -> str:
    """The file name of a list of whom to treat, such as "10_uplift_targeting-spring-mail"."""
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in one.rows.experiment)
    return f"10_uplift_targeting-{plain[:60]}"


def list_note(one: UpliftStudy, table: pd.DataFrame, path: Path | None) -> str:
    """How long the list is and where it lies, or why there is none."""
    if not one.decision.targets:
        return f"No list is offered: {one.decision.word}."
    if table.empty:
        return "No list: nothing is known of customers beyond those of the experiment."
    where = f" They are in {path.name} beside this page." if path else " No file was written."
    return (
        f"{len(table):,} customers come first by {one.decision.order}.{where} Send it through an "
        "audience with a holdout, so that the choice is measured too."
    )


def score_view(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a score table that people read."""
    columns = ["candidate"]
    for measure in ("qini", "auuc", "uplift_at_10", "uplift_at_20", "uplift_at_50"):
        columns += [measure, f"{measure}_low", f"{measure}_high"]
    return table[columns]


def score_headings(table: pd.DataFrame) -> dict[str, str]:
    """Headings of `score_view`."""
    named = {"candidate": "Order", "qini": "Over chance (Qini)", "auuc": "Area (AUUC)"}
    for column in table.columns:
        if column.startswith("uplift_at_"):
            percent = column.split("_")[2]
            named[column] = f"Effect, first {percent}%"
    ending = {"_low": ", low", "_high": ", high"}
    out = {}
    for column in table.columns:
        stem, tail = column, ""
        for end, word in ending.items():
            if column.endswith(end):
                stem, tail = column.removesuffix(end), word
        if stem in named:
            out[column] = named[stem].removesuffix(tail) + tail
    return out


def policy_view(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a policy table that people read."""
    columns = ["policy", "contacted", "outcome", "profit", "profit_low", "profit_high"]
    return table[[*columns, "over_all", "over_all_low", "over_all_high"]]


def policy_formats(one: UpliftStudy) -> dict[str, str]:
    """The units of `policy_view`."""
    money = ("profit", "profit_low", "profit_high", "over_all", "over_all_low", "over_all_high")
    return dict.fromkeys(money, _profit_unit(one)) | {
        "contacted": "share",
        "outcome": gain_unit(one),
    }


def effect_formats(one: UpliftStudy, table: pd.DataFrame) -> dict[str, str]:
    """The units of the effects in a table of this study."""
    shares = {"share", "kept_share", "moved_low", "moved_high"}
    effects = ("qini", "auuc", "uplift_at", "predicted", "measured")
    return {
        name: "share" if name in shares else axis_unit(one)
        for name in table.columns
        if name in shares or str(name).startswith(effects)
    }


def limits(one: UpliftStudy) -> str:
    """What would change this answer, in sentences."""
    rows = one.rows
    parts = [
        "Every number is of customers whom the model behind it had not seen.",
        "What goes with a larger effect is not what causes it.",
        "Intervals of the orders hold for both that one would act on together.",
        f"It speaks of customers like those of {rows.experiment}, and of that contact alone.",
        *rows.warnings,
    ]
    if rows.gate.status != "pass":
        parts.append(rows.gate.detail)
    if rows.set_aside:
        parts.append(f"{len(rows.set_aside)} columns could not be learned from.")
    return " ".join(parts)


def _profit_unit(one: UpliftStudy) -> str:
    plain = one.costs.free and one.costs.value == 1 and unit_of(one) != "money"
    return "number" if plain else "money"
