"""The leak sentinel: which features may know the outcome, judged by numbers and never by names.

People cannot be predicted that well. Where a model of all features is better than honest models
of customers are (AUC 0.9), the sentinel looks for what makes it so good:

1. a feature without which the AUC falls by 0.05 or more, though all the others are there;
2. from an AUC of 0.95 on, features that stand in for each other, so that none is missed: the
   heaviest is taken out until the rest is no longer too good. Those that lift this rest by 0.05 or
   more are suspects, the others were taken out in vain;
3. companions: features that are harmless alone and tell the outcome together with a suspect
   (a sum and its parts), seen as AUC that a model without that interaction does not reach.

A suspect is a question to ask, not a verdict, and a leak that makes a model no better than an
honest one cannot be told from data alone. Where the values of the same customers after the label
period are given, they clear a suspect whose value has changed since: it was taken before.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.predict.drift import psi
from cdp_lib.predict.sentinel_fit import Matrix, solo_auc

TOO_GOOD, FAR_TOO_GOOD, LIFT = 0.90, 0.95, 0.05
FEWEST = 50  # of either class, below which an AUC says too little
TRIED = 5  # heaviest features whose removal is tried at a time
MOVED = 0.2  # share of rows that must have changed for a feature to be taken before the outcome
QUESTION = "Is this known before the outcome?"


@dataclass(frozen=True)
class Sentinel:
    """What the sentinel found.

    table: a row per feature, suspects first, then by falling SHAP share: feature, verdict
    ("suspect", "clear", "too few to tell"), reason, question (of a suspect), solo_auc (the AUC of
    the feature alone, in either direction, missing being a value), shap_share (of the mean |SHAP|
    of all), loss (AUC lost without it; NaN where not tried), lift (AUC it adds to the features
    that are not suspects; NaN where not tried), and with `later`: moved (share of rows whose value
    changed by then), shift (PSI between the two times), later_auc (its AUC alone by then).
    whole_auc: of all features, out of fold; rest_auc: of the features that are no suspects;
    n_rows: rows judged; sentence: the result in words.
    """

    table: pd.DataFrame
    whole_auc: float
    rest_auc: float
    n_rows: int
    sentence: str

    @property
    def suspects(self) -> list[str]:
        """The names of the suspects."""
        return self.table.feature[self.table.verdict == "suspect"].tolist()


def watch(
    frame: pd.DataFrame,
    label="label",
    features=None,
    shap=None,
    later: pd.DataFrame | None = None,
    ids=None,
    seed: int = 7,
    most_rows: int = 20_000,
) -> Sentinel:
    """Look for features that know the outcome.

    frame: a row per customer (and cutoff) with the features and the label. label: its column, 0 or
    1. features: the columns to judge (None: all but customer_id, cutoff and the label). shap: an
    array (rows, features) of SHAP values of the model in use (None: of a small one fitted here).
    later: the same rows with the features' values as known after the label period, where known.
    ids: the customer of each row, kept in one fold. Of more than `most_rows` rows a seeded sample
    is judged. Raises Refusal for a missing column, and for rows that do not match.
    """
    if label not in frame.columns:
        raise Refusal("label", label, "no such column", f"choose of {', '.join(frame.columns)}")
    if features is None:
        features = [c for c in frame.columns if c not in ("customer_id", "cutoff", label)]
    missing = [name for name in features if name not in frame.columns]
    if missing or not features:
        raise Refusal("features", missing, "no such columns", "judge columns of the frame")
    for place, rows in (("later", later), ("shap", shap), ("ids", ids)):
        if rows is not None and len(rows) != len(frame):
            raise Refusal(place, len(rows), f"not {len(frame)} rows", "give the same rows")
    groups = None if ids is None else np.asarray(ids)
    if len(frame) > most_rows:
        kept = np.sort(np.random.default_rng(seed).choice(len(frame), most_rows, replace=False))
        frame, groups = frame.iloc[kept], None if groups is None else groups[kept]
        later = None if later is None else later.iloc[kept]
    matrix = Matrix.of(frame[features], frame[label], groups, seed)
    few = min(matrix.y.sum(), len(matrix.y) - matrix.y.sum()) < FEWEST
    table = pd.DataFrame({"feature": list(features)})
    table["solo_auc"] = [solo_auc(frame[name], matrix.y, matrix.fold) for name in features]
    whole = matrix.fit(list(features), shap=True)
    share = whole.shap_share if shap is None else _share(shap, features)
    table["shap_share"] = table.feature.map(share)
    search = _Search(matrix, list(features)) if not few else None
    if search and whole.auc >= TOO_GOOD:
        search.run()
    found = search.reasons if search else {}
    if later is not None:
        table = _beside_later(table, frame, later, matrix)
        found = _taken_before(found, table)
    table["loss"] = table.feature.map(search.loss if search else {}).astype(float)
    table["lift"] = table.feature.map(search.lift if search else {}).astype(float)
    verdict = table.feature.map(lambda name: "suspect" if name in found else "clear")
    table.insert(1, "verdict", "too few to tell" if few else verdict)
    table.insert(2, "reason", [found.get(name, "") for name in features])
    table.insert(3, "question", np.where(table.verdict == "suspect", QUESTION, ""))
    order = np.lexsort((-table.shap_share.fillna(0), table.verdict != "suspect"))
    rest = [name for name in features if name not in found]
    rest_auc = (matrix.fit(rest).auc if rest else 0.5) if found else whole.auc
    table = table.iloc[order].reset_index(drop=True)
    return Sentinel(table, whole.auc, rest_auc, len(frame), _sentence(table, whole.auc, rest_auc))


class _Search:
    """The search described above; fills `reasons`, `loss` and `lift` by feature."""

    def __init__(self, matrix: Matrix, features: list[str]) -> None:
        self.matrix, self.rest = matrix, features
        self.reasons: dict[str, str] = {}
        self.loss: dict[str, float] = {}
        self.lift: dict[str, float] = {}

    def run(self) -> None:
        taken, bound = [], FAR_TOO_GOOD
        while self.rest:
            fit = self.matrix.fit(self.rest, shap=True)
            heavy = fit.shap_share.sort_values(ascending=False, kind="stable").index[:TRIED]
            name = self._carrier(fit, list(heavy), first=not taken)
            if name is None and fit.auc >= bound:
                name, bound = heavy[0], TOO_GOOD
            if name is None:
                break
            taken.append(name)
            self.rest = _without(self.rest, name)
        # What was taken out in vain goes back, the least first, so that it can explain the others.
        rest_auc = self.matrix.fit(self.rest).auc if self.rest else 0.5
        for name in taken:
            self.lift[name] = self.matrix.fit([*self.rest, name]).auc - rest_auc
        suspects = [name for name in taken if self.lift[name] >= LIFT]
        self.rest += [name for name in taken if self.lift[name] < LIFT]
        for name in suspects:
            lost = self.loss.get(name, 0.0)
            self.reasons[name] = (
                f"without it the AUC falls by {lost:.2f}, all others being there"
                if lost >= LIFT
                else f"it lifts the AUC of the others from {rest_auc:.2f} by {self.lift[name]:.2f}"
            )
        for name in suspects:
            self._companions(name)

    def _carrier(self, fit, heavy: list[str], first: bool) -> str | None:
        """The heaviest feature whose removal costs 0.05 of AUC or more, surely above 0."""
        for name in heavy:
            without = _without(self.rest, name)
            less = self.matrix.fit(without) if without else self.matrix.nothing()
            if first:
                self.loss[name] = fit.auc - less.auc
            if fit.auc - less.auc >= LIFT and self.matrix.surely_better(fit, less):
                return name
        return None

    def _companions(self, suspect: str) -> None:
        together = [name for name in self.rest if name not in self.reasons]
        if not together:
            return
        joint = self.matrix.fit([*together, suspect], shap=True)
        apart = self.matrix.fit([*together, suspect], apart=suspect)
        if joint.auc - apart.auc < LIFT:
            return
        heavy = joint.shap_share.drop(suspect).sort_values(ascending=False, kind="stable")
        enough = apart.auc + 0.9 * (joint.auc - apart.auc)
        chosen, left = [], list(heavy.index[: 2 * TRIED])
        while left:
            tried = {name: self.matrix.fit([suspect, *chosen, name]).auc for name in left}
            best = max(tried, key=tried.get)
            chosen.append(best)
            left.remove(best)
            if tried[best] >= enough:
                break
        # What does as well in a chosen one's place says the same: a ratio and its parts.
        chosen += [
            name
            for name in left
            if any(
                self.matrix.fit([suspect, name, *_without(chosen, one)]).auc >= enough
                for one in chosen
            )
        ]
        for name in chosen:
            self.reasons[name] = f"together with {suspect} it tells the outcome"


def _without(names: list[str], one: str) -> list[str]:
    return [name for name in names if name != one]


def _share(shap, features) -> dict[str, float]:
    values = np.abs(np.asarray(shap, float))
    if values.ndim != 2 or values.shape[1] != len(features):
        raise Refusal("shap", values.shape, f"not {len(features)} columns", "one per feature")
    weight = values.mean(axis=0)
    return dict(zip(features, weight / weight.sum() if weight.sum() else weight, strict=True))


def _beside_later(table, frame, later, matrix: Matrix) -> pd.DataFrame:
    rows = []
    for name in table.feature:
        if name not in later.columns:
            rows.append((np.nan, np.nan, np.nan))
            continue
        then, now = frame[name].reset_index(drop=True), later[name].reset_index(drop=True)
        same = (then.astype(object) == now.astype(object)) | (then.isna() & now.isna())
        auc = solo_auc(later[name], matrix.y, matrix.fold)
        rows.append((1 - same.mean(), psi(then, now).psi, auc))
    return table.assign(**dict(zip(("moved", "shift", "later_auc"), np.array(rows).T, strict=True)))


def _taken_before(found: dict[str, str], table: pd.DataFrame) -> dict[str, str]:
    moved = table.set_index("feature").moved
    return {name: why for name, why in found.items() if not moved[name] >= MOVED}


def _sentence(table: pd.DataFrame, whole: float, rest: float) -> str:
    if (table.verdict == "too few to tell").any():
        return f"Too few outcomes to look for leaks: fewer than {FEWEST} of one kind."
    suspects = table.feature[table.verdict == "suspect"].tolist()
    if not suspects:
        good = "as honest models are" if whole < TOO_GOOD else "and no feature carries it alone"
        return f"No feature is suspect: all together reach an AUC of {whole:.2f}, {good}."
    return (
        f"{len(suspects)} suspect: {', '.join(suspects)}. All features reach an AUC of "
        f"{whole:.2f}, those that are not suspect {rest:.2f}. {QUESTION}"
    )
