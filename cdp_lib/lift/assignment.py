"""Which arm a unit belongs to: a pure function of (salt, unit id), the same on every engine.

SHA-256 of "<salt>:<unit id>" is a point on a line: its first 13 hexadecimal digits, read as a
number below 16^13. Each arm owns a half-open range of that line, in the order given and as long
as its share. So an assignment needs no memory: whoever knows the salt and the shares can tell it
again. An id is used letter by letter; "C1" and "c1" are two units.

A layer is a draw too: its arms are experiments that must not share a unit. The global holdout is
a draw with one arm that no campaign may touch; it begins the line, so a larger one holds the
smaller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction

import ibis
import pandas as pd
from ibis.expr.types import StringValue, Table

from cdp_lib.checks import Refusal, one_of

HOLDOUT, TREATED = "holdout", "treated"
GLOBAL_HOLDOUT, REACHABLE = "global_holdout", "reachable"
_DIGITS = 13
_POINTS = 16**_DIGITS
_START_DIGITS = 8


def arm_of(salt: str, unit_id: str, shares: Mapping[str, float]) -> str:
    """The arm of one unit. shares: arm to share, adding up to 1; see `check_shares`.

    >>> arm_of("spring", "c1", {"treated": 0.9, "holdout": 0.1})
    'treated'
    """
    point = _digest(salt, unit_id)[:_DIGITS]
    return next(arm for arm, end in _ends(shares) if end is None or point < end)


def arms_of(salt: str, unit_ids: Iterable[str], shares: Mapping[str, float]) -> list[str]:
    """The arm of each unit, in the order given; like `arm_of`."""
    ends = _ends(shares)
    points = (_digest(salt, unit)[:_DIGITS] for unit in unit_ids)
    return [next(arm for arm, end in ends if end is None or p < end) for p in points]


def drawn(table: Table, unit: str, salt: str, shares: Mapping[str, float]) -> Table:
    """The table with a further column `arm`, drawn by the engine; like `arm_of`.

    unit: the column of ids, texts. A row without an id has a null arm.
    """
    _check_unit(table, unit)
    return table.mutate(arm=_placed(_hex(table[unit], salt), _ends(shares)))


def stratified(
    units: Mapping[str, Hashable], salt: str, shares: Mapping[str, float]
) -> dict[str, str]:
    """The arm of each unit, with every arm's quota kept within each stratum.

    units: unit id to stratum. Within a stratum of n units, those are ordered by their hash; the
    r-th (from 0) stands at (r + start) / n of the line, where start in [0, 1) comes from the hash
    of the stratum. So an arm has its share of each stratum to less than one unit, and each
    unit its chance to the share (systematic sampling with a random start: Cochran 1977, Sampling
    Techniques, chapter 8). It depends on who else is in the stratum: to tell it again, all units
    must be known.
    """
    ends = _fractions(shares)
    members: dict[Hashable, list[tuple[str, str]]] = {}
    for unit, stratum in units.items():
        members.setdefault(stratum, []).append((_digest(salt, unit), unit))
    arms = {}
    for stratum, part in members.items():
        start = int(_digest(salt, _stratum(stratum))[:_START_DIGITS], 16) / 16**_START_DIGITS
        for rank, (_, unit) in enumerate(sorted(part)):
            place = (rank + start) / len(part)
            arms[unit] = next(arm for arm, end in ends if end == 1 or place < float(end))
    return arms


def drawn_in_strata(
    table: Table, unit: str, stratum: str, salt: str, shares: Mapping[str, float]
) -> Table:
    """The table with a further column `arm`, like `stratified`, drawn by the engine.

    unit: the column of ids, a row each. stratum: the column of strata, texts; null is a stratum
    of its own.
    """
    _check_unit(table, unit)
    named = ibis.ifelse(table[stratum].isnull(), _stratum(None), "=" + table[stratum])
    start = _number(_hex(named, salt).substr(0, _START_DIGITS))
    table = table.mutate(key__=_hex(table[unit], salt), named__=named, start__=start)
    rank = ibis.row_number().over(group_by=table.named__, order_by=[table.key__, table[unit]])
    n = table.count().over(group_by=table.named__)
    table = table.mutate(place__=(rank + table.start__) / n.cast("float64"))
    branches = [(table.place__ < float(end), arm) for arm, end in _fractions(shares) if end < 1]
    last = ibis.literal(list(shares)[-1])
    arm = ibis.cases(*branches, else_=last) if branches else last
    arm = ibis.ifelse(table[unit].notnull(), arm, ibis.null("string"))
    return table.mutate(arm=arm).drop("key__", "named__", "start__", "place__")


def in_layer(
    units: Sequence[str], salt: str, layer: str, shares: Mapping[str, float], name: str
) -> list[bool]:
    """Which units a layer gives to the experiment `name`: a list of bools.

    shares: experiment to its share of the layer; whoever no experiment owns is free and in none.
    Two experiments of a layer never share a unit, and adding one at the end moves nobody of the
    others.
    """
    one_of(f"layers.{layer}", name, shares)
    rest = 1 - sum(map(_exact, shares.values()))
    whole = dict(shares) | ({"": float(rest)} if rest > 0 else {})
    return [owner == name for owner in arms_of(f"{salt}:layer:{layer}", units, whole)]


def global_shares(share: float) -> dict[str, float]:
    """The arms of the global holdout, which no campaign may touch, and of everybody else."""
    if not 0 < share < 1:
        raise Refusal("global_holdout", share, "must lie between 0 and 1", "use 0.05 for a 20th")
    return {GLOBAL_HOLDOUT: share, REACHABLE: float(1 - _exact(share))}


def global_salt(salt: str) -> str:
    """The salt of the global holdout of a shop with this salt."""
    return f"{salt}:{GLOBAL_HOLDOUT}"


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares that are not above 0 or don't add up to 1 (to a billionth), or no arm."""
    if not shares:
        raise Refusal("shares", dict(shares), "no arm", "give each arm its share")
    for arm, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise Refusal(f"shares.{arm}", share, "must lie in (0, 1]", "leave out an empty arm")
    total = sum(map(_exact, shares.values()))
    if abs(total - 1) > Fraction(1, 10**9):
        raise Refusal("shares", dict(shares), f"add up to {float(total):g}", "make it 1")


def with_arms(
    table: pd.DataFrame, unit: str, salt: str, shares: Mapping[str, float], stratum: str = ""
) -> pd.DataFrame:
    """A pandas table of units, a row each, with a further column `arm`.

    stratum: a column to stratify by, as in `stratified`; without one each unit draws alone.
    """
    ids = table[unit].tolist()
    if not stratum:
        return table.assign(arm=arms_of(salt, ids, shares))
    strata = [None if pd.isna(value) else str(value) for value in table[stratum]]
    arms = stratified(dict(zip(ids, strata, strict=True)), salt, shares)
    return table.assign(arm=[arms[unit_id] for unit_id in ids])


def _digest(salt: str, unit_id: str) -> str:
    return hashlib.sha256(f"{salt}:{unit_id}".encode()).hexdigest()


def _stratum(stratum: Hashable) -> str:
    return "-" if stratum is None else f"={stratum}"


def _exact(share: float) -> Fraction:
    # 0.1 means a tenth, not the float nearest to it: the decimal as written is what counts.
    return Fraction(repr(float(share)))


def _fractions(shares: Mapping[str, float]) -> list[tuple[str, Fraction]]:
    check_shares(shares)
    ends, so_far = [], Fraction(0)
    for arm, share in shares.items():
        so_far += _exact(share)
        ends.append((arm, so_far))
    ends[-1] = (ends[-1][0], Fraction(1))
    return ends


def _ends(shares: Mapping[str, float]) -> list[tuple[str, str | None]]:
    """Where each arm ends, as 13 hexadecimal digits, which sort as numbers do; None for the end."""
    points = [(arm, int(end * _POINTS)) for arm, end in _fractions(shares)]
    return [(arm, None if p >= _POINTS else f"{p:0{_DIGITS}x}") for arm, p in points]


def _hex(values: StringValue, salt: str) -> StringValue:
    return (ibis.literal(f"{salt}:") + values).hexdigest("sha256").lower()


def _placed(key: StringValue, ends: list[tuple[str, str | None]]) -> StringValue:
    point, last = key.substr(0, _DIGITS), ibis.literal(ends[-1][0])
    branches = [(point < end, arm) for arm, end in ends if end is not None]
    arm = ibis.cases(*branches, else_=last) if branches else last
    return ibis.ifelse(key.notnull(), arm, ibis.null("string"))


def _number(digits: StringValue):
    """Hexadecimal digits after the point as a float; eight of them are exact."""
    alphabet = ibis.literal("0123456789abcdef")
    parts = [
        alphabet.find(digits.substr(place, 1)).cast("float64") / 16 ** (place + 1)
        for place in range(_START_DIGITS)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _check_unit(table: Table, unit: str) -> None:
    one_of("unit", unit, table.columns)
    if not table[unit].type().is_string():
        raise Refusal("unit", unit, f"is {table[unit].type()}, not text", "cast it to a text")
