"""Lists of what was left behind, item by item, and the counts that a report may show."""

import numpy as np
import pandas as pd
import pytest
from cart_logs import START, at, journeys, row

from cdp_lib.behaviour import carts
from cdp_lib.behaviour.cart_lists import price_now, size_table

pytestmark = pytest.mark.long_on_spark
AS_OF = at(200)


@pytest.fixture
def goods(con, make_table):
    """p costs 8 since hour 100 and 9 before, and will cost 1; q is listed at 5; r is unknown."""
    prices = pd.DataFrame(
        {
            "product_id": ["p", "p", "p"],
            "price": [9.0, 8.0, 1.0],
            "valid_from": pd.to_datetime([START, at(100), at(200)]).astype("datetime64[us]"),
        }
    )
    products = pd.DataFrame({"product_id": ["p", "q"], "price": [7.0, 5.0]})
    return make_table(con, prices), make_table(con, products)


@pytest.fixture
def found(con, make_table):
    who = {"person_id": "c:1", "session_id": "s"}
    rows = [
        row(0, "add_to_cart", "p", price=10.0, quantity=2, cart_id="one", **who),
        row(1, "add_to_cart", "q", price=4.0, cart_id="one", **who),
        row(2, "add_to_cart", "q", price=4.0, cart_id="two", person_id="v:2", session_id="t"),
        row(2, "add_to_cart", "r", price=40.0, cart_id="two", person_id="v:2", session_id="t"),
        row(3, "add_to_cart", "p", price=60.0, cart_id="rich", person_id="v:3", session_id="u"),
        row(190, "add_to_cart", "p", price=10.0, cart_id="fresh", person_id="v:4", session_id="v"),
    ]
    return carts.read(journeys(make_table, con, rows), AS_OF)


def test_prices_now_are_those_before_the_end(goods):
    prices, products = goods
    both = price_now(AS_OF, prices, products).execute().set_index("product_id").price_now
    assert both.to_dict() == {"p": 8.0, "q": 5.0}
    listed = price_now(AS_OF, None, products).execute().set_index("product_id").price_now
    assert listed.to_dict() == {"p": 7.0, "q": 5.0}


def test_items_by_hand(found, goods):
    items = carts.abandoned_item_list(found, *goods).execute()
    items = items.set_index(["cart_id", "product_id"]).sort_index()
    assert len(items) == 5  # the fresh cart is still open
    assert items.pieces["one", "p"] == 2
    assert items.price_drop["one", "p"] == 2.0
    assert items.price_drop["one", "q"] == 0.0  # dearer now
    assert np.isnan(items.price_drop["two", "r"])  # no price known now
    assert items.customer_id["one", "p"] == "1" and pd.isna(items.customer_id["two", "q"])


def test_carts_by_hand(found, goods):
    table = carts.abandoned_cart_list(found, *goods, free_shipping_threshold=25.0)
    table = table.execute().set_index("cart_id")
    assert table.value.to_dict() == {"one": 24.0, "two": 44.0, "rich": 60.0}
    assert table.value_now["one"] == 2 * 8 + 5 and np.isnan(table.value_now["two"])
    assert table.price_drop["one"] == 4.0 and table.n_drops["one"] == 1
    assert table.shipping_gap.to_dict() == {"one": 4.0, "two": 0.0, "rich": 17.0}
    assert table.top_up.to_dict() == {"one": True, "two": False, "rich": False}
    bare = carts.abandoned_cart_list(found, min_idle_hours=198, max_idle_hours=199).execute()
    assert bare.cart_id.tolist() == ["two"]  # idle 198; the other two 199 and 197
    assert bare.shipping_gap.isna().all()


def test_browses_by_hand(con, make_table, goods):
    rows = [
        row(150, "view_item", "p", price=10.0, person_id="c:1", session_id="a"),
        row(160, "view_item", "p", price=9.5, person_id="c:1", session_id="a"),
        row(150, "view_item", "q", price=5.0, person_id="v:2", session_id="b"),
        row(151, "add_to_cart", "p", person_id="v:2", session_id="b"),  # put something in a cart
        row(20, "view_item", "q", price=5.0, person_id="v:3", session_id="c"),  # before the window
    ]
    log = journeys(make_table, con, rows)
    browses = carts.abandoned_browse_list(log, AS_OF, 7, *goods)
    table = browses.execute()
    assert len(table) == 1
    one = table.iloc[0]
    assert (one.person_id, one.customer_id, one.product_id, one.n_views) == ("c:1", "1", "p", 2)
    assert (one.price_seen, one.price_now, one.price_drop, one.idle_hours) == (9.5, 8.0, 1.5, 40.0)
    drops = carts.price_drop_table(browses)
    # 1.5 off 9.5 is 15.8 %.
    assert drops.n_items.tolist() == [1, 1, 1, 0]
    assert drops.price_drop.tolist()[:3] == [1.5] * 3 and np.isnan(drops.price_drop[3])


def test_gaps_to_free_shipping_by_hand(found):
    table = carts.free_shipping_gap_table(found, 50.0, n_bins=5)
    assert table.gap_low.tolist() == [0, 0, 10, 20, 30, 40]
    assert table.n_carts.tolist() == [1, 1, 0, 1, 0, 0]  # 60 is not short, 44 by 6, 24 by 26
    assert table.share.sum() == pytest.approx(1)
    assert table.value.tolist()[:2] == [60.0, 44.0]


def test_lists_are_sized_in_rows_people_and_known_customers(found, goods):
    items = carts.abandoned_item_list(found, *goods)
    sizes = size_table({"items": items, "none": items.filter(items.pieces > 99)})
    assert sizes.to_dict("list") == {
        "list": ["items", "none"],
        "n_rows": [5, 0],
        "n_people": [3, 0],
        "n_known": [1, 0],
    }


def test_without_a_threshold_there_is_no_gap_to_fill(found):
    assert carts.free_shipping_gap_table(found, None).empty
