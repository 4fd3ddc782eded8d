"""Predicates: counted by hand on both engines, equal to SQL, and nothing else gets through."""

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_lib.checks import Refusal
from cdp_lib.customers.predicates import bind, kind_of, parse

KINDS = {"spend": "number", "orders_90d": "number", "city": "text", "push": "yes/no",
         "seen_at": "other"}  # fmt: skip
PEOPLE = pd.DataFrame(
    {
        "id": list("abcdef"),
        "spend": [300.0, 200.0, 50.0, None, 0.0, -5.5],
        "orders_90d": [3, 2, 1, 0, 0, 1],
        "city": ["Berlin", "Köln", None, "berlin", "it's", "50%"],
        "push": [True, False, None, False, True, False],
    }
)
BY_HAND = {
    "spend > 100": "ab",
    "spend >= 200 and not push": "b",  # null push of c: not "not push"
    "not push": "bdf",
    "push is null": "c",
    "push is not true": "bcdf",
    "spend is null or spend < 0": "df",
    "not (spend > 100)": "cef",  # d's spend is unknown
    "spend <> 50": "abef",
    "spend between 0 and 200": "bce",
    "spend not between 0 and 200": "af",
    "orders_90d in (1, 3)": "acf",
    "orders_90d not in (0)": "abcf",
    "city = 'Berlin'": "a",
    "lower(city) in ('berlin', 'köln')": "abd",
    "city like 'B%' or city ilike '%ÖLN'": "ab",
    "city = 'it''s'": "e",
    "city like '50%'": "f",
    "length(city) = 4": "be",
    "spend / orders_90d > 60": "ab",  # dividing by 0 gives null
    "spend / (orders_90d - orders_90d) is null": "abcdef",
    "orders_90d % 2 = 1": "acf",
    "-spend > 5": "f",
    "spend > -6 and spend < -5": "f",
    "abs(spend) between 5 and 60": "cf",
    "coalesce(spend, 1000) > 250": "ad",
    "greatest(spend, orders_90d * 100) = 300": "a",
    "least(spend, 1) = 1": "abcd",  # nulls are passed over
    "round(spend / 7, 1) = 7.1": "c",
    "floor(spend) = -6 or ceil(spend) = -5": "f",
    "nullif(spend, 0) is null": "de",
    "upper(trim(city)) = 'KÖLN'": "b",
    "true": "abcdef",
    "push = (spend > 100)": "af",  # both true, both false; of c and d one is unknown
    "spend * 1e300 * 1e300 > 0": "abc",
    '"spend" == 50': "c",
    "spend > 250 or spend < 10 and push": "ae",  # and binds before or
}


@pytest.fixture(scope="module")
def held(con, make_table):
    """Whether each predicate holds for each of the people, all in one query."""
    schema = {"spend": "float64", "orders_90d": "int64", "city": "string", "push": "boolean"}
    table = make_table(con, PEOPLE, schema=schema)
    holds = {f"p{i}": bind(parse(text), KINDS)(table) for i, text in enumerate(BY_HAND)}
    return table.select("id", **holds).execute().sort_values("id", ignore_index=True)


@pytest.mark.parametrize("text", BY_HAND)
def test_a_predicate_picks_those_one_picks_by_hand(held, text):
    column = held[f"p{list(BY_HAND).index(text)}"]
    assert column.notna().all(), "true or false, never null"
    assert "".join(held.id[column.astype(bool)]) == BY_HAND[text]


REFUSED = {  # predicate -> what the message must say
    "spend > 1; drop table people": "semicolon",
    "spend > 1;": "semicolon",
    "(select 1) > 0": "a sub-query is not allowed",
    "spend in (select 1)": "not allowed",
    "exists (select 1)": "a sub-query",
    "spend > 0 union select 1": "cannot be read",
    "select 1": "cannot be read",
    "drop table people": "cannot be read",
    "read_csv('/etc/passwd') is null": "the function read_csv is not allowed",
    "read_text('x') = 'y'": "read_text",
    "glob('*') is null": "glob",
    "getenv('HOME') = 'x'": "getenv",
    "count(*) > 1": "the function count",
    "* > 1": "a star is not allowed",
    "sum(spend) over () > 1": "not allowed",
    "cast(spend as integer) > 1": "the function cast",
    "spend::varchar = '1'": "the function cast",
    "spend > ?": "not allowed",
    "spend > $limit": "not allowed",
    "people.spend > 1": "not allowed",
    "current_date is null": "not allowed",
    "spend > interval 3 day": "not allowed",
    "case when push then push end": "not allowed",
    "city || 'x' = 'y'": "not allowed",
    "spend is not distinct from 1": "not allowed",
    "spend ** 2 > 1": "not allowed",
    "city like 'x' escape '!'": "not allowed",
    "random() > 0.5": "not allowed",
    "spend between symmetric 3 and 1": "not allowed",
    "spend[1] > 1": "not allowed",
    "spend": "is a number, not a condition",
    "'yes'": "is a text, not a condition",
    "spend > 'much'": "spend is a number and 'much' a text",
    "city > 3": "city is a text and 3 a number",
    "push > 1": "push is a yes/no and 1 a number",
    "1 < spend < 3": "is a yes/no and 3 a number",
    "not spend": "is a number, where a yes/no is needed",
    "spend and push": "is a number, where a yes/no is needed",
    "lower(spend) = 'x'": "takes a text",
    "spend = null": "nothing equals null",
    "spend in (1, null)": "nothing equals null",
    "spend in ()": "list of values",
    "spend in (orders_90d)": "list of values",
    "city in ('a', 1)": "a text and 1 a number",
    "coalesce(spend, 'x') = 1": "a number and 'x' a text",
    "city like lower(city)": "a pattern",
    "city like 'a\\_b'": "a pattern",
    "spend like '1%'": "needs a text column",
    "spend > 1e999": "too large a number",
    "round(spend, orders_90d) > 1": "0 to 9 digits",
    "seen_at is null": "'seen_at' is no number, text or yes/no",
    "spnd > 1": "did you mean 'spend'",
    "orders_9d > 1": "did you mean 'orders_90d'",
    "Spend > 1": "did you mean 'spend'",
    "spend > 1 or": "cannot be read",
    "((spend > 1": "cannot be read",
    "spend > 'x": "cannot be read",
    "": "not a predicate",
    "   ": "not a predicate",
    "spend > 1 " + "or spend > 1 " * 400: "longer than",
    "(" * 1900 + "push" + ")" * 1900: "too deep",
    "not " * 990 + "push": "too deep",
    "abs(" * 790 + "spend" + ")" * 790 + " > 1": "too deep",
}


@pytest.mark.parametrize("text", REFUSED)
def test_nothing_else_gets_through(text):
    with pytest.raises(Refusal) as refusal:
        bind(parse(text, "own.toml, line 3, [x].where"), KINDS)
    assert REFUSED[text] in str(refusal.value)
    assert str(refusal.value).startswith("own.toml, line 3, [x].where = ")


@pytest.mark.parametrize("value", [None, 3, ["spend > 1"], b"spend > 1"])
def test_a_predicate_is_a_text(value):
    with pytest.raises(Refusal, match="not a predicate"):
        parse(value)


def test_a_predicate_names_its_columns():
    assert parse("spend > 1 and (city = 'x' or spend < orders_90d)").columns == (
        "city", "orders_90d", "spend",
    )  # fmt: skip


NUMBERS = st.recursive(
    st.sampled_from(["spend", "orders_90d", "3", "0.5", "-2"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda a: f"abs({a})"),
        inner.map(lambda a: f"coalesce({a}, 7)"),
        st.tuples(inner, inner).map(lambda p: f"greatest({p[0]}, {p[1]})"),
    ),
    max_leaves=4,
)
TEXTS = st.sampled_from(["city", "lower(city)", "'Berlin'", "'berlin'"])
CONDITIONS = st.recursive(
    st.one_of(
        st.tuples(NUMBERS, st.sampled_from(["<", "<=", "=", "<>", ">", ">="]), NUMBERS).map(
            lambda p: f"{p[0]} {p[1]} {p[2]}"
        ),
        st.tuples(TEXTS, st.sampled_from(["=", "<>", "<"]), TEXTS).map(
            lambda p: f"{p[0]} {p[1]} {p[2]}"
        ),
        st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda p: f"{p[0]} between {p[1]} and {p[2]}"),
        NUMBERS.map(lambda a: f"{a} is null"),
        NUMBERS.map(lambda a: f"{a} in (1, 2, 300)"),
        st.sampled_from(["push", "push is true", "city like '%e%'", "city not in ('it''s')"]),
    ),
    lambda inner: st.one_of(
        inner.map(lambda a: f"not ({a})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
    ),
    max_leaves=5,
)


@given(text=CONDITIONS)
@settings(max_examples=150, deadline=None)
def test_a_predicate_means_what_it_means_in_sql(duckdb_con, make_table, text):
    """The engine's own reading of the same text is the oracle; null is not in."""
    table = make_table(duckdb_con, PEOPLE, "people_of_the_oracle")
    condition = bind(parse(text), KINDS)
    found = sorted(table.filter(condition(table)).id.to_pandas())
    frame = PEOPLE  # noqa: F841 (read by DuckDB)
    wanted = duckdb.sql(f"select id from frame where ({text}) is true order by id").fetchall()
    assert found == [row[0] for row in wanted]


def test_the_kinds_of_columns():
    import ibis.expr.datatypes as dt

    told = {dt.int64: "number", dt.float64: "number", dt.Decimal(9, 2): "number",
            dt.string: "text", dt.boolean: "yes/no", dt.timestamp: "other"}  # fmt: skip
    assert {kind: kind_of(kind) for kind in told} == told
