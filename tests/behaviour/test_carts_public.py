"""Carts of three real shops: the published counts, and cart by cart what a plain walk finds."""

import re
from pathlib import Path

import cart_oracle
import numpy as np
import pandas as pd
import pytest

from cdp_lib.behaviour import carts
from cdp_lib.tables import open_shop

pytestmark = pytest.mark.long_on_spark

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
FILES = {
    "rees46": "rees46_multicategory/2019_oct_first_events.parquet",
    "taobao": "taobao_userbehavior/user_behavior_first_users.parquet",
    "retailrocket": "retailrocket/events_sample.parquet",
}


@pytest.fixture
def public(shared_data, tmp_path):
    """`public(name, con)`: a public shop through its ready shop.toml, and its carts."""

    def _public(name, con):
        path = (shared_data / FILES[name]).as_posix()
        text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
        (tmp_path / "shop.toml").write_text(re.sub(r'path = ".*"', f'path = "{path}"', text))
        shop = open_shop(tmp_path / "shop.toml", con=con)
        return shop, carts.read(shop.journeys, shop.as_of, shop.settings.idle_hours)

    return _public


@pytest.mark.parametrize("name", FILES)
def test_the_carts_are_those_of_a_plain_walk(public, con, name):
    shop, found = public(name, con)
    log = shop.journeys.filter(shop.journeys.event.isin(cart_oracle.ACTIONS)).execute()
    log["event_id"] = log.event_id.fillna("")
    rows = log.astype(object).where(log.notna(), None).to_dict("records")
    wanted, alone = cart_oracle.read(rows, shop.as_of, shop.settings.idle_hours)
    table = found.table.execute().set_index("cart_id")
    assert table.state.to_dict() == {cart: values["state"] for cart, values in wanted.items()}
    assert table.n_items.to_dict() == {cart: values["n_items"] for cart, values in wanted.items()}
    assert found.n_purchases_without_cart == len(alone) > 0
    assert found.steps == ("add_to_cart", "purchase")


def definition(table: pd.DataFrame, unit: str) -> tuple[int, int]:
    row = table.set_index("unit").loc[unit]
    return int(row.n_units), int(row.n_lost)


def test_rees46_loses_53_of_118_sessions_and_has_no_step_between(public, con):
    shop, found = public("rees46", con)
    table = carts.definition_table(found, shop.journeys)
    assert definition(table, "session") == (118, 53)
    # Under three hours of log: nothing can be idle for a day, so nothing is abandoned yet.
    assert carts.abandonment_rate(found).n_abandoned.sum() == 0
    # More purchases have no cart than carts were lost: dashboards would show a rate below zero.
    assert definition(table, "order")[1] < 0
    hourly = carts.read(shop.journeys, shop.as_of, idle_hours=1)
    assert carts.stop_table(hourly).step.tolist() == ["the purchase"]
    assert carts.stop_table(hourly).value.iloc[0] > 0


def test_taobao_has_600_people_with_a_cart_of_whom_158_never_bought(public, con):
    """Plain counts of the file, but for the few rows outside its documented days."""
    shop, found = public("taobao", con)
    n, lost = definition(carts.definition_table(found, shop.journeys), "person")
    assert abs(n - 600) <= 2 and abs(lost - 158) <= 2
    notes = carts.driver_table(found).note
    assert notes.str.startswith("cannot tell: needs").sum() >= 5


def test_retailrocket_has_no_prices_and_so_no_money(public, con):
    shop, found = public("retailrocket", con)
    assert definition(carts.definition_table(found, shop.journeys), "person") == (110, 83)
    leaks = carts.leaks(found)
    lost = leaks.table.iloc[-1]
    assert lost.n_lost > 0 and np.isnan(lost.gross) and leaks.n_unpriced == lost.n_lost
    assert carts.free_shipping_gap_table(found, 50.0).n_carts.sum() == 0
    items = carts.abandoned_item_list(found)
    assert carts.price_drop_table(items).n_known.eq(0).all()
