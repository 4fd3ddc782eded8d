"""How well each family of recommendations foresees, as a picture."""

import pandas as pd

from cdp_lib.activate.recommend_family import TITLES
from cdp_lib.report.chart_style import need
from cdp_lib.report.charts import bar_chart


def family_chart(
    table: pd.DataFrame,
    measure: str = "recall",
    title: str = "Purchases foreseen by a list of five",
):
    """Bars with whiskers, the best first. `table`: of `recommend_judge.judge`."""
    low, high = f"{measure}_low", f"{measure}_high"
    need(table, ["family", measure, low, high], "families")
    shown = table[["family", measure, low, high]].sort_values(measure, ascending=False)
    shown = shown.assign(family=shown.family.map(lambda name: TITLES.get(name, name)))
    return bar_chart(shown, "family", measure, title, "share", low, high, first=TITLES["blend"])
