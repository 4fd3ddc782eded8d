"""What messages showed customers lately, so that it is not recommended again at once."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_lib.activate.ledger import Ledger, ledger_of
from cdp_lib.checks import Refusal, at_least
from cdp_lib.tables import Shop

PRODUCT = re.compile(r"product_\d+")
COLUMNS = ["customer_id", "product_id"]


def just_shown(shop: Shop, days: float = 14, ledger: Ledger | None = None) -> pd.DataFrame:
    """The products in the files of the audiences that left in the `days` before the shop's as_of.

    A file has them in columns product_1, product_2 …; one that has been taken away tells nothing.
    What leaves at as_of itself does not count, so a week that is run again gives the same lists.
    ledger: None takes the one beside shop.toml. Out: customer_id, product_id, each pair once.
    Raises Refusal for a file that cannot be read.
    """
    at_least("days", days, 0)
    ledger = ledger_of(shop) if ledger is None else ledger
    rows, end = ledger.experiments(), pd.Timestamp(shop.as_of)
    rows = rows[(rows.assigned_at < end) & (rows.assigned_at >= end - timedelta(days=days))]
    parts = [pd.DataFrame(columns=COLUMNS, dtype=object)]
    for row in rows.itertuples():
        for name in json.loads(row.files or "{}"):
            file = Path(ledger.path.parent, row.folder, name)
            if file.suffix == ".parquet" and file.exists():
                parts.append(_products(file))
    found = pd.concat(parts, ignore_index=True)
    found = found.dropna().astype("string").drop_duplicates()
    return found.sort_values(COLUMNS, ignore_index=True)


def _products(file: Path) -> pd.DataFrame:
    try:
        names = [name for name in pq.read_schema(file).names if PRODUCT.fullmatch(name)]
        table = pq.read_table(file, columns=["customer_id", *names]).to_pandas()
    except (pa.ArrowException, OSError) as error:
        problem = f"no readable Parquet file: {str(error).splitlines()[0]}"
        raise Refusal("audiences", file.name, problem, "restore it, or take it away") from error
    return table.melt("customer_id", value_name="product_id")[COLUMNS]
