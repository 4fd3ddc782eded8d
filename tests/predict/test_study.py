"""A study holds together: the same customers in every table, and money that adds up."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.predict import study as studies
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.study import first_of, study
from cdp_lib.tables import open_shop


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Who buys within 14 days, in a world of 2,500 customers over 30 weeks."""
    from cdp_lib.world import simulate

    shop = open_shop(simulate(tmp_path_factory.mktemp("study"), customers=2500, weeks=30, seed=5))
    question = Outcome("purchase", 14, active_event="visit", active_days=60)
    return study(shop, question, contact_cost=0.5, saved_share=0.2)


def test_everyone_at_risk_is_scored_once(one):
    assert one.usable
    assert one.now.customer_id.is_unique
    assert len(one.now) == one.at_risk_now.count().execute() > 500
    assert one.now.probability.between(0, 1).all()
    assert set(one.now.columns) == {"customer_id", "probability"}


def test_the_margin_is_that_of_the_training_customers(one):
    train = one.frames.train
    by_hand = train.margin_365d.sum() / train.orders_365d.sum()
    assert one.offer.margin == pytest.approx(by_hand, abs=0.005)
    assert (one.offer.contact_cost, one.offer.saved_share) == (0.5, 0.2)


def test_the_list_is_whom_a_contact_pays_for(one):
    found = studies.scored_list(one)
    table, bound = found.table, one.offer.threshold()
    paying = one.now[one.now.probability > bound]
    assert set(table.customer_id) == set(paying.customer_id)
    assert table.probability.is_monotonic_decreasing and table.probability.min() > bound
    known = one.now.set_index("customer_id").probability
    assert (table.probability == known.loc[table.customer_id].to_numpy()).all()
    np.testing.assert_allclose(table.value_at_stake, table.probability * one.offer.margin)
    assert table.reason_1.notna().mean() > 0.95
    assert table.reason_1.dropna().str.contains("chance").all()
    # Each listed customer has one first reason, or none worth saying.
    assert found.reasons.n_customers.sum() == table.reason_1.notna().sum()
    assert set(found.reasons.effect) <= {"raises", "lowers"}
    short = studies.scored_list(one, most=7).table
    assert short.customer_id.tolist() == table.customer_id.head(7).tolist()


def test_the_race_and_the_money_are_about_the_test_customers(one):
    n, hits = len(one.label), one.label.sum()
    assert (one.race.n_contacts <= n).all() and (one.race.caught <= hits + 1e-9).all()
    policies = one.profits.set_index("policy")
    gain, loss = one.offer.per_hit(), one.offer.per_miss
    everyone = hits * gain + (n - hits) * loss
    assert policies.profit["everyone"] == pytest.approx(everyone)
    assert policies.profit["nobody"] == 0
    chosen = one.probability > one.offer.threshold()
    by_hand = np.where(one.label[chosen] == 1, gain, loss).sum()
    assert policies.profit["best threshold"] == pytest.approx(by_hand)
    assert one.race.candidate[one.race.best_rule].item() == one.profits.policy.iloc[-1]


def test_the_race_is_run_again_each_week(one):
    table = studies.weekly_race(one, 3)
    cutoffs = sorted(table.cutoff.unique())
    assert len(cutoffs) == 3 and pd.Timestamp(cutoffs[-1]) == one.frames.cutoffs.test
    assert set(np.diff(cutoffs)) == {np.timedelta64(7, "D")}
    assert set(table.verdict) <= {"use the model", "use the rule", "cannot tell"}


def test_drift_names_every_feature_and_the_score(one):
    table = studies.drift_table(one)
    assert set(table.feature) == {"(score)", *one.frames.names}
    assert table.weight.sum() == pytest.approx(1)


def test_what_the_model_looks_at_sums_to_one(one):
    found = studies.reading(one)
    assert found.importance.share.sum() == pytest.approx(1)
    assert set(found.points.feature) == set(found.importance.feature.head(12))


def test_the_first_by_a_score_share_their_ties():
    score = np.array([3.0, 1.0, 2.0, 2.0, 2.0])
    assert first_of(score, 1).tolist() == [1, 0, 0, 0, 0]
    assert first_of(score, 2).tolist() == pytest.approx([1, 0, 1 / 3, 1 / 3, 1 / 3])
    assert first_of(score, 2.5).tolist() == pytest.approx([1, 0, 0.5, 0.5, 0.5])
    assert first_of(score, 5).tolist() == [1, 1, 1, 1, 1]
    for n_contacts in (1, 1.5, 3, 4.2, 5):
        assert first_of(score, n_contacts).sum() == pytest.approx(n_contacts)
