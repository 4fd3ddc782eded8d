"""Dirt: counted exactly, recognisable, and gone without a trace when taken away."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cdp_lib.tables import check, open_shop

# Every kind of dirt is the matter of one rule of the health check.
FOUND_BY = {
    "repeated_event": ("events", "repeated key"),
    "past_clock": ("events", "impossible time"),
    "future_clock": ("events", "at or after as_of"),
    "missing_visitor": ("events", "no visitor_id"),
    "unknown_event": ("events", "unknown event"),
    "negative_quantity": ("events", "negative quantity"),
    "bot": ("events", "pace of a robot"),
    "repeated_order": ("orders", "repeated key"),
    "test_order": ("orders", "order worth almost nothing"),
    "orphan_line": ("order_lines", "line without its order"),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory, write_world):
    """The same world clean and dirty."""
    arguments = {"customers": 600, "weeks": 12, "seed": 4}
    folder = tmp_path_factory.mktemp("dirt")
    return (
        write_world(folder / "clean", **arguments),
        write_world(folder / "dirty", dirt=0.01, **arguments),
    )


@pytest.fixture(scope="module")
def added(pair) -> pd.DataFrame:
    return pair[1].truth.table("dirt")


def test_counts_are_those_of_the_rows(pair, added):
    clean, dirty = pair
    said = json.loads((dirty.folder / "truth" / "dirt.json").read_text())
    assert said == added["kind"].value_counts().to_dict()
    n = len(clean.table("events"))
    for kind in ("repeated_event", "past_clock", "future_clock", "missing_visitor"):
        assert said[kind] == round(0.01 * n)
    for table in ("events", "orders"):
        grown = len(dirty.table(table)) - len(clean.table(table))
        assert grown == (added["table"] == table).sum() > 0


def test_clean_rows_are_untouched(pair):
    for table in ("events", "orders", "order_lines"):
        clean, dirty = (pq.read_table(w.folder / f"{table}.parquet") for w in pair)
        assert dirty.slice(0, len(clean)).equals(clean)
    for table in ("customers", "identities", "prices", "truth/carts", "truth/people"):
        one, two = ((w.folder / f"{table}.parquet").read_bytes() for w in pair)
        assert one == two


def test_each_kind_of_event_looks_like_itself(pair, added):
    events = pair[1].table("events")
    fresh = events[~events.duplicated("event_id")].set_index("event_id")

    def rows(kind: str) -> pd.DataFrame:
        return fresh.loc[added.loc[added["kind"] == kind, "key"]]

    assert (rows("past_clock")["occurred_at"].dt.year == 1970).all()
    assert (rows("future_clock")["occurred_at"] > "2026-02-16").all()
    assert rows("missing_visitor")[["visitor_id", "customer_id"]].isna().all(axis=None)
    assert (rows("negative_quantity")["quantity"] < 0).all()
    assert set(rows("unknown_event")["event"]) == {"viewitem_v2"}
    repeated = added.loc[added["kind"] == "repeated_event", "key"]
    assert set(events.loc[events.duplicated("event_id"), "event_id"]) == set(repeated)
    bots = rows("bot").groupby("visitor_id")["occurred_at"].agg(["min", "max", "size"])
    minutes = (bots["max"] - bots["min"]) / pd.Timedelta(minutes=1)
    assert len(bots) == 3 and (bots["size"] / minutes > 200).all()
    others = events[~events["visitor_id"].isin(bots.index)]
    per_minute = others.groupby(["visitor_id", others["occurred_at"].dt.floor("min")]).size()
    assert per_minute.max() < 100


def test_orders_and_lines(pair, added):
    orders, lines = pair[1].table("orders"), pair[1].table("order_lines")
    tests = added.loc[added["kind"] == "test_order", "key"]
    assert set(orders.loc[orders["customer_id"] == "test", "order_id"]) == set(tests)
    assert set(tests) <= set(lines["order_id"])
    repeated = added.loc[added["kind"] == "repeated_order", "key"]
    assert set(orders.loc[orders.duplicated("order_id"), "order_id"]) == set(repeated)
    orphans = added.loc[added["kind"] == "orphan_line", "key"]
    assert set(lines["order_id"]) - set(orders["order_id"]) == set(orphans)


def test_the_health_check_counts_every_row_of_dirt_and_nothing_like_it_in_the_clean_shop(
    pair, added
):
    clean, dirty = (
        check(open_shop(world.folder / "shop.toml")).problems.set_index(["table", "rule"]).n_rows
        for world in pair
    )
    found = {kind: dirty[rule] for kind, rule in FOUND_BY.items()}
    assert found == added["kind"].value_counts().to_dict()
    assert not set(FOUND_BY.values()) & set(clean.index)


def test_one_product_has_a_hostile_name(pair):
    assert pair[1].table("products")["name"].str.contains("<script>").sum() == 1
    assert not pair[0].table("products")["name"].str.contains("<").any()
