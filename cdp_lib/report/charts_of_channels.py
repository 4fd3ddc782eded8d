"""Charts of contact: what pressure goes with, and what one message more costs and brings."""

import numpy as np
import pandas as pd

from cdp_lib.customers.pressure import Curve
from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    axis,
    extremes,
    finish,
    need,
    wash,
    whiskers,
)


def pressure_chart(
    table: pd.DataFrame, curve: Curve, title: str = "Opt-outs at a message, by pressure"
):
    """Dots with whiskers, a pressure each, and the curve fitted through them.

    `table`: of `pressure.Pressure`: n_before, or_more, n_messages, loss_rate, loss_rate_low,
    loss_rate_high.
    """
    import plotly.graph_objects as go

    need(table, ["n_before", "or_more", "loss_rate"], "pressure")
    names = [f"{n}{' or more' if more else ''}" for n, more in
             zip(table.n_before, table.or_more, strict=True)]  # fmt: skip
    figure = go.Figure()
    if len(table) and np.isfinite(curve.level):
        along = np.linspace(float(table.n_before.min()), float(table.n_before.max()), 60)
        figure.add_scatter(
            x=along.tolist(), y=curve.chance(along).tolist(), mode="lines", name="fitted",
            line={"color": ORANGE, "width": 2.4}, hoverinfo="skip", showlegend=True,
        )  # fmt: skip
    figure.add_scatter(
        x=table.n_before.tolist(),
        y=table.loss_rate.tolist(),
        mode="markers",
        name="seen, with 95 % interval",
        marker={"size": 10, "color": BLUE},
        error_y=whiskers(table, "loss_rate", "loss_rate_low", "loss_rate_high"),
        text=[f"{name} before: {wording.as_text(value, 'share')}"
              for name, value in zip(names, table.loss_rate, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        showlegend=True,
    )  # fmt: skip
    figure.update_yaxes(rangemode="tozero", tickformat=".1%")
    figure.update_xaxes(
        title_text="messages before it, of its week and the three before",
        tickvals=table.n_before.tolist(), ticktext=names,
    )  # fmt: skip
    words = extremes([f"{name} before" for name in names], table.loss_rate, "share")
    figure = finish(figure, title, words, table)
    figure.update_xaxes(title={"font": {"size": 12, "color": MUTED}})
    return figure


def limit_chart(
    table: pd.DataFrame,
    title: str = "What one message more a week costs and brings",
    currency: str = "",
    now: float | None = None,
):
    """Two lines with bands: what a message more costs in lost permissions, and what it brings.

    `table`: of `send_limit.Limit`. now: messages a week that are sent, drawn as a line.
    """
    import plotly.graph_objects as go

    need(table, ["n_per_week", "harm", "gain"], "limit")
    figure, words = go.Figure(), []
    for column, name, colour in (("harm", "costs", ORANGE), ("gain", "brings", BLUE)):
        if table[column].isna().all():
            continue
        along = table.n_per_week.tolist()
        edges = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(x=along, y=table[f"{column}_high"].tolist(), **edges)
        figure.add_scatter(x=along, y=table[f"{column}_low"].tolist(), fill="tonexty",
                           fillcolor=wash(colour), **edges)  # fmt: skip
        figure.add_scatter(
            x=along, y=table[column].tolist(), mode="lines", name=name,
            line={"color": colour, "width": 2.4}, showlegend=True,
            text=[wording.as_text(value, "money", currency) for value in table[column]],
            hovertemplate="%{x:.2g} a week: %{text}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        first, last = (wording.as_text(table[column].iloc[i], "money", currency) for i in (0, -1))
        words.append(f"It {name} {first} to {last}." if first != last else f"It {name} {first}.")
    if now is not None and np.isfinite(now):
        figure.add_vline(x=now, line={"color": INK, "width": 1.2, "dash": "dot"},
                         annotation_text="sent now", annotation_position="top")  # fmt: skip
    figure.update_yaxes(**axis("money", currency))
    figure.update_yaxes(tickformat=".2f")
    figure.update_xaxes(title_text="messages a week")
    money = ("harm", "harm_low", "harm_high", "gain", "gain_low", "gain_high")
    units = dict.fromkeys(money, "money") | dict.fromkeys(
        ("chance", "chance_low", "chance_high"), "share"
    )
    text = " ".join(words) or "Neither is known."
    return finish(figure, title, text, table, units | {"n_per_week": "number"}, currency)
