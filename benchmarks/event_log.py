"""A log of a shop's events, straight to Parquet: what the benchmarks read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENTS = ["view_item", "view_item_list", "add_to_cart", "begin_checkout", "purchase"]
CHUNK = 2_000_000
DAY, YEAR = 86_400, 52 * 7 * 86_400


def write_log(path: str | Path, n_events: int | str, seed: int = 7) -> None:
    """Write `n_events` rows of `visitor_id`, `occurred_at`, `event`, in rough order of time.

    Visitors differ: their number of events is a gamma mixture of Poissons (the mean is 18, many
    have one), their events fall into up to five visits over thirty days, and each has an own
    taste for buying. The same seed gives the same rows.
    """
    path, n_events = Path(path), int(n_events)
    rng = np.random.default_rng(seed)
    names = pa.array(EVENTS)
    partial = path.with_suffix(".partial")
    n_done = n_visitors = 0
    writer = None
    while n_done < n_events:
        n = min(CHUNK, n_events - n_done)
        n_each = 1 + rng.poisson(rng.gamma(0.6, 28, size=n // 8 + 1))
        n_each = n_each[: np.searchsorted(n_each.cumsum(), n) + 1]
        who = np.repeat(np.arange(len(n_each)), n_each)[:n]
        begun = rng.integers(0, YEAR, len(n_each)) * 10**6
        visits = rng.integers(0, 30 * DAY, (len(n_each), 5)) * 10**6
        within_visit = (rng.exponential(900, len(who)) * 10**6).astype(np.int64)
        micros = begun[who] + visits[who, rng.integers(0, 5, len(who))] + within_visit
        taste = rng.beta(1, 6, len(n_each))[who]
        draw = rng.random(len(who))
        event = np.select(
            [draw < taste * 0.5, draw < taste * 0.75, draw < taste * 0.9, draw < 0.8],
            [2, 3, 4, 0],
            default=1,
        ).astype(np.int32)
        order = np.argsort(micros, kind="stable")
        table = pa.table(
            {
                "visitor_id": np.char.add("v", (n_visitors + who[order]).astype(str)),
                "occurred_at": np.datetime64("2025-11-24", "us")
                + micros[order].astype("timedelta64[us]"),
                "event": pa.DictionaryArray.from_arrays(event[order], names),
            }
        )
        writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd")
        writer.write_table(table)
        n_done += len(who)
        n_visitors += len(n_each)
    writer.close()
    partial.rename(path)
