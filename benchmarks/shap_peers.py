"""SHAP values of one model: ours, XGBoost's own called directly, and the shap package's two ways.

`python benchmarks/shap_peers.py` makes a model of 200 trees of depth 4 on 40 features, explains
20,000 rows with every peer, each in a process of its own and in rounds, and prints one table.
`python shap_peers.py PEER FOLDER` runs one peer and prints one line of JSON.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import environment
import numpy as np

N_ROWS, N_FEATURES, N_TREES, DEPTH, THREADS = 20_000, 40, 200, 4, 2


def workbench(folder: Path) -> Callable[[], np.ndarray]:
    import pandas as pd

    from cdp_lib.predict.calibration import NONE
    from cdp_lib.predict.columns import Columns
    from cdp_lib.predict.explain import explain
    from cdp_lib.predict.propensity import Propensity

    booster, x = _loaded(folder)
    names = tuple(booster.feature_names)
    columns = Columns(names, ("number",) * len(names), ((),) * len(names))
    model = Propensity(
        "xgboost", "use", "", None, (), columns, booster, None, NONE, 0.5, {}, THREADS
    )  # fmt: skip
    frame = pd.DataFrame(x, columns=list(names))
    explain(model, frame.head(10))  # imports what it needs
    return lambda: explain(model, frame).values


def pred_contribs(folder: Path) -> Callable[[], np.ndarray]:
    import xgboost

    booster, x = _loaded(folder)

    def contributions() -> np.ndarray:
        matrix = xgboost.DMatrix(x, feature_names=booster.feature_names, nthread=THREADS)
        return booster.predict(matrix, pred_contribs=True)[:, :-1]

    return contributions


def tree_explainer(folder: Path) -> Callable[[], np.ndarray]:
    import shap

    booster, x = _loaded(folder)
    explainer = shap.TreeExplainer(booster)
    return lambda: explainer.shap_values(x)


def shap_own(folder: Path) -> Callable[[], np.ndarray]:
    """The explainer's own algorithm: asked for values of an XGBoost model it calls XGBoost."""
    import shap

    booster, x = _loaded(folder)
    explainer = shap.TreeExplainer(booster)
    explainer.model.model_type = "internal"
    return lambda: explainer.shap_values(x)


PEERS = {peer.__name__: peer for peer in (workbench, pred_contribs, tree_explainer, shap_own)}


def _loaded(folder: Path):
    import xgboost

    booster = xgboost.Booster(model_file=folder / "model.ubj")
    booster.set_param({"nthread": THREADS})
    return booster, np.load(folder / "x.npy")


def make(folder: str | Path, seed: int = 7) -> None:
    """Write the rows and the model that every peer explains."""
    import xgboost

    folder = Path(folder)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    known = np.nan_to_num(x)
    margin = known[:, :10] @ rng.normal(size=10) * 0.5 + known[:, 10] * known[:, 11]
    label = rng.random(N_ROWS) < 1 / (1 + np.exp(-margin))
    names = [f"feature_{place}" for place in range(N_FEATURES)]
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": DEPTH, "eta": 0.1, "seed": seed,
         "nthread": THREADS},
        xgboost.DMatrix(x, label=label, feature_names=names),
        N_TREES,
    )  # fmt: skip
    booster.save_model(folder / "model.ubj")
    np.save(folder / "x.npy", x)


def _measured(peer: str, folder: Path) -> None:
    values, cost = environment.timed(PEERS[peer](folder))
    np.save(folder / f"{peer}.npy", values)
    print(json.dumps(cost))


def main() -> None:
    """Read the arguments, measure, print."""
    if len(sys.argv) == 3 and sys.argv[1] in PEERS:
        return _measured(sys.argv[1], Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs per peer; the fastest counts")
    asked = parser.parse_args()
    environment.set_up()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        environment.call("shap_peers", "make", work)
        best = environment.rounds(asked.repeat, list(PEERS), "shap_peers.py", work)
        failed = [f"{peer}: {found['failed']}" for peer, found in best.items() if "failed" in found]
        if failed:
            sys.exit("; ".join(failed))
        truth = np.load(work / "shap_own.npy")
        base = best["shap_own"]["seconds"]
        print(f"{N_ROWS:,} rows, {N_FEATURES} features, {N_TREES} trees of depth {DEPTH}")
        print(f"{'peer':<16}{'seconds':>9}{'cpu s':>9}{'times as fast':>15}{'largest gap':>13}")
        for peer, found in sorted(best.items(), key=lambda pair: pair[1]["seconds"]):
            gap = np.abs(np.load(work / f"{peer}.npy") - truth).max()
            print(
                f"{peer:<16}{found['seconds']:>9.2f}{found['cpu']:>9.2f}"
                f"{base / found['seconds']:>15.1f}{gap:>13.1e}"
            )


if __name__ == "__main__":
    main()
