"""The ready shop files on the real public data, against the counts that its sources state."""

import re
from datetime import datetime
from pathlib import Path

import ibis
import pytest

from cdp_lib.tables import check, open_shop

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
FILES = {
    "rees46": {"2019-Oct.csv": "rees46_multicategory/2019_oct_first_events.parquet"},
    "taobao": {"UserBehavior.csv": "taobao_userbehavior/user_behavior_first_users.parquet"},
    "retailrocket": {"events.csv": "retailrocket/events_sample.parquet"},
    "online_retail": {"online_retail.parquet": "online_retail/online_retail.parquet"},
    "cdnow": {"cdnow_master.parquet": "cdnow/cdnow_master.parquet"},
    "complete_journey": {
        f"{name}.parquet": f"complete_journey/{name}.parquet"
        for name in ("transactions", "products", "demographics")
    },
    "hillstrom": {"hillstrom.parquet": "hillstrom/hillstrom.parquet"},
    "cookie_cats": {"cookie_cats.csv": "cookie_cats/cookie_cats.parquet"},
    "asos": {
        "asos_digital_experiments.parquet": "asos_experiments/asos_digital_experiments.parquet"
    },
}


@pytest.fixture
def public_shop(shared_data, tmp_path):
    def public_shop(name, con):
        def lies(match):
            return f'path = "{(shared_data / FILES[name][match[1]]).as_posix()}"'

        text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
        (tmp_path / "shop.toml").write_text(re.sub(r'path = "(.*)"', lies, text), encoding="utf-8")
        return open_shop(tmp_path / "shop.toml", con=con)

    return public_shop


def n_events(shop):
    return dict(shop.events.event.value_counts(name="n").to_pandas().values.tolist())


def totals(table, **asked):
    return table.aggregate(**asked).to_pyarrow().to_pylist()[0]


def test_every_example_is_tested_and_says_how_to_get_the_data():
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == set(FILES)
    for path in EXAMPLES.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        for word in ("# Get it:", "# Terms:", "# Mind:"):
            assert word in text, (path.name, word)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_fatal(public_shop, duckdb_con, name):
    report = check(public_shop(name, duckdb_con))
    assert not report.fatal, report.to_text()
    assert (report.row_counts.n_used > 0).all()


def test_rees46(public_shop, con):
    shop = public_shop("rees46", con)
    assert n_events(shop) == {"view_item": 17055, "add_to_cart": 165, "purchase": 214}
    table = shop.journeys
    seen = totals(
        table, n=table.count(), people=table.person_id.nunique(), visits=table.session_id.nunique(),
        products=table.product_id.nunique(), zero=(table.price == 0).sum(),
    )  # fmt: skip
    # 5,066 session ids; one of them is shared by two users, which makes two visits of it.
    assert seen == {"n": 17434, "people": 4504, "visits": 5067, "products": 6493, "zero": 19}
    raw = shop.events
    shared = raw.group_by("session_id").aggregate(n=raw.visitor_id.nunique())
    assert totals(shared, ids=shared.count(), two=(shared.n == 2).sum()) == {"ids": 5066, "two": 1}


def test_taobao(public_shop, con):
    shop = public_shop("taobao", con)
    assert n_events(shop) == {
        "view_item": 75693, "add_to_cart": 4494, "add_to_wishlist": 2351, "purchase": 1749,
    }  # fmt: skip
    window = (shop.events.occurred_at >= datetime(2017, 11, 24, 16)) & (
        shop.events.occurred_at < datetime(2017, 12, 3, 16)
    )
    seen = totals(
        shop.events, outside=(~window).sum(), items=shop.events.product_id.nunique(),
        users=shop.events.visitor_id.nunique(),
    )  # fmt: skip
    assert seen == {"outside": 35, "items": 55233, "users": 814}
    assert shop.coverage.known_rate == 1.0 and shop.coverage.n_people == 814


def test_retailrocket(public_shop, con):
    shop = public_shop("retailrocket", con)
    table = shop.journeys
    seen = totals(
        table, n=table.count(), people=table.person_id.nunique(), visits=table.session_id.nunique()
    )
    assert seen == {"n": 5169, "people": 1092, "visits": 1435}
    assert table.occurred_at.min().execute().year == 2015


def test_online_retail(public_shop, duckdb_con):
    shop = public_shop("online_retail", duckdb_con)
    orders, lines = shop.orders, shop.order_lines
    seen = totals(
        orders, n=orders.count(), revenue=orders.revenue.sum(),
        customers=orders.customer_id.nunique(), cancelled=orders.order_id.startswith("C").sum(),
    )  # fmt: skip
    assert (seen["n"], seen["customers"]) == (25900, 4372)
    assert seen["revenue"] == pytest.approx(9_747_747.934, abs=0.001)
    assert lines.order_id.startswith("C").sum().execute() == 9288
    good = lines.filter(lines.quantity > 0, lines.unit_price > 0)
    known = good.semi_join(orders.filter(orders.customer_id.notnull()), "order_id")
    assert known.count().execute() == 397_884
    report = check(shop).problems.set_index(["table", "rule"])
    assert report.n_rows["order_lines", "repeated row"] == 5268
    assert report.n_rows["order_lines", "negative unit_price"] == 2
    # Invoices whose lines have no price: stock written off.
    revenue = orders.revenue.to_pandas()
    trifles = revenue.between(0, 0.01 * revenue[revenue > 0].median(), inclusive="left")
    assert report.n_rows["orders", "order worth almost nothing"] == trifles.sum() > 2000


def test_cdnow(public_shop, duckdb_con):
    shop = public_shop("cdnow", duckdb_con)
    orders = shop.orders
    seen = totals(
        orders, n=orders.count(), ids=orders.order_id.nunique(), revenue=orders.revenue.sum(),
        customers=orders.customer_id.nunique(), cds=orders.number_of_cds.sum(),
    )  # fmt: skip
    assert (seen["n"], seen["ids"], seen["customers"], seen["cds"]) == (69659, 69659, 23570, 167881)
    assert seen["revenue"] == pytest.approx(2_500_315.63, abs=0.005)


def test_complete_journey(public_shop, duckdb_con):
    shop = public_shop("complete_journey", duckdb_con)
    orders, mapped = shop.orders, shop.mapped("order_lines").table
    seen = totals(
        orders, n=orders.count(), households=orders.customer_id.nunique(),
        revenue=orders.revenue.sum(),
    )  # fmt: skip
    assert (seen["n"], seen["households"]) == (155_848, 2469)
    assert seen["revenue"] == pytest.approx(4_596_039.58, abs=0.005)
    assert totals(mapped, n=mapped.count(), products=mapped.product_id.nunique()) == {
        "n": 1_469_307, "products": 68_509,
    }  # fmt: skip
    no_pieces = mapped.filter(ibis._.quantity == 0).count().execute()
    assert shop.order_lines.count().execute() == 1_469_307 - no_pieces
    assert shop.customers.count().execute() == 801
