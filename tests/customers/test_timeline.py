"""The timeline of a customer: by hand on both engines, escaped, and on no page of a report."""

import ast
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.customers.timeline import timeline, timelines
from cdp_lib.customers.timeline_view import picture, view
from cdp_lib.tables import open_shop
from cdp_lib.world import simulate

ROOT = Path(__file__).resolve().parents[2]
DAY = pd.Timestamp("2026-06-01")


def at(hours):
    return DAY + pd.Timedelta(hours=hours)


@pytest.fixture
def tables():
    def event(hours, name, visitor="v1", customer=None, product=None, price=None, quantity=None):
        return (at(hours), visitor, customer, name, product, price, quantity)

    events = pd.DataFrame(
        [
            event(1.0, "view_item", product="p1"),  # before anybody knew who it was
            event(1.1, "view_item", product="p<2>"),
            event(30.0, "login", customer="ann"),
            event(30.1, "add_to_cart", customer="ann", product="p1", price=20.0, quantity=2),
            event(30.2, "add_to_cart", customer="ann", product="p<2>", price=5.0),
            event(30.3, "remove_from_cart", customer="ann", product="p<2>", price=5.0),
            event(30.4, "begin_checkout", customer="ann"),
            event(90.0, "contact_support", customer="ann"),
            event(91.0, "view_item", visitor="v2", customer="bob", product="secret"),
        ],
        columns=["occurred_at", "visitor_id", "customer_id", "event", "product_id", "price",
                 "quantity"],
    ).astype({"customer_id": "string", "product_id": "string", "quantity": "Int64"})  # fmt: skip
    messages = pd.DataFrame(
        {"message_id": ["m1", "m2"], "campaign_id": ["<b>news</b>", "news"], "channel": "email",
         "customer_id": ["ann", "bob"], "sent_at": [at(50), at(51)],
         "opened_at": [at(52), pd.NaT], "clicked_at": [pd.NaT, pd.NaT],
         "unsubscribed_at": [at(53), pd.NaT]}
    )  # fmt: skip
    orders = pd.DataFrame(
        {"order_id": ["o1", "r1"], "customer_id": "ann", "ordered_at": [at(60), at(200)],
         "revenue": [36.0, -18.0], "discount": [4.0, None], "channel": "web"}
    )  # fmt: skip
    lines = pd.DataFrame({"order_id": ["o1", "r1"], "product_id": "p1", "quantity": [2, -1],
                          "unit_price": 20.0})  # fmt: skip
    return {
        "customers": pd.DataFrame({"customer_id": ["ann", "bob", "new"], "created_at": at(29)}),
        "events": events, "messages": messages, "orders": orders, "order_lines": lines,
        "products": pd.DataFrame({"product_id": ["p1", "p<2>"], "name": ["Cap\n red", None]}),
        "assignments": pd.DataFrame({"experiment_id": ["spring"], "unit_id": ["ann"],
                                     "arm": ["holdout"], "assigned_at": [at(49)]}),
    }  # fmt: skip


@pytest.mark.long_on_spark
def test_a_life_is_told_as_by_hand(con, make_shop, tables):
    shop = make_shop(con, tables)
    table = timeline(shop, "ann")
    assert table.columns.to_list() == ["at", "channel", "what", "detail", "value"]
    told = list(zip(table.what, table.detail, strict=True))
    assert told == [
        ("visit", "6 min, looked at Cap red, p<2>"),  # stitched by the later login
        ("became a customer", ""),
        ("visit", "24 min"),
        ("cart", "checkout begun, with Cap red, p<2>"),
        ("drawn", "spring: holdout"),
        ("message sent", "<b>news</b>"),
        ("message opened", "<b>news</b>"),
        ("opted out", "<b>news</b>"),
        ("order", "Cap red, 4.00 off"),
        ("visit", "0 min"),
        ("asked for help", ""),
        ("return", "Cap red"),
    ]
    assert table["at"].is_monotonic_increasing and table["at"].iloc[0] == at(1)
    money = table.dropna(subset=["value"])
    assert money.value.to_list() == [40.0, 36.0, -18.0]
    assert "secret" not in table.to_string()
    some = timelines(shop, pd.DataFrame({"customer_id": ["ann", "bob", "nobody", None]}), last=3)
    rows = some.set_index("customer_id")
    assert rows.n_entries.to_dict() == {"ann": 3, "bob": 2, "nobody": 0}
    assert rows.history["ann"].splitlines() == [
        "2026-06-09 08:00 web, return (-18.00): Cap red",
        "2026-06-04 18:00 web, asked for help",
        "2026-06-04 18:00 web, visit: 0 min",
    ]
    assert rows.history["nobody"] == "" and "secret" in rows.history["bob"]


def test_a_timeline_ends_with_what_was_known(duckdb_con, make_shop, tables):
    then = timeline(make_shop(duckdb_con, tables).at(at(49.5)), "ann")
    assert then.what.to_list() == ["visit", "became a customer", "visit", "cart", "drawn"]
    early = timeline(make_shop(duckdb_con, tables).at(at(52.5)), "ann")
    assert early.what.to_list()[-2:] == ["message sent", "message opened"]


def test_an_unknown_customer_is_refused_without_naming_others(duckdb_con, make_shop, tables):
    shop = make_shop(duckdb_con, tables)
    with pytest.raises(Refusal, match="no such customer") as refused:
        timeline(shop, "anne")
    assert "ann'" not in str(refused.value) and "bob" not in str(refused.value)
    for wrong in ("", None, 7):
        with pytest.raises(Refusal, match="not an id"):
            timeline(shop, wrong)
    assert len(timeline(shop, "new")) == 1
    bare = make_shop(duckdb_con, {"customers": tables["customers"].drop(columns="created_at")})
    assert timeline(bare, "new").empty, "known, and nothing happened"
    with pytest.raises(Refusal, match="has no customer_id"):
        timelines(shop, pd.DataFrame({"id": ["ann"]}))


def test_the_view_escapes_what_the_data_say(duckdb_con, make_shop, tables):
    tables["messages"]["campaign_id"] = "<script>alert(1)</script>"
    shown = view(make_shop(duckdb_con, tables), "ann", last=8)
    html = shown._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count("<tr><td>") == 8 and "4 older entries" in html
    assert html.count("<circle") == 12 and "3 visits" in html and "2 orders" in html
    assert picture(shown.table.head(0)) == ""


def test_rows_of_a_list_are_the_ends_of_the_timelines(tmp_path):
    shop = open_shop(simulate(tmp_path, customers=150, seed=2))
    ids = shop.orders.select("customer_id").distinct().order_by("customer_id").limit(3)
    rows = timelines(shop, ids, last=6, skip=())
    assert len(rows) == 3 and (rows.n_entries <= 6).all()
    for row in rows.itertuples():
        whole = timeline(shop, row.customer_id)
        lines = row.history.splitlines()
        assert len(lines) == row.n_entries == min(6, len(whole))
        newest = whole.iloc[::-1]["at"].dt.strftime("%Y-%m-%d %H:%M").to_list()
        assert [line[:16] for line in lines] == newest[: len(lines)]


def test_no_page_of_a_report_shows_a_timeline():
    """Lists for customer care may hold one; what makes pages, and the notebooks, may not."""
    for path in (ROOT / "cdp_lib" / "report").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {*(node.module or "").split("."), *(one.name for one in node.names)}
                assert not names & {"timeline", "timelines", "timeline_view"}, path.name
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not (cell.cell_type == "code" and "timeline" in cell.source), path.name
