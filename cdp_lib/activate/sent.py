"""Who was drawn and who was written to, one table over all experiments of a ledger."""

import pandas as pd

from cdp_lib.activate.ledger import Ledger

COLUMNS = [
    "experiment_id", "audience", "unit_id", "channel", "delivered_at", "treated",
]  # fmt: skip


def contacts(ledger: Ledger) -> pd.DataFrame:
    """A row a unit of an experiment, sorted by both: the columns COLUMNS.

    treated: the wave went out to the unit; where it did not, delivered_at is when the unit was
    drawn.
    """
    waves = ledger.experiments()[["experiment_id", "audience", "channel"]]
    drawn = ledger.assignments()[["experiment_id", "unit_id", "assigned_at"]]
    sent = ledger.deliveries()[["experiment_id", "unit_id", "delivered_at"]]
    rows = drawn.merge(waves, on="experiment_id").merge(
        sent, on=["experiment_id", "unit_id"], how="left"
    )
    rows["treated"] = rows["delivered_at"].notna()
    rows["delivered_at"] = rows["delivered_at"].fillna(rows["assigned_at"])
    return rows.sort_values(["experiment_id", "unit_id"], ignore_index=True)[COLUMNS]
