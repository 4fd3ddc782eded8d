"""What is written: bytes, columns, chunks, and that the tables agree with one another."""

import hashlib
import importlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.tables.contract import CONTRACT
from cdp_lib.world import World, simulate
from cdp_lib.world.simulate import TABLES

MODULE = importlib.import_module("cdp_lib.world.simulate")  # the package has a function so named
ARROW = {
    "string": ("string",),
    "int64": ("int64",),
    "float64": ("double",),
    "boolean": ("bool",),
    "timestamp": ("timestamp[us]",),
}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate(tmp_path / name, customers=150, weeks=8, seed=seed, dirt=True)
    one, same, other = (digests(tmp_path / name) for name in "abc")
    assert one == same
    assert {"shop.toml", "truth/world.json", "truth/dirt.json", "events.parquet"} <= set(one)
    differing = {name for name in one if one[name] != other[name]}
    assert {f"{name}.parquet" for name in TABLES} <= differing


def test_a_later_chunk_changes_nothing_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "CHUNK_CUSTOMERS", 100)
    simulate(tmp_path / "one", customers=100, weeks=8)
    simulate(tmp_path / "three", customers=300, weeks=8)
    for name in ("events", "orders", "messages", "customers", "identities", "truth/carts"):
        first = pq.ParquetFile(tmp_path / "one" / f"{name}.parquet")
        all_of_them = pq.ParquetFile(tmp_path / "three" / f"{name}.parquet")
        assert all_of_them.num_row_groups == 3
        assert all_of_them.read_row_group(0).equals(first.read_row_group(0))
    for name, key in (("events", "event_id"), ("orders", "order_id"), ("truth/carts", "cart_id")):
        keys = pq.read_table(tmp_path / "three" / f"{name}.parquet")[key].to_pandas()
        assert keys.is_unique and keys.notna().all()


def test_columns_are_the_contract(world):
    for name in (*TABLES, "units"):
        schema = pq.read_schema(world.folder / f"{name}.parquet")
        # Every row of the world is known when it happens, and no attribute changes.
        late = () if name == "prices" else ("received_at", "valid_from")
        wanted = [column for column in CONTRACT[name].columns if column.name not in late]
        assert schema.names[: len(wanted)] == [column.name for column in wanted], name
        for column in wanted:
            assert str(schema.field(column.name).type) in ARROW[column.dtype], column.name
    columns = {column.name for column in CONTRACT["customers"].columns}
    names = pq.read_schema(world.folder / "customers.parquet").names
    extra = [name for name in names if name not in columns]
    assert extra == ["quiz_style", "quiz_price_focus", "quiz_size"]


def test_event_names_and_keys(world):
    from cdp_lib.tables.contract import EVENTS

    events = world.table("events")
    assert set(events["event"]) == set(EVENTS)
    for name in TABLES:
        key = list(CONTRACT[name].key)
        assert not world.table(name).duplicated(key).any(), name


def test_shop_toml_names_each_table(world):
    shop = tomllib.loads((world.folder / "shop.toml").read_text())
    assert set(shop["tables"]) == {*TABLES, "units"}
    assert shop["settings"]["free_shipping_threshold"] == 50.0
    assert shop["as_of"].isoformat() == "2026-11-23T00:00:00+00:00"


def test_units_are_the_first_campaign_with_its_outcomes(world):
    units, campaign = world.table("units"), world.truth.table("campaigns").iloc[0]
    drawn = world.table("assignments").query("experiment_id == @campaign.campaign_id")
    assert units.set_index("unit_id").arm.to_dict() == drawn.set_index("unit_id").arm.to_dict()
    orders = world.table("orders").query("revenue > 0")
    since = (orders["ordered_at"] - campaign.starts_at) / pd.Timedelta(days=1)
    bought = orders[(since >= 0) & (since < 7) & orders["customer_id"].isin(units["unit_id"])]
    before = orders[(since >= -28) & (since < 0) & orders["customer_id"].isin(units["unit_id"])]
    assert len(bought) > 20
    assert units["n_orders"].sum() == len(bought)
    assert units["conversion"].sum() == bought["customer_id"].nunique()
    assert units["revenue"].sum() == pytest.approx(bought["revenue"].sum())
    one = before["customer_id"].iloc[0]
    mine = units.set_index("unit_id").revenue_before[one]
    assert mine == pytest.approx(before.query("customer_id == @one").revenue.sum())


def test_a_world_without_campaigns_has_no_units(quiet):
    assert not (quiet.folder / "units.parquet").exists()
    shop = tomllib.loads((quiet.folder / "shop.toml").read_text())
    assert set(shop["tables"]) == set(TABLES)


def test_a_new_world_replaces_the_old_one(tmp_path):
    simulate(tmp_path, customers=50, weeks=4, dirt=True)
    simulate(tmp_path, customers=50, weeks=4)
    assert not (tmp_path / "truth" / "dirt.json").exists()
    assert not (tmp_path / "truth" / "dirt.parquet").exists()


def test_progress_counts_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "CHUNK_CUSTOMERS", 20)
    seen = []
    simulate(tmp_path, customers=50, weeks=2, progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"customers": 0}, "customers"),
        ({"weeks": 0}, "weeks"),
        ({"start": "2025-11-25"}, "start"),
        ({"start": "2025-11-24T06:00:00"}, "start"),
        ({"start": "soon"}, "start"),
        ({"dirt": 1.5}, "dirt"),
    ],
)
def test_refusals(tmp_path, arguments, place):
    with pytest.raises(Refusal) as refused:
        simulate(tmp_path, **arguments)
    assert refused.value.place == place


@pytest.mark.parametrize("field", ["account_share", "emptied_share", "coupon_discount"])
def test_a_share_outside_0_1_is_refused(field):
    with pytest.raises(Refusal, match=field):
        World(**{field: 1.2})


@pytest.mark.parametrize("customers", [1, 2, 5])
@pytest.mark.parametrize("weeks", [1, 2, 5])
def test_tiny_worlds_are_whole(tmp_path, customers, weeks):
    simulate(tmp_path, customers=customers, weeks=weeks, seed=customers)
    assert all((tmp_path / f"{name}.parquet").is_file() for name in TABLES)


def test_every_purchase_has_its_order_and_every_order_its_lines(world):
    events, orders, lines = (world.table(name) for name in ("events", "orders", "order_lines"))
    bought = events[events["event"] == "purchase"].set_index("order_id")
    sold = orders[~orders["order_id"].str.startswith("r")].set_index("order_id")
    assert bought.index.is_unique
    assert set(bought.index) == set(sold.index)
    same = bought.join(sold.add_suffix("_order"))
    assert (same["occurred_at"] == same["ordered_at_order"]).all()
    assert (same["customer_id"] == same["customer_id_order"]).all()
    assert ((same["channel_order"] == "app") == same["app_version"].notna()).all()
    gross = lines["unit_price"] * lines["quantity"]
    sums = pd.DataFrame(
        {
            "order_id": lines["order_id"],
            "revenue": gross - lines["discount"],
            "discount": lines["discount"],
            "cost": lines["unit_cost"] * lines["quantity"],
        }
    )
    sums = sums.groupby("order_id").sum()
    every = orders.set_index("order_id")
    assert set(sums.index) == set(every.index)
    for column in sums:
        np.testing.assert_allclose(sums[column], every.loc[sums.index, column], atol=0.005)
    assert set(orders["customer_id"]) <= set(world.table("customers")["customer_id"])


def test_shipping_follows_the_threshold(world):
    orders = world.table("orders")
    sold = orders[~orders["order_id"].str.startswith("r")]
    goods = sold["revenue"] + sold["discount"]
    assert (sold["shipping"] == np.where(goods.round(2) < 50.0, 4.90, 0.0)).all()


def test_a_return_gives_back_a_line_of_an_order(world):
    orders, lines = world.table("orders"), world.table("order_lines")
    back = orders[orders["order_id"].str.startswith("r")]
    sold = len(orders) - len(back)
    # Binomial(sold, 0.04), less those that come back after the span: bound 4 sigma and 6 %
    assert abs(len(back) / sold - 0.04) < 4 * np.sqrt(0.04 * 0.96 / sold) + 0.04 * 0.06
    assert (back["revenue"] < 0).all() and (back["cost"] < 0).all()
    assert (lines["quantity"] < 0).sum() == len(back)


def test_lines_carry_the_price_in_force(world):
    orders, lines, prices = (world.table(name) for name in ("orders", "order_lines", "prices"))
    sold = lines[lines["quantity"] > 0].merge(orders[["order_id", "ordered_at"]], on="order_id")
    sold = sold.sort_values("ordered_at")
    in_force = pd.merge_asof(
        sold, prices.sort_values("valid_from"), left_on="ordered_at", right_on="valid_from",
        by="product_id",
    )  # fmt: skip
    assert (in_force["unit_price"] == in_force["price"]).all()
    now = prices.sort_values("valid_from").groupby("product_id")["price"].last()
    products = world.table("products").set_index("product_id")
    assert (products["price"] == now.loc[products.index]).all()
    assert (products["cost"] < products["price"]).all()


def test_events_stay_in_the_span_and_in_order(world):
    events = world.table("events")
    assert events["occurred_at"].min() >= pd.Timestamp("2025-11-24")
    assert events["occurred_at"].max() < pd.Timestamp("2026-11-23")
    by_session = events.groupby("session_id")["occurred_at"]
    assert (by_session.max() - by_session.min()).max() < pd.Timedelta(hours=4)
    assert not events.duplicated(["session_id", "occurred_at"]).any()
    assert (events.groupby("session_id")["visitor_id"].nunique() == 1).all()


def test_identities_are_the_visitors_seen_with_a_customer(world):
    known = world.table("events").dropna(subset=["customer_id"])
    first = known.groupby(["visitor_id", "customer_id"])["occurred_at"].min()
    linked = world.table("identities").set_index(["visitor_id", "customer_id"])["linked_at"]
    assert first.sort_index().equals(linked.sort_index().rename("occurred_at"))
    owners = linked.reset_index().groupby("visitor_id")["customer_id"].nunique()
    assert 0 < (owners > 1).sum() < 0.02 * len(owners)  # shared devices exist and are rare


def test_a_customer_exists_before_its_first_known_event(world):
    customers = world.table("customers").set_index("customer_id")
    known = world.table("events").dropna(subset=["customer_id"])
    first = known.groupby("customer_id")["occurred_at"].min()
    assert set(first.index) <= set(customers.index)
    assert (customers.loc[first.index, "created_at"] <= first).all()
    signed = known[known["event"] == "sign_up"].set_index("customer_id")["occurred_at"]
    assert signed.index.is_unique
    assert (customers.loc[signed.index, "created_at"] == signed).all()
    assert (customers["created_at"] >= "2025-11-24").sum() == len(signed)
