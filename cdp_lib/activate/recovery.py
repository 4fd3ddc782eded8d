"""Service recovery: customers who had trouble, may leave and are worth a call, with what happened.

A call answers the customer's own trouble. That is why it needs no permission to advertise: nobody
is called who has not asked for help, sent something back or met an error of late, and nothing is
sold. A customer who asked not to be called belongs in the suppressions, which hold here too.
"""

from __future__ import annotations

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData, above, at_least, one_of, share
from cdp_lib.customers.timeline import timelines
from cdp_lib.tables import Shop
from cdp_lib.tables.placed import place

TROUBLES = {  # feature of the profile -> what to say of a number of them
    "contact_support_30d": ("asked for help", "times in 30 days"),
    "returns_30d": ("sent goods back", "times in 30 days"),
    "errors_30d": ("was shown an error", "times in 30 days"),
}
WORTH = ("margin_365d", "revenue_365d")
KINDS = {"customer_id": "string", "probability": "float64"}
REASONS = ("reason_1", "reason_2", "reason_3")
COLUMNS = [
    "customer_id", "probability", "worth", "at_risk", "trouble", *REASONS, "n_entries", "history",
]  # fmt: skip


def troubled(
    shop: Shop,
    risk: pd.DataFrame,
    profile: Table,
    worth: Table | None = None,
    most: int = 200,
    contact_cost: float = 5.0,
    saved_share: float = 0.1,
    least_probability: float = 0.0,
) -> pd.DataFrame:
    """Whom customer care should call, the most money at risk first.

    risk: customer_id, probability (of leaving), and reasons where they are known (`REASONS`).
    profile: features as of now, with customer_id, those of `TROUBLES` that the shop has, and one
    of `WORTH`. worth: customer_id, expected_value (money in the time one looks at; None: what
    the last year brought). A call must pay: probability times worth times saved_share (assumed
    until its holdout has measured it) lies above contact_cost.
    Out: at most `most` rows: customer_id, probability, worth, at_risk (probability times worth),
    trouble (words). Raises TooLittleData where no trouble or no worth can be told.
    """
    above("most", most, 0)
    at_least("contact_cost", contact_cost, 0)
    share("saved_share", saved_share)
    told = [name for name in TROUBLES if name in profile.columns]
    if not told:
        raise TooLittleData(
            "profile", "no trouble", f"none of {', '.join(TROUBLES)}",
            "map events such as contact_support, errors or returns in shop.toml",
        )  # fmt: skip
    value = next((name for name in WORTH if name in profile.columns), None)
    if worth is None and value is None:
        raise TooLittleData(
            "worth", None, "the shop has no orders to tell it", "give a table of expected values"
        )
    likely = risk[risk.probability >= least_probability]
    kept = [name for name in ("customer_id", "probability") if name in risk]
    ids = place(shop, likely, {name: KINDS[name] for name in kept})
    rows = profile.semi_join(ids, "customer_id")
    rows = rows.filter(ibis.or_(*[rows[name] > 0 for name in told]))
    if worth is not None:
        one_of("worth", "expected_value", worth.columns)
        rows = rows.left_join(worth.select("customer_id", "expected_value"), "customer_id")
        rows = rows.mutate(worth=_.expected_value)
    else:
        rows = rows.mutate(worth=rows[value])
    found = rows.select("customer_id", "worth", *told).to_pandas()
    found = found.merge(likely[kept], on="customer_id")
    found["at_risk"] = found.probability * found.worth
    found = found[found.at_risk * saved_share > contact_cost]
    found["trouble"] = [_words(row, told) for row in found[told].to_dict("records")]
    found = found.sort_values(["at_risk", "customer_id"], ascending=[False, True]).head(most)
    columns = ["customer_id", "probability", "worth", "at_risk", "trouble"]
    return found[columns].reset_index(drop=True)


def with_context(
    shop: Shop, found: pd.DataFrame, reasons: pd.DataFrame | None = None, last: int = 8
) -> pd.DataFrame:
    """The rows of `troubled` with why each may leave, and what happened last.

    reasons: customer_id and `REASONS`, as `predict.reasons` puts them; null where not given.
    Out: a row per customer in the same order: `COLUMNS`; n_entries and history as of
    `customers.timeline.timelines`. It names people and is for customer care alone.
    """
    table = found
    if reasons is not None and len(reasons):
        kept = [name for name in REASONS if name in reasons.columns]
        table = table.merge(reasons[["customer_id", *kept]], "left", on="customer_id")
    for name in REASONS:
        if name not in table:
            table = table.assign(**{name: None})
    if table.empty:
        return table.assign(n_entries=0, history="")[COLUMNS]
    past = timelines(shop, table[["customer_id"]], last=last)
    return table.merge(past, "left", on="customer_id")[COLUMNS]


def _words(row: dict, told: list[str]) -> str:
    said = []
    for name in told:
        n = row[name]
        if n and n == n and n > 0:
            what, unit = TROUBLES[name]
            times = "once in 30 days" if n == 1 else f"{n:.0f} {unit}"
            said.append(f"{what} {times}")
    return "; ".join(said)
