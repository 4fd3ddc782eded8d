"""The feature dictionary: what each column of a profile means, and the rule that computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import pandas as pd
from ibis import _
from ibis.common.deferred import Deferred
from ibis.expr.types import Table, Value

UNITS = ("count", "days", "money", "share", "category", "yes/no", "hours", "number")
GROUPS = (
    *("recency", "frequency", "money", "products", "carts", "funnel", "device", "touchpoint"),
    *("message", "permissions", "service", "returns", "attributes", "tenure"),
)
WINDOWS = (7, 30, 90, 365)  # days
_SUMMED = {"ever", *(f"{days}d" for days in WINDOWS)}
_TYPES = {"count": "int64", "category": "string", "yes/no": "boolean"}


@dataclass(frozen=True)
class Feature:
    """One column of a profile.

    name: of the column. meaning: in plain words. unit: one of `UNITS`. source: the table that it
    comes from. group: one of `GROUPS`. kind: "number" or "category". dated: False where the shop
    cannot tell when the value became known, so an earlier profile has the value of today.
    """

    name: str
    meaning: str
    unit: str
    source: str
    group: str
    kind: str = "number"
    dated: bool = True

    @property
    def dtype(self) -> str:
        """The Ibis type of the column: int64, float64, boolean or string."""
        return _TYPES.get(self.unit, "float64")


@dataclass(frozen=True)
class Formula:
    """A feature, and how it is computed from the sums of its block.

    value: over the block's table, which has a row per customer with anything to sum. none: the
    value of a customer who has no row there, null where it is undefined.
    """

    feature: Feature
    value: Deferred
    none: int | float | bool | None = None


def feature_table(features: Iterable[Feature]) -> pd.DataFrame:
    """The dictionary as a table, a row per feature: the fields of Feature."""
    columns = [field.name for field in fields(Feature)]
    rows = [[getattr(feature, name) for name in columns] for feature in features]
    return pd.DataFrame(rows, columns=columns)


def written(table: Table, formulas: Iterable[Formula]) -> dict[str, Value]:
    """The formulas' columns over a block's table, as arguments of `select`."""
    return {formula.feature.name: formula.value.resolve(table) for formula in formulas}


def beside(first: Table, *others: Table, key: str = "owner_id") -> Table:
    """Tables with a row per key next to each other: every column once, every row of the first."""
    joined = first
    for i, other in enumerate(others):
        joined = joined.left_join(other, key, rname=f"{{name}}__{i}")
    names = [name for table in (first, *others) for name in table.columns if name != key]
    return joined.select(key, *names)


def share(part: Value, whole: Value) -> Value:
    """A ratio as a float, null where the whole is 0."""
    return part.cast("float64") / whole.cast("float64").nullif(0)


def about(group: str, source: str, dated: bool = True) -> Callable[..., Formula]:
    """Writes the formulas of one group and source: `write(name, meaning, unit, value=None)`.

    Without a value the formula reads the block's column of its own name. A count of nothing is 0
    and a sum of money over nothing too, where its name ends in a window or in "_ever".
    """

    def write(name: str, meaning: str, unit: str, value: Deferred | None = None) -> Formula:
        kind = "category" if unit == "category" else "number"
        feature = Feature(name, meaning, unit, source, group, kind, dated)
        summed = unit == "money" and name.rsplit("_", 1)[-1] in _SUMMED
        none = 0 if unit == "count" or summed else None
        return Formula(feature, _[name] if value is None else value, none)

    return write
