"""A small table from memory, put where the shop's own tables are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import ibis
import pandas as pd
import pyarrow as pa
from ibis.expr.types import Table

from cdp_lib.tables import Shop
from cdp_lib.tables.engine import put

_numbers = count()


def place(beside: Shop | Table, frame: pd.DataFrame, columns: Mapping[str, str]) -> Table:
    """The columns of a frame as a temporary table of the engine of a shop, or of a table of it.

    columns: name to Ibis type; they are taken in this order. Unlike Ibis's own tables in memory it
    can be part of what the engine keeps.
    """
    con = beside.get_backend() if isinstance(beside, Table) else beside.con
    schema = ibis.schema(dict(columns)).to_pyarrow()
    rows = pa.Table.from_pandas(frame[list(columns)], schema=schema, preserve_index=False)
    return put(con, rows, f"placed_{next(_numbers)}")
