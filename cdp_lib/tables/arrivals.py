"""How many rows came in week by week, so that a hole in a log is seen before it is explained."""

from datetime import timedelta

import pandas as pd

from cdp_lib.tables.contract import CONTRACT
from cdp_lib.tables.source import Shop

LOGS = ("events", "orders", "messages")


def week_table(shop: Shop) -> pd.DataFrame:
    """The rows per ISO week of the shop's events, orders and messages; weeks without any are 0.

    Out: a row per table and week from its first to its last: table, week_start (Monday),
    n_rows, whole (the week lies inside the table's span and before `as_of`).
    """
    tables = []
    for name in LOGS:
        if shop.has(name):
            rows = shop.table(name)
            moment = rows[CONTRACT[name].cut_by]
            counted = rows.group_by(week_start=moment.truncate("W")).agg(
                n_rows=rows.count(), first=moment.min()
            )
            tables.append(_filled(name, counted.to_pandas(), pd.Timestamp(shop.as_of)))
    columns = ["table", "week_start", "n_rows", "whole"]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def hole_table(weeks: pd.DataFrame, share: float = 0.5) -> pd.DataFrame:
    """The whole weeks with fewer than `share` of the rows that their neighbours have.

    In: `week_table`. A week's neighbours are the two before and the two after it; their median
    counts. Out: table, week_start, n_rows, usual_rows.
    """
    found = []
    for _, rows in weeks[weeks.whole.astype(bool)].groupby("table", sort=False):
        rows = rows.sort_values("week_start")
        near = pd.concat([rows.n_rows.shift(k) for k in (-2, -1, 1, 2)], axis=1)
        usual = near.median(axis=1)
        found.append(rows.assign(usual_rows=usual)[rows.n_rows < share * usual])
    columns = ["table", "week_start", "n_rows", "usual_rows"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _filled(name: str, counted: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    if counted.empty:
        return pd.DataFrame()
    counted["week_start"] = pd.to_datetime(counted["week_start"])
    first = pd.Timestamp(counted["first"].min())
    weeks = pd.date_range(counted.week_start.min(), counted.week_start.max(), freq="7D")
    n_rows = counted.set_index("week_start")["n_rows"].reindex(weeks, fill_value=0)
    # A first event within the week's first day counts as a whole week.
    began = weeks >= first - timedelta(days=1)
    return pd.DataFrame(
        {
            "table": name,
            "week_start": weeks,
            "n_rows": n_rows.to_numpy().astype(int),
            "whole": began & (weeks + timedelta(days=7) <= as_of),
        }
    )
