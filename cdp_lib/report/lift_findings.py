"""Headlines of experiments, of audiences and of the whole programme."""

import math
from dataclasses import dataclass

from cdp_lib.lift import programme
from cdp_lib.lift.readout import Readout
from cdp_lib.report import wording
from cdp_lib.report.findings import MONEY_FIRST, Headline, nothing
from cdp_lib.report.loop import QUARTER_DAYS, Loop


@dataclass(frozen=True)
class LiftHeadline(Headline):
    """A headline of one arm of an experiment on one metric.

    - `experiment`, `metric`, `arm`: which
    - `abs_lift`, `rel_lift`: per unit drawn; `low`, `high` belong to abs_lift
    - `srm_pvalue`: of the sample ratio; None where the shares are not known
    """

    experiment: str = ""
    metric: str = ""
    arm: str = ""
    abs_lift: float | None = None
    rel_lift: float | None = None
    srm_pvalue: float | None = None

    def to_json(self) -> dict:
        """The headline as plain values; a hidden one carries no number."""
        fields = super().to_json()
        for name in ("abs_lift", "rel_lift", "srm_pvalue"):
            value = getattr(self, name)
            known = value is not None and math.isfinite(value) and not self.hidden
            fields[name] = float(value) if known else None
        return fields


def money_headlines(loop: Loop) -> list[Headline]:
    """What last week's audiences, the last quarter and the whole programme earned.

    None for a shop whose experiments are not on its own customers: there is no money to sum.
    """
    if not any(one.source == "assignments" for one in loop.readouts):
        return []
    return [money_headline(loop), programme_headline(loop), whole_headline(loop)]


def money_headline(loop: Loop) -> Headline:
    """What the audiences whose window closed last week earned over their holdouts."""
    closed = programme.closed_in(loop.readouts, loop.shop.as_of)
    if not closed:
        said = "No audience's outcome window closed in the last seven days."
        return nothing(MONEY_FIRST, "money", said)
    return _sum_headline(loop, MONEY_FIRST, closed, always=False)


def programme_headline(loop: Loop) -> Headline:
    """What all experiments of the last quarter earned in sum."""
    name = "Earned by all experiments of the last quarter"
    drawn = programme.since(loop.readouts, loop.shop.as_of, QUARTER_DAYS)
    if not drawn:
        return nothing(name, "money", "No experiment was drawn in the last quarter.")
    return _sum_headline(loop, name, drawn, always=True)


def whole_headline(loop: Loop) -> Headline:
    """What the whole programme earned, by the global holdout."""
    name = "Earned by the whole programme, by the global holdout"
    one = loop.whole
    if one is None or not len(one.money):
        said = "No global holdout is old enough: set global_holdout in shop.toml's [settings]."
        return nothing(name, "money", said)
    row = programme.money_of(one).iloc[0]
    effect = one.effects.iloc[0]
    verdict = next(iter(one.verdicts.values()))
    days = int(one.experiment.window_days)
    return Headline(
        name=name,
        value=row.total,
        low=effect.always_low * row.n_treated,
        high=effect.always_high * row.n_treated,
        unit="money",
        n=int(effect.n),
        verdict=verdict.text,
        sentence=f"Revenue of the {int(row.n_treated):,} customers whom campaigns may reach, over "
        f"the {one.n[one.control]:,} whom none may, in {days} days. {verdict.reason}",
        higher_is="better",
        currency=one.currency,
    )


def lift_headlines(loop: Loop, most: int = 120) -> list[LiftHeadline]:
    """A headline per experiment and arm: every metric where a table of units declares them, the
    leading one elsewhere; waves of an audience come as one (`audience_headlines`)."""
    found = []
    for one in loop.readouts:
        if one.experiment.audience:
            continue
        rows = one.effects
        if one.source != "units":
            rows = rows[rows.metric == one.experiment.metrics[0].name]
        found += [_headline(one, row) for row in rows.itertuples()]
        if not len(one.effects):
            found += [_refused(one, arm) for arm in one.arms or ("",)]
    return found[:most]


def audience_headlines(loop: Loop) -> list[LiftHeadline]:
    """A headline per audience of the ledger, over all its waves."""
    waves = [one for one in loop.readouts if one.experiment.audience]
    found = []
    for row in programme.audience_table(waves).itertuples():
        n, known, words = row.n_treated, row.n_treated > 0, row.audience.replace("_", " ")
        found.append(
            LiftHeadline(
                name=f"Earned by the audience {words}",
                value=row.total,
                low=row.always_low,
                high=row.always_high,
                unit="money",
                n=int(n + row.n_control),
                verdict=row.verdict,
                sentence=f"{row.n_read} of {row.n_waves} waves can be read. {row.reason}"
                + _roi(row.roi),
                higher_is="better",
                currency=loop.shop.currency,
                experiment=row.audience,
                metric="revenue",
                arm="treated",
                abs_lift=row.total / n if known else None,
                rel_lift=_relative(waves, row.audience),
                srm_pvalue=_least_srm(waves, row.audience),
            )
        )
    return found


def _sum_headline(loop: Loop, name: str, part: list[Readout], always: bool) -> Headline:
    row, currency = programme.total_row(part), loop.shop.currency
    if not row["n_experiments"]:
        said = f"None of {len(part)} experiments can be read: see the gates of each."
        return nothing(name, "money", said)
    low, high = (row["always_low"], row["always_high"]) if always else (row["low"], row["high"])
    verdict = "good" if low > 0 else "act" if high < 0 else "cannot tell"
    shown = wording.as_text(row["total"], "money", currency)
    unclear = "No clear gain or loss: " if verdict == "cannot tell" else ""
    sentence = f"{unclear}{shown} of revenue beyond what the holdouts say comes anyway, from "
    sentence += f"{row['n_treated']:,} customers treated in {row['n_experiments']} "
    sentence += "experiment." if row["n_experiments"] == 1 else "experiments."
    if row["n_left_out"]:
        sentence += f" {row['n_left_out']} more cannot be read or are still open."
    if math.isfinite(row["attributed"]):
        claimed = wording.as_text(row["attributed"], "money", currency)
        sentence += f" A count of clicks would claim {claimed}."
    if math.isfinite(row["cost"]):
        sentence += f" It cost {wording.as_text(row['cost'], 'money', currency)}."
    return Headline(
        name=name, value=row["total"], low=low, high=high, unit="money", n=row["n_treated"],
        verdict=verdict, sentence=sentence, higher_is="better", currency=currency,
    )  # fmt: skip


def _headline(one: Readout, row) -> LiftHeadline:
    unit = row.unit
    lift = wording.change_as_text(row.abs_lift, unit, one.currency)
    level = "share" if unit == "points" else unit
    sentence = (
        f"{row.arm} against {one.control}: {row.metric} "
        f"{wording.as_text(row.mean_treated, level, one.currency)} against "
        f"{wording.as_text(row.mean_control, level, one.currency)} a unit, {lift}"
    )
    if math.isfinite(row.rel_lift):
        sentence += f" ({wording.change_as_text(row.rel_lift * 100, 'number')}%)"
    gate = next((check for check in one.checks if check.status == "fail"), None)
    sentence += f". {gate.detail}" if gate else "."
    return LiftHeadline(
        name=f"{one.experiment.experiment_id}: {row.metric}, {row.arm}",
        value=row.abs_lift,
        low=row.low,
        high=row.high,
        unit=unit,
        n=int(row.n),
        verdict=row.verdict,
        sentence=sentence,
        higher_is=row.higher_is,
        currency=one.currency if unit == "money" else "",
        experiment=one.experiment.experiment_id,
        metric=row.metric,
        arm=row.arm,
        abs_lift=row.abs_lift,
        rel_lift=row.rel_lift,
        srm_pvalue=one.srm_pvalue,
    )


def _refused(one: Readout, arm: str) -> LiftHeadline:
    gate = next((check for check in one.checks if check.status == "fail"), None)
    said = one.verdicts.get(arm)
    return LiftHeadline(
        name=f"{one.experiment.experiment_id}: {one.experiment.metrics[0].name}, {arm or 'no arm'}",
        value=None, low=None, high=None, unit="number", n=sum(one.n.values()),
        verdict=said.text if said else "refused",
        sentence=gate.detail if gate else "There is nothing to compare.",
        experiment=one.experiment.experiment_id, metric=one.experiment.metrics[0].name, arm=arm,
        srm_pvalue=one.srm_pvalue,
    )  # fmt: skip


def _roi(roi: float) -> str:
    if not math.isfinite(roi):
        return ""
    return f" Each unit of money spent brought {1 + roi:.2f} of margin."


def _relative(waves: list[Readout], audience: str) -> float | None:
    """The lift over what the treated would have brought, all waves together."""
    base = total = 0.0
    for one in waves:
        if one.experiment.audience == audience and programme.counted(one):
            rows = one.effects[one.effects.metric == one.experiment.metrics[0].name]
            base += float((rows.mean_control * rows.n_treated).sum())
            total += programme.earned(one)[0]
    return total / base if base > 0 else None


def _least_srm(waves: list[Readout], audience: str) -> float | None:
    found = [one.srm_pvalue for one in waves if one.experiment.audience == audience]
    found = [p for p in found if math.isfinite(p)]
    return min(found) if found else None
