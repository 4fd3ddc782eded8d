"""Profit: by hand, the closed form of the threshold, intervals; EMPC against an integral."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from cdp_lib.checks import Refusal
from cdp_lib.predict.empc import empc, hull
from cdp_lib.predict.profit import Offer, profit_curve, profit_table

OFFER = Offer(contact_cost=2, margin=100, saved_share=0.3, incentive_cost=10, taken_by_others=0.5)


def calibrated(seed: int, n: int):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 5, n)
    return (rng.random(n) < p).astype(int), p


def test_profit_by_hand():
    """A leaver earns 0.3 * 90 - 2 = 25; anyone else costs 0.5 * 10 + 2 = 7."""
    assert OFFER.per_hit() == 25 and OFFER.per_miss == -7
    y, p = [1, 0, 1, 0], [0.9, 0.6, 0.4, 0.1]
    curve = profit_curve(y, p, OFFER, n_boot=50)
    assert curve.profit.tolist() == [0, 25, 18, 43, 36]
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.6, 0.4, 0.1]
    assert curve.expected.tolist()[1] == pytest.approx(0.9 * 25 - 0.1 * 7)
    got = profit_table(y, p, OFFER, lists={"half": [0.5] * 4}, n_boot=50).set_index("policy")
    assert got.threshold["best threshold"] == pytest.approx(7 / 32)
    assert got.profit.to_dict() == {
        "best threshold": 43, "threshold 0.5": 18, "everyone": 36, "nobody": 0,
        "best in hindsight": 43, "half": 18,
    }  # fmt: skip
    assert got.lost["threshold 0.5"] == 25 and got.n_contacts["half"] == 2


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0, 20), st.floats(1, 500), st.floats(0, 1), st.floats(0, 400), st.floats(0, 1),
    st.floats(0, 1),
)  # fmt: skip
def test_the_threshold_is_where_a_contact_pays(cost, margin, saved, incentive, others, p):
    offer = Offer(cost, margin, saved, incentive, others)
    pays = p * (saved * (margin - incentive)) - (1 - p) * others * incentive - cost
    if abs(pays) > 1e-6:
        assert (p > offer.threshold()) == (pays > 0)


def test_the_closed_form_is_the_best_of_all_thresholds():
    """400,000 calibrated customers: the total at the closed form is within noise of the best.

    Away from the optimum profit falls with the square of the distance, so the hindsight best
    exceeds it by no more than a few customers' worth: 32 (one swing) * sqrt(n) is 5 sd.
    """
    y, p = calibrated(1, 400_000)
    got = profit_table(y, p, OFFER, n_boot=20).set_index("policy")
    assert got.threshold["best in hindsight"] == pytest.approx(OFFER.threshold(), abs=0.02)
    gap = got.profit["best in hindsight"] - got.profit["best threshold"]
    assert 0 <= gap < 32 * np.sqrt(400_000)
    assert got.lost_low["threshold 0.5"] > 0 and got.lost_low["everyone"] > 0


def test_values_of_their_own_beat_one_threshold():
    """Half are worth 20 and half 300: contacting by expected profit earns more than by p."""
    y, p = calibrated(2, 50_000)
    value = np.where(np.arange(50_000) % 2, 20.0, 300.0)
    one = p > OFFER.threshold()
    got = profit_table(y, p, OFFER, value=value, lists={"one": one}, n_boot=100)
    got = got.set_index("policy")
    assert got.profit["best threshold"] > got.profit["one"] and got.lost_low["one"] > 0
    chosen = p > OFFER.threshold(value)
    assert (chosen == (OFFER.expected(p, value) > 0)).all()
    gains = np.where(y == 1, 0.3 * (value - 10) - 2, -7)
    assert got.profit["best threshold"] == pytest.approx(gains[chosen].sum())


@pytest.mark.parametrize("repeats", [1, 3])
def test_intervals_of_profit_hold_the_truth(repeats):
    """True profit per customer at a fixed threshold, in closed form for Beta(1, 5) probabilities.

    150 samples: fewer than 133 held has probability 1e-3 at 95 %.
    """
    cut = OFFER.threshold()
    inside = stats.beta(1, 5)
    hits = integrate.quad(lambda p: p * inside.pdf(p), cut, 1)[0]
    true = hits * 25 - (inside.sf(cut) - hits) * 7
    held = 0
    for seed in range(150):
        y, p = (np.repeat(part, repeats) for part in calibrated(seed, 1200 // repeats))
        ids = np.repeat(np.arange(1200 // repeats), repeats)
        got = profit_table(y, p, OFFER, ids=ids, n_boot=200).iloc[0]
        held += got.low <= true * 1200 <= got.high
    assert held >= 133


def test_the_expected_curve_is_met_when_calibrated():
    """A row's profit differs from its expectation by (y - p) times the swing of 32: 4.5 sd."""
    y, p = calibrated(3, 100_000)
    curve = profit_curve(y, p, OFFER, n_points=50, n_boot=100)
    assert len(curve) == 51 and curve.contacted.iloc[-1] == 1
    noise = 32 * np.sqrt([(p * (1 - p))[p >= cut].sum() for cut in curve.threshold])
    assert ((curve.profit - curve.expected).abs() <= 4.5 * noise).all()
    assert ((curve.low <= curve.profit) & (curve.profit <= curve.high)).all()


@pytest.mark.parametrize("kind", ["random", "fair", "sharp", "tied", "inverse"])
def test_empc_equals_an_integral_over_gamma(kind):
    """For each gamma the best over every threshold, nobody included; then Simpson over gamma."""
    rng = np.random.default_rng(4)
    y = (rng.random(400) < 0.2).astype(int)
    score = {
        "random": rng.random(400),
        "fair": y + rng.normal(0, 1.5, 400),
        "sharp": y + rng.normal(0, 0.2, 400),
        "tied": np.round(y + rng.normal(0, 1, 400)),
        "inverse": -y + rng.normal(0, 1, 400),
    }[kind]
    for clv, d, f, alpha, beta in [(200, 10, 1, 6, 14), (50, 10, 2, 2, 2), (90, 0, 5, 3, 9)]:
        gamma = np.linspace(0, 1, 20_001)
        best, share = np.zeros_like(gamma), np.zeros_like(gamma)
        for cut in np.unique(score):
            chosen = score >= cut
            hit, miss = (chosen & (y == 1)).mean(), (chosen & (y == 0)).mean()
            profit = hit * (gamma * (clv - d) - f) - miss * (d + f)
            share = np.where(profit > best, chosen.mean(), share)
            best = np.maximum(best, profit)
        density = stats.beta(alpha, beta).pdf(gamma)
        got = empc(y, score, clv, d, f, alpha, beta)
        assert got.profit == pytest.approx(integrate.simpson(best * density, x=gamma), abs=1e-5)
        assert got.contacted == pytest.approx(integrate.simpson(share * density, x=gamma), abs=1e-3)


def test_empc_of_a_perfect_model_in_closed_form():
    """All leavers and nobody else are contacted: 0.2 * E[(190 gamma - 1)+], gamma ~ Beta(6, 14).

    Below gamma = 1/190 the part cut off is under 1e-12, so it is 0.2 * (190 * 0.3 - 1) = 11.2.
    """
    y = np.repeat([1, 0], [20, 80])
    assert empc(y, y).profit == pytest.approx(11.2, abs=1e-8)
    assert empc(y, y).contacted == pytest.approx(0.2, abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=30))
def test_the_hull_lies_above_and_is_concave(hits):
    steps = np.array(hits)
    x, y = np.r_[0, np.cumsum(1 - steps)], np.r_[0, np.cumsum(steps)]
    corners = hull(x, y)
    assert (np.interp(x, *corners.T) >= y - 1e-9).all() or (np.diff(corners[:, 0]) == 0).any()
    turns = np.cross(
        np.c_[np.diff(corners, axis=0)[:-1], np.zeros(max(len(corners) - 2, 0))],
        np.c_[np.diff(corners, axis=0)[1:], np.zeros(max(len(corners) - 2, 0))],
    )[:, 2] if len(corners) > 2 else np.array([-1.0])  # fmt: skip
    assert (turns < 0).all()


def test_bad_input_is_refused():
    with pytest.raises(Refusal, match="saved_share"):
        Offer(saved_share=1.2)
    with pytest.raises(Refusal, match="margin"):
        Offer(margin=0)
    with pytest.raises(Refusal, match="not an amount a row"):
        profit_table([0, 1], [0.1, 0.2], OFFER, value=[1.0, np.nan])
    with pytest.raises(Refusal, match="not a chance a row"):
        profit_table([0, 1], [0.1, 0.2], OFFER, lists={"x": [0, 2]})
    with pytest.raises(Refusal, match="worth no less"):
        empc([0, 1], [0, 1], clv=5)


def test_an_offer_that_never_pays_is_made_to_nobody():
    never = Offer(contact_cost=5, margin=10, saved_share=0.1, incentive_cost=20)
    assert never.threshold() == np.inf
    got = profit_table(*calibrated(5, 500), never, n_boot=20).set_index("policy")
    assert got.profit["best threshold"] == 0 and got.profit["everyone"] < 0
