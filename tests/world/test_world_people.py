"""What people say and do beside buying: quiz answers, support, apps, browsers, devices."""

import numpy as np
import pandas as pd


def test_the_keen_answer_the_quiz_more_often(world):
    people = world.truth.people.set_index("person_id")
    customers = world.table("customers").set_index("customer_id").join(people)
    answered = customers["quiz_price_focus"].notna()
    slow, keen = customers["visit_rate"] < 0.02, customers["visit_rate"] > 0.12
    assert answered[keen].mean() > 2 * answered[slow].mean() > 0
    told = customers[answered]
    truth = told["quiz_style"] == told["preferred_category"]
    # 85 % say their first taste; one in ten of the rest hits it by chance: 86.5 %, 4 sigma
    assert abs(truth.mean() - 0.865) < 4 * np.sqrt(0.865 * 0.135 / len(told))
    focus = told.groupby("quiz_price_focus")["discount_affinity"].mean()
    assert focus["price"] > focus["balanced"] > focus["quality"]


def test_support_is_sought_before_the_end(world):
    people = world.truth.people.set_index("person_id")
    known = world.table("events").dropna(subset=["customer_id"])
    left = people["ends_at"].reindex(known["customer_id"]).to_numpy() - known["occurred_at"]
    soon = left < pd.Timedelta(days=14)
    contact = known["event"] == "contact_support"
    visits = known["session_id"]
    rates = {
        flag: visits[contact & (soon == flag)].nunique() / visits[soon == flag].nunique()
        for flag in (True, False)
    }
    n = visits[soon].nunique()
    assert abs(rates[True] - 0.12) < 4 * np.sqrt(0.12 * 0.88 / n)
    assert 0 < rates[False] < 0.012


def test_the_app_goes_after_the_end_and_nothing_follows_on_it(world):
    events = world.table("events")
    removed = events[events["event"] == "app_remove"].set_index("visitor_id")["occurred_at"]
    last = events[events["app_version"].notna() & events["visitor_id"].isin(removed.index)]
    last = last[~last["event"].isin(["app_remove"])].groupby("visitor_id")["occurred_at"].max()
    assert len(removed) and removed.index.is_unique
    # a visit begun just before the end may last some minutes longer
    assert (last <= removed.reindex(last.index) + pd.Timedelta(hours=2)).all()


def test_devices_are_of_a_piece(world):
    events = world.table("events")
    seen = events.drop_duplicates("session_id")
    pairs = set(zip(seen["device_type"], seen["os"], strict=True))
    assert pairs == {
        ("mobile", "iOS"), ("mobile", "Android"), ("desktop", "Windows"), ("desktop", "macOS"),
        ("tablet", "iPadOS"),
    }  # fmt: skip
    assert (seen.loc[seen["app_version"].notna(), "device_type"] == "mobile").all()
    assert seen.loc[seen["operator"].notna(), "device_type"].eq("mobile").all()
    per_visitor = seen.groupby("visitor_id")[["device_type", "device_model", "os"]].nunique()
    assert (per_visitor == 1).all(axis=None)


def test_app_versions_grow(world):
    events = world.table("events").dropna(subset=["app_version"]).sort_values("occurred_at")
    version = events["app_version"].str.split(".").str[:2].map(lambda v: int(v[0]) * 10 + int(v[1]))
    assert version.groupby(events["visitor_id"]).is_monotonic_increasing.all()
    assert version.nunique() > 5


def test_a_browser_gets_a_new_visitor_id_after_its_time(world):
    events = world.table("events")
    web = events[events["app_version"].isna() & events["cart_id"].isna()]
    lived = web.groupby("visitor_id")["occurred_at"].agg(["min", "max"])
    days = (lived["max"] - lived["min"]) / pd.Timedelta(days=1)
    assert 110 < days.max() < 121 + 1


def test_anonymous_visitors_are_many(world):
    people = world.truth.people
    never = ~people["has_account"]
    assert 0.7 < never.sum() / (~never).sum() < 1.3
    assert 0.9 < (~never).sum() / world.truth.about["customers"] < 1.1
    events = world.table("events")
    assert 0.4 < events["customer_id"].isna().mean() < 0.7


def test_orders_show_the_taste_the_size_and_the_discount(world):
    orders, lines = world.table("orders"), world.table("order_lines")
    people = world.truth.people.set_index("person_id")
    sold = lines.merge(orders[["order_id", "customer_id"]], on="order_id")
    sold = sold.merge(world.table("products"), on="product_id").join(people, on="customer_id")
    assert (sold["category"] == sold["preferred_category"]).mean() > 0.4
    sized = sold.dropna(subset=["size"])
    assert 0.83 < (sized["size"] == sized["preferred_size"]).mean() < 0.92
    plain = orders[~orders["order_id"].str.startswith("r")].join(people, on="customer_id")
    used = plain["discount"] > 0
    # a coupon with probability affinity / 2; campaigns with a discount add a little
    assert used.mean() > plain["discount_affinity"].mean() / 2 - 0.02
    fond = plain["discount_affinity"] > 0.6
    assert used[fond].mean() > 1.8 * used[plain["discount_affinity"] < 0.3].mean()
