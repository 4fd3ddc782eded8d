"""Rows per week, counted by hand: holes are zeros, not missing weeks."""

from datetime import datetime, timedelta

import pandas as pd

from cdp_lib.tables.arrivals import hole_table, week_table

MONDAY = datetime(2026, 1, 5)


class OneTable:
    """A shop with events alone."""

    def __init__(self, table, as_of):
        self.events, self.as_of = table, as_of

    def has(self, name):
        return name == "events"

    def table(self, name):
        return self.events


def shop(con, make_table, days, as_of):
    moments = [MONDAY + timedelta(days=day) for day in days]
    return OneTable(make_table(con, pd.DataFrame({"occurred_at": moments})), as_of)


def test_each_week_has_a_row_and_an_empty_one_is_zero(con, make_table):
    weeks = week_table(shop(con, make_table, [0, 6.9, 7, 21, 22], datetime(2026, 1, 28)))
    assert weeks.week_start.tolist() == [
        pd.Timestamp(MONDAY) + timedelta(days=7 * k) for k in range(4)
    ]
    assert weeks.n_rows.tolist() == [2, 1, 0, 2]
    assert weeks.whole.tolist() == [True, True, True, False]


def test_a_first_week_that_began_late_is_not_whole(con, make_table):
    weeks = week_table(shop(con, make_table, [3, 8], datetime(2026, 1, 19)))
    assert weeks.whole.tolist() == [False, True]


def test_a_hole_is_a_week_far_below_its_neighbours():
    weeks = pd.DataFrame(
        {
            "table": "events",
            "week_start": pd.date_range(MONDAY, periods=6, freq="7D"),
            "n_rows": [100, 110, 30, 90, 60, 1],
            "whole": [True] * 5 + [False],
        }
    )
    holes = hole_table(weeks)
    # Neighbours of the third week: 100, 110, 90, 60, so 95 is usual.
    assert holes.n_rows.tolist() == [30] and holes.usual_rows.tolist() == [95]
    assert hole_table(weeks[:2]).empty
