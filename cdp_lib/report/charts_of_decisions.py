"""Charts to decide by: what a threshold earns, and how the model does beside the rules."""

import numpy as np
import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREEN,
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
from cdp_lib.report.charts_of_explanations import row_height


def profit_chart(
    table: pd.DataFrame,
    title: str = "What each threshold earns",
    currency: str = "",
    best: float | None = None,
    marks: tuple[float, ...] = (0.5,),
):
    """Profit over the threshold, with its 95 % band, and marks at the best and other thresholds.

    `table`: of `profit.profit_curve`: threshold, contacted, n_contacts, profit, low, high.
    best: the threshold one would use, infinite where none pays; without it the one that earned
    most here.
    """
    import plotly.graph_objects as go

    need(table, ["threshold", "profit", "low", "high", "n_contacts"], "profit")
    curve = table[np.isfinite(table["threshold"])].sort_values("threshold")
    top = float(curve["threshold"].max()) if len(curve) else 1.0
    nobody = {"threshold": min(1.0, top * 1.001), "profit": 0.0, "low": 0.0, "high": 0.0}
    drawn = pd.concat([curve, pd.DataFrame([nobody])], ignore_index=True) if len(curve) else curve
    if best is None and len(curve):
        best = float(curve["threshold"][curve["profit"].idxmax()])
    pays = best is not None and np.isfinite(best)
    spots = [(best, "best", GREEN)] if pays else []
    spots += [(at, f"{at:g}", ORANGE) for at in marks if at != best]
    figure = go.Figure()
    edge = {
        "mode": "lines",
        "line": {"width": 0, "shape": "vh"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    figure.add_scatter(x=drawn["threshold"].tolist(), y=drawn["high"].tolist(), **edge)
    figure.add_scatter(
        x=drawn["threshold"].tolist(), y=drawn["low"].tolist(), fill="tonexty",
        fillcolor=wash(BLUE), **edge,
    )  # fmt: skip
    figure.add_scatter(
        x=drawn["threshold"].tolist(),
        y=drawn["profit"].tolist(),
        mode="lines",
        line={"color": BLUE, "width": 2.4, "shape": "vh"},
        hovertemplate="contact from %{x:.1%} on: %{y:,.0f}<extra></extra>",
        showlegend=False,
    )
    told = []
    for at, name, colour in spots:
        profit, n = _at_threshold(curve, at)
        money = wording.as_text(profit, "money", currency)
        figure.add_scatter(
            x=[at],
            y=[profit],
            mode="markers",
            marker={"size": 12, "color": colour, "line": {"color": "#ffffff", "width": 2}},
            name=f"{name}: {money}" + (f" from {at:.1%} on" if name == "best" else ""),
            hovertemplate="%{fullData.name}<extra></extra>",
            showlegend=True,
        )
        told.append(f"{money} from {at:.1%} on ({n:,.0f} contacts)")
    figure.add_hline(y=0, line_color=INK, line_width=1)
    if len(curve) and not pays:
        told.insert(0, "no threshold pays")
    everyone = curve["profit"].iloc[0] if len(curve) else np.nan
    told.append(f"{wording.as_text(everyone, 'money', currency)} from contacting everyone")
    alt = f"Profit by threshold: {'; '.join(told)}." if len(curve) else "Nobody to contact."
    units = dict.fromkeys(("profit", "low", "high", "expected"), "money")
    units |= {"threshold": "share", "contacted": "share", "n_contacts": "count"}
    listed = curve.iloc[:: max(1, len(curve) // 20)]
    figure = finish(figure, title, alt, listed, units, currency, height=400)
    figure.update_xaxes(tickformat=".0%", title_text="contacted from this probability on")
    figure.update_yaxes(**axis("money", currency))
    highest, lowest = (
        float(curve[end].agg(end_of)) for end, end_of in (("high", "max"), ("low", "min"))
    )
    if len(curve) and 0 < 1.5 * highest < -lowest:
        # A deep loss would press what one looks for into a flat line; it is told in words.
        figure.update_yaxes(range=[-1.5 * highest, 1.15 * highest])
    return figure


def race_chart(
    table: pd.DataFrame,
    title: str = "The model beside the rules",
    value: str = "precision",
    first: str | None = None,
    base: float | None = None,
    currency: str = "",
):
    """Bars of each candidate with its 95 % interval, at the same number of contacts.

    `table`: of `race.race_table`: candidate, kind, then `value`, `<value>_low`, `<value>_high`.
    The model stands out, or the candidate that `first` names. base: drawn as a line, such as the
    share that chance finds. Bars of an AUC start at 0.5, a coin's.
    """
    import plotly.graph_objects as go

    need(table, ["candidate", value, *([] if first else ["kind"])], "race")
    is_auc, unit = "auc" in value, "money" if value == "profit" else "share"
    unit = "number" if is_auc else unit
    start = 0.5 if is_auc else 0.0
    table = table.sort_values(value, ascending=False, kind="stable").reset_index(drop=True)
    chosen = table["candidate"] == first if first else table["kind"] == "model"
    low, high = ends_of(table, value)
    bars = whiskers(table, value, low, high) if low else None
    texts = [f"{v:.3f}" if is_auc else wording.as_text(v, unit, currency) for v in table[value]]
    names = [
        f"{name}<br><b>{text}</b>"
        for name, text in zip(labels(table["candidate"]), texts, strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=(table[value] - start).tolist(),
            base=start,
            y=names,
            orientation="h",
            marker_color=[ORANGE if flag else BLUE for flag in chosen],
            error_x=bars,
            hovertemplate="%{y}<extra></extra>",
            showlegend=False,
        )
    )
    if base is not None:
        figure.add_vline(x=base, line={"color": MUTED, "width": 1.4, "dash": "dot"})
    alt = _ranked(table, texts, value)
    units = {c: "share" for c in table.columns if c.startswith(("precision", "found"))}
    units |= {c: "count" for c in table.columns if c.startswith(("n_contacts", "caught", "gain"))}
    figure = finish(
        figure, title, alt, table, units, currency, height=110 + row_height(names) * len(table)
    )
    figure.update_yaxes(autorange="reversed", type="category")
    ends = table[high].max() if high else table[value].max()
    if is_auc and len(table):
        least = min(0.5, float((table[low] if low else table[value]).min()))
        figure.update_xaxes(
            range=[least - 0.01, min(1.0, float(ends) + 0.02)], nticks=4, tickangle=0
        )
    else:
        figure.update_xaxes(nticks=4, tickangle=0, **axis(unit, currency))
    return figure


def _at_threshold(curve: pd.DataFrame, at: float) -> tuple[float, float]:
    """Profit and contacts when everybody from `at` on is contacted. `curve` by rising threshold."""
    above = curve[curve["threshold"] >= at]
    if above.empty:
        return 0.0, 0.0
    return float(above["profit"].iloc[0]), float(above["n_contacts"].iloc[0])


def _ranked(table: pd.DataFrame, texts: list[str], value: str) -> str:
    if table.empty:
        return "No candidate."
    pairs = [f"{name} {text}" for name, text in zip(table["candidate"], texts, strict=True)]
    heading = {"auc": "AUC"}.get(value, wording.heading_of_column(value))
    return f"{heading}: {', '.join(pairs)}."
