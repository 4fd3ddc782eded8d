"""A year of a shop's visits, straight to Parquet: what the benchmark of the profile reads."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CUTOFF, DAY = "2026-11-23", 86_400 * 10**6
WINDOWS = (7, 30, 90, 365)
COUNTS = {
    "view_item": WINDOWS, "view_item_list": (30, 365), "search": (30, 365),
    "add_to_wishlist": (30, 365), "add_to_cart": WINDOWS, "remove_from_cart": (30, 365),
    "begin_checkout": WINDOWS, "add_payment_info": (30, 365), "contact_support": (30, 90, 365),
    "purchase": WINDOWS, "app_open": (30, 365),
}  # fmt: skip


def write_log(path, n_events, seed=7):
    """`n_events` rows of a year in visits of some ten actions, in order of time."""
    n_events = int(n_events)
    rng = np.random.default_rng(seed)
    n_visits, n_customers = n_events // 10, n_events // 50
    weight = rng.gamma(0.5, 1, n_customers)
    who = rng.choice(n_customers, n_visits, p=weight / weight.sum())
    begun = np.sort(rng.integers(0, 365 * DAY, n_visits))
    visit = np.sort(rng.integers(0, n_visits, n_events))
    micros = begun[visit] + rng.integers(0, DAY // 48, n_events)
    order = np.argsort(micros, kind="stable")
    visit, micros = visit[order], micros[order]
    end = np.datetime64(CUTOFF, "us")

    def named(codes, names):
        return pa.DictionaryArray.from_arrays(codes.astype("int32"), pa.array(names))

    def of_visit(names):
        return named(rng.integers(0, len(names), n_visits)[visit], names)

    kinds = rng.choice(
        len(COUNTS), n_events, p=[0.5, 0.14, 0.07, 0.01, 0.1, 0.01, 0.05, 0.03, 0.01, 0.03, 0.05]
    )
    products = rng.integers(0, 5_000, n_events)
    shown = np.isin(kinds, [0, 4])
    table = pa.table(
        {
            "occurred_at": end - (365 * DAY - micros).astype("timedelta64[us]"),
            "visitor_id": pa.array(np.char.add("v", who[visit].astype(str))),
            "customer_id": pa.array(np.char.add("c", who[visit].astype(str))),
            "session_id": pa.array(np.char.add("s", visit.astype(str))),
            "event": named(kinds, list(COUNTS)),
            "product_id": pa.array(np.char.add("p", products.astype(str)), mask=~shown),
            "price": pa.array(5 + products % 97 + 0.99, mask=~shown),
            "device_type": of_visit(["mobile", "desktop", "tablet"]),
            "touchpoint": of_visit(["ad", "search", "email", "direct", "social"]),
        }
    )
    inside = pa.array(table["occurred_at"].to_numpy() < end)
    pq.write_table(table.filter(inside), path, compression="zstd")
