"""Deliberate dirt: rows that do not belong, added to a clean world and written down one by one.

Every piece of dirt is an added row, so taking all of it away gives the clean world back. Kinds:

    repeated_event     an event again, with the same event_id
    past_clock         an event copied to a clock that stands at 1970
    future_clock       an event copied to a time after the end of the span
    missing_visitor    an event with neither visitor nor customer
    unknown_event      an event with a name that the contract does not know
    negative_quantity  an add_to_cart of a negative number of pieces
    bot                views by a visitor who looks at several products a second
    repeated_order     an order again, with the same order_id
    test_order         an order of the customer "test" on the channel "test", with a line
    orphan_line        an order line whose order does not exist
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp_lib.world.ids import ids

BOT_VIEWS, BOTS_PER_CHUNK, VIEWS_PER_SECOND = 400, 3, 4
DAY_US = 86_400 * 1_000_000


def soil(
    tables: dict[str, pa.Table], share: float, chunk: int, as_of_us: int, rng: np.random.Generator
) -> dict[str, pa.Table]:
    """The tables with dirt of each kind added, `share` of the table's rows but at least one each;
    and `truth/dirt`, a row a dirty row: kind, table, key.
    """
    events, orders, lines = tables["events"], tables["orders"], tables["order_lines"]
    said = []
    for kind, rows in _dirty_events(events, share, chunk, as_of_us, rng).items():
        events = pa.concat_tables([events, rows])
        said.append(_noted(kind, "events", rows["event_id"]))
    again = _some(tables["orders"], share, rng)
    test, test_lines = _test_orders(tables, share, chunk, rng)
    orphans = _renamed(_some(tables["order_lines"], share, rng), "order_id", "x", chunk)
    said += [
        _noted("repeated_order", "orders", again["order_id"]),
        _noted("test_order", "orders", test["order_id"]),
        _noted("orphan_line", "order_lines", orphans["order_id"]),
    ]
    return {
        **tables,
        "events": events,
        "orders": pa.concat_tables([orders, again, test]),
        "order_lines": pa.concat_tables([lines, test_lines, orphans]),
        "truth/dirt": pa.concat_tables(said),
    }


def hostile_product(products: pa.Table) -> pa.Table:
    """The products, one with a name that must stay text on every page."""
    names = products["name"].to_pylist()
    names[0] = '<script>alert("a product")</script>'
    return _set(products, "name", names)


def _dirty_events(
    events: pa.Table, share: float, chunk: int, as_of_us: int, rng: np.random.Generator
) -> dict[str, pa.Table]:
    us = pa.timestamp("us")
    adds = events.filter(pc.equal(events["event"], "add_to_cart"))
    made = {"repeated_event": _some(events, share, rng)}
    past = _some(events, share, rng)
    when = rng.integers(0, 30 * DAY_US, len(past))
    made["past_clock"] = _set(past, "occurred_at", pa.array(when).cast(us))
    future = _some(events, share, rng)
    when = as_of_us + rng.integers(DAY_US, 700 * DAY_US, len(future))
    made["future_clock"] = _set(future, "occurred_at", pa.array(when).cast(us))
    nobody = _some(events, share, rng)
    nothing = pa.nulls(len(nobody), pa.string())
    made["missing_visitor"] = _set(_set(nobody, "visitor_id", nothing), "customer_id", nothing)
    odd = _some(events, share, rng)
    made["unknown_event"] = _set(odd, "event", ["viewitem_v2"] * len(odd))
    negative = _some(adds, share, rng)
    amount = pc.negate(negative["quantity"])
    made["negative_quantity"] = _set(negative, "quantity", amount)
    made["bot"] = _bots(events, chunk, rng)
    base = (chunk << 24) + np.cumsum([0] + [len(rows) for rows in made.values()])
    return {
        kind: rows
        if kind == "repeated_event"
        else _set(rows, "event_id", ids("d", first + np.arange(len(rows)), scatter=False))
        for first, (kind, rows) in zip(base, made.items(), strict=False)
    }


def _bots(events: pa.Table, chunk: int, rng: np.random.Generator) -> pa.Table:
    """Views copied from people, put in a row a quarter of a second apart under a bot's visitor."""
    views = events.filter(pc.equal(events["event"], "view_item"))
    n = BOTS_PER_CHUNK * BOT_VIEWS
    rows = views.take(pa.array(rng.integers(0, len(views), n)))
    bot = np.repeat(np.arange(BOTS_PER_CHUNK), BOT_VIEWS)
    start = rows["occurred_at"].cast(pa.int64()).to_numpy()[::BOT_VIEWS][bot]
    when = start + np.tile(np.arange(BOT_VIEWS), BOTS_PER_CHUNK) * (1_000_000 // VIEWS_PER_SECOND)
    number = (chunk << 8) + bot
    rows = _set(rows, "occurred_at", pa.array(when).cast(pa.timestamp("us")))
    rows = _set(rows, "visitor_id", ids("b", number))
    rows = _set(rows, "session_id", ids("sb", number))
    return _set(rows, "customer_id", pa.nulls(n, pa.string()))


def _test_orders(
    tables: dict[str, pa.Table], share: float, chunk: int, rng: np.random.Generator
) -> tuple[pa.Table, pa.Table]:
    orders = _renamed(_some(tables["orders"], share, rng), "order_id", "t", chunk)
    n = len(orders)
    orders = _set(orders, "customer_id", ["test"] * n)
    orders = _set(orders, "channel", ["test"] * n)
    for name in ("revenue", "discount", "shipping", "cost"):
        orders = _set(orders, name, pa.array(np.full(n, 0.01 if name == "revenue" else 0.0)))
    lines = tables["order_lines"].take(pa.array(rng.integers(0, len(tables["order_lines"]), n)))
    lines = _set(lines, "order_id", orders["order_id"])
    lines = _set(lines, "quantity", pa.array(np.ones(n, np.int64)))
    for name in ("unit_price", "discount", "unit_cost"):
        lines = _set(lines, name, pa.array(np.full(n, 0.01 if name == "unit_price" else 0.0)))
    return orders, lines


def _some(table: pa.Table, share: float, rng: np.random.Generator) -> pa.Table:
    """Different rows of the table, `share` of them and at least one."""
    n = min(max(1, round(share * len(table))), len(table))
    return table.take(pa.array(np.sort(rng.choice(len(table), n, replace=False))))


def _renamed(table: pa.Table, column: str, prefix: str, chunk: int) -> pa.Table:
    return _set(table, column, ids(prefix, (chunk << 24) + np.arange(len(table))))


def _set(table: pa.Table, name: str, values) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    if isinstance(values, list):
        values = pa.array(values, field.type)
    return table.set_column(place, field, values)


def _noted(kind: str, table: str, key: pa.ChunkedArray) -> pa.Table:
    n = len(key)
    words = (pa.array([word] * n, pa.string()) for word in (kind, table))
    return pa.table([*words, key.combine_chunks()], ["kind", "table", "key"])
