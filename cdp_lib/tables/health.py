"""The health check: what is wrong with a shop's tables, on how many rows, and what is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal
from cdp_lib.tables.oddities import oddities
from cdp_lib.tables.rules import FATAL, KEPT, SET_ASIDE, Rule, bad

if TYPE_CHECKING:
    from cdp_lib.tables.source import Shop

PROBLEMS = ["table", "rule", "treatment", "n_rows", "share", "examples", "meaning"]
COUNTS = ["table", "n_read", "n_set_aside", "n_used", "first", "last"]
PERSONAL = frozenset({"customer_id", "visitor_id", "unit_id"})
_SEVERITY = {FATAL: 0, SET_ASIDE: 1, KEPT: 2}


@dataclass(frozen=True)
class HealthReport:
    """What the check found.

    problems: a row per table and rule that at least one row breaks, fatal ones first: `table`,
    `rule`, `treatment` ("fatal", "set aside", "kept"), `n_rows` (null where rows cannot be
    counted), `share` of the rows read, `examples` (three keys; ids of people shortened),
    `meaning` (what it means and what to do). A row may break several rules.
    row_counts: a row per table: `table`, `n_read`, `n_set_aside` (rows that break at least one
    such rule, and repeats of a key), `n_used`, `first` and `last` instant used. A table that
    cannot be read has no row there.
    """

    shop: str
    as_of: datetime | None
    problems: pd.DataFrame
    row_counts: pd.DataFrame

    @property
    def fatal(self) -> bool:
        """Whether something must be corrected before any number can be trusted."""
        return bool((self.problems["treatment"] == FATAL).any())

    def to_text(self) -> str:
        """The report as plain text, one paragraph a problem."""
        moment = "unknown" if self.as_of is None else f"{self.as_of:%Y-%m-%d %H:%M} UTC"
        lines = [f"Shop {self.shop}, data until {moment}", ""]
        for row in self.row_counts.itertuples():
            span = "" if pd.isna(row.first) else f"  {row.first:%Y-%m-%d} to {row.last:%Y-%m-%d}"
            lines.append(
                f"{row.table:<12} {row.n_read:>13,} read {row.n_set_aside:>11,} set aside "
                f"{row.n_used:>13,} used{span}"
            )
        for row in self.problems.itertuples():
            size = "" if pd.isna(row.n_rows) else f": {row.n_rows:,} rows ({row.share:.2%})"
            lines += ["", f"{row.treatment.upper()}  {row.table}, {row.rule}{size}"]
            lines += [f"  {row.meaning}"] + ([f"  for example {row.examples}"] * bool(row.examples))
        if self.problems.empty:
            lines += ["", "Nothing wrong was found."]
        return "\n".join(lines)


def check(shop: Shop) -> HealthReport:
    """Check every table of a shop: one pass for all rules of a table, further ones for repeats
    and for what is odd among sound rows.

    Never raises for what is wrong with the data: what cannot even be read is a fatal problem.
    """
    problems, counts = [], []
    try:
        as_of = shop.as_of
    except Refusal as refusal:
        as_of = None
        problems.append(_fatal(refusal.place, "no end of the data", str(refusal)))
    for name in shop.tables:
        try:
            shop.mapped(name)
            if as_of is not None:
                found, count = _check_table(shop, name)
                problems += found
                counts.append(count)
        except Refusal as refusal:
            problems.append(_fatal(name, "cannot be mapped", str(refusal)))
        except Exception as error:  # the engine's own: a broken file, a row it cannot split
            if isinstance(error.__cause__, KeyboardInterrupt):  # as DuckDB tells of Ctrl-C
                raise KeyboardInterrupt from error
            first = str(error).strip().splitlines()[0]
            problems.append(_fatal(name, "cannot be read", f"{type(error).__name__}: {first}"))
    table = pd.DataFrame(problems, columns=PROBLEMS).astype({"n_rows": "Int64"})
    order = table["treatment"].map(_SEVERITY).sort_values(kind="stable").index
    return HealthReport(
        shop.name, as_of, table.loc[order].reset_index(drop=True), _count_table(counts)
    )


def _fatal(table: str, rule: str, meaning: str, n_rows=None, share=float("nan"), examples=""):
    return (table, rule, FATAL, n_rows, share, examples, meaning)


def _count_table(counts: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(counts, columns=COUNTS)
    for column in ("first", "last"):
        table[column] = pd.to_datetime(table[column]).astype("datetime64[us]")
    return table.astype({name: "int64" for name in COUNTS if name.startswith("n_")})


def _check_table(shop: Shop, name: str) -> tuple[list[tuple], tuple]:
    mapped, rules = shop.mapped(name), shop.rules(name)
    table = shop.looked_up(name, rules)
    aside = bad(table, rules)
    asked = {
        "n_read": table.count(),
        "n_aside": aside.sum(),
        **{f"rule_{i}": rule.test(table).fill_null(False).sum() for i, rule in enumerate(rules)},
        **{f"values_{column}": table[column].count() for column in mapped.unread},
    }
    if mapped.contract.cut_by in mapped.given:
        moment = table[mapped.contract.cut_by]
        asked |= {"first": moment.min(where=~aside), "last": moment.max(where=~aside)}
    if "currency" in mapped.extras:
        money = table.currency.cast("string")
        asked |= {"n_money": money.nunique(), "money": money.min(), "money_2": money.max()}
    seen = table.aggregate(**asked).to_pyarrow().to_pylist()[0]
    n_read, n_aside = seen["n_read"], seen["n_aside"] or 0

    broken = {i: rule for i, rule in enumerate(rules) if seen[f"rule_{i}"]}
    examples = _examples(shop, name, table, broken)
    problems = [
        (
            name, rule.name, rule.treatment, seen[f"rule_{i}"], seen[f"rule_{i}"] / n_read,
            examples[i], rule.meaning,
        )
        for i, rule in broken.items()
    ]  # fmt: skip
    unread = {rule.name.removeprefix("unreadable "): i for i, rule in enumerate(rules)}
    for column in mapped.unread:
        n_failed = seen[f"rule_{unread[column]}"]
        if n_failed and not seen[f"values_{column}"]:
            wanted = mapped.contract.column(column).dtype
            problems.append(
                _fatal(
                    name, f"wrong type in {column}",
                    f"not one value can be read as {wanted}; map another column, or give its "
                    "unit, format or codes", n_failed, n_failed / n_read,
                )
            )  # fmt: skip
    problems += _money(shop, name, seen) + _repeats(shop, name, n_read) + _odd(shop, name, n_read)
    n_aside += sum(row[3] for row in problems if row[1] == "repeated key")
    if n_read == 0:
        problems.append(_fatal(name, "no rows", "the table is empty; deliver it or remove it", 0))
    elif n_aside == n_read:
        problems.append(_fatal(name, "no usable row", "every row is set aside", n_read, 1.0))
    first, last = seen.get("first"), seen.get("last")
    return problems, (name, n_read, n_aside, n_read - n_aside, first, last)


def _money(shop: Shop, name: str, seen: dict) -> list[tuple]:
    if seen.get("n_money", 0) > 1:
        return [
            _fatal(
                name, "two currencies",
                f"{seen['n_money']} values, from {seen['money']!r} to {seen['money_2']!r}: sums "
                "would mean nothing; convert them first, or open one shop for each",
            )
        ]  # fmt: skip
    if seen.get("n_money") == 1 and shop.currency and seen["money"] != shop.currency:
        return [
            _fatal(
                name, "two currencies",
                f"the rows say {seen['money']!r} and shop.toml says {shop.currency!r}; correct one",
            )
        ]  # fmt: skip
    return []


def _repeats(shop: Shop, name: str, n_read: int) -> list[tuple]:
    key, sound = shop.mapped(name).key, shop.sound(name)
    if key:
        repeats = shop.repeats(name)
        if repeats is None:
            return []
        seen = repeats.aggregate(rows=repeats.n_rows.sum(), keys=repeats.count()).execute()
        surplus = int(seen.iloc[0]["rows"] - seen.iloc[0]["keys"])
        return [
            (
                name, "repeated key", SET_ASIDE, surplus, surplus / n_read,
                _key_texts({0: key}, _sorted_rows(_first_three(repeats, key)))[0],
                f"the same {' and '.join(key)} on more rows than one; the first row stays. Where "
                f"these are different things, name the columns that tell them apart in "
                f"[tables.{name}] key",
            )
        ]  # fmt: skip
    given = sound.select(*sorted(shop.given(name)), *shop.mapped(name).extras)
    surplus = int(given.count().execute() - given.distinct().count().execute())
    if not surplus:
        return []
    return [
        (
            name, "repeated row", KEPT, surplus, surplus / n_read, "",
            "rows that are equal in every column; no key tells whether they are repeats, so they "
            f"stay. Map one, or name it in [tables.{name}] key",
        )
    ]  # fmt: skip


def _odd(shop: Shop, name: str, n_read: int) -> list[tuple]:
    found = []
    for odd in oddities(name, shop.sound(name), shop.given(name)):
        n_rows = int(odd.rows.count().execute())
        if n_rows:
            rows = _sorted_rows(_first_three(odd.rows, odd.example))
            shown = _key_texts({0: odd.example}, rows)[0]
            found.append((name, odd.rule, KEPT, n_rows, n_rows / n_read, shown, odd.meaning))
    return found


def _examples(shop: Shop, name: str, table: Table, broken: dict[int, Rule]) -> dict[int, str]:
    """Three keys for each broken rule, in one query."""
    mapped, shown, columns_of = shop.mapped(name), [], {}
    for i, rule in broken.items():
        columns = [c for c in rule.example or mapped.contract.key if c in mapped.given]
        if not columns and mapped.contract.cut_by in mapped.given:
            columns = [mapped.contract.cut_by]
        columns_of[i] = columns
        if columns:
            rows = table.filter(rule.test(table).fill_null(False))
            shown.append(_first_three(rows, columns, i))
    return _key_texts(columns_of, _sorted_rows(ibis.union(*shown)) if shown else [])


def _first_three(table: Table, columns: Sequence[str], rule: int = 0) -> Table:
    names = dict(zip(("a", "b"), columns, strict=False))
    texts = {short: table[column].cast("string") for short, column in names.items()}
    texts.setdefault("b", ibis.null("string"))
    keys = table.select(**texts).distinct()
    first = keys.order_by(keys.a.asc(nulls_first=True), keys.b.asc(nulls_first=True)).limit(3)
    return first.mutate(rule=ibis.literal(rule, "int64"))


def _sorted_rows(table: Table) -> list[dict]:
    return sorted(
        table.to_pyarrow().to_pylist(),
        key=lambda row: [row["rule"]] + [(row[name] is not None, row[name]) for name in "ab"],
    )


def _key_texts(columns_of: dict[int, Sequence[str]], rows: list[dict]) -> dict[int, str]:
    texts = {rule: [] for rule in columns_of}
    for row in rows:
        shown = zip("ab", columns_of[row["rule"]], strict=False)
        texts[row["rule"]].append(" ".join(_masked(column, row[name]) for name, column in shown))
    return {rule: "; ".join(keys) for rule, keys in texts.items()}


def _masked(column: str, value: object) -> str:
    text = "(none)" if value is None else str(value)
    if column not in PERSONAL or value is None:
        return text if len(text) <= 60 else text[:57] + "…"
    return text[: min(4, len(text) // 2)] + "…"
