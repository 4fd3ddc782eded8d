"""Charts of what moves a model: each takes a table of `predict.explain` and gives a figure.

They explain the model, not the cause. Contributions are in log odds.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.report import wording
from cdp_lib.report.chart_style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    finish,
    labels,
    need,
)

LOW_TO_HIGH = [[0, "#2a7fc1"], [0.5, "#b9aeb9"], [1, "#d9480f"]]
NOT_CAUSE = " This is how the model reckons, not what causes it."
PUSH = "← lowers the chance · raises it →"
_DIRECTION = {
    "higher raises": (ORANGE, "a higher value raises the {what}"),
    "higher lowers": (BLUE, "a higher value lowers it"),
    "by category": (MUTED, "differs by category"),
    "mixed": (GREY, "neither way, or both"),
    "none": (GREY, "neither way, or both"),
}
_ODDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999)


def beeswarm_chart(table: pd.DataFrame, title: str = "What moves each customer's chance"):
    """A dot per customer and feature, left or right by its push, coloured by its value.

    `table`: of `explain.point_table`: feature, meaning, rank, contribution. A category and a
    missing value are grey. Fewer than ten customers are not drawn.
    """
    import plotly.graph_objects as go

    need(table, ["feature", "meaning", "rank", "contribution"], "beeswarm")
    table, few = _of_enough(table)
    names = table.drop_duplicates("feature")
    axis_names = labels(names["meaning"])
    figure = go.Figure()
    reach = table["contribution"].abs().max() if len(table) else 1.0
    for row, feature in enumerate(names["feature"]):
        points = table[table["feature"] == feature]
        heights = row + _swarm(points["contribution"].to_numpy(), reach)
        for grey in (True, False):
            part = points["rank"].isna().to_numpy() == grey
            figure.add_scatter(
                x=points["contribution"][part].round(4).tolist(),
                y=heights[part].round(3).tolist(),
                mode="markers",
                marker={
                    "size": 5,
                    "opacity": 0.8,
                    "color": GREY if grey else points["rank"][part].round(3).tolist(),
                    **({} if grey else {"coloraxis": "coloraxis"}),
                },
                hovertemplate=f"{axis_names[row]}: %{{x:+.2f}}<extra></extra>",
                showlegend=False,
            )
    figure.add_vline(x=0, line_color=INK, line_width=1)
    # The bar stands inside the picture, in a row of its own: outside, Plotly would move the title.
    bar = {"tickvals": [0.08, 0.92], "ticktext": ["low", "high"], "ticks": "", "outlinewidth": 0}
    bar |= {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yanchor": "bottom", "len": 0.6}
    bar |= {"thickness": 8, "title": {"text": "value (grey: a category, or missing)"}}
    bar["title"] |= {"side": "top", "font": {"size": 11, "color": MUTED}}
    bar["tickfont"] = bar["title"]["font"]
    figure.update_layout(
        coloraxis={"colorscale": LOW_TO_HIGH, "cmin": 0, "cmax": 1, "colorbar": bar}
    )
    summary = _summary(table)
    words = "Most weight: " + ", ".join(names["meaning"].head(3)) + "." if len(names) else few
    words += NOT_CAUSE if len(names) else ""
    figure = finish(
        figure, title, words, summary, height=130 + row_height(axis_names) * (len(names) + 1)
    )
    figure.update_xaxes(title_text=PUSH, zeroline=False)
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=axis_names,
        range=[len(names) + 0.6, -0.6],
        showgrid=False,
        zeroline=False,
    )
    return figure


def importance_chart(
    table: pd.DataFrame,
    title: str = "What the model looks at",
    label: str = "meaning",
    top: int = 12,
    what: str = "chance",
):
    """Bars of each feature's share of all pushes, coloured by the direction of its effect.

    `table`: of `explain.importance_table`, or of `group_table` with label="group". what: is raised
    or lowered.
    """
    import plotly.graph_objects as go

    need(table, [label, "share"], "importance")
    shown = table[table["share"] > 0].head(top)
    names = labels(shown[label])
    ways = shown["direction"] if "direction" in shown else pd.Series("mixed", shown.index)
    kinds = ways.map(_DIRECTION) if "direction" in shown else ways.map(lambda _: (BLUE, ""))
    figure = go.Figure()
    for colour, words in dict.fromkeys(kinds):
        part = (kinds == (colour, words)).to_numpy()
        figure.add_bar(
            x=shown["share"][part].tolist(),
            y=[name for name, inside in zip(names, part, strict=True) if inside],
            orientation="h",
            marker_color=colour,
            name=words.format(what=what),
            text=[f" {wording.as_text(value, 'share')}" for value in shown["share"][part]],
            textposition="outside",
            cliponaxis=False,
            textangle=0,
            hovertemplate="%{y}: %{text}<extra></extra>",
            showlegend=bool(words),
        )
    longest = shown["share"].max() if len(shown) else 1
    left = table["share"].sum() - shown["share"].sum()
    alt = "Nothing moves the model." if shown.empty else _most(shown, label, left, len(table))
    figure.update_layout(barmode="overlay")
    height = 120 + row_height(names) * len(shown)
    figure = finish(figure, title, alt, shown, {"mean_abs": "number"}, height=height)
    figure.update_yaxes(categoryorder="array", categoryarray=names, autorange="reversed")
    figure.update_xaxes(tickformat=".0%", range=[0, longest * 1.3], nticks=4, tickangle=0)
    n_colours = len({words for _, words in kinds if words})
    figure.update_layout(legend={"orientation": "v"})
    return below_title(figure, 22 * n_colours) if n_colours else figure


def waterfall_chart(table: pd.DataFrame, title: str = "How this customer's chance comes about"):
    """One customer, step by step from the average to their own chance; for the lab alone.

    It shows one person's values, so it has no place in a report. `table`: of
    `reasons.waterfall_table`: words, contribution, probability. The axis is log odds, written as
    chances.
    """
    import plotly.graph_objects as go

    need(table, ["words", "contribution", "probability"], "waterfall")
    if len(table) < 2:
        raise Refusal("waterfall", len(table), "no steps", "pass reasons.waterfall_table's table")
    last = len(table) - 1
    reached = np.log(table["probability"] / (1 - table["probability"]))
    texts = [
        signed(row.contribution) if 0 < place < last else wording.as_text(row.probability, "share")
        for place, row in enumerate(table.itertuples())
    ]
    figure = go.Figure(
        go.Waterfall(
            x=[0.0 if place in (0, last) else v for place, v in enumerate(table["contribution"])],
            y=labels(table["words"]),
            base=float(reached.iloc[0]),
            orientation="h",
            measure=["relative"] * len(table),
            text=[f" {text} " for text in texts],
            textposition="outside",
            cliponaxis=False,
            connector={"line": {"color": GREY, "width": 1}},
            increasing={"marker": {"color": ORANGE}},
            decreasing={"marker": {"color": BLUE}},
            hovertemplate="%{y}: %{text}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_scatter(
        x=reached.iloc[[0, last]].tolist(),
        y=[name for place, name in enumerate(labels(table["words"])) if place in (0, last)],
        mode="markers",
        marker={"symbol": "diamond", "size": 12, "color": INK},
        hoverinfo="skip",
        showlegend=False,
    )
    ends = [wording.as_text(table["probability"].iloc[place], "share") for place in (0, last)]
    alt = f"From {ends[0]}, the average customer, to {ends[1]}."
    units = {"probability": "share"}
    figure = finish(
        figure,
        title,
        alt,
        table,
        units,
        height=110 + row_height(labels(table["words"])) * len(table),
    )
    low, high = reached.min(), reached.max()
    room = 0.3 * max(high - low, 0.5)
    figure.update_xaxes(
        range=[low - room, high + room],
        tickvals=[float(np.log(p / (1 - p))) for p in _ODDS],
        ticktext=[f"{p:.1%}" if p < 0.01 or p > 0.99 else f"{p:.0%}" for p in _ODDS],
        title_text="chance",
    )
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def row_height(names: Sequence[str]) -> int:
    """Pixels that a row needs, so that the lines of its label do not touch the next one's."""
    return 16 + 16 * max((name.count("<br>") + 1 for name in names), default=1)


def below_title(figure, pixels: int):
    """Room of so many pixels between the title, which moves to the top, and the picture."""
    height = figure.layout.height + pixels
    figure.update_layout(
        margin={"t": 56 + pixels},
        height=height,
        bargap=0.42,
        title={"yref": "container", "y": 1 - 28 / height, "yanchor": "middle"},
    )
    return figure


def signed(value: float) -> str:
    """A contribution as people read it, such as +0.25 or −1.00."""
    return f"{value:+.2f}".replace("-", "−")


def _swarm(values: np.ndarray, reach: float, n_bins: int = 90, height: float = 0.4) -> np.ndarray:
    """How far each dot stands off its line, so that the dots of a place lie side by side."""
    bins = np.round(values / (reach or 1.0) * n_bins).astype(int)
    place = pd.Series(bins).groupby(bins).cumcount().to_numpy()
    offset = (place + 1) // 2 * np.where(place % 2, 1, -1)
    return offset * min(0.07, height / max(1, np.abs(offset).max(initial=0)))


def _of_enough(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    n = table.groupby("feature").size().max() if len(table) else 0
    few = f"Fewer than {wording.SMALL_GROUP} customers: not drawn."
    return (table, "") if n >= wording.SMALL_GROUP else (table.head(0), few)


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """What stands beside the beeswarm: a row per feature."""
    pushes = table.groupby("meaning", sort=False)["contribution"]
    found = pushes.agg(
        n_customers="size",
        mean_push=lambda v: v.abs().mean(),
        raised_share=lambda v: (v > 0).mean(),
    )
    return found.reset_index()


def _most(shown: pd.DataFrame, label: str, left: float, n: int) -> str:
    told = ", ".join(
        f"{name} ({wording.as_text(share, 'share')})"
        for name, share in zip(shown[label].head(3), shown["share"].head(3), strict=True)
    )
    more = n - len(shown)
    rest = f" The {more} not shown hold {wording.as_text(left, 'share')}." if left > 0.0005 else ""
    return f"Most weight: {told}.{rest}{NOT_CAUSE}"
