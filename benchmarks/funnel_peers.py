"""One funnel, many ways: view, cart, checkout, purchase of a visitor within 24 hours.

Each peer takes the path of a Parquet log and returns the visitors that enter each step. All but
`retentioneering` mean the same: the longest ordered chain inside the window from any start. The
workbench and the queries by hand count the visitors still open at each step too; the rest do not.

`python benchmarks/funnel_peers.py [--sizes 1,10,100]` writes the logs, runs every peer at every
size in a process of its own, prints one table per size, and removes the logs.
`python funnel_peers.py PEER LOG` runs one peer and prints one line of JSON.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable

import environment

BASE = ("sql_join", "sql_asof", "sql_window")
STEPS = ["view_item", "add_to_cart", "begin_checkout", "purchase"]
HOURS = 24
SHORT = 1.0  # seconds: what takes less is asked again in the same process, as a notebook would
MICROS = HOURS * 3_600 * 10**6


def workbench(path: str) -> Callable[[], list[int]]:
    from cdp_lib.behaviour import funnel
    from cdp_lib.tables.engine import connect

    con = connect("duckdb://")
    con.raw_sql("SET enable_progress_bar = false")

    def count() -> list[int]:
        table = funnel.step_table(con.read_parquet(path), STEPS, HOURS)
        return [*table["entered"], *table["open"].iloc[1:]]

    return count


def _sql(path: str, query: str) -> Callable[[], list[int]]:
    """Asks for the log's end first: a constant prunes what a subquery would not."""
    import duckdb

    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false")

    def count() -> list[int]:
        newest = con.execute(f"SELECT epoch_us(max(occurred_at)) FROM '{path}'").fetchone()[0]
        return list(con.execute(query.replace("{oldest}", str(newest + 1 - MICROS))).fetchone())

    return count


def _step(path: str, k: int) -> str:
    return (
        f"(SELECT visitor_id AS u, epoch_us(occurred_at) AS t "
        f"FROM '{path}' WHERE event = '{STEPS[k]}')"
    )


def _chained(path: str, step: str, first: str) -> str:
    """A query with a common table per step; `{rows}` and `{before}` vary in `step`."""
    parts = [f"c0 AS ({first})"]
    for k in range(1, len(STEPS)):
        parts.append(
            f"c{k} AS MATERIALIZED ({step.format(rows=_step(path, k), before=f'c{k - 1}')})"
        )
    counts = [f"(SELECT count(DISTINCT u) FROM {_step(path, 0)})"]
    counts += [f"(SELECT count(DISTINCT u) FROM c{k})" for k in range(1, len(STEPS))]
    recent = _step(path, 0).replace("WHERE", "WHERE occurred_at > make_timestamp({oldest}) AND")
    open_at = [recent, *(f"(FROM c{k} WHERE s > {{oldest}})" for k in range(1, len(STEPS) - 1))]
    counts += [
        f"(SELECT count(DISTINCT u) FROM {table} c "
        f"WHERE NOT EXISTS (FROM c{k + 1} d WHERE d.u = c.u))"
        for k, table in enumerate(open_at)
    ]
    return f"WITH {', '.join(parts)} SELECT {', '.join(counts)}"


def _starts(path: str) -> str:
    return f"SELECT u, t, t AS s FROM {_step(path, 0)}"


def sql_join(path: str) -> Callable[[], list[int]]:
    """Equi-join on the visitor and the day, with the day before, and the latest start."""
    step = f"""
        SELECT r.u, r.t, max(c.s) AS s
        FROM (SELECT u, t, unnest([t // {MICROS}, t // {MICROS} - 1]) AS b FROM {{rows}}) r
        JOIN (SELECT *, s // {MICROS} AS b FROM {{before}}) c ON r.u = c.u AND r.b = c.b
        WHERE r.t >= c.t AND r.t < c.s + {MICROS} GROUP BY 1, 2"""
    return _sql(path, _chained(path, step, _starts(path)))


def sql_asof(path: str) -> Callable[[], list[int]]:
    """DuckDB's ASOF join to the latest chain of the step before."""
    step = f"""
        SELECT r.u, r.t, c.s FROM {{rows}} r ASOF JOIN {{before}} c ON r.u = c.u AND r.t >= c.t
        WHERE r.t < c.s + {MICROS}"""
    return _sql(path, _chained(path, step, _starts(path)))


def sql_window(path: str) -> Callable[[], list[int]]:
    """Running maxima over the whole log, one per step: the plain way."""
    names = ", ".join(f"'{step}'" for step in STEPS)
    frame = "(PARTITION BY u ORDER BY t RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    parts = [
        f"r0 AS (SELECT visitor_id AS u, epoch_us(occurred_at) AS t, event AS e "
        f"FROM '{path}' WHERE event IN ({names}))",
        f"r1 AS (SELECT *, max(CASE WHEN e = '{STEPS[0]}' THEN t END) OVER {frame} AS s0 FROM r0)",
    ]
    parts += [
        f"r{k + 1} AS (SELECT *, max(CASE WHEN e = '{STEPS[k]}' AND t < s{k - 1} + {MICROS} "
        f"THEN s{k - 1} END) OVER {frame} AS s{k} FROM r{k})"
        for k in range(1, len(STEPS))
    ]
    counts = [f"count(DISTINCT u) FILTER (e = '{STEPS[0]}')"]
    counts += [
        f"count(DISTINCT u) FILTER (e = '{STEPS[k]}' AND t < s{k - 1} + {MICROS})"
        for k in range(1, len(STEPS))
    ]
    table = f"r{len(STEPS)}"
    ends = [f"t < s{k} + {MICROS} AND s{k} > {{oldest}}" for k in range(len(STEPS))]
    counts += [
        f"(SELECT count(DISTINCT u) FROM {table} c WHERE e = '{STEPS[k]}' AND {ends[k]} AND NOT "
        f"EXISTS (FROM {table} d WHERE d.u = c.u AND e = '{STEPS[k + 1]}' AND t < s{k} + {MICROS}))"
        for k in range(len(STEPS) - 1)
    ]
    parts[-1] = parts[-1].replace(" AS (", " AS MATERIALIZED (", 1)
    return _sql(path, f"WITH {', '.join(parts)} SELECT {', '.join(counts)} FROM {table}")


def polars(path: str) -> Callable[[], list[int]]:
    """As-of joins, each step's rows to the latest chain before them."""
    import polars as pl

    def count() -> list[int]:
        log = pl.scan_parquet(path).select(
            u="visitor_id",
            t=pl.col("occurred_at").cast(pl.Int64),
            e=pl.col("event").cast(pl.String),
        )

        def rows(k: int) -> pl.DataFrame:
            return log.filter(pl.col("e") == STEPS[k]).select("u", "t").sort("t").collect()

        first, second = rows(0), rows(1)
        entered = [first["u"].n_unique()]
        chains = first.join(second.select("u").unique(), on="u", how="semi")
        chains = chains.with_columns(s=pl.col("t"), at=pl.col("t")).sort("t")
        for k in range(1, len(STEPS)):
            met = (second if k == 1 else rows(k)).join_asof(
                chains.select("u", "s", "t"),
                on="t",
                by="u",
                strategy="backward",
                check_sortedness=False,
            )
            chains = met.filter(pl.col("s").is_not_null() & (pl.col("t") < pl.col("s") + MICROS))
            entered.append(chains["u"].n_unique())
        return entered

    return count


def pandas(path: str) -> Callable[[], list[int]]:
    """As-of merges, each step's rows to the latest chain before them."""
    import pandas as pd

    def rows(k: int) -> "pd.DataFrame":
        frame = pd.read_parquet(
            path, columns=["visitor_id", "occurred_at"], filters=[("event", "==", STEPS[k])]
        )
        return frame.sort_values("occurred_at", kind="stable")

    def count() -> list[int]:
        chains = rows(0)
        entered = [chains["visitor_id"].nunique()]
        chains["start"] = chains["occurred_at"]
        for k in range(1, len(STEPS)):
            step = rows(k)
            met = pd.merge_asof(step, chains, on="occurred_at", by="visitor_id")
            chains = met[met["occurred_at"] < met["start"] + pd.Timedelta(hours=HOURS)]
            entered.append(chains["visitor_id"].nunique())
        return entered

    return count


def retentioneering(path: str) -> Callable[[], list[int]]:
    """Its own funnel: no window, and the first start alone; less is asked of it."""
    os.environ["RETENTIONEERING_NO_TRACK"] = "1"  # its own opt-out, read before it is imported
    import pandas as pd
    from retentioneering.eventstream.eventstream import Eventstream

    def count() -> list[int]:
        frame = pd.read_parquet(path)
        schema = {"path_cols": ["visitor_id"], "event_col": "event", "timestamp_col": "occurred_at"}
        found = Eventstream(frame, schema).funnel_data(steps=STEPS)
        return [step["unique_paths"] for step in found["steps"]]

    return count


PEERS = {
    peer.__name__: peer
    for peer in (workbench, sql_join, sql_asof, sql_window, polars, pandas, retentioneering)
}


def run_one(peer: str, path: str) -> None:
    """One peer in this process: a line of JSON with its counts and what they cost."""
    count = PEERS[peer](path)
    entered, cost = environment.timed(count)
    if cost["seconds"] < SHORT:
        cost["again"] = min(environment.timed(count)[1]["seconds"] for _ in range(3))
    entered = [int(n) for n in entered]
    counts = {"entered": entered[: len(STEPS)], "open": entered[len(STEPS) :]}
    print(json.dumps({**counts, **cost}))


def report(millions: float, results: dict[str, dict]) -> None:
    """Print one size's table: seconds, ratio to the best hand-written SQL, peak, counts."""
    done = {peer: r for peer, r in results.items() if "failed" not in r}
    base = min((done[peer]["seconds"] for peer in BASE if peer in done), default=None)
    again = min((done[p]["again"] for p in BASE if "again" in done.get(p, {})), default=None)
    counts = next(iter(done.values()))["entered"] if done else []

    def note(result: dict) -> str:
        same = "same" if result["entered"] == counts else str(result["entered"])
        if again is None or "again" not in result:
            return same
        return f"{same}; again {result['again']:.2f} ({result['again'] / again:.2f})"

    print(f"\n{millions:g} million events; entered {counts}")
    environment.print_peers(
        dict(sorted(results.items(), key=lambda pair: pair[1].get("seconds", 1e9))),
        base,
        note,
        "counts; called again (base: the best SQL)",
    )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1,10", help="millions of events, such as 1,10,100")
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=3, help="runs per peer; the fastest counts")
    parser.add_argument("--keep", action="store_true", help="keep the logs in benchmarks/work")
    asked = parser.parse_args()
    peers = asked.only.split(",")
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peer {', '.join(unknown)}; choose from {','.join(PEERS)}")
    environment.set_up()
    ours = {}
    for millions in map(float, asked.sizes.split(",")):
        log = environment.WORK / f"events_{millions:g}m.parquet"
        if not log.exists():
            environment.call("event_log", "write_log", log, int(millions * 10**6))
        results = environment.rounds(asked.repeat, peers, "funnel_peers.py", log)
        report(millions, results)
        ours[millions] = results.get("workbench", {}).get("seconds")
        if not asked.keep:
            log.unlink()
    sizes = [size for size in sorted(ours) if ours[size]]
    for small, large in itertools.pairwise(sizes):
        growth = ours[large] / ours[small]
        print(f"\nworkbench: {growth:.1f} × the time for {large / small:g} × the events")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(*sys.argv[1:])
    else:
        main()
