"""What we know: a shop's tables in contract form, checked, with visits and people."""

from cdp_lib.tables.contract import CONTRACT, EVENTS
from cdp_lib.tables.health import HealthReport, check
from cdp_lib.tables.identity import Coverage, coverage
from cdp_lib.tables.source import Shop, open_shop

__all__ = [
    "CONTRACT",
    "EVENTS",
    "Coverage",
    "HealthReport",
    "Shop",
    "check",
    "coverage",
    "open_shop",
]
