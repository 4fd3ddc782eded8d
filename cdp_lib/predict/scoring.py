"""Score any number of customers: batches in, probabilities out, never all rows at once.

On DuckDB the table streams as Arrow batches into this process; on Spark the model travels to the
workers (`mapInArrow`) and the scores come back partition by partition.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, above
from cdp_lib.predict.propensity import Propensity
from cdp_lib.predict.saved import load, save
from cdp_lib.tables.whole_file import whole_file

BATCH_ROWS = 100_000


def score(
    model: Propensity, table: Table | pd.DataFrame, batch_rows: int = BATCH_ROWS
) -> Iterator[pd.DataFrame]:
    """Score a table of customers, some at a time.

    table: an Ibis table or a frame with `customer_id` and the columns of the model. Out: frames
    of customer_id, probability. Raises Refusal for a column that is missing or of another
    kind, naming it; what the engine's types don't tell comes up with the batch that shows it.
    """
    above("batch_rows", batch_rows, 0)
    if isinstance(table, pd.DataFrame):
        model.columns.check(table)
        _need_id(table.columns)
        starts = range(0, len(table), batch_rows)
        return (_scored(model, table.iloc[start : start + batch_rows]) for start in starts)
    wanted = _wanted(model, table)
    if wanted.get_backend().name == "pyspark":
        return _collected(_mapped(model, wanted), batch_rows)
    batches = wanted.to_pyarrow_batches(chunk_size=batch_rows)
    return (_scored(model, part.to_pandas()) for part in batches if part.num_rows)


def score_to_parquet(
    model: Propensity, table: Table | pd.DataFrame, path: str | Path, batch_rows: int = BATCH_ROWS
) -> int:
    """Score a table into one Parquet file of customer_id, probability, written by rename.

    Out: how many rows it holds. On Spark the scores pass through this process in partitions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("customer_id", pa.string()), ("probability", pa.float64())])
    n = 0
    with whole_file(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for part in score(model, table, batch_rows):
            writer.write_table(pa.Table.from_pandas(part, schema, preserve_index=False))
            n += len(part)
    return n


def score_on_spark(model: Propensity, table: Table):
    """A Spark DataFrame of customer_id, probability; nothing runs before it is asked for.

    The model travels as its card and trees, which each worker reads once.
    """
    return _mapped(model, _wanted(model, table))


def _mapped(model: Propensity, wanted: Table):
    import pyarrow as pa

    with tempfile.TemporaryDirectory() as folder:
        saved = save(model, Path(folder) / "model")
        files = {file.name: file.read_bytes() for file in saved.iterdir()}

    def scored(batches: Iterator) -> Iterator:
        with tempfile.TemporaryDirectory() as place:
            for name, content in files.items():
                (Path(place) / name).write_bytes(content)
            there = load(place, threads=1)
        for batch in batches:
            if batch.num_rows:
                found = _scored(there, batch.to_pandas())
                yield pa.RecordBatch.from_pandas(found, preserve_index=False)

    engine = wanted.get_backend()
    frame = engine._session.sql(engine.compile(wanted))
    return frame.mapInArrow(scored, "customer_id string, probability double")


def _collected(mapped, batch_rows: int) -> Iterator[pd.DataFrame]:
    """The scores of a Spark DataFrame, partition by partition."""
    rows = mapped.toLocalIterator(prefetchPartitions=True)
    while part := list(islice(rows, batch_rows)):
        yield pd.DataFrame(part, columns=["customer_id", "probability"])


def _wanted(model: Propensity, table: Table) -> Table:
    """The columns to score, after a look at their names and types."""
    _need_id(table.columns)
    for name, kind in zip(model.columns.names, model.columns.kinds, strict=True):
        if name not in table.columns:
            raise Refusal(
                "table", name, "the model needs this column and the table lacks it",
                "add it, or fit again without it",
            )  # fmt: skip
        dtype = table[name].type()
        wrong = dtype.is_floating() if kind == "category" else dtype.is_temporal()
        if wrong or dtype.is_nested():
            raise Refusal(
                "table", name, f"is {dtype} and was a {kind} at the fit", "cast it, or fit again"
            )
    return table.select("customer_id", *model.columns.names)


def _need_id(columns) -> None:
    if "customer_id" not in columns:
        raise Refusal("table", list(columns), "has no customer_id", "name the id customer_id")


def _scored(model: Propensity, frame: pd.DataFrame) -> pd.DataFrame:
    found = {"customer_id": frame["customer_id"].astype(str), "probability": model.predict(frame)}
    return pd.DataFrame(found).reset_index(drop=True)
