"""Groups by effect: planted ones are found, and what is said of their certainty holds."""

import numpy as np
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.lift import uplift_groups as groups


def test_groups_by_hand():
    predicted = np.array([0.2, 0.01, -0.01, -0.2, 0.05])
    untreated = np.array([0.1, 0.9, 0.1, 0.5, 0.9])
    got = groups.group_of(predicted, untreated, least=0.05, likely=0.5)
    assert got.tolist() == ["persuadable", "sure", "lost", "do not disturb", "sure"]
    with pytest.raises(Refusal, match="least"):
        groups.group_of(predicted, untreated, least=-1, likely=0.5)


def planted(n=4000, seed=1):
    """Four kinds of customers, their true group, and a measured effect of each."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, n)
    predicted = np.array([0.3, 0.0, 0.0, -0.3])[kind]
    untreated = np.array([0.2, 0.9, 0.1, 0.6])[kind]
    return np.array(groups.GROUPS)[kind], predicted + rng.normal(size=n), predicted, untreated


def test_planted_groups_are_borne_out():
    kind, effects, predicted, untreated = planted(40_000)
    assert (groups.group_of(predicted, untreated, 0.1, 0.5) == kind).all()
    table = groups.group_table(kind, effects, predicted, untreated, 0.1).set_index("group")
    # The standard error of a group's mean is 1 / sqrt(10,000) = 0.01; 0 and ±0.3 lie far from ±0.1.
    assert table.certain.to_dict() == dict.fromkeys(groups.GROUPS, "yes")
    assert table.measured.to_dict() == pytest.approx(
        dict(zip(groups.GROUPS, (0.3, 0, 0, -0.3), strict=True)), abs=0.04
    )
    # Of a persuadable, chance 0.2 without and 0.5 with: from 0.3 to 0.5 of them are turned.
    assert table.loc["persuadable", ["moved_low", "moved_high"]].tolist() == [0.3, 0.5]
    assert table.loc["do not disturb", ["moved_low", "moved_high"]].tolist() == pytest.approx(
        [0, 0.3]
    )


def test_a_wrong_or_unclear_grouping_is_told():
    kind, effects, predicted, untreated = planted(40_000)
    other = {"persuadable": "do not disturb", "do not disturb": "persuadable"}
    swapped = np.array([other.get(name, name) for name in kind])
    table = groups.group_table(swapped, effects, predicted, untreated, 0.1).set_index("group")
    assert table.certain["persuadable"] == table.certain["do not disturb"] == "no"
    # 150 customers each, of whom one half gains 5 and the other loses 5: an error of 0.4.
    kind = np.repeat(groups.GROUPS, 150)
    unclear = groups.group_table(kind, np.tile([5.0, -5.0], 300), np.zeros(600), None, 0.1)
    assert set(unclear.certain) == {"not yet"}


def test_how_many_stay_in_their_group():
    kind, effects, predicted, _ = planted()
    again = kind.astype(object).copy()
    again[: len(again) // 2] = ""  # others learned from these
    left = np.flatnonzero(again == "lost")
    again[left[: len(left) // 4]] = "sure"
    table = groups.group_table(kind, effects, predicted, None, 0.1, again).set_index("group")
    assert table.kept_share["persuadable"] == 1
    assert table.kept_share["lost"] == pytest.approx(0.75, abs=0.01)
    assert table.moved_low.isna().all()


def test_a_small_group_is_not_described():
    kind = np.array(["lost"] * 150 + ["sure"] * 99)
    table = groups.group_table(kind, np.ones(249), np.ones(249), None, 0.0).set_index("group")
    assert table.certain["sure"] == "too few" and np.isnan(table.measured["sure"])
    assert table.measured["lost"] == 1 and list(table.index) == ["sure", "lost"]


def test_calibration_by_hand_and_in_folds():
    predicted = np.array([4.0, 3, 2, 1, 40, 30, 20, 10])
    effects = np.array([1.0, 1, 0, 0, 3, 3, 2, 2])
    fold = np.array([0] * 4 + [1] * 4)
    table = groups.calibration_table(effects, predicted, fold, n_groups=2)
    assert table.n.tolist() == [4, 4]
    assert table.measured.tolist() == [2, 1]
    assert table.predicted.tolist() == [19.25, 8.25]


@pytest.mark.parametrize("slope", [1.0, 0.5, 0.0, -1.0])
def test_the_slope_is_found(slope):
    rng = np.random.default_rng(2)
    predicted = 5 + 0.1 * rng.normal(size=20_000)
    effects = slope * predicted + rng.normal(size=20_000)
    value, low, high = groups.slope(effects, predicted)
    # Standard error: 1 / (0.1 sqrt(20,000)) = 0.07.
    assert value == pytest.approx(slope, abs=0.28)
    assert low < slope + 0.1 and high > slope - 0.1
    assert high - low == pytest.approx(2 * 1.96 * 0.0707, rel=0.15)


def test_alike_predictions_have_no_slope():
    assert all(np.isnan(groups.slope(np.arange(9.0), np.ones(9))))
