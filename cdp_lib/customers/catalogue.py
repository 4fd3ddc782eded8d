"""The catalogue of segments: named predicates over the portrait, in a TOML file.

A table in the file is a segment. `load()` reads the shipped one; an analyst's own
may stand alone, or say `base = "shipped"` at its head and add to it.

    [big_spenders_unreached]
    title = "Spends much, gets no push"
    where = "revenue_90d > 200 and not push_opt_in"
    why = "They are worth a message and cannot get one."
    action = "Ask for the permission in the app"
    channel = "in_app"
    group = "permissions"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ibis.expr.types import BooleanValue, Table

from cdp_lib.checks import Refusal, one_of
from cdp_lib.customers.allowed import NUMBER, TEXT, YES_NO
from cdp_lib.customers.portrait import ADDED
from cdp_lib.customers.possible import possible_features
from cdp_lib.customers.predicates import Predicate, bind, kind_of, parse

SHIPPED = Path(__file__).with_name("segments.toml")
CHANNELS = (
    "email", "push", "sms", "whatsapp", "in_app", "on_site", "direct_mail", "ads",
    "customer_care", "none",
)  # fmt: skip
GROUPS = (
    "life cycle", "rfm", "behaviour", "frequency", "spend and margin", "devices", "demographics",
    "place", "permissions", "campaigns", "price and discount", "predicted", "quiz", "own",
)  # fmt: skip
FIELDS = ("title", "where", "why", "action", "channel", "group")
TABLES = ("customers", "events", "orders", "order_lines", "messages")
KINDS = {"category": TEXT, "yes/no": YES_NO}


@dataclass(frozen=True)
class Segment:
    """One entry of a catalogue.

    name: its key. title: for people. where: the predicate. why: the reason. action: what to do.
    channel: one of `CHANNELS`. group: one of `GROUPS`. predicate: `where`, parsed.
    """

    name: str
    title: str
    where: str
    why: str
    action: str
    channel: str
    group: str
    predicate: Predicate = field(repr=False, compare=False)


@dataclass(frozen=True)
class Catalogue:
    """Segments, and the columns that may be joined to the portrait for them.

    columns: name -> (unit as in a Feature, where it comes from).
    """

    segments: tuple[Segment, ...]
    columns: Mapping[str, tuple[str, str]]

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, name: str) -> Segment:
        one_of("segment", name, [segment.name for segment in self.segments])
        return next(segment for segment in self.segments if segment.name == name)

    @property
    def titles(self) -> dict[str, str]:
        """The title of each segment, by name."""
        return {segment.name: segment.title for segment in self.segments}

    def only(self, names: Collection[str]) -> Catalogue:
        """The segments of these names, in their order."""
        return Catalogue(tuple(self[name] for name in names), self.columns)


@dataclass(frozen=True)
class Bound:
    """A segment set against a table: its condition, or what it needs that is not there."""

    segment: Segment
    condition: Callable[[Table], BooleanValue] | None
    needs: str


def load(path: str | Path = "") -> Catalogue:
    """Read a catalogue, the shipped one by default.

    Raises Refusal, with the line in the file, for anything but well-formed entries with readable
    predicates. Columns are checked when the catalogue meets a table.
    """
    file = Path(path) if str(path) else SHIPPED
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError as error:
        fix = 'name a TOML file, or "" for the shipped catalogue'
        raise Refusal("segments", str(path), "no such file", fix) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Refusal(str(file.name), str(error), "not valid TOML", "correct that line") from error
    base = content.pop("base", "")
    one_of(f"{file.name}, base", base, ("", "shipped"))
    columns = _columns(file.name, content.pop("columns", {}))
    own = [_segment(file.name, text, name, entry) for name, entry in content.items()]
    if base:
        shipped = load()
        taken = {segment.name for segment in own}
        own = [s for s in shipped.segments if s.name not in taken] + own
        columns = {**shipped.columns, **columns}
    if not own:
        raise Refusal("segments", str(file), "has no segment", "write an entry, [name]")
    return Catalogue(tuple(own), columns)


def bound(catalogue: Catalogue, table: Table) -> list[Bound]:
    """The segments of a catalogue set against a table, usually a portrait.

    A segment that needs a column which a shop may lack is not an error: it says what it needs.
    Raises Refusal for a column that no shop has, naming the segment, the word and the nearest.
    """
    kinds, missing = known_columns(catalogue, table)
    found = []
    for segment in catalogue.segments:
        condition = bind(segment.predicate, kinds)
        lacking = [name for name in segment.predicate.columns if name in missing]
        needs = ", ".join(dict.fromkeys(missing[name] for name in lacking))
        found.append(Bound(segment, None if lacking else condition, needs))
    return found


def known_columns(catalogue: Catalogue, table: Table) -> tuple[dict[str, str], dict[str, str]]:
    """Every column that a predicate may name, with its kind; and of those not in the table, why."""
    possible = {name: (one.unit, one.source) for name, one in possible_features().items()}
    possible |= {name: (unit, source) for name, (unit, _words, source) in ADDED.items()}
    possible |= catalogue.columns
    kinds = {name: KINDS.get(unit, NUMBER) for name, (unit, _) in possible.items()}
    kinds |= {name: kind_of(kind) for name, kind in table.schema().items()}
    del kinds["customer_id"]
    missing = {
        name: source if source not in TABLES else f"{source} ({name})"
        for name, (_, source) in possible.items()
        if name not in table.columns
    }
    return kinds, missing


def ad_hoc(where: str) -> Segment:
    """A predicate as a segment without a name of its own."""
    return Segment("this", "this", where, "", "", "none", "own", parse(where, "predicate"))


def _segment(file: str, text: str, name: str, entry: object) -> Segment:
    line = next((i for i, row in enumerate(text.splitlines(), 1) if row.strip() == f"[{name}]"), 0)
    place = f"{file}, line {line}, [{name}]" if line else f"{file}, [{name}]"
    if not isinstance(entry, dict):
        raise Refusal(place, entry, "not a segment", f"write an entry that begins with [{name}]")
    for key, value in entry.items():
        one_of(place, key, FIELDS)
        if not isinstance(value, str):
            raise Refusal(f"{place}.{key}", value, "not a text", "put it in quotes")
    for key in ("title", "where", "why", "action"):
        if not entry.get(key, "").strip():
            raise Refusal(f"{place}.{key}", entry.get(key), "is missing", f"write {key} = …")
    one_of(f"{place}.channel", entry.get("channel", "none"), CHANNELS)
    one_of(f"{place}.group", entry.get("group", "own"), GROUPS)
    return Segment(
        name=name,
        predicate=parse(entry["where"], f"{place}.where"),
        **{"channel": "none", "group": "own"} | {key: entry[key] for key in entry},
    )


def _columns(file: str, given: object) -> dict[str, tuple[str, str]]:
    place = f"{file}, [columns]"
    if not isinstance(given, dict):
        raise Refusal(place, given, "not a section", "write [columns]")
    found = {}
    for name, entry in given.items():
        if not isinstance(entry, dict) or set(entry) != {"unit", "from"}:
            fix = f'write {name} = {{ unit = "share", from = "a churn score" }}'
            raise Refusal(f"{place}.{name}", entry, "needs unit and from", fix)
        one_of(f"{place}.{name}.unit", entry["unit"], ("number", "share", "category", "yes/no"))
        found[name] = (entry["unit"], str(entry["from"]))
    return found
