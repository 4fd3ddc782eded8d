"""A profile in plain Python, one customer at a time, from frames that are cut already."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

import numpy as np

WINDOWS = (7, 30, 90, 365)
QUIET = ("app_remove", "push_off")
DEPTH = ["view_item", "add_to_cart", "begin_checkout", "add_shipping_info", "add_payment_info",
         "purchase"]  # fmt: skip
DAY = timedelta(days=1)


def rows_of(frame):
    """The rows as dicts, with None for everything missing."""
    plain = frame.astype(object).where(frame.notna(), None)
    return plain.to_dict("records")


def owners(events, identities):
    """The customer of each event, or None, as `identity.stitch` says in words."""
    seen, in_visit = defaultdict(set), defaultdict(set)
    for row in identities:
        seen[row["visitor_id"]].add(row["customer_id"])
    for row in events:
        if row["visitor_id"] and row["customer_id"]:
            seen[row["visitor_id"]].add(row["customer_id"])
        visit = (row["visitor_id"] or f"c:{row['customer_id']}", row["session_id"])
        if row["customer_id"]:
            in_visit[visit].add(row["customer_id"])
    found = []
    for row in events:
        mine = seen[row["visitor_id"]] if row["visitor_id"] else set()
        there = in_visit[row["visitor_id"], row["session_id"]]
        only = mine if len(mine) == 1 else there if len(there) == 1 else set()
        found.append(row["customer_id"] or next(iter(only), None))
    return found, seen


def profiles(part, cutoff):
    """customer → feature → value, for a good part of the features."""
    events = rows_of(part["events"])
    owner, seen = owners(events, rows_of(part["identities"]))
    known = {c for some in seen.values() for c in some} | {o for o in owner if o}
    known |= set(part["customers"].customer_id) | set(part["orders"].customer_id.dropna())
    mine = defaultdict(list)
    start = cutoff - 365 * DAY
    for row, who in zip(events, owner, strict=True):
        if who and row["occurred_at"] >= start and (row["visitor_id"] or row["customer_id"]):
            visitor = row["visitor_id"] or f"c:{row['customer_id']}"
            mine[who].append({**row, "visit": (visitor, row["session_id"])})
    categories = part["products"].set_index("product_id").category.dropna().to_dict()
    orders, lines = rows_of(part["orders"]), rows_of(part["order_lines"])
    messages = rows_of(part["messages"])
    return {
        who: {
            **_visits(mine[who], cutoff),
            **_products(mine[who], cutoff, categories),
            **_carts(mine[who], cutoff),
            **_orders([o for o in orders if o["customer_id"] == who], cutoff),
            **_lines({o["order_id"]: o for o in orders if o["customer_id"] == who}, lines, cutoff),
            **_messages([m for m in messages if m["customer_id"] == who], cutoff),
        }
        for who in known
    }


def _since(moments, cutoff):
    return (cutoff - max(moments)) / DAY if moments else None


def _in(rows, days, cutoff, moment="occurred_at"):
    return [row for row in rows if row[moment] >= cutoff - days * DAY]


def _age(row, cutoff):
    """Whole days before the cutoff; what lies exactly a day before it is 0 days old."""
    return -(-(cutoff - row["occurred_at"]) // DAY) - 1


def _most(counter):
    return min(counter, key=lambda value: (-counter[value], value)) if counter else None


def _visits(rows, cutoff):
    acts = [row for row in rows if row["event"] not in QUIET]
    visits = defaultdict(list)
    for row in acts:
        visits[row["visit"]].append(row)
    # What a visit has one of is its greatest value, whatever the event, quiet ones of its
    # acting days included.
    result = {"days_since_visit": _since([row["occurred_at"] for row in acts], cutoff)}
    for w in WINDOWS:
        inside = _in(acts, w, cutoff)
        result[f"visits_{w}d"] = len({row["visit"] for row in inside})
        result[f"depth_{w}d"] = max(
            (DEPTH.index(r["event"]) + 1 if r["event"] in DEPTH else 0 for r in inside),
            default=None,
        )
        for event in ("view_item", "add_to_cart", "begin_checkout"):
            result[f"{event}_{w}d"] = sum(row["event"] == event for row in inside)
        if w > 7:
            result[f"active_days_{w}d"] = len({_age(row, cutoff) for row in inside})
            errors = [row for row in _in(rows, w, cutoff) if row["error"]]
            result[f"errors_{w}d"] = len(errors)
            priced = [r["price"] for r in inside if r["event"] == "view_item" and r["price"]]
            result[f"viewed_price_{w}d_mean"] = float(np.mean(priced)) if priced else None
    for w in (30, 365):
        for event in ("search", "app_open", "remove_from_cart"):
            result[f"{event}_{w}d"] = sum(r["event"] == event for r in _in(acts, w, cutoff))
    for event in ("view_item", "search", "contact_support"):
        ages = [_age(row, cutoff) for row in acts if row["event"] == event]
        result[f"days_since_{event}"] = min(ages, default=None)
    starts = sorted(min(r["occurred_at"] for r in visit) for visit in visits.values())
    n = len(starts)
    result["days_since_first_visit"] = (cutoff - starts[0]) / DAY if n else None
    gap = (starts[-1] - starts[0]) / DAY / (n - 1) if n > 1 else None
    result["visit_gap_days"] = gap
    result["visit_gaps_waited"] = result["days_since_visit"] / gap if gap else None
    result["weekend_share"] = sum(s.weekday() >= 5 for s in starts) / n if n else None
    result["evening_share"] = sum(s.hour >= 18 for s in starts) / n if n else None
    result["actions_per_visit"] = len(acts) / n if n else None
    in_90 = result["visits_90d"]
    result["visits_trend"] = result["visits_30d"] / in_90 if in_90 else None
    return result


def _products(rows, cutoff, categories):
    views = [r for r in rows if r["event"] == "view_item" and r["product_id"]]
    result = {}
    for w in WINDOWS:
        inside = _in(views, w, cutoff)
        result[f"products_viewed_{w}d"] = len({r["product_id"] for r in inside})
        if w > 7:
            kinds = {categories.get(r["product_id"]) for r in inside} - {None}
            result[f"categories_viewed_{w}d"] = len(kinds)
    counted = Counter(categories[r["product_id"]] for r in views if r["product_id"] in categories)
    result["main_category_viewed"] = _most(counted)
    total = sum(counted.values())
    result["main_category_viewed_share"] = max(counted.values()) / total if total else None
    result["most_views_of_a_product"] = max(
        Counter(r["product_id"] for r in views).values(), default=0
    )
    return result


def _carts(rows, cutoff):
    steps = {"add_to_cart": 1, "remove_from_cart": 1, "view_cart": 2, "begin_checkout": 3,
             "add_shipping_info": 4, "add_payment_info": 5, "purchase": 6}  # fmt: skip
    carts = defaultdict(list)
    for row in rows:
        if row["event"] in steps:
            carts[("i", row["cart_id"]) if row["cart_id"] else ("s", row["visit"])].append(row)
    filled = [c for c in carts.values() if any(r["event"] == "add_to_cart" for r in c)]
    left, still_open, result = [], [], {}
    for cart in filled:
        last = max(row["occurred_at"] for row in cart)
        if all(row["event"] != "purchase" for row in cart):
            (left if cutoff - last >= DAY else still_open).append((last, cart))
    for w in WINDOWS[1:]:
        since = cutoff - w * DAY
        result[f"carts_{w}d"] = sum(max(r["occurred_at"] for r in c) >= since for c in filled)
        result[f"carts_left_{w}d"] = sum(last >= since for last, _ in left)
    result["open_carts"] = len(still_open)
    result["days_since_left_cart"] = _since([last for last, _ in left], cutoff)
    result["carts_left_share"] = len(left) / len(filled) if filled else None
    depths = [max(steps[r["event"]] for r in cart) for _, cart in left]
    result["left_cart_depth"] = float(np.mean(depths)) if left else None
    signs = {"add_to_cart": 1, "remove_from_cart": -1}
    worth = [
        sum((r["price"] or 0) * (r["quantity"] or 1) * signs.get(r["event"], 0) for r in cart)
        for _, cart in left
    ]
    result["left_cart_value"] = float(np.mean(worth)) if left else None
    return result


def _orders(rows, cutoff):
    bought = sorted((r for r in rows if r["revenue"] >= 0), key=lambda r: r["ordered_at"])
    back = [r for r in rows if r["revenue"] < 0]
    moments = [r["ordered_at"] for r in bought]
    gaps = [(b - a) / DAY for a, b in pairwise(moments)]
    result = {
        "orders_ever": len(bought),
        "days_since_order": _since(moments, cutoff),
        "days_since_first_order": (cutoff - moments[0]) / DAY if moments else None,
        "order_gap_days": float(np.mean(gaps)) if gaps else None,
        "revenue_ever": sum(r["revenue"] for r in bought),
        "highest_order_value": max((r["revenue"] for r in bought), default=None),
        "days_since_return": _since([r["ordered_at"] for r in back], cutoff),
        "main_order_channel": _most(Counter(r["channel"] for r in bought if r["channel"])),
        "paid_shipping_share": (
            sum(r["shipping"] > 0 for r in bought) / len(bought) if bought else None
        ),
    }
    # Gaps are counted in whole minutes for their spread.
    minutes = [gap * DAY // timedelta(minutes=1) for gap in gaps]
    spread = float(np.std(minutes, ddof=1)) / 1440 if len(gaps) > 1 else None
    result["order_gap_spread_days"] = spread
    for w in WINDOWS:
        inside = _in(bought, w, cutoff, "ordered_at")
        result[f"orders_{w}d"] = len(inside)
        paid = sum(r["revenue"] for r in inside)
        result[f"revenue_{w}d"] = paid
        if w > 7:
            off = sum(r["discount"] for r in inside)
            result[f"discount_share_{w}d"] = off / (off + paid) if off + paid else None
            costed = [r for r in inside if r["cost"] is not None]
            result[f"margin_{w}d"] = sum(r["revenue"] - r["cost"] for r in costed)
            result[f"returns_{w}d"] = len(_in(back, w, cutoff, "ordered_at"))
    return result


def _lines(orders, lines, cutoff):
    mine = [(orders[r["order_id"]], r) for r in lines if r["order_id"] in orders]
    recent = [(o, r) for o, r in mine if o["ordered_at"] >= cutoff - 365 * DAY]
    return {
        "products_bought_ever": len({r["product_id"] for _, r in mine if r["quantity"] > 0}),
        "pieces_bought_365d": sum(r["quantity"] for _, r in recent if r["quantity"] > 0),
        "pieces_returned_365d": -sum(r["quantity"] for _, r in recent if r["quantity"] < 0),
    }


def _messages(rows, cutoff):
    rows = _in(rows, 365, cutoff, "sent_at")
    result = {"days_since_message": _since([r["sent_at"] for r in rows], cutoff)}
    for w in (7, 28, 90):
        result[f"messages_{w}d"] = len(_in(rows, w, cutoff, "sent_at"))
    sent = _in(rows, 90, cutoff, "sent_at")
    for channel in ("email", "sms"):
        some = [r for r in sent if r["channel"] == channel]
        opened = [r for r in some if r["opened_at"] is not None]
        result[f"{channel}_messages_90d"] = len(some)
        result[f"{channel}_opened_share"] = len(opened) / len(some) if some else None
    opens = [r["opened_at"] for r in rows if r["opened_at"] is not None]
    result["days_since_message_opened"] = _since(opens, cutoff)
    return result
