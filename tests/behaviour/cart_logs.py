"""Small logs of cart actions, as tables on an engine."""

from datetime import datetime

import pandas as pd

START = datetime(2026, 1, 5)  # a Monday
TYPES = {
    "event_id": "string",
    "occurred_at": "timestamp(6)",
    "visitor_id": "string",
    "customer_id": "string",
    "session_id": "string",
    "event": "string",
    "product_id": "string",
    "quantity": "int64",
    "price": "float64",
    "cart_id": "string",
    "order_id": "string",
    "device_type": "string",
    "touchpoint": "string",
    "shipping_cost": "float64",
    "error": "string",
    "person_id": "string",
    "known": "boolean",
    "returning": "boolean",
}
GIVEN = {"person_id": "v:a", "visitor_id": "a", "session_id": "s1", "returning": False}


def at(hours: float) -> datetime:
    """The instant that many hours after the start of every small log, to the microsecond."""
    return START + pd.Timedelta(microseconds=round(hours * 3_600_000_000)).to_pytimedelta()


def row(hours: float, event: str, product: str | None = None, **more) -> dict:
    """One action; what is not given is one anonymous person in one session."""
    given = {**GIVEN, "occurred_at": at(hours), "event": event, "product_id": product, **more}
    known = given.get("customer_id") is not None
    if known and "person_id" not in more:
        given["person_id"] = f"c:{given['customer_id']}"
    return {"known": known, **given}


def journeys(make_table, con, rows: list[dict]):
    """The rows as `Shop.journeys` gives them; each gets an event id by its place."""
    full = [{"event_id": f"e{i:06d}", **values} for i, values in enumerate(rows)]
    frame = pd.DataFrame({name: [values.get(name) for values in full] for name in TYPES})
    frame["quantity"] = frame.quantity.astype("Int64")
    frame["price"] = frame.price.astype("Float64")
    frame["shipping_cost"] = frame.shipping_cost.astype("Float64")
    frame["occurred_at"] = pd.to_datetime(frame.occurred_at).astype("datetime64[us]")
    return make_table(con, frame, schema=TYPES)
