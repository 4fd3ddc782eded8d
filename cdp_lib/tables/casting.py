"""Values of any type into the contract's types, on the engine; what cannot be read is flagged.

Each function returns the value and a boolean expression that is true where something was there
and could not be read, or None where that cannot happen. NaN, an empty text and null all mean
that nothing was there.
"""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import BooleanValue, Value

from cdp_lib.checks import Refusal
from cdp_lib.tables.micros import micros, moment

MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
# pandas keeps instants of 1677 to 2262; anything outside these years is not a time of a shop.
EARLIEST, LATEST = "1800-01-01", "2200-01-01"
_EARLIEST_US, _LATEST_US = -5_364_662_400_000_000, 7_258_118_400_000_000
_OFFSET = r":\d{2}(?:\.\d+)?\s*([+-]\d{2}:?\d{2})\s*$"
_JAVA = {
    "%Y": "yyyy", "%y": "yy", "%m": "MM", "%d": "dd", "%H": "HH", "%I": "hh", "%M": "mm",
    "%S": "ss", "%f": "SSSSSS", "%p": "a", "%b": "MMM", "%B": "MMMM", "%j": "DDD",
}  # fmt: skip


@ibis.udf.scalar.builtin(name="try_strptime")
def _duckdb_parse(text: str, form: str) -> dt.timestamp: ...


@ibis.udf.scalar.builtin(name="try_to_timestamp")
def _spark_parse(text: str, form: str) -> dt.timestamp: ...


def read_as(
    value: Value,
    dtype: str,
    engine: str,
    place: str,
    unit: str | None = None,
    form: str | None = None,
) -> tuple[Value, BooleanValue | None]:
    """A column read as a contract type: "string", "int64", "float64", "boolean", "timestamp".

    unit tells what a number that is an instant counts; form is the strptime format of a text.
    Raises Refusal for a type that can never be read so (a list as an id, a number without its
    unit as an instant).
    """
    reader = {
        "string": _text,
        "float64": _number,
        "int64": _whole,
        "boolean": _truth,
    }.get(dtype)
    if reader:
        return reader(value, place)
    return _instant(value, engine, place, unit, form)


def _wrong(value: Value, place: str, wanted: str, fix: str) -> Refusal:
    return Refusal(place, str(value.type()), f"cannot be read as {wanted}", fix)


def _small(value: Value) -> Value:
    """Null beyond 2^53, where a float no longer tells integers apart and `floor` overflows."""
    return ibis.ifelse(value.abs() < 2**53, value, ibis.null("float64"))


def _blank_is_null(value: Value) -> Value:
    # Not `strip`: on Spark it takes the letters v and f for white space.
    return value.re_replace(r"^\s+|\s+$", "").nullif("")


def _text(value: Value, place: str) -> tuple[Value, BooleanValue | None]:
    kind = value.type()
    if kind.is_string():
        return value.nullif(""), None
    if kind.is_nested() or kind.is_binary():
        raise _wrong(value, place, "a text", "map a plain column, or unnest it in a query")
    if kind.is_floating():
        # An id that pandas wrote beside missing ones is 17850.0, and means 17850.
        small = _small(value)
        text = ibis.ifelse(
            small == small.floor(), small.floor().cast("int64").cast("string"), value.cast("string")
        )
        return ibis.ifelse(value.isnan(), ibis.null("string"), text), None
    return value.cast("string"), None


def _number(value: Value, place: str) -> tuple[Value, BooleanValue | None]:
    kind = value.type()
    if kind.is_integer() or kind.is_decimal():
        return value.cast("float64"), None
    if kind.is_boolean():
        return value.cast("int64").cast("float64"), None
    missing = value.isnull()
    if kind.is_string():
        blank = _blank_is_null(value)
        missing = blank.isnull() | blank.lower().isin(["nan", "null", "none", "na"])
        value = blank.try_cast("float64")
    elif not kind.is_floating():
        raise _wrong(value, place, "a number", "map another column, or compute one in a query")
    else:
        missing = missing | value.isnan()
    # NaN is greater than any number, on DuckDB as on Spark.
    finite = (value > -1e300) & (value < 1e300)
    read = ibis.ifelse(finite, value.cast("float64"), ibis.null("float64"))
    return read, read.isnull() & ~missing


def _whole(value: Value, place: str) -> tuple[Value, BooleanValue | None]:
    if value.type().is_integer():
        return value.cast("int64"), None
    number, failed = _number(value, place)
    small = _small(number)
    read = ibis.ifelse(small == small.floor(), small, ibis.null("float64")).cast("int64")
    broken = number.notnull() & read.isnull()
    return read, broken if failed is None else broken | failed


def _truth(value: Value, place: str) -> tuple[Value, BooleanValue | None]:
    kind = value.type()
    if kind.is_boolean():
        return value, None
    if kind.is_string():
        word = _blank_is_null(value).lower()
        read = word.cases(
            *[(yes, True) for yes in ("true", "t", "yes", "y", "1", "1.0")],
            *[(no, False) for no in ("false", "f", "no", "n", "0", "0.0")],
            else_=ibis.null("boolean"),
        )
        return read, word.notnull() & read.isnull()
    number, failed = _number(value, place)
    read = number.cases((1.0, True), (0.0, False), else_=ibis.null("boolean"))
    broken = number.notnull() & read.isnull()
    return read, broken if failed is None else broken | failed


def _instant(
    value: Value, engine: str, place: str, unit: str | None, form: str | None
) -> tuple[Value, BooleanValue | None]:
    kind = value.type()
    missing = value.isnull()
    if kind.is_numeric() and form is not None:
        value, _ = _text(value, place)
        kind = value.type()
    if kind.is_timestamp() or kind.is_date():
        read = value.cast("timestamp")
    elif kind.is_numeric():
        if unit is None:
            raise _wrong(
                value,
                place,
                "an instant",
                'give its unit: { from = "…", unit = "s" | "ms" | "us" }',
            )
        read = _from_number(value, unit)
        missing = missing | value.isnan() if kind.is_floating() else missing
    elif kind.is_string():
        blank = _blank_is_null(value)
        missing = blank.isnull()
        if unit is not None:
            read = _from_number(blank.try_cast("float64"), unit)
        else:
            read = _from_text(blank, engine, place, form)
    else:
        raise _wrong(value, place, "an instant", "map a timestamp, a date, a text or a number")
    sane = (read >= ibis.timestamp(EARLIEST)) & (read < ibis.timestamp(LATEST))
    read = ibis.ifelse(sane, read, ibis.null("timestamp"))
    return read, read.isnull() & ~missing


def _from_number(value: Value, unit: str) -> Value:
    scale = MICROSECONDS[unit]
    inside = (value >= _EARLIEST_US // scale) & (value < _LATEST_US // scale)
    us = ibis.ifelse(inside, value, ibis.null(value.type())) * scale
    us = us.round().cast("int64") if us.type().is_floating() else us.cast("int64")
    return moment(us).cast("timestamp")


def _from_text(value: Value, engine: str, place: str, form: str | None) -> Value:
    if form is not None:
        if engine != "pyspark":
            return _duckdb_parse(value, form)
        return _spark_parse(value, _java_format(form, place)).cast("timestamp")
    utc = dt.Timestamp(timezone="UTC")
    read = value.try_cast(utc).cast("timestamp")
    if engine != "pyspark":
        return read
    # Spark drops the offset of a naive timestamp, DuckDB applies it; apply it on both.
    offset = value.re_extract(_OFFSET, 1)
    minutes = offset.substr(1, 2).try_cast("int64") * 60 + offset.right(2).try_cast("int64")
    east = ibis.ifelse(offset.startswith("-"), -minutes, minutes).fill_null(0)
    return moment(micros(read) - east * 60_000_000).cast("timestamp")


def _java_format(form: str, place: str) -> str:
    out, rest = "", form
    while rest:
        if rest[0] == "%":
            if rest[:2] not in _JAVA:
                raise Refusal(place, form, f"{rest[:2]} is not supported on Spark",
                              f"use {' '.join(_JAVA)}")  # fmt: skip
            out, rest = out + _JAVA[rest[:2]], rest[2:]
        else:
            out, rest = out + (f"'{rest[0]}'" if rest[0].isalpha() else rest[0]), rest[1:]
    return out
