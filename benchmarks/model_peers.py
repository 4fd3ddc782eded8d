"""A million customers: fit a propensity on 200,000 rows of 190 columns, then score them all.

`python benchmarks/model_peers.py` writes both tables, runs every peer in a process of its own, and
prints one table for the fit and one for the scores.
`python model_peers.py PEER FOLDER` runs one peer and prints one line of JSON.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import environment

N_FITTED, N_SCORED, N_NUMBERS, N_CATEGORIES = 200_000, 1_000_000, 171, 19
CHUNK = 100_000
THREADS = 2


def write_tables(folder: str, n_fitted: str, n_scored: str, seed: int = 7) -> None:
    """Write fitted.parquet (with a label) and scored.parquet, shaped like a shop's profile.

    A customer has a level of activity; counts follow it, half of the columns of money, days and
    shares are missing where nothing was counted. The label bends: steps and products that a
    straight line cannot follow.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    levels = [f"level_{k}" for k in range(8)]
    pull = rng.normal(size=N_NUMBERS) * (rng.random(N_NUMBERS) < 0.2)
    rate = rng.gamma(0.8, 1.5, N_NUMBERS)

    def part(n: int, first: int) -> tuple[dict, np.ndarray]:
        active = rng.gamma(0.7, 1.4, n)
        columns = {"customer_id": pa.array(np.char.add("c", (first + np.arange(n)).astype(str)))}
        margin = np.full(n, -2.5)
        for k in range(N_NUMBERS):
            count = rng.poisson(active * rate[k]).astype("int64")
            value = count if k % 2 else np.round(count * rng.gamma(2, 10, n), 2)
            gone = (count == 0) & (k % 4 == 0)
            columns[f"number_{k}"] = pa.array(value, mask=gone)
            margin += pull[k] * ((count > rate[k]) - 0.3)
        for k in range(N_CATEGORIES):
            code = np.minimum(rng.geometric(0.35, n) - 1, 7)
            columns[f"category_{k}"] = pa.DictionaryArray.from_arrays(
                pa.array(code.astype("int32"), mask=rng.random(n) < 0.1), pa.array(levels)
            ).cast(pa.string())
            margin += 0.2 * (code == k % 8) * np.sign(active - 1)
        return columns, rng.random(n) < 1 / (1 + np.exp(-margin))

    for name, total in (("fitted", int(n_fitted)), ("scored", int(n_scored))):
        writer = None
        for first in range(0, total, CHUNK):
            columns, label = part(min(CHUNK, total - first), first)
            if name == "fitted":
                columns["label"] = pa.array(label.astype("int8"))
            rows = pa.table(columns)
            path = Path(folder) / f"{name}.parquet"
            writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd")
            writer.write_table(rows)
        writer.close()


def fit_workbench(folder: Path) -> Callable[[], dict]:
    """`propensity.fit`: a search of four sorts of trees, a regression, a choice, a calibration."""
    import pandas as pd

    from cdp_lib.predict import propensity, saved

    def fit() -> dict:
        rows = pd.read_parquet(folder / "fitted.parquet")
        model = propensity.fit(rows, "label", id="customer_id", threads=THREADS)
        saved.save(model, folder / "model")
        return {"note": f"{model.winner}, {model.card['trees']['n_trees']} trees"}

    return fit


def fit_lightgbm(folder: Path) -> Callable[[], dict]:
    """LightGBM at the workbench's last learning rate, stopped early: one fit, no choice."""
    import lightgbm
    import pandas as pd

    def fit() -> dict:
        rows = pd.read_parquet(folder / "fitted.parquet")
        label = rows.pop("label")
        rows = rows.drop(columns="customer_id")
        texts = [name for name in rows if name.startswith("category")]
        rows = rows.astype(dict.fromkeys(texts, "category"))
        train, watch = rows.iloc[: len(rows) * 11 // 20], rows.iloc[len(rows) * 18 // 20 :]
        model = lightgbm.LGBMClassifier(
            n_estimators=1000, learning_rate=0.05, n_jobs=THREADS, verbose=-1
        )
        stop = lightgbm.early_stopping(30, verbose=False)
        model.fit(
            train, label[train.index], eval_set=[(watch, label[watch.index])], callbacks=[stop]
        )
        return {"note": f"{model.best_iteration_} trees"}

    return fit


def score_workbench(folder: Path, name: str = "score_workbench", **changed) -> Callable[[], dict]:
    """`score_to_parquet`: batches of Parquet through the model that won into a file."""
    from cdp_lib.predict import saved, scoring
    from cdp_lib.tables.engine import connect

    model = replace(saved.load(folder / "model", threads=THREADS), **changed)

    def score() -> dict:
        con = connect("duckdb://")
        con.raw_sql(f"SET threads = {THREADS}")
        table = con.read_parquet(folder / "scored.parquet")
        scoring.score_to_parquet(model, table, folder / f"{name}.parquet")
        return {"note": f"{model.winner}, a batch at a time"}

    return score


def score_trees(folder: Path) -> Callable[[], dict]:
    """The same with the trees alone, not calibrated: what `score_xgboost` answers."""
    from cdp_lib.predict.calibration import NONE

    return score_workbench(folder, "score_trees", winner="xgboost", calibration=NONE)


def score_xgboost(folder: Path) -> Callable[[], dict]:
    """XGBoost alone: the whole table in memory, one DMatrix, one predict, by the same trees."""
    import pandas as pd
    import xgboost

    card = json.loads((folder / "model" / "card.json").read_text())
    booster = xgboost.Booster(model_file=folder / "model" / "trees.ubj")
    booster.set_param({"nthread": THREADS})
    known = {one["name"]: one.get("categories") for one in card["features"]}

    def score() -> dict:
        rows = pd.read_parquet(folder / "scored.parquet")
        ids = rows.pop("customer_id")
        for name, categories in known.items():
            if categories:
                rows[name] = pd.Categorical(rows[name], categories=categories)
        matrix = xgboost.DMatrix(rows[list(known)], enable_categorical=True, nthread=THREADS)
        found = pd.DataFrame({"customer_id": ids, "probability": booster.predict(matrix)})
        found.to_parquet(folder / "score_xgboost.parquet")
        return {"note": "xgboost, all rows in memory"}

    return score


FITS = {peer.__name__: peer for peer in (fit_workbench, fit_lightgbm)}
SCORES = {peer.__name__: peer for peer in (score_workbench, score_trees, score_xgboost)}
PEERS = FITS | SCORES


def run_one(peer: str, folder: str) -> None:
    """One peer in this process: a line of JSON with what it cost."""
    found, cost = environment.timed(PEERS[peer](Path(folder)))
    print(json.dumps({**cost, **found}))


def compare(folder: str) -> None:
    """Print the largest gap between the probabilities of the two peers that answer alike."""
    import pandas as pd

    one, other = (
        pd.read_parquet(Path(folder) / f"{peer}.parquet").set_index("customer_id").probability
        for peer in ("score_trees", "score_xgboost")
    )
    print(
        f"largest gap of score_trees to score_xgboost: {(one - other[one.index]).abs().max():.1e}"
    )


def main() -> None:
    """Read the arguments, write the tables, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fitted", type=int, default=N_FITTED, help="rows to fit on")
    parser.add_argument("--scored", type=int, default=N_SCORED, help="rows to score")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    environment.set_up()
    folder = environment.WORK / "model"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        environment.call("model_peers", "write_tables", folder, asked.fitted, asked.scored)
        for peers, n, what in ((FITS, asked.fitted, "fit on"), (SCORES, asked.scored, "score")):
            results = environment.rounds(asked.repeat, list(peers), "model_peers.py", folder)
            print(f"\n{what} {n:,} rows of {N_NUMBERS + N_CATEGORIES} columns")
            base = results[next(iter(peers))].get("seconds")
            environment.print_peers(results, base, lambda result: result["note"], "")
        environment.call("model_peers", "compare", folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(*sys.argv[1:])
    else:
        main()
