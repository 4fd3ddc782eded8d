"""Lists of scored customers for the analyst's own eyes: not checked for consent, no holdout."""

import re
from math import nan
from pathlib import Path

import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.tables.whole_file import whole_file

STATUS = "not for sending: no consent check, no holdout"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_list(table: pd.DataFrame, folder: str | Path, name: str) -> Path | None:
    """Write a list of scored customers as `<folder>/<name>.not-for-sending.csv`.

    table: a row per customer: customer_id, probability, reasons, value at stake. A column `status`
    is added that says what the file is not. folder: made where it is missing; with "" nothing is
    written, and None comes back. Written under another name and renamed; a text that a spreadsheet
    would run as a formula gets an apostrophe before it. Raises Refusal for a table without
    customer_id and a name that could leave the folder.
    """
    if "customer_id" not in table.columns:
        raise Refusal("table", list(table.columns), "has no customer_id", "name the id customer_id")
    check_name(name)
    if not str(folder):
        return None
    path = Path(folder) / f"{name}.not-for-sending.csv"
    safe = table.assign(status=STATUS)
    texts = [column for column in safe.columns if not pd.api.types.is_numeric_dtype(safe[column])]
    safe[texts] = safe[texts].map(harmless)
    with whole_file(path) as written:
        safe.to_csv(written, index=False)
    return path


def read_list(folder: str | Path, name: str) -> pd.DataFrame | None:
    """A list as `write_list` was given it, without its status; None where none was written."""
    path = Path(folder) / f"{name}.not-for-sending.csv" if str(folder) else None
    if path is None or not path.is_file():
        return None
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    told = {name: _column(name, table[name].tolist()) for name in table.columns}
    return table.assign(**told).drop(columns="status", errors="ignore")


def check_name(name: str, place: str = "name") -> None:
    """Refuse a name that could leave its folder or confuse a shell."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(place, name, "cannot be a file's name", "use letters, digits, _ and -")


def harmless(value: object) -> object:
    """A cell that a spreadsheet reads as text: what would start a formula follows an apostrophe.

    >>> harmless("=1+1"), harmless("42"), harmless(None)
    ("'=1+1", '42', None)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _column(name: str, cells: list[str]) -> pd.Series:
    """The cells of a column as numbers, to the last digit, where all of them are; else as texts."""
    try:
        if name != "customer_id":
            return pd.Series([float(cell) if cell else nan for cell in cells], dtype=float)
    except ValueError:
        pass
    return pd.Series([_as_it_was(cell) for cell in cells], dtype=object)


def _as_it_was(value: object) -> object:
    """What `harmless` made harmless; an empty cell is null."""
    if not isinstance(value, str) or not value:
        return None
    return value[1:] if value[0] == "'" and value[1:].startswith(_FORMULA) else value
