"""On a simulated shop: nearly as good as whoever knows the law, and its probabilities true.

The best observer's probabilities are the law, given all that the log can tell: the mean of the
labels over any group is their mean there. So what is expected of a model is worked out with them
in place of the labels, without the luck of single draws; the labels themselves are then asked for
the same, with two standard errors of the difference granted.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from cdp_lib.predict import frames, propensity
from cdp_lib.predict.calibration import newton
from cdp_lib.predict.outcome import Outcome, churn
from cdp_lib.predict.profit import Offer, row_profits
from cdp_lib.predict.study import margin_of
from cdp_lib.tables import open_shop
from cdp_lib.world import observer_probability, open_truth, simulate

# The costs that the notebooks begin with: a message, and an offer with a present.
MESSAGE = dict(contact_cost=0.05, saved_share=0.05)
PRESENT = dict(contact_cost=1.0, saved_share=0.1, incentive_cost=5.0)


@dataclass(frozen=True)
class Fitted:
    """A model's probability `p` of each test customer, the observer's `best`, and the `label`."""

    name: str
    model: propensity.Propensity
    offer: Offer
    p: np.ndarray
    best: np.ndarray
    label: np.ndarray


@pytest.fixture(scope="module")
def world(tmp_path_factory, duckdb_con):
    out = tmp_path_factory.mktemp("world")
    simulate(out, customers=20_000, weeks=52, seed=7)
    return open_shop(out / "shop.toml", con=duckdb_con), open_truth(out)


@pytest.fixture(scope="module", params=["buys in 7 days", "buys in 30 days", "leaves"])
def fitted(world, request):
    shop, truth = world
    asked = {"buys in 7 days": Outcome("purchase", 7), "buys in 30 days": Outcome("purchase", 30)}
    outcome = asked.get(request.param) or churn(shop)
    found = frames.from_shop(shop, outcome)
    model = propensity.fit(found)
    best = observer_probability(truth, "purchase", found.cutoffs.test, outcome.horizon_days)
    best = best.reindex(found.test["customer_id"]).to_numpy()
    best = best if outcome.happens else 1 - best
    offer = Offer(margin=margin_of(found), **(MESSAGE if outcome.happens else PRESENT))
    label = found.test["label"].to_numpy(float)
    return Fitted(request.param, model, offer, model.predict(found.test), best, label)


def area(score: np.ndarray, weight: np.ndarray) -> float:
    """The AUC of a score where each row is a hit with the probability `weight`."""
    rows = pd.DataFrame({"hit": weight, "miss": 1 - weight}).groupby(score).sum()
    below = rows.miss.cumsum() - rows.miss / 2
    return float((rows.hit * below).sum() / (rows.hit.sum() * rows.miss.sum()))


def resampled(one: Fitted, measure, n: int = 200) -> float:
    """The standard error of a measure of rows, by bootstrap of the customers."""
    rng = np.random.default_rng(7)
    drawn = [rng.integers(0, len(one.label), len(one.label)) for _ in range(n)]
    return float(np.std([measure(rows) for rows in drawn], ddof=1))


@pytest.mark.proof
def test_nine_tenths_of_what_can_be_known(fitted):
    assert fitted.model.verdict == "use"
    ours, most = (area(score, fitted.best) - 0.5 for score in (fitted.p, fitted.best))
    # Who leaves is decided by rates that half a year of orders tells faintly: in the hardest of
    # five other worlds even trees that learn from the law itself reach no more than 0.89.
    assert 0.9 * most < ours < most, ours / most

    def short(rows):
        """How far the model is below that, on the labels of these rows."""
        ours, most = (area(s[rows], fitted.label[rows]) for s in (fitted.p, fitted.best))
        return 0.9 * (most - 0.5) - (ours - 0.5)

    assert short(slice(None)) < 2 * resampled(fitted, short)


@pytest.mark.proof
def test_nine_tenths_of_what_can_be_earned(fitted):
    """Both contact those above the threshold of the same offer, each by its own probabilities."""
    threshold = fitted.offer.threshold()
    contacted = [fitted.p > threshold, fitted.best > threshold]
    ours, most = (fitted.offer.expected(fitted.best)[rows].sum() for rows in contacted)
    assert 0.9 * most < ours <= most, ours / most
    earned = row_profits(fitted.label, fitted.offer)

    def short(rows):
        ours, most = ((earned * chosen)[rows].sum() for chosen in contacted)
        return 0.9 * most - ours

    assert short(slice(None)) < 2 * resampled(fitted, short)


@pytest.mark.proof
def test_probabilities_are_true(fitted):
    p, n = fitted.p, len(fitted.p)
    groups = np.array_split(np.argsort(p, kind="stable"), 10)
    gaps = [(fitted.best[rows].mean() - p[rows].mean()) * len(rows) / n for rows in groups]
    assert np.abs(gaps).sum() <= 0.02
    odds = np.log(p / (1 - p))
    intercept_and_slope = np.column_stack([np.ones(n), odds])
    slope = newton(intercept_and_slope, np.zeros(n), fitted.best)[1]
    assert 0.9 <= slope <= 1.1
    # The labels' own mean: its error, and that of the calibration by a quarter of the customers.
    error = np.sqrt((p * (1 - p)).mean()) * np.sqrt(1 / n + 1 / (0.8 * n))
    assert abs(fitted.label.mean() - p.mean()) < 3 * error
