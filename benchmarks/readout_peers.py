"""A read-out with CUPED, many ways: `python benchmarks/readout_peers.py [--millions 10]`.

Writes users in two arms and ten segments with three metrics and a covariate each, runs every peer
in a process of its own, compares their answers, and prints a table. All answer the same: per
segment and in all, the effect of each metric after CUPED and its standard error.
"""

import argparse
import json
import sys
from pathlib import Path

import environment

METRICS = ["visit", "orders", "revenue"]
SEGMENTS = 10


def write_users(path, n):
    """Users of an experiment as Parquet, written in ten parts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, n, writer = np.random.default_rng(1), int(n), None
    for _ in range(10):
        size = n // 10
        kind = rng.gamma(1, 1, size)
        treated = rng.random(size) < 0.7
        orders = rng.poisson(0.2 * kind * np.where(treated, 1.1, 1.0))
        before = rng.poisson(0.8 * kind)
        part = pa.table(
            {
                "arm": pa.array(np.where(treated, "treated", "holdout")),
                "segment": pa.array(rng.integers(0, SEGMENTS, size).astype("int32")),
                "visit": (rng.random(size) < 0.3 * kind).astype("int8"),
                "orders": orders.astype("int32"),
                "revenue": np.round(orders * rng.lognormal(3, 0.7, size), 2),
                "visit_before": rng.poisson(kind).astype("int32"),
                "orders_before": before.astype("int32"),
                "revenue_before": np.round(before * rng.lognormal(3, 0.7, size), 2),
            }
        )
        writer = writer or pq.ParquetWriter(path, part.schema, compression="zstd")
        writer.write_table(part)
    writer.close()


def workbench(path):
    from cdp_lib.lift.cuped import pairs
    from cdp_lib.lift.effect import effect
    from cdp_lib.lift.metrics import Metric
    from cdp_lib.lift.sums import gather, total
    from cdp_lib.tables.engine import connect

    metrics = [Metric(name, "mean", name) for name in METRICS]
    before = {name: f"{name}_before" for name in METRICS}
    con = connect("duckdb://")
    con.raw_sql("SET threads = 2")
    effect(*[_tiny()] * 2, metrics[0])  # its imports are not what is measured

    def answer():
        table = con.read_parquet(path)
        wanted = [pair for m in metrics for pair in pairs(m, [before[m.name]])]
        found = gather(table, [*METRICS, *before.values()], ["arm", "segment"], wanted)
        groups = {str(s): {arm: found[(arm, s)] for arm in ("holdout", "treated")}
                  for s in range(SEGMENTS)}  # fmt: skip
        groups["all"] = {
            arm: total(part for key, part in found.items() if key[0] == arm)
            for arm in ("holdout", "treated")
        }
        answers = {}
        for name, arms in groups.items():
            for m in metrics:
                one = effect(arms["holdout"], arms["treated"], m, [before[m.name]])
                answers[f"{name} {m.name}"] = [one.abs_lift, one.se]
        return answers

    return answer


def _tiny():
    import pandas as pd

    from cdp_lib.lift.sums import of_frame

    return of_frame(pd.DataFrame({name: [0.0, 1.0] for name in METRICS}), METRICS)


def sums_by_hand(path):
    """Sums about constants known before, and no more than CUPED needs: the least work there is."""
    about = {"visit": 0.3, "orders": 0.2, "revenue": 5.0, "visit_before": 1.0,
             "orders_before": 0.8, "revenue_before": 20.0}  # fmt: skip
    parts = []
    for y in METRICS:
        x = f"{y}_before"
        a, b = f"({y}::DOUBLE - {about[y]})", f"({x}::DOUBLE - {about[x]})"
        for name, what in (("y", a), ("x", b), ("yy", f"{a}*{a}"), ("xx", f"{b}*{b}"),
                           ("xy", f"{a}*{b}")):  # fmt: skip
            parts.append(f"sum({what}) AS {name}_{y}")

    def rows(con):
        query = f"SELECT arm, segment, count(*) AS n, {', '.join(parts)} FROM '{path}' GROUP BY ALL"
        frame = con.sql(query).df()
        for y in METRICS:
            n, sx, sy = frame.n, frame[f"x_{y}"], frame[f"y_{y}"]
            frame[f"yy_{y}"] -= sy * sy / n
            frame[f"xx_{y}"] -= sx * sx / n
            frame[f"xy_{y}"] -= sx * sy / n
            frame[f"y_{y}"], frame[f"x_{y}"] = sy / n + about[y], sx / n + about[f"{y}_before"]
        return frame

    return _by_hand(rows)


def sql_aggregates(path):
    """The engine's own means, variances and covariances."""
    parts = []
    for y in METRICS:
        x = f"{y}_before"
        parts += [
            f"avg({y}) AS y_{y}",
            f"avg({x}) AS x_{y}",
            f"var_pop({y}) * count(*) AS yy_{y}",
            f"var_pop({x}) * count(*) AS xx_{y}",
            f"covar_pop({y}, {x}) * count(*) AS xy_{y}",
        ]

    def rows(con):
        query = f"SELECT arm, segment, count(*) AS n, {', '.join(parts)} FROM '{path}' GROUP BY ALL"
        return con.sql(query).df()

    return _by_hand(rows)


def _by_hand(rows):
    import duckdb

    con = duckdb.connect()
    con.sql("SET threads = 2")
    con.sql("SELECT 1").df()  # its imports are not what is measured

    def answer():
        frame, answers = rows(con), {}
        for s in [*range(SEGMENTS), "all"]:
            part = frame if s == "all" else frame[frame.segment == s]
            for y in METRICS:
                answers[f"{s} {y}"] = _cuped(_pooled(part, y))
        return answers

    return answer


def _pooled(part, y):
    arms = {}
    for arm, rows in part.groupby("arm"):
        n = rows.n.sum()
        my, mx = (rows.n * rows[f"y_{y}"]).sum() / n, (rows.n * rows[f"x_{y}"]).sum() / n
        dy, dx = rows[f"y_{y}"] - my, rows[f"x_{y}"] - mx
        arms[arm] = (n, my, mx, (rows[f"yy_{y}"] + rows.n * dy * dy).sum(),
                     (rows[f"xx_{y}"] + rows.n * dx * dx).sum(),
                     (rows[f"xy_{y}"] + rows.n * dx * dy).sum())  # fmt: skip
    return arms


def _cuped(arms):
    (nc, yc, xc, yyc, xxc, xyc), (nt, yt, xt, yyt, xxt, xyt) = arms["holdout"], arms["treated"]
    shared = nc * nt / (nc + nt)
    theta = (xyc + xyt + (yt - yc) * (xt - xc) * shared) / (xxc + xxt + (xt - xc) ** 2 * shared)
    lift = yt - yc - theta * (xt - xc)
    spread = sum(
        (yy - 2 * theta * xy + theta**2 * xx) / (n - 1) / n
        for n, yy, xx, xy in ((nc, yyc, xxc, xyc), (nt, yyt, xxt, xyt))
    )
    return [float(lift), float(spread**0.5)]


def tea_tasting_ibis(path):
    import ibis

    con = ibis.duckdb.connect()
    con.raw_sql("SET threads = 2")
    return lambda: _tea(con.read_parquet(path))


def tea_tasting_pandas(path):
    import pandas as pd

    return lambda: _tea(pd.read_parquet(path))


def _tea(table):
    import tea_tasting as tt

    # The variant is not a metric's argument; two arms are analysed as a pair.
    metrics = {y: tt.Mean(y, f"{y}_before", equal_var=False) for y in METRICS}
    test = tt.Experiment(metrics, variant="arm")
    answers = {}
    for s in [*range(SEGMENTS), "all"]:
        part = table if s == "all" else table[table["segment"] == s]
        found = test.analyze(part, control="holdout")
        for y in METRICS:
            one = found[y]
            answers[f"{s} {y}"] = [one.effect_size, abs(one.effect_size / one.statistic)]
    return answers


def statsmodels_pandas(path):
    import numpy as np
    import pandas as pd
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    def answer():
        frame, answers = pd.read_parquet(path), {}
        for s in [*range(SEGMENTS), "all"]:
            part = frame if s == "all" else frame[frame.segment == s]
            treated = (part.arm == "treated").to_numpy()
            for y in METRICS:
                value, x = part[y].to_numpy(float), part[f"{y}_before"].to_numpy(float)
                theta = np.cov(value, x)[0, 1] / x.var(ddof=1)
                less = value - theta * (x - x.mean())
                means = CompareMeans(DescrStatsW(less[treated]), DescrStatsW(less[~treated]))
                lift = less[treated].mean() - less[~treated].mean()
                answers[f"{s} {y}"] = [float(lift), float(means.std_meandiff_separatevar)]
        return answers

    return answer


PEERS = {
    "sums_by_hand": sums_by_hand,
    "workbench": workbench,
    "sql_aggregates": sql_aggregates,
    "tea_tasting_ibis": tea_tasting_ibis,
    "tea_tasting_pandas": tea_tasting_pandas,
    "statsmodels_pandas": statsmodels_pandas,
}


def run_one(peer, path):
    """One peer in this process: a line of JSON with what it answered and what it cost."""
    found, cost = environment.timed(PEERS[peer](path))
    print(json.dumps({**cost, "answers": found}))


def furthest(one, other):
    """By how much two peers' answers differ at most, as a part of the standard error."""
    return max(
        abs(a - b) / one[key][1] for key in one for a, b in zip(one[key], other[key], strict=True)
    )


def main():
    """Read the arguments, write the users, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=10, help="millions of users")
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    environment.set_up()
    users = environment.WORK / f"users_{asked.millions:g}m.parquet"
    environment.call("readout_peers", "write_users", users, int(asked.millions * 10**6))
    peers = asked.only.split(",")
    results = environment.rounds(asked.repeat, peers, "readout_peers.py", users)
    users.unlink()
    print(
        f"{asked.millions:g} million users, {len(METRICS)} metrics with CUPED, {SEGMENTS} segments"
    )
    first = next(result for result in results.values() if "answers" in result)
    answers = first["answers"]
    environment.print_peers(
        results,
        first["seconds"],
        lambda result: f"{furthest(answers, result['answers']):.0e}",
        "apart (in se)",
    )


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
