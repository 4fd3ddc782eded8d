"""Headlines: what is refused, how they read, and that they come back from a notebook whole."""

import json
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_lib.checks import Refusal
from cdp_lib.report import Headline, wording
from cdp_lib.report.cards import card_html, change_html, sparkline_svg
from cdp_lib.report.findings import HEADLINE_MIME

GOOD = {
    "name": "Carts that stop at account creation",
    "value": 0.402,
    "low": 0.391,
    "high": 0.413,
    "unit": "share",
    "n": 12_034,
    "verdict": "act",
    "sentence": "4 in 10 abandoned carts stop there.",
}
HOSTILE = "<script>alert(1)</script>\"'&"


def headline(**changes) -> Headline:
    return Headline(**GOOD | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": "sharr"}, "did you mean 'share'"),
        ({"verdict": "maybe"}, "act, wait N days, cannot tell"),
        ({"verdict": "wait some days"}, "act, wait N days"),
        ({"higher_is": "good"}, "better, worse, neutral"),
        ({"low": 0.5}, "low <= value <= high"),
        ({"high": 0.3}, "low <= value <= high"),
        ({"value": None, "low": 2, "high": 1}, "low <= value <= high"),
        ({"name": " "}, "is empty"),
        ({"sentence": ""}, "is empty"),
    ],
)
def test_a_headline_that_makes_no_sense_is_refused(changes, said):
    with pytest.raises(Refusal, match=re.escape(said)):
        headline(**changes)


@pytest.mark.parametrize("verdict", ["act", "wait 1 day", "wait 12 days", "cannot tell", "good"])
def test_the_verdicts_are_known(verdict):
    assert headline(verdict=verdict).verdict == verdict


def test_an_unknown_number_is_null_and_reads_as_a_dash():
    unknown = headline(value=math.nan, low=-math.inf, high=None)
    assert (unknown.value, unknown.low, unknown.high) == (None, None, None)
    assert (unknown.as_text(), unknown.interval_as_text()) == ("–", "")


def test_a_number_behind_which_few_stand_is_hidden_everywhere():
    small = headline(n=9, sentence="40.2% of 9 carts")
    shown = json.dumps(small.to_json()) + card_html(small.to_json())
    assert small.hidden and small.as_text() == "fewer than 10"
    assert not re.search(r"0\.402|40\.2|\b9\b carts", shown)
    assert not headline(n=10).hidden and not headline(n=0).hidden and not headline(n=None).hidden


@given(
    value=st.floats(allow_nan=True, allow_infinity=True),
    n=st.none() | st.integers(0, 10**9),
    trend=st.lists(st.none() | st.floats(), max_size=30),
    name=st.text(min_size=1).filter(str.strip),
)
def test_a_headline_survives_json(value, n, trend, name):
    made = headline(value=value, low=None, high=None, n=n, trend=tuple(trend), name=name)
    fields = json.loads(json.dumps(made.to_json(), allow_nan=False))
    again = Headline.from_json(fields)
    assert again.to_json() == fields
    if not made.hidden:
        assert again == made


def test_a_headline_displays_as_card_and_as_json():
    bundle = headline(name=HOSTILE, sentence=HOSTILE)._repr_mimebundle_()
    assert bundle[HEADLINE_MIME]["name"] == HOSTILE
    assert "<script" not in bundle["text/html"] and "&lt;script&gt;" in bundle["text/html"]


@pytest.mark.parametrize(
    ("value", "unit", "currency", "text"),
    [
        (0.402, "share", "", "40.2%"),
        (1.0, "share", "", "100%"),
        (0.0004, "share", "", "<0.1%"),
        (0, "share", "", "0.0%"),
        (-0.05, "share", "", "−5.0%"),
        (48_210, "money", "EUR", "€48,210"),
        (12.5, "money", "EUR", "€12.50"),
        (2_345_678, "money", "USD", "$2.35m"),
        (1500, "money", "PLN", "PLN 1,500"),
        (12_034, "count", "", "12,034"),
        (36, "hours", "", "36 h"),
        (72, "hours", "", "3.0 days"),
        (0.5, "hours", "", "30 min"),
        (2, "days", "", "2.0 days"),
        (0.0123, "points", "", "1.2 points"),
    ],
)
def test_numbers_read_as_people_write_them(value, unit, currency, text):
    sides = {"value": value, "low": None, "high": None}
    assert headline(**sides, unit=unit, currency=currency).as_text() == text


@pytest.mark.parametrize(
    ("before", "higher_is", "words", "tone"),
    [
        (0.402, "worse", "unchanged since last week", "same"),
        (0.400, "worse", "+0.2 points since last week: no clear change", "same"),
        (0.350, "worse", "▲ +5.2 points since last week", "worse"),
        (0.350, "better", "▲ +5.2 points since last week", "better"),
        (0.450, "worse", "▼ −4.8 points since last week", "better"),
        (0.450, "neutral", "▼ −4.8 points since last week", "same"),
    ],
)
def test_the_change_is_told_only_where_it_is_clear(before, higher_is, words, tone):
    now = headline(higher_is=higher_is).to_json()
    html = change_html(now, {"value": before})
    assert html == f'<span class="change {tone}">{words}</span>'


def test_without_an_earlier_number_there_is_no_change():
    assert change_html(headline().to_json(), None) == ""
    assert change_html(headline().to_json(), {"value": None}) == ""


@given(st.lists(st.none() | st.floats(-1e12, 1e12), max_size=40))
def test_a_sparkline_stays_in_its_box_and_skips_unknown_weeks(values):
    svg = sparkline_svg(values, width=120, height=28)
    known = [value for value in values[-26:] if value is not None]
    if len(known) < 2:
        assert svg == ""
        return
    points = [
        tuple(map(float, pair.split(",")))
        for pair in ET.fromstring(svg).find("polyline").get("points").split()
    ]
    assert len(points) == len(known)
    assert all(0 <= x <= 120 and 0 <= y <= 28 for x, y in points)
    assert points == sorted(points, key=lambda point: point[0])
    highest = max(range(len(known)), key=known.__getitem__)
    assert points[highest][1] == min(y for _, y in points)


def test_a_card_draws_earlier_weeks_once_there_are_three_of_them():
    one = Headline("Rate", 0.4, 0.3, 0.5, "share", 100, "watch", "As it is.", trend=(0.1, 0.2))
    few = card_html(one.to_json(), history=[0.1, None, 0.3])
    many = card_html(one.to_json(), history=[0.1, 0.2, None, 0.3])
    assert 'aria-label="2 weeks' in few, "its own trend stands in"
    assert 'aria-label="5 weeks' in many


def test_a_change_that_rounds_to_nothing_has_no_sign():
    assert wording.change_as_text(-0.0004, "share") == "0.0 points"
    assert wording.change_as_text(-0.0006, "share") == "−0.1 points"
