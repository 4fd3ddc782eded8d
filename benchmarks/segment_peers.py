"""All segments of the catalogue, many ways: `python benchmarks/segment_peers.py [--millions 1]`.

Draws profiles from those of a small simulated shop, runs every peer in a process of its own,
compares their answers, and prints a table. All answer the same: of each segment how many customers
it has, and their revenue and margin of the year.
"""

import argparse
import json
import sys
from pathlib import Path

import environment

MONEY = ("revenue_365d", "margin_365d")


def write_profiles(path, n):
    """Profiles as Parquet: those of 2,000 simulated customers again and again, money shaken."""
    import tempfile

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cdp_lib.customers.catalogue import bound, load
    from cdp_lib.customers.portrait import portraits
    from cdp_lib.tables import open_shop
    from cdp_lib.world import simulate

    rng, n, writer = np.random.default_rng(1), int(n), None
    with tempfile.TemporaryDirectory() as folder:
        shop = open_shop(simulate(folder, customers=2_000, weeks=52, seed=1))
        table = portraits(shop, 0)[0].table
        used = {c for one in bound(load(), table) if one.condition is not None
                for c in one.segment.predicate.columns}  # fmt: skip
        people = table.select("customer_id", *sorted({*used, *MONEY})).to_pyarrow()
    for start in range(0, n, 100_000):
        size = min(100_000, n - start)
        part = people.take(pa.array(rng.integers(0, len(people), size)))
        ids = pa.array([f"c{start + i}" for i in range(size)])
        part = part.set_column(0, "customer_id", ids)
        shaken = rng.lognormal(0, 0.1, size)
        for name in MONEY:
            cents = np.round(part[name].to_numpy() * shaken, 2)
            part = part.set_column(part.column_names.index(name), name, pa.array(cents))
        writer = writer or pq.ParquetWriter(path, part.schema, compression="zstd")
        writer.write_table(part)
    writer.close()


def _entries(path):
    """The segments that these profiles can answer."""
    from cdp_lib.customers.catalogue import bound, load
    from cdp_lib.tables.engine import connect

    catalogue = load()
    table = connect("duckdb://").read_parquet(path)
    names = [one.segment.name for one in bound(catalogue, table) if one.condition is not None]
    return catalogue.only(names)


def _told(frame):
    return {row.name_: [row.n_customers, row.revenue, row.margin]
            for row in frame.rename(columns={"name": "name_"}).itertuples()}  # fmt: skip


def workbench(path, one_by_one=False):
    from cdp_lib.customers import segments
    from cdp_lib.customers.catalogue import Catalogue
    from cdp_lib.tables.engine import connect

    con, entries = connect("duckdb://"), _entries(path)
    con.raw_sql("SET threads = 2")

    def answer():
        table = con.read_parquet(path)
        if not one_by_one:
            return _told(segments.count(table, entries))
        answers = {}
        for one in entries.segments:
            answers |= _told(segments.count(table, Catalogue((one,), entries.columns)))
        return answers

    return answer


def workbench_one_by_one(path):
    return workbench(path, one_by_one=True)


def sql_by_hand(path, one_by_one=False):
    import duckdb

    con, entries = duckdb.connect(), _entries(path).segments
    con.sql("SET threads = 2")
    asks = [
        f"count_if({one.where}), "
        + ", ".join(f"sum(CASE WHEN {one.where} THEN {m} ELSE 0 END)" for m in MONEY)
        for one in entries
    ]

    def answer():
        query = "SELECT {} FROM '" + str(path) + "'"
        groups = [[ask] for ask in asks] if one_by_one else [asks]
        found = [value for group in groups
                 for value in con.sql(query.format(', '.join(group))).fetchone()]  # fmt: skip
        rows = zip(*[iter(found)] * 3, strict=True)
        return {one.name: [v or 0.0 for v in row] for one, row in zip(entries, rows, strict=True)}

    return answer


def sql_one_by_one(path):
    return sql_by_hand(path, one_by_one=True)


def pandas(path):
    import pandas as pd

    entries = _entries(path).segments

    def answer():
        frame, answers = pd.read_parquet(path), {}
        for one in entries:
            mask = _in_pandas(one.predicate.tree, frame)
            mask = mask.fillna(False).astype(bool)
            chosen = frame.loc[mask, list(MONEY)].sum()
            answers[one.name] = [int(mask.sum()), *map(float, chosen)]
        return answers

    return answer


def _in_pandas(node, frame):
    """A predicate as a person would write it in pandas; comparing with null is null."""
    import operator

    import numpy as np
    import pandas as pd
    from sqlglot import exp

    walk = lambda n: _in_pandas(n, frame)  # noqa: E731
    compare = {exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt",
               exp.GTE: "ge"}  # fmt: skip
    work = {exp.Mul: operator.mul, exp.Add: operator.add, exp.Sub: operator.sub,
            exp.Mod: operator.mod}  # fmt: skip
    kind = type(node)

    def known(mask, *sides):
        mask = mask.astype("boolean")
        for side in sides:
            if isinstance(side, pd.Series):
                mask = mask.mask(side.isna())
        return mask

    if kind is exp.Paren:
        return walk(node.this)
    if kind is exp.Column:
        column = frame[node.name]
        return column.astype("boolean") if column.dtype in (bool, object) and (
            column.dropna().isin([True, False]).all()) else column  # fmt: skip
    if kind is exp.Literal:
        return node.this if node.is_string else float(node.this)
    if kind is exp.Neg:
        return -walk(node.this)
    if kind is exp.Not:
        return ~walk(node.this).astype("boolean")
    if kind in (exp.And, exp.Or):
        a, b = walk(node.this).astype("boolean"), walk(node.expression).astype("boolean")
        return a & b if kind is exp.And else a | b
    if kind in compare:
        a, b = walk(node.this), walk(node.expression)
        return known(getattr(a, compare[kind])(b), a, b)
    if kind in work:
        return work[kind](walk(node.this), walk(node.expression))
    if kind is exp.Between:
        a = walk(node.this)
        return known(a.between(walk(node.args["low"]), walk(node.args["high"])), a)
    if kind is exp.In:
        a = walk(node.this)
        return known(a.isin([walk(v) for v in node.expressions]), a)
    if kind is exp.Is and isinstance(node.expression, exp.Null):
        return walk(node.this).isna()
    if kind is exp.Coalesce:
        return walk(node.this).fillna(walk(node.expressions[0]))
    if kind is exp.Lower:
        return walk(node.this).str.lower()
    if kind is exp.Abs:
        return np.abs(walk(node.this))
    raise ValueError(f"{node.sql()} is not written in pandas here: add it to _in_pandas")


PEERS = {
    "workbench": workbench,
    "sql_by_hand": sql_by_hand,
    "workbench_one_by_one": workbench_one_by_one,
    "sql_one_by_one": sql_one_by_one,
    "pandas": pandas,
}


def run_one(peer, path):
    """One peer in this process: a line of JSON with what it answered and what it cost."""
    found, cost = environment.timed(PEERS[peer](path))
    print(json.dumps({**cost, "answers": found}))


def unequal(one, other):
    """In how many segments two peers differ: by a customer, or by a cent in a thousand."""
    return sum(
        any(
            abs(a - b) > 1e-8 * max(1.0, abs(a))
            for a, b in zip(one[name], other[name], strict=True)
        )
        for name in one
    )


def main():
    """Read the arguments, write the profiles, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=1, help="millions of profiles")
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    environment.set_up()
    profiles = environment.WORK / f"profiles_{asked.millions:g}m.parquet"
    environment.call("segment_peers", "write_profiles", profiles, int(asked.millions * 10**6))
    results = environment.rounds(asked.repeat, asked.only.split(","), "segment_peers.py", profiles)
    profiles.unlink()
    first = next(result for result in results.values() if "answers" in result)
    answers = first["answers"]
    print(f"{asked.millions:g} million profiles, {len(answers)} segments")
    environment.print_peers(
        results, first["seconds"], lambda result: unequal(answers, result["answers"]), "unequal"
    )


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
