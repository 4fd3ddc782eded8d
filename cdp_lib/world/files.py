"""The world's Parquet files, and how several of them are replaced as one.

New files are first written whole into the folder `.next`. A marker in it says that they are all
there; then they are moved over the old ones, shop.toml last. Killed before the marker, the old
shop is untouched and `.next` is thrown away later; killed after it, the next advance completes
the move, and until then shop.toml's old as_of hides the rows of the new week.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cdp_lib.checks import Refusal

ROW_GROUP = 1 << 18
NEXT, READY, LAST = ".next", "ready", "shop.toml"


class Writers:
    """An open Parquet file per table, appended to piece by piece; `rows` counts by name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.open, self.rows = folder, {}, {}

    def write(self, name: str, table: pa.Table) -> None:
        """Add a table to the file of that name."""
        if name not in self.open:
            path = self.folder / f"{name}.parquet"
            self.open[name] = pq.ParquetWriter(path, table.schema, **_format(table.schema))
            self.rows[name] = 0
        self.open[name].write_table(table, row_group_size=ROW_GROUP)
        self.rows[name] += table.num_rows

    def close(self) -> None:
        """Finish all files."""
        for writer in self.open.values():
            writer.close()


def write(table: pa.Table, path: Path) -> None:
    """Write one table."""
    pq.write_table(table, path, **_format(table.schema))


def row_groups(path: Path) -> Iterator[pa.Table]:
    """The table of a file, a row group at a time."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def _format(schema: pa.Schema) -> dict:
    unique = {"event_id", "message_id", "email_sha256", "phone_sha256", "occurred_at"}
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [name for name in schema.names if name not in unique],
    }


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """The folder into which new files are written; when the block ends well they replace the old.

    What an earlier, killed process left is completed or thrown away first. Raises Refusal where
    another process is at it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refusal(
                "shop", folder.name, "another process lets it live on", "wait until it is done"
            ) from error
        complete(folder)
        fresh = folder / NEXT
        (fresh / "truth").mkdir(parents=True)
        try:
            yield fresh
            for path in _files(fresh):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            (fresh / f"{READY}.part").touch()
            os.replace(fresh / f"{READY}.part", fresh / READY)
        except BaseException:
            clear_next(folder)
            raise
        complete(folder)
    finally:
        os.close(handle)


def complete(folder: Path) -> None:
    """Finish a replacement that was ready, or throw away one that was not."""
    fresh = folder / NEXT
    if (fresh / READY).is_file():
        for path in sorted(_files(fresh), key=lambda path: path.name == LAST):
            os.replace(path, folder / path.relative_to(fresh))
    clear_next(folder)


def clear_next(folder: Path) -> None:
    """Throw away what was written and not yet put in place."""
    (folder / NEXT / READY).unlink(missing_ok=True)
    shutil.rmtree(folder / NEXT, ignore_errors=True)


def _files(fresh: Path) -> list[Path]:
    return sorted(p for p in fresh.rglob("*") if p.is_file() and not p.name.startswith(READY))
