"""Windows are half-open in UTC; a refusal names the place, the value and the fix."""

import doctest
import math
from datetime import date, datetime

import pytest

from cdp_lib import checks, windows
from cdp_lib.checks import Refusal
from cdp_lib.windows import Window, instant, iso_week, require_closed


@pytest.mark.parametrize("module", [checks, windows])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


def test_a_window_holds_its_start_and_not_its_end():
    window = Window(datetime(2026, 1, 1), datetime(2026, 1, 8))
    assert datetime(2026, 1, 1) in window
    assert datetime(2026, 1, 8) not in window
    assert window.days == 7
    with pytest.raises(Refusal, match="ends before it starts"):
        Window(datetime(2026, 1, 8), datetime(2026, 1, 8))


@pytest.mark.parametrize(
    "value",
    [date(2026, 11, 23), "2026-11-23", "2026-11-23T00:00:00Z", "2026-11-22T19:00:00-05:00"],
)
def test_an_instant_is_read_as_utc(value):
    assert instant(value) == datetime(2026, 11, 23)


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "", None, 7])
def test_a_bad_instant_is_refused_by_name(value):
    with pytest.raises(Refusal, match=r"as_of = .*not a date"):
        instant(value)


def test_labels_wait_for_the_window_to_close():
    window = Window(datetime(2026, 1, 1), datetime(2026, 1, 8))
    require_closed(window, datetime(2026, 1, 8), "as_of")
    with pytest.raises(Refusal, match="wait until 2026-01-08 00:00 UTC"):
        require_closed(window, datetime(2026, 1, 7, 23), "as_of")


@pytest.mark.parametrize(
    ("as_of", "week"),
    [
        (datetime(2026, 11, 23), "2026-W47"),
        (datetime(2026, 11, 23, 0, 0, 1), "2026-W48"),
        (datetime(2027, 1, 4), "2026-W53"),
        (datetime(2025, 12, 30), "2026-W01"),
    ],
)
def test_a_week_is_that_of_the_last_instant(as_of, week):
    assert iso_week(as_of) == week


def test_bounds_refuse_nan_and_name_the_nearest_choice():
    for bad in (math.nan, -0.1, 1.1):
        with pytest.raises(Refusal, match="holdout"):
            checks.share("holdout", bad)
    for check in (checks.at_least, checks.above):
        with pytest.raises(Refusal, match="hours"):
            check("hours", math.nan, 0)
    with pytest.raises(Refusal, match="hours = 0"):
        checks.above("hours", 0, 0)
    with pytest.raises(Refusal, match="did you mean 'session'"):
        checks.one_of("unit", "sesion", ["visitor", "session", "cart"])


def test_a_long_value_is_cut_in_the_message():
    assert len(str(Refusal("where", "x" * 10_000, "too long", "cut it"))) < 300
