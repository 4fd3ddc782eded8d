"""Lists of customers and top-ups of carts: who gets what, and what nobody may get."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from goods_and_buyers import AS_OF, baskets, goods_of, opened, products

from cdp_lib.activate import recommend
from cdp_lib.activate.next_best import fitting, next_best, own_sizes, wide
from cdp_lib.activate.pairs import Pairs
from cdp_lib.activate.top_up import late_carts, of_shop, top_ups
from cdp_lib.checks import Refusal, TooLittleData

KINDS = ("tops", "bags", "mugs")


@pytest.fixture(scope="module")
def shop(duckdb_con, tmp_path_factory):
    """300 customers with a taste for one of three categories; tops come in two sizes."""
    rng = np.random.default_rng(6)
    rows, shelf = [], []
    for kind in KINDS:
        for i in range(8):
            sizes = ("S", "M") if kind == "tops" else (None,)
            shelf += [(f"{kind}{i}{s or ''}", f"{kind} {i}", kind, s, 10 + i) for s in sizes]
    for c in range(300):
        kind, size = KINDS[c % 3], "SM"[c // 3 % 2]
        for day in rng.uniform(0.1, 150, 6):
            picks = rng.choice(8, 2, replace=False, p=np.arange(8, 0, -1) / 36)
            rows.append((f"c{c:03d}", day, *(f"{kind}{i}{size if kind == 'tops' else ''}"
                                             for i in picks)))  # fmt: skip
    frame = products(*shelf)
    frame["stock"] = np.where(frame.product_id.isin(["bags0", "tops1S"]), 0, 5)
    frame.loc[frame.product_id == "mugs0", "price"] = np.nan
    sold = baskets(*rows)
    people = pd.DataFrame({"customer_id": [f"c{c:03d}" for c in range(300)] + ["new"], "city": "X"})
    folder = tmp_path_factory.mktemp("taste")
    return opened(folder, duckdb_con, **sold, products=frame, customers=people)


@pytest.fixture(scope="module")
def one(shop):
    return recommend.study(shop, horizon_days=28)


def test_lists_keep_to_the_taste_and_to_what_can_be_sold(shop, one):
    listed = next_best(one, 5, sizes=own_sizes(shop))
    assert list(listed.columns) == ["customer_id", "rank", "product_id", "family", "score"]
    kind = listed.product_id.str.rstrip("SM0123456789")
    own = listed.customer_id.str[1:].where(listed.customer_id != "new").dropna().astype(int) % 3
    match = (kind.loc[own.index] == own.map(dict(enumerate(KINDS)))).mean()
    assert match > 0.7, "eight articles of a taste, three bought on average six times"
    assert not listed.product_id.isin(["bags0", "tops1S"]).any(), "out of stock"
    assert listed.groupby("customer_id")["rank"].apply(list).map(lambda r: r[0] == 1).all()
    assert listed.score.between(0, 1).all() and listed.customer_id.nunique() == 301
    ordered = listed.sort_values(["customer_id", "rank"]).groupby("customer_id").score
    assert ordered.apply(lambda s: s.is_monotonic_decreasing).all()
    assert not listed.duplicated(["customer_id", "product_id"]).any()


def test_a_customer_gets_their_size_where_it_is_in_stock(shop, one):
    listed = next_best(one, 5, sizes=own_sizes(shop))
    tops = listed[listed.product_id.str.startswith("tops")].merge(
        own_sizes(shop)[["customer_id", "size"]], on="customer_id"
    )
    got = tops.product_id.str[-1]
    other = tops[got != tops["size"]]
    assert len(tops) > 100 and set(other.product_id) <= {"tops1M"}, "S of that one is sold out"


def test_owned_articles_are_left_out_where_nothing_is_bought_again(shop):
    study = recommend.study(shop, owned="leave out", kind="cosine")
    assert study.judged is study.new
    listed = next_best(study, 5)
    had = {(customer, article) for customer, article in zip(*_bought(study), strict=True)}
    place = study.now.goods.variants.set_index("product_id").article
    got = set(zip(listed.customer_id, place[listed.product_id], strict=True))
    assert had and not had & got


def _bought(study):
    row, column = study.now.seen.bought.nonzero()
    return study.now.seen.customers[row], column


def test_what_was_shown_is_left_out_in_every_size(one):
    first = next_best(one, 1)
    shown = first[["customer_id", "product_id"]]
    again = next_best(one, 1, shown=shown)
    place = one.now.goods.variants.set_index("product_id").article
    both = first.merge(again, on="customer_id")
    assert len(both) == 301
    assert (place[both.product_id_x].to_numpy() != place[both.product_id_y].to_numpy()).all()
    with pytest.raises(Refusal, match="shown"):
        next_best(one, 1, shown=shown.drop(columns="product_id"))


def test_a_stranger_gets_what_sells_and_an_unknown_id_is_refused(one):
    listed = next_best(one, 3, customers=["new"])
    assert listed.family.tolist() == ["popular"] * 3 and listed["rank"].tolist() == [1, 2, 3]
    with pytest.raises(Refusal, match="ids that the shop neither lists nor sold to"):
        next_best(one, 3, customers=["new", "nobody"])


def test_by_margin_the_dearer_of_two_likely_ones_comes_first(one):
    chance, margin = (next_best(one, 5, by=by) for by in ("chance", "margin"))
    price = one.now.goods.variants.set_index("product_id").price
    assert price[margin.product_id].mean() > price[chance.product_id].mean()
    with pytest.raises(Refusal, match="by"):
        next_best(one, 5, by="whim")


def test_a_list_in_a_row_has_a_column_a_place(one):
    table = wide(next_best(one, 3), 4)
    assert list(table.columns) == ["customer_id", *(f"product_{i}" for i in range(1, 5))]
    assert table.product_4.isna().all() and table.product_3.notna().all() and len(table) == 301


def test_too_few_buyers_are_an_answer(shop):
    with pytest.raises(TooLittleData, match="choose a longer horizon"):
        recommend.study(shop, horizon_days=0.5)


def test_the_usual_window_is_the_shortest_with_enough_buyers(shop):
    """The fewest buyers of the last two windows, counted by hand: 100 or more are enough."""
    orders = shop.orders.to_pandas()
    age = (pd.Timestamp(AS_OF) - orders.ordered_at).dt.total_seconds() / 86_400

    def fewest(days):
        parts = [(age > days * back) & (age <= days * (back + 1)) for back in (0, 1)]
        return min(orders[part].customer_id.nunique() for part in parts)

    assert fewest(7) < 100 <= fewest(14)
    assert recommend.usual_horizon(shop) == 14


def test_sizes_need_their_columns():
    rows = pd.DataFrame({"customer_id": ["a"], "article": [0]})
    with pytest.raises(Refusal, match="sizes"):
        fitting(goods_of(1), rows, pd.DataFrame({"customer_id": ["a"], "wrong": ["S"]}))


def carts_shop(folder, con, *adds, settings="free_shipping_threshold = 50.0"):
    """Carts of (visitor, cart, product, price), an hour before the end."""
    events = pd.DataFrame(adds, columns=["visitor_id", "cart_id", "product_id", "price"])
    events["event_id"] = [f"e{i}" for i in range(len(events))]
    events["occurred_at"] = pd.Timestamp(AS_OF - timedelta(hours=1))
    events["occurred_at"] = events.occurred_at.astype("datetime64[us]")
    events["event"], events["quantity"] = "add_to_cart", 1
    sold = baskets(("x", 5, "a0"))
    return opened(folder, con, settings, **sold, events=events)


@pytest.mark.long_on_spark
def test_the_cheapest_relevant_article_closes_the_gap(con, tmp_path):
    goods = goods_of(6, price=np.array([20.0, 35.0, 32.0, 31.0, 30.0, 200.0]))
    shop = carts_shop(
        tmp_path, con, ("v1", "k1", "a000", 20.0), ("v2", "k2", "a001", 35.0),
        ("v2", "k2", "a002", 32.0), ("v3", "k3", "a005", 49.0), ("v4", "k4", "mystery", None),
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "a": [0, 0, 0, 2], "b": [1, 2, 4, 3], "n_baskets": 9, "expected": 1.0,
            "lift": 9.0, "lift_low": [3.0, 2.0, 0.5, 4.0], "lift_high": 12.0, "same_need": False,
            "false_rate": 0.01,
        }
    )  # fmt: skip
    carts = late_carts(shop)
    found = top_ups(carts, goods, Pairs(table, 99, 1.0, 1.0), 50).set_index("cart_id")
    # k1 lacks 30: a1 (35) and a2 (32) go with a0; a4 is no sure pair; a3 goes with a2 alone.
    assert found.loc["k1", ["gap", "product_id", "price", "why"]].tolist() == [
        30.0, "a002", 32.0, "goes with the cart"
    ]  # fmt: skip
    # k2 is above the threshold. Prices now count: a5 costs 200. k4 holds what has no price.
    assert found.index.tolist() == ["k1"]
    with pytest.raises(Refusal, match="free_shipping_threshold"):
        top_ups(carts, goods, Pairs(table, 99, 1.0, 1.0), None)


def test_liked_articles_top_up_too_and_a_dear_one_does_not(duckdb_con, tmp_path):
    goods = goods_of(4, price=np.array([40.0, 12.0, 15.0, 90.0]))
    shop = carts_shop(tmp_path, duckdb_con, ("v1", "k1", "a000", 40.0))
    carts = late_carts(shop)
    types = {"a": int, "b": int, "n_baskets": int, "lift_low": float, "same_need": bool}
    types["false_rate"] = float
    none = Pairs(pd.DataFrame(columns=list(types)).astype(types), 9, 1.0, 1.0)
    assert top_ups(carts, goods, none, 50).product_id.isna().all()
    carts = late_carts(_named(shop))
    liked = pd.DataFrame({"customer_id": "ann", "product_id": ["a003", "a002", "a001", "a000"]})
    found = top_ups(carts, goods, none, 50, liked)
    assert found.product_id.tolist() == ["a001"] and found.why.tolist() == ["on their list"]
    only_dear = top_ups(carts, goods, none, 50, liked.head(1))
    assert only_dear.product_id.isna().all(), "90 for a gap of 10"


def _named(shop):
    """The same shop with its visitor known as ann."""
    events = pd.read_parquet(shop.path.parent / "events.parquet").assign(customer_id="ann")
    events.to_parquet(shop.path.parent / "events.parquet", index=False)
    from cdp_lib.tables import open_shop

    return open_shop(shop.path)


def test_a_shop_without_threshold_or_events_has_no_top_up(shop, one):
    assert of_shop(shop, one).empty
