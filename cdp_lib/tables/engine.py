"""Engines and files: DuckDB in this process by default, Spark on request; Parquet and CSV."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from cdp_lib.checks import Refusal, one_of

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.backends import BaseBackend
    from ibis.expr.types import Table

    from cdp_lib.tables.config import TableSpec

_KINDS = (".parquet", ".pq", ".csv", ".csv.gz")
RARELY = (20_000, 10, 10)  # new objects before Python looks for garbage, and how often it looks far


def connect(url: str = "duckdb://", place: str = "engine.url") -> BaseBackend:
    """An Ibis connection to the engine that `url` names.

    `duckdb://` is DuckDB in memory and `duckdb://shop.duckdb` a file, opened read-only;
    `pyspark://` is a local Spark session and `pyspark://local[8]?spark.driver.memory=16g`
    names its master and settings. A session that already runs is used as it is, so on a
    cluster start yours first. Raises Refusal for any other engine.
    """
    import ibis

    # Engines merge nested selects themselves; Ibis takes an eighth of its planning for it.
    ibis.options.sql.fuse_selects = False
    _look_rarely_for_garbage()
    scheme, _, rest = url.partition("://")
    if scheme == "duckdb":
        return _duckdb(rest)
    if scheme == "pyspark":
        parts = urlsplit("//" + rest.replace("[", "%5B").replace("]", "%5D"))
        master = parts.netloc.replace("%5B", "[").replace("%5D", "]")
        return _pyspark(master or "local[*]", dict(parse_qsl(parts.query)))
    raise Refusal(place, url, "not a known engine", "write duckdb:// or pyspark://")


def _look_rarely_for_garbage() -> None:
    """A plan is thousands of small objects, and Python would go through all that is imported for
    garbage each time: a tenth of a small study. Who has set other bounds keeps them."""
    first = gc.get_threshold()[0]
    if 0 < first < RARELY[0]:
        gc.freeze()
        gc.set_threshold(*RARELY)


def _duckdb(path: str) -> BaseBackend:
    import ibis

    con = ibis.duckdb.connect(path or ":memory:", read_only=bool(path))
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


def _pyspark(master: str, settings: dict[str, str]) -> BaseBackend:
    import warnings

    # Spark's Python workers must be this interpreter, and the driver must not ask the network.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    import ibis
    from pyspark.sql import SparkSession

    local = {
        "spark.driver.memory": "4g",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    session = SparkSession.getActiveSession()
    if session is None:
        builder = SparkSession.builder.master(master).appName("cdp")
        builder = builder.config("spark.sql.warehouse.dir", tempfile.mkdtemp(prefix="cdp_spark_"))
        for name, value in {**(local if master.startswith("local") else {}), **settings}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
    # Every instant of the contract is naive and read as UTC, on both engines alike.
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.timestampType", "TIMESTAMP_NTZ")
    session.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    return ibis.pyspark.connect(session)


def files_of(place: str, path: str, folder: Path) -> list[str]:
    """The files that a path of shop.toml means, sorted; all of one kind."""
    if "://" in path:
        return [path]
    wanted = folder / path
    if wanted.is_dir():
        found = [str(file) for file in wanted.rglob("*") if str(file).endswith(_KINDS)]
    elif has_magic(path):
        found = glob(str(wanted), recursive=True)
    else:
        found = [str(wanted)] if wanted.is_file() else []
    if not found:
        near = (
            sorted(p.name for p in wanted.parent.glob("*"))[:20] if wanted.parent.is_dir() else []
        )
        raise Refusal(
            place, path, "no such file",
            f"{folder} is where it is looked for; there is {', '.join(near) or 'nothing'}",
        )  # fmt: skip
    kinds = {"parquet" if file.endswith(_KINDS[:2]) else "csv" for file in found}
    if len(kinds) > 1:
        raise Refusal(place, path, "Parquet and CSV files mixed", "name one kind, as *.parquet")
    return sorted(found)


def read_files(
    con: BaseBackend,
    name: str,
    paths: list[str],
    header: tuple[str, ...] | None = None,
    delimiter: str = ",",
) -> Table:
    """Parquet or CSV files, all of one kind, as the view `name`; CSV values stay texts.

    Columns are matched by name over the files. `header` names the columns of CSV files that
    have no header line.
    """
    parquet = paths[0].endswith((".parquet", ".pq"))
    if con.name == "pyspark":
        reader = con._session.read
        if parquet:
            frame = reader.option("mergeSchema", len(paths) > 1).parquet(*paths)
        else:
            frame = reader.csv(
                paths, header=header is None, sep=delimiter, inferSchema=False, escape='"',
                multiLine=True, enforceSchema=False,
            )  # fmt: skip
            frame = frame.toDF(*header) if header else frame
        frame.createOrReplaceTempView(name)
        return con.table(name)
    if parquet:
        return con.read_parquet(paths, table_name=name, union_by_name=len(paths) > 1)
    named = {"header": False, "names": list(header)} if header else {"header": True}
    return con.read_csv(
        paths, table_name=name, all_varchar=True, delim=delimiter, quote='"', escape='"',
        union_by_name=len(paths) > 1 and header is None, **named,
    )  # fmt: skip


def select_from(con: BaseBackend, source: Table, query: str, place: str) -> Table:
    """One SELECT, in DuckDB's dialect, over the table `source` and nothing else."""
    import sqlglot
    from sqlglot import exp

    try:
        statements = sqlglot.parse(query, read="duckdb")
    except sqlglot.errors.ParseError as error:
        raise Refusal(place, query, str(error).splitlines()[0], "write one SELECT") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise Refusal(place, query, "not one SELECT", "write select … from source")
    own = {cte.alias for cte in statements[0].find_all(exp.CTE)}
    for table in statements[0].find_all(exp.Table):
        if table.name not in own | {"source"} or table.db:
            raise Refusal(
                place, table.sql(), "not the table of this section", "select from `source`"
            )
    name = f"{source.get_name()}_source"
    try:
        return source.alias(name).sql(_renamed(statements[0], name), dialect="duckdb")
    except Exception as error:  # each engine has errors of its own for a query it cannot run
        said = str(error).strip().splitlines()[0]
        fix = f"select from `source`, which has {', '.join(source.columns)}"
        raise Refusal(place, query.strip(), said, fix) from error


def _renamed(statement, name: str) -> str:
    from sqlglot import exp

    for table in statement.find_all(exp.Table):
        if table.name == "source":
            alias = table.alias or "source"
            table.set("this", exp.to_identifier(name))
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return statement.sql(dialect="duckdb")


def raw_table(con: BaseBackend, spec: TableSpec, name: str, folder: Path) -> Table:
    """The table that a section of shop.toml means, before any mapping; files become view `name`."""
    place = f"tables.{spec.name}"
    if spec.table is not None:
        known = con.list_tables()
        if spec.table not in known:
            one_of(f"{place}.table", spec.table, known or ["(the engine has no table)"])
        raw = con.table(spec.table)
    else:
        files = files_of(f"{place}.path", spec.path, folder)
        raw = read_files(con, name, files, spec.header, spec.delimiter)
    return raw if spec.query is None else select_from(con, raw, spec.query, place)


def as_view(con: BaseBackend, table: Table, name: str) -> Table:
    """The table under a name of its own in the engine, for as long as the connection lives."""
    con.raw_sql(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {con.compile(table)}")
    return con.table(name)


def put(con: BaseBackend, rows: pa.Table, name: str) -> Table:
    """Rows from memory as a temporary table of the engine; they replace one of that name.

    Unlike Ibis's own tables in memory it belongs to the engine, so it can be kept by it.
    """
    if con.name == "pyspark":
        con._session.createDataFrame(rows).createOrReplaceTempView(name)
        return con.table(name)
    return con.create_table(name, rows, temp=True, overwrite=True)
