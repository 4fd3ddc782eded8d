"""Sentences and tables on contact pressure: what sending more costs, and the weekly limit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from cdp_lib.checks import MissingTable, Refusal, TooLittleData
from cdp_lib.customers import pressure_arms, send_limit
from cdp_lib.customers.pressure import Pressure
from cdp_lib.customers.pressure_arms import Arms
from cdp_lib.customers.send_limit import Limit, Worth
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline, nothing
from cdp_lib.tables import Shop

LIMIT_VERDICT = {"send less": "act", "room for more": "watch", "about right": "good"}
LIMIT_WORDS = {
    "send less": "Send less: one message more costs more than it brings",
    "room for more": "There is room for more, up to the limit",
    "about right": "What is sent lies within the limit's interval",
    "cannot tell": "Cannot tell",
}


def plans(shop: Shop) -> list[str]:
    """The experiments in which plans of sending may have been drawn."""
    return pressure_arms.experiments(shop)


def arms_of(shop: Shop, experiment: str) -> Arms | None:
    """The arms of the experiment on how much is sent; None where the shop has no such one."""
    try:
        return pressure_arms.read(shop, experiment) if experiment else None
    except (MissingTable, TooLittleData, Refusal):
        return None


def worth_of(shop: Shop, value: float, channel: str = "email") -> Worth:
    """The worth of a permission: as given, or for 0 as inferred; NaN where nothing tells."""
    if value:
        return send_limit.given(value)
    try:
        return send_limit.inferred(shop, channel)
    except (MissingTable, TooLittleData, Refusal):
        return Worth(*(math.nan,) * 4, True)


def limit_of(
    pressure: Pressure,
    arms: Arms | None,
    worth: Worth,
    gain: float = 0.0,
    contact_cost: float = 0.0,
) -> Limit:
    """The send limit. gain: money that a message brings, as the analyst says; 0: as measured."""
    if gain:
        brings = (gain, 0.0)
    else:
        brings = (arms.gain, arms.gain_se) if arms is not None else (math.nan, 0.0)
    return send_limit.limit(pressure.curve, worth, *brings, pressure.n_per_week, contact_cost)


def pressure_headline(pressure: Pressure, arms: Arms | None) -> Headline:
    """Permissions lost a year by the most frequent plan over the least, or by the curve."""
    if arms is not None:
        lost = arms.contrasts[arms.contrasts.outcome == "n_opt_outs"].iloc[-1]
        gone = arms.contrasts[arms.contrasts.outcome == "n_removals"].iloc[-1]
        least, most = arms.table.arm.iloc[0], arms.table.arm.iloc[-1]
        scale = 52 * 1000
        change = wording.change_as_text(gone.difference * scale, "count")
        ends = (gone.difference_low * scale, gone.difference_high * scale)
        removed = f" Apps removed: {change} ({wording.interval_as_text(*ends, 'count')})."
        return Headline(
            name="Opt-outs a year per thousand customers, by sending more",
            value=lost.difference * scale,
            low=lost.difference_low * scale,
            high=lost.difference_high * scale,
            unit="count",
            n=int(arms.table.n_customers.sum()),
            verdict="watch" if lost.difference_low > 0 else "good",
            sentence=f"Caused by the plan {most} instead of {least}: customers were drawn into "
            f"them at random.{removed if math.isfinite(gone.difference) else ''}",
            higher_is="worse",
        )
    name, curve = (
        "Opt-outs a year per thousand customers, by one message more a week",
        pressure.curve,
    )
    if not math.isfinite(curve.slope):
        return nothing(name, "count", "Nobody opted out, or all got equally many messages.")
    before = send_limit.before([1.0, 2.0])
    value = float(np.diff(np.array([1.0, 2.0]) * curve.chance(before))[0]) * 52 * 1000
    return Headline(
        name=name,
        value=value,
        low=None,
        high=None,
        unit="count",
        n=curve.n_lost,
        verdict="watch",
        sentence="Two a week instead of one, by the curve. Associational: those who get much "
        "differ from those who get little. Draw plans of sending at random to measure it.",
        higher_is="worse",
    )


def limit_headline(limit: Limit, worth: Worth, arms: Arms | None, currency: str = "") -> Headline:
    """The weekly send limit, with what it rests on."""
    name = "Messages a week from which one more costs more than it brings"
    needed, must = wording.as_text(limit.needed, "money", currency), ""
    if limit.needed_low > 0:
        ends = wording.interval_as_text(limit.needed_low, limit.needed_high, "money", currency)
        told = f"({ends})" if limit.needed_low < limit.needed_high else ""
        must = f" At {limit.now:.1f} a week, as now, a message more must bring {needed} {told}."
    yearly = wording.as_text(worth.value, "money", currency)
    ends = wording.interval_as_text(worth.low, worth.high, "money", currency)
    if worth.inferred and not worth.low > 0:
        lack = (
            f"What a permission is worth cannot be told from nothing: its holders left {yearly} a "
            f"year more than others ({ends}), inferred. Give its worth as `permission_value`"
            if math.isfinite(worth.value)
            else "What a permission is worth is not known: give it as `permission_value`"
        )
        return nothing(name, "number", f"{lack}.")
    if not math.isfinite(limit.n_per_week):
        lack = "What a message brings is not known: draw plans of sending at random."
        return nothing(name, "number", f"{lack}{must}")
    basis = "measured on plans drawn at random" if arms is not None else "as the analyst says"
    value = f"inferred ({ends})" if worth.inferred else "as the analyst says"
    seen = limit.high >= limit.most
    top = f" More than {limit.most:.1f} a week were never sent to learn from." if seen else ""
    return Headline(
        name=name,
        value=limit.n_per_week,
        low=limit.low,
        high=limit.high,
        unit="number",
        n=None,
        verdict=LIMIT_VERDICT.get(limit.word, "cannot tell"),
        sentence=f"{LIMIT_WORDS[limit.word]}. A message brings {_gain_text(limit, currency)} after "
        f"its cost, {basis}; a permission {yearly} a year, {value}.{must}{top}",
        higher_is="neutral",
    )


def _gain_text(limit: Limit, currency: str) -> str:
    row = limit.table.iloc[0]
    ends = wording.interval_as_text(row.gain_low, row.gain_high, "money", currency)
    return f"{wording.as_text(row.gain, 'money', currency)} ({ends})"


def arm_view(arms: Arms | None) -> pd.DataFrame:
    """The arms of the experiment on sending, per thousand customers and year."""
    if arms is None:
        return pd.DataFrame(columns=["plan", "n_customers"])
    table, scale = arms.table, 52 * 1000
    shown = pd.DataFrame({"plan": table.arm, "n_customers": table.n_customers,
                          "messages_a_week": table.n_messages_per_week})  # fmt: skip
    for name, column in (("opt_outs", "n_opt_outs"), ("apps_removed", "n_removals")):
        for end in ("", "_low", "_high"):
            shown[f"{name}{end}"] = table[f"{column}_per_week{end}"] * scale
    for end in ("", "_low", "_high"):
        shown[f"margin_a_year{end}"] = table[f"margin_per_week{end}"] * 52
    return shown.dropna(axis=1, how="all")
