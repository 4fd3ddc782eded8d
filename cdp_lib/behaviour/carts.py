"""Carts for an analyst's cell: `from cdp_lib.behaviour import carts`, then `carts.read(...)`.

The definition of a cart stands in `cart_walk`, that of its state in `cart_states`.
"""

from cdp_lib.behaviour.cart_lists import (
    abandoned_browse_list,
    abandoned_cart_list,
    abandoned_item_list,
    free_shipping_gap_table,
    price_drop_table,
)
from cdp_lib.behaviour.cart_rates import (
    abandonment_rate,
    state_table,
    stop_table,
    weekly_table,
)
from cdp_lib.behaviour.cart_states import STATES, STOPS, Carts, cart_table, read
from cdp_lib.behaviour.cart_sums import STEPS
from cdp_lib.behaviour.definitions import definition_table
from cdp_lib.behaviour.drivers import CAUSES, DRIVERS, Driver, cause_table, driver_table
from cdp_lib.behaviour.leaks import Leaks, leaks
from cdp_lib.behaviour.returns import delay_table, return_curve, spell_table

__all__ = [
    "CAUSES",
    "DRIVERS",
    "STATES",
    "STEPS",
    "STOPS",
    "Carts",
    "Driver",
    "Leaks",
    "abandoned_browse_list",
    "abandoned_cart_list",
    "abandoned_item_list",
    "abandonment_rate",
    "cart_table",
    "cause_table",
    "definition_table",
    "delay_table",
    "driver_table",
    "free_shipping_gap_table",
    "leaks",
    "price_drop_table",
    "read",
    "return_curve",
    "spell_table",
    "state_table",
    "stop_table",
    "weekly_table",
]
