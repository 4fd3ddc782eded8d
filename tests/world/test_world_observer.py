"""The best observer: calibrated, better than one who sees no log, worse than the truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.world import (
    ACTIONS,
    World,
    observer_alive,
    observer_probability,
    probability,
)
from cdp_lib.world.counts import OpenCarts
from cdp_lib.world.observer import Evidence, _weighed, gather
from cdp_lib.world.presence import posterior

WINDOW = ("2026-03-26", 45)
OTHERS = (("2026-02-02", 30), ("2026-03-26", 7))
ASKED = [(event, WINDOW) for event in ACTIONS]
ASKED += [(event, w) for event in ("purchase", "login", "contact_support") for w in OTHERS]


def standard_score(hit: pd.Series, p: pd.Series) -> float:
    return (hit.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())


def by_tenths(p: pd.Series):
    some = p[p > 0]
    return some.groupby(pd.qcut(some, 10, duplicates="drop"), observed=True)


@pytest.mark.parametrize(("event", "window"), ASKED, ids=str)
def test_its_probabilities_come_true(acted, quiet, deeds, event, window):
    p = observer_probability(quiet.truth, event, *window).dropna()
    assert p.between(0, 1).all()
    hit = acted(deeds, event, window, p)
    assert not hit[p == 0].any()
    assert abs(standard_score(hit, p)) < 4
    # ten classes: 4.5 sigma keeps the error of all below 1e-4; a normal law wants some expected
    for _, part in by_tenths(p):
        assert part.sum() < 5 or abs(standard_score(hit[part.index], part)) < 4.5


@pytest.mark.parametrize("start", ["2026-02-02", "2026-03-26", "2026-05-18T06:00"])
def test_it_knows_how_likely_each_person_still_lives(quiet, start):
    p = observer_alive(quiet.truth, start).dropna()
    lives = quiet.truth.people.set_index("person_id")["ends_at"] > pd.Timestamp(start)
    lives = lives.loc[p.index]
    assert abs(standard_score(lives, p)) < 4
    for _, part in by_tenths(p):
        assert abs(standard_score(lives[part.index], part)) < 4.5


def test_it_weighs_each_sign_rightly(quiet):
    """Among people alike in one sign, as many live as it says: a sign left out would show."""
    start = "2026-03-26"
    seen = gather(quiet.truth, quiet.truth.window(start, 0))
    n = len(seen.last)
    silent = np.bincount(seen.messages["person"], minlength=n)
    unread = np.bincount(seen.messages["person"], -seen.messages["factor"], minlength=n)
    asked = np.bincount(seen.visits["person"], seen.visits["factor"] > 0, minlength=n)
    waits = np.bincount(seen.carts.person, seen.last[seen.carts.person] - seen.carts.opened < 1, n)
    app = (quiet.truth.people["app_share"] > 0).to_numpy()
    p = observer_alive(quiet.truth, start)
    lives = (quiet.truth.people["ends_at"] > start).set_axis(p.index)
    unclear = ((p > 0.02) & (p < 0.98)).to_numpy()
    for part in (
        silent == 0, silent > 8, (unread < 0.5) & (silent > 0), unread > 2, asked > 0, asked == 0,
        waits > 0, waits == 0, app, ~app,
    ):  # fmt: skip
        part = part & unclear
        assert part.sum() > 20 and abs(standard_score(lives[part], p[part])) < 4


def log_loss(hit: pd.Series, p: pd.Series) -> pd.Series:
    kept = p.clip(1e-12, 1 - 1e-12)
    return -np.where(hit, np.log(kept), np.log(1 - kept))


@pytest.mark.parametrize("event", ["purchase", "visit", "contact_support", "login"])
def test_the_log_is_worth_something_and_the_truth_more(acted, quiet, deeds, event):
    """Each knows what the one before it knows and more, so the expected loss falls."""
    from sklearn.metrics import roc_auc_score

    window = ("2026-03-26", 30)
    blind = probability(quiet.truth, event, *window, given="entered").dropna()
    seeing = observer_probability(quiet.truth, event, *window).dropna()
    knowing = probability(quiet.truth, event, *window, given="truth").dropna()
    hit = acted(deeds, event, window, blind)
    areas = [roc_auc_score(hit, p) for p in (blind, seeing, knowing)]
    assert areas == sorted(areas)
    for worse, better in ((blind, seeing), (seeing, knowing)):
        # both are exact given what they know: the gain of a person has positive mean
        gain = log_loss(hit, worse) - log_loss(hit, better)
        assert gain.sum() > 2 * np.sqrt((gain**2).sum())


def test_a_steady_stream_gives_the_formula_of_pareto_nbd():
    """P(alive | last seen at x, silent until t) = 1 / (1 + μ/(λ+μ) · (exp((λ+μ)(t−x)) − 1)),
    Schmittlein, Morrison & Colombo (1987), with λ and μ known.
    """
    rate, death = np.array([0.02, 0.1, 0.4]), np.array([0.01, 0.002, 0.03])
    last, begin = np.array([10.0, 63.5, 95.25]), 100.0
    grid = np.arange(-95.0, 1.0)
    silent = np.maximum(begin + grid - last[:, None], 0)
    mass = posterior(death, last, begin, grid, -rate[:, None] * silent)
    both = rate + death
    wanted = 1 / (1 + death / both * np.expm1(both * (begin - last)))
    # the trapezoid on days of a curve exp(−λx): relative error (λ · 1)² / 12 of the dead's part
    assert np.all(np.abs(mass[:, -1] - wanted) < rate**2 / 12 * (1 - wanted) + 1e-12)
    np.testing.assert_allclose(mass.sum(axis=1), 1)


def test_a_cart_that_does_not_come_back_speaks_for_an_end(quiet):
    """Against the integral on a grid of minutes, for one who left two carts and fell silent."""
    truth, begin, last = quiet.truth.rows(np.array([7])), 110.0, np.array([101.3])
    law, time, hour = truth.world, truth.clock, truth.hours()
    opened = np.array([101.3, 99.0])
    carts = OpenCarts(np.zeros(2, int), opened, np.zeros(2, int), np.zeros(2, bool))
    none = pd.DataFrame({"person": [], "at": [], "factor": []}).astype({"person": int})
    rate, death = truth.number("visit_rate")[0], truth.number("death_rate")[0]
    t = np.linspace(last[0], begin, 20_001)
    silent = np.exp(-rate * (time.integral(hour, t) - time.integral(hour, last)))
    silent *= np.where(truth.number("app_share")[0] > 0, 1 - np.minimum((begin - t) / 3, 1) / 2, 1)
    back = law.buy_later_share + (1 - law.buy_later_share) * law.touch_share
    shares = []
    for some in (carts, carts.where(np.zeros(2, bool))):
        alone = silent.copy()
        for at in some.opened:
            age = np.maximum(t - at - law.delay_shift_hours / 24, 0)
            gone = sum(
                w * np.exp(-age / m)
                for w, m in zip(law.delay_weights, law.delay_mean_days, strict=True)
            )
            alone = alone * (1 - back * (1 - gone))
        dead = np.trapezoid(death * np.exp(-death * (t - last)) * alone, t)
        lives = np.exp(-death * (begin - last[0])) * alone[-1]
        seen = Evidence(last, np.zeros(1, bool), some, none, none)
        grid, _, mass = next(_weighed(truth, begin, seen, np.arange(15.0)))
        shares.append(mass[0, grid >= 0].sum())
        # days against minutes: the delay's shorter part bends within a day
        np.testing.assert_allclose(1 - shares[-1], dead / (dead + lives), rtol=0.02)
    assert (1 - shares[0]) > 1.05 * (1 - shares[1])


def test_nothing_after_the_start_is_read(quiet, tmp_path):
    """A shop whose log ends at the start gives the same probabilities."""
    start = pd.Timestamp("2026-03-26")
    (tmp_path / "truth").mkdir()
    for name, column in (("events", "occurred_at"), ("messages", "sent_at")):
        table = quiet.table(name)
        table = table[table[column] < start]
        for later in ("delivered_at", "opened_at", "clicked_at", "unsubscribed_at"):
            if later in table:
                table[later] = table[later].where(table[later] < start)
        table.to_parquet(tmp_path / f"{name}.parquet")
    visits = quiet.truth.table("visits")
    visits[visits["started_at"] < start].to_parquet(tmp_path / "truth" / "visits.parquet")
    quiet.truth.table("carts").to_parquet(tmp_path / "truth" / "carts.parquet")
    # ends of lives are the one thing the observer may not know
    people = quiet.truth.people.assign(ends_at=pd.NaT)
    cut = replace(quiet.truth, folder=tmp_path / "truth", people=people)
    for event in ("purchase", "contact_support", "unsubscribe", "app_remove"):
        whole = observer_probability(quiet.truth, event, start, 30)
        pd.testing.assert_series_equal(observer_probability(cut, event, start, 30), whole)


def test_an_app_removed_before_means_gone(quiet):
    visits = quiet.truth.table("visits")
    start = pd.Timestamp("2026-03-26")
    gone = visits[(visits["reason"] == "app_remove") & (visits["started_at"] < start)]
    p = observer_probability(quiet.truth, "visit", start, 30)
    assert len(gone) and (p[gone["person_id"]] == 0).all()
    assert (observer_alive(quiet.truth, start)[gone["person_id"]] == 0).all()


def test_open_carts_are_those_left_and_not_seen_again(quiet):
    begin = 122.0
    seen = gather(quiet.truth, begin)
    late = pd.Timestamp(quiet.truth.clock.start) + pd.Timedelta(days=begin)
    visits = quiet.truth.table("visits")
    events = quiet.table("events").merge(visits, on="session_id").dropna(subset=["cart_id"])
    events = events[events["occurred_at"] < late]
    again = events.loc[events["reason"] != "own", "cart_id"]
    left = quiet.truth.table("carts").dropna(subset=["cause"])["cart_id"]
    opened = events[events["cart_id"].isin(left) & ~events["cart_id"].isin(again)]
    opened = opened.groupby("cart_id")["started_at"].first()
    # the last week: nobody's last sign of life is so long after it that it would be forgotten
    wanted = opened[opened >= late - pd.Timedelta(days=7)]
    found = seen.carts.opened[seen.carts.opened >= begin - 7]
    np.testing.assert_allclose(np.sort(found), np.sort(quiet.truth.days_of(wanted)))
    assert len(wanted) > 100


def test_without_campaigns_or_with_them_everybody_has_a_probability(world):
    p = observer_probability(world.truth, "purchase", "2026-06-01", 30)
    entered = (world.truth.people["entered_at"] <= "2026-06-01").to_numpy()
    assert p.notna().to_numpy().tolist() == entered.tolist()
    assert p.dropna().between(0, 1).all()


def test_a_world_of_few_people(write_world, tmp_path):
    tiny = write_world(tmp_path, customers=2, weeks=3, seed=1, params=World(campaigns=()))
    for event in ACTIONS:
        assert observer_probability(tiny.truth, event, "2025-12-08", 3).dropna().between(0, 1).all()


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("buy", "2026-01-01", 7), "event"),
        (("purchase", "2026-01-01", 0), "horizon_days"),
        (("purchase", "2020-01-01", 7), "start"),
        (("unsubscribe", "2026-01-01", 0.5), "horizon_days"),
        (("login", "2026-07-01", 7), "start"),
    ],
)
def test_refusals(quiet, arguments, place):
    with pytest.raises(Refusal) as refused:
        observer_probability(quiet.truth, *arguments)
    assert refused.value.place == place
