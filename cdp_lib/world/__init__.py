"""The simulated shop: a world with a known law, its tables and the truth behind them."""

from cdp_lib.world.actions import ACTIONS
from cdp_lib.world.advance import advance
from cdp_lib.world.chances import probability
from cdp_lib.world.law import CAUSES, Campaign, Kind, World
from cdp_lib.world.observer import observer_alive, observer_probability
from cdp_lib.world.simulate import simulate
from cdp_lib.world.truth import Truth, open_truth

__all__ = [
    "ACTIONS", "CAUSES", "Campaign", "Kind", "Truth", "World", "advance", "observer_alive",
    "observer_probability", "open_truth", "probability", "simulate",
]  # fmt: skip
