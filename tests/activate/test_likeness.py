"""Likeness finds what members of a seed share, and no label reaches the score of its own person."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.activate import likeness, lookalike
from cdp_lib.activate.reach import auc_of
from cdp_lib.checks import Refusal, TooLittleData


def planted(n: int, labelled: float, seed: int):
    """People of whom some are of a kind, a random part of them known: pool, of the kind, member."""
    rng = np.random.default_rng(seed)
    kind = rng.random(n) < 0.15
    pool = pd.DataFrame(
        {
            "customer_id": [f"c{i:05d}" for i in range(n)],
            "visits": rng.poisson(np.where(kind, 6.0, 2.5)),
            "days": np.where(rng.random(n) < 0.1, np.nan, rng.exponential(30, n)),
            "city": rng.choice(["Ulm", "Bonn"], n),
            "brand": np.where(kind & (rng.random(n) < 0.4), "Lux", rng.choice(["A", "B"], n)),
            "always": 1.0,
        }
    )
    return pool, kind, kind & (rng.random(n) < labelled)


COLUMNS = ["visits", "days", "city", "brand", "always"]


def test_hidden_members_are_ordered_as_if_all_were_known():
    """A third of the kind is known at random. The order of all others tells the hidden two thirds
    from the rest as well as a model that knows everybody; the standard error of an AUC of 0.9 with
    500 of 4,500 is about 0.008, and both models see the same people."""
    pool, kind, member = planted(5000, 1 / 3, seed=3)
    found = lookalike.score_pool(pool.customer_id[member], pool, COLUMNS)
    full = lookalike.score_pool(pool.customer_id[kind], pool, COLUMNS)
    assert found.member.tolist() == member.tolist()
    hidden = ~member
    some, low, _ = auc_of(found.score.to_numpy()[hidden], kind[hidden])
    every, _, _ = auc_of(full.score.to_numpy()[hidden], kind[hidden])
    assert low > 0.85 and some > every - 0.02


def test_the_auc_is_that_of_a_count_of_pairs():
    rng = np.random.default_rng(1)
    score, joined = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.3
    pairs = score[joined][:, None] - score[~joined][None]
    assert auc_of(score, joined)[0] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert np.isnan(auc_of(score, np.zeros(60, bool))[0])


def test_the_interval_of_the_auc_holds_the_truth_as_often_as_it_says():
    """Normals a distance 1 apart: the true AUC is 0.7602. Of 400 intervals of 95 % about 20 miss;
    fewer than 8 or more than 36 have a chance below 0.1 %."""
    rng, missed = np.random.default_rng(5), 0
    for _ in range(400):
        joined = np.arange(200) < 60
        _, low, high = auc_of(rng.normal(joined.astype(float), 1), joined)
        missed += not low <= 0.7602 <= high
    assert 8 <= missed <= 36


def test_nobodys_label_reaches_their_own_score():
    pool, _, member = planted(1500, 0.5, seed=4)
    fold = lookalike.fold_of(pool.customer_id, 7)
    sheet = likeness.sheet_of(pool, COLUMNS)
    x = sheet.read(pool)

    def scored(label):
        return likeness.scores_apart(likeness.apart(sheet, x, label, fold, 0.01), x, fold)

    turned = np.where(fold == 2, ~member, member)
    first, second = scored(member), scored(turned)
    assert (first[fold == 2] == second[fold == 2]).all()
    assert (first[fold == 1] != second[fold == 1]).any()


def test_a_column_with_one_value_is_left_out_and_new_categories_are_read():
    pool, _, member = planted(1000, 0.5, seed=5)
    sheet = likeness.sheet_of(pool, COLUMNS)
    assert (sheet.numbers, sheet.categories) == (("visits", "days"), ("city", "brand"))
    odd = pool.head(3).assign(city=[None, "=1+1", "Ulm"], visits=[10**9, 0, None])
    read = sheet.read(odd)
    assert np.isfinite(read).all() and (np.abs(read) <= likeness.FAR).all()
    whole = likeness.fit(sheet, sheet.read(pool), member, 0.01)
    assert (whole.score(read) == [whole.score(read[[i]])[0] for i in range(3)]).all()


@pytest.mark.parametrize(
    ("seed_ids", "error", "words"),
    [
        ([], Refusal, "the seed is empty"),
        ([None, float("nan")], Refusal, "the seed is empty"),
        (["nobody"], TooLittleData, "nobody of the pool is in it"),
        ([f"c{i:05d}" for i in range(49)], TooLittleData, "only 49 members to learn from, and 50"),
        ([f"c{i:05d}" for i in range(200)], TooLittleData, "everybody in the pool is a member"),
    ],
)
def test_a_seed_that_tells_nothing_is_refused(seed_ids, error, words):
    pool, _, _ = planted(200, 0.5, seed=6)
    with pytest.raises(error, match=words):
        lookalike.score_pool(seed_ids, pool, COLUMNS)
