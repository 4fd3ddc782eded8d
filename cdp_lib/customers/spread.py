"""How values lie over many rows, from a hundred sums: means with guardrails, who carries the total.

The engine cuts the rows into hundredths by value and adds each up; everything here is arithmetic
on those sums.
"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
from ibis import _
from ibis.expr.types import Table

from cdp_lib.checks import TooLittleData
from cdp_lib.normal import Z

PARTS = 100


def part_table(rows: Table, value: str, key: str, sums: tuple[str, ...] = ()) -> pd.DataFrame:
    """Rows cut into hundredths by a value, the smallest first.

    key: a column that tells rows of one value apart, so that the cut is the same on every engine.
    sums: further columns to add up. Rows without a value are left out. Out: a row per part: part
    (1 to 100; fewer rows, fewer parts), n, total, squares, lowest, highest, and the sums. Raises
    TooLittleData without a row.
    """
    known = rows.filter(rows[value].notnull())
    known = known.mutate(value__=known[value].cast("float64"))
    order = ibis.window(order_by=[known.value__, known[key]])
    cut = known.mutate(part=ibis.ntile(PARTS).over(order) + 1)
    found = cut.group_by("part").agg(
        n=_.count(),
        total=_.value__.sum(),
        squares=(_.value__ * _.value__).sum(),
        lowest=_.value__.min(),
        highest=_.value__.max(),
        **{name: cut[name].cast("float64").sum() for name in sums},
    )
    parts = found.to_pandas().sort_values("part", ignore_index=True)
    if parts.empty:
        raise TooLittleData(value, 0, "no row with a value", "take a longer span")
    return parts


def guarded_table(parts: pd.DataFrame) -> pd.DataFrame:
    """The middle of some values in four ways, so that a few large ones deceive nobody.

    parts: of `part_table`. Out: rows "mean", "median", "trimmed" (without the lowest and the
    highest 1 %) and "winsorised" (these drawn in to the values next to them), each with n (rows),
    value, low, high (95 %). Trimmed and winsorised are NaN for fewer than 100 rows. Interval of
    the trimmed mean: Tukey and McLaughlin (1963); of the median: by order statistics.
    """
    n = float(parts.n.sum())
    mean, error = _mean(n, parts.total.sum(), parts.squares.sum())
    rows = [("mean", n, mean, mean - Z * error, mean + Z * error)]
    below = np.concatenate([[0.0], parts.n.cumsum() / n])
    ends = np.concatenate([[parts.lowest.iloc[0]], parts.highest])
    at = 0.5 + np.array([0, -1, 1]) * Z / 2 / np.sqrt(n)
    rows.append(("median", n, *np.interp(at, below, ends)))
    if len(parts) < PARTS:
        nan = (float("nan"),) * 3
        return _guarded([*rows, ("trimmed", n, *nan), ("winsorised", n, *nan)])
    inner = parts.iloc[1:-1]
    ends_n = parts.n.iloc[[0, -1]].to_numpy()
    drawn_to = np.array([inner.lowest.iloc[0], inner.highest.iloc[-1]])
    total = inner.total.sum() + (ends_n * drawn_to).sum()
    squares = inner.squares.sum() + (ends_n * drawn_to**2).sum()
    drawn_in, spread = _mean(n, total, squares)
    trimmed = inner.total.sum() / inner.n.sum()
    half = Z * spread * n / inner.n.sum()
    rows.append(("trimmed", float(inner.n.sum()), trimmed, trimmed - half, trimmed + half))
    half = Z * spread
    rows.append(("winsorised", n, drawn_in, drawn_in - half, drawn_in + half))
    return _guarded(rows)


def share_table(parts: pd.DataFrame, edges: tuple[int, ...] = tuple(range(10, 101, 10))):
    """Who carries the total, the largest values first.

    edges: ends of the groups, in parts from the top (10, 20, … are tenths). Out: a row per group:
    group (1 is the top), n, value (their sum), share, share_low, share_high (95 %), lowest,
    highest, cumulative_rows, cumulative_share, then the further sums of `parts`. Shares are NaN
    where the total is not above 0. The interval is that of a Lorenz ordinate (Beach and Davidson
    1983, doi:10.2307/2297772), by its influence function.
    """
    ranked = parts.sort_values("part", ascending=False, ignore_index=True)
    n, total = float(ranked.n.sum()), float(ranked.total.sum())
    sums = [
        c for c in parts.columns if c not in ("part", "n", "total", "squares", "lowest", "highest")
    ]
    rows, start = [], 0
    for group, edge in enumerate(edges, start=1):
        # Fewer rows than parts: a group ends where its share of the parts there are ends.
        end = round(edge * len(ranked) / PARTS)
        if end <= start:
            continue
        mine = ranked.iloc[start:end]
        share, half = _share(ranked, start, end) if total > 0 else (float("nan"),) * 2
        upto = ranked.iloc[:end]
        rows.append(
            {
                "group": group, "n": int(mine.n.sum()), "value": float(mine.total.sum()),
                "share": share, "share_low": share - half, "share_high": share + half,
                "lowest": float(mine.lowest.min()), "highest": float(mine.highest.max()),
                "cumulative_rows": float(upto.n.sum() / n),
                "cumulative_share": float(upto.total.sum() / total) if total > 0 else float("nan"),
                **{name: float(mine[name].sum()) for name in sums},
            }
        )  # fmt: skip
        start = end
    return pd.DataFrame(rows)


def curve_table(parts: pd.DataFrame) -> pd.DataFrame:
    """The Lorenz curve from the top: cumulative_rows, cumulative_share; (0, 0) is first."""
    one = share_table(parts, tuple(range(1, PARTS + 1)))[["cumulative_rows", "cumulative_share"]]
    start = pd.DataFrame([{"cumulative_rows": 0.0, "cumulative_share": 0.0}])
    return pd.concat([start, one], ignore_index=True)


def _share(ranked: pd.DataFrame, start: int, end: int) -> tuple[float, float]:
    """The share that parts [start, end) have of the total, and half its 95 % interval."""
    n, total = float(ranked.n.sum()), float(ranked.total.sum())
    share, place = float(ranked.total.iloc[start:end].sum()) / total, np.arange(len(ranked))
    # x counts beyond a bound q as x - q, and q times the share of rows beyond it is added back.
    slope, level = np.full(len(ranked), -share), np.zeros(len(ranked))
    for at, sign in ((end, 1.0), (start, -1.0)):
        if 0 < at < len(ranked):
            bound = float(ranked.lowest.iloc[at - 1])
            level += sign * bound * (ranked.n.iloc[:at].sum() / n - (place < at))
        slope += sign * (place < at)
    spread = slope**2 * ranked.squares + 2 * slope * level * ranked.total + level**2 * ranked.n
    return share, float(Z * np.sqrt(max(spread.sum(), 0.0)) / total)


def _mean(n: float, total: float, squares: float) -> tuple[float, float]:
    mean = total / n
    if n < 2:
        return mean, float("nan")
    return mean, float(np.sqrt(max(squares - n * mean**2, 0.0) / (n - 1) / n))


def _guarded(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["measure", "n", "value", "low", "high"])
