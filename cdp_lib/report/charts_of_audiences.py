"""Charts of audiences: how far an order reaches, what each size earns, who asked and who got."""

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import BLUE, GREEN, GREY, INK, axis, finish, need, wash
from cdp_lib.report.charts_of_spread import heatmap


def reach_chart(table: pd.DataFrame, title: str = "Who is found among the first of the order"):
    """The share found over the share taken, with its 95 % band, beside a random order.

    `table`: of `reach.size_curve`: share, caught, caught_low, caught_high, per_head.
    """
    need(table, ["share", "caught", "caught_low", "caught_high"], "reach")
    figure = _curve(table, "caught", "share", "share")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1.6},
        name="in a random order", hoverinfo="skip", showlegend=True,
    )  # fmt: skip
    tenth = table[table.share.sub(0.1).abs() < 1e-9]
    words = "No value is known."
    if len(tenth) and tenth.caught.notna().all():
        found = wording.as_text(float(tenth.caught.iloc[0]), "share")
        words = f"The first tenth holds {found} of those who joined; a random tenth holds 10%."
    units = dict.fromkeys(("share", "caught", "caught_low", "caught_high"), "share")
    units |= dict.fromkeys(("margin", "margin_low", "margin_high", "per_head"), "money")
    units["n"] = "count"
    figure = finish(figure, title, words, table, units)
    figure.update_xaxes(
        title_text="share of the prospects taken, the most alike first", **_shares()
    )
    figure.update_yaxes(**_shares())
    return figure


def yield_chart(
    table: pd.DataFrame,
    title: str = "What an audience of each size earns",
    currency: str = "",
    best: float | None = None,
):
    """Profit over the share contacted, with its 95 % band, and a mark at the size one would use.

    `table`: of `yields.yield_table`. best: that share; 0 or None marks nothing.
    """
    need(table, ["share", "n", "profit", "profit_low", "profit_high"], "yields")
    figure = _curve(table, "profit", "money", currency)
    words = "No size is marked."
    mark = table[table.share.sub(best or -1).abs() < 1e-9]
    if len(mark):
        at = mark.iloc[0]
        money = wording.as_text(float(at.profit), "money", currency)
        words = f"The best size on this curve: {money} from {at.n:,.0f} customers."
        figure.add_scatter(
            x=[at.share], y=[at.profit], mode="markers", name=f"best size: {at.n:,.0f}",
            marker={"size": 12, "color": GREEN, "line": {"color": "#ffffff", "width": 2}},
            hovertemplate="%{fullData.name}<extra></extra>", showlegend=True,
        )  # fmt: skip
    figure.add_hline(y=0, line_color=INK, line_width=1)
    units = dict.fromkeys([c for c in table.columns if c.startswith(("profit", "marg"))], "money")
    units |= {"share": "share", "n": "count"}
    figure = finish(figure, title, words, table, units, currency)
    figure.update_xaxes(title_text="share contacted, the highest score first", **_shares())
    figure.update_yaxes(**axis("money", currency))
    return figure


def asked_chart(table: pd.DataFrame, title: str = "Asked for by …, and what they got"):
    """A grid of who asked for customers and what became of them.

    `table`: of `next_move_findings.asked_view`: asked, became, n (null where few people).
    """
    return heatmap(table, "became", "asked", "n", title)


def _curve(table: pd.DataFrame, y: str, unit: str, currency: str):
    import plotly.graph_objects as go

    figure, x = go.Figure(), [0.0, *table.share]
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=[0.0, *table[f"{y}_high"]], **edge)
    figure.add_scatter(
        x=x, y=[0.0, *table[f"{y}_low"]], fill="tonexty", fillcolor=wash(BLUE), **edge
    )
    values = [0.0, *table[y]]
    figure.add_scatter(
        x=x, y=values, mode="lines+markers", line={"color": BLUE, "width": 2.4},
        marker={"size": 6}, text=[wording.as_text(v, unit, currency) for v in values],
        hovertemplate="%{x:.0%}: %{text}<extra></extra>", name="in this order", showlegend=True,
    )  # fmt: skip
    return figure


def _shares() -> dict:
    return {"tickformat": ".0%", "rangemode": "tozero"}
