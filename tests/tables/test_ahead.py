"""A table that fills while its readers are planned."""

import ibis
import pandas as pd
import pytest

from cdp_lib.tables.ahead import filling
from cdp_lib.tables.engine import connect


@pytest.fixture
def con():
    return connect("duckdb://")


def test_what_is_asked_sees_the_whole_table_which_is_gone_afterwards(con):
    con.raw_sql("CREATE TEMPORARY TABLE numbers AS SELECT range AS n FROM range(10_000)")
    numbers = con.table("numbers")
    with filling(numbers.filter(numbers.n % 2 == 0)) as ahead:
        count = ahead.planned(ahead.table.count())
        most = ahead.planned(ahead.table.agg(most=ahead.table.n.max()))
        assert count().result().iat[0, 0] == 5_000
        assert most().result()["most"].tolist() == [9_998]
    assert con.list_tables() == ["numbers"]


def test_rows_from_memory_and_functions_of_python_are_made_known(con):
    @ibis.udf.scalar.python
    def doubled(n: int) -> int:
        return 2 * n

    numbers = con.create_table("numbers", pd.DataFrame({"n": [1, 2, 3]}), temp=True)
    others = ibis.memtable(pd.DataFrame({"n": [2, 3, 4]}))
    with filling(numbers) as ahead:
        both = ahead.table.join(others, "n").select(twice=doubled(ahead.table.n))
        assert sorted(ahead.planned(both)().result()["twice"]) == [4, 6]


def test_a_table_that_cannot_be_filled_says_so_to_who_asks(con):
    texts = con.create_table("texts", pd.DataFrame({"text": ["1", "one"]}), temp=True)
    with (
        pytest.raises(Exception, match="Could not convert string 'one'"),
        filling(texts.select(number=texts["text"].cast("int64"))) as ahead,
    ):
        ahead.planned(ahead.table.count())().result()
    assert con.list_tables() == ["texts"] and con.table("texts").count().execute() == 2


def test_an_error_stops_the_filling(con):
    # Ten thousand million million pairs would never be written.
    con.raw_sql("CREATE TEMPORARY VIEW many AS SELECT range AS n FROM range(100_000_000)")
    many = con.table("many")
    pairs = many.join(many.view(), how="cross", rname="other_{name}")
    with pytest.raises(KeyboardInterrupt), filling(pairs):
        raise KeyboardInterrupt
    assert con.list_tables() == ["many"]
    assert con.raw_sql("SELECT 42").fetchone() == (42,)
