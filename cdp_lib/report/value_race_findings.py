"""What the race of value forecasts says: how far off the one in use was, and what it expects."""

from __future__ import annotations

import pandas as pd

from cdp_lib.predict.value_race import ValueRace
from cdp_lib.report import wording
from cdp_lib.report.findings import Headline
from cdp_lib.report.value_findings import CLOSE


def race_headline(race: ValueRace) -> Headline:
    """How far the forecast that is used was off, on customers and days it had not seen."""
    row = race.table.set_index("candidate").loc[race.chosen]
    sure = row.bias_low > CLOSE or row.bias_high < -CLOSE
    near = abs(row.bias) <= CLOSE and row.bias_high - row.bias_low <= 3 * CLOSE
    return Headline(
        name=f"Error of the total forecast for {race.horizon_days} days",
        value=row.bias,
        low=row.bias_low,
        high=row.bias_high,
        unit="share",
        n=race.n_customers,
        verdict="watch" if sure else "good" if near else "cannot tell",
        sentence=f"{race.sentence} Tested on {race.n_customers:,} customers whom nothing was "
        "learned from.",
    )


def used_note(race: ValueRace, total: float, kind: str, currency: str = "") -> str:
    """What the forecast that won expects of everybody, where it is not the shop's own model.

    total: expected in the race's horizon. The range is what came where the forecast was as far off
    as it may have been in the race.
    """
    row = race.table.set_index("candidate").loc[race.chosen]
    low, high = total / (1 + row.bias_high), total / (1 + row.bias_low)
    told = wording.with_interval(total, low, high, "money", currency)
    return (
        f"For {race.horizon_days} days use {race.chosen}: {told} of {kind} from today's customers. "
        "The longer horizons above are by the shop's own model, since only it reaches beyond what "
        "has been seen."
    )


def race_view(race: ValueRace) -> pd.DataFrame:
    """The candidates, simplest first, as people read them."""
    table = race.table
    return pd.DataFrame(
        {
            "forecast": table.candidate,
            "used": table.candidate == race.chosen,
            "bias": table.bias,
            "bias_low": table.bias_low,
            "bias_high": table.bias_high,
            "off_a_customer": table.mae,
            "rank_correlation": table.rank_correlation,
            "top_tenth_share": table.top_tenth,
        }
    )


RACE_FORMATS = {
    "bias": "share", "bias_low": "share", "bias_high": "share", "off_a_customer": "money",
}  # fmt: skip
RACE_HEADINGS = {
    "bias": "Total too high by", "bias_low": "Too high, low", "bias_high": "Too high, high",
    "off_a_customer": "Off by, a customer", "top_tenth_share": "Of the value, in its best tenth",
}  # fmt: skip
