"""The definition of a cart once more, as a person would follow it: one row after the other."""

from datetime import datetime, timedelta
from itertools import pairwise

from cdp_lib.behaviour.cart_walk import ACTIONS

REACHED = {
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "add_to_cart",
    "view_cart": "view_cart",
    "begin_checkout": "begin_checkout",
    "sign_up": "account",
    "login": "account",
    "add_shipping_info": "add_shipping_info",
    "add_payment_info": "add_payment_info",
    "purchase": "purchase",
}
ORDER = list(dict.fromkeys(REACHED.values()))


def read(rows: list[dict], as_of: datetime, idle_hours: float):
    """All carts as {cart_id: {column: value}}, and the purchases with no cart as a set."""
    rows = [{"event_id": f"e{i:06d}", **row} for i, row in enumerate(rows)]
    rows = [row for row in rows if row["occurred_at"] < as_of and row["event"] in ACTIONS]
    rows.sort(key=_order)
    _fill(rows)
    baskets, alone = {}, set()
    by_key = {}
    for row in rows:
        by_key.setdefault(_key(row), []).append(row)
    for key, mine in by_key.items():
        _follow(key, mine, baskets, alone)
    carts = {name: _summary(steps, as_of, idle_hours) for name, steps in baskets.items() if steps}
    return carts, alone


def _order(row):
    person = (row["occurred_at"], ACTIONS.index(row["event"]))
    return (*person, row["person_id"], row["event_id"], row.get("product_id") or "")


def _fill(rows):
    last = {}
    for row in rows:
        session = row["person_id"], row["session_id"]
        row["given"] = row.get("cart_id") or last.get(session)
        last[session] = row["given"]


def _key(row):
    return ("cart", row["given"]) if row["given"] else ("person", row["person_id"])


def _follow(key, rows, baskets, alone):
    given = key[0] == "cart"
    number, current, bought_run, begun, contents = 0, None, None, set(), {}
    for row in rows:
        event, product = row["event"], row.get("product_id")
        pieces = max(0, 1 if row.get("quantity") is None else row["quantity"])
        run = row.get("order_id") or row["session_id"]
        opens = current is None and (event == "add_to_cart" or (given and number == 0))
        if opens:
            number += 1
            name = key[1] if given and number == 1 else f"{key[1]}#{number}"
            current, bought_run, begun, contents = [], None, set(), {}
            baskets[name] = current
        if current is None:
            if event == "purchase" and run != bought_run:
                alone.add((row["person_id"], run))
            continue
        if event == "add_to_cart":
            contents[product] = contents.get(product, 0) + pieces
        if event == "remove_from_cart":
            contents[product] = max(0, contents.get(product, 0) - pieces)
        if event in ("sign_up", "login") and row["session_id"] not in begun:
            continue
        if event == "begin_checkout":
            begun.add(row["session_id"])
        current.append({**row, "contents": dict(contents)})
        if event == "purchase":
            current, bought_run = None, run
        elif not given and not sum(contents.values()):
            current = None


def _summary(steps, as_of, idle_hours):
    limit, hour = timedelta(hours=idle_hours), timedelta(hours=1)
    totals = [sum(step["contents"].values()) for step in steps]
    times = [step["occurred_at"] for step in steps]
    gaps = [after - before for before, after in pairwise(times)]
    bought = [step["occurred_at"] for step in steps if step["event"] == "purchase"]
    emptied = not bought and totals[-1] == 0 and max(totals) > 0
    ends = [] if bought or emptied else [as_of - times[-1]]
    left = next((i for i, gap in enumerate(gaps + ends) if gap >= limit), None)
    if bought:
        state = "bought" if left is None else "bought_later"
    elif emptied:
        state = "emptied"
    else:
        state = "abandoned" if as_of - times[-1] >= limit else "open"
    begun = next((step for step in steps if step["event"] == "begin_checkout"), steps[-1])
    known = [step["person_id"] for step in steps if step["known"]]
    return {
        "person_id": known[-1] if known else steps[-1]["person_id"],
        "state": state,
        "opened_at": times[0],
        "last_activity_at": times[-1],
        "bought_at": bought[0] if bought else None,
        "first_left_at": None if left is None else times[left],
        "came_back_at": times[left + 1] if left is not None and left + 1 < len(times) else None,
        "longest_gap_hours": max(gaps) / hour if gaps else None,
        "idle_hours": (as_of - times[-1]) / hour if state in ("open", "abandoned") else None,
        "furthest": _furthest(steps),
        "left": None if left is None else _furthest(steps[: left + 1]),
        "n_items": totals[-1],
        "value": _value(steps),
        "guest": not begun["known"],
        "n_actions": len(steps),
        "n_sessions": len({step["session_id"] for step in steps}),
    }


def _furthest(steps):
    def reached(step):
        known = step["event"] == "begin_checkout" and step["known"]
        return "account" if known else REACHED[step["event"]]

    return max((reached(step) for step in steps), key=ORDER.index)


def _value(steps):
    worth = []
    for product, pieces in steps[-1]["contents"].items():
        shown = [
            step.get("price")
            for step in steps
            if step["event"] in ("add_to_cart", "remove_from_cart")
            and step.get("product_id") == product
            and step.get("price") is not None
        ]
        if pieces:
            worth.append(None if not shown else pieces * shown[-1])
    return None if not worth or None in worth else sum(worth)
