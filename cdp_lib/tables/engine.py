"""Engines: DuckDB in this process by default, a local or given Spark session on request."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from cdp_lib.checks import Refusal

if TYPE_CHECKING:
    from ibis.backends import BaseBackend

ENGINES = ("duckdb", "pyspark")


def connect(url: str = "duckdb://", place: str = "engine.url") -> BaseBackend:
    """An Ibis connection to the engine that `url` names.

    `duckdb://` is DuckDB in memory and `duckdb://shop.duckdb` a file, opened read-only;
    `pyspark://` is a local Spark session and `pyspark://local[8]?spark.driver.memory=16g`
    names its master and settings. A session that already runs is used as it is, so on a
    cluster start yours first. Raises Refusal for any other engine.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "duckdb":
        return _duckdb(rest)
    if scheme == "pyspark":
        parts = urlsplit("//" + rest.replace("[", "%5B").replace("]", "%5D"))
        master = parts.netloc.replace("%5B", "[").replace("%5D", "]")
        return _pyspark(master or "local[*]", dict(parse_qsl(parts.query)))
    raise Refusal(place, url, "not a known engine", "write duckdb:// or pyspark://")


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
