"""The clock's formulas against plain numerical sums, and visits against the clock."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cdp_lib.world.clock import clock, hour_factors
from cdp_lib.world.law import World
from cdp_lib.world.people import draw_people
from cdp_lib.world.visits import draw_base_visits

START = datetime(2025, 11, 24)
DAYS = 60
TIME = clock(START, DAYS, World())
LAW = World()
moments = st.floats(0, DAYS - 0.01)
preferences = st.integers(0, 3)


def delay_cdf(age: np.ndarray) -> np.ndarray:
    over = np.maximum(age - LAW.delay_shift_hours / 24, 0)
    parts = zip(LAW.delay_weights, LAW.delay_mean_days, strict=True)
    return 1 - sum(weight * np.exp(-over / mean) for weight, mean in parts)


def summed(preference: int, since: float, upto: float, t: float) -> float:
    """∫ s(u) G(t − u) du by the midpoint rule, 50 cells between any two hours or kinks of G."""
    kinks = np.concatenate([np.arange(DAYS * 24 + 1) / 24, [t - LAW.delay_shift_hours / 24]])
    edges = np.unique(np.clip(np.append(kinks, [since, upto]), since, upto))
    width = np.diff(edges)[:, None]
    u = edges[:-1, None] + (np.arange(50) + 0.5) / 50 * width
    level = TIME.level[preference, np.minimum((u[:, 25] * 24).astype(int), DAYS * 24 - 1)]
    late = np.where(u < t, delay_cdf(t - u), 0.0)
    return float((level * late.mean(axis=1) * width[:, 0]).sum())


@settings(max_examples=60, deadline=None)
@given(preferences, moments, moments, moments)
def test_displaced_is_the_integral_it_says(preference, a, b, c):
    since, upto, t = sorted((a, b, c))
    p = np.array([preference])
    got = TIME.displaced(p, np.array([since]), np.array([upto]), np.array([t]))[0]
    # the rule errs by width³/24 · |G''| per cell: 60 days of cells of 1/1200 day, |G''| < 8
    assert got == pytest.approx(summed(preference, since, upto, t), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(preferences, moments)
def test_invert_undoes_integral(preference, t):
    p = np.array([preference])
    back = TIME.invert(p, TIME.integral(p, np.array([t])))
    assert back[0] == pytest.approx(t, abs=1e-9)


def test_a_day_holds_its_season_and_weekday_whatever_the_hour_preference():
    assert hour_factors().mean(axis=1) == pytest.approx(1)
    days = np.arange(DAYS, dtype=float)
    by_day = [
        TIME.integral(np.full(DAYS, p), days + 1) - TIME.integral(np.full(DAYS, p), days)
        for p in range(4)
    ]
    np.testing.assert_allclose(by_day, np.broadcast_to(by_day[0], (4, DAYS)))
    assert by_day[0][6] > by_day[0][2]  # Sunday over Wednesday


def test_visits_are_poisson_with_the_clocks_mean():
    rng = np.random.default_rng(1)
    people = draw_people(LAW, 4000, 4000, DAYS, rng)
    person, at = draw_base_visits(people, TIME, DAYS, rng)
    stop = np.minimum(people.end, DAYS)
    amount = TIME.integral(people.hour, stop) - TIME.integral(people.hour, people.entry)
    mean = people.visit_rate * amount
    # a sum of Poisson counts is Poisson: standard score within 4
    assert abs(len(person) - mean.sum()) < 4 * np.sqrt(mean.sum())
    count = np.bincount(person, minlength=len(people))
    # Σ (N − m)² / m has mean n and variance Σ (2 + 1/m), over people with m not tiny
    usual = mean > 0.2
    score = ((count - mean) ** 2 / mean)[usual]
    assert abs(score.sum() - usual.sum()) < 4 * np.sqrt((2 + 1 / mean[usual]).sum())
    assert (at >= people.entry[person]).all() and (at < stop[person]).all()
    assert (np.diff(at)[np.diff(person) == 0] >= 0).all()


def test_visits_are_uniform_in_the_clocks_own_time():
    rng = np.random.default_rng(2)
    people = draw_people(LAW, 3000, 0, DAYS, rng)
    person, at = draw_base_visits(people, TIME, DAYS, rng)
    stop = np.minimum(people.end, DAYS)
    whole = TIME.integral(people.hour, stop)[person]
    place = TIME.integral(people.hour[person], at) / whole
    # given their number, points of a Poisson process are uniform; p below 1e-4 once in 10,000
    assert stats.kstest(place, "uniform").pvalue > 1e-4


def test_rates_and_lives_have_the_means_of_their_kind():
    rng = np.random.default_rng(3)
    people = draw_people(LAW, 60_000, 0, DAYS, rng)
    for k, kind in enumerate(LAW.kinds):
        mine = people.kind == k
        n = mine.sum()
        share = kind.existing_share
        assert abs(n - 60_000 * share) < 4 * np.sqrt(60_000 * share * (1 - share)) + 1e-9
        if not n:
            continue
        rate = people.visit_rate[mine]
        sigma = kind.visit_rate / np.sqrt(LAW.rate_shape * n)  # Gamma: variance mean²/shape
        assert abs(rate.mean() - kind.visit_rate) < 4 * sigma
        death = people.death_rate[mine]
        sigma = 1 / kind.life_days / np.sqrt(LAW.death_shape * n)
        assert abs(death.mean() - 1 / kind.life_days) < 4 * sigma
        aged = (people.end - people.entry)[mine] * death  # Exponential(1)
        assert stats.kstest(aged, "expon").pvalue > 1e-4


def test_delays_follow_their_distribution():
    drawn = TIME.delays(np.random.default_rng(4), 100_000)
    assert stats.kstest(drawn, delay_cdf).pvalue > 1e-4
