"""One small shop's week, as the command line publishes it: run once, looked at from many sides."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from weekly_runs import NOTEBOOKS, RUNS, cdp


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory):
    """A simulated shop of 1,500 customers over 30 weeks."""
    from cdp_lib.world import simulate

    return simulate(tmp_path_factory.mktemp("world") / "shop", customers=1500, weeks=30, seed=3)


@pytest.fixture(scope="session")
def small_week(small_shop, tmp_path_factory):
    """The week that the command line publishes for it."""
    out = tmp_path_factory.mktemp("reports")
    once = [f"{name}.race_weeks=1" for name in ("05", "06")]
    run = cdp("weekly", "--shop", small_shop, "--out", out, "-p", once[0], "-p", once[1])
    assert run.returncode == 0, run.stdout + run.stderr
    (week,) = [path for path in out.iterdir() if not path.name.startswith(".")]
    return week


@pytest.mark.slow
def test_the_week_has_a_page_for_every_notebook_and_its_findings(small_week):
    manifest = json.loads((small_week / "manifest.json").read_text())
    status = {one["name"]: one["status"] for one in manifest["notebooks"]}
    assert list(status) == RUNS
    # Few people of so small a shop remove the app within a week, or show whom a contact moves.
    unsure = {"06_propensity-remove_app", "10_uplift_targeting"}
    assert {status.pop(name) for name in unsure} <= {"done", "not run"}
    assert set(status.values()) == {"done"}
    for name in status:
        page = small_week / f"{name}.html"
        assert 0 < page.stat().st_size < 6_000_000
        assert (small_week / f"{name}.ipynb").exists()
    found = json.loads((small_week / "headlines.json").read_text())
    assert {one["notebook"] for one in found} - unsure == set(status)
    for one in found:
        assert {"value", "low", "high", "unit", "n", "verdict", "sentence"} <= set(one)


@pytest.mark.slow
def test_no_notebook_warns(small_week):
    said = {}
    for path in small_week.glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        said[path.name] = [o["text"] for o in outputs if o.get("name") == "stderr"]
    assert said and not any(said.values()), said


@pytest.mark.slow
def test_scored_lists_lie_beside_the_pages_and_are_not_for_sending(small_week, small_shop):
    import duckdb

    lists = {path.name.removesuffix(".not-for-sending.csv"): path
             for path in (small_week / "lists").glob("*.not-for-sending.csv")}  # fmt: skip
    wanted = {"05_churn", "06_propensity", "08_service_recovery"}
    assert wanted <= {name.partition("-")[0] for name in lists}
    known = duckdb.sql(f"SELECT customer_id FROM '{small_shop.parent}/customers.parquet'").df()
    churn = pd.read_csv(next(path for name, path in lists.items() if name[:2] == "05"))
    assert set(churn.customer_id) <= set(known.customer_id) and churn.customer_id.is_unique
    assert churn.probability.between(0, 1).all() and (churn.value_at_stake >= 0).all()
    assert churn.status.str.startswith("not for sending").all()
    assert not [path for path in small_week.iterdir() if path.suffix in (".csv", ".parquet")]
    found = json.loads((small_week / "headlines.json").read_text())
    usable = {one["notebook"] for one in found
              if one["name"] == "How well the model orders customers" and one["value"]}  # fmt: skip
    files = list((small_week / "lists").glob("*.scores.not-for-sending.parquet"))
    assert len(files) == len(usable) and "05_churn" in usable
    assert len(files) == len(list((small_week / "lists").glob("*.parquet")))
    for path in files:
        scores = pd.read_parquet(path)
        assert set(scores.customer_id) <= set(known.customer_id) and scores.customer_id.is_unique
        assert scores.iloc[:, 1].between(0, 1).all()


@pytest.mark.slow
def test_no_page_names_a_person(small_week, small_shop):
    import duckdb

    ids = duckdb.sql(
        f"SELECT customer_id FROM '{small_shop.parent}/customers.parquet' "
        f"UNION SELECT visitor_id FROM '{small_shop.parent}/identities.parquet'"
    ).fetchall()
    files = [path for path in small_week.iterdir() if path.is_file()]
    texts = {path.name: path.read_text() for path in files}
    ids = {one for (one,) in ids}
    (length,) = {len(one) for one in ids}
    assert len(ids) > 1000 and all(re.fullmatch(r"[0-9A-Za-z]+", one) for one in ids)
    for name, text in texts.items():
        # Ids are long enough that none is part of a word or a number by chance.
        runs = re.findall(rf"[0-9A-Za-z]{{{length},}}", text)
        parts = {run[at : at + length] for run in runs for at in range(len(run) - length + 1)}
        assert not parts & ids, f"{name} names {parts & ids}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS[1:2], ids=lambda path: path.stem)
def test_a_notebook_runs_by_plain_papermill_from_anywhere(path, small_shop, tmp_path):
    out = tmp_path / "out.ipynb"
    run = subprocess.run(
        [sys.executable, "-m", "papermill", path, out, "-p", "shop", small_shop],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "vnd.cdp.headline+json" in out.read_text()
