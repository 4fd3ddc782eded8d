"""True probabilities against what happened, action by action; and against the bare formula."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.world import open_truth, probability
from cdp_lib.world.truth import ACTIONS, action_rates, expected_count

WINDOWS = (("2025-12-08", 7), ("2026-02-02", 30), ("2026-03-02", 45))


@pytest.fixture(scope="module")
def seen(quiet) -> pd.DataFrame:
    """Person, action and instant of each event, by the truth and not by the shop's own ids."""
    events = quiet.table("events")
    owner = quiet.truth.table("carts").set_index("cart_id")["person_id"]
    events["person_id"] = events["cart_id"].map(owner).fillna(events["customer_id"])
    known = events.dropna(subset=["person_id"])
    cheaper = quiet.table("orders").query("discount > 0").order_id
    coupons = known[known["order_id"].isin(cheaper) & (known["event"] == "purchase")]
    known = pd.concat([known, coupons.assign(event="use_coupon")])
    return known[known["event"].isin(ACTIONS)][["person_id", "event", "occurred_at"]]


def standard_score(hit: pd.Series, p: pd.Series) -> float:
    # people are independent, so the number of them that act has variance Σ p (1 − p)
    return (hit.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("event", [a for a in ACTIONS if a not in ("visit", "view_item")])
def test_as_many_act_as_the_truth_says(quiet, seen, event, window):
    start, days = pd.Timestamp(window[0]), window[1]
    end = start + pd.Timedelta(days=days)
    mine = seen[(seen["event"] == event) & seen["occurred_at"].between(start, end, "left")]
    for given in ("truth", "entered")[: 1 if days > 7 else 2]:
        p = probability(quiet.truth, event, start, days, given=given).dropna()
        hit = pd.Series(p.index.isin(mine["person_id"]), p.index)
        assert abs(standard_score(hit, p)) < 4
        # and among those alike in probability: 5 classes, so 4.5 sigma keeps the error below 1e-4
        for _, part in p[p > 0].groupby(pd.qcut(p[p > 0], 5), observed=True):
            assert abs(standard_score(hit[part.index], part)) < 4.5


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("event", ["visit", "view_item"])
def test_visits_of_anonymous_people_count_too(quiet, event, window):
    """Visits carry no person, so the people are drawn again from the same seed, in memory."""
    from cdp_lib.world.ids import ids
    from cdp_lib.world.log import CODE
    from cdp_lib.world.tables import numbered
    from cdp_lib.world.visits import APP_REMOVE

    chunk = redrawn(quiet)
    start = (pd.Timestamp(window[0]) - pd.Timestamp("2025-11-24")).days
    p = probability(quiet.truth, event, window[0], window[1], given="truth").dropna()
    rows = chunk.rows
    wanted = (
        chunk.visits.reason[rows.visit] < APP_REMOVE
        if event == "visit"
        else rows.code == CODE["view_item"]
    )
    inside = (rows.seconds >= start * 86_400) & (rows.seconds < (start + window[1]) * 86_400)
    who = np.unique(chunk.visits.person[rows.visit[wanted & inside]])
    names = ids("c", numbered(0, who, bits=20)).to_pylist()
    hit = pd.Series(p.index.isin(names), p.index)
    assert abs(standard_score(hit, p)) < 4


def redrawn(written):
    from cdp_lib.world.catalogue import catalogue
    from cdp_lib.world.chunk import draw_chunk
    from cdp_lib.world.leaving import leaving

    about = written.truth.about
    seed, weeks = about["seed"], about["weeks"]
    world = written.truth.world
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    goods = catalogue(world, weeks, rng)
    child = np.random.SeedSequence(seed, spawn_key=(1,))
    law = leaving(world, goods)
    return draw_chunk(
        world, goods, law, written.truth.clock, weeks * 7, 0, about["customers"], child
    )


def test_a_cart_gets_as_far_at_once_as_its_persons_rates_say(quiet):
    carts = quiet.truth.table("carts")
    people = quiet.truth.people.set_index("person_id")
    owners = people.loc[carts["person_id"]].reset_index()
    cause = carts["cause"].reset_index(drop=True)
    begins = (carts["outcome"] != "emptied").to_numpy() & (cause != "low_intent")
    ships = begins & (cause != "account")
    pays = ships & ~cause.isin(["extra_costs", "long_checkout"])
    buys = pays & (cause != "trust")
    for event, reached in (
        ("begin_checkout", begins),
        ("add_shipping_info", ships),
        ("add_payment_info", pays),
        ("purchase", buys),
    ):
        direct, _, _ = action_rates(quiet.truth.world, owners, event)
        p = pd.Series(direct / owners["cart_prob"].to_numpy())
        assert abs(standard_score(reached, p)) < 4, event


def test_alive_is_more_than_entered_and_a_longer_window_is_more(quiet):
    alive = probability(quiet.truth, "purchase", "2026-03-02", 30)
    entered = probability(quiet.truth, "purchase", "2026-03-02", 30, given="entered")
    longer = probability(quiet.truth, "purchase", "2026-03-02", 60)
    there = alive.notna()
    assert there.any() and not there.all()
    assert (entered[there] < alive[there]).all() and (alive[there] < longer[there]).all()
    assert alive[there].between(0, 1).all()


def test_an_endless_life_leaves_the_bare_formula(quiet):
    from dataclasses import replace

    immortal = replace(quiet.truth, people=quiet.truth.people.assign(death_rate=1e-12))
    got = probability(immortal, "purchase", "2026-03-02", 30)
    day = (pd.Timestamp("2026-03-02") - pd.Timestamp("2025-11-24")).days
    bare = 1 - np.exp(-expected_count(immortal, "purchase", day, day + 30.0))
    np.testing.assert_allclose(got.dropna(), bare[got.notna()], atol=1e-9)


def test_windows_add_up(quiet):
    whole = expected_count(quiet.truth, "purchase", 40.0, 100.0)
    parts = expected_count(quiet.truth, "purchase", 40.0, 63.3)
    parts = parts + expected_count(quiet.truth, "purchase", 63.3, 100.0)
    there = (quiet.truth.people["entered_at"] < "2026-01-03").to_numpy()
    np.testing.assert_allclose(whole[there], parts[there], rtol=1e-9)


def test_the_windows_end_at_any_hour_and_beyond_the_span(quiet):
    p = probability(quiet.truth, "purchase", "2026-05-25T06:00:00", 90.5)
    assert p.dropna().between(0, 1).all()


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("buy", "2026-01-01", 7), "event"),
        (("purchase", "2026-01-01", 0), "horizon_days"),
        (("purchase", "2020-01-01", 7), "start"),
        (("purchase", "2026-01-01", 7, "dead"), "given"),
    ],
)
def test_refusals(quiet, arguments, place):
    with pytest.raises(Refusal) as refused:
        probability(quiet.truth, *arguments)
    assert refused.value.place == place


def test_a_folder_without_truth_is_refused(tmp_path):
    with pytest.raises(Refusal, match="simulate a world there"):
        open_truth(tmp_path)


def test_the_law_survives_the_file(quiet):
    from cdp_lib.world import World

    assert World.from_dict(quiet.truth.about["world"]) == quiet.truth.world
    assert quiet.truth.world == World(campaigns=())


def test_step_probabilities_are_what_the_carts_did(world):
    carts = world.truth.table("carts")
    carts = carts[~carts["extra"]]
    steps = world.truth.about["step_probability"]
    begins = (carts["outcome"] != "emptied") & (carts["cause"] != "low_intent")
    passes = begins & (carts["cause"] != "account")
    pays = passes & ~carts["cause"].isin(["extra_costs", "long_checkout"])
    buys = pays & (carts["cause"] != "trust")
    pairs = {
        "begin_checkout": (begins, pd.Series(True, carts.index)),
        "account": (passes, begins),
        "add_payment_info": (pays, passes),
        "purchase": (buys, pays),
    }
    for name, (reached, entered) in pairs.items():
        p, n = steps[name], entered.sum()
        # the entered are themselves drawn: twice the binomial variance bounds the ratio's
        assert abs(reached.sum() / n - p) < 4 * np.sqrt(2 * p * (1 - p) / n), name


def test_pairs_are_bought_together(world):
    lines = world.table("order_lines")
    lines = lines[lines["quantity"] > 0]
    pairs = world.truth.table("pairs")
    together = lines.merge(lines, on="order_id").query("product_id_x != product_id_y")
    planted = together.merge(
        pairs, left_on=["product_id_x", "product_id_y"], right_on=["product_id", "complement_id"]
    )
    of_all = len(pairs) / lines["product_id"].nunique() ** 2
    assert len(planted) / len(together) > 10 * of_all
    assert set(pairs["product_id"]) == set(pairs["complement_id"])
    sizes = world.table("products").set_index("product_id")["size"]
    one, two = sizes[pairs["product_id"]].to_numpy(), sizes[pairs["complement_id"]].to_numpy()
    both_sized = pd.notna(one) & pd.notna(two)
    assert both_sized.any() and (one[both_sized] == two[both_sized]).all()
