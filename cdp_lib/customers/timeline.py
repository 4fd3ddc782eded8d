"""Everything that happened between a shop and a customer, in order of time.

For an analyst's eyes in the lab, and for customer care: it names a person, so no report shows it.
A visit is one row, with what was looked at; a cart is one row a visit, with how far it got. What a
visitor did before the shop knew who they were is there where `tables.identity` ties them together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial

import ibis
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, at_least
from cdp_lib.tables import Shop, identity

COLUMNS = ["at", "channel", "what", "detail", "value"]
MOST_NAMES = 4  # products named in one line
SEEN = ("view_item", "view_item_list", "search", "add_to_wishlist")
STEPS = {
    "add_to_cart": "filled", "view_cart": "looked at again", "begin_checkout": "checkout begun",
    "add_shipping_info": "shipping entered", "add_payment_info": "payment entered",
    "purchase": "bought",
}  # fmt: skip
ACTS = {
    "contact_support": "asked for help", "app_remove": "removed the app",
    "push_on": "allowed push messages", "push_off": "turned push messages off",
    "sign_up": "opened an account",
}  # fmt: skip
MOMENTS = {"sent_at": "message sent", "opened_at": "message opened",
           "clicked_at": "message clicked", "unsubscribed_at": "opted out"}  # fmt: skip


def timeline(shop: Shop, customer_id: str) -> pd.DataFrame:
    """What happened between the shop and one customer until the shop's as_of, oldest first.

    Out: a row per entry: at, channel (web, app, store, email …), what (visit, cart, order, return,
    message sent, message opened, message clicked, opted out, an action, drawn), detail (in words),
    value (money of a cart, order or return; null else). Raises Refusal for an id that no table
    has.
    """
    if not isinstance(customer_id, str) or not customer_id:
        raise Refusal("customer_id", customer_id, "not an id", "give it as a text")
    one = pd.DataFrame({"customer_id": [customer_id]}, dtype="string")
    found = entries(shop, ibis.memtable(one, schema={"customer_id": "string"}))
    if found.empty and not _is_known(shop, customer_id):
        raise Refusal(
            "customer_id", customer_id, "no such customer before the shop's as_of",
            "copy the id from the shop's own tables",
        )  # fmt: skip
    return found[COLUMNS]


def timelines(
    shop: Shop,
    customers: Table | pd.DataFrame,
    last: int = 10,
    skip: Collection[str] = ("message sent", "drawn"),
) -> pd.DataFrame:
    """The last entries of each of some customers as text, for a list that people work through.

    customers: a table with customer_id; other columns are not looked at. skip: what is left out;
    by default what was only done to them. Out: a row per customer:
    customer_id, n_entries (in the history), history (the last `last` entries, newest first, a line
    each). A customer of whom nothing is known has 0 and an empty history. Raises Refusal for a
    table without customer_id.
    """
    at_least("last", last, 1)
    if "customer_id" not in customers.columns:
        fix = "name the id customer_id"
        raise Refusal("customers", list(customers.columns), "has no customer_id", fix)
    named = customers[["customer_id"]]
    named = named if isinstance(named, pd.DataFrame) else named.distinct().execute()
    ids = named.customer_id.dropna().astype("string").drop_duplicates().sort_values()
    asked = ibis.memtable(ids.to_frame(), schema={"customer_id": "string"})
    newest = entries(shop, asked, int(last), skip)
    newest = newest.groupby("customer_id", sort=False).tail(int(last)).iloc[::-1]
    lines = pd.Series([_line(row) for row in newest.itertuples()], index=newest.customer_id)
    texts = {one: "\n".join(mine) for one, mine in lines.groupby(level=0, sort=False)}
    ids = ids.astype(object).reset_index(drop=True)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "n_entries": ids.map(newest.customer_id.value_counts()).fillna(0).astype("int64"),
            "history": pd.Series([texts.get(one, "") for one in ids], dtype=object),
        }
    )


def entries(
    shop: Shop, asked: Table, last: int | None = None, skip: Collection[str] = ()
) -> pd.DataFrame:
    """The entries of all customers in `asked`, by customer and time: customer_id and `COLUMNS`.

    last: so many visits, orders and moments of messages of each at least; None: all of them.
    skip: values of `what` that are left out.
    """
    makers: dict[str, Callable[[Shop, Table, int | None], pd.DataFrame]] = {
        "customers": _accounts, "events": _visits, "orders": _orders, "assignments": _draws,
        **{name: partial(_messages, moment=name) for name in MOMENTS if MOMENTS[name] not in skip},
    }  # fmt: skip
    have = {name: "messages" if name in MOMENTS else name for name in makers}
    parts = [make(shop, asked, last) for name, make in makers.items() if shop.has(have[name])]
    columns = ["customer_id", *COLUMNS]
    parts = [part[columns] for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=columns)
    every = pd.concat(parts, ignore_index=True)
    every = every[~every.what.isin(list(skip))]
    every["at"] = pd.to_datetime(every["at"])
    every["value"] = every["value"].astype(float)
    return every.sort_values(["customer_id", "at"], kind="stable", ignore_index=True)


def _line(row) -> str:
    money = "" if pd.isna(row.value) else f" ({row.value:,.2f})"
    detail = f": {row.detail}" if row.detail else ""
    return f"{row.at:%Y-%m-%d %H:%M} {row.channel}, {row.what}{money}{detail}"


def _is_known(shop: Shop, customer_id: str) -> bool:
    tables = [name for name in ("customers", "orders", "messages") if shop.has(name)]
    found = any(
        shop.table(name).filter(_.customer_id == customer_id).count().execute() for name in tables
    )
    if found or not shop.has("events"):
        return found
    return bool(shop.ties.pairs.filter(_.customer_id == customer_id).count().execute())


def _accounts(shop: Shop, asked: Table, last: int | None) -> pd.DataFrame:
    if "created_at" not in shop.given("customers"):
        return pd.DataFrame()
    rows = shop.customers.semi_join(asked, "customer_id").filter(_.created_at.notnull())
    found = rows.select("customer_id", at="created_at").execute()
    return found.assign(channel="shop", what="became a customer", detail="", value=None)


def _visits(shop: Shop, asked: Table, last: int | None) -> pd.DataFrame:
    """Visits, carts and single actions, from the events that belong to these customers."""
    rows = identity.owned(shop.visits, shop.ties)
    rows = rows.drop("customer_id").rename(customer_id="owner_id")
    rows = rows.semi_join(asked, "customer_id")
    if last is not None:
        visits = rows.group_by("customer_id", "session_id").aggregate(end=_.occurred_at.max())
        rows = rows.semi_join(_newest(visits, "end", last), ["customer_id", "session_id"])
    wanted = ["session_id", "occurred_at", "event", "product_id", "price", "quantity",
              "device_type", "app_version", "touchpoint"]  # fmt: skip
    rows = rows.select("customer_id", *[name for name in wanted if name in rows.columns]).execute()
    rows = rows.reindex(columns=["customer_id", *wanted])
    rows["product"] = rows.product_id.map(_names(shop, rows.product_id))
    rows["depth"] = rows.event.map({name: i for i, name in enumerate(STEPS)}).fillna(-1)
    rows = rows.sort_values(["customer_id", "occurred_at", "depth"], kind="stable")
    rows = rows.astype(object).where(rows.notna(), None)
    visits: dict[tuple, list] = {}
    # Plain tuples: a frame a visit would take a hundred times as long.
    for row in rows.itertuples(index=False):
        visits.setdefault((row.customer_id, row.session_id), []).append(row)
    found = [
        (customer, *entry) for (customer, _), part in visits.items() for entry in _of_visit(part)
    ]
    return pd.DataFrame(found, columns=["customer_id", *COLUMNS])


def _of_visit(rows: list) -> list[tuple]:
    """The entries of one visit, from its events in order: (at, channel, what, detail, value)."""
    start = rows[0].occurred_at
    channel = "app" if any(row.app_version for row in rows) else "web"
    told = [f"{round((rows[-1].occurred_at - start).total_seconds() / 60)} min"]
    for words, column in (("on", "device_type"), ("came by", "touchpoint")):
        first = next((value for row in rows if (value := getattr(row, column))), None)
        told += [f"{words} {_plain(first)}"] if first else []
    seen = [row.product for row in rows if row.event in SEEN and row.product]
    told += [f"looked at {_listed(seen)}"] if seen else []
    found = [(start, channel, "visit", ", ".join(told), None)]
    cart = [row for row in rows if row.event in STEPS or row.event == "remove_from_cart"]
    if cart:
        step = max(cart, key=lambda row: row.depth)
        goods = [row.product for row in cart if row.event == "add_to_cart" and row.product]
        detail = STEPS.get(step.event, "emptied") + (f", with {_listed(goods)}" if goods else "")
        found.append((cart[0].occurred_at, channel, "cart", detail, _worth(cart)))
    acts = [row for row in rows if row.event in ACTS]
    return found + [(row.occurred_at, channel, ACTS[row.event], "", None) for row in acts]


def _worth(cart: list) -> float | None:
    """What was added less what was taken out; None where no price was seen."""
    signs = {"add_to_cart": 1, "remove_from_cart": -1}
    priced = [row for row in cart if row.event in signs and row.price is not None]
    amounts = [
        signs[row.event] * row.price * (1 if row.quantity is None else row.quantity)
        for row in priced
    ]
    return sum(amounts) if amounts else None


def _orders(shop: Shop, asked: Table, last: int | None) -> pd.DataFrame:
    rows = shop.orders.semi_join(asked, "customer_id")
    rows = _newest(rows, "ordered_at", last)
    columns = ["order_id", "customer_id", "ordered_at", "revenue", "discount", "channel"]
    found = rows.select(*columns).execute()
    goods = pd.Series(dtype=object)
    if shop.has("order_lines") and len(found):
        lines = shop.order_lines.semi_join(rows, "order_id").select("order_id", "product_id")
        lines = lines.execute()
        names = lines.product_id.map(_names(shop, lines.product_id))
        goods = names.groupby(lines.order_id).agg(lambda part: _listed(part.dropna()))
    details = []
    for row in found.itertuples():
        off = row.discount if pd.notna(row.discount) and row.discount > 0 else 0.0
        told = [goods.get(row.order_id, ""), f"{off:,.2f} off" if off else ""]
        details.append(", ".join(filter(None, told)))
    what = ["order" if value >= 0 else "return" for value in found.revenue]
    return found.assign(
        at=found.ordered_at, channel=found.channel.fillna("shop"), what=what, detail=details,
        value=found.revenue,
    )  # fmt: skip


def _messages(shop: Shop, asked: Table, last: int | None, moment: str) -> pd.DataFrame:
    rows = shop.messages.semi_join(asked, "customer_id").filter(_[moment].notnull())
    rows = _newest(rows, moment, last)
    found = rows.select("customer_id", "channel", "campaign_id", at=moment).execute()
    return found.assign(what=MOMENTS[moment], detail=found.campaign_id.map(_plain), value=None)


def _draws(shop: Shop, asked: Table, last: int | None) -> pd.DataFrame:
    rows = shop.assignments.rename(customer_id="unit_id").semi_join(asked, "customer_id")
    found = rows.select("customer_id", "experiment_id", "arm", "assigned_at").execute()
    detail = [f"{_plain(row.experiment_id)}: {_plain(row.arm)}" for row in found.itertuples()]
    return found.assign(
        at=found.assigned_at, channel="experiment", what="drawn", detail=detail, value=None
    )


def _newest(rows: Table, column: str, last: int | None) -> Table:
    """The newest `last` rows of each customer, and those of the same instant as the last."""
    if last is None:
        return rows
    place = ibis.rank().over(group_by="customer_id", order_by=rows[column].desc())
    return rows.mutate(place__=place).filter(_.place__ < last).drop("place__")


def _names(shop: Shop, ids: pd.Series) -> dict[str, str]:
    """What products are called: their name, else their id."""
    wanted = ids.dropna().drop_duplicates()
    if wanted.empty or not shop.has("products") or "name" not in shop.given("products"):
        return {one: _plain(one) for one in wanted}
    asked = pd.DataFrame({"product_id": wanted.astype("string")})
    asked = ibis.memtable(asked, schema={"product_id": "string"})
    named = shop.products.semi_join(asked, "product_id").select("product_id", "name").execute()
    known = dict(zip(named.product_id, named.name, strict=True))
    return {one: _plain(known[one] if pd.notna(known.get(one)) else one) for one in wanted}


def _listed(names: Iterable[str]) -> str:
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - MOST_NAMES} more" if len(different) > MOST_NAMES else ""
    return ", ".join(different[:MOST_NAMES]) + more


def _plain(text: object) -> str:
    """A text of the data on one line."""
    return " ".join(str(text).split())
