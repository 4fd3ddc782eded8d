"""The columns a model reads: their kinds and categories, and any table as its matrix.

A column is a number (yes/no counts as 1/0) or a category. A category that was not there when the
model was fitted, and a number that is not finite, is missing; a model takes missing values as
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal

MAX_CATEGORIES = 100


@dataclass(frozen=True)
class Columns:
    """What a model reads, in order.

    names: the columns. kinds: "number" or "category" of each. categories: the values known of
    each category column, as texts; () for a number.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]

    @property
    def types(self) -> list[str]:
        """The types as XGBoost writes them: "q" for a number, "c" for a category."""
        return ["c" if kind == "category" else "q" for kind in self.kinds]

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """A frame as float32, a row per row: numbers, category codes, NaN for missing.

        Raises Refusal for a column that is missing or of the other kind, naming it.
        """
        self.check(frame)
        out = np.empty((len(frame), len(self.names)), dtype=np.float32)
        for i, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            if kind == "number":
                out[:, i] = numbers(frame[name])
            else:
                codes = pd.Index(self.categories[i]).get_indexer(texts(frame[name]))
                out[:, i] = np.where(codes < 0, np.nan, codes)
        return out

    def check(self, frame: pd.DataFrame) -> None:
        """Refuse a frame that lacks a column, or has one of the other kind, naming it."""
        lacking = [name for name in self.names if name not in frame.columns]
        if lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            raise Refusal(
                "table", list(frame.columns), f"lacks {', '.join(lacking[:5])}{more}",
                "give the columns that the model was fitted on",
            )  # fmt: skip
        for name, kind in zip(self.names, self.kinds, strict=True):
            values = frame[name]
            if kind == "number" and kind_of(values) == "category" and values.notna().any():
                raise Refusal(
                    name, first_value(values), "was a number when the model was fitted",
                    "give numbers, or fit again",
                )  # fmt: skip
            if kind == "category" and pd.api.types.is_float_dtype(values) and values.notna().any():
                raise Refusal(
                    name, first_value(values), "was a category when the model was fitted",
                    "give texts, or fit again",
                )  # fmt: skip

    def to_card(self) -> list[dict]:
        """The columns as plain JSON."""
        return [
            {"name": name, "kind": kind, **({"categories": list(known)} if known else {})}
            for name, kind, known in zip(self.names, self.kinds, self.categories, strict=True)
        ]

    @staticmethod
    def from_card(listed: Sequence[dict]) -> Columns:
        """The columns that `to_card` wrote."""
        return Columns(
            tuple(column["name"] for column in listed),
            tuple(column["kind"] for column in listed),
            tuple(tuple(column.get("categories", ())) for column in listed),
        )


def read_columns(
    frame: pd.DataFrame, names: Sequence[str], kinds: Mapping[str, str] | None = None
) -> tuple[Columns, dict[str, str]]:
    """The usable ones among these columns of the rows a model learns from.

    kinds: the kind of those columns where it is known; else it is read off the values. Out: the
    Columns, and the columns set aside with the reason: dates, columns with one value throughout,
    and texts that differ on nearly every row. Of a category the 100 commonest values are known.
    """
    kept, aside = [], {}
    for name in names:
        values = frame[name]
        if pd.api.types.is_datetime64_any_dtype(values):
            aside[name] = "a date; give it as days before the cutoff"
            continue
        kind = (kinds or {}).get(name) or kind_of(values)
        if kind == "category":
            counts = texts(values).value_counts()
            missing = len(values) - int(counts.sum())
            if len(counts) > MAX_CATEGORIES and len(counts) > 0.5 * counts.sum():
                aside[name] = "differs on nearly every row, like an id"
                continue
            n_values = len(counts) + (missing > 0)
            ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
            known = tuple(sorted(value for value, _ in ranked[:MAX_CATEGORIES]))
            empty = len(counts) == 0
        else:
            read = numbers(values)
            fine = np.isfinite(read)
            n_values = len(np.unique(read[fine])) + bool((~fine).any())
            known, empty = (), not fine.any()
        if empty:
            aside[name] = "no value at all"
        elif n_values == 1:
            aside[name] = "the same value throughout"
        else:
            kept.append((name, kind, known))
    return Columns(*(zip(*kept, strict=True) if kept else ((), (), ()))), aside


def kind_of(values: pd.Series) -> str:
    """ "number" or "category". Texts that all read as numbers are numbers; blanks are missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "number"
    given = values.dropna()
    if len(given) and given.map(lambda value: isinstance(value, Number | np.bool_)).all():
        return "number"
    given = texts(given).dropna()
    return "number" if len(given) and pd.to_numeric(given, errors="coerce").notna().all() else (
        "category"
    )  # fmt: skip


def numbers(values: pd.Series) -> np.ndarray:
    """A column as float64; what is not a finite number is NaN."""
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        values = pd.to_numeric(values, errors="coerce")
    read = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isfinite(read), read, np.nan)


def texts(values: pd.Series) -> pd.Series:
    """A column as texts without blanks at the ends; None where it is missing or blank."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        # Work on the few categories, not on the rows.
        known = texts(pd.Series(values.cat.categories, dtype=object))
        return values.map(dict(zip(values.cat.categories, known, strict=True))).astype(object)
    read = values.map(_text, na_action="ignore").astype(object)
    return read.where(read.notna(), None)


def first_value(values: pd.Series) -> object:
    """The first value that is there, for a message."""
    given = values.dropna()
    value = given.iloc[0] if len(given) else None
    return value.item() if isinstance(value, np.generic) else value


def _text(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 3.0 of a column with gaps and 3 of one without are one category
    return str(value).strip() or None
