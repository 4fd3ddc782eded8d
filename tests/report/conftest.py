"""Fixtures of the report's tests: a small shop, notebooks made on the spot, a real browser."""

import csv
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

PARAMETERS = 'shop: str = "shop.toml"  # the shop\nas_of: str = ""  # end of the data'
FIRST, AS_OF = datetime(2026, 11, 2), datetime(2026, 11, 23)
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="session")
def write_notebook():
    """`write_notebook(folder, name, title, *code, parameters=…)`: a notebook of code cells."""
    from nbformat import v4, write

    def make(folder: Path, name: str, title: str, *code: str, parameters: str | None = PARAMETERS):
        cells = [v4.new_markdown_cell(f"# {title}")]
        if parameters is not None:
            cells.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        cells += [
            v4.new_markdown_cell(text[4:]) if text.startswith("%md ") else v4.new_code_cell(text)
            for text in code
        ]
        notebook = v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        folder.mkdir(parents=True, exist_ok=True)
        write(notebook, folder / f"{name}.ipynb")
        return folder / f"{name}.ipynb"

    return make


@pytest.fixture(scope="session")
def write_shop():
    """`write_shop(folder, name="small")`: a shop of 504 events, one an hour, three weeks long."""

    def make(folder: Path, name: str = "small") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "events.csv").open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["event_id", "occurred_at", "visitor_id", "event", "product_id"])
            for hour in range(504):
                moment = (FIRST + timedelta(hours=hour)).isoformat()
                event = ("view_item", "add_to_cart", "purchase")[hour % 3]
                writer.writerow([f"e{hour}", moment, f"v{hour % 41}", event, f"p{hour % 7}"])
        (folder / "shop.toml").write_text(
            f'name = "{name}"\ncurrency = "EUR"\nas_of = {AS_OF.isoformat()}Z\n'
            '[tables.events]\npath = "events.csv"\n'
        )
        return folder / "shop.toml"

    return make


@pytest.fixture(scope="session")
def hostile_notebook(write_notebook, tmp_path_factory):
    """The hostile shop's notebook, executed."""
    from hostile_notebook import CELLS

    from cdp_lib.report.execute import execute

    done = execute(write_notebook(tmp_path_factory.mktemp("hostile"), "01_a", "Where?", *CELLS), {})
    assert (done.status, done.message) == ("done", "")
    return done.notebook


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A headless Chromium driven by Playwright; skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not binary:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=binary, args=CHROMIUM_FLAGS.split(), timeout=60_000
        )
        yield browser
        browser.close()
