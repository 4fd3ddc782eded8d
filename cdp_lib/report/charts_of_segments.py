"""Charts of who the customers are: names by size and worth, moves between them, overlaps."""

import numpy as np
import pandas as pd

from cdp_lib.report import wording
from cdp_lib.report.chart_style import extremes, finish, labels, need
from cdp_lib.report.segment_views import money_of

SHADES = [[0, "#f3f6fa"], [0.5, "#6ea6d4"], [1, "#0a3f70"]]


def name_chart(
    table: pd.DataFrame,
    title: str,
    name: str = "name",
    share: str = "",
    currency: str = "",
):
    """A rectangle a group, as large as its number of customers, the darker the more it brings.

    `table`: a row per group: its name, n_customers, customer_share, and the `share` of money; by
    default margin_share, or revenue_share where no margin is known.
    """
    import plotly.graph_objects as go
    from plotly import colors

    need(table, [name, "n_customers", "customer_share"], "groups")
    share = share or f"{money_of(table)}_share"
    need(table, [share], "groups")
    shown = table[table.n_customers >= wording.SMALL_GROUP]
    money = wording.heading_of_column(share.removesuffix("_share")).lower()
    texts = [
        f"{wording.as_text(row.n_customers, 'count')} customers"
        f" ({wording.as_text(row.customer_share, 'share')})<br>"
        f"{wording.as_text(worth, 'share')} of the {money}"
        for row, worth in zip(shown.itertuples(), shown[share], strict=True)
    ]
    worth = shown[share].fillna(0.0).clip(lower=0).to_numpy(dtype=float)
    # Not the chart's own scale: that would colour its frame as well.
    shades = colors.sample_colorscale(SHADES, worth / max(worth.max(initial=0), 0.01))
    figure = go.Figure(
        go.Treemap(
            labels=labels(shown[name]),
            parents=[""] * len(shown),
            values=shown.n_customers.tolist(),
            text=texts,
            texttemplate="<b>%{label}</b><br>%{text}",
            hovertemplate="%{label}<br>%{text}<extra></extra>",
            marker={"colors": shades, "line": {"width": 2, "color": "#ffffff"}},
            root={"color": "#ffffff"},
            tiling={"pad": 0},
            pathbar={"visible": False},
        )
    )
    words = f"Share of the {money}. " + extremes(shown[name], shown[share], "share")
    figure = finish(figure, title, words, shown, {share: "share"}, currency, height=430)
    return figure.update_layout(margin={"l": 0, "r": 0, "b": 8})


def move_chart(moved: pd.DataFrame | None, title: str, order: list[str]):
    """Where customers went between two days: shares of those who came from a row's state.

    `moved`: of `moves.moves`. order: the states, in the order wanted. Those who stayed are left
    blank, since they would drown the rest; moves of fewer than 10 people are not shown. None,
    where there is no earlier day, is nothing to draw.
    """
    if moved is None:
        moved = pd.DataFrame(columns=["came_from", "went_to", "n_customers", "share"])
    need(moved, ["came_from", "went_to", "n_customers", "share"], "moves")
    rows = [state for state in order if state in set(moved.came_from)]
    columns = [state for state in order if state in set(moved.went_to)]
    went = moved[moved.came_from != moved.went_to]
    went = went[went.n_customers >= wording.SMALL_GROUP]
    grid = went.pivot(index="came_from", columns="went_to", values="share")
    grid = grid.reindex(index=rows, columns=columns)
    names = [f"{row.came_from} to {row.went_to}" for row in went.itertuples()]
    words = "Share of those who were in the first state. " + extremes(names, went.share, "share")
    table = went[["came_from", "went_to", "n_customers", "share"]]
    return _shaded(grid, title, words, table.sort_values("n_customers", ascending=False))


def overlap_chart(pairs: pd.DataFrame, title: str, titles: dict[str, str] | None = None):
    """How much of one group lies in another: of those in a row's group, the share in a column's.

    `pairs`: of `overlaps.overlap_table`, of the groups to show, in their order. titles: names
    for people. Columns carry the numbers of the rows, as their names would not fit.
    """
    need(pairs, ["name", "other", "share"], "overlaps")
    names = list(dict.fromkeys(pairs.name))
    grid = pairs.pivot(index="name", columns="other", values="share").reindex(names, columns=names)
    called = titles or {}
    numbers = {name: str(i) for i, name in enumerate(names, 1)}
    rows = {name: f"{numbers[name]} {called.get(name, name)}" for name in names}
    grid = grid.rename(index=rows, columns=numbers)
    table = pairs.assign(name=pairs.name.replace(called), other=pairs.other.replace(called))
    told = [f"{row.name_} in {row.other}" for row in table.rename(columns={"name": "name_"})
            .itertuples()]  # fmt: skip
    words = "Share of one group in another. " + extremes(told, table.share, "share")
    table = table.sort_values("share", ascending=False)
    return _shaded(grid, title, words, table, tickangle=0)


def _shaded(grid: pd.DataFrame, title: str, words: str, table: pd.DataFrame, tickangle=-40):
    import plotly.graph_objects as go

    values = grid.to_numpy(dtype=float)
    texts = grid.map(lambda value: wording.as_text(value, "share") if value == value else "")
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    figure = go.Figure(
        go.Heatmap(
            x=labels(grid.columns),
            y=labels(grid.index),
            z=values,
            text=texts.to_numpy(),
            texttemplate="%{text}",
            textfont={"size": 11},
            colorscale=SHADES,
            zmin=0,
            zmax=max(top, 0.01),
            xgap=1,
            ygap=1,
            showscale=False,
            hoverongaps=False,
            hovertemplate="%{y} → %{x}: %{text}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", showgrid=False, side="top", tickangle=tickangle)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure = finish(figure, title, words, table, height=200 + 34 * len(grid))
    return figure.update_layout(margin={"t": 70}, title={"y": 0.99, "yanchor": "top"})
