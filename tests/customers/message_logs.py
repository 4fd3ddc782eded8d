"""Logs of messages for tests: a row a message, answered by a law that the test states."""

import numpy as np
import pandas as pd

COLUMNS = ["customer_id", "channel", "sent_at", "opened", "hour"]


def messages(rows) -> pd.DataFrame:
    """Rows of (customer, channel, day from 2026-06-01, opened?, hour) as a table of messages."""
    table = pd.DataFrame(rows, columns=["customer_id", "channel", "day", "opened", "hour"])
    sent = pd.Timestamp("2026-06-01") + pd.to_timedelta(table.day * 24 + table.hour, unit="h")
    sent = sent.astype("datetime64[us]")  # Spark reads no nanoseconds
    opened = sent + pd.Timedelta(hours=1)
    return pd.DataFrame(
        {
            "message_id": [f"m{i:07d}" for i in range(len(table))],
            "campaign_id": "news",
            "customer_id": table.customer_id,
            "channel": table.channel,
            "sent_at": sent,
            "opened_at": opened.where(table.opened.astype(bool)),
            "clicked_at": pd.Series(pd.NaT, index=table.index, dtype="datetime64[us]"),
        }
    )


def drawn(rates, n_messages, seed, hours=(9, 18), by_hour=None) -> pd.DataFrame:
    """Messages to customers with `rates` (a row a customer, a column a channel): `n_messages` each,
    a day apart, at an hour drawn from `hours`; `by_hour` (a row a customer, a column an hour) is
    added to the rate."""
    rng, rows = np.random.default_rng(seed), []
    for i, own in enumerate(rates):
        for c, rate in enumerate(own):
            for day in range(n_messages[c] if np.ndim(n_messages) else n_messages):
                h = rng.integers(0, len(hours))
                chance = rate + (0 if by_hour is None else by_hour[i][h])
                rows.append((f"c{i:05d}", "ep"[c], day, rng.random() < chance, hours[h]))
    return messages(rows)
