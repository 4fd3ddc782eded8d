"""Several exports at once, and the guide's own example."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_shop import people, write_shop

from cdp_lib.activate.ledger import ledger_of
from cdp_lib.activate.ledger_check import problems
from cdp_lib.tables import open_shop

ROOT = Path(__file__).parents[2]
EXPORT = """
import sys
from cdp_lib.activate.audience import export
from cdp_lib.tables import open_shop
shop = open_shop(sys.argv[1])
print(export(shop, shop.customers.select("customer_id"), sys.argv[2], "email", layer="mail").status)
"""


@pytest.mark.slow
def test_exports_at_once_wait_for_each_other(tmp_path):
    path = write_shop(tmp_path / "shop", people())
    names = ["carts", "carts", "churn"]
    running = [
        subprocess.Popen([sys.executable, "-c", EXPORT, path, name], stdout=subprocess.PIPE,
                         text=True, cwd=ROOT)
        for name in names
    ]  # fmt: skip
    said = [one.communicate(timeout=120)[0].strip() for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    ledger = ledger_of(open_shop(path))
    # Whoever comes first has everybody; of one layer nobody is left for the other.
    first = ledger.experiments().audience.tolist()
    assert len(first) == 1 and len(ledger.assignments()) == 300
    assert sorted(said) == (
        ["planned", "sent", "sent before"] if first == ["carts"] else ["planned", "planned", "sent"]
    )
    assert problems(ledger).empty
    assert len(list((path.parent / "audiences").rglob("*"))) == 3, "a folder and two files"


@pytest.mark.slow
def test_the_code_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    from cdp_lib.world import simulate

    monkeypatch.chdir(tmp_path)
    simulate("data/demo", customers=600, weeks=20, seed=7)
    text = (ROOT / "docs" / "audiences.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(block, {})
    status, asked, *_, closes, _midnight = capsys.readouterr().out.split()
    assert (
        status == "planned" and int(asked) > 0 and closes == "2026-04-20"
    )  # 21 weeks from 2025-11-24
    assert not Path("data/demo/workbench.duckdb").exists()
