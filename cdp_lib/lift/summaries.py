"""Experiments known by summaries over time: counts, means and variances, and no unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.lift.evidence import Evidence
from cdp_lib.lift.experiment import Experiment
from cdp_lib.lift.metrics import SHOP, Metric
from cdp_lib.lift.readout import Readout, readout
from cdp_lib.lift.sequential import always_valid
from cdp_lib.lift.sums import Sums
from cdp_lib.normal import Z
from cdp_lib.tables import Shop

CONTROL = "control"


def readouts(shop: Shop, one: Experiment) -> list[Readout]:
    """A read-out per experiment and arm of the shop's table `summaries`, at its newest time.

    In: a row per experiment, arm, metric and time, cumulative since the start. Rows without a
    variance are passed over. Each arm brings its own control, so each is read on its own. Raises
    MissingTable, and Refusal where the experiment names metrics that the table does not have.
    """
    shop.require("summaries")
    frame = shop.summaries.to_pandas()
    frame = frame.dropna(subset=["var_control", "var_treated", "mean_control", "mean_treated"])
    given = {metric.name: metric for metric in one.metrics}
    names = sorted(frame.metric.unique())
    chosen = [name for name in given if name in names] if one.metrics != SHOP else names
    if one.metrics != SHOP and set(given) - set(names):
        raise Refusal(
            f"experiments.{one.experiment_id}.metrics", sorted(set(given) - set(names)),
            "not among the summaries", f"choose from {', '.join(names)}",
        )  # fmt: skip
    found = []
    for (experiment, arm), part in frame.groupby(["experiment_id", "arm"], sort=True):
        newest = part[part.at_days == part.at_days.max()].set_index("metric")
        metrics = tuple(
            given.get(name, Metric(name, "mean", name)) for name in chosen if name in newest.index
        )
        if metrics:
            known = replace(
                one, experiment_id=str(experiment), control=CONTROL, arms=(str(arm),),
                metrics=metrics, covariates=(), segments=(),
                shares=one.shares or {CONTROL: 0.5, str(arm): 0.5},
            )  # fmt: skip
            found.append(readout(_evidence(shop, known, newest, str(arm))))
    return found


def looks(part: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """How an effect looked at each time, with the naive and the always-valid interval.

    In: the summaries of one experiment, arm and metric. Out: a row a time: at_days, abs_lift, se,
    low, high (right for one look), always_low, always_high, naive_signal, signal (the interval
    leaves 0). The sequence is tuned for the last time's number of units.
    """
    part = part.sort_values("at_days", ignore_index=True)
    lift = part.mean_treated - part.mean_control
    spread = part.var_treated / part.n_treated + part.var_control / part.n_control
    se = np.sqrt(spread.where(spread > 0))
    n = part.n_treated + part.n_control
    low, high = always_valid(lift, se, n / n.max(), alpha)
    out = pd.DataFrame(
        {"at_days": part.at_days, "abs_lift": lift, "se": se, "low": lift - Z * se,
         "high": lift + Z * se, "always_low": low, "always_high": high}
    )  # fmt: skip
    out["naive_signal"] = (out.low > 0) | (out.high < 0)
    out["signal"] = (out.always_low > 0) | (out.always_high < 0)
    return out


def _evidence(shop: Shop, one: Experiment, newest: pd.DataFrame, arm: str) -> Evidence:
    names = [metric.column for metric in one.metrics]
    rows = newest.loc[names]
    sums = {}
    for side, key in (("control", CONTROL), ("treated", arm)):
        n = int(rows[f"n_{side}"].iloc[0])
        cross = np.diag(rows[f"var_{side}"].to_numpy(float) * (n - 1))
        cross[~np.eye(len(names), dtype=bool)] = np.nan
        sums[(key,)] = Sums(tuple(names), n, rows[f"mean_{side}"].to_numpy(float), cross)
    values = pd.DataFrame(
        {"metric": names, "kind": "mean", "n": 0, "n_null": 0, "n_not_finite": 0,
         "n_negative": 0, "n_not_binary": 0, "largest_share": np.nan}
    )  # fmt: skip
    return Evidence(
        experiment=one, as_of=None, currency=shop.currency, sums=sums, segments=(),
        n_drawn={key[0]: part.n for key, part in sums.items()}, values=values,
    )  # fmt: skip
