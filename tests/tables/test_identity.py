"""Visits and people, against rows counted by hand and against plain Python on random logs."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_lib.checks import Refusal
from cdp_lib.tables.identity import coverage, journeys, sessions, stitch

START = datetime(2026, 3, 29)
EVENT_SCHEMA = {
    "row": "int64", "visitor_id": "string", "customer_id": "string", "session_id": "string",
    "occurred_at": "timestamp",
}  # fmt: skip
LINK_SCHEMA = {"visitor_id": "string", "customer_id": "string"}
GAP = 30


def put(con, make_table, rows, links=()):
    """Rows of (visitor, customer, session, minute) and links of (visitor, customer), as tables."""
    events = pd.DataFrame(
        [(i, v, c, s, START + timedelta(minutes=m)) for i, (v, c, s, m) in enumerate(rows)],
        columns=list(EVENT_SCHEMA),
    )
    linked = pd.DataFrame(list(links), columns=list(LINK_SCHEMA))
    return (
        make_table(con, events, schema=EVENT_SCHEMA),
        make_table(con, linked, schema=LINK_SCHEMA),
    )


def journeys_of(events, linked):
    return stitch(sessions(events, GAP), linked)


def by_hand(rows, links=()):
    """The same in plain Python: row number → (visitor, session, person, known, returning)."""
    named = {
        i: (v if v is not None else "c:" + c, c, s, m)
        for i, (v, c, s, m) in enumerate(rows)
        if v is not None or c is not None
    }
    session = {}
    for i, (v, _, s, _m) in named.items():
        if s is not None:
            session[i] = f"{v}/{s}"
    for visitor in {v for v, _, s, _ in named.values() if s is None}:
        began = last = None
        mine = sorted((m, i) for i, (v, _, s, m) in named.items() if v == visitor and s is None)
        for minute, i in mine:
            if last is None or minute - last > GAP:
                began = minute
            last = minute
            session[i] = f"{visitor}#{START + timedelta(minutes=began):%Y%m%d%H%M%S}"
    owners = {}
    for v, c, *_ in named.values():
        if c is not None:
            owners.setdefault(v, set()).add(c)
    for v, c in links:
        owners.setdefault(v, set()).add(c)
    person = {}
    for i, (v, c, _, _) in named.items():
        here = {named[k][1] for k in named if session[k] == session[i]} - {None}
        if c is None and len(owners.get(v, ())) == 1:
            c = next(iter(owners[v]))
        elif c is None and len(here) == 1:
            c = next(iter(here))
        person[i] = "v:" + v if c is None else "c:" + c
    result = {}
    for i, (v, c, _, _) in named.items():
        first = min(named[k][3] for k in named if person[k] == person[i])
        began = min(
            named[k][3] for k in named if person[k] == person[i] and session[k] == session[i]
        )
        result[i] = (v, session[i], person[i], c is not None, began > first)
    return result


def read(table):
    rows = table.select("row", "visitor_id", "session_id", "person_id", "known", "returning")
    return {r["row"]: tuple(list(r.values())[1:]) for r in rows.to_pyarrow().to_pylist()}


def test_a_login_stitches_what_came_before_and_after(con, make_table):
    rows = [("a", None, None, 0), ("a", "7", None, 5), ("a", None, None, 600), ("b", None, None, 0)]
    got = read(journeys_of(*put(con, make_table, rows)))
    assert [got[i][2] for i in range(4)] == ["c:7", "c:7", "c:7", "v:b"]
    assert [got[i][3] for i in range(4)] == [False, True, False, False]
    assert [got[i][4] for i in range(4)] == [False, False, True, False]


def test_two_devices_of_one_customer_are_one_person(con, make_table):
    rows = [("a", "7", None, 0), ("b", None, None, 100)]
    got = read(journeys_of(*put(con, make_table, rows, [("b", "7")])))
    assert got[0][2] == got[1][2] == "c:7"
    assert (got[0][4], got[1][4]) == (False, True)


def test_a_shared_device_is_not_one_person(con, make_table):
    rows = [
        ("a", "7", None, 0), ("a", None, None, 1),      # a visit of customer 7 alone
        ("a", "8", None, 100), ("a", None, None, 101),  # a visit of customer 8 alone
        ("a", None, None, 200),                         # a visit of nobody known
        ("a", "7", None, 300), ("a", "8", None, 301), ("a", None, None, 302),  # of both
    ]  # fmt: skip
    got = read(journeys_of(*put(con, make_table, rows)))
    people = [got[i][2] for i in range(8)]
    assert people == ["c:7", "c:7", "c:8", "c:8", "v:a", "c:7", "c:8", "v:a"]


def test_a_gap_of_exactly_the_limit_does_not_end_a_visit(con, make_table):
    rows = [("a", None, None, 0), ("a", None, None, 30), ("a", None, None, 61)]
    got = read(journeys_of(*put(con, make_table, rows)))
    assert got[0][1] == got[1][1] != got[2][1]


def test_a_given_session_of_two_visitors_is_two_visits(con, make_table):
    rows = [("a", None, "s", 0), ("b", None, "s", 0), ("a", None, "s", 900)]
    got = read(journeys_of(*put(con, make_table, rows)))
    assert [got[i][1] for i in range(3)] == ["a/s", "b/s", "a/s"]


def test_an_event_with_no_id_has_no_journey_and_is_counted(con, make_table):
    rows = [(None, None, None, 0), (None, "7", None, 1), ("a", None, None, 2), ("a", "7", None, 3)]
    events, linked = put(con, make_table, rows)
    table = journeys_of(events, linked)
    assert sorted(read(table)) == [1, 2, 3]
    found = coverage(events, table, linked)
    assert (found.n_events, found.without_id_rate, found.known_rate) == (4, 0.25, 0.5)
    assert (found.stitched_rate, found.n_visitors, found.n_people) == (0.25, 1, 1)
    assert found.n_shared_visitors == 0


def test_no_events_give_no_journeys_and_undefined_rates(con, make_table):
    events, linked = put(con, make_table, [])
    table = journeys_of(events, linked)
    assert read(table) == {}
    assert np.isnan(coverage(events, table, linked).known_rate)


def test_the_order_of_rows_changes_nothing(con, make_table):
    rows, links = random_log(np.random.default_rng(5), "", 200)
    forward = read(journeys_of(*put(con, make_table, rows, links)))
    backward = read(journeys_of(*put(con, make_table, rows[::-1], links[::-1])))
    assert forward == {len(rows) - 1 - i: value for i, value in backward.items()}


def random_log(rng, prefix, n_rows):
    """Few visitors, customers and minutes, so that ties, shared devices and gaps all happen."""

    def pick(kind, choices, missing):
        return None if rng.random() < missing else f"{prefix}{kind}{rng.integers(choices)}"

    rows = [
        (pick("v", 3, 0.1), pick("c", 2, 0.6), pick("s", 2, 0.7), int(rng.integers(12)) * 10)
        for _ in range(n_rows)
    ]
    links = [
        (f"{prefix}v{rng.integers(3)}", f"{prefix}c{rng.integers(2)}")
        for _ in range(rng.integers(3))
    ]
    return rows, links


def test_equals_plain_python_on_two_thousand_random_logs(con, make_table):
    # One table holds all logs, each with names of its own, so one query serves an engine.
    rng = np.random.default_rng(11)
    rows, links, wanted = [], [], {}
    for log in range(2000):
        more, linked = random_log(rng, f"{log}:", int(rng.integers(1, 9)))
        wanted |= {len(rows) + i: value for i, value in by_hand(more, linked).items()}
        rows, links = rows + more, links + linked
    got = read(journeys_of(*put(con, make_table, rows, links)))
    wrong = [i for i in wanted if got.get(i) != wanted[i]]
    assert len(got) == len(wanted) and not wrong, (wrong[:3], [got.get(i) for i in wrong[:3]])


name = st.one_of(st.none(), st.sampled_from(["a", "b", "c:1", ""]))
one_row = st.tuples(
    name, st.one_of(st.none(), st.sampled_from(["1", "2"])),
    st.one_of(st.none(), st.sampled_from(["s", "t"])), st.integers(0, 120),
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(one_row, max_size=12),
    links=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])), max_size=3),
)
def test_equals_plain_python(con, make_table, enough, rows, links):
    if enough():
        return
    got = read(journeys_of(*put(con, make_table, rows, links)))
    assert got == by_hand(rows, links)


def test_all_at_once_is_the_two_steps(con, make_table):
    rows, links = random_log(np.random.default_rng(3), "", 60)
    events, linked = put(con, make_table, rows, links)
    assert read(journeys(events, linked, GAP)) == read(journeys_of(events, linked))


def test_a_gap_of_nothing_is_refused(con, make_table):
    events, _ = put(con, make_table, [])
    with pytest.raises(Refusal, match="gap_minutes"):
        sessions(events, 0)
