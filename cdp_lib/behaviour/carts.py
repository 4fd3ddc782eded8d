"""Carts for an analyst's cell: `from cdp_lib.behaviour import carts`, then `carts.read(...)`.

The definition of a cart stands in `cart_walk`, that of its state in `cart_states`.
"""

from cdp_lib.behaviour.cart_rates import (
    abandonment_rate,
    hide_small,
    state_table,
    stop_table,
    weekly_table,
)
from cdp_lib.behaviour.cart_states import STATES, STOPS, Carts, cart_table, read
from cdp_lib.behaviour.cart_sums import STEPS
from cdp_lib.behaviour.definitions import definition_table
from cdp_lib.behaviour.returns import delay_table, return_curve, spell_table

__all__ = [
    "STATES",
    "STEPS",
    "STOPS",
    "Carts",
    "abandonment_rate",
    "cart_table",
    "definition_table",
    "delay_table",
    "hide_small",
    "read",
    "return_curve",
    "spell_table",
    "state_table",
    "stop_table",
    "weekly_table",
]
