"""Small random shops with all that makes time hard, and the same shops cut by hand.

Late rows, later versions of a customer, later opens and opt-outs, links after the cutoff,
guests, shared devices, rows without ids, several rows at one instant.
"""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

START = datetime(2026, 1, 1)
CUTOFF = datetime(2026, 7, 1)
DAYS = 270
NOT_YET = np.datetime64("NaT", "us")
KINDS = [
    "view_item", "view_item", "view_item", "view_item_list", "search", "add_to_wishlist",
    "add_to_cart", "add_to_cart", "remove_from_cart", "view_cart", "begin_checkout",
    "add_shipping_info", "add_payment_info", "purchase", "app_open", "app_remove",
    "contact_support", "own_event",
]  # fmt: skip
PRODUCTS = [f"p{i}" for i in range(8)]


class Draw:
    """A seeded source of values, some of them missing."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def moments(self, n, days=DAYS):
        """Instants of whole seconds; about a tenth stand exactly on the cutoff or a day from it."""
        seconds = self.rng.integers(0, days * 86_400, n)
        moments = np.datetime64(START, "us") + seconds.astype("timedelta64[s]")
        edge = self.rng.random(n) < 0.1
        edges = np.datetime64(CUTOFF, "us") - self.rng.choice(
            [0, 1, 7, 30, 90, 365], n
        ) * np.timedelta64(86_400, "s")
        return np.where(edge, np.maximum(edges, np.datetime64(START, "us")), moments)

    def some(self, values, n, missing=0.0):
        drawn = self.rng.choice(np.array(values, dtype=object), n)
        return np.where(self.rng.random(n) < missing, None, drawn)

    def later(self, moments, share, mean_days):
        """Instants some time after others, for a share of them; none for the rest."""
        delay = (self.rng.exponential(mean_days, len(moments)) * 86_400).astype(int)
        later = moments + delay.astype("timedelta64[s]")
        return np.where(self.rng.random(len(moments)) < share, later, NOT_YET)


def tables(seed, n_customers=30, n_events=900, versions=True, late=True, sessions=True):
    """Frames of a whole shop."""
    draw = Draw(seed)
    rng = draw.rng
    ids = [f"c{i}" for i in range(n_customers)]
    at = draw.moments(n_events)
    visitors = rng.integers(0, 2 * n_customers, n_events)
    # Visitor i is mostly customer i; the first five browsers are shared.
    owner = np.where(visitors < 5, rng.integers(0, 3, n_events) + visitors, visitors)
    events = pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(n_events)],
            "occurred_at": at,
            "visitor_id": np.where(
                rng.random(n_events) < 0.05, None, np.char.add("v", visitors.astype(str))
            ),
            "customer_id": [
                f"c{o}" if o < n_customers and logged else None
                for o, logged in zip(owner, rng.random(n_events) < 0.4, strict=True)
            ],
            "event": draw.some(KINDS, n_events),
            "product_id": draw.some(PRODUCTS, n_events, missing=0.3),
            "quantity": draw.some([1, 2, 3], n_events, missing=0.5),
            "price": draw.some([0.1, 9.99, 20.0, 33.35], n_events, missing=0.3),
            "cart_id": draw.some([f"k{i}" for i in range(n_customers)], n_events, missing=0.7),
            "touchpoint": draw.some(["ad", "search", "direct"], n_events, missing=0.2),
            "device_type": draw.some(["mobile", "desktop"], n_events, missing=0.2),
            "os": draw.some(["iOS", "Android", "Linux"], n_events, missing=0.2),
            "app_version": draw.some(["1.9", "1.10", "2.0"], n_events, missing=0.6),
            "operator": draw.some(["Telva"], n_events, missing=0.8),
            "city": draw.some(["Berlin", "Wien"], n_events, missing=0.2),
            "shipping_cost": draw.some([0.0, 4.9], n_events, missing=0.6),
            "error": draw.some(["form"], n_events, missing=0.9),
        }
    )
    events["quantity"] = events["quantity"].astype("Int64")
    for name in ("price", "shipping_cost"):
        events[name] = events[name].astype(float)
    if sessions:
        day = (at - at.astype("datetime64[D]").min()).astype("timedelta64[D]").astype(int)
        events["session_id"] = [f"s{v}-{d}" for v, d in zip(visitors, day, strict=True)]
    orders, lines = _orders(draw, ids, n_events // 6)
    messages = _messages(draw, ids, n_events // 3)
    customers, switches = _customers(draw, ids, messages, versions)
    events = pd.concat([events, switches], ignore_index=True)
    result = {
        "events": events, "orders": orders, "order_lines": lines, "customers": customers,
        "messages": messages, "products": _products(),
        "identities": pd.DataFrame(
            {"visitor_id": draw.some([f"v{i}" for i in range(2 * n_customers)], 30),
             "customer_id": draw.some(ids, 30), "linked_at": draw.moments(30)}
        ).drop_duplicates(["visitor_id", "customer_id"]),
    }  # fmt: skip
    for name, moment in (("events", "occurred_at"), ("orders", "ordered_at"),
                         ("messages", "sent_at")):  # fmt: skip
        if late:
            moments = result[name][moment].to_numpy()
            result[name]["received_at"] = draw.later(moments, 0.3, 10).astype("datetime64[us]")
    return result


def _orders(draw, ids, n):
    rng = draw.rng
    orders = pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in range(n)],
            "customer_id": draw.some(ids, n, missing=0.1),
            "ordered_at": draw.moments(n),
            "revenue": np.where(rng.random(n) < 0.1, -1, 1) * rng.integers(0, 9000, n) / 100,
            "discount": np.where(rng.random(n) < 0.5, 0.0, rng.integers(0, 900, n) / 100),
            "shipping": rng.choice([0.0, 4.9], n),
            "cost": np.where(rng.random(n) < 0.3, np.nan, rng.integers(0, 4000, n) / 100),
            "channel": draw.some(["web", "app"], n, missing=0.1),
        }
    )
    lines = pd.DataFrame(
        [
            (order, product, int(rng.choice([1, 2, -1])), float(rng.integers(1, 4000)) / 100)
            for order in orders.order_id
            for product in rng.choice(PRODUCTS, rng.integers(1, 4), replace=False)
        ],
        columns=["order_id", "product_id", "quantity", "unit_price"],
    )
    return orders, lines


def _messages(draw, ids, n):
    sent = draw.moments(n)
    opened = draw.later(sent, 0.5, 5)
    messages = pd.DataFrame(
        {
            "message_id": [f"m{i}" for i in range(n)],
            "campaign_id": "x",
            "customer_id": draw.some(ids, n),
            "channel": draw.some(["email", "push", "sms", "in_app"], n),
            "sent_at": sent,
            "opened_at": opened,
            "clicked_at": np.where(draw.rng.random(n) < 0.5, opened, NOT_YET),
            "unsubscribed_at": draw.later(sent, 0.04, 20),
        }
    )
    # A permission ends once: of a customer's opt-outs on a channel one is kept.
    out = messages[messages.unsubscribed_at.notna()]
    again = out[out.duplicated(["customer_id", "channel"])].index
    messages.loc[again, "unsubscribed_at"] = pd.NaT
    # Push is switched in the settings, below.
    messages.loc[messages.channel == "push", "unsubscribed_at"] = pd.NaT
    return messages


def _customers(draw, ids, messages, versions):
    rng, n = draw.rng, len(ids)
    created = draw.moments(n)
    base = pd.DataFrame(
        {
            "customer_id": ids,
            "created_at": np.where(rng.random(n) < 0.2, NOT_YET, created),
            "birth_year": draw.some([1960, 1990], n, missing=0.2),
            "gender": draw.some(["female", "male"], n, missing=0.2),
            "city": draw.some(["Berlin", "Wien"], n),
            "email_sha256": draw.some(["f" * 64], n, missing=0.3),
            "quiz": draw.some(["a", "b"], n),
            "score": rng.integers(0, 5, n) / 10,
            "secret": [f"{i:064x}" for i in range(n)],
        }
    )
    base["created_at"] = base["created_at"].astype("datetime64[us]")
    base["birth_year"] = base["birth_year"].astype("Int64")
    switches = _switches(draw, ids)
    base["email_opt_in"] = states(base, messages, switches, None, "email")
    base["push_opt_in"] = states(base, messages, switches, None, "push")
    if not versions:
        return base, switches
    edits = [base.assign(valid_from=pd.NaT)]
    for _ in range(2):
        rows = base[rng.random(n) < 0.6].copy()
        rows["valid_from"] = draw.moments(len(rows))
        for name, values in (("city", ["Graz", "Köln"]), ("quiz", ["b", "c"])):
            rows[name] = draw.some(values, len(rows))
        edits.append(rows)
    edits = pd.concat(edits, ignore_index=True).astype({"valid_from": "datetime64[us]"})
    return edits.drop_duplicates(["customer_id", "valid_from"]), switches


def _switches(draw, ids):
    """push_on and push_off by turns, an hour apart at least, from off."""
    rows = []
    for customer in ids:
        moments = np.unique(draw.moments(draw.rng.integers(0, 4)))
        rows += [
            (f"x{customer}-{i}", moment, f"push-{customer}", customer,
             ["push_on", "push_off"][i % 2], f"set-{customer}-{i}")
            for i, moment in enumerate(moments)
        ]  # fmt: skip
    columns = ["event_id", "occurred_at", "visitor_id", "customer_id", "event", "session_id"]
    return pd.DataFrame(rows, columns=columns)


def states(customers, messages, switches, moment, channel):
    """The permission of each customer at a moment, None for the end of the data."""
    until = np.datetime64("2100-01-01") if moment is None else np.datetime64(moment)
    if channel == "push":
        done = switches[switches.occurred_at < until].sort_values("occurred_at")
        last = done.groupby("customer_id").event.last()
        return customers.customer_id.map(last).eq("push_on")
    out = messages[(messages.channel == channel) & (messages.unsubscribed_at < until)]
    ever = messages[(messages.channel == channel) & messages.unsubscribed_at.notna()]
    # Who opts out once was allowed before; of the others every third never was.
    never = ~customers.customer_id.isin(ever.customer_id) & (np.arange(len(customers)) % 3 == 0)
    return ~customers.customer_id.isin(out.customer_id) & ~never


def cut(whole, moment=CUTOFF):
    """The shop as its files would have been at a moment."""
    moment = pd.Timestamp(moment)
    part = {name: frame.copy() for name, frame in whole.items()}
    for name, column in (("events", "occurred_at"), ("orders", "ordered_at"),
                         ("messages", "sent_at"), ("identities", "linked_at")):  # fmt: skip
        frame = part[name]
        kept = frame[column] < moment
        if "received_at" in frame:
            kept &= frame.received_at.isna() | (frame.received_at < moment)
        part[name] = frame[kept]
    for column in ("opened_at", "clicked_at", "unsubscribed_at"):
        messages = part["messages"]
        messages[column] = messages[column].where(messages[column] < moment)
    lines = part["order_lines"]
    part["order_lines"] = lines[lines.order_id.isin(part["orders"].order_id)]
    people = part["customers"]
    if "valid_from" in people:
        people = people[people.valid_from.isna() | (people.valid_from < moment)]
    else:
        switches = whole["events"][whole["events"].event.isin(["push_on", "push_off"])]
        for channel in ("email", "push"):
            people[f"{channel}_opt_in"] = states(
                people, whole["messages"], switches, moment, channel
            )
    part["customers"] = people[people.created_at.isna() | (people.created_at < moment)]
    return part


def _products():
    return pd.DataFrame(
        {
            "product_id": PRODUCTS[:-1],
            "category": ["shoes", "shoes", "hats", "hats", "bags", None, "bags"],
            "brand": ["A", "B", "A", "B", "A", "B", None],
        }
    )


def hours(n):
    """A length of time."""
    return timedelta(hours=n)
