"""Charts of customers' value: who carries it, what was expected and came, what retention adds."""

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    axis,
    ends_of,
    finish,
    labels,
    need,
    wash,
    whiskers,
)


def forecast_chart(
    table: pd.DataFrame,
    title: str = "What was expected, and what came",
    label: str = "group",
    currency: str = "",
):
    """A row per group: what was expected (bar) and what happened (dot), each with its interval.

    `table`: expected_value and happened_value, with value_low and value_high of the forecast or
    happened_low and happened_high, where known.
    """
    import plotly.graph_objects as go

    need(table, [label, "expected_value", "happened_value"], "forecast")
    names = labels(table[label])
    figure = go.Figure(
        go.Bar(
            x=table["expected_value"].tolist(), y=names, orientation="h", name="expected",
            marker_color=wash(BLUE, 0.45),
            error_x=whiskers(table, "expected_value", "value_low", "value_high"),
            hovertemplate="%{y}: expected %{x:,.0f}<extra></extra>", showlegend=True,
        )
    )  # fmt: skip
    figure.add_scatter(
        x=table["happened_value"].tolist(), y=names, mode="markers", name="happened",
        marker={"size": 10, "color": ORANGE},
        error_x=whiskers(table, "happened_value", *_known(table, "happened")),
        hovertemplate="%{y}: happened %{x:,.0f}<extra></extra>", showlegend=True,
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(rangemode="tozero", nticks=6, **axis("money", currency))
    expected, came = table["expected_value"].sum(), table["happened_value"].sum()
    ratio = wording.as_text(came / expected, "share") if expected else wording.UNKNOWN
    units = {c: "money" for c in table.columns if c.endswith(("_value", "_low", "_high"))}
    words = f"What happened is {ratio} of what was expected, over {len(table)} groups."
    return finish(figure, title, words, table, units, currency, height=130 + 38 * len(table))


def curve_chart(table: pd.DataFrame, title: str = "How much the best customers bring"):
    """The share of the value that the best customers bring, beside equal shares.

    `table`: of `spread.curve_table`: cumulative_rows, cumulative_share.
    """
    import plotly.graph_objects as go

    need(table, ["cumulative_rows", "cumulative_share"], "curve")
    figure = go.Figure(
        go.Scatter(
            x=table["cumulative_rows"].tolist(), y=table["cumulative_share"].tolist(),
            mode="lines", line={"color": BLUE, "width": 2.4}, name="customers, best first",
            hovertemplate="the best %{x:.0%} bring %{y:.0%}<extra></extra>", showlegend=True,
        )
    )  # fmt: skip
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": MUTED, "width": 1.2, "dash": "dot"},
        name="if all brought the same", hoverinfo="skip", showlegend=True,
    )  # fmt: skip
    figure.update_xaxes(**axis("share"), range=[0, 1], title_text="share of customers")
    figure.update_yaxes(**axis("share"), rangemode="tozero")
    parts = []
    for at in (0.01, 0.1, 0.5):
        row = table.iloc[(table["cumulative_rows"] - at).abs().argmin()]
        if row.cumulative_rows > 0:
            brings = wording.as_text(row.cumulative_share, "share")
            parts.append(f"the best {wording.as_text(row.cumulative_rows, 'share')} bring {brings}")
    words = ("; ".join(parts) or "no value").capitalize() + "."
    shown = table.iloc[:: max(1, len(table) // 20)]
    units = {"cumulative_rows": "share", "cumulative_share": "share"}
    return finish(figure, title, words, shown, units)


def retention_chart(
    table: pd.DataFrame,
    claim: tuple[float, float],
    title: str = "What “5 % better retention” adds to the value of today's customers (inferred)",
):
    """Readings of a better retention, as dots with whiskers, above the range that is claimed.

    `table`: a row per reading: name, gain_share with gain_share_low, gain_share_high. claim: the
    published range, as shares.
    """
    import plotly.graph_objects as go

    need(table, ["name", "gain_share", "gain_share_low", "gain_share_high"], "retention")
    known = table[table["gain_share"].notna()]
    figure = go.Figure(
        go.Scatter(
            x=known["gain_share"].tolist(), y=labels(known["name"]), mode="markers",
            marker={"size": 11, "color": BLUE}, name="this shop's model",
            error_x=whiskers(known, "gain_share", *ends_of(known, "gain_share")),
            text=[wording.as_text(value, "share") for value in known["gain_share"]],
            hovertemplate="%{y}: %{text}<extra></extra>", showlegend=True,
        )
    )  # fmt: skip
    figure.add_scatter(
        x=list(claim), y=labels(["published claim, disputed"]) * 2, mode="lines",
        line={"color": GREY, "width": 9}, name="claimed, of profit", showlegend=True,
        hovertemplate="claimed: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    figure.add_vline(x=0, line_color=INK, line_width=1.2)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(**axis("share"), rangemode="tozero", nticks=6)
    told = [
        f"{row.name_}: {wording.as_text(row.gain_share, 'share')}"
        for row in known.rename(columns={"name": "name_"}).itertuples()
    ]
    ends = " to ".join(f"{end:.0%}" for end in claim)
    words = f"{'; '.join(told) or 'No reading is known'}. Claimed: {ends}."
    units = dict.fromkeys(("gain_share", "gain_share_low", "gain_share_high"), "share")
    return finish(figure, title, words, table, units, height=150 + 46 * (len(known) + 1))


def _known(table: pd.DataFrame, stem: str) -> tuple[str, str]:
    return f"{stem}_low", f"{stem}_high"
