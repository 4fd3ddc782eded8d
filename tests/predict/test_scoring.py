"""Scores come batch by batch and are those of the whole table, on both engines."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.predict import propensity
from cdp_lib.predict.scoring import score, score_to_parquet


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(1)
    n = 2500
    x = draw.normal(size=n)
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "x": np.where(draw.random(n) < 0.1, np.nan, x),
            "n_orders": draw.poisson(3, n),
            "member": draw.random(n) < 0.5,
            "city": draw.choice(["Basel", "Vienna", None], n),
        }
    )
    return rows.assign(left=draw.random(n) < 1 / (1 + np.exp(-x - rows["member"])))


@pytest.fixture(scope="module")
def model(rows):
    fitted = propensity.fit(rows, "left", id="customer_id", threads=1)
    assert fitted.verdict == "use"
    return fitted


def test_batches_are_the_whole(con, make_table, rows, model, tmp_path):
    unseen = rows.head(1200).assign(city=lambda t: t["city"].replace("Basel", "Atlantis"))
    table = make_table(con, unseen.drop(columns="left"))
    parts = list(score(model, table, batch_rows=500))
    assert len(parts) > 1 and max(map(len, parts)) <= 500
    found = pd.concat(parts).set_index("customer_id")["probability"]
    wanted = pd.Series(model.predict(unseen), unseen["customer_id"])
    assert found.index.is_unique
    pd.testing.assert_series_equal(
        found.loc[wanted.index], wanted, check_names=False, check_exact=True
    )
    path = tmp_path / "deep" / "scores.parquet"
    assert score_to_parquet(model, table, path) == 1200
    written = pq.read_table(path).to_pandas().set_index("customer_id")["probability"]
    pd.testing.assert_series_equal(written.loc[wanted.index], wanted, check_names=False)
    assert [file.name for file in path.parent.iterdir()] == ["scores.parquet"]


def test_a_frame_is_scored_too(rows, model):
    parts = list(score(model, rows, batch_rows=1000))
    assert [len(part) for part in parts] == [1000, 1000, 500]
    np.testing.assert_array_equal(pd.concat(parts)["probability"], model.predict(rows))
    assert list(parts[1].index[:2]) == [0, 1]
    assert list(score(model, rows.head(0))) == []


def test_what_does_not_fit_is_named(duckdb_con, make_table, rows, model, tmp_path):
    table = make_table(duckdb_con, rows)
    with pytest.raises(Refusal, match="'x': the model needs this column"):
        score(model, table.drop("x"))
    with pytest.raises(Refusal, match="'city': is float64 and was a category"):
        score(model, table.mutate(city=table.x))
    with pytest.raises(Refusal, match="has no customer_id"):
        score(model, table.drop("customer_id"))
    with pytest.raises(Refusal, match="has no customer_id"):
        score(model, rows.drop(columns="customer_id"))
    # What only the values tell leaves no half a file.
    words = table.mutate(x=table.city)
    with pytest.raises(Refusal, match="was a number"):
        score_to_parquet(model, words, tmp_path / "scores.parquet")
    assert list(tmp_path.iterdir()) == []
