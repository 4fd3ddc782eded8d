"""Learning effects: the planted ones are found, nothing is judged by what has seen it."""

import numpy as np
import pytest
from uplift_worlds import first_fifth, sheet, world

from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.lift.uplift import FOLDS, TEACHING, fit, foretold
from cdp_lib.lift.uplift_learners import Sheet, ceiling, leaf_rows


@pytest.mark.parametrize("kind", ["conversion", "revenue"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_planted_effects_are_found(kind, share):
    x, treated, y, _ = world(30_000, 1, kind, share)
    new, _, _, effect = world(20_000, 2, kind)
    model = fit(sheet(x), treated, y, share)
    found = model.effect(sheet(new))
    oracle, chance = first_fifth(effect, effect), effect.mean() / 5
    reached = (first_fifth(found, effect) - chance) / (oracle - chance)
    # Of what an order can gain over chance. Ten seeds gave 0.71 and more; noise alone gives 0.
    assert reached > 0.6
    # The mean effect has a standard error of sd / sqrt(n p (1 - p)); four of them.
    error = y.std() / np.sqrt(len(y) * share * (1 - share))
    assert found.mean() == pytest.approx(effect.mean(), abs=4 * error)


def test_more_rows_come_nearer_to_the_oracle():
    new, _, _, effect = world(20_000, 2)
    reached = []
    for n in (3_000, 12_000, 48_000):
        x, treated, y, _ = world(n, 3)
        reached.append(first_fifth(fit(sheet(x), treated, y, 0.5).effect(sheet(new)), effect))
    assert reached == sorted(reached)


def test_contributions_add_up_to_the_effect():
    x, treated, y, _ = world(20_000, 4)
    model = fit(sheet(x), treated, y, 0.5)
    values, base = model.contributions(sheet(x[:200]))
    assert values.shape == (200, 8)
    np.testing.assert_allclose(values.sum(axis=1) + base, model.effect(sheet(x[:200])), atol=1e-5)
    # Columns 6 and 7 have nothing to do with anything; column 4 has the largest effect.
    strength = np.abs(values).mean(axis=0)
    assert strength.argmax() == 4 and strength[4] > 3 * strength[6:].max()


def test_the_same_rows_give_the_same_model():
    x, treated, y, _ = world(2_000, 5)
    one, other = (fit(sheet(x), treated, y, 0.5, seed=3) for _ in range(2))
    assert one.effect_trees.save_raw() == other.effect_trees.save_raw()


def test_outcomes_are_foretold_for_both_arms():
    x, treated, y, effect = world(30_000, 6)
    new, *_ = world(10_000, 7)
    untreated, later = fit(sheet(x), treated, y, 0.5).outcome(sheet(new))
    base = 1 / (1 + np.exp(2 - 0.9 * new[:, 0] - 0.6 * new[:, 1]))
    assert np.corrcoef(untreated, base)[0, 1] > 0.95
    assert (later - untreated).mean() == pytest.approx(effect.mean(), abs=0.02)


def test_a_fold_is_told_by_the_folds_before_it_alone():
    x, treated, y, _ = world(6_000, 8)
    fold = np.arange(len(y)) % FOLDS
    plain = foretold(sheet(x), treated, y, 0.5, fold)
    assert (np.sort(np.unique(plain.fold)) == np.arange(TEACHING, FOLDS)).all()
    assert (plain.at == np.flatnonzero(fold >= TEACHING)).all()
    k = 3
    changed = np.where(fold >= k, 1 - y, y)  # of fold 3 and all later ones
    again = foretold(sheet(x), treated, changed, 0.5, fold)
    early = plain.fold <= k
    np.testing.assert_array_equal(plain.effect[early], again.effect[early])
    np.testing.assert_array_equal(plain.treated[early], again.treated[early])
    assert not np.allclose(plain.effect[~early], again.effect[~early])


def test_categories_and_gaps_are_read():
    rng = np.random.default_rng(9)
    n = 12_000
    code = rng.integers(0, 12, n).astype("float32")
    x = np.column_stack([code, np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))])
    treated = rng.random(n) < 0.5
    good = np.isin(code, (1, 5, 8))  # no order of the codes would find these
    y = (rng.random(n) < 0.2 + 0.2 * treated * good).astype(float)
    read = Sheet(x.astype("float32"), ("kind", "gaps"), ("c", "q"), 1)
    effect = fit(read, treated, y, 0.5).effect(read)
    assert effect[good].min() > effect[~good].max()
    unknown = Sheet(np.array([[np.nan, 0.0]], "float32"), ("kind", "gaps"), ("c", "q"), 1)
    assert np.isfinite(fit(read, treated, y, 0.5).effect(unknown)).all()


def test_single_large_orders_do_not_bend_the_trees():
    x, treated, y, effect = world(12_000, 10, "revenue")
    wild = y.copy()
    wild[np.flatnonzero(y > 0)[:5]] = 1e6
    calm, shaken = (fit(sheet(x), treated, one, 0.5) for one in (y, wild))
    assert shaken.ceiling < 1e4
    reached = [first_fifth(one.effect(sheet(x)), effect) for one in (calm, shaken)]
    assert reached[1] > 0.9 * reached[0]


def test_what_is_capped():
    assert ceiling(np.array([0.0, 1, 1, 0])) == np.inf
    amounts = np.r_[np.zeros(500), np.arange(1, 1001)]
    assert ceiling(amounts) == pytest.approx(np.quantile(np.arange(1, 1001), 0.995))
    assert [leaf_rows(n) for n in (100, 8_000, 10**6)] == [10, 20, 50]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": np.full(1000, np.nan)}, "no number"),
        ({"treated": np.full(1000, 2)}, "not True or False"),
        ({"share": 1.0}, r"\(0, 1\)"),
        ({"y": np.ones(999)}, "a value a row"),
        ({"x": np.empty((1000, 0), "float32")}, "no column"),
    ],
)
def test_bad_input_is_refused(change, told):
    rng = np.random.default_rng(0)
    given = {
        "x": rng.normal(size=(1000, 2)).astype("float32"),
        "treated": np.arange(1000) % 2 == 0,
        "y": (np.arange(1000) % 3 == 0).astype(float),
        "share": 0.5,
    } | change
    with pytest.raises(Refusal, match=told):
        fit(sheet(given["x"]), given["treated"], given["y"], given["share"])


@pytest.mark.parametrize(
    ("treated", "y"),
    [
        (np.arange(1000) < 150, np.ones(1000)),
        (np.arange(1000) < 500, (np.arange(1000) < 24).astype(float)),
    ],
)
def test_too_little_is_an_answer(treated, y):
    x = np.random.default_rng(0).normal(size=(1000, 2)).astype("float32")
    with pytest.raises(TooLittleData, match="fewer than"):
        fit(sheet(x), treated, y, 0.5)
