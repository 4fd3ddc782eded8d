"""On a simulated shop: nearly as good as whoever knows the law, and its probabilities true."""

import numpy as np
import pytest

from cdp_lib.predict import frames, propensity
from cdp_lib.predict.calibration import newton
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.verdict import auc_with_error
from cdp_lib.tables import open_shop
from cdp_lib.world import observer_probability, open_truth, simulate


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, duckdb_con):
    out = tmp_path_factory.mktemp("world")
    simulate(out, customers=20_000, weeks=52, seed=7)
    shop = open_shop(out / "shop.toml", con=duckdb_con)
    found = frames.from_shop(shop, Outcome("purchase", 30))
    model = propensity.fit(found)
    truth = observer_probability(open_truth(out), "purchase", found.cutoffs.test, 30)
    return found, model, truth.reindex(found.test["customer_id"]).to_numpy()


@pytest.mark.proof
def test_nine_tenths_of_what_can_be_known(fitted):
    found, model, best = fitted
    assert model.verdict == "use"
    label = found.test["label"].to_numpy()
    ours, error = auc_with_error(label, model.predict(found.test))
    most, _ = auc_with_error(label, best)
    # One draw of some 2,800 customers: two standard errors of the area are granted.
    assert ours - 0.5 > 0.9 * (most - 0.5) - 2 * error
    assert most > ours


@pytest.mark.proof
def test_probabilities_are_true(fitted):
    found, model, best = fitted
    p = model.predict(found.test)
    # Against the observer's probabilities, whose mean over any group is the true rate there, so
    # no luck of single labels is left in it.
    groups = np.array_split(np.argsort(p, kind="stable"), 10)
    ece = sum(abs(best[rows].mean() - p[rows].mean()) * len(rows) for rows in groups) / len(p)
    assert ece <= 0.02
    odds = np.log(p / (1 - p))
    slope = newton(np.column_stack([np.ones(len(p)), odds]), np.zeros(len(p)), best)[1]
    assert 0.9 <= slope <= 1.1
