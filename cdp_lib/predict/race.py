"""The race: a model against the rules it must beat, at the same number of contacts.

All candidates order the same customers, and the first `n_contacts` of each order are contacted.
Customers whose scores are equal stand in random order: what is told is the mean over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, one_of, share
from cdp_lib.predict.ranking import auc, caught, rank
from cdp_lib.predict.resample import draws, interval
from cdp_lib.predict.rules import KINDS, Candidate

CONTACTED = 0.1
WORTHWHILE = 0.05


def race_table(
    y,
    candidates: Sequence[Candidate],
    n_contacts: float | None = None,
    ids=None,
    n_boot: int = 500,
    seed: int = 7,
) -> pd.DataFrame:
    """Every candidate at the same number of contacts, on customers nobody has learned from.

    y: outcomes, 0 or 1; n_contacts: how many are contacted (None: a tenth); ids: the customer of
    each row, for intervals. Out: a row per candidate, by falling catch: candidate, kind, auc,
    auc_low, auc_high, n_contacts, caught (outcomes among those contacted), found (share of all
    outcomes), precision (caught over contacts), precision_low, precision_high, best_rule (the
    rule that caught most here, which favours the rule), gain (caught more than by the best rule),
    gain_low, gain_high, auc_gain, auc_gain_low, auc_gain_high (of the same bootstrap samples).
    Intervals are 95 %. Raises Refusal for repeated names and more contacts than customers.
    """
    names = [candidate.name for candidate in candidates]
    if not names or len(set(names)) < len(names):
        raise Refusal("candidates", names, "empty or repeated names", "give each its own")
    for candidate in candidates:
        one_of("kind", candidate.kind, KINDS)
    ranked = [rank(y, candidate.score) for candidate in candidates]
    n = len(ranked[0].hit)
    n_contacts = max(1.0, CONTACTED * n) if n_contacts is None else float(n_contacts)
    above("n_contacts", n_contacts, 0)
    if n_contacts > n:
        raise Refusal("n_contacts", n_contacts, f"more than {n} customers", "contact fewer")
    part = n_contacts / n

    def measured(weights: np.ndarray) -> np.ndarray:
        sums = [one.sums(weights) for one in ranked]
        # A sample of customers with many rows is larger: contacts and catch are put per row.
        scale = n / weights.sum(axis=1)
        return np.array([[auc(s) for s in sums], [caught(s, part) * scale for s in sums]])

    whole = measured(np.ones((1, n)))[:, :, 0]
    drawn = np.concatenate([measured(w) for w in draws(n, ids, n_boot, seed)], axis=2)
    rules = [at for at, one in enumerate(candidates) if one.kind == "rule"]
    rules = rules or [at for at, one in enumerate(candidates) if one.kind == "no model"] or [0]
    best = max(rules, key=lambda at: whole[1, at])
    rows = []
    for at, candidate in enumerate(candidates):
        row = {"candidate": candidate.name, "kind": candidate.kind, "auc": whole[0, at]}
        row |= _ends("auc", drawn[0, at])
        row |= {"n_contacts": n_contacts, "caught": whole[1, at]}
        total = ranked[at].hit.sum()
        row["found"] = whole[1, at] / total if total else np.nan
        row["precision"] = whole[1, at] / n_contacts
        row |= _ends("precision", drawn[1, at] / n_contacts)
        row["best_rule"] = at == best
        for name, which in (("gain", 1), ("auc_gain", 0)):
            row[name] = whole[which, at] - whole[which, best]
            row |= _ends(name, drawn[which, at] - drawn[which, best])
        rows.append(row)
    table = pd.DataFrame(rows)
    order = np.argsort(-table.caught.to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


@dataclass(frozen=True)
class RaceVerdict:
    """word: "use the model", "use the rule" or "cannot tell"; rule: the best rule's name;
    sentence: why, in words."""

    word: str
    rule: str
    sentence: str


def race_verdict(table: pd.DataFrame, worthwhile: float = WORTHWHILE) -> RaceVerdict:
    """What to use, from a race table with one candidate of kind "model".

    The model is worth using when it surely catches more than the best rule, and may catch at least
    `worthwhile` (a share) more. The rule is as good when the model surely gains less than that.
    Where neither orders customers surely better than chance, and in between, one cannot tell.
    """
    share("worthwhile", worthwhile)
    models = table[table.kind == "model"]
    if len(models) != 1:
        raise Refusal("table", len(models), 'not one candidate of kind "model"', "race one model")
    model, rule = models.iloc[0], table[table.best_rule].iloc[0]
    name, contacts = rule.candidate, f"{model.n_contacts:,.0f} contacts"
    counts = f"of {contacts} the model catches {model.caught:,.0f}, {name} {rule.caught:,.0f}"
    gap = f"({model.gain:+,.0f}; 95 % interval {model.gain_low:+,.0f} to {model.gain_high:+,.0f})"
    if not (model.auc_low > 0.5 or rule.auc_low > 0.5):
        return RaceVerdict(
            "cannot tell",
            name,
            f"Neither the model (AUC {model.auc:.2f}) nor {name} ({rule.auc:.2f}) is surely better "
            "than a random order.",
        )
    enough = worthwhile * rule.caught
    if model.gain_low > 0 and model.gain_high >= enough:
        return RaceVerdict("use the model", name, f"Use the model: {counts} {gap}.")
    if model.gain_high < enough or (model.gain_high <= 0):
        return RaceVerdict(
            "use the rule",
            name,
            f"Use the rule: {counts} {gap}, so it is as good to within {worthwhile:.0%}.",
        )
    order = (
        f" Over all customers the model orders better (AUC {model.auc:.2f} against {rule.auc:.2f})."
        if model.auc_gain_low > 0
        else ""
    )
    return RaceVerdict("cannot tell", name, f"Cannot tell: {counts} {gap}.{order}")


def race_by_cutoff(
    y,
    candidates: Sequence[Candidate],
    cutoffs,
    contacted: float = CONTACTED,
    ids=None,
    n_boot: int = 200,
    seed: int = 7,
    worthwhile: float = WORTHWHILE,
) -> pd.DataFrame:
    """The race at each cutoff by itself, so that one sees every week who wins.

    y, candidates, ids: rows of all cutoffs together; cutoffs: the cutoff of each row; contacted:
    the share contacted at each. Out: the rows of `race_table` with cutoff before them and, after,
    verdict (the word of `race_verdict` at that cutoff).
    """
    share("contacted", contacted)
    when, y = pd.Series(np.asarray(cutoffs)), np.asarray(y)
    if len(when) != len(y):
        raise Refusal("cutoffs", len(when), f"not {len(y)} rows", "give a cutoff for each row")
    tables = []
    for moment in sorted(when.dropna().unique()):
        inside = (when == moment).to_numpy()
        own = [Candidate(c.name, c.kind, np.asarray(c.score)[inside]) for c in candidates]
        people = None if ids is None else np.asarray(ids)[inside]
        n_contacts = max(1.0, contacted * inside.sum())
        table = race_table(y[inside], own, n_contacts, people, n_boot, seed)
        table.insert(0, "cutoff", moment)
        tables.append(table.assign(verdict=race_verdict(table, worthwhile).word))
    return pd.concat(tables, ignore_index=True)


def _ends(name: str, values: np.ndarray) -> dict[str, float]:
    low, high = interval(values)
    return {f"{name}_low": low, f"{name}_high": high}
