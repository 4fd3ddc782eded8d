"""One campaign as an experiment tool would hand it over: one row per unit, outcomes beside it."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BEFORE_DAYS = 28


def units_table(folder: Path, experiment_id: str, sent_at: datetime, days: float) -> pa.Table:
    """The units of one experiment, read back from the assignments and orders that were written.

    A row a unit, in order of unit_id: unit_id, arm, conversion (1 where the unit ordered in the
    `days` from `sent_at`), n_orders, revenue (both in that window), revenue_before (in the
    28 days before it, a covariate that no treatment can have touched).
    """
    drawn = pq.read_table(
        folder / "assignments.parquet",
        columns=["unit_id", "arm"],
        filters=pc.field("experiment_id") == experiment_id,
    )
    orders = pq.read_table(
        folder / "orders.parquet",
        columns=["order_id", "customer_id", "ordered_at", "revenue"],
        filters=(pc.field("ordered_at") >= sent_at - timedelta(days=BEFORE_DAYS))
        & (pc.field("ordered_at") < sent_at + timedelta(days=days))
        & (pc.field("revenue") > 0),
    )
    # An order that a dirty log repeats is still one order.
    orders = orders.group_by(["order_id", "customer_id"], use_threads=False).aggregate(
        [("ordered_at", "min"), ("revenue", "min")]
    )
    after = pc.greater_equal(orders["ordered_at_min"], pa.scalar(sent_at, pa.timestamp("us")))
    money = orders["revenue_min"]
    orders = pa.table(
        {
            "unit_id": orders["customer_id"],
            "n_orders": after.cast(pa.int64()),
            "revenue": pc.if_else(after, money, 0.0),
            "revenue_before": pc.if_else(after, 0.0, money),
        }
    )
    sums = orders.group_by("unit_id", use_threads=False).aggregate(
        [("n_orders", "sum"), ("revenue", "sum"), ("revenue_before", "sum")]
    )
    units = drawn.join(sums, "unit_id", use_threads=False).sort_by("unit_id")
    counts = pc.fill_null(units["n_orders_sum"], 0)
    return pa.table(
        {
            "unit_id": units["unit_id"],
            "arm": units["arm"],
            "conversion": pc.greater(counts, 0).cast(pa.int64()),
            "n_orders": counts,
            "revenue": pc.round(pc.fill_null(units["revenue_sum"], 0.0), 2),
            "revenue_before": pc.round(pc.fill_null(units["revenue_before_sum"], 0.0), 2),
        }
    )
