"""Which days a model learns from, is chosen on, is calibrated on and is tested on.

The test is the newest cutoff whose label window is over. Every other label window is over by the
test cutoff less the gap, so what is fitted could have been fitted on that day. All cutoffs lie
whole weeks apart: a window always holds the same days of the week.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from cdp_lib.checks import Refusal, TooLittleData, above, at_least
from cdp_lib.predict.span import data_span
from cdp_lib.tables import Shop

if TYPE_CHECKING:
    from cdp_lib.predict.outcome import Outcome

HALF_A_YEAR = 182  # days


@dataclass(frozen=True)
class Cutoffs:
    """Cutoffs by role, midnights in UTC.

    train: oldest first, at least one. choose: stops and chooses among models. calibrate: turns
    scores into probabilities. test: never seen before the end.
    """

    train: tuple[datetime, ...]
    choose: datetime
    calibrate: datetime
    test: datetime

    @property
    def all(self) -> tuple[tuple[str, datetime], ...]:
        """Every (role, cutoff), oldest first."""
        late = (("choose", self.choose), ("calibrate", self.calibrate), ("test", self.test))
        return tuple(("train", cutoff) for cutoff in self.train) + late


def cutoffs(
    shop: Shop,
    outcome: Outcome,
    n_train: int = 4,
    step_days: int | None = None,
    gap_days: int = 1,
    history_days: int | None = None,
) -> Cutoffs:
    """The cutoffs of an outcome on a shop's data.

    n_train: most training cutoffs, `step_days` apart (a whole number of weeks; fewer, or a week
    apart, in a short history; None: 28, or 14 where the oldest would see less than half a year).
    gap_days: days left for late rows between the last label used
    before the test and the test. history_days: least data before the first cutoff (the horizon,
    but at least 28 days, where None). Raises Refusal for a history that is too short, with the
    days it needs and the date to wait for.
    """
    at_least("n_train", n_train, 1)
    at_least("gap_days", gap_days, 0)
    above("step_days", 28 if step_days is None else step_days, 0)
    if step_days is not None and step_days % 7:
        raise Refusal("step_days", step_days, "not a whole number of weeks", "write 28")
    span, horizon = data_span(shop, outcome.event), int(outcome.horizon_days)
    before = max(28, horizon) if history_days is None else history_days
    at_least("history_days", before, 1)
    test = midnight(shop.as_of - timedelta(days=horizon))
    calibrate = test - timedelta(days=-(-(horizon + gap_days) // 7) * 7)
    week = timedelta(days=7)
    choose, newest = calibrate - week, calibrate - 2 * week
    room = (newest - span.start) / timedelta(days=1) - before
    if room < 0:
        needed = span.days - room
        until = span.start + timedelta(days=needed + 1)
        raise TooLittleData(
            "horizon_days", horizon,
            f"the history of {span.days:.0f} days is too short: {needed:.0f} are needed to "
            "train, choose, calibrate and test one after the other",
            f"take a shorter horizon, or wait until {until:%Y-%m-%d}",
        )  # fmt: skip
    if step_days is None:
        step_days = 28 if before + room - 28 * (n_train - 1) >= HALF_A_YEAR else 14
    step = step_days if room >= step_days else 7
    n = min(n_train, int(room // step) + 1)
    train = tuple(newest - timedelta(days=step * i) for i in reversed(range(n)))
    return Cutoffs(train, choose, calibrate, test)


def midnight(moment: datetime) -> datetime:
    """The midnight at or before an instant."""
    return datetime.combine(moment.date(), time())
