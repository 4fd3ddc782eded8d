"""The funnel's rules in plain Python: every chain tried, one unit at a time."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cdp_lib.behaviour.funnel import Step


@dataclass(frozen=True)
class Rules:
    """What a funnel asks for; the same words as `step_table`."""

    steps: list
    window_hours: float
    as_of: datetime
    ordered: bool = True
    attempts: str = "any"
    exclude: list = field(default_factory=list)
    hold: str | None = None
    by: str | None = None


def _serves(row: dict, step: Step) -> bool:
    return row["event"] == step.event and all(row[c] == v for c, v in (step.where or {}).items())


def _follows(rules: Rules, rows: list[dict], chain: list[dict], row: dict) -> bool:
    """Whether `row` may be the next row of the chain."""
    k, last = len(chain), chain[-1]
    step = rules.steps[k]
    if not _serves(row, step) or any(row is used for used in chain):
        return False
    if rules.hold and row[rules.hold] != last[rules.hold]:
        return False
    strict = step.event in [other.event for other in rules.steps[:k]]
    if row["t"] < last["t"] or (strict and row["t"] == last["t"]):
        return False
    if row["t"] >= chain[0]["t"] + timedelta(hours=rules.window_hours):
        return False
    if step.within_hours and row["t"] >= last["t"] + timedelta(hours=step.within_hours):
        return False
    return not any(
        other["event"] in rules.exclude
        and last["t"] < other["t"] < row["t"]
        and (not rules.hold or other[rules.hold] == last[rules.hold])
        for other in rows
    )


def _chains(rules: Rules, rows: list[dict], chain: list[dict]):
    """Every chain that begins with `chain`, itself included."""
    yield chain
    if len(chain) < len(rules.steps):
        for row in rows:
            if _follows(rules, rows, chain, row):
                yield from _chains(rules, rows, [*chain, row])


def _may_go_on(rules: Rules, rows: list[dict], chain: list[dict]) -> bool:
    """Whether a next row at `as_of` or later could still be added."""
    if len(chain) == len(rules.steps):
        return False
    future = {**chain[-1], "event": rules.steps[len(chain)].event, "t": rules.as_of}
    future |= rules.steps[len(chain)].where or {}
    return _follows(rules, rows, chain, future)


def _ordered(rules: Rules, rows: list[dict]) -> list[dict]:
    starts = [row for row in rows if _serves(row, rules.steps[0])]
    if rules.attempts == "first":
        starts = [row for row in starts if row["t"] == min(start["t"] for start in starts)]
    found = [chain for start in starts for chain in _chains(rules, rows, [start])]
    if rules.attempts != "every":
        return [_outcome(rules, rows, found)] if found else []
    held = (lambda row: row[rules.hold]) if rules.hold else (lambda row: None)
    attempts = {(chain[0]["t"], held(chain[0])) for chain in found}
    return [
        _outcome(rules, rows, [c for c in found if (c[0]["t"], held(c[0])) == attempt])
        for attempt in attempts
    ]


def _outcome(rules: Rules, rows: list[dict], found: list[list[dict]]) -> dict:
    """Depth, start, value and openness of the best of these chains."""
    depth = max(map(len, found))
    deepest = [chain for chain in found if len(chain) == depth]
    start = max(chain[0]["t"] for chain in deepest)
    values = [chain[0].get(rules.by) for chain in deepest if chain[0]["t"] == start]
    return {
        "depth": depth,
        "start": start,
        "value": min((value for value in values if value is not None), default=None),
        "open": any(_may_go_on(rules, rows, chain) for chain in deepest),
    }


def _unordered(rules: Rules, rows: list[dict]) -> list[dict]:
    window = timedelta(hours=rules.window_hours)
    groups = {row[rules.hold] for row in rows} if rules.hold else {None}
    found = []
    for held in groups:
        mine = [row for row in rows if not rules.hold or row[rules.hold] == held]
        for start in sorted({row["t"] for row in mine}):
            inside = [row for row in mine if start <= row["t"] < start + window]
            served = [any(_serves(row, step) for row in inside) for step in rules.steps]
            depth = served.index(False) if False in served else len(served)
            first = [row for row in inside if row["t"] == start]
            first = [row for row in first if any(_serves(row, step) for step in rules.steps)]
            if depth and first:
                found.append((depth, start, [row.get(rules.by) for row in first]))
    if not found:
        return []
    depth, start = max(one[:2] for one in found)
    values = [value for one in found if one[:2] == (depth, start) for value in one[2]]
    return [
        {
            "depth": depth,
            "start": start,
            "value": min((value for value in values if value is not None), default=None),
            "open": depth < len(rules.steps) and start + window > rules.as_of,
        }
    ]


def outcomes(rules: Rules, log: list[dict]) -> list[dict]:
    """One outcome per unit that entered (per attempt for "every"): `depth`, `open` and more."""
    units: dict = {}
    for row in log:
        held = not rules.hold or row[rules.hold] is not None
        if row["unit"] is not None and row["t"] is not None and held and row["t"] < rules.as_of:
            units.setdefault(row["unit"], []).append(row)
    each = _ordered if rules.ordered else _unordered
    return [{"unit": unit, **found} for unit, rows in units.items() for found in each(rules, rows)]


def step_counts(rules: Rules, log: list[dict]) -> list[tuple[int, int]]:
    """Per step: how many entered, and how many are open before it."""
    found = outcomes(rules, log)
    return [
        (
            sum(one["depth"] >= k for one in found),
            sum(one["open"] for one in found if one["depth"] == k - 1),
        )
        for k in range(1, len(rules.steps) + 1)
    ]
