"""The tables a shop may have: their grain, their key and their columns.

Every id is a string, every instant a naive timestamp read as UTC, money a float in the
shop's one currency. A column that a shop lacks stands in the contract form as typed nulls,
so an analysis is one expression for every shop.
"""

from dataclasses import dataclass

EVENTS = [
    "view_item_list", "view_item", "search", "add_to_wishlist", "add_to_cart", "remove_from_cart",
    "view_cart", "begin_checkout", "sign_up", "login", "add_shipping_info", "add_payment_info",
    "purchase", "app_open", "app_remove", "push_on", "push_off", "contact_support",
]  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of the contract: its Ibis type, whether a shop must have it, and its meaning."""

    name: str
    dtype: str
    required: bool
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table of the contract: its grain, its key, the instants that `as_of` cuts, its columns.

    cut_by: when a row happened. known_by: from when on it was known, where that may be later.
    versioned: a row is one version of what its key names, valid from `known_by` on.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    cut_by: str | None
    columns: tuple[Column, ...]
    known_by: str | None = None
    versioned: bool = False

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)


def _table(
    name: str, grain: str, key: str, cut_by: str | None, columns: str, **known: str | bool
) -> Table:
    parsed = []
    for line in columns.strip().splitlines():
        head, meaning = line.split("|")
        column, dtype = head.split()
        parsed.append(Column(column.rstrip("!"), dtype, column.endswith("!"), meaning.strip()))
    return Table(name, grain, tuple(key.split()), cut_by, tuple(parsed), **known)


# A "!" marks a column that a shop must have, if it has the table at all.
# fmt: off
CONTRACT = {
    table.name: table
    for table in (
        _table("events", "one action of a visitor", "event_id", "occurred_at", """
            event_id string        | id of the action; without it no repeat can be told
            occurred_at! timestamp | when it happened
            visitor_id! string     | browser or app install
            customer_id string     | the customer, where logged in
            session_id string      | visit; derived from a 30-minute gap when absent
            event! string          | name of the action
            product_id string      | product acted on
            quantity int64         | pieces added, removed or bought
            price float64          | price of one piece as shown
            cart_id string         | the cart; derived when absent
            order_id string        | the order, on purchase
            page string            | page or screen
            touchpoint string      | entry of the visit: ad, search, email, direct …
            device_type string     | mobile, desktop, tablet
            device_model string    | model of the device
            os string              | operating system
            app_version string     | version of the app
            operator string        | mobile operator
            city string            | city of the visit
            shipping_cost float64  | shipping cost shown at this step
            error string           | error shown
            received_at timestamp  | when the row reached the log; none where as it happened
        """, known_by="received_at"),
        _table("orders", "one order", "order_id", "ordered_at", """
            order_id! string      | id of the order
            customer_id! string   | who ordered
            ordered_at! timestamp | when
            revenue! float64      | paid for goods, after discount, before shipping
            discount float64      | discount given
            shipping float64      | shipping paid by the customer
            cost float64          | cost of the goods
            channel string        | web, app, store …
            received_at timestamp | when the row reached the log; none where as it happened
        """, known_by="received_at"),
        _table("order_lines", "a product in an order", "order_id product_id", None, """
            order_id! string    | the order
            product_id! string  | the product
            quantity! int64     | pieces; negative for a return
            unit_price! float64 | price of one piece
            discount float64    | discount on the line
            unit_cost float64   | cost of one piece
        """),
        _table("customers", "a known person", "customer_id", "created_at", """
            customer_id! string     | id of the customer
            created_at timestamp    | when the account was made
            birth_year int64        | year of birth
            gender string           | gender
            education string        | education
            marital_status string   | marital status
            city string             | home city
            country string          | home country
            email_sha256 string     | SHA-256 of the normalised address
            phone_sha256 string     | SHA-256 of the normalised number
            email_opt_in boolean    | may be mailed
            push_opt_in boolean     | may get push messages
            sms_opt_in boolean      | may get SMS
            whatsapp_opt_in boolean | may get WhatsApp messages
            valid_from timestamp    | first instant of this version; none where it always held
        """, known_by="valid_from", versioned=True),
        _table("products", "a product", "product_id", None, """
            product_id! string | id of the product
            name string        | name shown
            category string    | category
            brand string       | brand
            size string        | size
            price float64      | price now
            cost float64       | cost of one piece
        """),
        _table("prices", "a price change", "product_id valid_from", "valid_from", """
            product_id! string    | the product
            price! float64        | price from then on
            valid_from! timestamp | first instant of that price
        """),
        _table(
            "identities", "a visitor seen to be a customer", "visitor_id customer_id", "linked_at",
            """
            visitor_id! string   | browser or app install
            customer_id! string  | the customer
            linked_at! timestamp | when the link was seen
        """),
        _table("messages", "a message sent", "message_id", "sent_at", """
            message_id! string        | id of the message
            campaign_id! string       | the campaign
            customer_id! string       | who got it
            channel! string           | email, push, sms, whatsapp, in_app
            sent_at! timestamp        | when it was sent
            delivered_at timestamp    | when it arrived
            opened_at timestamp       | first opened
            clicked_at timestamp      | first clicked
            unsubscribed_at timestamp | opted out from it
            received_at timestamp     | when the row reached the log; none where as it happened
        """, known_by="received_at"),
        _table(
            "assignments", "a unit drawn into an arm", "experiment_id unit_id", "assigned_at",
            """
            experiment_id! string  | the experiment
            unit_id! string        | customer or visitor
            arm! string            | the arm drawn
            assigned_at! timestamp | when
        """),
        _table(
            "units", "one unit of an experiment that comes as one row per unit", "unit_id", None,
            """
            unit_id! string | the unit
            arm! string     | the arm drawn
        """),
        _table(
            "summaries", "an arm beside its control at a time, on a metric",
            "experiment_id arm metric at_days", None, """
            experiment_id! string  | the experiment
            arm! string            | the treated arm
            metric! string         | what was measured
            at_days! float64       | days since the start, all counts cumulative
            n_control! int64       | units of the control so far
            n_treated! int64       | units of the arm so far
            mean_control! float64  | mean of the metric over the control
            mean_treated! float64  | mean of the metric over the arm
            var_control float64    | sample variance over the control
            var_treated float64    | sample variance over the arm
        """),
    )
}
# fmt: on
