"""The command line: fast help, one line for a refusal, exit statuses one can build on."""

import json
import resource
import subprocess
import sys
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from cdp_lib import __version__
from cdp_lib.__main__ import app

HEAVY = {"pandas", "numpy", "ibis", "duckdb", "papermill", "plotly", "jinja2", "nbformat", "scipy"}
EVENTS = """event_id,occurred_at,visitor_id,event
e1,2026-11-01T10:00:00,v1,view_item
e2,2026-11-01T11:00:00,v1,purchase
"""


@pytest.fixture
def cdp(tmp_path, monkeypatch):
    """`cdp(*arguments)`: run a command in an empty folder; gives its result."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(word) for word in arguments])


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "events.csv").write_text(EVENTS)
    path = tmp_path / "shop.toml"
    path.write_text('name = "s"\ncurrency = "EUR"\n[tables.events]\npath = "events.csv"\n')
    return path


def test_help_is_quick_and_loads_nothing_heavy():
    program = (
        "import sys, contextlib, cdp_lib.__main__ as main\n"
        "with contextlib.suppress(SystemExit): main.app(['weekly', '--help'])\n"
        "print('loaded:', *sys.modules)"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time: a busy machine stretches the clock on the wall, not the work.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "--only" in answer.stdout
    assert not HEAVY & set(answer.stdout.rpartition("loaded:")[2].split())
    assert min(seconds) < 1.0


def test_without_a_command_the_help_is_shown(cdp):
    words = cdp().output
    assert all(command in words for command in ("check", "simulate", "weekly", "run", "version"))


def test_the_version_is_printed(cdp):
    assert cdp("version").stdout.strip() == __version__


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--shop", "absent.toml"),
        ("weekly", "--shop", "absent.toml"),
        ("run", "absent.ipynb"),
        ("simulate", "--out", "x", "--customers", "10", "--weeks", "0"),
    ],
)
def test_a_refusal_is_one_line_on_stderr_and_status_2(cdp, arguments, tmp_path):
    result = cdp(*arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert "Traceback" not in result.stderr and result.stderr.strip()
    assert list(tmp_path.iterdir()) == []


def test_the_refusal_itself_is_a_single_line(cdp):
    lines = cdp("check", "--shop", "absent.toml").stderr.strip().splitlines()
    assert len(lines) == 1 and "absent.toml" in lines[0]


def test_a_clean_shop_passes_and_a_broken_one_does_not(cdp, shop):
    clean = cdp("check", "--shop", shop)
    assert clean.exit_code == 0 and "events" in clean.stdout
    (shop.parent / "events.csv").write_text(EVENTS.replace("visitor_id", "who"))
    broken = cdp("check", "--shop", shop)
    assert broken.exit_code in (1, 2) and "visitor_id" in broken.output


def test_a_small_world_is_simulated_and_checked(cdp, tmp_path):
    made = cdp("simulate", "--out", "demo", "--customers", "60", "--weeks", "6", "--seed", "3")
    assert made.exit_code == 0, made.output
    assert made.stdout.strip() == "demo/shop.toml"
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"events.parquet", "truth"}
    checked = cdp("check", "--shop", "demo/shop.toml")
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1", 0),
        ("from cdp_lib.checks import MissingTable\nraise MissingTable('a', 'b', 'c', 'd')", 0),
        ("1 / 0", 1),
    ],
)
def test_the_exit_status_of_a_week_says_how_it_went(cdp, shop, tmp_path, code, status):
    from nbformat import v4, write

    cells = [
        v4.new_markdown_cell("# A question?"),
        v4.new_code_cell('shop: str = "x"\nas_of: str = ""', metadata={"tags": ["parameters"]}),
        v4.new_code_cell(code),
    ]
    (tmp_path / "books").mkdir()
    write(v4.new_notebook(cells=cells), tmp_path / "books" / "01_a.ipynb")
    result = cdp("weekly", "--shop", shop, "--notebooks", "books", "--out", "there")
    assert result.exit_code == status, result.output
    assert result.stdout.strip().endswith("there/2026-W44/index.html")
    manifest = json.loads((tmp_path / "there/2026-W44/manifest.json").read_text())
    assert manifest["notebooks"][0]["parameters"]["shop"] == "./shop.toml"


def test_a_simulated_shop_lives_on_by_the_command(cdp, tmp_path):
    made = cdp("simulate", "--out", "shop", "--customers", 60, "--weeks", 6, "--seed", 3)
    assert made.exit_code == 0, made.output
    path = tmp_path / "shop" / "shop.toml"
    lived = cdp("simulate", "--advance", 2, "--shop", path)
    assert lived.exit_code == 0, lived.output
    assert "shop.toml" in made.output and "shop.toml" in lived.output
    from cdp_lib.tables import open_shop

    shop = open_shop(path)
    last = shop.events.occurred_at.max().execute().to_pydatetime()
    assert timedelta(0) < shop.as_of - last < timedelta(days=2)
    assert shop.events.occurred_at.min().execute().to_pydatetime() < shop.as_of - timedelta(weeks=7)
    neither = cdp("simulate", "--advance", 1, "--shop", path, "--out", "other")
    assert neither.exit_code == 2 and "pass --out" in neither.output
