"""How long before a cutoff something happened, in whole numbers: equal on every engine."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
from ibis.expr.types import BooleanValue, IntegerValue, NumericValue, Table

DAY = 86_400 * 10**6
HOUR = 3_600 * 10**6
MONEY = 10**6


@dataclass(frozen=True)
class Span:
    """The feature window [cutoff − lookback, cutoff) of naive UTC instants."""

    cutoff: datetime
    lookback_days: int

    @property
    def start(self) -> datetime:
        """The first instant that counts."""
        return self.cutoff - timedelta(days=self.lookback_days)

    @property
    def end_us(self) -> int:
        """The cutoff as microseconds since 1970."""
        return (self.cutoff - datetime(1970, 1, 1)) // timedelta(microseconds=1)

    def age_us(self, us: IntegerValue) -> IntegerValue:
        """Microseconds from an instant, given as such since 1970, to the cutoff."""
        return self.end_us - us

    def age_days(self, us: IntegerValue) -> IntegerValue:
        """Whole days before the cutoff: below k for just the instants of the last k days."""
        return ((self.age_us(us) - 1) // DAY).cast("int64")

    def last(self, us: IntegerValue, days: int) -> BooleanValue:
        """Whether an instant, given in microseconds since 1970, lies in the last `days` days."""
        return us >= self.end_us - days * DAY

    def days(self, us: IntegerValue) -> NumericValue:
        """Days from an instant to the cutoff, with fractions."""
        return self.age_us(us).cast("float64") / DAY

    def within(self, table: Table, column: str) -> Table:
        """The rows from the span's start on."""
        return table.filter(table[column] >= ibis.literal(self.start))


def money(value: NumericValue) -> NumericValue:
    """An amount in millionths, a whole number: such add up to the same sum in any order."""
    return (value * MONEY).round().cast("float64")


def amount(millionths: NumericValue) -> NumericValue:
    """A sum of `money` as an amount."""
    return millionths.cast("float64") / MONEY


def total(column: NumericValue, where: BooleanValue | None = None) -> NumericValue:
    """The sum of whole numbers, exact below 2^53 and so the same in any order.

    As a float, since an engine's own sum of integers is wider than any type of the contract.
    """
    return column.cast("float64").sum(where=where)
