"""The path that a shop logs, and the buyers that an ordered funnel does not see."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from cdp_lib.behaviour.funnel import step_table
from cdp_lib.behaviour.intervals import wilson
from cdp_lib.behaviour.paths import logged_path, reach_share, step_coverage
from cdp_lib.checks import Refusal

NOON = datetime(2026, 3, 2, 12)
LOG = [
    ("ann", "view_item", 0),
    ("ann", "add_to_cart", 1),
    ("ann", "purchase", 2),
    ("bob", "view_item", 0),
    ("bob", "purchase", 1),  # bought with no cart recorded
    ("cid", "purchase", 0),  # nothing before it
    ("dan", "view_item", 0),
    ("dan", "add_to_cart", 30),  # outside the window
    (None, "purchase", 0),
    ("ann", "my_event", 0),
]


@pytest.fixture
def events(con, make_table):
    frame = pd.DataFrame(LOG, columns=["visitor_id", "event", "hours"])
    frame["occurred_at"] = [NOON + timedelta(hours=hours) for hours in frame.pop("hours")]
    return make_table(con, frame)


def test_only_logged_steps_are_kept_in_order(events):
    assert logged_path(events) == ["view_item", "add_to_cart", "purchase"]
    assert logged_path(events, ["purchase", "view_item", "login"]) == ["purchase", "view_item"]


def test_a_log_without_the_path_is_refused_with_what_it_has(events):
    with pytest.raises(Refusal, match="my_event"):
        logged_path(events, ["login", "purchase"])


def test_buyers_past_the_cart_are_counted_as_missed(events):
    table = step_coverage(events, ["view_item", "add_to_cart", "purchase"])
    assert table["n_units"].tolist() == [3, 2, 3]
    assert table["entered"].tolist() == [3, 1, 1]
    assert table["n_missed"].tolist() == [0, 1, 2]
    assert table["missed_share"].tolist() == [0, 1 / 2, 2 / 3]


def test_a_step_nobody_did_has_no_share(events):
    table = step_coverage(events, ["view_item", "begin_checkout"])
    assert table["n_units"].tolist() == [3, 0]
    assert pd.isna(table["missed_share"][1])
    with pytest.raises(Refusal, match="unit"):
        step_coverage(events, ["view_item", "purchase"], unit="visiter")


def test_the_share_that_arrives_is_clustered_by_person(con, make_table):
    # Eight people with five visits each; four of them buy in every visit, four never.
    rows = [
        (f"p{p}", f"s{p}-{s}", event, NOON + timedelta(days=s, minutes=m))
        for p in range(8)
        for s in range(5)
        for m, event in enumerate(["view_item", "purchase"] if p < 4 else ["view_item"])
    ]
    frame = pd.DataFrame(rows, columns=["person_id", "session_id", "event", "occurred_at"])
    events = make_table(con, frame)
    row = reach_share(events, ["view_item", "purchase"], unit="session").iloc[0]
    assert (row.n_entered, row.n_reached, row.n_people, row.share) == (40, 20, 8, 0.5)
    # All visits of a person are alike: 8 draws, with the small-sample factor 8 / 7, not 40.
    low, high = map(float, wilson(20, 40, design_effect=5 * 8 / 7))
    assert (row.share_low, row.share_high) == pytest.approx((low, high))
    people = reach_share(events, ["view_item", "purchase"], unit="person").iloc[0]
    assert (people.n_entered, people.n_reached) == (8, 4)


def test_the_share_of_each_group_is_clustered_by_person(con, make_table):
    # As above, and one more of whom nobody knows on what; p0 also came once on a desktop.
    rows = [
        (f"p{p}", f"s{p}-{s}", "mobile", event, NOON + timedelta(days=s, minutes=m))
        for p in range(8)
        for s in range(5)
        for m, event in enumerate(["view_item", "purchase"] if p < 4 else ["view_item"])
    ]
    rows += [("p0", "s0-9", "desktop", "view_item", NOON), ("q", "sq", None, "view_item", NOON)]
    columns = ["person_id", "session_id", "device_type", "event", "occurred_at"]
    events = make_table(con, pd.DataFrame(rows, columns=columns))
    table = reach_share(events, ["view_item", "purchase"], unit="session", by="device_type")
    assert [v if isinstance(v, str) else None for v in table.device_type] == [
        "desktop", "mobile", None,
    ]  # fmt: skip
    assert table.n_entered.tolist() == [1, 40, 1]
    assert table.n_reached.tolist() == [0, 20, 0] and table.n_people.tolist() == [1, 8, 1]
    low, high = map(float, wilson(20, 40, design_effect=5 * 8 / 7))
    assert (table.share_low[1], table.share_high[1]) == pytest.approx((low, high))
    steps = step_table(events, ["view_item", "purchase"], unit="session", by="device_type")
    assert steps.entered.tolist()[::2] == table.n_entered.tolist()
    assert steps.entered.tolist()[1::2] == table.n_reached.tolist()
