"""A reader sees a week's report whole, whatever happens to the run that makes it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.report.publish import building, publish

CDP = [sys.executable, "-m", "cdp_lib"]
WEEK = "2026-W47"
FILES = {"index.html", "headlines.json", "manifest.json", "01_a.html", "01_a.ipynb", "02_b.html"}


def make(out: Path, text: str) -> Path:
    """Publish a report of one file."""
    with building(out, WEEK) as folder:
        (folder / "index.html").write_text(text)
        return publish(out, WEEK, folder)


def test_a_second_report_takes_the_place_of_the_first(tmp_path):
    first, old = make(tmp_path, "old"), os.readlink(tmp_path / WEEK)
    assert (first / "index.html").read_text() == "old"
    assert (make(tmp_path, "new") / "index.html").read_text() == "new"
    assert not (tmp_path / old).exists()
    assert [path.name for path in (tmp_path / ".building").iterdir()] == []


def test_the_link_is_relative_so_that_the_reports_can_be_moved(tmp_path):
    make(tmp_path / "reports", "text")
    moved = (tmp_path / "reports").rename(tmp_path / "elsewhere")
    assert (moved / WEEK / "index.html").read_text() == "text"


def test_a_run_that_fails_before_publishing_leaves_the_old_report_and_nothing_else(tmp_path):
    make(tmp_path, "old")
    with pytest.raises(ZeroDivisionError), building(tmp_path, WEEK) as folder:
        (folder / "index.html").write_text("half")
        1 / 0  # noqa: B018
    assert (tmp_path / WEEK / "index.html").read_text() == "old"
    assert list((tmp_path / ".building").iterdir()) == []


def test_a_second_run_of_the_same_week_is_refused_and_another_week_is_not(tmp_path):
    with building(tmp_path, WEEK):
        with pytest.raises(Refusal, match="another run of this week is under way"):
            make(tmp_path, "second")
        with building(tmp_path, "2026-W46") as other:
            assert other.is_dir()
    assert (make(tmp_path, "third") / "index.html").read_text() == "third"


def test_a_folder_that_no_run_made_is_left_alone(tmp_path):
    (tmp_path / WEEK).mkdir()
    (tmp_path / WEEK / "mine.txt").write_text("mine")
    with pytest.raises(Refusal, match="move it out of the way"):
        make(tmp_path, "text")
    assert (tmp_path / WEEK / "mine.txt").read_text() == "mine"


@pytest.fixture
def folder(tmp_path, write_notebook, write_shop):
    """A shop and two quick notebooks whose parameter `mark` shows in everything they leave."""
    write_shop(tmp_path)
    show = (
        "from cdp_lib.report import Headline, show\n"
        "show(Headline('mark', mark, None, None, 'count', 99, 'good', f'mark {mark}'))"
    )
    for name in ("01_a", "02_b"):
        write_notebook(
            tmp_path / "notebooks",
            name,
            name,
            show,
            parameters='shop: str = "shop.toml"\nas_of: str = ""\nmark: int = 0',
        )
    return tmp_path


def start(folder: Path, mark: int) -> subprocess.Popen:
    """A weekly run in a process group of its own."""
    pairs = ["-p", f"01_a.mark={mark}", "-p", f"02_b.mark={mark}"]
    return subprocess.Popen(
        [*CDP, "weekly", "--shop", "shop.toml", *pairs],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def whole(report: Path) -> int:
    """Check that a report is whole and of one run; gives that run's mark."""
    assert set(os.listdir(report)) >= FILES
    headlines = json.loads((report / "headlines.json").read_text())
    manifest = json.loads((report / "manifest.json").read_text())
    marks = {headline["value"] for headline in headlines}
    marks |= {notebook["parameters"]["mark"] for notebook in manifest["notebooks"]}
    assert len(headlines) == len(manifest["notebooks"]) == 2 and len(marks) == 1
    mark = int(marks.pop())
    for name in ("01_a.html", "02_b.html", "index.html"):
        text = (report / name).read_text()
        assert text.endswith("</html>") and f"mark {mark}<" in text
    assert f"mark = {mark}" in (report / "01_a.ipynb").read_text()
    return mark


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [3, pytest.param(10, marks=pytest.mark.proof)])
def test_a_run_killed_at_any_moment_leaves_a_whole_report_or_none(folder, n_kills):
    chance, report = random.Random(7), folder / "reports" / WEEK
    began = time.monotonic()
    assert start(folder, 100).wait(120) == 0 and whole(report) == 100
    lasts = time.monotonic() - began
    seen = 100
    for mark in range(1, n_kills + 1):
        run = start(folder, mark)
        try:
            # Half of the kills fall late, where pages are written and published.
            run.wait(chance.uniform(0.6 * (mark % 2), 1.05) * lasts)
        except subprocess.TimeoutExpired:
            family = psutil.Process(run.pid).children(recursive=True)
            os.killpg(run.pid, signal.SIGKILL)
            run.wait(10)
            _, alive = psutil.wait_procs(family, timeout=20)
            assert not alive, "kernels outlive the run that started them"
        shown = whole(report)
        assert shown in (seen, mark), "neither the report before nor the new one"
        seen = shown
    assert start(folder, 11).wait(120) == 0 and whole(report) == 11
    for place in (".building", ".published"):
        left = [path.name for path in (folder / "reports" / place).iterdir()]
        assert len(left) == (place == ".published"), "killed runs are swept away"


def test_while_one_run_is_under_way_another_is_refused_in_one_line(folder):
    with building(folder / "reports", WEEK):
        second = start(folder, 2)
        _, said = second.communicate(timeout=60)
    assert second.returncode == 2 and said.count("\n") == 1
    assert "another run of this week is under way" in said
    assert not (folder / "reports" / WEEK).exists()
