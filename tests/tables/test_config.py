"""shop.toml: what it may say, and how it is refused when it says something else."""

from datetime import datetime

import pytest

from cdp_lib.checks import Refusal
from cdp_lib.tables.config import ColumnSpec, Settings, find, read_shop_file

GOOD = """
name = "demo"
currency = "EUR"
as_of = 2026-11-23T01:00:00+01:00
[engine]
url = "pyspark://"
[settings]
idle_hours = 48
free_shipping_threshold = 50.0
[tables.events]
path = "events/*.parquet"
key = []
events = { view = "view_item" }
[tables.events.columns]
visitor_id = "visitorid"
occurred_at = { from = "timestamp", unit = "ms" }
session_id = false
city = { value = "Berlin" }
device_type = { from = "d", codes = { 1 = "mobile" } }
[tables.orders]
table = "sales"
[experiments.mail]
start = 2026-01-01
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "shop.toml").write_text(text, encoding="utf-8")
        return read_shop_file(tmp_path / "shop.toml")

    return read


def test_everything_that_a_file_may_say(read):
    file = read(GOOD)
    assert (file.name, file.currency, file.url) == ("demo", "EUR", "pyspark://")
    assert file.as_of == datetime(2026, 11, 23)
    assert file.settings == Settings(30, 48, 50.0)
    events = file.tables["events"]
    assert (events.path, events.key, events.events) == (
        "events/*.parquet", (), {"view": "view_item"},
    )  # fmt: skip
    assert events.columns == {
        "visitor_id": ColumnSpec(source="visitorid"),
        "occurred_at": ColumnSpec(source="timestamp", unit="ms"),
        "session_id": ColumnSpec(used=False),
        "city": ColumnSpec(value="Berlin"),
        "device_type": ColumnSpec(source="d", codes={"1": "mobile"}),
    }
    assert (file.tables["orders"].table, file.tables["orders"].key) == ("sales", None)
    assert list(file.experiments) == ["mail"]


EVENTS = '[tables.events]\npath = "e.parquet"\n'


@pytest.mark.parametrize(
    "text, message",
    [
        ("name = ", "not valid TOML"),
        ("", "the shop has no table"),
        ("curency = 'EUR'\n" + EVENTS, "did you mean 'currency'"),
        ("[tables.event]\npath = 'e'", "did you mean 'events'"),
        ("[settings]\nidle_hour = 3\n" + EVENTS, "did you mean 'idle_hours'"),
        ("[settings]\nidle_hours = '3'\n" + EVENTS, "not a number"),
        ("[settings]\nidle_hours = true\n" + EVENTS, "not a number"),
        ("[settings]\nidle_hours = 0\n" + EVENTS, "greater than 0"),
        ("[settings]\nidle_hours = nan\n" + EVENTS, "greater than 0"),
        ("[engine]\nurl = 3\n" + EVENTS, "not a text"),
        ("engine = 'duckdb'\n" + EVENTS, r"write it as \[engine\]"),
        ("as_of = 'soon'\n" + EVENTS, "not a date"),
        ("[tables.events]\n", "exactly one of path and table"),
        ("[tables.events]\npath = 'a'\ntable = 'b'", "exactly one of path and table"),
        (EVENTS + "pth = 'x'", "did you mean 'path'"),
        (EVENTS + "key = 'event_id'", "not a list of names"),
        (EVENTS + "columns = 'x'", "not a table of names"),
        (EVENTS + "columns = { city = 3 }", "not a column"),
        (EVENTS + "columns = { city = { fromm = 'x' } }", "did you mean 'from'"),
        (EVENTS + "columns = { city = { unit = 's' } }", "exactly one of from and value"),
        (EVENTS + "columns = { city = { from = 'x', unit = 'h' } }", "choose one of s, ms, us"),
        ("[tables.orders]\npath = 'o'\nevents = { a = 'b' }", "has event names"),
    ],
)
def test_anything_else_is_refused_and_the_fix_is_named(read, text, message):
    with pytest.raises(Refusal, match=message):
        read(text)


def test_a_file_is_found_from_any_folder_below_the_project(tmp_path, monkeypatch):
    (tmp_path / "data" / "demo").mkdir(parents=True)
    (tmp_path / "data" / "demo" / "shop.toml").write_text(EVENTS)
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    for folder in (".", "notebooks", "notebooks/deep"):
        monkeypatch.chdir(tmp_path / folder)
        assert find("data/demo/shop.toml") == tmp_path / "data" / "demo" / "shop.toml"
        assert find("data/demo") == tmp_path / "data" / "demo" / "shop.toml"
    with pytest.raises(Refusal, match="no such file"):
        find("data/none/shop.toml")
