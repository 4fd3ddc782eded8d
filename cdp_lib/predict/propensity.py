"""A propensity: the calibrated probability that an outcome comes true for a customer.

Two models are fitted on the training rows, boosted trees and a logistic regression. The rows of
`choose` say how many trees there are and which model is used, or the average of both (of their log
odds); then the trees learn from them too. Those of `calibrate` say whether it is worth using at
all, and both together turn the score into a probability. The test rows are not touched here.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, at_least
from cdp_lib.customers.features import Feature
from cdp_lib.predict.calibration import NONE, Calibration, calibrate
from cdp_lib.predict.columns import Columns
from cdp_lib.predict.frame_set import Frames, role_table
from cdp_lib.predict.logistic import Logistic, log_loss, regress
from cdp_lib.predict.prepared import from_table
from cdp_lib.predict.trees import Trees, data_matrix, grow, margins
from cdp_lib.predict.verdict import Verdict, enough, signal

if TYPE_CHECKING:
    import xgboost

FORMAT = 1
TIE = 0.001
SIMPLEST_FIRST = ("logistic", "xgboost", "average")
BUILT_ON = ("train", "choose", "calibrate")


@dataclass(frozen=True, eq=False)
class Propensity:
    """A fitted model. Nothing in it changes after it was made.

    winner: "xgboost", "logistic", "average" of both, or "constant", the base rate for everybody,
    where the verdict is not "use". verdict: "use", "too little data" or "no signal". reason: why,
    in a sentence. n_needed: positives that would settle it, or None. features: what the columns
    mean. columns: their kinds and categories. booster: the trees; None where
    too little data was there to fit. linear: the regression, likewise. calibration: from log odds
    to probability. base_rate: share of positives of the calibration rows. card: all of that and
    where it comes from, as plain JSON. threads: used to predict.
    """

    winner: str
    verdict: str
    reason: str
    n_needed: int | None
    features: tuple[Feature, ...]
    columns: Columns
    booster: xgboost.Booster | None
    linear: Logistic | None
    calibration: Calibration
    base_rate: float
    card: dict[str, Any]
    threads: int = 2

    @property
    def warnings(self) -> list[str]:
        """What is odd about the rows it learned from."""
        return self.card["warnings"]

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The calibrated probability of each row, float64.

        In: a frame with the columns of `features`. A category that was not there at the fit is
        read as missing. Raises Refusal for a column that is missing or of another kind.
        """
        x = self.columns.matrix(frame)
        if self.winner == "constant":
            return np.full(len(x), self.base_rate)
        return self.calibration.apply(self.margins(x))

    def margins(self, x: np.ndarray) -> np.ndarray:
        """Log odds before calibration of each row of `columns.matrix`."""
        trees = self.winner in ("xgboost", "average")
        line = self.winner in ("logistic", "average")
        found = [margins(self.booster, self.columns, x, self.threads)] if trees else []
        found += [self.linear.margins(x)] if line else []
        return found[0] if len(found) == 1 else (found[0] + found[1]) / 2

    def data_matrix(self, frame: pd.DataFrame) -> xgboost.DMatrix:
        """A frame as the booster takes it, for `pred_contribs` and the like."""
        return data_matrix(self.columns, self.columns.matrix(frame), threads=self.threads)


def fit(
    data: Frames | pd.DataFrame, target: str | None = None, *, seed: int = 7, threads: int = 2,
    **table: Any,
) -> Propensity:  # fmt: skip
    """Fit a propensity on frames, or on any prepared table with a target column.

    data: `Frames`, or a table, pandas or Ibis, for `from_table(data, target, **table)`. threads:
    to fit and predict with; with the same number the same rows give the same bytes. Out: a
    Propensity; with too little data, or no signal, one that says so and gives everybody the base
    rate. Raises Refusal as `from_table` does.
    """
    at_least("threads", threads, 1)
    if not isinstance(data, Frames):
        if target is None:
            raise Refusal("target", None, "a table needs a target", "name the column to predict")
        data = from_table(data, target, seed=seed, **table)
    columns = data.columns
    label = {role: data.part(role)["label"].to_numpy(dtype="float64") for role in BUILT_ON}
    x = {role: columns.matrix(data.part(role)) for role in BUILT_ON}
    verdict = enough(label)
    trees = line = None
    scores: dict[str, float] = {}
    calibration, winner = NONE, "constant"
    if verdict is None:
        train, choose = (x["train"], label["train"]), (x["choose"], label["choose"])
        trees = grow(columns, train, choose, seed, threads)
        line, _ = regress(columns, train, choose)
        on_calibrate = margins(trees.booster, columns, x["calibrate"], threads)
        found = {
            "choose": _candidates(trees.on_choose, line.margins(x["choose"])),
            "calibrate": _candidates(on_calibrate, line.margins(x["calibrate"])),
        }
        scores = {n: log_loss(label["choose"], m) for n, m in found["choose"].items()}
        winner = choose_winner(scores)
        margin = found["calibrate"][winner]
        n_positive = int(sum(y.sum() for y in label.values()))
        verdict = signal(label["calibrate"], margin, n_positive)
        # Stopping and choosing read little from `choose`, and twice the rows halve the noise.
        calibration = calibrate(
            np.concatenate([found[role][winner] for role in BUILT_ON[1:]]),
            np.concatenate([label[role] for role in BUILT_ON[1:]]),
        )
        winner = winner if verdict.word == "use" else "constant"
    base_rate = _base_rate(label)
    card = _card(data, trees, line, scores, winner, calibration, verdict, base_rate, seed)
    return Propensity(
        winner=winner,
        verdict=verdict.word,
        reason=verdict.reason,
        n_needed=verdict.n_needed,
        features=data.features,
        columns=columns,
        booster=trees.booster if trees else None,
        linear=line,
        calibration=calibration,
        base_rate=base_rate,
        card=card,
        threads=threads,
    )


def choose_winner(log_losses: dict[str, float]) -> str:
    """The candidate with the least log loss; within 0.1 % of it, the simplest."""
    bound = min(log_losses.values()) * (1 + TIE)
    return next(name for name in SIMPLEST_FIRST if log_losses.get(name, np.inf) <= bound)


def _candidates(grown: np.ndarray, straight: np.ndarray) -> dict[str, np.ndarray]:
    return {"xgboost": grown, "logistic": straight, "average": (grown + straight) / 2}


def _base_rate(label: dict[str, np.ndarray]) -> float:
    """The rate of the newest rows, or of all where they are few."""
    newest = label["calibrate"]
    rows = newest if newest.sum() >= 25 else np.concatenate(list(label.values()))
    return float(rows.mean())


def _card(
    data: Frames,
    trees: Trees | None,
    line: Logistic | None,
    scores: dict[str, float],
    winner: str,
    calibration: Calibration,
    verdict: Verdict,
    base_rate: float,
    seed: int,
) -> dict[str, Any]:
    roles = role_table(data)
    features = [
        {**column, "meaning": f.meaning, "unit": f.unit, "source": f.source, "group": f.group,
         "dated": bool(f.dated)}
        for column, f in zip(data.columns.to_card(), data.features, strict=True)
    ]  # fmt: skip
    outcome = data.outcome
    return {
        "format": FORMAT,
        "target": data.target,
        "outcome": None if outcome is None else dict(vars(outcome)),
        "population": None if outcome is None else outcome.who,
        "lookback_days": data.lookback_days,
        "split": data.split,
        "roles": [
            {"role": r.role, "cutoff": None if pd.isna(r.cutoff) else str(r.cutoff),
             "n_rows": int(r.n_rows), "n_positive": int(r.n_positive)}
            for r in roles.itertuples()
        ],
        "base_rate": base_rate,
        "verdict": verdict.word,
        "reason": verdict.reason,
        "n_needed": verdict.n_needed,
        "winner": winner,
        "log_loss_on_choose": scores,
        "trees": None
        if trees is None
        else {
            "parameters": trees.parameters,
            "n_trees": trees.booster.num_boosted_rounds(),
            "tried": [{**p, "log_loss": loss} for p, loss in trees.tried],
        },
        "logistic": None if line is None else line.to_card(),
        "calibration": dict(vars(calibration)),
        "features": features,
        "set_aside": data.set_aside,
        "warnings": list(data.warnings),
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scikit-learn")},
            "xgboost": _xgboost_version(),
        },
    }  # fmt: skip


def _xgboost_version() -> str:
    from cdp_lib.predict.trees import library

    return library().__version__
