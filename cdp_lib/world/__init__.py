"""The simulated shop: a world with a known law, its tables and the truth behind them."""

from cdp_lib.world.law import CAUSES, Campaign, Kind, World
from cdp_lib.world.simulate import simulate
from cdp_lib.world.truth import Truth, open_truth, probability

__all__ = [
    "CAUSES", "Campaign", "Kind", "Truth", "World", "open_truth", "probability", "simulate",
]  # fmt: skip
