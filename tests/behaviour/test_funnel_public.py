"""Counts that the notes on the public data sets give, found again by the funnel."""

import pytest

from cdp_lib.behaviour import funnel


@pytest.fixture(scope="module")
def rees46(shared_data, con):
    """The first 17,434 events of REES46's October 2019."""
    file = shared_data / "rees46_multicategory" / "2019_oct_first_events.parquet"
    table = con.read_parquet(file)
    return table.select(
        event=table.event_type,
        occurred_at=table.event_time.cast("timestamp(6)"),
        session_id=table.user_session,
        price=table.price,
    )


def test_rees46_sessions_by_step(rees46):
    def entered(steps, **options):
        return funnel.step_table(rees46, steps, unit="session", **options)["entered"].tolist()

    # SOURCES.md: sessions with a view 5,066, with a cart 118, with a purchase 200.
    assert entered(["view", "nothing"])[0] == 5_066
    assert entered(["cart", "nothing"])[0] == 118
    assert entered(["purchase", "nothing"])[0] == 200
    # 53 carted and did not buy, and 135 bought with no cart: 65 sessions have both.
    assert entered(["cart", "purchase"], ordered=False) == [118, 118 - 53]
    assert 200 - 135 == 118 - 53


def test_rees46_equals_a_plain_count_in_pandas(rees46):
    log = rees46.to_pandas()
    first = log[log["event"] == "view"].groupby("session_id")["occurred_at"].min().rename("view")
    carts = log[log["event"] == "cart"].join(first, on="session_id")
    # The whole sample is shorter than the window, so a cart at or after the first view is all.
    carted = carts[carts["occurred_at"] >= carts["view"]]
    start = carted.groupby("session_id")["occurred_at"].min().rename("cart")
    buys = log[log["event"] == "purchase"].join(start, on="session_id")
    bought = buys[buys["occurred_at"] >= buys["cart"]]
    table = funnel.step_table(rees46, ["view", "cart", "purchase"], unit="session")
    assert table["entered"].tolist() == [
        5_066,
        carted["session_id"].nunique(),
        bought["session_id"].nunique(),
    ]
    assert table["open"].tolist()[1] > 0  # the log ends within a day of every view


def test_taobao_pairs_carted_then_bought(shared_data, con):
    file = shared_data / "taobao_userbehavior" / "user_behavior_first_users.parquet"
    table = con.read_parquet(file)
    events = table.select(
        event=table.behavior_type,
        occurred_at=table.timestamp.cast("int64").as_timestamp("s").cast("timestamp(6)"),
        pair=table.user_id.cast("string") + "-" + table.item_id.cast("string"),
        visitor_id=table.user_id.cast("string"),
    )
    # SOURCES.md: 4,358 pairs carted, 1,671 bought, 279 first bought at or after the first cart.
    steps = funnel.step_table(events, ["cart", "buy"], 24 * 3000, unit="pair")
    # One pair more was bought, carted and bought once more: a funnel counts it too.
    first = (
        events.to_pandas().groupby(["pair", "event"])["occurred_at"].agg(["min", "max"]).unstack()
    )
    cart, first_buy, last_buy = first["min"]["cart"], first["min"]["buy"], first["max"]["buy"]
    assert (first_buy >= cart).sum() == 279
    assert ((first_buy < cart) & (last_buy >= cart)).sum() == 1
    assert steps["entered"].tolist() == [4_358, 279 + 1]
    assert funnel.step_table(events, ["buy", "none"], unit="pair")["entered"][0] == 1_671
    # and users: 812 with a view, 600 with a cart, 558 with a purchase.
    for event, n_users in (("pv", 812), ("cart", 600), ("buy", 558)):
        assert funnel.step_table(events, [event, "none"])["entered"][0] == n_users
    both = funnel.step_table(events, ["cart", "buy"], 24 * 3000, unit="pair", ordered=False)
    assert both["entered"].tolist() == [4_358, 292]
