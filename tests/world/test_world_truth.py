"""True probabilities against what happened, action by action; and against the bare formula."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.world import ACTIONS, open_truth, probability
from cdp_lib.world.actions import rates
from cdp_lib.world.counts import mean_counts
from cdp_lib.world.log import EVENTS

WINDOWS = (("2025-12-08", 7), ("2026-02-02", 30), ("2026-03-05", 60))


def standard_score(hit: pd.Series, p: pd.Series) -> float:
    # people are independent, so the number of them that act has variance Σ p (1 − p)
    return (hit.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())


def test_every_event_of_the_log_has_a_truth(quiet, world):
    from cdp_lib.tables.contract import EVENTS as named

    logged = {name for each in (quiet, world) for name in each.table("events")["event"].unique()}
    assert logged == set(EVENTS) == set(named)
    assert logged < set(ACTIONS)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("event", ACTIONS)
def test_as_many_act_as_the_truth_says(acted, quiet, deeds, event, window):
    for given in ("truth", "entered"):
        p = probability(quiet.truth, event, *window, given=given).dropna()
        assert p.between(0, 1).all()
        hit = acted(deeds, event, window, p)
        assert not hit[p == 0].any()
        assert abs(standard_score(hit, p)) < 4
        # and among those alike in probability: 5 classes, so 4.5 sigma keeps the error below 1e-4;
        # where a class expects too few for a normal law, the whole is checked alone
        some = p[p > 0]
        for _, part in some.groupby(pd.qcut(some, 5, duplicates="drop"), observed=True):
            assert part.sum() < 5 or abs(standard_score(hit[part.index], part)) < 4.5


@pytest.mark.parametrize("event", ["push_off", "unsubscribe"])
@pytest.mark.parametrize("window", [("2025-12-10", 60), ("2026-03-02", 90)], ids=str)
def test_campaigns_are_part_of_the_plan(acted, world, deeds_of, event, window):
    p = probability(world.truth, event, *window, given="truth").dropna()
    assert abs(standard_score(acted(deeds_of(world), event, window, p), p)) < 4


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
        of_owners = replace(quiet.truth, people=owners)
        p = pd.Series(rates(of_owners, event).direct / owners["cart_prob"].to_numpy())
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
    immortal = replace(quiet.truth, people=quiet.truth.people.assign(death_rate=1e-12))
    got = probability(immortal, "purchase", "2026-03-02", 30)
    day = (pd.Timestamp("2026-03-02") - pd.Timestamp("2025-11-24")).days
    bare = 1 - np.exp(-mean_counts(immortal, "purchase", day, np.array([day + 30.0]))[:, 0])
    np.testing.assert_allclose(got.dropna(), bare[got.notna()], atol=1e-9)


def test_windows_add_up(quiet):
    first, whole = mean_counts(quiet.truth, "purchase", 40.0, np.array([63.3, 100.0])).T
    second = mean_counts(quiet.truth, "purchase", 63.3, np.array([100.0]))[:, 0]
    there = (quiet.truth.people["entered_at"] < "2026-01-03").to_numpy()
    np.testing.assert_allclose(whole[there], (first + second)[there], rtol=1e-8)


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
