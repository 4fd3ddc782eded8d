"""A shop's own table into contract form: its columns, units, codes and event names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

import ibis
from ibis.expr.types import Table as IbisTable
from ibis.expr.types import Value

from cdp_lib.checks import Refusal
from cdp_lib.tables.casting import read_as
from cdp_lib.tables.config import ColumnSpec, TableSpec
from cdp_lib.tables.contract import Table

UNREAD = "unread__"


@dataclass(frozen=True)
class Mapped:
    """A table in contract form before any row is set aside.

    table: every contract column in contract order, typed nulls where the shop has none; then the
    extra columns; then a boolean `unread__<column>` for each column whose values may fail to be
    read. given: contract columns that the shop has. extras: its further columns. unread: the
    columns that have a flag. key: the columns that tell repeats, empty where nothing does.
    """

    contract: Table
    table: IbisTable
    given: frozenset[str]
    extras: tuple[str, ...]
    unread: tuple[str, ...]
    key: tuple[str, ...]


def to_contract(raw: IbisTable, contract: Table, spec: TableSpec, engine: str) -> Mapped:
    """Map a raw table onto its contract, as an unexecuted expression.

    Raises Refusal for a column that the mapping names and the table lacks, for a required column
    that is nowhere, and for a type that can never be read as the contract's.
    """
    place = f"tables.{contract.name}"
    sources = _sources(raw, contract, spec, place)
    chosen, unread = {}, []
    for column in contract.columns:
        source = sources.get(column.name)
        if source is None:
            chosen[column.name] = ibis.null(column.dtype)
            continue
        value, failed = read_as(
            _coded(raw, source, f"{place}.{column.name}"),
            column.dtype,
            engine,
            f"{place}.{column.name}",
            source.unit,
            source.format,
        )
        chosen[column.name] = value
        if failed is not None:
            chosen[UNREAD + column.name] = failed.fill_null(False)
            unread.append(column.name)
    extras = _extras(raw, contract, spec, sources)
    flags = {UNREAD + name: chosen.pop(UNREAD + name) for name in unread}
    table = raw.select(**chosen, **extras, **flags)
    given = frozenset(sources)
    return Mapped(
        contract, table, given, tuple(extras), tuple(unread), _key(contract, spec, given, extras)
    )


def _sources(raw: IbisTable, contract: Table, spec: TableSpec, place: str) -> dict[str, ColumnSpec]:
    names = [column.name for column in contract.columns]
    for name in spec.columns:
        near = get_close_matches(name, names, n=1, cutoff=0.8)
        if name not in names and near:
            raise Refusal(
                f"{place}.columns", name, "not a column of the contract",
                f"did you mean {near[0]!r}? the contract has {', '.join(names)}",
            )  # fmt: skip
    sources = {}
    for column in contract.columns:
        source = spec.columns.get(column.name)
        if source is None and column.name in raw.columns:
            source = ColumnSpec(source=column.name)
        if source is not None and source.used:
            if source.source is not None and source.source not in raw.columns:
                raise _no_column(raw, f"{place}.columns.{column.name}", source.source)
            sources[column.name] = source
        elif column.required:
            raise _no_column(raw, place, column.name)
    if "event" in sources and spec.events:
        named = sources["event"]
        sources["event"] = replace(named, codes={**named.codes, **spec.events})
    return sources


def _no_column(raw: IbisTable, place: str, name: str) -> Refusal:
    near = get_close_matches(name, raw.columns, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return Refusal(
        place, name, "no such column",
        f"{hint}map one of {', '.join(raw.columns)} in {place.split('.columns')[0]}.columns",
    )  # fmt: skip


def _coded(raw: IbisTable, source: ColumnSpec, place: str) -> Value:
    if source.source is None:
        return ibis.literal(source.value)
    value = raw[source.source]
    if not source.codes:
        return value
    text, _ = read_as(value, "string", "any", place)
    return text.cases(*source.codes.items(), else_=text)


def _extras(
    raw: IbisTable, contract: Table, spec: TableSpec, sources: Mapping[str, ColumnSpec]
) -> dict[str, Value]:
    taken = {column.name.lower() for column in contract.columns}
    extras, consumed = {}, {source.source for source in sources.values()}
    for name, column in spec.columns.items():
        if name not in taken and column.used:
            if column.source is not None and column.source not in raw.columns:
                raise _no_column(raw, f"tables.{contract.name}.columns.{name}", column.source)
            extras[name] = _coded(raw, column, name)
            consumed.add(column.source)
            taken.add(name.lower())
    for name in raw.columns:
        if name not in consumed:
            # Engines ignore case, so an extra column may not differ from another by case alone.
            free = name
            while free.lower() in taken:
                free += "_raw"
            extras[free] = raw[name]
            taken.add(free.lower())
    return extras


def _key(
    contract: Table, spec: TableSpec, given: frozenset[str], extras: Mapping[str, Value]
) -> tuple[str, ...]:
    if spec.key is None:
        versions = (contract.known_by,) if contract.versioned and contract.known_by in given else ()
        return (*contract.key, *versions) if given.issuperset(contract.key) else ()
    for name in spec.key:
        if name not in given and name not in extras:
            raise Refusal(
                f"tables.{contract.name}.key", name, "no such column",
                f"name one of {', '.join([*sorted(given), *extras])}",
            )  # fmt: skip
    return spec.key
