"""Quality on public data: the model beside logistic regression, LightGBM and a marketer's rules.

`python benchmarks/quality_peers.py` looks for the data in $CDP_PUBLIC_DATA, else in ../shared/data
(data/examples says how to get each set), and prints a table per set: all peers learn from the
same frames and are asked about the same test rows.
`python quality_peers.py SET DATA` runs one set and prints one line of JSON.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HORIZONS = {"complete_journey": 28, "online_retail": 60, "cdnow": 90}
TABLES = {
    "telco_churn": ("telco_churn/telco_churn.parquet", "Churn", "customerID", ()),
    # The length of the call is known only after it.
    "bank_marketing": ("bank_marketing/bank_additional_full.parquet", "y", None, ("duration",)),
}
SETS = (*HORIZONS, *TABLES)
THREADS, SEED = 2, 7


def frames_of(name: str, data: Path, folder: Path):
    """The frames of a set, and its shop where it has one."""
    import pandas as pd

    from cdp_lib.predict import frames
    from cdp_lib.predict.outcome import Outcome
    from cdp_lib.tables import open_shop

    if name in TABLES:
        file, target, key, left_out = TABLES[name]
        rows = pd.read_parquet(data / file).drop(columns=list(left_out))
        return frames.from_table(rows, target, id=key, seed=SEED), None
    text = (ROOT / "data" / "examples" / f"{name}.toml").read_text(encoding="utf-8")
    there = (data / name).as_posix()
    text = re.sub(r'path = "(.*)"', lambda found: f'path = "{there}/{found[1]}"', text)
    (folder / "shop.toml").write_text(text, encoding="utf-8")
    shop = open_shop(folder / "shop.toml")
    return frames.from_shop(shop, Outcome("purchase", HORIZONS[name]), seed=SEED), shop


def logistic_regression(rows, names, numbers):
    """scikit-learn's, as one would write it: medians, scales, one column a category."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = [name for name in names if name not in numbers]
    encoded = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none", missing_values=None),
        OneHotEncoder(handle_unknown="ignore", min_frequency=20),
    )
    columns = ColumnTransformer([("numbers", filled, numbers), ("texts", encoded, texts)])
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))

    def plain(part):
        texts_of = {name: part[name].astype(object).where(part[name].notna(), None)
                    for name in texts}  # fmt: skip
        return part[names].assign(**texts_of)

    model.fit(plain(rows), rows["label"])
    return lambda part: model.predict_proba(plain(part))[:, 1]


def lightgbm(rows, names, watch=None):
    """LightGBM with its defaults, or slower and stopped early on rows held apart."""
    from lightgbm import LGBMClassifier, early_stopping

    def plain(part):
        return part[names].set_axis([f"f{k}" for k in range(len(names))], axis=1)

    given = {"n_jobs": THREADS, "verbose": -1, "random_state": SEED, "deterministic": True}
    if watch is None:
        model = LGBMClassifier(**given).fit(plain(rows), rows["label"])
    else:
        model = LGBMClassifier(n_estimators=1000, learning_rate=0.05, **given)
        model.fit(
            plain(rows), rows["label"], eval_set=[(plain(watch), watch["label"])],
            callbacks=[early_stopping(30, verbose=False)],
        )  # fmt: skip
    return lambda part: model.predict_proba(plain(part))[:, 1]


def run_one(name: str, data: str) -> None:
    """All peers on one set: a line of JSON."""
    import pandas as pd

    from cdp_lib.predict import propensity, rules

    with tempfile.TemporaryDirectory() as folder:
        found, shop = frames_of(name, Path(data), Path(folder))
        begun = time.process_time()
        model = propensity.fit(found, seed=SEED, threads=THREADS)
        cpu = time.process_time() - begun
        raced = {one.name: one.score for one in rules.field(found, model, shop).candidates
                 if one.kind == "rule"}  # fmt: skip
    names = found.names
    numbers = [n for n in names if pd.api.types.is_numeric_dtype(found.train[n])]
    # Whoever needs no rows to stop or calibrate on learns from these too.
    known = pd.concat([found.train, found.choose, found.calibrate], ignore_index=True)
    for text in set(names) - set(numbers):
        known[text] = known[text].astype(found.train[text].dtype)
    test = found.test
    scores = {
        "workbench": model.predict(test),
        "logistic regression": logistic_regression(known, names, numbers)(test),
        "LightGBM, defaults": lightgbm(known, names)(test),
        "LightGBM, stopped early": lightgbm(found.train, names, found.choose)(test),
    }
    ours = scores["workbench"]
    rows = [measured(peer, test, p, ours, True) for peer, p in scores.items()]
    rows += [measured(rule, test, score, ours, False) for rule, score in raced.items()]
    answer = {"rows": rows, "winner": model.winner, "n_features": len(names), "cpu": cpu,
              "n_test": len(test), "base_rate": float(test["label"].mean())}  # fmt: skip
    print(json.dumps(answer))


def measured(peer: str, test, score, ours, is_probability: bool) -> dict:
    """The AUC, its gap to the workbench's with the standard error of the gap, and the log loss.

    The error is of the difference on the same rows, by placements: DeLong, DeLong and
    Clarke-Pearson (1988) doi:10.2307/2531595.
    """
    import numpy as np
    from scipy.stats import rankdata
    from sklearn.metrics import log_loss

    y = test["label"].to_numpy().astype(bool)

    def placements(of) -> tuple:
        """The share of the other class below (of a hit) or above (of a miss), ties as half."""
        rank = rankdata(of)
        inside = np.empty(len(y))
        inside[y], inside[~y] = rankdata(of[y]), rankdata(of[~y])
        below = rank - inside
        return below[y] / (~y).sum(), 1 - below[~y] / y.sum()

    theirs, mine = placements(np.asarray(score, float)), placements(np.asarray(ours, float))
    gap = [one - other for one, other in zip(theirs, mine, strict=True)]
    error = float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in gap)))
    loss = float(log_loss(y, score)) if is_probability else None
    return {"peer": peer, "auc": float(theirs[0].mean()), "gap": float(gap[0].mean()),
            "error": error, "log_loss": loss}  # fmt: skip


def public_data() -> Path | None:
    """The folder with the public data, where there is one."""
    folder = Path(os.environ.get("CDP_PUBLIC_DATA", ROOT.parent / "shared" / "data")).resolve()
    return folder if (folder / "SOURCES.md").is_file() else None


def main() -> None:
    """Read the arguments, run each set in a process of its own, print."""
    import environment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SETS), help="sets to run")
    asked = parser.parse_args()
    data = public_data()
    if data is None:
        print("Not run: CDP_PUBLIC_DATA names no folder with the public data sets.")
        return
    environment.set_up()
    for name in asked.only.split(","):
        found = environment.measure("quality_peers.py", name, data)
        if "failed" in found:
            print(f"\n{name}: failed: {found['failed']}")
            continue
        what = f"within {HORIZONS[name]} days, " if name in HORIZONS else ""
        print(
            f"\n{name}: {what}{found['n_test']:,} test rows, {found['base_rate']:.1%} positive, "
            f"{found['n_features']} features; winner {found['winner']}; "
            f"fit in {found['cpu']:.0f} cpu s"
        )
        wide = max(len(row["peer"]) for row in found["rows"]) + 2
        print(f"{'peer':<{wide}}{'AUC':>8}{'gap':>9}{'± error':>9}{'log loss':>10}")
        for row in found["rows"]:
            loss = "-" if row["log_loss"] is None else f"{row['log_loss']:.4f}"
            print(
                f"{row['peer']:<{wide}}{row['auc']:>8.4f}{row['gap']:>+9.4f}{row['error']:>9.4f}{loss:>10}"
            )


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in SETS:
        run_one(*sys.argv[1:])
    else:
        main()
