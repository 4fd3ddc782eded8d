"""Tables of experiments as people read them, and what would change the answer."""

import math

import pandas as pd

from cdp_lib.lift import programme
from cdp_lib.lift.readout import Readout
from cdp_lib.report import wording
from cdp_lib.report.charts_of_lift import audience_chart, claim_chart
from cdp_lib.report.findings import note, show, show_table
from cdp_lib.report.loop import Loop

_ORDER = ("stop", "scale", "keep testing", "cannot tell", "refused")


def verdict_table(loop: Loop) -> pd.DataFrame:
    """A row per experiment and arm on its leading metric, what to act on first: experiment, arm,
    metric, n, lift, interval, relative, sample ratio, verdict; all as text but n."""
    rows = []
    for one in loop.readouts:
        leading = one.effects[one.effects.metric == one.experiment.metrics[0].name]
        by_arm = {row.arm: row for row in leading.itertuples()}
        for arm in one.arms or ("",):
            said = one.verdicts.get(arm)
            word = said.word if said else "refused"
            row = by_arm.get(arm)
            rows.append((_ORDER.index(word), *_shown(one, arm, row, said)))
    columns = ["order", "experiment", "arm", "metric", "n", "lift", "interval", "relative",
               "sample_ratio_p", "verdict"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table.insert(3, "verdict", table.pop("verdict"))
    return table.sort_values("order", kind="stable").drop(columns="order").reset_index(drop=True)


def audience_view(loop: Loop, metric: str = "revenue") -> pd.DataFrame:
    """What every audience and every experiment on the shop's customers earned; see
    `programme.audience_table`."""
    table = programme.audience_table(loop.readouts, metric)
    columns = ["audience", "n_waves", "n_read", "n_treated", "n_control", "total", "always_low",
               "always_high", "cost", "roi", "verdict"]  # fmt: skip
    return table[columns]


def show_audiences(loop: Loop) -> None:
    """Display what each audience earned, as a chart and as `audience_view`, where there is one."""
    table = audience_view(loop)
    if not len(table):
        note("No experiment is on the shop's own customers.")
        return
    if table.total.notna().any():
        earned = programme.audience_table(loop.readouts)
        show(audience_chart(earned, currency=loop.shop.currency))
    money = dict.fromkeys(("total", "always_low", "always_high", "cost"), "money")
    show_table(table, formats=money | {"roi": "share"}, people="n_treated", max_rows=60,
               currency=loop.shop.currency)  # fmt: skip


def show_claims(claims: pd.DataFrame, currency: str) -> None:
    """Display `programme.claim_table`, as a chart and as it is, where there are claims."""
    if len(claims):
        show(claim_chart(claims, currency=currency))
        money = dict.fromkeys(("claimed", "total", "low", "high", "overclaim"), "money")
        show_table(claims, formats=money | {"share_real": "share"}, currency=currency)
    else:
        note("Nothing is known of clicks, so there is no claim to compare.")


def limits(loop: Loop) -> str:
    """What would change this answer, in sentences."""
    parts = [
        "Every figure counts all who were drawn into an arm, reached or not.",
        "A sum leaves out experiments with a gate that failed and those still open.",
        "An effect on those reached, and a figure by clicks, is inferred and not measured.",
    ]
    unknown = [r for r in loop.readouts if math.isnan(r.srm_pvalue)]
    if unknown:
        parts.append(
            f"Of {len(unknown)} experiments nobody wrote down the shares drawn: name them in "
            "shop.toml, so that lost units show."
        )
    bare = [r for r in loop.readouts if r.experiment.why_no_holdout]
    if bare:
        parts.append(f"{len(bare)} audiences left without a holdout and cannot be measured.")
    return " ".join(parts)


def _shown(one: Readout, arm: str, row, said) -> tuple:
    text = said.text if said else "refused"
    name, metric = one.experiment.experiment_id, one.experiment.metrics[0].name
    p = one.srm_pvalue
    ratio = f"{p:.2g}" if math.isfinite(p) else wording.UNKNOWN
    if row is None:
        n = one.n.get(arm, 0) + one.n.get(one.control or "", 0)
        return name, arm, metric, n, *(wording.UNKNOWN,) * 3, ratio, text
    return (
        name, arm, metric, int(row.n),
        wording.change_as_text(row.abs_lift, row.unit, one.currency),
        wording.interval_as_text(row.low, row.high, row.unit, one.currency) or wording.UNKNOWN,
        wording.change_as_text(row.rel_lift * 100, "number") + "%"
        if math.isfinite(row.rel_lift) else wording.UNKNOWN,
        ratio, text,
    )  # fmt: skip
