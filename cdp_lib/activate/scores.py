"""The chance of every customer at risk, left by one page for the next: not for sending.

A file holds customer_id and one column of chances. What it is about stands in the file itself, so
that scores of another day are never taken for those of today.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.activate.lists import STATUS, check_name
from cdp_lib.checks import Refusal
from cdp_lib.tables import Shop
from cdp_lib.tables.whole_file import whole_file

SUFFIX = ".scores.not-for-sending.parquet"
ABOUT = b"cdp_scores"


def write_scores(
    table: pd.DataFrame, folder: str | Path, name: str, column: str, shop: Shop, horizon_days: int
) -> Path | None:
    """Write the probabilities of a table as `<folder>/<name>.scores.not-for-sending.parquet`.

    table: customer_id, probability. column: what the chances are called where they are read again.
    folder: made where it is missing; with "" nothing is written, and None comes back. Written under
    another name and renamed. Raises Refusal for a name or a column that is no plain word, and for
    customers that repeat.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_name(name)
    check_name(column, "column")
    repeats = int(table.customer_id.duplicated().sum())
    if repeats:
        raise Refusal("table", f"{repeats:,} rows", "repeat a customer", "give a row per customer")
    if not str(folder):
        return None
    path = Path(folder) / f"{name}{SUFFIX}"
    schema = pa.schema([("customer_id", pa.string()), (column, pa.float64())])
    frame = table[["customer_id", "probability"]].set_axis(schema.names, axis=1)
    about = {"as_of": shop.as_of.isoformat(), "horizon_days": horizon_days, "status": STATUS}
    rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    rows = rows.replace_schema_metadata({ABOUT: json.dumps(about).encode()})
    with whole_file(path) as written:
        pq.write_table(rows, written, compression="zstd")
    return path


def read_scores(shop: Shop, folder: str | Path) -> dict[str, Table]:
    """The scores of the shop's `as_of` that lie in a folder: column -> customer_id and the column.

    Of two with one column the shorter horizon counts. Those of another day, and a folder that is ""
    or not there, are none. Raises Refusal for a file that cannot be read.
    """
    if not str(folder):
        return {}
    found = sorted(
        (days, path.name, column)
        for path in Path(folder).glob(f"*{SUFFIX}")
        for as_of, days, column in [_about(path)]
        if as_of == shop.as_of.isoformat()
    )
    first: dict[str, str] = {}
    for _days, name, column in found:
        first.setdefault(column, name)
    return {
        column: shop.con.read_parquet(str(Path(folder, name))) for column, name in first.items()
    }


def _about(path: Path) -> tuple[str, int, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        about = json.loads((schema.metadata or {})[ABOUT])
        _customer, column = schema.names
        return str(about["as_of"]), int(about["horizon_days"]), column
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        fix = "write it again by the notebook it is named after, or take it away"
        raise Refusal(path.name, type(error).__name__, "is no file of scores", fix) from error
