"""shop.toml read into frozen values; what it does not know is refused, with the nearest name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path

from cdp_lib.checks import Refusal, above, at_least, one_of
from cdp_lib.tables.contract import CONTRACT
from cdp_lib.windows import instant

UNITS = ("s", "ms", "us")


@dataclass(frozen=True)
class Settings:
    """What an analyst may set for a whole shop.

    session_gap_minutes: idle minutes that end a visit, where the shop gives no session id.
    idle_hours: idle hours after which a cart counts as abandoned.
    free_shipping_threshold: goods value from which shipping is free, or None.
    global_holdout: share of customers, drawn at random, whom no audience may touch.
    """

    session_gap_minutes: float = 30
    idle_hours: float = 24
    free_shipping_threshold: float | None = None
    global_holdout: float = 0.0


@dataclass(frozen=True)
class ColumnSpec:
    """Where the values of one contract column come from.

    source: the shop's own column, None for a constant. unit: of a number that is an instant.
    format: strptime format of a text that is an instant. value: a constant for every row.
    codes: the shop's codes and their meaning; a code that is not listed is kept as it is.
    used: False where the shop's column of that name means something else.
    """

    source: str | None = None
    unit: str | None = None
    format: str | None = None
    value: object = None
    codes: Mapping[str, str] = field(default_factory=dict)
    used: bool = True


@dataclass(frozen=True)
class TableSpec:
    """Where one table lies and how it maps onto the contract.

    path: a Parquet or CSV file, a folder or a glob, relative to shop.toml; or table: its name in
    the engine. query: one SELECT over `source`, run before the mapping. key: the columns that
    tell repeats, None for the contract's, () for none. header: column names of a CSV without
    them. events: the shop's event names and the contract's.
    """

    name: str
    path: str | None = None
    table: str | None = None
    query: str | None = None
    key: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = None
    delimiter: str = ","
    columns: Mapping[str, ColumnSpec] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ShopFile:
    """A shop.toml, read and checked; no data has been touched yet."""

    path: Path
    name: str
    currency: str
    as_of: datetime | None
    url: str
    settings: Settings
    tables: Mapping[str, TableSpec]
    experiments: Mapping[str, Mapping[str, object]]


def find(path: str | Path) -> Path:
    """The shop file: as given, or under the working directory's nearest parent that has it."""
    wanted = Path(path)
    folders = [] if wanted.is_absolute() else Path.cwd().resolve().parents
    for place in (wanted, *(folder / wanted for folder in folders)):
        for file in (place, place / "shop.toml"):
            if file.is_file():
                return file.resolve()
    raise Refusal(
        "shop",
        str(path),
        "no such file here or in a parent folder",
        "make one with `cdp simulate --out data/demo`, or start from data/examples/",
    )


def read_shop_file(path: str | Path) -> ShopFile:
    """Read and check a shop.toml. Raises Refusal for a file, key or value that cannot be used."""
    found = find(path)
    try:
        content = tomllib.loads(found.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(str(found), str(error), "not valid TOML", "correct that line") from error
    _known(
        "shop.toml",
        content,
        ("name", "currency", "as_of", "engine", "settings", "tables", "experiments"),
    )
    engine = _section(content, "engine", ("url",))
    tables = _section(content, "tables", CONTRACT)
    if not tables:
        raise Refusal("tables", {}, "the shop has no table", f"add [tables.{next(iter(CONTRACT))}]")
    as_of = content.get("as_of")
    return ShopFile(
        path=found,
        name=_text("name", content.get("name", found.parent.name)),
        currency=_text("currency", content.get("currency", "")),
        as_of=None if as_of is None else instant(as_of),
        url=_text("engine.url", engine.get("url", "duckdb://")),
        settings=_settings(_section(content, "settings", [f.name for f in fields(Settings)])),
        tables={name: _table_spec(name, spec) for name, spec in tables.items()},
        experiments=_section(content, "experiments", None),
    )


def _known(place: str, given: Mapping[str, object], choices) -> None:
    for key in given:
        one_of(place, key, choices)


def _section(content: Mapping[str, object], name: str, choices) -> dict:
    section = content.get(name, {})
    if not isinstance(section, dict):
        raise Refusal(name, section, "not a section", f"write it as [{name}]")
    if choices is not None:
        _known(name, section, choices)
    return section


def _text(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refusal(place, value, "not a text", "put it in quotes")
    return value


def _settings(given: Mapping[str, object]) -> Settings:
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal(f"settings.{name}", value, "not a number", "write a plain number")
    settings = Settings(**given)
    above("settings.session_gap_minutes", settings.session_gap_minutes, 0)
    above("settings.idle_hours", settings.idle_hours, 0)
    if settings.free_shipping_threshold is not None:
        at_least("settings.free_shipping_threshold", settings.free_shipping_threshold, 0)
    if not 0 <= settings.global_holdout <= 0.5:
        fix = "write 0.05 to leave a twentieth alone"
        raise Refusal("settings.global_holdout", settings.global_holdout, "not in [0, 0.5]", fix)
    return settings


def _table_spec(name: str, given: object) -> TableSpec:
    place = f"tables.{name}"
    if not isinstance(given, dict):
        raise Refusal(place, given, "not a section", f"write it as [{place}]")
    _known(place, given, [f.name for f in fields(TableSpec) if f.name != "name"])
    if ("path" in given) == ("table" in given):
        raise Refusal(place, sorted(given), "needs exactly one of path and table", "name one")
    texts = {
        key: _text(f"{place}.{key}", given[key])
        for key in ("path", "table", "query", "delimiter")
        if key in given
    }
    lists = {key: _names(f"{place}.{key}", given[key]) for key in ("key", "header") if key in given}
    if "events" in given and name != "events":
        raise Refusal(place, "events", "only [tables.events] has event names", "remove it")
    columns = _mapping(f"{place}.columns", given.get("columns", {}))
    events = _mapping(f"{place}.events", given.get("events", {}))
    return TableSpec(
        name,
        **texts,
        **lists,
        columns={
            column: _column_spec(f"{place}.columns.{column}", spec)
            for column, spec in columns.items()
        },
        events={old: _text(f"{place}.events.{old}", new) for old, new in events.items()},
    )


def _mapping(place: str, given: object) -> dict:
    if not isinstance(given, dict):
        raise Refusal(place, given, "not a table of names", "write { ours = theirs }")
    return given


def _names(place: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise Refusal(place, given, "not a list of names", 'write ["a", "b"]')
    return tuple(given)


def _column_spec(place: str, given: object) -> ColumnSpec:
    if given is False:
        return ColumnSpec(used=False)
    if isinstance(given, str):
        return ColumnSpec(source=given)
    if not isinstance(given, dict):
        raise Refusal(
            place, given, "not a column", 'write "their_name", { from = "their_name" } or false'
        )
    _known(place, given, ("from", "unit", "format", "value", "codes"))
    if ("from" in given) == ("value" in given):
        raise Refusal(place, given, "needs exactly one of from and value", "name one")
    if "unit" in given:
        one_of(f"{place}.unit", given["unit"], UNITS)
    codes = _mapping(f"{place}.codes", given.get("codes", {}))
    return ColumnSpec(
        source=given.get("from"),
        unit=given.get("unit"),
        format=given.get("format"),
        value=given.get("value"),
        codes={str(old): _text(f"{place}.codes.{old}", new) for old, new in codes.items()},
    )
