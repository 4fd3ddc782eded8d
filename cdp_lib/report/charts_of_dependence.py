"""What each value of one feature adds to a model's log odds, as a picture."""

import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import BLUE, INK, MUTED, ORANGE, finish, labels, need, wash
from cdp_lib.report.charts_of_explanations import NOT_CAUSE, PUSH, signed


def dependence_chart(
    table: pd.DataFrame,
    meaning: str,
    title: str = "",
    n_points: int = 1500,
    seed: int = 7,
):
    """What each value of one feature adds: a dot per customer, and the mean of each tenth.

    `table`: of `explain.dependence_table`. Numbers are drawn between their 1st and 99th hundredth,
    categories of ten customers or more as their mean with its spread.
    """
    import plotly.graph_objects as go

    need(table, ["value", "contribution"], "dependence")
    title = title or f"What it adds: {meaning}"
    missing = table["value"].isna()
    known = table[~missing]
    figure = go.Figure()
    if pd.api.types.is_numeric_dtype(known["value"].dtype):
        summary = _tenths(known)
        low, high = known["value"].quantile([0.01, 0.99]) if len(known) else (0.0, 1.0)
        inside = known[known["value"].between(low, high)] if len(summary) else known.head(0)
        drawn = inside.sample(min(n_points, len(inside)), random_state=seed)
        figure.add_scatter(
            x=drawn["value"].tolist(), y=drawn["contribution"].round(4).tolist(), mode="markers",
            marker={"size": 5, "color": wash(BLUE, 0.35)}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=summary["value"].tolist(), y=summary["mean"].tolist(), mode="lines+markers",
            line={"color": ORANGE, "width": 2.4}, name="mean of a tenth of the customers",
            hovertemplate="%{x:.3~g}: %{y:+.2f}<extra></extra>", showlegend=True,
        )  # fmt: skip
        figure.update_xaxes(title_text=labels([meaning])[0])
    else:
        summary = _by_category(known)
        figure.add_scatter(
            x=summary["mean"].tolist(), y=labels(summary["value"]), mode="markers",
            marker={"size": 11, "color": BLUE},
            name="mean, and one standard deviation either way", showlegend=True,
            error_x={"type": "data", "array": summary["spread"].tolist(), "color": MUTED},
            hovertemplate="%{y}: %{x:+.2f}<extra></extra>",
        )  # fmt: skip
        figure.add_vline(x=0, line_color=INK, line_width=1)
        figure.update_yaxes(autorange="reversed", type="category")
    alt = _course(summary, meaning)
    if missing.sum() >= wording.SMALL_GROUP:
        mean = table["contribution"][missing].mean()
        alt += f" Where it is missing ({int(missing.sum()):,} customers) it adds {signed(mean)}."
    alt += NOT_CAUSE if len(summary) else ""
    by_category = "spread" in summary
    height = 130 + 38 * len(summary) if by_category else 400
    figure = finish(figure, title, alt, summary, {"n": "count"}, height=height)
    push = {"title_text": PUSH if by_category else "← lowers · adds to log odds · raises →"}
    (figure.update_xaxes if by_category else figure.update_yaxes)(**push)
    return figure


def _tenths(known: pd.DataFrame) -> pd.DataFrame:
    """A row per tenth of the customers by value: its median value, its size, its mean push."""
    if len(known) < wording.SMALL_GROUP:
        return pd.DataFrame(columns=["value", "n", "mean"], dtype=float)
    bins = pd.qcut(known["value"], 10, labels=False, duplicates="drop")
    grouped = known.groupby(bins.fillna(0))  # one value throughout
    table = grouped.agg(
        value=("value", "median"), n=("value", "size"), mean=("contribution", "mean")
    )
    return table[table["n"] >= wording.SMALL_GROUP].reset_index(drop=True)


def _by_category(known: pd.DataFrame) -> pd.DataFrame:
    grouped = known.groupby("value", observed=True)["contribution"]
    table = grouped.agg(n="size", mean="mean", spread="std")
    table = table[table["n"] >= wording.SMALL_GROUP].sort_values("mean", ascending=False)
    return table.reset_index().head(20)


def _course(summary: pd.DataFrame, meaning: str) -> str:
    if summary.empty:
        return f"Too few customers to show what {meaning} adds."
    first, last = summary.iloc[0], summary.iloc[-1]
    if "spread" in summary:
        return (
            f"{meaning}: raised most by {first.value} ({signed(first['mean'])}), "
            f"least by {last.value} ({signed(last['mean'])})."
        )
    low, high = (wording.as_text(value, "number") for value in (first.value, last.value))
    return (
        f"{meaning}: adds {signed(first['mean'])} to the log odds around {low}, the lowest, "
        f"and {signed(last['mean'])} around {high}, the highest."
    )
