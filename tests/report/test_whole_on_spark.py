"""The customer side on Spark: the same shop gives what it gives on DuckDB."""

import numpy as np
import pandas as pd
import pytest

from cdp_lib.activate import facts, moves, recommend
from cdp_lib.activate.next_best import next_best, own_sizes
from cdp_lib.activate.policy import read_policy
from cdp_lib.activate.scores import write_scores
from cdp_lib.customers import discounts
from cdp_lib.customers.portrait import portraits
from cdp_lib.predict import study
from cdp_lib.predict.outcome import Outcome
from cdp_lib.report import next_moves
from cdp_lib.report.candidates import Sources
from cdp_lib.report.joined import AFFINITY, VALUE, joined
from cdp_lib.tables import open_shop
from cdp_lib.world import World, simulate

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.proof]


@pytest.fixture(scope="module")
def shops(tmp_path_factory, duckdb_con, spark_con):
    folder = tmp_path_factory.mktemp("whole") / "shop"
    path = simulate(folder, customers=1_500, weeks=30, seed=12, params=World(campaigns=()))
    return [open_shop(path, con=con) for con in (duckdb_con, spark_con)]


def same(one: pd.DataFrame, other: pd.DataFrame, keys: list[str], rel: float = 1e-6) -> None:
    """Rows are equal but for their order and the last digits of sums."""
    one, other = (frame.sort_values(keys, ignore_index=True) for frame in (one, other))
    assert list(one.columns) == list(other.columns) and len(one) == len(other) > 0
    for name in one.columns:
        a, b = one[name], other[name]
        if pd.api.types.is_float_dtype(a):
            assert b.to_numpy(float) == pytest.approx(a.to_numpy(float), rel=rel, nan_ok=True), name
        else:
            assert a.astype(object).where(a.notna(), None).tolist() == (
                b.astype(object).where(b.notna(), None).tolist()
            ), name


def test_what_the_policy_knows_of_each_customer(shops):
    policy = read_policy("")
    found = [
        facts.facts(shop, policy, discounts.discount_affinity(shop)).to_pandas() for shop in shops
    ]
    same(*found, ["customer_id"])


def test_what_is_joined_to_the_portrait(shops, tmp_path):
    found = []
    for shop in shops:
        people = portraits(shop, 0)[0].table
        ids = sorted(people.customer_id.to_pandas())
        told = pd.DataFrame({"customer_id": ids, "probability": np.linspace(0, 1, len(ids))})
        write_scores(told, tmp_path, "05_churn", "leave_probability", shop, 30)
        columns = ["leave_probability", *VALUE, *AFFINITY]
        found.append(
            joined(shop, people, columns, tmp_path).select("customer_id", *columns).to_pandas()
        )
    # Likelihoods are maximised to a tolerance, from sums in another order.
    same(*found, ["customer_id"], rel=1e-3)


def test_lists_of_the_next_best_articles(shops):
    found = []
    for shop in shops:
        one = recommend.study(shop, horizon_days=28)
        found.append((one, next_best(one, 5, sizes=own_sizes(shop))))
    (one, listed), (other, on_spark) = found
    assert one.kind == other.kind and one.owned == other.owned
    for mine, theirs in ((one.any, other.any), (one.new, other.new)):
        same(mine, theirs, ["family"], rel=1e-3)
    keys = ["customer_id", "rank"]
    mine, theirs = (table.set_index(keys).product_id for table in (listed, on_spark))
    assert (mine.sort_index() == theirs.sort_index()).mean() > 0.99


def test_the_next_move_of_each_customer(shops):
    """Carts, browses, prices, segments, look-alikes and churners, all from one engine each."""
    weeks = []
    for shop in shops:
        sources = Sources(shop, read_policy(""), seeds=("recent_buyers",), horizon_days=56)
        weeks.append((sources, next_moves.decide_week(sources)))
    (mine, week), (theirs, on_spark) = weeks
    assert week.lacking == on_spark.lacking
    same(lookalike_scores(mine), lookalike_scores(theirs), ["customer_id"], rel=1e-2)
    same(moves.matrix(week), moves.matrix(on_spark), ["audience"])


def lookalike_scores(sources: Sources) -> pd.DataFrame:
    """Who is a prospect, and how much like the seed."""
    now = sources.alike.now
    return now[["customer_id", *[c for c in now.columns if c.startswith("score_")]]]


def test_a_study_of_who_will_buy(shops):
    question = Outcome("purchase", 28)
    one, other = (study.study(shop, question, seed=7) for shop in shops)
    assert one.model.verdict == other.model.verdict
    same(one.now, other.now, ["customer_id"], rel=1e-3)
