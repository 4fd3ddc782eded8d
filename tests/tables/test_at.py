"""A shop as it was known at a moment: late rows, versions, permissions, visits and ties."""

from datetime import datetime

import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.tables import check

DAY = "2026-01-{:02d}"


def stamps(*days):
    return pd.to_datetime([d if d is None else DAY.format(d) for d in days]).astype(
        "datetime64[us]"
    )


def rows(table, *columns, by):
    return [tuple(r.values()) for r in table.order_by(by).select(*columns).to_pyarrow().to_pylist()]


def events(received=None, **columns):
    frame = pd.DataFrame(
        {"event_id": list("abcd"), "occurred_at": stamps(1, 2, 3, 4), "visitor_id": "v",
         "event": "view_item", **columns}
    )  # fmt: skip
    return frame if received is None else frame.assign(received_at=stamps(*received))


def test_a_row_is_there_once_it_happened_and_was_received(con, make_shop):
    shop = make_shop(con, {"events": events(received=(1, 5, None, 4))})
    ids = lambda shop: [row[0] for row in rows(shop.events, "event_id", by="event_id")]  # noqa: E731
    assert ids(shop) == ["a", "b", "c", "d"]
    assert ids(shop.at(DAY.format(4))) == ["a", "c"]
    assert ids(shop.at(DAY.format(5))) == ["a", "c", "d"]
    assert ids(shop.at("2026-01-05T00:00:01")) == ["a", "b", "c", "d"]
    # What had not come in was not set aside either.
    counts = check(shop.at(DAY.format(5))).row_counts.iloc[0]
    assert (counts.n_read, counts.n_set_aside) == (3, 0)


def test_the_end_of_the_data_is_after_what_came_in_last(con, make_shop):
    shop = make_shop(con, {"events": events(received=(1, 20, None, 4))}, as_of=None)
    assert shop.as_of == datetime(2026, 1, 20, 0, 0, 1)
    assert shop.events.count().execute() == 4


def test_of_a_repeated_row_the_copy_that_had_come_in_counts(con, make_shop):
    frame = events(received=(3, 1, 2, 4), price=[1.0, 2.0, 3.0, 4.0], event_id=list("aaaa"))
    shop = make_shop(con, {"events": frame.assign(occurred_at=stamps(1, 1, 1, 1))})
    price = lambda shop: rows(shop.events, "price", by="price")  # noqa: E731
    assert price(shop) == [(1.0,)]
    assert price(shop.at("2026-01-02")) == [(2.0,)]
    assert price(shop.at("2026-01-03")) == [(2.0,)]
    assert price(shop.at("2026-01-01")) == []


def test_a_customer_is_the_version_valid_then(con, make_shop):
    customers = pd.DataFrame(
        {
            "customer_id": ["1", "1", "1", "2", "3", "3", "4"],
            "created_at": stamps(1, 1, 1, None, 1, 1, 9),
            "city": ["x", "y", "z", "w", "late", "later", "new"],
            "valid_from": stamps(None, 3, 5, None, 6, 7, None),
        }
    )
    shop = make_shop(con, {"customers": customers})
    city = lambda shop: rows(shop.customers, "customer_id", "city", by="customer_id")  # noqa: E731
    assert city(shop) == [("1", "z"), ("2", "w"), ("3", "later"), ("4", "new")]
    assert city(shop.at(DAY.format(6))) == [("1", "z"), ("2", "w")]
    assert city(shop.at(DAY.format(5))) == [("1", "y"), ("2", "w")]
    assert city(shop.at(DAY.format(2))) == [("1", "x"), ("2", "w")]
    assert check(shop).problems.empty


def test_a_version_that_stands_twice_is_a_repeat(con, make_shop):
    customers = pd.DataFrame(
        {
            "customer_id": ["1", "1", "2", "2", "2"],
            "city": ["b", "a", "c", "d", "e"],
            "valid_from": stamps(None, None, 3, 3, 4),
        }
    )
    shop = make_shop(con, {"customers": customers})
    problems = check(shop).problems
    assert list(problems.rule) == ["repeated key"] and list(problems.n_rows) == [2]
    assert rows(shop.customers, "city", by="customer_id") == [("a",), ("e",)]
    assert rows(shop.at(DAY.format(4)).customers, "city", by="customer_id") == [("a",), ("c",)]


@pytest.mark.parametrize("session", [["s", "s", "t", "t"], ["s", None, None, "t"]])
def test_visits_that_the_engine_keeps_are_the_same(con, make_shop, session):
    frame = events(session_id=session, visitor_id=["v", "w", "v", None], customer_id=[1, 2, 1, 2])
    shops = [make_shop(con, {"events": frame}) for _ in range(2)]
    shops[1].keep()
    columns = ("event_id", "visitor_id", "session_id", "visit__", "customer_id")
    for moment in (DAY.format(4), DAY.format(10)):
        bare, kept = (rows(shop.at(moment).visits, *columns, by="event_id") for shop in shops)
        assert bare == kept and len(bare) == (3 if moment == DAY.format(4) else 4)
        assert len({row[1:3] for row in bare}) == len({(row[1], row[3]) for row in bare})


def permission_shop(con, make_shop):
    """Customer 1 opts out of mail on day 5 and 9 (twice in between allowed), 2 switches push
    off on day 3 and on on day 6 without login, 3 never changes anything, 4 opts out of SMS."""
    customers = pd.DataFrame(
        {"customer_id": list("1234"), "email_opt_in": [False, True, False, None],
         "push_opt_in": [False, True, True, None], "sms_opt_in": [True, True, True, False]}
    )  # fmt: skip
    messages = pd.DataFrame(
        {"message_id": list("mno"), "campaign_id": "x", "customer_id": ["1", "1", "4"],
         "channel": ["email", "email", "SMS"], "sent_at": stamps(4, 8, 4),
         "unsubscribed_at": stamps(5, 9, 5)}
    )  # fmt: skip
    switches = events(
        event=["view_item", "push_off", "push_on", "view_item"], visitor_id=list("vvvw"),
        customer_id=["2", None, None, "3"], occurred_at=stamps(1, 3, 6, 9),
    )  # fmt: skip
    return make_shop(con, {"customers": customers, "messages": messages, "events": switches})


@pytest.mark.parametrize(
    ("day", "email", "push", "sms"),
    [
        (2, [True, True, False, None], [False, True, True, None], [True, True, True, True]),
        (4, [True, True, False, None], [False, False, True, None], [True, True, True, True]),
        (5, [True, True, False, None], [False, False, True, None], [True, True, True, True]),
        (6, [True, True, False, None], [False, False, True, None], [True, True, True, False]),
        (7, [True, True, False, None], [False, True, True, None], [True, True, True, False]),
        (10, [False, True, False, None], [False, True, True, None], [True, True, True, False]),
    ],
)
def test_a_permission_is_what_it_was_before_its_first_later_change(
    con, make_shop, day, email, push, sms
):
    then = permission_shop(con, make_shop).at(DAY.format(day)).customers
    columns = ("email_opt_in", "push_opt_in", "sms_opt_in")
    got = list(zip(*rows(then, *columns, by="customer_id"), strict=True))
    assert [list(column) for column in got] == [email, push, sms]


def test_a_push_on_said_again_is_no_change(con, make_shop):
    customers = pd.DataFrame({"customer_id": list("12"), "push_opt_in": [True, True]})
    switches = events(
        event=["push_on", "push_on", "push_on", "view_item"], visitor_id=list("vvww"),
        customer_id=["1", "1", "2", "2"], occurred_at=stamps(3, 6, 6, 9),
    )  # fmt: skip
    shop = make_shop(con, {"customers": customers, "events": switches})
    then = lambda day: rows(shop.at(DAY.format(day)).customers, "push_opt_in", by="customer_id")  # noqa: E731
    assert then(2) == [(False,), (False,)]
    assert then(5) == [(True,), (False,)]
    assert then(7) == [(True,), (True,)]


def test_visits_and_ties_of_a_cut_shop_are_those_of_a_shorter_log(con, make_shop):
    frame = events(visitor_id=list("vvvw"), customer_id=[None, "1", "2", "2"])
    shop = make_shop(con, {"events": frame})
    whose = lambda shop: rows(shop.ties.pairs, "visitor_id", "customer_id", by="customer_id")  # noqa: E731
    assert whose(shop.at(DAY.format(2))) == []
    assert whose(shop.at(DAY.format(3))) == [("v", "1")]
    assert sorted(whose(shop)) == [("v", "1"), ("v", "2"), ("w", "2")]
    people = lambda shop: rows(shop.journeys, "person_id", by="event_id")  # noqa: E731
    assert people(shop.at(DAY.format(3))) == [("c:1",), ("c:1",)]
    assert people(shop) == [("v:v",), ("c:1",), ("c:2",), ("c:2",)]


def test_a_shop_is_cut_once_for_each_moment_and_never_ahead(duckdb_con, make_shop):
    shop = make_shop(duckdb_con, {"events": events()})
    past = shop.at("2026-01-03")
    assert past is shop.at(datetime(2026, 1, 3)) and past.as_of == datetime(2026, 1, 3)
    assert past.whole is shop and past.at("2026-01-02") is shop.at("2026-01-02")
    with pytest.raises(Refusal, match="the data ends at 2026-02-01"):
        past.whole.at("2026-02-02")
    with pytest.raises(Refusal, match="the data ends at 2026-01-03"):
        past.at("2026-01-04")
