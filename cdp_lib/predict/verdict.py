"""Whether a model may be used: does it rank better than chance on customers held apart?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdp_lib.normal import Z
from cdp_lib.predict.ranking import auc_with_error

LEAST = {"train": 25, "choose": 5, "calibrate": 5}
WORTH_AUC = 0.6


@dataclass(frozen=True)
class Verdict:
    """word: "use", "too little data" or "no signal". reason: a sentence. n_needed: positives to
    train, choose and calibrate with that would settle it; None where nothing is lacking."""

    word: str
    reason: str
    n_needed: int | None = None


def enough(label: dict[str, np.ndarray]) -> Verdict | None:
    """The verdict where a role has too few positives or negatives to fit anything, else None."""
    rarer = {role: int(min(y.sum(), len(y) - y.sum())) for role, y in label.items()}
    if all(rarer[role] >= least for role, least in LEAST.items()):
        return None
    positive = sum(int(y.sum()) for y in label.values())
    total = sum(len(y) for y in label.values())
    what = "positives" if positive <= total / 2 else "negatives"
    # LEAST is 35 of the 75 % of customers who train, choose and calibrate, with room for luck.
    return Verdict(
        "too little data",
        f"Only {rarer['train']} {what} to train on, {rarer['choose']} to choose with and "
        f"{rarer['calibrate']} to calibrate with; at least {LEAST['train']}, {LEAST['choose']} and "
        f"{LEAST['calibrate']} are needed.",
        75,
    )


def signal(label: np.ndarray, score: np.ndarray, n_positive: int) -> Verdict:
    """The verdict on a fitted model from rows it was neither fitted nor chosen on.

    n_positive: positives of all roles that a model is built with.
    """
    auc, error = auc_with_error(label, score)
    low, high = max(0.0, auc - Z * error), min(1.0, auc + Z * error)
    said = f"AUC {auc:.3f} on customers held apart (95 % interval {low:.3f} to {high:.3f})"
    if low > 0.5:
        return Verdict("use", f"{said}: it ranks better than chance.")
    distance = max(auc, WORTH_AUC) - 0.5
    needed = int(np.ceil(n_positive * max(1.0, (1.2 * Z * error / distance) ** 2)))
    if high < WORTH_AUC:
        return Verdict(
            "no signal", f"{said}: no better than chance, and at best faint. The features do not "
            "tell who; use no model.",
        )  # fmt: skip
    return Verdict(
        "too little data",
        f"{said}: cannot tell it from chance. About {needed:,} positives would settle whether "
        f"there is an AUC of {max(auc, WORTH_AUC):.2f}; there are {n_positive:,}.",
        needed,
    )
