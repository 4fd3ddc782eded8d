"""Carts a person can count by hand: each state, and each edge between two."""

import pandas as pd
import pytest
from cart_logs import START, at, journeys, row

from cdp_lib.behaviour import carts
from cdp_lib.checks import Refusal

AS_OF = at(200)


@pytest.fixture
def read(con, make_table):
    """`read(rows)`: the carts of a small log, on each engine."""

    def _read(rows, as_of=AS_OF, idle_hours=24):
        return carts.read(journeys(make_table, con, rows), as_of, idle_hours)

    return _read


def test_every_state_and_edge_by_hand(read):
    """One log, a person per case, so that one reading answers them all."""
    day = 24.0

    def who(name, *actions, **more):
        more = {"person_id": f"v:{name}", "session_id": name, **more}
        return [row(hours, event, "p", **{**more, **extra}) for hours, event, extra in actions]

    add, out, buy = "add_to_cart", "remove_from_cart", "purchase"
    rows = [
        *who("bought at once", (0, add, {}), (1, buy, {})),
        *who("just under a day", (0, add, {}), (day - 1e-5, buy, {})),
        *who("a day to the microsecond", (0, add, {}), (day, buy, {})),
        *who("idle a day at the end", (200 - day, add, {})),
        *who("idle a little less", (200 - day + 1e-5, add, {})),
        *who("emptied", (0, add, {"quantity": 2}), (1, out, {"quantity": 2})),
        *who("emptied too much", (0, add, {}), (1, out, {"quantity": 9})),
        *who("emptied, filled again", (0, add, {}), (1, out, {}), (2, add, {})),
        *who("one of two taken out", (0, add, {"quantity": 2}), (1, out, {})),
        *who("another product taken out", (0, add, {}), (1, out, {"product_id": "q"})),
        *who("missing quantity", (0, add, {"quantity": None}), (1, out, {"quantity": 1})),
        *who("two carts bought", (0, add, {}), (1, buy, {}), (2, add, {}), (3, buy, {})),
        *who("never a cart", (0, "view_cart", {}), (1, "begin_checkout", {})),
        *who("at the end of the data", (199, add, {}), (200, buy, {})),
    ]
    table = read(rows).table.execute()
    states = table.sort_values("cart_id").groupby("person_id").state.agg(list).to_dict()
    assert states == {
        "v:bought at once": ["bought"],
        "v:just under a day": ["bought"],
        "v:a day to the microsecond": ["bought_later"],
        "v:idle a day at the end": ["abandoned"],
        "v:idle a little less": ["open"],
        "v:emptied": ["emptied"],
        "v:emptied too much": ["emptied"],
        "v:emptied, filled again": ["emptied", "abandoned"],
        "v:one of two taken out": ["abandoned"],
        "v:another product taken out": ["abandoned"],
        "v:missing quantity": ["emptied"],
        "v:two carts bought": ["bought", "bought"],
        "v:at the end of the data": ["open"],
    }
    one = table.set_index("person_id")
    assert one.n_items["v:one of two taken out"] == 1
    assert one.n_items["v:emptied too much"] == 0
    assert one.first_left_at["v:a day to the microsecond"] == START
    assert one.came_back_at["v:a day to the microsecond"] == at(24)
    assert pd.isna(one.first_left_at["v:just under a day"])
    assert one.idle_hours["v:idle a day at the end"] == 24
    assert pd.isna(one.idle_hours["v:emptied"])


def test_two_carts_at_once_keep_apart_by_their_ids(read):
    rows = [
        row(0, "add_to_cart", "p", cart_id="g", price=10.0),
        row(1, "add_to_cart", "q", cart_id="h", price=7.0, quantity=3),
        row(2, "purchase", "p", cart_id="g", order_id="o"),
        row(3, "add_to_cart", "p", cart_id="g", price=11.0),
    ]
    table = read(rows).table.execute().set_index("cart_id").sort_index()
    assert table.state.to_dict() == {"g": "bought", "g#2": "abandoned", "h": "abandoned"}
    assert table.value.to_dict() == {"g": 10.0, "g#2": 11.0, "h": 21.0}


def test_a_visitor_who_logs_in_mid_cart_has_one_cart_and_a_name(read):
    # Stitched: all rows carry the customer's person_id, the first two before the login.
    anonymous = {"person_id": "c:9", "known": False}
    rows = [
        row(0, "add_to_cart", "p", price=5.0, **anonymous),
        row(0.1, "begin_checkout", **anonymous),
        row(0.2, "login", customer_id="9"),
        row(0.3, "add_shipping_info", customer_id="9", shipping_cost=4.9, error="postcode"),
    ]
    cart = read(rows).table.execute().iloc[0]
    assert cart.person_id == "c:9" and cart.customer_id == "9"
    assert cart.guest
    assert cart.furthest_step == cart.left_step == "add_shipping_info"
    assert cart.stop_step == "the purchase"  # this log never has a payment step
    assert (cart.shipping_cost, cart.n_errors, cart.n_actions) == (4.9, 1, 4)
    assert cart.left_on_error
    assert cart.checkout_hours == pytest.approx(0.2)


def test_steps_are_those_the_log_has(read):
    steps = read([row(0, "add_to_cart", "p"), row(1, "purchase", "p")]).steps
    assert steps == ("add_to_cart", "purchase")


def test_an_account_that_most_guests_go_without_is_no_step(read):
    """Nine guests of ten pay without an account: to stop before shipping is not to stop at it."""
    rows = []
    for n in range(10):
        more = {"person_id": f"v:{n}", "session_id": f"s{n}"}
        rows += [row(0, "add_to_cart", "p", **more), row(1, "begin_checkout", **more)]
        rows += [row(2, "sign_up", **more)] if n == 0 else []
        rows += [row(3, "add_shipping_info", **more)]
    guest = {"person_id": "v:x", "session_id": "x"}
    rows += [row(0, "add_to_cart", "p", **guest), row(1, "begin_checkout", **guest)]
    found = read(rows)
    assert found.steps == ("add_to_cart", "begin_checkout", "add_shipping_info", "purchase")
    assert found.table.filter(found.table.person_id == "v:x").stop_step.execute()[0] == "shipping"


def test_a_known_person_has_no_account_step_left(read):
    forced = [row(h, e, person_id="v:f", session_id="f") for h, e in enumerate(
        ("add_to_cart", "begin_checkout", "sign_up", "add_shipping_info"))]  # fmt: skip
    known = [row(h, e, customer_id="k", session_id="k") for h, e in enumerate(
        ("add_to_cart", "begin_checkout"))]  # fmt: skip
    guest = [row(h, e, person_id="v:g", session_id="g") for h, e in enumerate(
        ("add_to_cart", "begin_checkout"))]  # fmt: skip
    table = read(forced + known + guest).table.execute().set_index("person_id")
    assert table.stop_step["c:k"] == "shipping"
    assert table.stop_step["v:g"] == "creating an account"
    assert not table.guest["c:k"]


def test_a_login_elsewhere_is_no_cart_action(read):
    rows = [
        row(0, "add_to_cart", "p"),
        row(1, "login"),  # before any checkout
        row(2, "begin_checkout"),
        row(3, "login", session_id="another"),
    ]
    cart = read(rows).table.execute().iloc[0]
    assert cart.furthest_step == "begin_checkout" and cart.n_actions == 2


def test_purchases_with_no_cart_are_counted_apart(read):
    rows = [
        row(0, "purchase", "p", order_id="o1"),
        row(0, "purchase", "q", order_id="o1"),  # the same order: one purchase
        row(1, "add_to_cart", "p"),
        row(2, "purchase", "p", order_id="o2"),
        row(2, "purchase", "q", order_id="o2"),  # a line of the cart's own purchase
        row(3, "purchase", "q", order_id="o3"),
        row(4, "purchase", "q", session_id="s2"),
    ]
    found = read(rows)
    assert found.n_purchases_without_cart == 3
    assert found.table.state.execute().tolist() == ["bought"]


def test_a_value_is_never_made_up(read):
    rows = [
        row(0, "add_to_cart", "p", cart_id="whole", price=2.5, quantity=2),
        row(0, "add_to_cart", "p", cart_id="part", price=2.5),
        row(0, "add_to_cart", "q", cart_id="part"),
        row(0, "add_to_cart", "p", cart_id="dearer", price=2.5),
        row(1, "add_to_cart", "p", cart_id="dearer", price=3.0),
        row(0, "add_to_cart", "p", cart_id="gone", price=2.5),
        row(1, "remove_from_cart", "p", cart_id="gone"),
    ]
    value = read(rows).table.execute().set_index("cart_id").value
    assert value["whole"] == 5.0 and value["dearer"] == 6.0  # the last price seen, for both
    assert pd.isna(value["part"]) and pd.isna(value["gone"])


@pytest.mark.long_on_spark
def test_nothing_to_read(read):
    found = read([row(0, "view_item", "p")])
    assert found.table.count().execute() == 0
    assert found.steps == ("add_to_cart", "purchase")
    assert found.n_purchases_without_cart == 0
    assert carts.state_table(found).n_carts.tolist() == [0] * 5
    assert carts.abandonment_rate(found).abandonment_rate.isna().all()
    assert carts.stop_table(found).share.isna().all()
    assert len(carts.return_curve(found)) == 0
    assert carts.delay_table(found).n_idle.tolist() == [0] * 4
    assert carts.leaks(found).table.n_lost.tolist() == [0, 0]


def test_idle_hours_must_be_above_zero(con, make_table):
    with pytest.raises(Refusal, match="idle_hours = 0: must be greater than 0"):
        carts.cart_table(journeys(make_table, con, [row(0, "add_to_cart")]), AS_OF, 0)
