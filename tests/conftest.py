"""Fixtures that every test may use: the engines, a way to put rows on one, the public data."""

import gc
import os
import shutil
import signal
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a test that fails today must fail tomorrow.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

# What is started in the background ignores Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
ENGINES = (
    "duckdb",
    pytest.param("pyspark", marks=pytest.mark.spark),
)


SHARING = (
    "test_week.py",
    "test_loop.py",
    "test_study.py",
    "test_browser.py",
    "test_readout_public",
)
# Few rows a query: compiling it would take longer than running it as it is.
QUICK_SPARK = (
    "spark.driver.memory=3g",
    "spark.sql.shuffle.partitions=2",
    "spark.sql.codegen.wholeStage=false",
    "spark.sql.codegen.factoryMode=NO_CODEGEN",
    "spark.sql.adaptive.enabled=false",
    "spark.driver.extraJavaOptions=-XX:%2BUseSerialGC -XX:TieredStopAtLevel=1",
)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    """What is long on Spark is run there by `make proof` alone; what takes long begins first, so
    that no worker is left with it at the end."""
    for item in items:
        if "spark" in item.nodeid and item.get_closest_marker("long_on_spark"):
            item.add_marker("proof")
    done = yield
    items.sort(key=lambda item: (not _shared(item.nodeid), not item.get_closest_marker("slow")))
    return done


def _shared(nodeid: str) -> str:
    """The name of what a test shares with others, or ""."""
    return next((name for name in ("spark", *SHARING) if name in nodeid), "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker runs all Spark tests, since one session is enough, and one each those of a file
    whose tests share what takes long to make."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    config.option.loadscopereorder = False  # the order is that of the collection

    class OneWorkerEach(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _shared(nodeid) or nodeid

    return OneWorkerEach(config, log)


@pytest.fixture(scope="session")
def spark_con():
    """One Spark session for the whole run, as an Ibis connection."""
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java, which is not installed")
    from cdp_lib.tables.engine import connect

    con = connect("pyspark://local[2]?" + "&".join(QUICK_SPARK))
    yield con
    gc.collect()  # tables that Ibis keeps for us are dropped while the session still runs
    con._session.stop()


@pytest.fixture(scope="session")
def duckdb_con():
    """One DuckDB connection in memory for the whole run."""
    from cdp_lib.tables.engine import connect

    return connect("duckdb://")


@pytest.fixture(scope="session", params=ENGINES)
def con(request):
    """An Ibis connection: the test runs once on DuckDB and once on Spark."""
    return request.getfixturevalue({"duckdb": "duckdb_con", "pyspark": "spark_con"}[request.param])


@pytest.fixture
def enough(con):
    """`if enough(): return` ends a property test early on Spark, where two examples do."""
    examples = count()
    return lambda: con.name == "pyspark" and next(examples) >= 2


@pytest.fixture(scope="session")
def make_table():
    """`make_table(con, frame, name=None, schema=None)`: a pandas frame as a table on the engine.

    `schema` maps column names to Ibis types, for columns that are all null or empty.
    """
    numbers = count()

    def make(con, frame, name=None, schema=None):
        import ibis
        import pyarrow as pa

        name = name or f"made_{next(numbers)}"
        arrow = pa.Table.from_pandas(frame, preserve_index=False)
        if schema:
            wanted = ibis.schema(schema).to_pyarrow()
            types = {field.name: field.type for field in wanted}
            arrow = arrow.cast(
                pa.schema([(f.name, types.get(f.name, f.type)) for f in arrow.schema])
            )
        # Nanoseconds are pandas' default; both engines keep microseconds.
        arrow = arrow.cast(
            pa.schema(
                [
                    (f.name, pa.timestamp("us") if pa.types.is_timestamp(f.type) else f.type)
                    for f in arrow.schema
                ]
            )
        )
        if con.name == "pyspark":
            con._session.createDataFrame(arrow).createOrReplaceTempView(name)
            return con.table(name)
        return con.create_table(name, arrow, temp=True, overwrite=True)

    return make


@pytest.fixture(scope="session")
def shared_data():
    """The folder of public data sets, or a skip: $CDP_PUBLIC_DATA, else ../shared/data."""
    folder = Path(os.environ.get("CDP_PUBLIC_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "SOURCES.md").is_file():
        pytest.skip(f"no public data under {folder}; set CDP_PUBLIC_DATA to have these tests run")
    return folder
