"""Profiles that a person can count, the dictionary, and shops with few tables."""

from datetime import datetime

import pandas as pd
import pytest
from random_shops import tables

from cdp_lib.checks import MissingTable, Refusal
from cdp_lib.customers import profile
from cdp_lib.customers.features import GROUPS, UNITS

CUTOFF = "2026-07-01"


def at(*moments):
    return pd.to_datetime(list(moments), format="ISO8601").astype("datetime64[us]")


def one(table, customer="1"):
    """The profile of one customer as a dict, None for what is missing."""
    rows = table.filter(table.customer_id == customer).to_pyarrow().to_pylist()
    assert len(rows) == 1
    return rows[0]


def visit_shop(con, make_shop):
    """Customer 1: a visit of three actions on 30 June at noon, found by a link; a visit with a
    cart that was left, on Saturday 6 June; a visit exactly 30 days before the cutoff; a removal
    of the app. Customer 2 comes after the cutoff. Visitor x is nobody."""
    events = pd.DataFrame(
        [
            ("2026-06-30 12:00:00", "v", None, "s3", "view_item", "p1", 10.0, "iOS"),
            ("2026-06-30 12:20:00", "v", None, "s3", "view_item", "p2", 20.0, "iOS"),
            ("2026-06-30 12:30:00", "v", None, "s3", "search", None, None, "iOS"),
            ("2026-06-06 19:00:00", "w", "1", "s2", "view_item", "p1", 10.0, "Linux"),
            ("2026-06-06 19:10:00", "w", "1", "s2", "add_to_cart", "p1", 10.0, "Linux"),
            ("2026-06-06 19:20:00", "w", "1", "s2", "begin_checkout", None, None, "Linux"),
            ("2026-06-01 00:00:00", "w", "1", "s1", "view_item", "p3", 5.0, "Linux"),
            ("2026-05-01 00:00:00", "w", "1", "s0", "app_remove", None, None, None),
            ("2026-07-01 00:00:00", "u", "2", "s9", "view_item", "p1", 10.0, "iOS"),
            ("2026-06-30 00:00:00", "x", None, "s8", "view_item", "p1", 10.0, "iOS"),
        ],
        columns=["occurred_at", "visitor_id", "customer_id", "session_id", "event", "product_id",
                 "price", "os"],
    )  # fmt: skip
    links = pd.DataFrame(
        {"visitor_id": ["v", "v"], "customer_id": ["1", "2"],
         "linked_at": at("2026-06-30 12:01", "2026-07-02")}
    )  # fmt: skip
    return make_shop(
        con, {"events": events.assign(occurred_at=at(*events.occurred_at)), "identities": links}
    )


@pytest.mark.long_on_spark
def test_visits_that_a_person_can_count(con, make_shop):
    table = profile.as_of(visit_shop(con, make_shop), CUTOFF)
    assert table.count().execute() == 1
    row = one(table)
    assert [row[f"visits_{w}d"] for w in (7, 30, 90, 365)] == [1, 3, 3, 3]
    assert [row[f"view_item_{w}d"] for w in (7, 30)] == [2, 4]
    assert row["days_since_visit"] == 11.5 / 24
    assert (row["days_since_view_item"], row["days_since_add_to_cart"]) == (0, 24)
    assert row["days_since_app_remove"] == 60 and row["days_since_purchase"] is None
    assert row["days_since_first_visit"] == 30
    assert row["visit_gap_days"] == 29.5 / 2
    assert row["visit_gaps_waited"] == (11.5 / 24) / (29.5 / 2)
    assert row["actions_per_visit"] == 7 / 3 and row["visit_hours"] == (30 + 20) / 60 / 3
    assert (row["weekend_share"], row["evening_share"]) == (1 / 3, 1 / 3)
    assert (row["depth_7d"], row["depth_30d"], row["depth_last_visit"]) == (1, 3, 1)
    assert (row["active_days_30d"], row["visits_trend"]) == (3, 1.0)
    assert (row["products_viewed_7d"], row["products_viewed_30d"]) == (2, 3)
    assert (row["most_views_of_a_product"], row["products_in_cart"]) == (2, 1)
    assert row["days_since_new_product"] == 0 and row["last_os"] == "iOS"
    assert row["viewed_price_30d_mean"] == 45 / 4
    assert (row["carts_30d"], row["carts_left_30d"], row["open_carts"]) == (1, 1, 0)
    assert (row["left_cart_depth"], row["left_cart_value"]) == (3, 10.0)
    assert row["contact_support_365d"] == 0


@pytest.mark.long_on_spark
def test_a_day_earlier_the_link_was_not_known(con, make_shop):
    row = one(profile.as_of(visit_shop(con, make_shop), "2026-06-30T12:01:00"))
    assert (row["visits_7d"], row["visits_30d"]) == (0, 2)
    row = one(profile.as_of(visit_shop(con, make_shop), "2026-06-30T12:01:01"))
    assert (row["visits_7d"], row["view_item_7d"]) == (1, 1)


ORDERS = pd.DataFrame(
    {
        "order_id": ["a", "b", "c", "r", "d", "g"],
        "customer_id": ["1", "1", "1", "1", "1", None],
        "ordered_at": at(
            "2026-03-03", "2026-06-11", "2026-06-21", "2026-06-25", "2026-07-01", "2026-06-30"
        ),
        "revenue": [10.0, 0.1, 0.2, -0.2, 99.0, 5.0],
        "discount": [0.0, 0.1, 0.0, 0.0, 0.0, 0.0],
        "cost": [4.0, None, 0.1, None, 1.0, 1.0],
    }
)


def test_orders_that_a_person_can_count(con, make_shop):
    table = profile.as_of(make_shop(con, {"orders": ORDERS}), CUTOFF)
    assert table.count().execute() == 1
    row = one(table)
    assert [row[f"orders_{w}d"] for w in (7, 30, 90, 365)] == [0, 2, 2, 3]
    assert (row["orders_ever"], row["days_since_order"]) == (3, 10)
    assert (row["days_since_first_order"], row["order_gap_days"]) == (120, 55)
    assert row["last_order_gap_days"] == 10 and row["order_gaps_waited"] == 10 / 55
    assert row["order_gap_spread_days"] == pytest.approx(63.6396103, abs=1e-6)  # of 100 and 10
    assert row["revenue_30d"] == 0.3 and row["revenue_7d"] == 0.0
    assert row["revenue_365d"] == row["revenue_ever"] == 10.3
    assert (row["order_value"], row["highest_order_value"]) == (10.3 / 3, 10.0)
    assert (row["last_order_value"], row["last_order_discounted"]) == (0.2, False)
    assert row["discounted_orders_share"] == 1 / 3 and row["discount_share_30d"] == 0.25
    assert (row["margin_365d"], row["margin_30d"]) == (6.1, 0.1)
    assert row["margin_share"] == 6.1 / 10.2
    assert (row["returns_30d"], row["days_since_return"]) == (1, 6)
    assert row["returned_share"] == pytest.approx(0.2 / 10.3)


@pytest.mark.long_on_spark
def test_a_customer_of_whom_nothing_is_known_has_counts_of_0_and_no_recency(con, make_shop):
    customers = pd.DataFrame({"customer_id": ["1", "9"], "birth_year": [1990, None]})
    row = one(profile.as_of(make_shop(con, {"orders": ORDERS, "customers": customers}), CUTOFF),
              "9")  # fmt: skip
    assert (row["orders_365d"], row["revenue_365d"], row["orders_ever"]) == (0, 0.0, 0)
    for name in ("days_since_order", "order_value", "order_gap_days", "age_years"):
        assert row[name] is None
    assert row["has_account"] is True


def test_further_columns_are_features_unless_they_name_a_person(duckdb_con, make_shop):
    n = 120
    customers = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "quiz": ["a", "b", None] * 40,
            "income": [i * 1.5 for i in range(n)],
            "children": [i % 3 for i in range(n)],
            "member": [i % 2 == 0 for i in range(n)],
            "row_number": range(n),
            "token": [f"{i:064x}" for i in range(n)],
            "note": [f"said {i % 60}" for i in range(n)],
            "since": pd.Timestamp("2026-01-01"),
            'odd "name"; drop': ["x", "y"] * 60,
        }
    )
    shop = make_shop(duckdb_con, {"customers": customers})
    kinds = {f.name: f.unit for f in profile.features(shop)}
    assert kinds == {
        "has_account": "yes/no", "quiz": "category", "income": "number", "children": "number",
        "member": "yes/no", 'odd "name"; drop': "category",
    }  # fmt: skip
    row = one(profile.as_of(shop, CUTOFF), "c4")
    assert (row["quiz"], row["income"], row["children"], row["member"]) == ("b", 6.0, 1.0, True)
    assert all(not f.dated for f in profile.features(shop) if f.group == "attributes"
               and f.name != "has_account")  # fmt: skip


@pytest.mark.parametrize(
    ("names", "least"),
    [
        (("events", "orders", "order_lines", "customers", "messages", "products", "identities"),
         180),
        (("events",), 80),
        (("orders",), 35),
        (("orders", "order_lines"), 45),
        (("customers",), 5),
        (("events", "customers", "products"), 100),
    ],
)  # fmt: skip
def test_the_dictionary_is_the_profile(duckdb_con, make_shop, names, least):
    whole = tables(3, n_customers=20, n_events=300)
    shop = make_shop(duckdb_con, {name: whole[name] for name in names})
    table, features = profile.as_of(shop, CUTOFF), profile.features(shop)
    assert table.columns == ("customer_id", *(f.name for f in features))
    assert len(features) >= least
    schema = table.schema()
    for feature in features:
        assert str(schema[feature.name]).lstrip("!") == feature.dtype, feature.name
        assert feature.unit in UNITS and feature.group in GROUPS, feature.name
        assert feature.source in shop.tables, feature.name
        assert (feature.kind == "category") == (feature.unit == "category"), feature.name
        assert feature.meaning and not feature.meaning.endswith("."), feature.name
    assert len({f.meaning for f in features}) == len(features)
    printed = profile.feature_table(shop)
    assert list(printed.name) == [f.name for f in features]
    assert list(printed.columns)[:3] == ["name", "meaning", "unit"]
    assert table.count().execute() == table.customer_id.nunique().execute() > 0


def test_permissions_say_whether_their_past_is_known(duckdb_con, make_shop):
    whole = tables(4, n_customers=20, n_events=300, versions=False)
    dated = lambda *names: {  # noqa: E731
        f.name: f.dated
        for f in profile.features(make_shop(duckdb_con, {name: whole[name] for name in names}))
        if f.group == "permissions" and f.source == "customers"
    }
    assert dated("customers") == {"email_opt_in": False, "push_opt_in": False}
    assert dated("customers", "events") == {"email_opt_in": False, "push_opt_in": True}
    assert dated("customers", "messages") == {"email_opt_in": True, "push_opt_in": True}


def test_a_shorter_lookback_sees_less_and_has_no_longer_windows(duckdb_con, make_shop):
    shop = visit_shop(duckdb_con, make_shop)
    table = profile.as_of(shop, CUTOFF, lookback_days=30)
    assert table.columns[1:] == tuple(f.name for f in profile.features(shop, 30))
    assert not [name for name in table.columns if name.endswith(("_90d", "_365d"))]
    row = one(table)
    assert row["visits_30d"] == 3 and row["days_since_app_remove"] is None


def test_what_cannot_be_is_refused(duckdb_con, make_shop):
    shop = visit_shop(duckdb_con, make_shop)
    with pytest.raises(Refusal, match="the data ends at 2026-12-01"):
        profile.as_of(shop, datetime(2026, 12, 2))
    with pytest.raises(Refusal, match="lookback_days = 7: must be at least 30"):
        profile.as_of(shop, CUTOFF, lookback_days=7)
    products = pd.DataFrame({"product_id": ["p"], "price": [1.0]})
    with pytest.raises(MissingTable, match="add customers, orders or events"):
        profile.features(make_shop(duckdb_con, {"products": products}))
