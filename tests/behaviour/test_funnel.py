"""Funnels that a person can count: one short log per rule."""

import math
from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest

from cdp_lib.behaviour import chains, funnel
from cdp_lib.behaviour.funnel import Step
from cdp_lib.checks import Refusal

NOON = datetime(2026, 3, 2, 12)  # a Monday
LATER = datetime(2026, 6, 1)  # every window has ended


@pytest.fixture(autouse=True)
def engine(con):
    """Logs given as pandas frames are read by each engine in turn."""
    ibis.set_backend(con)
    yield
    ibis.set_backend("duckdb")


def log(*rows: str, **columns: list) -> pd.DataFrame:
    """Rows "visitor event hours", hours since NOON; further columns as lists."""
    parts = [row.split() for row in rows]
    frame = pd.DataFrame(
        {
            "visitor_id": [visitor for visitor, _, _ in parts],
            "event": [event for _, event, _ in parts],
            "occurred_at": [NOON + timedelta(hours=float(hours)) for _, _, hours in parts],
        }
    )
    return frame.assign(**columns)


def entered(frame, steps, **options) -> list[int]:
    return funnel.step_table(frame, steps, as_of=LATER, **options)["entered"].tolist()


SHOP = log(
    "ann view 0",
    "ann cart 1",
    "ann buy 2",
    "bob view 0",
    "bob cart 30",  # a day and more after his view
    "cid cart 0",  # enters in the middle
    "cid buy 1",
    "dan view 0",
    "dan view 29",  # comes again
    "dan cart 30",
    device=["mobile", None, None, "desktop", "mobile", "mobile", "mobile", None, "mobile", None],
)


def test_the_table_has_every_count_and_rate(con, make_table):
    events = make_table(con, SHOP)
    table = funnel.step_table(events, ["view", "cart", "buy"], as_of=LATER)
    assert table["step"].tolist() == ["view", "cart", "buy"]
    assert table["entered"].tolist() == [3, 2, 1]
    assert table["open"].tolist() == [0, 0, 0]
    assert math.isnan(table["step_rate"][0]) and math.isnan(table["abandonment_rate"][0])
    assert table["step_rate"][1:].tolist() == [2 / 3, 1 / 2]
    assert table["overall_rate"].tolist() == [1, 2 / 3, 1 / 3]
    assert table["abandonment_rate"][1:].tolist() == [1 / 3, 1 / 2]


def test_breakdown_goes_by_the_start_of_the_best_attempt_and_null_has_its_row(con, make_table):
    events = make_table(con, SHOP)
    table = funnel.step_table(events, ["view", "cart", "buy"], by="device", as_of=LATER)
    counts = {
        value: table.loc[
            table["device"].isna() if value is None else table["device"] == value, "entered"
        ].tolist()
        for value in ("desktop", "mobile", None)
    }
    # Ann starts on mobile, Bob on desktop; Dan's second view leads further, and it is mobile.
    assert counts == {"desktop": [1, 0, 0], "mobile": [2, 2, 1], None: []}
    # His first view alone may start: it carries null and gets nowhere.
    table = funnel.step_table(
        events, ["view", "cart", "buy"], by="device", attempts="first", as_of=LATER
    )
    assert table["device"].tolist() == ["desktop"] * 3 + ["mobile"] * 3 + [None] * 3
    assert table["entered"].tolist() == [1, 0, 0, 1, 1, 1, 1, 0, 0]


def test_the_window_is_half_open():
    frame = log("ann view 0", "ann cart 24", "bob view 0", "bob cart 23.9999")
    assert entered(frame, ["view", "cart"]) == [2, 1]
    assert entered(frame, ["view", "cart"], conversion_window_hours=24.001) == [2, 2]


def test_a_short_window_is_exact_to_the_microsecond():
    frame = log("ann view 0", "ann cart 0")
    frame.loc[1, "occurred_at"] = NOON + timedelta(microseconds=1_500_000)
    assert entered(frame, ["view", "cart"], conversion_window_hours=1.5 / 3600) == [1, 0]
    assert entered(frame, ["view", "cart"], conversion_window_hours=1.500001 / 3600) == [1, 1]


def test_steps_may_share_an_instant_but_a_row_serves_once():
    frame = log("ann view 0", "ann cart 0", "ann buy 0", "bob cart 0", "bob buy 0", "bob view 0")
    assert entered(frame, ["view", "cart", "buy"]) == [2, 2, 2]
    again = log("ann view 0", "bob view 0", "bob view 0", "cid view 0", "cid view 1")
    steps = ["view", Step("view", "view again")]
    assert entered(again, steps) == [3, 1]  # Bob's two rows at one instant count as one


def test_the_same_event_with_a_condition_serves_two_steps():
    frame = log("ann page 0", "ann page 1", "bob page 0", "bob page 1")
    frame["page"] = ["home", "pay", "pay", "home"]
    steps = [Step("page", "home", {"page": "home"}), Step("page", "pay", {"page": "pay"})]
    assert entered(frame, steps) == [2, 1]
    steps = [Step("page", "home", lambda t: t.page == "home"), Step("page", "any")]
    assert entered(frame, steps) == [2, 1]
    assert entered(frame, [Step("page", "a", {"page": ["home", "pay"]}), "buy"]) == [2, 0]
    assert entered(frame, [Step("page", "a", {"page": None}), "buy"]) == [0, 0]


def test_a_fresh_start_is_a_fresh_chance_except_with_first():
    frame = log("dan view 0", "dan cart 1", "dan view 30", "dan cart 31", "dan buy 32")
    steps = ["view", "cart", "buy"]
    assert entered(frame, steps) == [1, 1, 1]
    assert entered(frame, steps, attempts="first") == [1, 1, 0]
    assert entered(frame, steps, attempts="every") == [2, 2, 1]


def test_an_older_start_does_not_hide_a_later_one():
    # The cart at 23 serves both views; only from the second is the purchase in time.
    frame = log("ann view 0", "ann view 10", "ann cart 23", "ann buy 30")
    assert entered(frame, ["view", "cart", "buy"]) == [1, 1, 1]
    assert entered(frame, ["view", "cart", "buy"], attempts="every") == [2, 2, 1]


def test_a_window_per_step():
    frame = log("ann view 0", "ann cart 5", "bob view 0", "bob view 4", "bob cart 5")
    assert entered(frame, ["view", Step("cart", within_hours=5)]) == [2, 1]
    # The cart at 1 is in time for the view but too far from the purchase; that at 3 is both.
    frame = log("ann view 0", "ann cart 1", "ann cart 3", "ann buy 4.5", "bob view 0", "bob cart 1")
    steps = ["view", "cart", Step("buy", within_hours=2)]
    assert entered(frame, steps) == [2, 2, 1]
    assert entered(frame, steps, attempts="every") == [2, 2, 1]


def test_an_exclusion_breaks_a_chain_only_strictly_between():
    frame = log(
        *("ann view 0", "ann leave 1", "ann cart 2"),
        *("bob view 0", "bob leave 0", "bob cart 2", "bob leave 2"),
        *("cid view 0", "cid leave 1", "cid view 1", "cid cart 2"),
    )
    assert entered(frame, ["view", "cart"], exclude=["leave"]) == [3, 2]


def test_a_held_column_ties_the_steps_together():
    frame = log("ann cart 0", "ann cart 1", "ann buy 2", "bob cart 0", "bob buy 1")
    frame["cart_id"] = ["k1", "k2", "k2", "k3", None]
    assert entered(frame, ["cart", "buy"]) == [2, 2]
    assert entered(frame, ["cart", "buy"], hold="cart_id") == [2, 1]
    assert entered(frame, ["cart", "buy"], unit="cart") == [3, 1]


def test_any_order():
    frame = log("ann buy 0", "ann view 1", "bob view 0", "bob buy 24", "cid buy 0")
    assert entered(frame, ["view", "buy"]) == [2, 0]
    assert entered(frame, ["view", "buy"], ordered=False) == [2, 1]


@pytest.mark.parametrize("hours, still", [(23.99, 1), (24, 0)])
def test_a_unit_whose_window_still_runs_is_open_not_lost(hours, still):
    frame = log("ann view 0", "ann cart 1", "bob view 0")
    as_of = NOON + timedelta(hours=hours)
    table = funnel.step_table(frame, ["view", "cart", "buy"], as_of=as_of)
    assert table["open"].tolist() == [0, still, still]
    assert table["abandonment_rate"][1:].tolist() == [(1 - still) / 2, 1 - still]


def test_a_step_window_or_an_exclusion_closes_an_attempt_early():
    frame = log("ann view 0", "bob view 0", "bob leave 1")
    as_of = NOON + timedelta(hours=4)
    steps = ["view", Step("cart", within_hours=4)]
    assert funnel.step_table(frame, steps, as_of=as_of)["open"].tolist() == [0, 0]
    steps = ["view", Step("cart", within_hours=4.1)]
    assert funnel.step_table(frame, steps, as_of=as_of)["open"].tolist() == [0, 2]
    table = funnel.step_table(frame, steps, as_of=as_of, exclude=["leave"])
    assert table["open"].tolist() == [0, 1]


def test_without_as_of_the_log_ends_with_its_newest_row():
    frame = log("ann view 0", "bob other 24")
    assert funnel.step_table(frame, ["view", "cart"])["open"].tolist() == [0, 0]
    assert funnel.step_table(frame.assign(event="view"), ["view", "cart"])["open"][1] == 1


def test_rows_without_unit_or_instant_and_rows_from_as_of_on_are_not_read():
    frame = log("ann view 0", "ann cart 1", "bob view 0", "cid view 0", "dan view 5")
    frame.loc[2, "visitor_id"] = None
    frame.loc[3, "occurred_at"] = pd.NaT
    table = funnel.step_table(frame, ["view", "cart"], as_of=NOON + timedelta(hours=1))
    assert table["entered"].tolist() == [1, 0]


def test_nobody_gives_zero_counts_and_undefined_rates():
    table = funnel.step_table(SHOP, ["fly", "swim"], as_of=LATER)
    assert table["entered"].tolist() == [0, 0] and table["open"].tolist() == [0, 0]
    assert table[["step_rate", "overall_rate", "abandonment_rate"]].isna().all(axis=None)
    broken_down = funnel.step_table(SHOP, ["fly", "swim"], by="device", as_of=LATER)
    assert broken_down.empty and broken_down.columns[0] == "device"


def test_partitions_change_nothing():
    whole = funnel.step_table(SHOP, ["view", "cart", "buy"], by="device", as_of=LATER)
    parts = funnel.step_table(SHOP, ["view", "cart", "buy"], by="device", as_of=LATER, partitions=5)
    pd.testing.assert_frame_equal(whole, parts)


def test_the_furthest_table_has_a_row_per_unit(con, make_table):
    events = make_table(con, SHOP)
    table = funnel.furthest_table(events, ["view", "cart", "buy"], by="device", as_of=LATER)
    table = table.to_pandas().sort_values("visitor_id").reset_index(drop=True)
    assert table["visitor_id"].tolist() == ["ann", "bob", "dan"]
    assert table["depth"].tolist() == [3, 1, 2]
    assert table["start"].tolist() == [NOON, NOON, NOON + timedelta(hours=29)]
    assert table["reached_at"].tolist() == [NOON + timedelta(hours=h) for h in (2, 0, 30)]
    assert table["device"].tolist() == ["mobile", "desktop", "mobile"]
    assert not table["open"].any()


def test_a_robot_with_very_many_rows_goes_by_the_running_maximum():
    n = chains.BUSY + 1
    rows = [f"bot view {i / 100}" for i in range(n)] + [f"bot cart {i / 100}" for i in range(n)]
    frame = pd.concat([log(*rows), SHOP])
    frame["device"] = frame["device"].astype(object)
    assert chains.has_crowd(funnel.make_plan(frame, ["view", "cart", "buy"], as_of=LATER))
    assert entered(frame, ["view", "cart", "buy"]) == [4, 3, 1]


WEEKS = log(
    *("ann view 0", "ann cart 1"),  # W10
    *("bob view 155", "bob cart 157"),  # from Sunday 23:00 to Monday 01:00: a start of W10
    *("bob view 400",),  # W12, and nothing follows
    *("cid view 410",),
)


def test_the_weekly_trend_counts_a_unit_in_each_week_in_which_it_starts(con, make_table):
    events = make_table(con, WEEKS)
    as_of = NOON + timedelta(hours=430)
    table = funnel.weekly_trend(events, ["view", "cart"], as_of=as_of)
    assert table["week"].tolist() == ["2026-W10"] * 2 + ["2026-W11"] * 2 + ["2026-W12"] * 2
    assert table["week_start"].iloc[0] == pd.Timestamp("2026-03-02")
    assert table["entered"].tolist() == [2, 2, 0, 0, 2, 0]
    assert table["open"].tolist() == [0, 0, 0, 0, 0, 1]
    assert table["complete"].tolist() == [True, True, True, True, False, False]
    assert math.isnan(table["overall_rate"][2])


def test_the_weekly_trend_with_a_window_over_several_weeks():
    frame = log("ann view 0", "ann cart 400", "ann view 390")
    table = funnel.weekly_trend(frame, ["view", "cart"], 24 * 21, as_of=LATER)
    assert table["entered"].tolist() == [1, 1, 0, 0, 1, 1]


def test_time_and_clicks_to_convert(con, make_table):
    frame = log(
        *("ann view 0", "ann search 0.5", "ann cart 1", "ann buy 3", "ann buy 20"),
        *("bob view 0", "bob view 2", "bob cart 4", "cid view 0"),
    )
    events = make_table(con, frame)
    steps = ["view", "cart", "buy"]
    table = funnel.time_to_convert(events, steps, as_of=LATER)
    assert table["step"].tolist() == ["cart", "buy"] and table["n"].tolist() == [2, 1]
    # Hours to the cart: Ann 1, Bob 2 (from his latest view); quantiles between them are linear.
    assert table.iloc[0, 2:].tolist() == pytest.approx([1.1, 1.25, 1.5, 1.75, 1.9])
    assert table["p50_hours"][1] == 3
    clicks = funnel.clicks_to_convert(events, steps, as_of=LATER)
    assert clicks["n"].tolist() == [2, 1] and clicks["p50_clicks"].tolist() == [1.5, 3]


def test_time_since_the_step_before_and_from_the_first_start():
    frame = log("bob view 0", "bob view 2", "bob cart 4", "bob cart 5", "bob buy 8")
    steps = ["view", "cart", "buy", "thank"]
    before = funnel.time_to_convert(frame, steps, since="previous", as_of=LATER)
    assert before["p50_hours"].tolist()[:2] == [2, 3]
    assert before["n"].tolist() == [1, 1, 0] and math.isnan(before["p50_hours"][2])
    first = funnel.time_to_convert(frame, steps, attempts="first", as_of=LATER)
    assert first["p50_hours"].tolist()[:2] == [4, 8]
    every = funnel.time_to_convert(frame, steps, attempts="every", as_of=LATER)
    assert every["n"].tolist() == [2, 2, 0] and every["p50_hours"].tolist()[:2] == [3, 7]
    clicks = funnel.clicks_to_convert(frame, steps, attempts="every", as_of=LATER)
    assert clicks["p50_clicks"].tolist()[:2] == [1.5, 3.5]


@pytest.mark.parametrize(
    "steps, options, place",
    [
        ([], {}, "steps"),
        (["view"], {}, "steps"),
        ("view", {}, "steps"),
        (["view", 3], {}, "steps"),
        (["view", "view"], {}, "steps"),
        (["view", "cart"], {"conversion_window_hours": 0}, "conversion_window_hours"),
        (["view", "cart"], {"conversion_window_hours": math.nan}, "conversion_window_hours"),
        (["view", "cart"], {"conversion_window_hours": 1e9}, "conversion_window_hours"),
        (["view", Step("cart", within_hours=-1)], {}, "cart.within_hours"),
        (["view", "cart"], {"unit": "visitors"}, "unit"),
        (["view", "cart"], {"unit": "person"}, "unit"),
        (["view", "cart"], {"by": "devise"}, "by"),
        (["view", "cart"], {"by": "event", "hold": "nothing"}, "hold"),
        (["view", "cart"], {"attempts": "all"}, "attempts"),
        (["view", "cart"], {"exclude": "leave"}, "exclude"),
        (["view", "cart"], {"as_of": "soon"}, "as_of"),
        (["view", "cart"], {"partitions": 0}, "partitions"),
        (["view", Step("cart", where={"pryce": 1})], {}, "cart.where"),
        (["view", Step("cart", where=lambda t: t.visitor_id)], {}, "cart.where"),
        (["view", Step("cart", where="price > 1")], {}, "cart.where"),
        (["view", Step("view", "again")], {"ordered": False}, "steps"),
        (["view", "cart"], {"ordered": False, "attempts": "first"}, "attempts"),
        (["view", "cart"], {"ordered": False, "exclude": ["leave"]}, "exclude"),
        (["view", Step("cart", within_hours=1)], {"ordered": False}, "cart.within_hours"),
    ],
)
def test_refusals_name_the_place(steps, options, place):
    with pytest.raises(Refusal) as refused:
        funnel.step_table(SHOP, steps, **options)
    assert refused.value.place == place


def test_a_refused_column_names_the_nearest():
    with pytest.raises(Refusal, match="did you mean 'device'"):
        funnel.step_table(SHOP, ["view", "cart"], by="devise")
    with pytest.raises(Refusal, match="rename it"):
        funnel.step_table(SHOP.assign(open="x"), ["view", "cart"], by="open")
    with pytest.raises(Refusal, match=r"pass shop\.events"):
        funnel.step_table("events.parquet", ["view", "cart"])
