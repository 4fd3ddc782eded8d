"""What an experiment is judged by: a share, money, a mean, or a ratio of two sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdp_lib.checks import Refusal, one_of

KINDS = ("conversion", "revenue", "margin", "mean", "ratio")
MONEY = ("revenue", "margin")


@dataclass(frozen=True)
class Metric:
    """A metric of an experiment.

    name: what it is called. kind: conversion (0 or 1 a unit), revenue or margin (money a unit),
    mean (any number a unit) or ratio (sum of `column` over sum of `per`). column: of the unit
    table. per: denominator of a ratio. higher_is: better, or worse for a guardrail. guardrail:
    harm here beyond `tolerance` a unit stops an arm whatever else it does. money: a ratio of money,
    such as basket value.
    """

    name: str
    kind: str
    column: str
    per: str | None = None
    higher_is: str = "better"
    guardrail: bool = False
    money: bool = False
    tolerance: float = 0.0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the unit table that it needs."""
        return (self.column,) if self.per is None else (self.column, self.per)

    @property
    def unit(self) -> str:
        """The unit of its lift, as report.wording writes it."""
        if self.kind == "conversion":
            return "points"
        return "money" if self.kind in MONEY or self.money else "number"

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where more is worse."""
        return 1 if self.higher_is == "better" else -1

    @property
    def has_tail(self) -> bool:
        """Whether single units may carry much of it, so that a capped figure stands beside."""
        return self.kind in ("revenue", "margin", "mean")


def parse(place: str, given: object) -> tuple[Metric, ...]:
    """The metrics of shop.toml: `{ visit = "conversion", spend = "revenue" }`.

    A value is a kind, the name being the column; or a table with `kind` and any of `column`,
    `per`, `higher_is` ("better" or "worse"), `guardrail`, `tolerance` and `money`. Raises Refusal.
    """
    if not isinstance(given, Mapping) or not given:
        fix = 'write metrics = { visit = "conversion", spend = "revenue" }'
        raise Refusal(place, given, "not a table of metrics", fix)
    return tuple(_metric(f"{place}.{name}", name, spec) for name, spec in given.items())


def _metric(place: str, name: str, spec: object) -> Metric:
    fields = {"kind": spec} if isinstance(spec, str) else spec
    if not isinstance(fields, Mapping):
        raise Refusal(place, spec, "not a metric", f'write {name} = "conversion"')
    known = ("kind", "column", "per", "higher_is", "guardrail", "money", "tolerance")
    for key in fields:
        one_of(place, key, known)
    one_of(f"{place}.kind", fields.get("kind"), KINDS)
    harmful = bool(fields.get("guardrail", False))
    higher = fields.get("higher_is", "worse" if harmful else "better")
    one_of(f"{place}.higher_is", higher, ("better", "worse"))
    for key in ("column", "per"):
        if key in fields and not isinstance(fields[key], str):
            raise Refusal(f"{place}.{key}", fields[key], "not a column", "put a name in quotes")
    if (fields["kind"] == "ratio") != ("per" in fields):
        fix = 'write { kind = "ratio", column = "revenue", per = "n_orders" }'
        raise Refusal(place, dict(fields), "a ratio, and only a ratio, needs `per`", fix)
    return Metric(
        name, fields["kind"], fields.get("column", name), fields.get("per"), higher, harmful,
        bool(fields.get("money", False)), float(fields.get("tolerance", 0.0)),
    )  # fmt: skip


SHOP = (
    Metric("revenue", "revenue", "revenue"),
    Metric("margin", "margin", "margin"),
    Metric("conversion", "conversion", "converted"),
    Metric("orders", "mean", "n_orders"),
    Metric("basket_value", "ratio", "revenue", per="n_orders", money=True),
    # Each message costs some opt-outs; two in a hundred of those drawn are too many.
    Metric(
        "opt_outs", "conversion", "opted_out", higher_is="worse", guardrail=True, tolerance=0.02
    ),
    Metric("app_removals", "conversion", "removed_app", higher_is="worse", guardrail=True),
    Metric("support_contacts", "mean", "n_support", higher_is="worse", guardrail=True),
    Metric("returned_pieces", "mean", "n_returned", higher_is="worse", guardrail=True),
)
"""What is read of a shop's own experiments, so far as the shop has the columns; the first leads."""
