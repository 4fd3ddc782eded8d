"""The guide to propensities: its code runs from top to bottom, and its links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cdp_lib.world import simulate

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "propensity.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_code_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    simulate("data/demo", customers=1_500, weeks=40, seed=7)
    rng = np.random.default_rng(7)
    days = rng.exponential(30, 2_000)
    leaves = rng.random(2_000) < 1 / (1 + np.exp(2 - days / 20))
    ids = [f"c{number}" for number in range(2_000)]
    rows = pd.DataFrame(
        {"customer_id": ids, "days": days, "churned": np.where(leaves, "yes", "no")}
    )
    rows.to_csv("churn.csv", index=False)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(block, names)
    printed = capsys.readouterr().out
    assert "buys within 7 days · customers who visited in the 180 days before" in printed
    assert names["model"].verdict == "use", "a slope of 1 in 20 days is seen in 2,000 rows"
    scored = pd.read_parquet("models/buy.parquet").set_index("customer_id").probability
    now = names["one"].now.set_index("customer_id").probability
    assert len(now) > 500
    pd.testing.assert_series_equal(scored.sort_index(), now.sort_index(), check_exact=True)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
