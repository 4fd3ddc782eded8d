"""Every form in which a value may come, read on both engines: equal, exact, and flagged if not."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.tables.casting import read_as

NAN, INF = float("nan"), float("inf")
BAD = object()  # something is there and cannot be read: null, and flagged
TEXT_INSTANTS = {
    "2019-10-01 00:00:00 UTC": datetime(2019, 10, 1),
    "2019-10-01T00:00:00Z": datetime(2019, 10, 1),
    "2019-10-01 00:00:00+02:00": datetime(2019, 9, 30, 22),
    "2019-10-01 00:00:00-03:30": datetime(2019, 10, 1, 3, 30),
    "2019-10-01 00:00:00-0530": datetime(2019, 10, 1, 5, 30),
    "2019-10-01": datetime(2019, 10, 1),
    " 2026-03-29 02:30:00.123456 ": datetime(2026, 3, 29, 2, 30, 0, 123456),
    "1970-01-01": datetime(1970, 1, 1),
    "yesterday": BAD,
    "2019-02-30": BAD,
    "9999-12-31": BAD,
    "": None,
    None: None,
}
CASES = {
    "text": ("string", ["a", " b ", "", None], ["a", " b ", None, None], {}),
    "whole float as id": ("string", [17850.0, 1.5, NAN, None], ["17850", "1.5", None, None], {}),
    "integer as id": ("string", [7, -1, 2**62, None], ["7", "-1", str(2**62), None], {}),
    "text as float": (
        "float64", ["1", " 2.5 ", "1e3", "-0.5", "x", "1,5", "", "nan", "inf", None],
        [1.0, 2.5, 1000.0, -0.5, BAD, BAD, None, None, BAD, None], {},
    ),
    "float as float": ("float64", [1.5, NAN, INF, None], [1.5, None, BAD, None], {}),
    "integer as float": ("float64", [3, None], [3.0, None], {}),
    "decimal as float": ("float64", [Decimal("1.25"), None], [1.25, None], {}),
    "text as integer": (
        "int64", ["3", "3.0", "3.7", "1e3", "x", "", None], [3, 3, BAD, 1000, BAD, None, None], {},
    ),
    "float as integer": ("int64", [3.0, 3.5, NAN, None, 1e30], [3, BAD, None, None, BAD], {}),
    "text as truth": (
        "boolean", ["true", "YES", "0", "f", "perhaps", "", None],
        [True, True, False, False, BAD, None, None], {},
    ),
    "integer as truth": ("boolean", [1, 0, 2, None], [True, False, BAD, None], {}),
    "text as instant": ("timestamp", list(TEXT_INSTANTS), list(TEXT_INSTANTS.values()), {}),
    "text by format": (
        "timestamp", ["31/12/2019 08:05", "2019-12-31", "", None],
        [datetime(2019, 12, 31, 8, 5), BAD, None, None], {"form": "%d/%m/%Y %H:%M"},
    ),
    "integer by format": (
        "timestamp", [20191231, 20191331, None], [datetime(2019, 12, 31), BAD, None],
        {"form": "%Y%m%d"},
    ),
    "seconds": (
        "timestamp", [1569888000, 0, -1, 10**18, None],
        [datetime(2019, 10, 1), datetime(1970, 1, 1), datetime(1969, 12, 31, 23, 59, 59), BAD,
         None],
        {"unit": "s"},
    ),
    "milliseconds": (
        "timestamp", [1569888000123, None], [datetime(2019, 10, 1, 0, 0, 0, 123000), None],
        {"unit": "ms"},
    ),
    "microseconds": (
        "timestamp", [1569888000123456, None], [datetime(2019, 10, 1, 0, 0, 0, 123456), None],
        {"unit": "us"},
    ),
    "float seconds": (
        "timestamp", [1569888000.5, NAN, INF, None],
        [datetime(2019, 10, 1, 0, 0, 0, 500000), None, BAD, None], {"unit": "s"},
    ),
    "text seconds": (
        "timestamp", ["1569888000", "soon", "", None], [datetime(2019, 10, 1), BAD, None, None],
        {"unit": "s"},
    ),
    "date": ("timestamp", [date(2019, 10, 1), None], [datetime(2019, 10, 1), None], {}),
    "instant with zone": (
        "timestamp", [datetime(2019, 10, 1, tzinfo=UTC), None], [datetime(2019, 10, 1), None], {},
    ),
}  # fmt: skip


def arrow_column(values):
    """A pandas column that keeps null and NaN apart, as files do."""
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, from_pandas=False)))


@pytest.mark.parametrize("case", CASES)
def test_read_as(con, make_table, case):
    dtype, values, wanted, options = CASES[case]
    frame = pd.DataFrame({"row": np.arange(len(values)), "x": arrow_column(values)})
    table = make_table(con, frame)
    value, failed = read_as(table.x, dtype, con.name, "here", **options)
    rows = (
        table.select("row", value=value, failed=False if failed is None else failed)
        .order_by("row")
        .to_pyarrow()
        .to_pylist()
    )
    assert [row["value"] for row in rows] == [None if w is BAD else w for w in wanted]
    assert [bool(row["failed"]) for row in rows] == [w is BAD for w in wanted]


@pytest.mark.parametrize(
    "dtype, values, fix",
    [
        ("timestamp", [1, 2], "unit"),
        ("timestamp", [True, False], "map a timestamp"),
        ("string", [["a"], ["b"]], "unnest"),
        ("float64", [date(2020, 1, 1)], "map another column"),
    ],
)
def test_a_type_that_can_never_be_read_is_refused(con, make_table, dtype, values, fix):
    frame = pd.DataFrame({"x": arrow_column(values)})
    with pytest.raises(Refusal, match=fix):
        read_as(make_table(con, frame).x, dtype, "duckdb", "here")
