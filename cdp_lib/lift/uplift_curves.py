"""How well an order of customers finds those whom a treatment moves, on units held apart.

Of one unit an effect cannot be seen, but it can be measured without bias: with z the arm (1 or 0),
p the chance of treatment, y the outcome and m any guess of y made without looking at y,

    measured = (y - m) (z - p) / (p (1 - p))

has the unit's effect as its mean, because z was drawn at random; the better m, the less it
scatters. Everything here is a mean of it over some units: the effect of the first tenth of an
order, the gain from treating them, the area under the curve of gains, the value of a policy.
Sources: Horvitz and Thompson (1952) doi:10.1080/01621459.1952.10483446; with m, Robins, Rotnitzky
and Zhao (1994) doi:10.1080/01621459.1994.10476818; the curve, Radcliffe (2007), "Using control
groups to target on predicted lift"; area between it and chance, Yadlowsky et al. (2025)
doi:10.1080/01621459.2024.2393466.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above

AT = (0.1, 0.2, 0.3, 0.5)
LEVEL = 0.95
N_BOOT = 500
BLOCK = 8_000_000  # bootstrap weights held at a time, 32 MB
POINTS = 50


def measured(
    y: np.ndarray,
    treated: np.ndarray,
    share: np.ndarray | float,
    foreseen: np.ndarray | None = None,
) -> np.ndarray:
    """The measured effect of each unit, see above. share: p; foreseen: m, None for one mean."""
    y, z = np.asarray(y, float), np.asarray(treated, float)
    p = np.broadcast_to(np.asarray(share, float), y.shape)
    if foreseen is None:
        weight = np.where(z == 1, (1 - p) / p, p / (1 - p))
        foreseen = np.average(y, weights=weight)
    return (y - foreseen) * (z - p) / (p * (1 - p))


def standing(score: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """Where each unit stands in an order, in (0, 1), 0 being treated first; ties stand together.

    fold: units are ranked within theirs, for scores of several models are not on one scale.
    """
    ranked = pd.Series(-np.asarray(score, float))
    groups = np.zeros(len(ranked), int) if fold is None else np.asarray(fold)
    grouped = ranked.groupby(groups)
    return ((grouped.rank(method="average") - 0.5) / grouped.transform("size")).to_numpy()


def share_within(
    order: np.ndarray,
    first: float | Sequence[float],
    fold: np.ndarray | None = None,
) -> np.ndarray:
    """The chance of each unit to be among the first share; ties share what is left alike.

    first: one share, or several for a column each.
    """
    groups = np.zeros(len(order), int) if fold is None else np.asarray(fold)
    frame = pd.DataFrame({"group": groups, "order": order})
    tied = frame.groupby(["group", "order"])["order"].transform("size").to_numpy()
    width = tied / frame.groupby("group")["order"].transform("size").to_numpy()
    start = order - width / 2
    if np.ndim(first) == 0:
        return np.clip((first - start) / width, 0, 1)
    return np.clip((np.asarray(first, float) - start[:, None]) / width[:, None], 0, 1)


def score_table(
    effects: np.ndarray,
    scores: Mapping[str, np.ndarray],
    fold: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    at: Sequence[float] = AT,
    tested: int = 1,
    n_boot: int = N_BOOT,
    seed: int = 7,
) -> pd.DataFrame:
    """Each order beside a random one, on units that no score has learned from.

    effects: of `measured`. scores: name -> a score a unit, the highest treated first. fold: of
    scores by several models. ids: the person of each row, for intervals. tested: how many of the
    orders one would act on; intervals are 95 % for them together (Bonferroni).

    Out: a row per score, the best first: candidate, n; qini (area between the curve of gains and a
    random order's, outcome per unit of the population), auuc (area under the curve), and for each
    share in `at` uplift_at_<percent> (effect of treating one of the first units); each with _low
    and _high. A score that orders nobody has a qini of 0. Raises Refusal for empty or unlike input.
    """
    _check(effects, scores, at)
    columns, names = [], []
    for score in scores.values():
        order = standing(score, fold)
        columns += [effects * (0.5 - order), effects * (1 - order)]
        for inside in share_within(order, at, fold).T:
            columns += [effects * inside, inside]
    whole, drawn = sums(np.column_stack(columns), ids, n_boot, seed)
    width, tail = 2 + 2 * len(at), (1 - LEVEL) / 2 / max(1, tested)
    rows = []
    for place, name in enumerate(scores):
        part = slice(place * width, (place + 1) * width)
        row: dict[str, object] = {"candidate": name, "n": len(effects)}
        names = ["qini", "auuc", *(f"uplift_at_{round(100 * first)}" for first in at)]
        for measure, value, values in zip(
            names, *(_measures(s[..., part]) for s in (whole, drawn)), strict=True
        ):
            row[measure] = float(value)
            row[f"{measure}_low"], row[f"{measure}_high"] = ends(values, tail)
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.iloc[np.argsort(-table.qini.to_numpy(), kind="stable")].reset_index(drop=True)


def curve_table(
    effects: np.ndarray,
    scores: Mapping[str, np.ndarray],
    fold: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    n_boot: int = N_BOOT,
    seed: int = 7,
) -> pd.DataFrame:
    """What treating the first share of each order gains.

    Out: a row per score and share, 0 to 1: candidate, contacted (share), gain (outcome per unit of
    the population), gain_low, gain_high (95 %, pointwise), random (gain of a random order).
    """
    _check(effects, scores, (1.0,))
    shares = np.linspace(0, 1, POINTS + 1)
    parts = []
    for name, score in scores.items():
        order = standing(score, fold)
        inside = share_within(order, shares, fold)
        whole, drawn = sums(effects[:, None] * inside, ids, n_boot, seed)
        low, high = ends(drawn, (1 - LEVEL) / 2)
        parts.append(
            pd.DataFrame(
                {
                    "candidate": name,
                    "contacted": shares,
                    "gain": whole,
                    "gain_low": low,
                    "gain_high": high,
                    "random": shares * whole[-1],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def sums(
    columns: np.ndarray, ids: np.ndarray | None = None, n_boot: int = N_BOOT, seed: int = 7
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each column, and of each bootstrap sample of people, (n_boot, columns).

    Every person counts Poisson(1) times in a sample, means being over those drawn, so that all
    columns of all samples are one product of matrices. Source: Chamandy et al. (2012), "Estimating
    uncertainty for massive data streams".
    """
    columns = np.asarray(columns, float)
    n = len(columns)
    rng = np.random.default_rng(seed)
    codes = None if ids is None else pd.factorize(np.asarray(ids))[0]
    n_people = n if codes is None else int(codes.max()) + 1
    block, parts = max(1, BLOCK // max(n_people, 1)), []
    for start in range(0, n_boot, block):
        drawn = rng.poisson(1.0, (min(block, n_boot - start), n_people)).astype(np.float32)
        drawn = drawn if codes is None else drawn[:, codes]
        total = drawn.sum(axis=1, keepdims=True)
        parts.append((drawn @ columns.astype(np.float32)) / np.where(total > 0, total, np.nan))
    return columns.mean(axis=0), np.concatenate(parts).astype(float)


def ends(values: np.ndarray, tail: float) -> tuple:
    """The percentile interval of bootstrap values down the first axis; NaN where undefined."""
    fine = np.isfinite(values).mean(axis=0) >= 0.9
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(np.where(fine, values, 0.0), [tail, 1 - tail], axis=0)
    low, high = (np.where(fine, end, np.nan) for end in (low, high))
    return (low, high) if low.ndim else (float(low), float(high))


def _measures(found: np.ndarray) -> list[np.ndarray]:
    """qini, auuc and the effect among the first, from the sums of one score."""
    with np.errstate(invalid="ignore", divide="ignore"):
        first = [found[..., k] / found[..., k + 1] for k in range(2, found.shape[-1], 2)]
    return [found[..., 0], found[..., 1], *first]


def _check(effects: np.ndarray, scores: Mapping[str, np.ndarray], at: Sequence[float]) -> None:
    if not scores or not len(effects):
        raise Refusal("scores", list(scores), "nothing to judge", "give a score and its units")
    for name, score in scores.items():
        if len(score) != len(effects) or not np.isfinite(np.asarray(score, float)).all():
            raise Refusal("scores", name, "not a number a unit", "give each unit a score")
    for first in at:
        above("at", first, 0)
        if first > 1:
            raise Refusal("at", first, "must lie in (0, 1]", "give a share, such as 0.2")
