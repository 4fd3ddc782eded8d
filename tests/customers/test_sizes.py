"""Preferred sizes: lines counted by hand, the law against SciPy's, planted sizes found."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cdp_lib.checks import MissingTable
from cdp_lib.customers import sizes
from cdp_lib.customers.sizes import preferred_size
from cdp_lib.tables import open_shop
from cdp_lib.world import World, open_truth, simulate

PRODUCTS = pd.DataFrame(
    [(f"{category}-{size}", category, size)
     for category, every in (("tops", "SML"), ("trousers", "SMLX"), ("shoes", ["40", "41", "42"]))
     for size in every] + [("bag", "bags", None)],
    columns=["product_id", "category", "size"],
)  # fmt: skip


def tables(rows):
    """(customer, product, pieces) lines, an order each."""
    lines = pd.DataFrame(rows, columns=["customer_id", "product_id", "quantity"])
    lines = lines.assign(order_id=[f"o{i}" for i in range(len(lines))], unit_price=10.0)
    orders = pd.DataFrame(
        {
            "order_id": lines.order_id,
            "customer_id": lines.customer_id.astype("string"),
            "ordered_at": pd.Timestamp("2026-06-01"),
            "revenue": 10.0 * lines.quantity,
        }
    )
    return {
        "orders": orders,
        "products": PRODUCTS,
        "order_lines": lines.drop(columns="customer_id"),
    }


def test_lines_are_counted_as_by_hand(con, make_shop):
    rows = [("ann", "tops-M", 1), ("ann", "tops-M", 3), ("ann", "tops-S", 1), ("ann", "tops-S", -1)]
    rows += [("ann", "shoes-41", 1), ("ann", "bag", 1), (None, "tops-L", 1)]
    rows += [("bob", "trousers-L", 1), ("bob", "trousers-X", 1), ("bob", "trousers-X", 1)]
    rows += [("cas", "bag", 1), ("dan", "tops-L", 1), ("dan", "tops-L", -1)]
    found = sizes.read(make_shop(con, tables(rows)))
    assert found.systems.set_index("category").system.to_dict() == {
        "shoes": "shoes", "tops": "tops", "trousers": "tops"
    }  # fmt: skip
    table = found.table.execute().set_index(["customer_id", "category"]).sort_index()
    assert table["size"].to_dict() == {
        ("ann", "shoes"): "41", ("ann", "tops"): "M", ("ann", "trousers"): "M",
        ("bob", "tops"): "L", ("bob", "trousers"): "X",
    }  # fmt: skip
    # Two orders of M; the S came back. Bob's tops have no X, so his L of the trousers is it.
    assert table.n_bought.to_list() == [1, 2, 0, 0, 3]
    assert table.n_in_size.to_list() == [1, 2, 0, 0, 2]
    # Pairs of one customer and system: ann's two M (1), bob's three lines (3, of which 1 agrees).
    assert (found.n_pairs, found.agreement) == (4, pytest.approx(2 / 4))
    assert ((table.consistency_low >= 0) & (table.consistency_low <= table.consistency)).all()
    assert ((table.consistency <= table.consistency_high) & (table.consistency_high <= 1)).all()


def drawn(weight, n_customers, seed, across=None):
    """Customers with size shares from a Dirichlet law; with `across`, a law of its own for each
    category around the customer's."""
    rng, usual, rows = np.random.default_rng(seed), np.array([0.2, 0.5, 0.3]), []
    own = rng.dirichlet(weight * usual, n_customers)
    for i in range(n_customers):
        for category in ("tops", "trousers"):
            shares = own[i] if across is None else rng.dirichlet(across * own[i] + 1e-9)
            for _ in range(rng.integers(0, 6)):
                rows.append((f"c{i:04d}", f"{category}-{rng.choice(list('SML'), p=shares)}", 1))
    return rows, own


def test_the_weights_are_those_of_the_law(duckdb_con, make_shop):
    rows, own = drawn(2.0, 1500, 3)
    found = sizes.read(make_shop(duckdb_con, tables(rows)))
    # Two lines of one customer agree with (1 + w c) / (1 + w); c = .04 + .25 + .09 of two people.
    expected = (1 + 2 * 0.38) / 3
    # Standard deviations over twelve seeds: 0.004, 0.006, 0.10, and 0.28 for the weight across
    # categories below; about three of each.
    assert found.chance == pytest.approx(0.38, abs=0.012)
    assert found.agreement == pytest.approx(expected, abs=0.02)
    assert found.weight == pytest.approx(2.0, abs=0.3)
    assert found.category_weight > 20, "a customer has one size in both categories"
    table = found.table.execute()
    truth = own[table.customer_id.str[1:].astype(int), table["size"].map({"S": 0, "M": 1, "L": 2})]
    inside = ((table.consistency_low <= truth) & (truth <= table.consistency_high)).mean()
    # The size shown is the best of three, which draws the interval up a little: 2 points.
    assert inside == pytest.approx(0.95, abs=0.025)
    other, _ = drawn(2.0, 1500, 4, across=3.0)
    found = sizes.read(make_shop(duckdb_con, tables(other)))
    assert found.category_weight == pytest.approx(3.0, abs=0.75)


def test_the_mean_and_its_ends_are_the_laws(duckdb_con, make_shop):
    rows, _ = drawn(1.0, 200, 6)
    rows = [row for row in rows if row[1].startswith("tops")]
    found = sizes.read(make_shop(duckdb_con, tables(rows)))
    table = found.table.execute()
    table = table[table.category == "tops"]
    sold = pd.Series([product[-1] for _, product, _ in rows]).value_counts()
    usual = table["size"].map((sold + 1) / (sold + 1).sum())
    # All evidence lies in the one category, so the shop's shares count as the harmonic of two.
    worth = 1 / (1 / found.category_weight + 1 / found.weight)
    a, b = worth * usual + table.n_in_size, worth * (1 - usual) + table.n_bought - table.n_in_size
    assert table.consistency.to_numpy() == pytest.approx((a / (a + b)).to_numpy())
    law = stats.beta(a, b)
    ends = np.minimum(law.ppf(0.025), law.mean()), np.maximum(law.ppf(0.975), law.mean())
    assert table.consistency_low.to_numpy() == pytest.approx(ends[0], abs=1e-6)
    assert table.consistency_high.to_numpy() == pytest.approx(ends[1], abs=1e-6)


def test_the_planted_size_is_found_as_often_as_can_be(tmp_path):
    shop = open_shop(simulate(tmp_path, customers=1500, seed=12, params=World(campaigns=())))
    table = preferred_size(shop).execute()
    people = open_truth(tmp_path).people.set_index("person_id").preferred_size
    bought = table.groupby("customer_id").n_bought.sum()
    # Categories of one system and one law: every one of them has the same preferred size, nearly.
    best = table.sort_values("n_bought").drop_duplicates("customer_id", keep="last")
    right = best["size"].to_numpy() == people.loc[best.customer_id].to_numpy()
    # The ceiling: who knows the law of the slips. A line is of the planted size with 0.85, else of
    # a neighbour, so of n lines the commonest is it unless slips outvote it; by 4,000 draws each.
    rng, n = np.random.default_rng(1), bought.loc[best.customer_id].to_numpy()
    slip = rng.choice([-1, 0, 1], (4000, n.max()), p=[0.075, 0.85, 0.075])
    wins = []
    for k in range(1, n.max() + 1):
        votes = np.stack([(slip[:, :k] == s).sum(axis=1) for s in (0, -1, 1)])
        ties = (votes == votes.max(axis=0)).sum(axis=0)
        wins.append(((votes[0] == votes.max(axis=0)) / ties).mean())
    ceiling = np.array(wins)[n - 1].mean()
    error = np.sqrt(ceiling * (1 - ceiling) / len(best))
    assert len(best) > 400 and ceiling > 0.85
    assert right.mean() > ceiling - 3 * error - 0.01
    # The rank of how steadily they buy it: who is surer is right more often.
    assert stats.spearmanr(best.consistency, right).statistic > 0.15


def test_nobody_has_a_size_where_nothing_tells(duckdb_con, make_shop):
    empty = preferred_size(make_shop(duckdb_con, tables([("ann", "bag", 1)]))).execute()
    assert empty.empty
    without = tables([("ann", "bag", 1)])
    without["products"] = PRODUCTS.drop(columns="size")
    with pytest.raises(MissingTable, match="without size"):
        preferred_size(make_shop(duckdb_con, without))
    with pytest.raises(MissingTable, match="no table 'order_lines'"):
        preferred_size(make_shop(duckdb_con, {"orders": without["orders"]}))
