"""Half-open windows of time: [start, end), every instant naive and read as UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cdp_lib.checks import Refusal


def instant(value: str | date | datetime, place: str = "as_of") -> datetime:
    """Read a date or an instant as a naive UTC datetime; a date means its midnight.

    >>> instant("2026-11-23")
    datetime.datetime(2026, 11, 23, 0, 0)
    >>> instant("2026-11-23T01:00:00+01:00")
    datetime.datetime(2026, 11, 23, 0, 0)
    """
    if isinstance(value, datetime):
        read = value
    elif isinstance(value, date):
        read = datetime(value.year, value.month, value.day)
    else:
        try:
            read = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise Refusal(
                place, value, "not a date or an instant", "write 2026-11-23 or 2026-11-23T06:00:00Z"
            ) from error
    return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read


@dataclass(frozen=True)
class Window:
    """The half-open span [start, end) of naive UTC instants."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise Refusal("window", (self.start, self.end), "ends before it starts", "swap the two")

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.end - self.start) / timedelta(days=1)

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def require_closed(window: Window, as_of: datetime, place: str) -> None:
    """Refuse a window that is not over at `as_of`, and name the date to wait for."""
    if window.end > as_of:
        raise Refusal(
            place,
            str(as_of),
            "the window is not over",
            f"wait until {window.end:%Y-%m-%d %H:%M} UTC",
        )


def iso_week(as_of: datetime) -> str:
    """The ISO week of the last instant before `as_of`.

    >>> iso_week(datetime(2026, 11, 23))
    '2026-W47'
    """
    year, week, _ = (as_of - timedelta(microseconds=1)).isocalendar()
    return f"{year}-W{week:02d}"
