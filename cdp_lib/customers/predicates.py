"""A predicate in readable SQL over the columns of a table, read without ever being run as SQL.

`sqlglot` parses the text; the tree is then translated, node by node, to an Ibis condition, so a
predicate means the same on every engine and nothing that is not listed here can get through.

Allowed: columns, numbers, texts, true and false; and, or, not; = <> < <= > >= between, in, like,
ilike, is null, is true; + - * / %; and the functions of `allowed.FUNCTIONS`. A predicate that is
null for a customer does not hold for them. Dividing by 0 gives null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import ibis
import sqlglot
from ibis.expr.datatypes import DataType
from ibis.expr.types import BooleanValue, Table, Value
from sqlglot import exp

from cdp_lib.checks import Refusal
from cdp_lib.customers.allowed import (
    ARITHMETIC,
    COMPARE,
    FUNCTIONS,
    HARMLESS,
    NAMES,
    NUMBER,
    OTHER,
    TEXT,
    YES_NO,
)

LONGEST = 4_000


@dataclass(frozen=True)
class Predicate:
    """A predicate that has been parsed but not yet set against columns.

    text: as written. tree: what sqlglot made of it. place: where it stands, for messages.
    """

    text: str
    tree: exp.Expression
    place: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, in alphabetical order."""
        return tuple(sorted({column.name for column in self.tree.find_all(exp.Column)}))


@dataclass(frozen=True)
class _Part:
    """A part of a predicate: its kind, how to build it on a table, its value if it is plain."""

    kind: str
    build: Callable[[Table], Value]
    plain: object = None


def parse(text: object, place: str = "where") -> Predicate:
    """Parse a predicate. Raises Refusal for what is not one expression in SQL."""
    if not isinstance(text, str) or not text.strip():
        fix = 'write a condition, such as "orders_90d >= 2"'
        raise Refusal(place, text, "not a predicate", fix)
    if len(text) > LONGEST:
        raise Refusal(place, text, f"longer than {LONGEST:,} characters", "split it in two")
    try:
        tokens = sqlglot.tokenize(text, read="duckdb")
        if any(token.token_type == sqlglot.TokenType.SEMICOLON for token in tokens):
            raise Refusal(place, text, "has a semicolon", "write one condition without ;")
        tree = sqlglot.parse_one(text, dialect="duckdb", into=exp.Condition)
    except RecursionError as error:
        raise Refusal(place, text, "too deep", "use fewer brackets") from error
    except sqlglot.errors.SqlglotError as error:
        fix = 'write a condition, such as "orders_90d >= 2 and not push_opt_in"'
        raise Refusal(place, text, f"cannot be read as one condition{_near(error)}", fix) from error
    return Predicate(text, tree, place)


def kind_of(dtype: DataType) -> str:
    """The kind of a column: "number", "text", "yes/no", or "other"."""
    if dtype.is_boolean():
        return YES_NO
    if dtype.is_string():
        return TEXT
    return NUMBER if dtype.is_numeric() else OTHER


def bind(predicate: Predicate, kinds: Mapping[str, str]) -> Callable[[Table], BooleanValue]:
    """The condition of a predicate, as a function of a table; true, or false, and never null.

    kinds: the columns that there may be, and the kind of each. Raises Refusal for anything that
    is not allowed, a column that is not there (with the nearest), and kinds that do not fit.
    """
    try:
        part = _Reader(predicate, kinds).part(predicate.tree)
    except RecursionError as error:
        raise Refusal(predicate.place, predicate.text, "too deep", "use fewer brackets") from error
    if part.kind != YES_NO:
        fix = "compare it with something, such as with > 0"
        raise Refusal(predicate.place, predicate.text, f"is a {part.kind}, not a condition", fix)
    return lambda table: part.build(table).coalesce(ibis.literal(False))


class _Reader:
    """Walks the tree of one predicate and refuses what it does not know."""

    def __init__(self, predicate: Predicate, kinds: Mapping[str, str]) -> None:
        self.predicate, self.kinds = predicate, kinds

    def part(self, node: exp.Expression) -> _Part:
        kind = type(node)
        if kind is exp.Paren:
            return self.part(self._only(node, "this")[0])
        if kind in (exp.And, exp.Or):
            a, b = (self._of(side, YES_NO) for side in self._only(node, "this", "expression"))
            both = kind is exp.And
            return _Part(YES_NO, lambda t: (a(t) & b(t)) if both else (a(t) | b(t)))
        if kind is exp.Not:
            inner = self._of(self._only(node, "this")[0], YES_NO)
            return _Part(YES_NO, lambda t: ~inner(t))
        if kind in COMPARE:
            a, b = self._alike(node, self._only(node, "this", "expression"))
            return _Part(YES_NO, lambda t: COMPARE[kind](a.build(t), b.build(t)))
        if kind in ARITHMETIC or kind is exp.Neg:
            return self._arithmetic(node)
        if kind in FUNCTIONS:
            return self._function(node)
        found = {
            exp.Column: self._column, exp.Literal: self._literal, exp.Boolean: self._boolean,
            exp.Between: self._between, exp.In: self._in, exp.Is: self._is,
            exp.Like: self._like, exp.ILike: self._like,
        }.get(kind)  # fmt: skip
        if found is None:
            raise self._refused(node)
        return found(node)

    def _column(self, node: exp.Column) -> _Part:
        (name,) = self._only(node, "this")
        if not isinstance(name, exp.Identifier):
            raise self._refused(node)
        name = name.name
        if name not in self.kinds:
            near = get_close_matches(name, self.kinds, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise self._wrong(
                f"there is no column {name!r}", f"{hint}profile.feature_table lists them all"
            )
        if self.kinds[name] == OTHER:
            raise self._wrong(f"{name!r} is no number, text or yes/no", "use another column")
        return _Part(self.kinds[name], lambda t: t[name])

    def _literal(self, node: exp.Literal) -> _Part:
        if node.is_string:
            return _Part(TEXT, lambda t: ibis.literal(node.this), node.this)
        number = float(node.this)
        if not math.isfinite(number):
            raise self._wrong(f"{node.this} is too large a number", "write a smaller one")
        exact = int(number) if number == int(number) and abs(number) < 2**53 else number
        return _Part(NUMBER, lambda t: ibis.literal(exact), exact)

    def _boolean(self, node: exp.Boolean) -> _Part:
        return _Part(YES_NO, lambda t: ibis.literal(bool(node.this)), bool(node.this))

    def _between(self, node: exp.Between) -> _Part:
        a, low, high = self._alike(node, self._only(node, "this", "low", "high"))
        return _Part(YES_NO, lambda t: a.build(t).between(low.build(t), high.build(t)))

    def _in(self, node: exp.In) -> _Part:
        self._only(node, "this", "expressions")
        listed = node.args.get("expressions") or []
        a, *values = self._alike(node, [node.this, *listed])
        plain = [value.plain for value in values]
        if not plain or any(value is None for value in plain):
            raise self._wrong("in (…) needs a list of values", "write in ('a', 'b')")
        return _Part(YES_NO, lambda t: a.build(t).isin(plain))

    def _is(self, node: exp.Is) -> _Part:
        left, right = self._only(node, "this", "expression")
        if isinstance(right, exp.Null):
            a = self.part(left)
            return _Part(YES_NO, lambda t: a.build(t).isnull())
        if not isinstance(right, exp.Boolean):
            raise self._wrong(f"is {right.sql()} is not allowed", "use is null, is true or =")
        b, wanted = self._of(left, YES_NO), bool(right.this)
        return _Part(YES_NO, lambda t: (b(t) == wanted).coalesce(ibis.literal(False)))

    def _like(self, node: exp.Like) -> _Part:
        a, pattern = (self.part(side) for side in self._only(node, "this", "expression"))
        if a.kind != TEXT or not isinstance(pattern.plain, str) or "\\" in pattern.plain:
            fix = "write column like 'beginning%', without a backslash"
            raise self._wrong(f"{_word(node)} needs a text column and a pattern", fix)
        loose = isinstance(node, exp.ILike)
        match = lambda v: v.ilike(pattern.plain) if loose else v.like(pattern.plain)  # noqa: E731
        return _Part(YES_NO, lambda t: match(a.build(t)))

    def _arithmetic(self, node: exp.Expression) -> _Part:
        # As floats, which cannot overflow on any engine.
        if isinstance(node, exp.Neg):
            a = self._of(self._only(node, "this")[0], NUMBER)
            inner = node.this
            plain = -float(inner.this) if isinstance(inner, exp.Literal) else None
            return _Part(NUMBER, lambda t: -a(t).cast("float64"), plain)
        sides = self._only(node, "this", "expression")
        a, b = (self._of(side, NUMBER) for side in sides)
        work = ARITHMETIC[type(node)]
        return _Part(NUMBER, lambda t: work(a(t).cast("float64"), b(t).cast("float64")))

    def _function(self, node: exp.Expression) -> _Part:
        takes, gives, work = FUNCTIONS[type(node)]
        given = self._only(node, "this", "expression", "expressions", "decimals", absent=True)
        if isinstance(node, exp.Round):
            return self._round(given)
        if takes == "any":
            parts = self._alike(node, given)
        else:
            parts = [self.part(one) for one in given]
            if any(part.kind != takes for part in parts):
                raise self._wrong(f"{_word(node)} takes a {takes}", f"give it a {takes}")
        kind = parts[0].kind if gives == "same" else gives
        return _Part(kind, lambda t: work(*[part.build(t) for part in parts]))

    def _round(self, given: list[exp.Expression]) -> _Part:
        a = self._of(given[0], NUMBER)
        digits = self.part(given[1]).plain if len(given) > 1 else 0
        if not isinstance(digits, int) or isinstance(digits, bool) or not 0 <= digits <= 9:
            raise self._wrong("round takes a number and 0 to 9 digits", "write round(x, 2)")
        return _Part(NUMBER, lambda t: a(t).cast("float64").round(digits))

    def _of(self, node: exp.Expression, kind: str) -> Callable[[Table], Value]:
        part = self.part(node)
        if part.kind != kind:
            words = f"{node.sql('duckdb')} is a {part.kind}, where a {kind} is needed"
            raise self._wrong(words, "compare it with a value of its kind")
        return part.build

    def _alike(self, node: exp.Expression, sides: list[exp.Expression]) -> list[_Part]:
        if any(isinstance(side, exp.Null) for side in sides):
            raise self._wrong("nothing equals null", "write is null or is not null")
        parts = [self.part(side) for side in sides]
        for side, part in zip(sides, parts, strict=True):
            if part.kind != parts[0].kind:
                raise self._wrong(
                    f"{sides[0].sql('duckdb')} is a {parts[0].kind} and {side.sql('duckdb')} a "
                    f"{part.kind}",
                    "compare a column with a value of its own kind",
                )
        return parts

    def _only(self, node: exp.Expression, *names: str, absent: bool = False) -> list:
        """The node's arguments of these names; refuses a node that has any other."""
        given = {name: value for name, value in node.args.items() if value}
        if set(given) - {*names} - HARMLESS:
            raise self._refused(node)
        found = [given[name] for name in names if name in given]
        if len(found) < len(names) and not absent and not isinstance(node, exp.In):
            raise self._refused(node)
        return [x for one in found for x in (one if isinstance(one, list) else [one])]

    def _refused(self, node: exp.Expression) -> Refusal:
        fix = f"use columns, values, comparisons, and, or, not, arithmetic and {NAMES}"
        return self._wrong(f"{_word(node)} is not allowed", fix)

    def _wrong(self, problem: str, fix: str) -> Refusal:
        return Refusal(self.predicate.place, self.predicate.text, problem, fix)


def _word(node: exp.Expression) -> str:
    """What a person wrote for a node, in few words."""
    if isinstance(node, exp.Select | exp.Subquery | exp.Exists):
        return "a sub-query"
    if isinstance(node, exp.Star):
        return "a star"
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name}"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name().lower()}"
    return repr(node.sql("duckdb")[:60])


def _near(error: Exception) -> str:
    found = getattr(error, "errors", None)
    word = found[0].get("highlight") if found else None
    return f", near {word!r}" if word else ""
