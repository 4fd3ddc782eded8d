"""Articles, purchases, pairs and what follows a purchase, counted by hand on both engines."""

import numpy as np
import pandas as pd
import pytest
from goods_and_buyers import AS_OF, baskets, goods_of, opened, products

from cdp_lib.activate import goods as goods_module
from cdp_lib.activate.pairs import pairs
from cdp_lib.activate.seen import bought_between, seen
from cdp_lib.activate.triggers import trigger_table
from cdp_lib.checks import MissingTable, Refusal, TooLittleData

SHELF = products(
    ("p1", "Top", "tops", "S", 20),
    ("p2", "Top", "tops", "M", 21),
    ("p3", "Bag", "bags", None, 30),
    ("p4", "Belt", "belts", "S", 9),
    ("p5", "Belt", "belts", "S", 9),
    ("p6", "Gone", "bags", None, 5),
    ("p7", "Dear", "bags", None, 5),
    ("p8", "Unpriced", "bags", None, np.nan),
    cost=[10.0, 10.0, 10.0, 1.0, 1.0, 1.0, 6.0, 1.0],
    stock=[0, 4, 2, 1, 1, 0, 1, 1],
)
SOLD = baskets(
    ("ann", 40, "p1", "p3"),
    ("ann", 10, "p2", "p3"),
    ("bob", 20, "p1", "p4"),
    ("bob", 5, "p5", "p6"),
    ("cleo", 5, "p9", "p7"),
)


@pytest.mark.long_on_spark
def test_sizes_of_one_thing_are_one_article_and_what_cannot_be_sold_is_not_offered(con, tmp_path):
    shop = opened(tmp_path, con, **SOLD, products=SHELF)
    goods = goods_module.goods(shop)
    table = goods.table.set_index("article_id")
    # p1 and p2 differ in size alone; p4 and p5 are of one size, so two things of one name.
    assert set(table.index) == {"p1", "p3", "p4", "p5", "p6", "p7", "p8", "p9"}
    assert table.n_variants["p1"] == 2 and table.n_orders["p1"] == 3
    assert table.name.isna()["p9"] and table.price["p9"] == 10.0, "sold, not listed: the last price"
    assert table.offered[table.offered].index.tolist() == ["p1", "p3", "p4", "p5", "p9"]
    assert (goods.n_unpriced, goods.n_out_of_stock, goods.n_at_a_loss) == (1, 1, 1)
    sizes = goods.variants.set_index("product_id").available
    assert not sizes["p1"] and sizes["p2"]
    assert goods.kept_share == 1 and goods.n_left_out == 0
    few = goods_module.goods(shop, most=2)
    assert few.table.article_id.tolist() == ["p1", "p3"] and few.n_left_out == 6
    assert few.kept_share == pytest.approx(5 / 10)


@pytest.mark.long_on_spark
def test_purchases_are_placed_and_fade(con, tmp_path):
    people = pd.DataFrame({"customer_id": ["ann", "dan"], "city": ["Ulm", "Ulm"]})
    shop = opened(tmp_path, con, **SOLD, products=SHELF, customers=people)
    goods = goods_module.goods(shop)
    known = seen(shop, goods)
    assert known.customers.tolist() == ["ann", "bob", "cleo", "dan"]
    place = {name: i for i, name in enumerate(goods.table.article_id)}
    assert known.bought.toarray()[0, place["p1"]] == 2 and known.n_pairs == 2 + 4 + 2
    faded = 0.5 ** (40 / 60) + 0.5 ** (10 / 60)
    assert known.fresh.toarray()[0, place["p1"]] == pytest.approx(faded, rel=1e-5)
    assert known.days.toarray()[0, place["p1"]] == pytest.approx(10)
    assert known.cold.tolist() == [False, False, False, True]
    assert known.city.tolist() == [0, -1, -1, 0]
    late = bought_between(shop, AS_OF - pd.Timedelta(days=10), AS_OF)
    assert late.values.tolist() == [
        ["ann", "p1", 10.0], ["ann", "p3", 10.0], ["bob", "p5", 10.0], ["bob", "p6", 10.0],
        ["cleo", "p7", 10.0], ["cleo", "p9", 10.0],
    ]  # fmt: skip


@pytest.mark.long_on_spark
def test_a_return_and_a_guest_are_no_purchase(con, tmp_path):
    sold = baskets(("ann", 3, "p1"), (None, 3, "p3"), ("ann", 2, "p3"))
    sold["order_lines"].loc[2, "quantity"] = -1
    sold["orders"].loc[2, "revenue"] = -10.0
    shop = opened(tmp_path, con, **sold, products=SHELF)
    assert goods_module.purchases(shop).execute().product_id.tolist() == ["p1"]


@pytest.mark.long_on_spark
def test_views_count_for_the_customer_and_a_cart_for_three(con, tmp_path):
    day = pd.Timedelta(days=1)
    events = pd.DataFrame(
        {
            "event_id": list("abcd"),
            "visitor_id": ["v1", "v1", "v2", "v1"],
            "customer_id": pd.array(["ann", None, None, None], "string"),
            "occurred_at": pd.to_datetime([AS_OF - k * day for k in (1, 1, 1, 100)]),
            "event": ["view_item", "add_to_cart", "view_item", "view_item"],
            "product_id": ["p2", "p3", "p3", "p3"],
        }
    ).astype({"occurred_at": "datetime64[us]"})
    shop = opened(tmp_path, con, **SOLD, products=SHELF, events=events)
    goods = goods_module.goods(shop)
    viewed = seen(shop, goods).viewed.toarray()
    place = {name: i for i, name in enumerate(goods.table.article_id)}
    # Exactly a day is age 0 in whole days; v2 is nobody; 100 days are too long ago.
    assert viewed[0, place["p1"]] == pytest.approx(1) and viewed.sum() == pytest.approx(4)
    assert viewed[0, place["p3"]] == pytest.approx(3)


def test_a_shop_without_lines_or_sales_is_told_so(duckdb_con, tmp_path):
    shop = opened(tmp_path / "b", duckdb_con, orders=SOLD["orders"])
    with pytest.raises(MissingTable, match="order_lines"):
        goods_module.goods(shop)
    none = {"orders": SOLD["orders"], "order_lines": SOLD["order_lines"].head(0)}
    with pytest.raises(TooLittleData, match="no order holds a product"):
        goods_module.goods(opened(tmp_path / "c", duckdb_con, **none))


@pytest.mark.long_on_spark
def test_pairs_are_counted_over_baskets_of_any_size(con, tmp_path):
    sold = baskets(
        ("a", 9, "p3", "p4"), ("b", 8, "p3", "p4"), ("c", 7, "p3", "p4", "p2"), ("d", 6, "p1"),
        ("e", 5, "p1", "p2"), ("f", 4, "p6", "p7"),
    )  # fmt: skip
    shop = opened(tmp_path, con, **sold, products=SHELF)
    goods = goods_module.goods(shop)
    found = pairs(shop, goods)
    names = goods.table.article_id
    by_name = {frozenset((names[row.a], names[row.b])): row for row in found.table.itertuples()}
    assert {key: row.n_baskets for key, row in by_name.items()} == {
        frozenset(("p3", "p4")): 3, frozenset(("p1", "p3")): 1, frozenset(("p1", "p4")): 1,
        frozenset(("p6", "p7")): 1,
    }  # fmt: skip
    # 2 · (1 + 1 + 3 + 1) ordered pairs of lines; p1 holds two sizes and is one article in e's.
    # Lines by article: p1 3, p3 3, p4 3, p6 1, p7 1, in all 11; two lines of an order are one.
    assert by_name[frozenset(("p3", "p4"))].expected == pytest.approx(12 * 3 / 11 * 3 / 11)
    assert by_name[frozenset(("p6", "p7"))].same_need and found.n_baskets == 6
    few = pairs(shop, goods, most=2).table
    assert {frozenset((names[row.a], names[row.b])) for row in few.itertuples()} == {
        frozenset(("p1", "p3"))
    }
    with pytest.raises(Refusal, match="same_need"):
        pairs(shop, goods, same_need=("colour",))


def test_random_baskets_have_no_pair_and_planted_ones_are_found(duckdb_con, tmp_path):
    rng = np.random.default_rng(11)
    weight = 1 / np.arange(1, 41) ** 0.7
    rows = []
    for i in range(4_000):
        size = 1 + rng.poisson(1.5)
        picks = set(rng.choice(40, size, p=weight / weight.sum()).tolist())
        if i % 40 == 0:
            picks |= {38, 39}  # planted: 100 baskets
        rows.append((f"c{i}", 1 + i % 50, *(f"a{k:02d}" for k in sorted(picks))))
    shop = opened(tmp_path, duckdb_con, **baskets(*rows))
    goods = goods_module.goods(shop)
    found = pairs(shop, goods)
    sure, names = found.complements(), goods.table.article_id
    assert {names[sure.a.iloc[0]], names[sure.b.iloc[0]]} == {"a38", "a39"}
    # One in twenty of those named may be chance: of two, 0.1 are to be expected.
    assert len(sure) <= 3
    assert (sure.lift_low <= sure.lift).all() and (sure.lift <= sure.lift_high).all()


@pytest.mark.long_on_spark
def test_what_follows_a_purchase_beside_a_plain_count(con, tmp_path):
    rng = np.random.default_rng(2)
    rows = []
    for i in range(90):
        first = rng.integers(10, 80)
        if i < 45:  # the printer, then within days the ink
            rows.append((f"c{i:02d}", first + 40, "p3"))
            rows.append((f"c{i:02d}", first + 40 - rng.integers(2, 9), "p4"))
        else:  # the same two in either order
            pair = rng.permutation(["p4", "p7"])
            rows += [(f"c{i:02d}", first + 40, pair[0]), (f"c{i:02d}", first + 32, pair[1])]
    sold = baskets(*rows)
    shop = opened(tmp_path, con, **sold, products=SHELF)
    goods = goods_module.goods(shop)
    table = trigger_table(shop, goods, window_days=30)
    names = goods.table.article_id
    named = {(names[row.a], names[row.b]): row for row in table.itertuples()}
    rule = named["p3", "p4"]
    assert (rule.n_buyers, rule.n_followed, rule.n_before, rule.trigger) == (45, 45, 0, True)
    joined = sold["order_lines"].merge(sold["orders"], on="order_id")
    ink = joined[joined.product_id == "p4"].set_index("customer_id").ordered_at
    printer = joined[joined.product_id == "p3"].set_index("customer_id").ordered_at
    gap = (ink.reindex(printer.index) - printer) / pd.Timedelta(days=1)
    assert rule.days == pytest.approx(gap.median())
    for row in (named.get(("p4", "p7")), named.get(("p7", "p4"))):
        assert row.n_followed + row.n_before == 45 and not row.trigger
    with pytest.raises(Refusal, match="window_days"):
        trigger_table(shop, goods, window_days=0)


def test_no_rule_among_tastes_alone(duckdb_con, tmp_path):
    rng = np.random.default_rng(4)
    taste = rng.dirichlet(np.full(12, 0.5), 400)
    rows = [
        (f"c{i:03d}", float(day), f"a{rng.choice(12, p=taste[i]):02d}")
        for i in range(400)
        for day in rng.uniform(1, 200, 12)
    ]
    shop = opened(tmp_path, duckdb_con, **baskets(*rows))
    table = trigger_table(shop, goods_module.goods(shop), window_days=30, same_need=())
    assert len(table) > 50 and not table.trigger.any(), "who likes both buys in either order"


def test_goods_without_products_have_ids_alone():
    goods = goods_of(3, category=["x", "y", None])
    assert goods.codes("category").tolist() == [0, 1, -1] and len(goods) == 3
