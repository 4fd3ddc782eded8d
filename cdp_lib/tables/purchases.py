"""What a purchase is: an order that brought something, or nothing; a negative one is a return."""

from ibis.expr.types import BooleanValue, Table


def is_purchase(orders: Table) -> BooleanValue:
    """Whether each order is a purchase and not a return; null where it has no revenue."""
    return orders.revenue >= 0


def of_customers(orders: Table) -> Table:
    """The purchases of known customers: the orders' own columns."""
    return orders.filter(orders.customer_id.notnull(), is_purchase(orders))
