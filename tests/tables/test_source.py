"""A shop opened: every file form, every kind of mapping, the cut at as_of, one row a key."""

from datetime import datetime

import pandas as pd
import pytest

from cdp_lib.checks import MissingTable, Refusal
from cdp_lib.tables import CONTRACT, open_shop


def events(n=3, **columns):
    frame = pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(n)],
            "occurred_at": pd.date_range("2026-01-01", periods=n, freq="D").astype(
                "datetime64[us]"
            ),
            "visitor_id": [f"v{i}" for i in range(n)],
            "event": "view_item",
        }
    )
    return frame.assign(**columns)


def rows(table, *columns, by="event_id"):
    return [tuple(r.values()) for r in table.order_by(by).select(*columns).to_pyarrow().to_pylist()]


def test_contract_form(con, make_shop):
    shop = make_shop(con, {"events": events(price=[1, 2, 3], mood=["a", "b", "c"])})
    table = shop.events
    contract = CONTRACT["events"].columns
    assert table.columns[: len(contract)] == tuple(c.name for c in contract)
    assert table.columns[len(contract) :] == ("mood",)
    for column in contract:
        assert str(table.schema()[column.name]).split("(")[0] == column.dtype
    assert shop.given("events") == {"event_id", "occurred_at", "visitor_id", "event", "price"}
    got = rows(table, "price", "city", "mood")
    assert got == [(1.0, None, "a"), (2.0, None, "b"), (3.0, None, "c")]
    assert (shop.name, shop.currency, shop.as_of) == ("made", "EUR", datetime(2026, 2, 1))


MAPPED = """
[tables.events]
path = "events.parquet"
events = { pv = "view_item", 7 = "purchase" }
[tables.events.columns]
event_id = "Id"
visitor_id = "user"
customer_id = "user"
occurred_at = { from = "ts", unit = "s" }
event = "kind"
device_type = { from = "device", codes = { 1 = "mobile", 2 = "desktop" } }
city = { value = "Berlin" }
session_id = false
region = "Region Name"
"""


def test_mapping_of_names_units_codes_constants_and_extras(con, make_shop):
    raw = pd.DataFrame(
        {
            "Id": [1, 2], "user": [10.0, 11.0], "ts": [1767225600, 1767225601], "kind": ["pv", "7"],
            "device": [1, 3], "session_id": ["x", "y"], "Region Name": ["N", "S"],
            "City": ["a", "b"],
        }
    )  # fmt: skip
    shop = make_shop(con, {"events": raw}, MAPPED)
    columns = (
        "event_id",
        "visitor_id",
        "customer_id",
        "event",
        "device_type",
        "city",
        "session_id",
    )
    assert rows(shop.events, *columns, "region", "City_raw") == [
        ("1", "10", "10", "view_item", "mobile", "Berlin", None, "N", "a"),
        ("2", "11", "11", "purchase", "3", "Berlin", None, "S", "b"),
    ]
    assert rows(shop.events, "occurred_at")[1] == (datetime(2026, 1, 1, 0, 0, 1),)


def test_csv_gzip_folder_glob_and_engine_table_are_the_same_shop(con, make_table, tmp_path):
    frame = events(6, price=[1.5, None, 3, 4, 5, 6], page='a "quoted", page')
    (tmp_path / "parts").mkdir()
    for half in (0, 1):
        frame.iloc[half * 3 : half * 3 + 3].to_csv(tmp_path / f"parts/{half}.csv", index=False)
    frame.to_csv(tmp_path / "all.csv.gz", index=False)
    frame.to_csv(tmp_path / "semicolon.csv", index=False, sep=";")
    frame.to_csv(tmp_path / "bare.csv", index=False, header=False)
    frame.to_parquet(tmp_path / "all.parquet", index=False)
    make_table(con, frame, name=f"log_{con.name}")
    ways = [
        'path = "parts"', 'path = "parts/*.csv"', 'path = "all.csv.gz"', 'path = "all.parquet"',
        'path = "semicolon.csv"\ndelimiter = ";"', f'table = "log_{con.name}"',
        f'path = "bare.csv"\nheader = {list(frame.columns)}',
    ]  # fmt: skip
    seen = []
    for way in ways:
        (tmp_path / "shop.toml").write_text(f"as_of = 2026-02-01\n[tables.events]\n{way}\n")
        shop = open_shop(tmp_path / "shop.toml", con=con)
        seen.append(rows(shop.events, "event_id", "occurred_at", "price", "page"))
    assert len(seen[0]) == 6 and seen[0][1][2] is None and seen[0][0][3] == 'a "quoted", page'
    assert all(other == seen[0] for other in seen)


def test_files_of_a_folder_may_differ_in_columns(con, tmp_path):
    (tmp_path / "parts").mkdir()
    events(2).to_parquet(tmp_path / "parts/1.parquet", index=False)
    events(1, event_id="z", city="Wien").to_parquet(tmp_path / "parts/2.parquet", index=False)
    (tmp_path / "shop.toml").write_text('as_of = 2026-02-01\n[tables.events]\npath = "parts"\n')
    shop = open_shop(tmp_path / "shop.toml", con=con)
    assert rows(shop.events, "city") == [(None,), (None,), ("Wien",)]


QUERY = """
[tables.orders]
path = "orders.parquet"
query = "select s.bill as order_id, max(who) as customer_id, min(day) as ordered_at, sum(n * eur) as revenue from source s group by s.bill"
"""  # noqa: E501


def test_orders_grouped_from_lines_by_a_query(con, make_shop):
    lines = pd.DataFrame(
        {"bill": ["a", "a", "b"], "who": ["1", "1", "2"], "n": [2, 1, 3], "eur": [5.0, 1.5, 2.0],
         "day": pd.to_datetime(["2026-01-02", "2026-01-03", "2026-01-04"])}
    )  # fmt: skip
    shop = make_shop(con, {"orders": lines}, QUERY)
    got = rows(shop.orders, "order_id", "customer_id", "revenue", "ordered_at", by="order_id")
    assert got == [("a", "1", 11.5, datetime(2026, 1, 2)), ("b", "2", 6.0, datetime(2026, 1, 4))]


@pytest.mark.parametrize(
    "query, message",
    [
        ("drop table source", "not one SELECT"),
        ("select 1; select 2", "not one SELECT"),
        ("select * from other", "select from `source`"),
        ("select * from read_csv('/etc/passwd')", "select from `source`"),
        ("select from where", "write one SELECT|not one SELECT"),
        ("select no_such_column from source", "no_such_column"),
    ],
)
def test_a_query_is_one_select_over_its_own_table(con, make_shop, query, message):
    text = f'[tables.events]\npath = "events.parquet"\nquery = "{query}"\n'
    with pytest.raises(Refusal, match=message):
        make_shop(con, {"events": events()}, text, needs=["events"])


def test_rows_from_as_of_on_are_not_there_and_later_happenings_not_known(con, make_shop):
    sent = [datetime(2026, 1, 1), datetime(2026, 1, 31, 23, 59, 59, 999999), datetime(2026, 2, 1)]
    messages = pd.DataFrame(
        {"message_id": ["a", "b", "c"], "campaign_id": "x", "customer_id": "1", "channel": "email",
         "sent_at": sent, "opened_at": pd.to_datetime(["2026-01-02", "2026-02-01", "2026-02-02"])}
    )  # fmt: skip
    shop = make_shop(con, {"messages": messages})
    got = rows(shop.messages, "message_id", "opened_at", by="message_id")
    assert got == [("a", datetime(2026, 1, 2)), ("b", None)]


def test_a_log_cut_at_as_of_is_the_same_shop_as_the_whole_log(con, make_shop):
    whole = events(20, customer_id=[None, "c"] * 10, visitor_id=["a", "b", "b", "c"] * 5)
    kept = whole[whole.occurred_at < "2026-01-11"]
    columns = ("event_id", "session_id", "person_id", "known", "returning")
    full = rows(make_shop(con, {"events": whole}, as_of="2026-01-11").journeys, *columns)
    cut = rows(make_shop(con, {"events": kept}, as_of="2026-01-11").journeys, *columns)
    assert len(full) == 10 and full == cut


def test_as_of_is_just_after_the_newest_row_and_a_fast_clock_does_not_move_it(con, make_shop):
    shop = make_shop(con, {"events": events(3)}, as_of=None)
    assert shop.as_of == datetime(2026, 1, 3, 0, 0, 1)
    ahead = events(3)
    ahead.loc[2, "occurred_at"] = pd.Timestamp("2099-01-01")
    shop = make_shop(con, {"events": ahead}, as_of=None)
    assert shop.as_of == datetime(2026, 1, 2, 0, 0, 1)
    assert rows(shop.events, "event_id") == [("e0",), ("e1",)]


def test_of_a_repeated_key_one_row_stays_whatever_the_order(con, make_shop):
    frame = events(4, event_id=["a", "a", "b", None], price=[2.0, 1.0, 3.0, 4.0], visitor_id="v")
    frame["occurred_at"] = pd.Timestamp("2026-01-01")
    wanted = [("a", 1.0), ("b", 3.0), (None, 4.0)]
    for each in (frame, frame.iloc[::-1]):
        shop = make_shop(con, {"events": each})
        assert rows(shop.events, "event_id", "price", by="price") == wanted


def test_a_key_of_ones_own_and_no_key(con, make_shop):
    frame = events(4, event_id=["a", "a", "a", "b"], line=[1, 1, 2, 1])
    text = '[tables.events]\npath = "events.parquet"\nkey = '
    own = make_shop(con, {"events": frame}, text + '["event_id", "line"]')
    assert own.events.count().execute() == 3
    assert make_shop(con, {"events": frame}, text + "[]").events.count().execute() == 4


def test_journeys_have_all_columns_and_every_event_with_an_id(con, make_shop):
    frame = events(4, visitor_id=["a", "a", None, None], customer_id=[None, "7", "7", None])
    shop = make_shop(con, {"events": frame.assign(mood="m")})
    table = shop.journeys
    assert table.columns == (*shop.events.columns, "person_id", "known", "returning")
    assert table.schema()["shipping_cost"].is_floating()
    assert rows(table, "event_id", "person_id", "mood") == [
        ("e0", "c:7", "m"), ("e1", "c:7", "m"), ("e2", "c:7", "m"),
    ]  # fmt: skip
    assert shop.coverage.without_id_rate == 0.25


def test_what_a_shop_lacks_is_named(con, make_shop):
    shop = make_shop(con, {"events": events()})
    assert shop.has("events") and not shop.has("orders")
    for ask in (lambda: shop.orders, lambda: shop.require("events", "orders")):
        with pytest.raises(MissingTable, match=r"it has events; add \[tables.orders\]"):
            ask()
    with pytest.raises(MissingTable):
        make_shop(con, {"events": events()}, needs=["orders"])
    with pytest.raises(Refusal, match="did you mean 'orders'"):
        shop.has("order")
    with pytest.raises(AttributeError):
        _ = shop.order


@pytest.mark.parametrize(
    "frame, text, message",
    [
        (events().drop(columns="visitor_id"), "", "map one of event_id, occurred_at, event"),
        (events(), 'columns = { city = "town" }', "'town': no such column"),
        (events(), 'columns = { visitor = "visitor_id" }', "did you mean 'visitor_id'"),
        (events(), 'key = ["line"]', "no such column"),
        (events(occurred_at=1), "", "give its unit"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(con, make_shop, frame, text, message):
    section = f'[tables.events]\npath = "events.parquet"\n{text}\n'
    with pytest.raises(Refusal, match=message):
        make_shop(con, {"events": frame}, section, needs=["events"])


@pytest.mark.parametrize("path", ["nothing.parquet", "none/*.csv", "mixed"])
def test_a_file_that_is_not_there_is_refused(con, tmp_path, path):
    (tmp_path / "mixed").mkdir()
    events().to_csv(tmp_path / "mixed/a.csv")
    events().to_parquet(tmp_path / "mixed/a.parquet")
    (tmp_path / "shop.toml").write_text(f'[tables.events]\npath = "{path}"\n')
    with pytest.raises(Refusal, match=r"no such file|mixed"):
        open_shop(tmp_path / "shop.toml", con=con, needs=["events"])
