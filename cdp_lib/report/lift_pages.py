"""Each experiment on its own: what a notebook's one cell shows of all of them."""

from html import escape

import pandas as pd

from cdp_lib.lift.readout import Readout
from cdp_lib.report.charts_of_lift import day_chart, relative_chart
from cdp_lib.report.findings import note, show, show_table
from cdp_lib.report.loop import Loop

EFFECTS = ["arm", "metric", "verdict", "abs_lift", "low", "high", "rel_lift", "mean_control",
           "mean_treated", "n", "pvalue_holm"]  # fmt: skip
BESIDE = ["arm", "metric", "cuped_saved", "raw_lift", "capped_at", "capped_lift", "capped_low",
          "capped_high", "always_low", "always_high", "mde"]  # fmt: skip
_WORDS = {
    "pvalue_holm": "p, all counted", "abs_lift": "Lift", "rel_lift": "Relative lift",
    "cuped_saved": "Variance saved", "raw_lift": "Lift without CUPED", "mde": "MDE",
}  # fmt: skip


def show_each(loop: Loop, most: int = 12) -> None:
    """Display the experiments one after the other: those to act on first, then the newest.

    Of each: its effects, what must hold, how the lift built up, money, and segments.
    """

    def order(at_one: tuple[int, Readout]) -> tuple:
        at, one = at_one
        words = {verdict.word for verdict in one.verdicts.values()}
        return (not words & {"stop", "scale"}, not words - {"refused"}, -at)

    ranked = [one for _, one in sorted(enumerate(loop.readouts), key=order)]
    for one in ranked[:most]:
        show_one(one)
    if len(ranked) > most:
        note(f"{len(ranked) - most} more experiments stand in the table at the top alone.")


def show_one(one: Readout) -> None:
    """Display one experiment."""
    from IPython.display import HTML, display

    display(HTML(f"<h3>{escape(one.experiment.experiment_id)}</h3>"))
    for arm, verdict in one.verdicts.items():
        note(f"{arm}: {verdict.text}. {verdict.reason}")
    if len(one.effects):
        show_table(one.effects[EFFECTS], headings=_some(EFFECTS), people="n", max_rows=40,
                   formats={"rel_lift": "share", "pvalue_holm": "number"})  # fmt: skip
        if one.effects.rel_lift.notna().any():
            show(relative_chart(one.effects))
    show_table(one.gate_table())
    if len(one.effects):
        show_table(one.effects[BESIDE], headings=_some(BESIDE), max_rows=40,
                   formats={"cuped_saved": "share"})  # fmt: skip
    if len(one.days):
        show(day_chart(one.days, one.currency))
    if len(one.money):
        _show_money(one)
    if len(one.segments):
        _show_segments(one)


def _some(columns: list[str]) -> dict[str, str]:
    return {name: words for name, words in _WORDS.items() if name in columns}


def _show_money(one: Readout) -> None:
    money = ["total", "low", "high", "cost", "break_even", "attributed", "exposed_lift",
             "exposed_low", "exposed_high"]  # fmt: skip
    known = [name for name in one.money.columns if one.money[name].notna().any()]
    dull = ("kind", "total_se", "n_exposed")
    columns = [name for name in known if name not in dull]
    formats = {name: "money" for name in money if name in columns}
    formats |= {name: "share" for name in columns if name.startswith("roi")}
    headings = {"exposed_lift": "Lift on those reached (inferred)", "exposed_low": "… low",
                "exposed_high": "… high", "attributed": "Claimed by clicks"}  # fmt: skip
    headings = {name: words for name, words in headings.items() if name in columns}
    show_table(one.money[columns], formats=formats, headings=headings, people="n_treated",
               currency=one.currency)  # fmt: skip


def _show_segments(one: Readout) -> None:
    for row in one.differences.itertuples():
        note(f"{row.metric} by {row.segment}, {row.arm}: {row.sentence}")
    columns = ["arm", "metric", "segment", "value", "n", "abs_lift", "low", "high",
               "shrunk_lift", "shrunk_low", "shrunk_high"]  # fmt: skip
    table: pd.DataFrame = one.segments[columns]
    show_table(table, people="n", max_rows=40, headings={"abs_lift": "Lift"})
