"""Small shops to count by hand, and a plain loop that labels them."""

from datetime import datetime, timedelta

import pandas as pd

from cdp_lib.tables import open_shop

DAY = timedelta(days=1)
START = datetime(2026, 1, 1)


def day(number: float) -> datetime:
    """The instant `number` days after 1 January 2026."""
    return START + number * DAY


def opened(folder, con, as_of, **tables):
    """A shop of these frames, on the engine `con`."""
    lines = ['name = "small"', 'currency = "EUR"', f"as_of = {as_of.isoformat()}Z"]
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
        lines += [f"[tables.{name}]", f'path = "{name}.parquet"']
    (folder / "shop.toml").write_text("\n".join(lines), encoding="utf-8")
    return open_shop(folder / "shop.toml", con=con)


def orders(*rows):
    """Orders from (customer, day, revenue=10, discount=0)."""
    rows = [(*row, *(10.0, 0.0)[len(row) - 2 :]) for row in rows]
    return pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in range(len(rows))],
            "customer_id": pd.array([row[0] for row in rows], dtype="string"),
            "ordered_at": pd.to_datetime([day(row[1]) for row in rows]).astype("datetime64[us]"),
            "revenue": [float(row[2]) for row in rows],
            "discount": [float(row[3]) for row in rows],
        }
    )


def events(*rows):
    """Events from (visitor, customer or None, day, event, app_version=None)."""
    rows = [(*row, *(None,)[len(row) - 4 :]) for row in rows]
    return pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(len(rows))],
            "visitor_id": pd.array([row[0] for row in rows], dtype="string"),
            "customer_id": pd.array([row[1] for row in rows], dtype="string"),
            "occurred_at": pd.to_datetime([day(row[2]) for row in rows]).astype("datetime64[us]"),
            "event": [row[3] for row in rows],
            "app_version": pd.array([row[4] for row in rows], dtype="string"),
        }
    )


def links(*rows):
    """Identities from (visitor, customer, day)."""
    return pd.DataFrame(
        {
            "visitor_id": [row[0] for row in rows],
            "customer_id": [row[1] for row in rows],
            "linked_at": pd.to_datetime([day(row[2]) for row in rows]).astype("datetime64[us]"),
        }
    )


def labels(table) -> dict:
    """A label table as customer -> label."""
    frame = table.execute()
    assert frame["customer_id"].is_unique
    return dict(zip(frame["customer_id"], frame["label"], strict=True))


def walk(outcome, cutoff, order_rows=(), event_rows=(), link_rows=()) -> dict:
    """The labels of a shop by a plain loop over its rows."""
    end = cutoff + outcome.horizon_days * DAY
    since = cutoff - outcome.active_days * DAY

    def owner(visitor, customer, on, known_by):
        if customer is not None:
            return customer
        named = [(c, d) for v, c, d, *_ in event_rows if v == visitor and c and day(d) < known_by]
        seen = {c for c, _ in named}
        seen |= {c for v, c, d in link_rows if v == visitor and day(d) < known_by}
        # Rows are days apart, so those of one instant are a visit.
        of_visit = {c for c, d in named if d == on}
        alone = seen if len(seen) == 1 else of_visit
        return min(alone) if len(alone) == 1 else None

    def does(event, start, stop):
        if event in ("purchase", "use_coupon") and order_rows:
            return {
                c for c, d, revenue, discount in order_rows
                if c and start <= day(d) < stop and revenue >= 0
                and (event == "purchase" or discount > 0)
            }  # fmt: skip
        found = set()
        for visitor, customer, d, name, *_ in event_rows:
            counts = name not in ("app_remove", "push_off") if event == "visit" else name == event
            if counts and start <= day(d) < stop:
                found.add(owner(visitor, customer, d, stop))
        return found - {None}

    people = does(outcome.active_event, since, cutoff)
    did = does(outcome.event, cutoff, end)
    return {c: int((c in did) == outcome.happens) for c in people}
