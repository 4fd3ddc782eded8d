"""The files of an audience, in two steps, so that a file which can be seen belongs to the ledger.

An export makes its files under names that nobody takes for finished (`.<name>.csv.staged`),
enters the ledger, and only then gives them their names. The ledger is the moment of truth: what
is staged and not in the ledger is removed when the next export begins (nothing was assigned), and
what is in the ledger and still staged gets its name then (it was assigned).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cdp_lib.activate.ledger import Ledger
from cdp_lib.activate.lists import harmless

_STAGED = ".staged"


def stage(folder: Path, name: str, table: pd.DataFrame) -> dict[str, str]:
    """Write `<name>.csv` and `<name>.parquet` under passing names, for their owner's eyes alone.

    In the CSV a text that a spreadsheet would run as a formula follows an apostrophe; the Parquet
    file has it as it is. Out: the SHA-256 of each file, by its name. What cannot be written whole
    is removed again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writers = {f"{name}.csv": _write_csv, f"{name}.parquet": _write_parquet}
    try:
        for file, write in writers.items():
            path = staged(folder, file)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as out:
                write(table, out)
                out.flush()
                os.fsync(out.fileno())
        _sync(folder)
        return {file: digest(staged(folder, file)) for file in writers}
    except BaseException:
        discard(folder, writers)
        raise


def release(folder: Path, files: Mapping[str, str]) -> None:
    """Give staged files their names; those that are not staged (any more) stay as they are."""
    for file, wanted in files.items():
        path = staged(folder, file)
        if path.exists() and digest(path) == wanted:
            os.replace(path, folder / file)
    if folder.is_dir():
        _sync(folder)


def discard(folder: Path, files) -> None:
    """Remove staged files."""
    for file in files:
        staged(folder, file).unlink(missing_ok=True)


def settle(ledger: Ledger, folders: list[Path]) -> None:
    """Finish or undo what killed exports left; the caller holds the ledger's lock.

    folders: where to look for staged files of which the ledger knows nothing.
    """
    known = ledger.experiments()
    places = [folder_of(ledger, place) for place in known.folder]
    for folder, text in zip(places, known.files, strict=True):
        release(folder, json.loads(text))
    for folder in {*folders, *places}:
        for left in sorted(folder.glob(f".*{_STAGED}")) if folder.is_dir() else ():
            left.unlink(missing_ok=True)
    for left in ledger.path.parent.glob(f".{ledger.path.name}.*"):
        left.unlink(missing_ok=True)


def unfinished(ledger: Ledger) -> list[str]:
    """The experiments of the ledger whose files still wait for their names."""
    rows = ledger.experiments()
    return [
        row.experiment_id
        for row in rows.itertuples()
        if any(staged(folder_of(ledger, row.folder), f).exists() for f in json.loads(row.files))
    ]


def folder_of(ledger: Ledger, place: str) -> Path:
    """The folder that the ledger names, which is said from the ledger's own."""
    return ledger.path.parent / place


def staged(folder: Path, file: str) -> Path:
    """Where a file waits for its name."""
    return folder / f".{file}{_STAGED}"


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_csv(table: pd.DataFrame, out) -> None:
    safe = table.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].astype(object).map(harmless)
    out.write(safe.to_csv(index=False, lineterminator="\n").encode())


def _write_parquet(table: pd.DataFrame, out) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Without pandas' notes on itself the bytes hang on the values alone.
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(arrow, out, compression="zstd")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
