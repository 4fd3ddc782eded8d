"""Live a simulated shop for some weeks by the real commands, and draw what they reported.

    python tools/closed_loop.py FOLDER PICTURE.png [--weeks 8] [--customers 12000]

Each week `cdp weekly` runs the notebook that sends audiences, then `cdp simulate --advance 1` lets
the next week happen. The picture shows, for each audience, the incremental revenue that was
reported after each week with its always-valid interval, and the truth. Needs Chromium.
"""

import argparse
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd

from cdp_lib.lift.programme import audience_table, total_row
from cdp_lib.report import loop
from cdp_lib.report.chart_style import BLUE, INK, ORANGE, finish, wash
from cdp_lib.tables import open_shop

NOTEBOOK = "08_audiences"
AUDIENCES = ("abandoned_carts", "abandoned_browses", "likely_churners")
PROGRAMME = "all audiences together"


def live(folder: Path, weeks: int, customers: int, holdout: float, seed: int) -> Path:
    """Simulate a shop in the folder and let it live; returns its shop.toml."""
    shop = folder / "shop" / "shop.toml"
    if not shop.exists():
        cdp("simulate", "--out", shop.parent, "--customers", customers, "--weeks", 40,
            "--seed", seed)  # fmt: skip
    given = {"holdout": holdout, "only": ",".join(AUDIENCES)}
    chosen = ["--only", NOTEBOOK]
    for name, value in given.items():
        chosen += ["-p", f"{NOTEBOOK}.{name}={value}"]
    for _ in range(weeks):
        cdp("weekly", "--shop", shop, "--out", folder / "reports", *chosen)
        cdp("simulate", "--advance", 1, "--shop", shop)
    cdp("weekly", "--shop", shop, "--out", folder / "reports", "--only", "09_incremental_lift",
        "--no-send")  # fmt: skip
    return shop


def cdp(*words: object) -> None:
    """Run one command of the workbench."""
    subprocess.run([sys.executable, "-m", "cdp_lib", *map(str, words)], check=True)


def history(shop_file: Path, weeks: int) -> pd.DataFrame:
    """A row a week and audience: week, audience, total, always_low, always_high, word, truth."""
    shop = open_shop(shop_file)
    told = pd.read_parquet(shop_file.parent / "truth" / "campaigns.parquet")
    told["audience"] = told["campaign_id"].str.split(".").str[0]
    known = loop.read(shop).readouts
    mine = [one for one in known if one.experiment.audience]
    rows = []
    for week in range(1, weeks + 1):
        end = shop.as_of - timedelta(weeks=weeks - week)
        done = [one for one in mine if one.started_at < end]
        true = told[(told["starts_at"] < end) & told["campaign_id"].isin(
            [one.experiment.experiment_id for one in done])]  # fmt: skip
        for row in audience_table(done).itertuples():
            brought = true.loc[true["audience"] == row.audience, "realised_incremental_revenue"]
            rows.append((week, row.audience, row.total, row.always_low, row.always_high, row.word,
                         brought.sum()))  # fmt: skip
        whole = total_row(done)
        rows.append((week, PROGRAMME, whole["total"], whole["always_low"], whole["always_high"],
                     "", true["realised_incremental_revenue"].sum()))  # fmt: skip
    columns = ["week", "audience", "total", "always_low", "always_high", "word", "truth"]
    return pd.DataFrame(rows, columns=columns)


def picture(table: pd.DataFrame, path: Path) -> None:
    """Draw the table of `history` into a PNG."""
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs
    from plotly.subplots import make_subplots

    names = table["audience"].drop_duplicates().tolist()
    titles = []
    for name in names:
        word = table.loc[table["audience"] == name, "word"].iloc[-1]
        titles.append(name.replace("_", " ") + (f": {word}" if word else ""))
    figure = make_subplots(1, len(names), subplot_titles=titles, horizontal_spacing=0.055)
    for column, name in enumerate(names, 1):
        rows, first = table[table["audience"] == name], column == 1
        band = rows["week"].tolist() + rows["week"].tolist()[::-1]
        ends = rows["always_high"].tolist() + rows["always_low"].tolist()[::-1]
        for trace in (
            go.Scatter(x=band, y=ends, fill="toself", fillcolor=wash(BLUE), line={"width": 0},
                       mode="lines", name="95 % interval, looked at weekly", showlegend=first),
            go.Scatter(x=rows["week"], y=rows["total"], mode="lines+markers",
                       line={"color": BLUE, "width": 2}, name="reported", showlegend=first),
            go.Scatter(x=rows["week"], y=rows["truth"], mode="lines",
                       line={"color": ORANGE, "width": 2, "dash": "dash"}, name="truth",
                       showlegend=first),
        ):  # fmt: skip
            figure.add_trace(trace, row=1, col=column)
        figure.add_hline(y=0, line={"color": INK, "width": 1}, row=1, col=column)
        figure.update_xaxes(dtick=1, title="weeks lived", row=1, col=column)
        figure.update_yaxes(tickformat="~s", row=1, col=column)
    finish(figure, "", "", table, height=380)
    figure.update_layout(width=1240, margin={"t": 84, "l": 60},
                         legend={"y": 1.14, "yanchor": "bottom"})  # fmt: skip
    figure.update_yaxes(title="incremental revenue, EUR", row=1, col=1)
    body = figure.to_html(include_plotlyjs=False, full_html=False, config={"staticPlot": True})
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(
            f"<!doctype html><meta charset=utf-8><style>body{{margin:8px}}</style>"
            f"<script>{get_plotlyjs()}</script>{body}",
            encoding="utf-8",
        )
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={folder}/profile", "--hide-scrollbars",
             "--virtual-time-budget=8000", "--window-size=1256,400",
             f"--screenshot={path.absolute()}", page.as_uri()],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def main() -> None:
    """Read the command line, live, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--customers", type=int, default=12_000)
    parser.add_argument("--holdout", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    shop = live(given.folder, given.weeks, given.customers, given.holdout, given.seed)
    table = history(shop, given.weeks)
    table.to_csv(given.folder / "weeks.csv", index=False)
    picture(table, given.picture)
    print(table.to_string())


if __name__ == "__main__":
    main()
