"""Charts of experiments: lifts beside zero, money earned beside money claimed, day by day."""

import numpy as np
import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    axis,
    extremes,
    finish,
    labels,
    need,
    wash,
    whiskers,
)
from cdp_lib.report.charts_over_time import trend_chart

_MOST = 40


def lift_chart(
    table: pd.DataFrame,
    title: str,
    label: str = "name",
    value: str = "abs_lift",
    low: str = "low",
    high: str = "high",
    unit: str = "share",
    currency: str = "",
    wide: tuple[str, str] | None = None,
):
    """A dot with its 95 % interval a row, beside a line at zero; grey where it holds zero.

    `table`: a row a line, with `label`, `value`, `low`, `high`; `wide` names the ends of the
    always-valid interval, drawn pale behind. Rows without a value are told in words.
    """
    import plotly.graph_objects as go

    need(table, [label, value, low, high, *(wide or ())], "lifts")
    n_left = int(table[value].isna().sum())
    shown = table[table[value].notna()].head(_MOST)
    names = labels(shown[label])
    unclear = (shown[low] <= 0) & (shown[high] >= 0) | shown[low].isna()
    figure = go.Figure()
    if wide:
        figure.add_scatter(
            x=shown[value].tolist(), y=names, mode="markers", marker={"size": 1, "opacity": 0},
            error_x=(whiskers(shown, value, *wide) or {})
            | {"color": wash(INK, 0.3), "thickness": 7, "width": 0},
            hoverinfo="skip", name="looked at every week", showlegend=False,
        )  # fmt: skip
    figure.add_scatter(
        x=shown[value].tolist(),
        y=names,
        mode="markers",
        marker={"size": 11, "color": [GREY if flag else ORANGE for flag in unclear]},
        error_x=whiskers(shown, value, low, high),
        text=[wording.change_as_text(v, unit, currency) for v in shown[value]],
        hovertemplate="%{y}: %{text}<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=0, line_color=INK, line_width=1.2)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(**axis("share" if unit == "points" else unit, currency))
    if unit == "money" and shown[[low, high]].abs().max().max() < 100:
        figure.update_xaxes(tickformat=",.2f")
    words = extremes(shown[label], shown[value], unit, currency)
    if wide:
        words += " The pale bars are the intervals for who looks every week."
    if n_left:
        words += f" {n_left} without a figure are not drawn."
    units = {name: unit for name in (value, low, high, *(wide or ()))}
    kept = table[[label, value, low, high, *(wide or ())]]
    return finish(figure, title, words, kept, units, currency, height=130 + 42 * len(shown))


def relative_chart(effects: pd.DataFrame, title: str = "Relative lift by metric"):
    """The relative lift of every metric and arm. `effects`: of `readout.Readout`.

    Guardrails are rare events, whose wide intervals would leave nothing else to see.
    """
    effects = effects[~effects.guardrail.astype(bool)]
    several = effects.arm.nunique() > 1
    name = effects.metric + (", " + effects.arm if several else "")
    return lift_chart(
        effects.assign(name=name), title, value="rel_lift", low="rel_low", high="rel_high"
    )


def day_chart(days: pd.DataFrame, currency: str = "", title: str = "Revenue a unit, day by day"):
    """How the lift on revenue built up. `days`: of `curve.curve`."""
    by = "arm" if days.arm.nunique() > 1 else None
    figure = trend_chart(
        days, "abs_lift", title, x="day", low="low", high="high", unit="money", by=by,
        currency=currency,
    )  # fmt: skip
    figure.update_yaxes(tickformat=",.2f")  # cents: Plotly would write 500 thousandths as 500m
    return figure


def audience_chart(table: pd.DataFrame, currency: str = "", title: str = "Earned, by audience"):
    """What each audience earned. `table`: of `programme.audience_table`."""
    return lift_chart(
        table, title, label="audience", value="total", unit="money", currency=currency,
        wide=("always_low", "always_high"),
    )  # fmt: skip


def claim_chart(table: pd.DataFrame, currency: str = "", title: str = "Claimed, and earned"):
    """What a last-click count claims beside what the holdout shows. `table`: a row an audience
    with audience, claimed, total, low, high."""
    import plotly.graph_objects as go

    need(table, ["audience", "claimed", "total", "low", "high"], "claims")
    shown = table.head(_MOST)
    names = labels(
        shown.audience + shown.by.map({"vendor": ", says the vendor"}).fillna("")
        if "by" in shown
        else shown.audience
    )
    figure = go.Figure()
    figure.add_bar(
        x=shown.claimed.tolist(), y=names, orientation="h", marker_color=GREY, showlegend=True,
        name="claimed: by the vendor, or bought within a week of a click",
    )  # fmt: skip
    figure.add_bar(
        x=shown.total.tolist(), y=names, orientation="h", marker_color=BLUE, showlegend=True,
        name="earned: more than the holdout", error_x=whiskers(shown, "total", "low", "high"),
    )  # fmt: skip
    figure.update_layout(barmode="group")
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(**axis("money", currency))
    words = "Earned: " + extremes(shown.audience, shown.total, "money", currency)
    units = dict.fromkeys(("claimed", "total", "low", "high"), "money")
    kept = table[["audience", "claimed", "total", "low", "high"]].replace([np.inf, -np.inf], np.nan)
    return finish(figure, title, words, kept, units, currency, height=150 + 58 * len(shown))
