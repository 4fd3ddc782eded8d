"""Charts of a model: each takes a table of `predict` and gives a Plotly figure.

Here is how good it is and whether that lasts; what it earns, what it looks at and how a rule does
come from the modules beside this one. Groups of fewer than ten customers are not shown.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREY,
    MUTED,
    ORANGE,
    SERIES,
    axis,
    dash,
    finish,
    labels,
    need,
    whiskers,
)
from cdp_lib.report.charts_of_decisions import profit_chart, race_chart
from cdp_lib.report.charts_of_dependence import dependence_chart
from cdp_lib.report.charts_of_explanations import (
    beeswarm_chart,
    importance_chart,
    row_height,
    waterfall_chart,
)
from cdp_lib.report.charts_over_time import trend_chart

__all__ = [
    "beeswarm_chart",
    "calibration_chart",
    "decile_chart",
    "dependence_chart",
    "drift_chart",
    "gain_chart",
    "importance_chart",
    "profit_chart",
    "race_chart",
    "stability_chart",
    "waterfall_chart",
]

VERDICTS = {"steady": GREY, "watch": ORANGE, "retrain": "#b3261e"}
SCORE = "(score)"


def calibration_chart(table: pd.DataFrame, title: str = "What was predicted, and what happened"):
    """Dots of the observed share over the predicted one, with intervals, beside the diagonal.

    `table`: of `evaluate.calibration_table`: n, predicted, observed, low, high.
    """
    import plotly.graph_objects as go

    need(table, ["n", "predicted", "observed", "low", "high"], "calibration")
    table = _enough(table)
    reach = float(table[["predicted", "observed", "high"]].max().max()) if len(table) else 1.0
    reach = min(1.0, reach * 1.06)
    off = ((table["low"] > table["predicted"]) | (table["high"] < table["predicted"])).to_numpy()
    figure = go.Figure()
    figure.add_scatter(
        x=[0, reach], y=[0, reach], mode="lines", hoverinfo="skip", name="as predicted",
        line={"color": MUTED, "width": 1.4, "dash": "dot"}, showlegend=True,
    )  # fmt: skip
    figure.add_scatter(
        x=table["predicted"].tolist(),
        y=table["observed"].tolist(),
        mode="markers",
        name="a group of customers, with its 95 % interval",
        marker={"size": 9, "color": [ORANGE if flag else BLUE for flag in off]},
        error_y=whiskers(table, "observed", "low", "high"),
        customdata=table["n"].tolist(),
        hovertemplate="predicted %{x:.1%}, observed %{y:.1%} of %{customdata:,}<extra></extra>",
        showlegend=True,
    )
    alt = f"In {len(table) - int(off.sum())} of {len(table)} groups the interval of what happened "
    alt += "holds what was predicted."
    units = dict.fromkeys(("predicted", "observed", "low", "high"), "share") | {"n": "count"}
    figure = finish(figure, title, alt, table, units, height=430)
    figure.update_xaxes(range=[0, reach], tickformat=".0%", title_text="predicted", zeroline=False)
    figure.update_yaxes(range=[0, reach], tickformat=".0%", title_text="happened", zeroline=False)
    return figure


def gain_chart(
    table: pd.DataFrame,
    title: str = "How many are found by contacting how many",
    by: str = "candidate",
    mark: float | None = None,
):
    """Lines of the share of outcomes found over the share contacted, and the random diagonal.

    `table`: of `evaluate.gain_table`: contacted, found; for several, stacked with a column `by`.
    mark: a share contacted that is drawn as a line and told in words.
    """
    import plotly.graph_objects as go

    need(table, ["contacted", "found"], "gain")
    groups = list(table.groupby(by, sort=False)) if by in table else [("the model", table)]
    figure, words = go.Figure(), []
    at = 0.2 if mark is None else mark
    for index, (name, rows) in enumerate(groups):
        if rows["found"].isna().all():
            continue
        figure.add_scatter(
            x=rows["contacted"].tolist(),
            y=rows["found"].round(5).tolist(),
            mode="lines",
            name=wording.chart_label(name),
            line={"color": SERIES[index % len(SERIES)], "width": 2.4, "dash": dash(index)},
            hovertemplate="contact %{x:.0%}: find %{y:.1%}<extra>%{fullData.name}</extra>",
            showlegend=True,
        )
        words.append((str(name), float(np.interp(at, rows["contacted"], rows["found"]))))
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip", name="by chance",
        line={"color": MUTED, "width": 1.4, "dash": "dot"}, showlegend=True,
    )  # fmt: skip
    if mark is not None:
        figure.add_vline(x=mark, line={"color": MUTED, "width": 1, "dash": "dash"})
    told = ", ".join(f"{name} {wording.as_text(found, 'share')}" for name, found in words)
    alt = f"Of all outcomes, contacting {wording.as_text(at, 'share')} finds: {told}."
    alt = alt if words else "Nothing happened to be found."
    units = {"contacted": "share", "found": "share", "precision": "share", "n_contacts": "count"}
    tenths = table[np.isclose((table["contacted"] * 10) % 1, 0) | (table["contacted"] == 1)]
    figure = finish(figure, title, alt, tenths, units, height=430)
    figure.update_xaxes(
        range=[0, 1], tickformat=".0%", dtick=0.2, tickangle=0, title_text="customers contacted"
    )
    figure.update_yaxes(range=[0, 1.01], tickformat=".0%", dtick=0.2, title_text="outcomes found")
    return figure


def decile_chart(table: pd.DataFrame, title: str = "The customers in ten equal parts"):
    """Bars of the observed share of each tenth by falling score, with what was predicted.

    `table`: of `evaluate.decile_table`: decile, n, predicted, observed, low, high.
    """
    import plotly.graph_objects as go

    need(table, ["decile", "n", "predicted", "observed"], "deciles")
    table = _enough(table)
    names = [str(decile) for decile in table["decile"]]
    figure = go.Figure(
        go.Bar(
            x=names,
            y=table["observed"].tolist(),
            name="happened",
            marker_color=BLUE,
            error_y=whiskers(table, "observed", "low", "high"),
            hovertemplate="tenth %{x}: %{y:.1%}<extra></extra>",
            showlegend=True,
        )
    )
    figure.add_scatter(
        x=names,
        y=table["predicted"].tolist(),
        mode="markers",
        name="predicted",
        marker={"symbol": "line-ew", "size": 22, "line": {"color": ORANGE, "width": 3}},
        hovertemplate="tenth %{x}: %{y:.1%} predicted<extra></extra>",
        showlegend=True,
    )
    alt = "Too few customers."
    if len(table):
        ends = [wording.as_text(table["observed"].iloc[place], "share") for place in (0, -1)]
        alt = (
            f"It happened to {ends[0]} of the tenth with the highest score, {ends[1]} of the last."
        )
    units = dict.fromkeys(("predicted", "observed", "low", "high", "found"), "share")
    figure = finish(figure, title, alt, table, {**units, "n": "count"}, height=380)
    figure.update_xaxes(type="category", title_text="tenth, from the highest score")
    figure.update_yaxes(rangemode="tozero", **axis("share"))
    return figure


def drift_chart(
    table: pd.DataFrame,
    title: str = "What has changed since training",
    meanings: Mapping[str, str] | None = None,
    top: int = 12,
):
    """Bars of how far the score and each feature have shifted, coloured by the verdict.

    `table`: of `drift.drift_table`: feature, excess, verdict. The score comes first. meanings:
    what each feature is in words. A shift beyond 1 runs out of the picture; its number says how
    far.
    """
    import plotly.graph_objects as go

    need(table, ["feature", "excess", "verdict"], "drift")
    shown = table.head(top)
    words = {SCORE: "the score itself", **(meanings or {})}
    names = labels([words.get(name, name) for name in shown["feature"]])
    furthest = min(1.0, max(0.3, float(shown["excess"].max()) * 1.15)) if len(shown) else 1.0
    figure = go.Figure()
    for verdict, colour in VERDICTS.items():
        part = (shown["verdict"] == verdict).to_numpy()
        figure.add_bar(
            x=shown["excess"][part].round(4).tolist(),
            y=[name for name, inside in zip(names, part, strict=True) if inside],
            orientation="h",
            marker_color=colour,
            name=verdict,
            text=[f" {excess:.2f}" for excess in shown["excess"][part]],
            textposition=[
                "inside" if excess > furthest * 0.3 else "outside"
                for excess in shown["excess"][part]
            ],
            insidetextanchor="start",
            textangle=0,
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
            showlegend=True,
        )
    for bound in (0.1, 0.25):
        figure.add_vline(x=bound, line={"color": MUTED, "width": 1, "dash": "dot"})
    moved = table[table["verdict"] != "steady"]["feature"].map(lambda name: words.get(name, name))
    alt = f"Shifted: {', '.join(moved.head(5))}" + (" and others." if len(moved) > 5 else ".")
    alt = alt if len(moved) else f"None of {len(table)} has shifted since training."
    figure.update_layout(barmode="overlay")
    figure = finish(figure, title, alt, shown, {}, height=130 + row_height(names) * len(shown))
    figure.update_yaxes(categoryorder="array", categoryarray=names, autorange="reversed")
    figure.update_xaxes(range=[0, furthest], title_text="shift (PSI beyond chance)", nticks=7)
    return figure


def stability_chart(
    table: pd.DataFrame, measure: str = "auc", title: str = "Does the model hold over time?"
):
    """A line of one measure over the cutoffs, with its 95 % band.

    `table`: of `subgroups.stability_table`: cutoff, `measure`, `<measure>_low`, `<measure>_high`.
    """
    unit = "number" if measure in ("auc", "calibration_slope") else "share"
    return trend_chart(table, measure, title, x="cutoff", unit=unit)


def _enough(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["n"] >= wording.SMALL_GROUP].reset_index(drop=True)
