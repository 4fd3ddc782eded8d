"""The rows of a model by role, in typed columns, and what is odd about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cdp_lib.behaviour.intervals import wilson
from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.customers.features import Feature
from cdp_lib.predict.columns import Columns, numbers, read_columns, texts
from cdp_lib.predict.cutoffs import Cutoffs
from cdp_lib.predict.outcome import Outcome
from cdp_lib.predict.roles import ROLES

KEYS = ("customer_id", "cutoff", "label")
FEW_POSITIVES = 100


@dataclass(frozen=True)
class Frames:
    """The rows that a model is trained, chosen, calibrated and tested on.

    train, choose, calibrate, test: DataFrames, a row per customer and cutoff: customer_id,
    cutoff, label (int8), then the features (numbers float64, categories as pandas category with
    the categories of train). features: what the columns mean, in order; those set aside are not
    among them. target: what label 1 means, in words. outcome, cutoffs, lookback_days: of a shop's
    frames, else None. set_aside: feature -> why it is not used. warnings: sentences. split: how
    the roles were drawn, in words. seed: of the draw. n_at_risk: customers at risk by role and
    cutoff before sampling (role, cutoff, n_customers, n_positive), else None.
    """

    train: pd.DataFrame
    choose: pd.DataFrame
    calibrate: pd.DataFrame
    test: pd.DataFrame
    features: tuple[Feature, ...]
    target: str
    outcome: Outcome | None
    cutoffs: Cutoffs | None
    lookback_days: int | None
    set_aside: dict[str, str]
    warnings: tuple[str, ...]
    split: str
    seed: int
    columns: Columns
    n_at_risk: pd.DataFrame | None = None

    @property
    def names(self) -> list[str]:
        """The names of the features, in column order."""
        return [feature.name for feature in self.features]

    def part(self, role: str) -> pd.DataFrame:
        """The rows of a role."""
        return getattr(self, role)


def role_table(frames: Frames) -> pd.DataFrame:
    """What each role holds.

    Out: a row per role and cutoff: role, cutoff, n_rows, n_positive, base_rate (share of
    positives).
    """
    rows = []
    for role in ROLES:
        grouped = frames.part(role).groupby("cutoff", dropna=False)["label"]
        if grouped.ngroups > 20:  # a time column of its own, not a few cutoffs
            part = frames.part(role)
            found = [(part["cutoff"].min(), part["label"])]
        else:
            found = list(grouped)
        rows += [(role, cutoff, len(label), int(label.sum())) for cutoff, label in found]
    table = pd.DataFrame(rows, columns=["role", "cutoff", "n_rows", "n_positive"])
    return table.assign(base_rate=table["n_positive"] / table["n_rows"])


def assemble(
    raw: Mapping[str, pd.DataFrame],
    features: Sequence[Feature],
    target: str,
    kinds: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    **about,
) -> Frames:
    """Frames from the raw rows of each role.

    raw: role -> a frame with KEYS and the features. Raises Refusal where no row or every row is
    positive, and where a window that should hold both labels holds one.
    """
    counts = {role: (len(raw[role]), int(raw[role]["label"].sum())) for role in ROLES}
    odd = check_labels(counts, target)
    columns, aside = read_columns(raw["train"], [feature.name for feature in features], kinds)
    if not columns.names:
        why = sorted(set(aside.values()))
        raise TooLittleData(
            "features", f"{len(aside)} columns", f"none can be used ({', '.join(why)})",
            "give columns that differ between rows, or a longer history",
        )  # fmt: skip
    used = {feature.name: feature for feature in features}
    return Frames(
        **{role: typed(raw[role], columns) for role in ROLES},
        features=tuple(used[name] for name in columns.names),
        target=target,
        set_aside=aside,
        warnings=(*warnings, *odd),
        columns=columns,
        **about,
    )


def typed(raw: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """A frame's keys as they are, and its features in the kinds of `columns`."""
    parts = {key: raw[key] for key in KEYS if key in raw.columns}
    if "label" in parts:
        parts["label"] = parts["label"].astype("int8")
    for name, kind, known in zip(columns.names, columns.kinds, columns.categories, strict=True):
        if kind == "number":
            parts[name] = numbers(raw[name])
        else:
            codes = pd.Index(known, dtype=object).get_indexer(texts(raw[name]))
            dtype = pd.CategoricalDtype(list(known))
            parts[name] = pd.Categorical.from_codes(codes, dtype=dtype)
    return pd.DataFrame(parts, index=raw.index).reset_index(drop=True)


def check_labels(counts: Mapping[str, tuple[int, int]], target: str) -> list[str]:
    """Refuse labels that no model can learn from; out: warnings.

    counts: role -> (rows, positives).
    """
    n = {role: counts[role][0] for role in ROLES}
    positive = {role: counts[role][1] for role in ROLES}
    total, hits = sum(n.values()), sum(positive.values())
    if total == 0:
        raise TooLittleData("population", target, "nobody is at risk", "take a wider population")
    if hits in (0, total):
        what = "no positives" if hits == 0 else "no negatives"
        raise TooLittleData(
            "target", target, f"{what} among {total:,} rows: the target is constant",
            "take another outcome, horizon or population",
        )  # fmt: skip
    for role in ROLES:
        expected = n[role] * min(hits, total - hits) / total
        if positive[role] in (0, n[role]) and expected >= 10:
            raise Refusal(
                role, target, f"one class in its window: {positive[role]} of {n[role]:,} rows are "
                f"positive where about {n[role] * hits / total:.0f} were to be expected",
                "check that the data of that time are complete",
            )  # fmt: skip
    warnings = []
    few = min(positive["train"], n["train"] - positive["train"])
    if few < FEW_POSITIVES:
        low, high = wilson(positive["train"], n["train"])
        warnings.append(
            f"Only {few} {'positives' if positive['train'] == few else 'negatives'} to learn from "
            f"(base rate {positive['train'] / max(n['train'], 1):.1%}, 95 % interval "
            f"{low:.1%} to {high:.1%}); 100 or more make a model worth its name."
        )
    return warnings
