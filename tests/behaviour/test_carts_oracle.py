"""The carts of random logs equal those that a plain Python walk finds, cart by cart."""

from random import Random

import cart_logs
import cart_oracle
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdp_lib.behaviour import carts
from cdp_lib.behaviour.cart_walk import ACTIONS

AS_OF = cart_logs.at(100)
HOURS = (0, 0, 1, 2, 25, 26, 50, 74, 76, 99)  # gaps of exactly 24 hours, and ends of exactly 24
COMPARED = (
    *("person_id", "state", "opened_at", "last_activity_at", "bought_at", "first_left_at"),
    *("came_back_at", "longest_gap_hours", "idle_hours", "n_items", "value", "guest"),
    *("n_actions", "n_sessions"),
)


def compare(make_table, con, rows, idle_hours):
    """Read the rows both ways, and hold the two against each other."""
    found = carts.read(cart_logs.journeys(make_table, con, rows), AS_OF, idle_hours)
    wanted, alone = cart_oracle.read(rows, AS_OF, idle_hours)
    table = found.table.execute().set_index("cart_id")
    assert set(table.index) == set(wanted)
    assert table.index.is_unique
    assert found.n_purchases_without_cart == len(alone)
    for name, cart in wanted.items():
        for column in COMPARED:
            got, want = table.loc[name, column], cart[column]
            if want is None:
                assert pd.isna(got), (name, column, got)
            elif isinstance(want, float):
                assert got == pytest.approx(want, abs=1e-6), (name, column)
            else:
                assert got == want, (name, column, got, want)
        for column, reached in (("furthest_step", "furthest"), ("left_step", "left")):
            got, want = table.loc[name, column], named(cart[reached], found.steps)
            assert (pd.isna(got) and want is None) or got == want, (name, column, got, want)
    return len(wanted)


def named(reached, steps):
    """The furthest step that the log has, at or before the one reached."""
    if reached is None:
        return None
    return [step for step in cart_oracle.ORDER[: cart_oracle.ORDER.index(reached) + 1]
            if step in steps][-1]  # fmt: skip


@st.composite
def action(draw):
    event = draw(st.sampled_from((*ACTIONS, "add_to_cart", "remove_from_cart", "purchase")))
    n = draw(st.sampled_from("abcdef"))
    known_person = n in "ab"
    person = f"c:{n}" if known_person else f"v:{n}"
    return cart_logs.row(
        draw(st.sampled_from(HOURS)),
        event,
        draw(st.sampled_from((None, "p", "q"))),
        person_id=person,
        session_id=f"{person}{draw(st.sampled_from('st'))}",
        customer_id=draw(st.sampled_from((None, n))) if known_person else None,
        quantity=draw(st.sampled_from((None, 0, 1, 2))),
        price=draw(st.sampled_from((None, 3.0, 5.0))),
        # One cart id of two people's: a browser that two of them share.
        cart_id=draw(st.sampled_from((None, None, "shared", f"own {n}"))),
        order_id=draw(st.sampled_from((None, "o", "r"))),
    )


@pytest.mark.long_on_spark
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a failure names its log; shrinking it would take minutes
)
@given(rows=st.lists(action(), min_size=10, max_size=50), idle_hours=st.sampled_from((1, 24)))
def test_small_logs_equal_the_walk(enough, con, make_table, rows, idle_hours):
    if enough():
        return
    compare(make_table, con, rows, idle_hours)


def crowd(n_people: int, seed: int, with_ids: bool) -> list[dict]:
    """Many people at once, each with a short history of their own."""
    draw = Random(seed)
    shares = dict(zip(ACTIONS, (30, 20, 5, 10, 3, 7, 5, 5, 15), strict=True))
    rows = []
    for person in range(n_people):
        who = f"v:{person}" if draw.random() < 0.7 else f"c:{person}"
        ids = (None, None, f"g{person}", f"h{person}") if with_ids else (None,)
        for _ in range(draw.randint(1, 13)):
            logged_in = who.startswith("c") and draw.random() < 0.5
            rows.append(
                cart_logs.row(
                    draw.choice(HOURS) + draw.choice((0.0, 0.25, 1e-6)),
                    draw.choices(list(shares), list(shares.values()))[0],
                    draw.choices((None, "p", "q"), (1, 5, 4))[0],
                    person_id=who,
                    session_id=f"{who}/{draw.randrange(2)}",
                    customer_id=who[2:] if logged_in else None,
                    quantity=draw.choices((None, 0, 1, 2, 3), (30, 5, 35, 20, 10))[0],
                    price=draw.choices((None, 2.5, 4.0), (1, 5, 4))[0],
                    cart_id=draw.choice(ids),
                    order_id=draw.choice((None, f"o{person}", f"r{person}")),
                )
            )
    return rows


@pytest.mark.parametrize("with_ids", [False, True])
def test_a_crowd_equals_the_walk(con, make_table, with_ids):
    n_people = 3000 if con.name == "duckdb" else 150
    rows = crowd(n_people, seed=11 + with_ids, with_ids=with_ids)
    assert compare(make_table, con, rows, 24) > 0.5 * n_people


@pytest.mark.long_on_spark
def test_the_order_of_rows_in_the_log_does_not_matter(con, make_table):
    rows = [{"event_id": f"e{i}", **row} for i, row in enumerate(crowd(200, 5, True))]
    shuffled = Random(0).sample(rows, len(rows))
    first, second = (
        carts.cart_table(cart_logs.journeys(make_table, con, log), AS_OF)
        .execute()
        .sort_values("cart_id", ignore_index=True)
        for log in (rows, shuffled)
    )
    pd.testing.assert_frame_equal(first, second)
