"""Labels counted by hand: windows at both edges, populations, who an event belongs to."""

from random import Random

import pytest
import small_shops as small

from cdp_lib.checks import Refusal
from cdp_lib.predict.outcome import Outcome, at_risk, churn, default_horizon, label_table

CUTOFF = small.day(100)


@pytest.fixture
def shop(con, tmp_path):
    """Orders around a cutoff at day 100, and everything known until day 150."""
    second = 1 / 86_400
    rows = small.orders(
        ("edge low", 70), ("edge low", 100),  # on the first instant of both windows
        ("edge high", 99.5), ("edge high", 130),  # on the end of the label window: outside
        ("inside", 80), ("inside", 130 - second),
        ("too old", 70 - second), ("too old", 110),  # active a second before the window
        ("newcomer", 100), ("newcomer", 120),  # first order on the cutoff
        ("returns", 90), ("returns", 105, -10.0),  # money back is no purchase
        ("free", 90), ("free", 105, 0.0),  # wholly paid by a voucher is one
        ("silent", 75),
        ("coupon", 71), ("coupon", 104, 8.0, 2.0),
        (None, 95), (None, 105),  # guests are nobody
    )  # fmt: skip
    return small.opened(tmp_path, con, small.day(150), orders=rows)


def test_labels_by_hand(shop):
    buys = Outcome("purchase", 30, active_days=30)
    assert small.labels(label_table(shop, buys, CUTOFF)) == {
        "edge low": 1, "edge high": 0, "inside": 1, "returns": 0, "free": 1, "silent": 0,
        "coupon": 1,
    }  # fmt: skip
    leaves = Outcome("purchase", 30, happens=False, active_days=30)
    assert small.labels(label_table(shop, leaves, CUTOFF)) == {
        "edge low": 0, "edge high": 1, "inside": 0, "returns": 1, "free": 0, "silent": 1,
        "coupon": 0,
    }  # fmt: skip
    coupon = Outcome("use_coupon", 30, active_days=30)
    assert [c for c, y in small.labels(label_table(shop, coupon, CUTOFF)).items() if y] == [
        "coupon"
    ]
    assert str(label_table(shop, buys, CUTOFF).label.type()) == "int8"


@pytest.mark.long_on_spark
def test_everybody_known(shop):
    known = Outcome("purchase", 30, population="known")
    found = small.labels(label_table(shop, known, CUTOFF))
    assert "newcomer" not in found
    assert found["too old"] == 1
    assert len(found) == 8


def test_a_window_that_is_not_over_names_the_date(shop):
    buys = Outcome("purchase", 30, active_days=30)
    assert len(small.labels(label_table(shop, buys, small.day(120)))) == 7
    with pytest.raises(Refusal, match="wait until 2026-06-01 00:00"):
        label_table(shop, buys, small.day(121))
    with pytest.raises(Refusal, match="the data ends"):
        at_risk(shop, buys, small.day(151))


def test_whose_an_event_is(con, tmp_path):
    rows = [
        ("phone", "ann", 90, "view_item"), ("phone", None, 105, "view_item"),
        ("tablet", None, 106, "search"),  # linked to ben on day 107
        ("pc", None, 106, "search"),  # bea logs in there after the window
        ("pc", "bea", 140, "login"), ("own", "bea", 95, "view_item"),
        ("shared", "cat", 91, "view_item"), ("shared", "dan", 92, "view_item"),
        ("shared", None, 105, "view_item"),
        ("own eve", "eve", 93, "view_item"), ("own eve", "eve", 105, "push_off"),
        ("own ben", "ben", 94, "view_item"),
        (None, "fay", 95, "view_item"), (None, "fay", 129, "purchase"),
    ]  # fmt: skip
    shop = small.opened(
        tmp_path, con, small.day(150), events=small.events(*rows),
        identities=small.links(("tablet", "ben", 107)),
    )  # fmt: skip
    visits = Outcome("visit", 30, active_event="visit", active_days=30)
    assert small.labels(label_table(shop, visits, CUTOFF)) == {
        "ann": 1,  # her phone, logged out
        "ben": 1,  # seen to be his a day later, within the window
        "bea": 0,  # only known after the window: a label that is over stays as it is
        "cat": 0, "dan": 0,  # a shared browser is nobody's in a visit without a login
        "eve": 0,  # turning push off is no visit
        "fay": 1,
    }  # fmt: skip
    # Without orders a purchase is a purchase event.
    buys = Outcome("purchase", 30, active_event="visit", active_days=30)
    assert {c for c, y in small.labels(label_table(shop, buys, CUTOFF)).items() if y} == {"fay"}


def test_who_can_remove_the_app(con, tmp_path):
    rows = [
        ("a", "keeps", 90, "view_item", "5.1"),
        ("b", "removes", 90, "app_open"), ("b", "removes", 101, "app_remove", "5.1"),
        ("c", "gone", 90, "view_item", "5.1"), ("c", "gone", 91, "app_remove", "5.1"),
        ("d", "again", 85, "app_open"), ("d", "again", 91, "app_remove", "5.1"),
        ("d", "again", 95, "push_on"), ("d", "again", 120, "app_remove", "5.1"),
        ("e", "no app", 90, "view_item"),
        ("f", "long ago", 60, "app_open"), ("f", "long ago", 95, "view_item"),
    ]  # fmt: skip
    shop = small.opened(tmp_path, con, small.day(150), events=small.events(*rows))
    removal = churn(shop, "app_remove", horizon_days=30, active_days=30)
    assert removal.happens and removal.name == "removes the app within 30 days"
    assert small.labels(label_table(shop, removal, CUTOFF)) == {
        "keeps": 0, "removes": 1, "again": 1
    }  # fmt: skip


@pytest.mark.long_on_spark
def test_labels_do_not_change_when_the_log_grows(con, tmp_path):
    rows = [("v", None, 105, "view_item"), ("w", "ann", 90, "view_item")]
    visits = Outcome("visit", 30, active_event="visit", active_days=30)
    later = [*rows, ("v", "ann", 131, "login"), ("w", "bob", 132, "login")]
    found = []
    for name, log in (("then", rows), ("later", later)):
        (tmp_path / name).mkdir()
        shop = small.opened(tmp_path / name, con, small.day(150), events=small.events(*log))
        found.append(small.labels(label_table(shop, visits, CUTOFF)))
    assert found == [{"ann": 0}, {"ann": 0}]


@pytest.mark.parametrize("seed", [1, 2])
def test_random_logs_equal_a_plain_loop(con, tmp_path, seed):
    draw = Random(seed)
    people = [f"c{i}" for i in range(40)]
    days = (69, 70, 71, 85, 99, 100, 101, 115, 129, 130, 131, 140)
    order_rows = [
        (draw.choice([*people, None]), draw.choice(days), draw.choice((10.0, 0.0, -5.0)),
         draw.choice((0.0, 2.0)))
        for _ in range(120)
    ]  # fmt: skip
    visitors = [f"v{i}" for i in range(50)]
    names = ("view_item", "purchase", "push_off", "app_remove", "login")
    event_rows = [
        (draw.choice(visitors), draw.choice([None, None, draw.choice(people)]),
         draw.choice(days), draw.choice(names))
        for _ in range(300)
    ]  # fmt: skip
    link_rows = sorted(
        {(v, c): (v, c, draw.choice(days)) for v, c in
         ((draw.choice(visitors), draw.choice(people)) for _ in range(15))}.values()
    )  # fmt: skip
    shop = small.opened(
        tmp_path, con, small.day(150), orders=small.orders(*order_rows),
        events=small.events(*event_rows), identities=small.links(*link_rows),
    )  # fmt: skip
    for outcome in (
        Outcome("purchase", 30, active_days=30),
        Outcome("use_coupon", 15, active_event="visit", active_days=15),
        Outcome("visit", 30, happens=False, active_event="visit", active_days=30),
        Outcome("login", 1, active_days=31),
    ):
        wanted = small.walk(outcome, CUTOFF, order_rows, event_rows, link_rows)
        assert small.labels(label_table(shop, outcome, CUTOFF)) == wanted
        assert len(wanted) > 5 and set(wanted.values()) == {0, 1}


def test_what_cannot_be_shown_is_refused(duckdb_con, tmp_path):
    shop = small.opened(
        tmp_path, duckdb_con, small.day(150),
        orders=small.orders(("a", 90)).drop(columns="discount"),
        events=small.events(("v", "a", 90, "quiz")),
    )  # fmt: skip
    with pytest.raises(Refusal, match="the orders have no discount"):
        label_table(shop, Outcome("use_coupon"), CUTOFF)
    with pytest.raises(Refusal, match="did you mean 'quiz'"):
        label_table(shop, Outcome("quizz"), CUTOFF)
    assert small.labels(label_table(shop, Outcome("quiz"), CUTOFF)) == {"a": 0}
    with pytest.raises(Refusal, match="whole number of days"):
        Outcome(horizon_days=1.5)
    with pytest.raises(Refusal, match="at least 1"):
        Outcome(horizon_days=0)
    with pytest.raises(Refusal, match="active, known"):
        Outcome(population="all")


def test_names_in_words():
    assert Outcome("begin_checkout", 1).name == "does begin_checkout within 1 day"
    assert Outcome("visit", 14, happens=False).name == "no visit within 14 days"
    assert Outcome("app_remove", 7, active_event="visit").who == (
        "customers who visited in the 365 days before the cutoff and have the app"
    )


def test_the_horizon_of_a_shop_by_hand(duckdb_con, tmp_path):
    # 20 customers who buy every 10 days, 5 who take 40, over 400 days; the last gap is open.
    rows = [(f"fast{i}", d) for i in range(20) for d in range(0, 400, 10)]
    rows += [(f"slow{i}", d) for i in range(5) for d in range(0, 400, 40)]
    shop = small.opened(tmp_path, duckdb_con, small.day(400), orders=small.orders(*rows))
    found = default_horizon(shop, share_of_gaps=0.9)
    # 20 · 39 gaps of 10 days and 5 · 9 of 40 close; the last ones of the slow are still open after
    # 39 days. So of 830 gaps watched at day 10 there close 780: 94 %, and two weeks will do.
    assert (found.days, found.n_gaps) == (14, 825)
    assert found.share_of_gaps == pytest.approx(780 / 830, abs=1e-12)
    assert "14 days" in found.sentence and "825 gaps" in found.sentence
    # All gaps take 40 days: six weeks.
    assert default_horizon(shop, share_of_gaps=1.0).days == 42
    assert churn(shop).horizon_days == 14
    slow = [(f"slow{i}", d) for i in range(13) for d in range(0, 125, 40)]
    short = small.opened(tmp_path, duckdb_con, small.day(125), orders=small.orders(*slow))
    held = default_horizon(short)
    # A sixth of 125 days is 20 days: two whole weeks, in which no gap of 40 days closes.
    assert (held.days, held.share_of_gaps) == (14, 0)
    assert "80% would take 40 days, but a horizon is held to a sixth" in held.sentence
    few = small.opened(tmp_path, duckdb_con, small.day(60), orders=small.orders(("a", 1), ("a", 9)))
    with pytest.raises(Refusal, match="only 1 gaps"):
        default_horizon(few)
