"""The simulated shop: a world with a known law, its tables and the truth behind them."""

from cdp_lib.world.law import CAUSES, World
from cdp_lib.world.simulate import simulate

__all__ = ["CAUSES", "World", "simulate"]
