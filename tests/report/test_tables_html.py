"""Tables on a page: escaped, formatted by name, small groups and long tails left out."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.report.tables_html import hide_small, table_html


def cells(html: str) -> list[list[str]]:
    """The rows of a table as a browser would read their text."""
    rows: list[list[str]] = []

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag, attrs):
            if tag == "tr":
                rows.append([])
            if tag in ("td", "th"):
                self.inside = True
                rows[-1].append("")

        def handle_endtag(self, tag):
            if tag in ("td", "th"):
                self.inside = False

        def handle_data(self, data):
            if self.inside:
                rows[-1][-1] += data

    Reader().feed(html)
    return rows


def test_a_table_reads_as_it_was_given():
    table = pd.DataFrame(
        {
            "step": ["view", None],
            "n_carts": [12345, 0],
            "step_rate": [np.nan, 0.25],
            "value": [1234.5, 3.0],
            "idle_hours": [30.0, 100.0],
            "left_on": pd.to_datetime(["2026-11-22 00:00", "2026-11-22 10:30"]),
            "guest": [True, False],
        }
    )
    assert cells(table_html(table, currency="EUR")) == [
        ["Step", "Carts", "Step rate", "Value", "Idle hours", "Left on", "Guest"],
        ["view", "12,345", "–", "€1,234", "30 h", "2026-11-22", "yes"],
        ["–", "0", "25.0%", "€3.00", "4.2 days", "2026-11-22 10:30", "no"],
    ]


def test_text_from_data_stays_text():
    hostile = '<script>alert(1)</script><img src=x onerror=alert(2)>"'
    table = pd.DataFrame({hostile: [hostile]})
    html = table_html(table, title=hostile, headings={hostile: hostile})
    assert "<script" not in html and "<img" not in html
    assert cells(html) == [[hostile], [hostile]]


def test_groups_below_ten_people_are_left_out_and_counted():
    table = pd.DataFrame({"city": list("abcde"), "n_people": [0, 1, 9, 10, None]})
    assert hide_small(table, "n_people")["city"].tolist() == ["a", "d", "e"]
    html = table_html(table, people="n_people")
    assert [row[0] for row in cells(html)[1:]] == ["a", "d", "e"]
    assert "2 rows are not shown: a group of fewer than 10 people." in html


def test_one_small_group_takes_the_next_smallest_along():
    table = pd.DataFrame({"city": list("abcd"), "n_people": [50, 3, 20, 0]}, index=[7, 5, 3, 1])
    assert hide_small(table, "n_people")["city"].tolist() == ["a", "d"]
    alone = pd.DataFrame({"city": ["a"], "n_people": [3]})
    assert hide_small(alone, "n_people").empty


def test_a_long_table_is_cut_and_says_so():
    html = table_html(pd.DataFrame({"row": range(1, 31)}), max_rows=12)
    assert len(cells(html)) == 13 and "18 further rows not shown." in html


def test_an_unknown_column_is_refused():
    table = pd.DataFrame({"a": [1]})
    for options in ({"formats": {"b": "money"}}, {"people": "b"}, {"headings": {"b": "B"}}):
        with pytest.raises(Refusal, match=re.escape("choose one of a")):
            table_html(table, **options)
