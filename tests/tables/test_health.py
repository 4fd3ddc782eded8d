"""Planted faults: each counted, shown, treated as said, and gone from the tables if set aside."""

import os
import signal
import threading

import pandas as pd
import pytest

from cdp_lib.tables import check
from cdp_lib.tables.health import COUNTS, PROBLEMS
from cdp_lib.tables.rules import bad, fine

DAY = "2026-01-05 10:00:00"


def faulty():
    """Two events for every row that no rule touches, and the faults named beside each row."""
    events = pd.DataFrame(
        [
            ("e01", DAY, "v1", "c1", "view_item", 1, 5.0, None),
            ("e02", DAY, "v1", None, "purchase", 1, 5.0, "o1"),
            ("e02", DAY, "v1", None, "purchase", 1, 5.0, "o1"),        # repeated key
            ("e03", "1970-01-01", "v1", None, "view_item", 1, 5.0, None),   # impossible time
            ("e04", "2026-02-01", "v1", None, "view_item", 1, 5.0, None),   # at as_of
            ("e05", "soon", "v1", None, "view_item", 1, 5.0, None),         # unreadable time
            ("e06", DAY, None, None, "view_item", 1, 5.0, None),            # no visitor: kept
            ("e07", DAY, "v1", None, "view_item", -1, 5.0, None),           # negative quantity
            ("e08", DAY, "v1", None, "view_item", 1, -5.0, None),           # negative price
            ("e09", DAY, "v1", None, "dance", 1, 5.0, None),                # unknown event: kept
            ("e10", DAY, "v1", None, None, 1, 5.0, None),                   # no event
            ("e11", DAY, "v1", None, "purchase", 1, 5.0, "o9"),             # unknown order: kept
            ("e12", "1970-01-01", "v1", None, "view_item", -1, -5.0, None),  # three faults at once
        ],
        columns=["event_id", "occurred_at", "visitor_id", "customer_id", "event", "quantity",
                 "price", "order_id"],
    )  # fmt: skip
    orders = pd.DataFrame(
        [
            ("o1", "c1", "2026-01-05", "5.0"),
            ("o2", None, "2026-01-05", "5.0"),       # a guest: kept
            ("o3", "c8", "2026-01-05", "-5.0"),      # unknown customer, refund: kept
            ("o4", "c1", "2026-02-05", "5.0"),       # after as_of
            ("o5", "c1", "2026-01-05", "five"),      # unreadable revenue
            (None, "c1", "2026-01-05", "5.0"),       # no id
        ],
        columns=["order_id", "customer_id", "ordered_at", "revenue"],
    )  # fmt: skip
    lines = pd.DataFrame(
        [
            ("o1", "p1", 1, 5.0), ("o2", "p1", -1, 5.0),    # a return: kept
            ("o4", "p1", 1, 5.0), ("o5", "p1", 1, 5.0),     # of orders set aside
            ("o9", "p1", 1, 5.0),                           # orphan
        ],
        columns=["order_id", "product_id", "quantity", "unit_price"],
    )  # fmt: skip
    customers = pd.DataFrame({"customer_id": ["c1", "c2"], "birth_year": ["1980", "young"]})
    return {"events": events, "orders": orders, "order_lines": lines, "customers": customers}


PLANTED = {
    ("events", "repeated key"): (1, "set aside", "e02"),
    ("events", "impossible time"): (2, "set aside", "e03; e12"),
    ("events", "at or after as_of"): (1, "set aside", "e04"),
    ("events", "unreadable occurred_at"): (1, "set aside", "e05"),
    ("events", "no visitor_id"): (1, "kept", "e06"),
    ("events", "negative quantity"): (2, "set aside", "e07; e12"),
    ("events", "negative price"): (2, "set aside", "e08; e12"),
    ("events", "unknown event"): (1, "kept", "dance"),
    ("events", "no event"): (1, "set aside", "e10"),
    ("events", "event of an unknown order"): (1, "kept", "o9"),
    ("orders", "no customer_id"): (1, "kept", "o2"),
    ("orders", "negative revenue"): (1, "kept", "o3"),
    ("orders", "order of an unknown customer"): (1, "kept", "o3"),
    ("orders", "at or after as_of"): (1, "set aside", "o4"),
    ("orders", "unreadable revenue"): (1, "set aside", "o5"),
    ("orders", "no order_id"): (1, "set aside", "(none)"),
    ("order_lines", "negative quantity"): (1, "kept", "o2 p1"),
    ("order_lines", "line of an order set aside"): (2, "set aside", "o4; o5"),
    ("order_lines", "line without its order"): (1, "set aside", "o9"),
    ("customers", "unreadable birth_year"): (1, "kept", "c…"),
}
# table: rows read, rows set aside (a row with three faults once), rows used
COUNTED = {
    "events": (13, 8, 5), "orders": (6, 3, 3), "order_lines": (5, 3, 2), "customers": (2, 0, 2),
}  # fmt: skip


def test_every_planted_fault_is_counted_and_treated(con, make_shop):
    shop = make_shop(con, faulty())
    report = check(shop)
    problems = report.problems
    assert list(problems.columns) == PROBLEMS and list(report.row_counts.columns) == COUNTS
    found = {
        (row.table, row.rule): (row.n_rows, row.treatment, row.examples)
        for row in problems.itertuples()
    }
    assert found == PLANTED
    assert not report.fatal and (problems["share"] > 0).all()
    counts = report.row_counts.set_index("table")[["n_read", "n_set_aside", "n_used"]]
    assert {name: tuple(row) for name, row in zip(counts.index, counts.values, strict=True)} == (
        COUNTED
    )
    # One truth: what the check says is used is what an analysis gets.
    assert {name: shop.table(name).count().execute() for name in COUNTED} == {
        name: used for name, (_, _, used) in COUNTED.items()
    }
    left = shop.events.order_by("event_id").event_id.to_pyarrow().to_pylist()
    assert left == ["e01", "e02", "e06", "e09", "e11"]


@pytest.mark.parametrize("name", COUNTED)
def test_what_lets_a_row_through_is_that_no_rule_sets_it_aside(con, make_shop, name):
    frames = faulty()
    # Numbers that are none, a time beyond all bounds and one that is missing, beside the faults.
    more = frames["events"].head(4).assign(
        event_id=list("wxyz"), price=[float("nan"), float("inf"), None, 0.0],
        occurred_at=[DAY, DAY, None, "0001-01-01"],
    )  # fmt: skip
    frames["events"] = pd.concat([frames["events"], more], ignore_index=True)
    shop = make_shop(con, frames)
    rules = shop.rules(name)
    table = shop.looked_up(name, rules)
    let, kept = table.filter(*fine(table, rules)), table.filter(~bad(table, rules))
    n = kept.count().execute()
    assert n == COUNTED[name][2] + (name == "events") * 3  # the second e02, w and x
    assert let.count().execute() == n
    assert let.union(kept).distinct().count().execute() == kept.distinct().count().execute()


def test_the_text_says_it_all(con, make_shop):
    text = check(make_shop(con, faulty())).to_text()
    assert "13 read           8 set aside             5 used" in text
    for (table, rule), (n_rows, treatment, examples) in PLANTED.items():
        assert f"{treatment.upper()}  {table}, {rule}: {n_rows} rows" in text
        assert f"for example {examples}" in text


def test_a_clean_shop_has_nothing_to_report(con, make_shop):
    tables = faulty()
    tables["events"] = tables["events"].head(2)
    tables["orders"] = tables["orders"].head(1)
    tables["order_lines"] = tables["order_lines"].head(1)
    tables["customers"] = tables["customers"].head(1)
    report = check(make_shop(con, tables))
    assert report.problems.empty and not report.fatal
    assert "Nothing wrong was found." in report.to_text()


def test_ids_of_people_are_shortened(con, make_shop):
    links = pd.DataFrame(
        {"visitor_id": ["visitor-1"] * 2, "customer_id": "ab", "linked_at": pd.Timestamp(DAY)}
    )
    report = check(make_shop(con, {"identities": links}))
    assert list(report.problems.examples) == ["visi… a…"]


def events(**columns):
    frame = pd.DataFrame({"event_id": ["a", "b"], "visitor_id": "v", "event": "view_item"})
    return frame.assign(occurred_at=pd.Timestamp(DAY)).assign(**columns)


@pytest.mark.parametrize(
    "frame, text, rule, says",
    [
        (events().drop(columns="event"), "", "cannot be mapped", "map one of event_id, visitor_id"),
        (events(occurred_at="soon"), "", "wrong type in occurred_at", "not one value"),
        (events(occurred_at="soon"), "", "no usable row", "every row"),
        (events(price="cheap"), "", "wrong type in price", "float64"),
        (events(currency=["EUR", "USD"]), "", "two currencies", "2 values, from 'EUR' to 'USD'"),
        (events(currency="USD"), "", "two currencies", "shop.toml says 'EUR'"),
        (events().head(0), "", "no rows", "deliver it or remove it"),
        (events(), '[tables.orders]\npath = "no.csv"', "cannot be mapped", "no such file"),
    ],
)
def test_what_makes_numbers_untrustworthy_is_fatal(con, make_shop, frame, text, rule, says):
    report = check(make_shop(con, {"events": frame}, text))
    assert report.fatal
    meaning = report.problems.set_index("rule").meaning[rule]
    assert says in meaning


def test_a_broken_file_is_a_fatal_problem_and_the_other_tables_are_checked(con, make_shop):
    broken = '[tables.orders]\npath = "orders.parquet"\n'
    shop = make_shop(con, {"events": events()}, broken)
    (shop.path.parent / "orders.parquet").write_bytes(b"PAR1 is not enough")
    report = check(shop)
    assert report.fatal and list(report.problems.table) == ["orders"]
    assert list(report.row_counts.table) == ["events"]


def test_ctrl_c_is_no_fault_of_the_data(duckdb_con, make_shop, monkeypatch):
    """DuckDB turns Ctrl-C into an error of its own, which names what it came from."""
    from cdp_lib.tables import health

    def interrupted(shop, name):
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        duckdb_con.raw_sql(
            "SELECT count(*) FROM range(10_000_000_000) t WHERE range % 7 = 3"
        ).fetchall()

    monkeypatch.setattr(health, "_check_table", interrupted)
    shop = make_shop(duckdb_con, {"events": faulty()["events"]})
    with pytest.raises(KeyboardInterrupt):
        check(shop)


def test_repeated_rows_without_a_key_are_counted_and_kept(con, make_shop):
    frame = events().drop(columns="event_id")
    shop = make_shop(con, {"events": frame})
    row = check(shop).problems.iloc[0]
    assert (row.rule, row.n_rows, row.treatment) == ("repeated row", 1, "kept")
    assert shop.events.count().execute() == 2


def a_minute(visitor, n, apart_ms, start="2026-01-05 10:00:00"):
    moments = pd.Timestamp(start) + pd.to_timedelta([i * apart_ms for i in range(n)], unit="ms")
    return pd.DataFrame({"visitor_id": visitor, "occurred_at": moments, "event": "view_item"})


def test_a_visitor_faster_than_people_is_named_with_all_its_events(con, make_shop):
    log = pd.concat(
        [
            a_minute("robot", 120, 500),  # two a second
            a_minute("robot", 1, 0, "2026-01-09 12:00:00"),
            a_minute("almost", 119, 500),
            a_minute("slow robot's", 240, 510, "2026-01-05 10:00:30"),  # at most 118
            a_minute("page of many", 500, 0),  # all it shows, at one instant
            a_minute("known by the minute", 29, 2_000),
            a_minute("known by the minute", 200, 0),
            a_minute(None, 300, 100),
        ],
        ignore_index=True,
    )
    log["event_id"] = [f"e{i}" for i in range(len(log))]
    shop = make_shop(con, {"events": log})
    row = check(shop).problems.set_index("rule").loc["pace of a robot"]
    assert (row.n_rows, row.treatment, row.examples) == (121, "kept", "ro…")
    assert row.share == pytest.approx(121 / len(log))
    assert shop.events.count().execute() == len(log)


def test_an_order_worth_almost_nothing_is_named(con, make_shop):
    orders = pd.DataFrame({"revenue": [100.0, 100, 100, 1.0, 0.99, 0, -5, None]})
    orders = orders.assign(
        order_id=[f"o{i}" for i in orders.index], customer_id="c", ordered_at=pd.Timestamp(DAY)
    )
    rows = check(make_shop(con, {"orders": orders})).problems.set_index("rule")
    # The median of what brings money is 100; the refund and the unknown are other rules' matter.
    row = rows.loc["order worth almost nothing"]
    assert (row.n_rows, row.treatment, row.examples) == (2, "kept", "o4; o5")


def test_free_orders_alone_have_no_usual_one_to_fall_short_of(con, make_shop):
    orders = pd.DataFrame({"order_id": ["a", "b"], "customer_id": "c", "revenue": 0.0})
    shop = make_shop(con, {"orders": orders.assign(ordered_at=pd.Timestamp(DAY))})
    assert check(shop).problems.empty


def test_no_end_of_the_data_is_fatal(con, make_shop):
    products = pd.DataFrame({"product_id": ["p"]})
    report = check(make_shop(con, {"products": products}, as_of=None))
    assert report.fatal and report.problems.rule[0] == "no end of the data"
