"""Both engines answer alike on the few things that everything else stands on."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.tables.engine import connect


def rows():
    return pd.DataFrame(
        {
            "id": ["a", None, "c"],
            "at": pd.to_datetime(
                ["2026-01-01 01:02:03.000004", None, "2026-03-29 02:30:00"], format="ISO8601"
            ),
            "n": pd.array([1, None, 3], dtype="Int64"),
            "x": [1.5, np.nan, 2.5],
        }
    )


def test_instants_stay_naive_and_exact(con, make_table):
    table = make_table(con, rows())
    schema = table.schema()
    assert str(schema["at"]).startswith("timestamp") and schema["at"].timezone is None
    got = table.filter(table.at.notnull()).order_by("at").at.execute()
    # 02:30 on 29 March does not exist in Berlin; in UTC it does, and must not move.
    assert list(got) == [
        pd.Timestamp("2026-01-01 01:02:03.000004"),
        pd.Timestamp("2026-03-29 02:30:00"),
    ]


def test_nulls_stay_null(con, make_table):
    table = make_table(con, rows())
    nulls = table.aggregate(**{name: table[name].isnull().sum() for name in table.columns})
    assert nulls.execute().iloc[0].to_dict() == {"id": 1, "at": 1, "n": 1, "x": 1}


def test_unknown_engine_is_refused():
    with pytest.raises(Refusal, match="duckdb:// or pyspark://"):
        connect("sqlite://")


def test_garbage_is_looked_for_rarely_unless_somebody_has_set_another_bound():
    import gc

    from cdp_lib.tables import engine

    before = gc.get_threshold()
    try:
        for own, after in (((2_000, 10, 10), engine.RARELY), ((0, 5, 5), (0, 5, 5)),
                           ((90_000, 3, 3), (90_000, 3, 3))):  # fmt: skip
            gc.set_threshold(*own)
            connect("duckdb://")
            assert gc.get_threshold() == after
    finally:
        gc.set_threshold(*before)
