"""What a predicate may hold: the operators and functions, each as Ibis does it."""

from collections.abc import Callable

import ibis
from ibis.expr.types import Value
from sqlglot import exp

NUMBER, TEXT, YES_NO, OTHER = "number", "text", "yes/no", "other"
# Function -> what it takes, what it gives ("same" as its first argument) and how.
FUNCTIONS: dict[type[exp.Expression], tuple[str, str, Callable[..., Value]]] = {
    exp.Abs: (NUMBER, NUMBER, lambda a: a.abs()),
    exp.Floor: (NUMBER, NUMBER, lambda a: a.floor()),
    exp.Ceil: (NUMBER, NUMBER, lambda a: a.ceil()),
    exp.Round: (NUMBER, NUMBER, lambda a, n=None: a.cast("float64").round(n or 0)),
    exp.Lower: (TEXT, TEXT, lambda a: a.lower()),
    exp.Upper: (TEXT, TEXT, lambda a: a.upper()),
    exp.Trim: (TEXT, TEXT, lambda a: a.re_replace("^ +| +$", "")),
    exp.Length: (TEXT, NUMBER, lambda a: a.length()),
    exp.Coalesce: ("any", "same", lambda *a: ibis.coalesce(*a)),
    exp.Nullif: ("any", "same", lambda a, b: a.nullif(b)),
    exp.Greatest: (NUMBER, NUMBER, lambda *a: ibis.greatest(*a)),
    exp.Least: (NUMBER, NUMBER, lambda *a: ibis.least(*a)),
}
NAMES = ", ".join(sorted(kind.sql_name().lower() for kind in FUNCTIONS))
COMPARE = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
}
ARITHMETIC = {
    exp.Add: lambda a, b: a + b,
    exp.Sub: lambda a, b: a - b,
    exp.Mul: lambda a, b: a * b,
    exp.Div: lambda a, b: a / b.nullif(0),
    exp.Mod: lambda a, b: a % b.nullif(0),
}
# Arguments that sqlglot sets by itself and that change no meaning.
HARMLESS = {"safe", "typed", "ignore_nulls", "big_int", "truncate"}
