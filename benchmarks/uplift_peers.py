"""Whom a treatment moves: our learner beside causalml, econml and scikit-uplift, on the same rows.

`python benchmarks/uplift_peers.py` makes an environment of its own (benchmarks/.venv-uplift), runs
every peer in a process of its own and prints a table per set: simulated experiments with known
effects (value of the first fifth beside an oracle's), and Hillstrom's e-mails (Qini and the effect
on the first fifth with intervals), which are looked for in $CDP_PUBLIC_DATA, else ../shared/data.
`python uplift_peers.py PEER FOLDER` runs one peer and prints one line of JSON.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parents[1]
THREADS, SEED = 2, 7
SETS = ("conversion", "revenue", "mens_visit", "womens_visit")
ARMS = {"mens_visit": "Mens E-Mail", "womens_visit": "Womens E-Mail"}


def write_set(name: str, folder: str, n: str, data: str) -> None:
    """Write train.npz (x, treated, y) and test.npz (also the true effect, where it is known)."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(SEED)
    if name in ARMS:
        (path,) = Path(data, "hillstrom").glob("*.parquet")
        rows = pd.read_parquet(path)
        rows = rows[rows["segment"].isin((ARMS[name], "No E-Mail"))]
        names = ["recency", "history", "mens", "womens", "newbie"]
        x = np.column_stack(
            [rows[names].to_numpy(float), pd.get_dummies(rows[["zip_code", "channel"]]).to_numpy()]
        ).astype("float32")
        treated, y = (rows["segment"] == ARMS[name]).to_numpy(), rows["visit"].to_numpy(float)
        order = rng.permutation(len(y))
        cut, effect = len(y) // 2, np.full(len(y), np.nan)
    else:
        cut = int(n)
        total = cut + 100_000
        x = rng.normal(size=(total, 12)).astype("float32")
        x[:, 3], x[:, 4], x[:, 5] = x[:, 3] > 0, rng.integers(0, 5, total), np.exp(x[:, 5])
        odds = -2.2 + 0.9 * x[:, 0] + 0.6 * x[:, 1] - 0.5 * x[:, 3] + 0.3 * np.sin(2 * x[:, 2])
        base = 1 / (1 + np.exp(-odds))
        effect = 0.03 + 0.05 * np.tanh(x[:, 6]) + 0.04 * (x[:, 4] == 2) - 0.03 * (x[:, 7] > 1)
        effect = np.clip(effect + 0.03 * x[:, 3] * (x[:, 0] < 0), -base, 1 - base)
        treated = rng.random(total) < 0.5
        y = (rng.random(total) < base + effect * treated).astype(float)
        if name == "revenue":
            basket = np.exp(3.3 + 0.3 * x[:, 1])
            y *= basket * np.exp(0.6 * rng.normal(size=total) - 0.18)
            effect = effect * basket
        order = np.arange(total)
    for part, rows in (("train", order[:cut]), ("test", order[cut:])):
        np.savez(Path(folder, part), x=x[rows], treated=treated[rows], y=y[rows],
                 effect=effect[rows])  # fmt: skip


def workbench(x, treated, y):
    """`lift.uplift.fit`."""
    from cdp_lib.lift.uplift import fit
    from cdp_lib.lift.uplift_learners import Sheet

    def sheet(rows):
        names = tuple(f"f{k}" for k in range(rows.shape[1]))
        return Sheet(rows, names, ("q",) * len(names), THREADS)

    model = fit(sheet(x), treated, y, 0.5, SEED)
    return lambda rows: model.effect(sheet(rows))


def _trees():
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=100, max_depth=4, learning_rate=0.1, n_jobs=THREADS)


def _causalml(kind):
    def learn(x, treated, y):
        from causalml.inference import meta

        made = {"S": meta.BaseSRegressor, "T": meta.BaseTRegressor, "X": meta.BaseXRegressor,
                "R": meta.BaseRRegressor, "DR": meta.BaseDRRegressor}[kind]  # fmt: skip
        model = made(learner=_trees(), control_name=0)
        import numpy as np

        known = {"p": np.full(len(y), 0.5)} if kind in ("X", "R") else {}
        model.fit(x, treated.astype(int), y, **known)

        def say(rows):
            more = {"p": np.full(len(rows), 0.5)} if kind in ("X",) else {}
            return np.asarray(model.predict(rows, **more)).ravel()

        return say

    return learn


def _econml(kind):
    def learn(x, treated, y):
        if kind == "DR":
            from econml.dr import DRLearner
            from sklearn.dummy import DummyClassifier

            model = DRLearner(
                model_propensity=DummyClassifier(), model_regression=_trees(), model_final=_trees(),
                random_state=SEED,
            )  # fmt: skip
            model.fit(y, treated.astype(int), X=x)
            return lambda rows: model.effect(rows).ravel()
        from econml.grf import CausalForest

        model = CausalForest(
            n_estimators=200, min_samples_leaf=50, n_jobs=THREADS, random_state=SEED
        )
        model.fit(x, treated.astype(int), y)
        return lambda rows: model.predict(rows).ravel()

    return learn


def sklift_two_models(x, treated, y):
    """scikit-uplift's pair of classifiers, one of which reads the other's answer; for 0 or 1."""
    from sklift.models import TwoModels
    from xgboost import XGBClassifier

    pair = (
        XGBClassifier(n_estimators=100, max_depth=4, learning_rate=0.1, n_jobs=THREADS)
        for _ in range(2)
    )
    model = TwoModels(*pair, method="ddr_control")
    model.fit(x, y, treated.astype(int))
    return model.predict


def response_model(x, treated, y):
    """Trees on the outcome, whatever the arm: what many call targeting."""
    model = _trees().fit(x, y)
    return model.predict


PEERS = {
    "workbench": workbench,
    **{f"causalml_{kind}": _causalml(kind) for kind in ("S", "T", "X", "R", "DR")},
    **{f"econml_{kind}": _econml(kind) for kind in ("DR", "forest")},
    "sklift_two_models": sklift_two_models,
    "response_model": response_model,
}


def run_one(peer: str, folder: str) -> None:
    """One peer in this process: its effects beside the data, and a line of JSON with its cost."""
    import numpy as np

    train, test = np.load(Path(folder, "train.npz")), np.load(Path(folder, "test.npz"))
    known = train["x"], train["treated"], train["y"]
    say, cost = environment.timed(lambda: PEERS[peer](*known))
    np.save(Path(folder, peer), np.asarray(say(test["x"]), float))
    print(json.dumps(cost))


def judge(folder: str) -> None:
    """Print what each peer's order is worth: to the oracle where there is one, else as measured."""
    import numpy as np

    from cdp_lib.lift import uplift_curves as curves

    test = np.load(Path(folder, "test.npz"))
    scores = {path.stem: np.load(path) for path in sorted(Path(folder).glob("*.npy"))}
    effect = test["effect"]
    costs = json.loads(Path(folder, "costs.json").read_text())
    if np.isfinite(effect).all():

        def value(score):
            return effect[np.argsort(-score, kind="stable")[: len(effect) // 5]].sum() / len(effect)

        oracle = value(effect)
        print(f"first fifth: oracle {oracle:.5f} a customer, random {effect.mean() / 5:.5f}")
        print(f"{'peer':<20}{'value':>10}{'of oracle':>11}{'seconds':>9}{'cpu s':>8}")
        for name, score in sorted(scores.items(), key=lambda pair: -value(pair[1])):
            cost, found = costs[name], value(score)
            print(f"{name:<20}{found:>10.5f}{found / oracle:>11.1%}{cost['seconds']:>9.1f}"
                  f"{cost['cpu']:>8.1f}")  # fmt: skip
        return
    effects = curves.measured(test["y"], test["treated"], float(test["treated"].mean()))
    table = curves.score_table(effects, scores, at=(0.2,))
    print(f"{'peer':<20}{'qini':>9}{'95 % interval':>20}{'first fifth':>13}{'95 % interval':>19}"
          f"{'seconds':>9}")  # fmt: skip
    for row in table.itertuples():
        print(f"{row.candidate:<20}{row.qini:>9.5f}{row.qini_low:>10.5f}{row.qini_high:>10.5f}"
              f"{row.uplift_at_20:>13.4f}{row.uplift_at_20_low:>10.4f}{row.uplift_at_20_high:>9.4f}"
              f"{costs[row.candidate]['seconds']:>9.1f}")  # fmt: skip


def main() -> None:
    """Read the arguments, write the sets, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000, help="rows to learn from, simulated")
    parser.add_argument("--sets", default=",".join(SETS), help="sets to run")
    parser.add_argument("--peers", default=",".join(PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the fastest run counts")
    asked = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    data = Path(os.environ.get("CDP_PUBLIC_DATA", ROOT.parent / "shared" / "data"))
    peers = asked.peers.split(",")
    for name in asked.sets.split(","):
        if name in ARMS and not (data / "hillstrom").is_dir():
            print(f"\n{name}: not run, no hillstrom under {data}")
            continue
        folder = environment.WORK / "uplift"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            with environment.using("uplift"):
                environment.call("uplift_peers", "write_set", name, folder, asked.rows, data)
                found = environment.rounds(asked.repeat, peers, "uplift_peers.py", folder)
                (folder / "costs.json").write_text(json.dumps(found))
                print(f"\n{name}", flush=True)
                environment.call("uplift_peers", "judge", folder)
            for peer in (peer for peer in peers if "failed" in found[peer]):
                print(f"{peer:<20} failed: {found[peer]['failed']}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in PEERS:
        run_one(*sys.argv[1:])
    else:
        main()
