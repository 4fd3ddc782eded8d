"""Some of a shop's customers: its tables without the rows of all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ibis.expr.types import Table

from cdp_lib.tables import Shop

OF_CUSTOMERS = ("customers", "orders", "messages")


class Part:
    """A shop as seen through some of its customers; whatever else it has is the shop's own.

    `customers`, `orders` and `messages` hold the rows of those in `among` (a table of
    customer_id), and `only` takes the others' rows out of any table. Without `among` nothing is
    taken out.
    """

    def __init__(self, shop: Shop, among: Table | None = None) -> None:
        self._shop = shop
        self._among = None if among is None else among.select("customer_id").distinct()
        self._made: dict[str, Table] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._shop, name)
        return self.only(found) if name in OF_CUSTOMERS else found

    def once(self, name: str, make: Callable[[], Table]) -> Table:
        """An expression made once, so that the engine sees that its readers share it."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def only(self, table: Table, column: str = "customer_id") -> Table:
        """The rows of a table that belong, by `column`, to one of these customers."""
        if self._among is None:
            return table
        return table.semi_join(self._among, table[column] == self._among.customer_id)
