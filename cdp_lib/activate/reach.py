"""How far a look-alike reaches: what the first of its order brought, on a later span of time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cdp_lib.activate.lookalike import Lookalikes
from cdp_lib.checks import one_of
from cdp_lib.lift.uplift_curves import ends, share_within, standing, sums
from cdp_lib.normal import Z

TOP = 0.1


def lift_table(one: Lookalikes, top: float = TOP, n_boot: int = 500) -> pd.DataFrame:
    """How well each seed finds its like among prospects, on the later span.

    Out: a row per seed: seed, title, n (prospects tested), n_joined, base (share that joined), auc,
    caught (share of those who joined that the first `top` of the order hold), lift (caught over
    `top`; 1 is chance), margin_all and margin_top (mean margin of a prospect, and of one among the
    first), value_lift (the latter over the former); each of auc, lift and value_lift with _low and
    _high (95 %, by drawing prospects). NaN where nobody joined.
    """
    rows = []
    for kind in one.kinds:
        score, joined, margin = (
            one.tested[name].to_numpy(float)
            for name in (f"score_{kind}", f"joined_{kind}", "margin")
        )
        inside = share_within(standing(score), top)
        columns = np.column_stack([joined, joined * inside, margin, margin * inside])
        whole, drawn = sums(columns, n_boot=n_boot)
        row = {"seed": kind, "title": one.told.titles[kind], "n": len(joined)}
        row |= {"n_joined": int(joined.sum()), "base": whole[0]}
        row |= dict(zip(("auc", "auc_low", "auc_high"), auc_of(score, joined), strict=True))
        for name, top_sum, all_sum in (("lift", 1, 0), ("value_lift", 3, 2)):
            row[name] = _ratio(whole[top_sum], whole[all_sum] * top)
            drawn_ratio = _ratio(drawn[:, top_sum], drawn[:, all_sum] * top)
            row[f"{name}_low"], row[f"{name}_high"] = ends(drawn_ratio, 0.025)
        row |= {"caught": row["lift"] * top, "margin_all": whole[2], "margin_top": whole[3] / top}
        rows.append(row)
    return pd.DataFrame(rows)


def size_curve(one: Lookalikes, kind: str, n_boot: int = 500) -> pd.DataFrame:
    """What taking the first share of the prospects would have reached on the later span.

    Out: a row per share: share (0.01 to 1), n (prospects), caught (share of those who joined the
    seed), caught_low, caught_high (95 %), margin (money of the prospects taken), margin_low,
    margin_high, per_head (margin of one).
    """
    one_of("seed", kind, one.kinds)
    score, joined = one.tested[f"score_{kind}"], one.tested[f"joined_{kind}"].to_numpy(float)
    margin = one.tested.margin.to_numpy(float)
    shares = np.unique(np.r_[0.01, 0.02, 0.05, np.linspace(0.1, 1, 10)])
    inside = share_within(standing(score), shares)
    n, k = len(joined), len(shares)
    columns = np.column_stack([joined[:, None] * inside, margin[:, None] * inside, joined])
    whole, drawn = sums(columns, n_boot=n_boot)
    with np.errstate(invalid="ignore", divide="ignore"):
        caught = ends(drawn[:, :k] / drawn[:, [-1]], 0.025)
        table = pd.DataFrame({"share": shares, "n": shares * n, "caught": whole[:k] / whole[-1]})
    table["caught_low"], table["caught_high"] = caught
    table["margin"] = whole[k : 2 * k] * n
    table["margin_low"], table["margin_high"] = (e * n for e in ends(drawn[:, k : 2 * k], 0.025))
    return table.assign(per_head=table.margin / table.n)


def best_seed(lifts: pd.DataFrame) -> str:
    """The seed to use. In: `lift_table`.

    The one whose like brought most money a head among the first of the order, as far as that can be
    told: of all within a standard error of it, the one told apart best. Where no money came in, the
    one told apart best.
    """
    value = lifts.value_lift.to_numpy(float)
    if np.isfinite(value).any():
        top = int(np.nanargmax(value))
        error = (lifts.value_lift_high - lifts.value_lift_low).to_numpy(float)[top] / (2 * Z)
        lifts = lifts[value >= value[top] - np.nan_to_num(error)]
    return str(lifts.seed.iloc[int(np.nanargmax(lifts.auc.fillna(0).to_numpy(float)))])


def auc_of(score: np.ndarray, joined: np.ndarray) -> tuple[float, float, float]:
    """The chance that one who joined stands before one who did not, and its 95 % interval.

    NaN where nobody or everybody joined. Source: DeLong, DeLong and Clarke-Pearson (1988),
    doi:10.2307/2531595.
    """
    hit = np.asarray(joined, bool)
    m, n = int(hit.sum()), int((~hit).sum())
    if not m or not n:
        return np.nan, np.nan, np.nan
    rank = pd.Series(np.asarray(score, float)).rank().to_numpy()
    of_hits = (rank[hit] - pd.Series(score[hit]).rank().to_numpy()) / n
    of_rest = 1 - (rank[~hit] - pd.Series(score[~hit]).rank().to_numpy()) / m
    auc = float(of_hits.mean())
    if min(m, n) < 2:
        return auc, np.nan, np.nan
    half = Z * float(np.sqrt(of_hits.var(ddof=1) / m + of_rest.var(ddof=1) / n))
    return auc, max(0.0, auc - half), min(1.0, auc + half)


def _ratio(part, whole):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(whole) > 0, np.asarray(part) / np.asarray(whole), np.nan)[()]
