"""Too little data and no signal get "cannot tell", through the study and its headline."""

import numpy as np
import pandas as pd
import pytest
import small_shops as small

from cdp_lib.checks import TooLittleData
from cdp_lib.predict.evaluate import score_table
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.study import study
from cdp_lib.report.propensity_findings import use_headline
from cdp_lib.tables import open_shop
from cdp_lib.world import simulate

N_DRAWS = 20
# A model is recommended by mistake in 5 % of the draws at most; four binomial errors are granted.
MOST = N_DRAWS * 0.05 + 4 * (N_DRAWS * 0.05 * 0.95) ** 0.5


def advice(shop, outcome, seed) -> str:
    """The verdict of a study's headline; a study that is refused for want of data tells nothing."""
    try:
        one = study(shop, outcome, seed=seed)
    except TooLittleData:
        return "cannot tell"
    return use_headline(one, score_table(one.label, one.probability, one.ids, n_boot=200)).verdict


@pytest.mark.slow
@pytest.mark.proof
def test_no_model_for_150_customers(tmp_path, duckdb_con):
    told = []
    for seed in range(N_DRAWS):
        simulate(tmp_path / str(seed), customers=150, weeks=52, seed=seed)
        shop = open_shop(tmp_path / str(seed) / "shop.toml", con=duckdb_con)
        told.append(advice(shop, Outcome("purchase", 30), seed))
    print(f"use the model: {told.count('act')} of {N_DRAWS}; all: {sorted(told)}")
    assert told.count("act") <= MOST


def alike(seed: int, n: int = 1500, days: int = 364) -> dict[str, pd.DataFrame]:
    """Customers who all order at one rate: nothing of the past tells who orders next."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.012 * days, n)
    when = np.floor(rng.uniform(0, days, counts.sum()) * 86_400) / 86_400
    who = np.repeat([f"c{i:04d}" for i in range(n)], counts)
    rows = zip(who, when, rng.gamma(3.0, 10.0, len(who)), rng.integers(0, 2, len(who)), strict=True)
    people = pd.DataFrame({"customer_id": [f"c{i:04d}" for i in range(n)]})
    people["city"] = rng.choice(["Ghent", "Porto", "Riga"], n)
    people["birth_year"] = rng.integers(1950, 2005, n)
    return {"orders": small.orders(*rows), "customers": people}


@pytest.mark.slow
@pytest.mark.proof
def test_no_model_where_nothing_tells(tmp_path, duckdb_con):
    told = []
    for seed in range(N_DRAWS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        shop = small.opened(folder, duckdb_con, small.day(364), **alike(seed))
        told.append(advice(shop, Outcome("purchase", 30), seed))
    print(f"use the model: {told.count('act')} of {N_DRAWS}; all: {sorted(told)}")
    assert told.count("act") <= MOST


@pytest.mark.slow
def test_one_draw_of_each_is_told_in_words(tmp_path, duckdb_con):
    shop = small.opened(tmp_path, duckdb_con, small.day(364), **alike(100))
    one = study(shop, Outcome("purchase", 30), seed=100)
    told = use_headline(one, score_table(one.label, one.probability, one.ids, n_boot=200))
    assert told.verdict == "cannot tell" and told.sentence.startswith("Cannot tell: AUC")
    simulate(tmp_path / "w", customers=150, weeks=52, seed=100)
    shop = open_shop(tmp_path / "w" / "shop.toml", con=duckdb_con)
    one = study(shop, Outcome("purchase", 30), seed=100)
    told = use_headline(one, score_table(one.label, one.probability, one.ids, n_boot=200))
    assert told.verdict == "cannot tell" and "needs about" in told.sentence
