"""The weekly run: every notebook headless and in parallel, one folder published per ISO week.

A notebook that fails or lacks a table is named on the overview with its message and stops no
other. Numbers are the same whenever the same week is run again; only seconds and memory differ.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_lib.checks import Refusal, at_least
from cdp_lib.report import parameters as given_parameters
from cdp_lib.report.execute import Executed, execute
from cdp_lib.report.progress import Quiet
from cdp_lib.report.record import Outcome, notebook_text, scrub
from cdp_lib.report.runs import PRESETS, Run, by_run, choose, find_runs, in_turn

if TYPE_CHECKING:
    from cdp_lib.tables import Shop

SEND = "send"  # whether audiences leave; notebooks that have some have this parameter


@dataclass(frozen=True)
class Weekly:
    """A published week: its ISO name, its folder, and how each notebook went."""

    week: str
    folder: Path
    outcomes: tuple[Outcome, ...]

    @property
    def index(self) -> Path:
        """The page to open first."""
        return self.folder / "index.html"

    @property
    def failed(self) -> bool:
        """Whether a notebook failed; one that was not run for want of a table did not."""
        return any(outcome.status == "failed" for outcome in self.outcomes)


def weekly(
    shop: str,
    as_of: str | None = None,
    out: str | Path = "reports",
    only: Iterable[str] = (),
    jobs: int = 2,
    parameters: Iterable[str] = (),
    notebooks_dir: str | Path = "notebooks",
    timeout_seconds: float | None = None,
    progress: Quiet | None = None,
    send: bool = True,
) -> Weekly:
    """Run the notebooks on a shop and publish `<out>/<ISO week>/index.html`.

    `only` names notebooks (a unique beginning is enough): the others keep their pages of an
    earlier run of the same week. `parameters` are texts `notebook.name=value`. A notebook that
    weekly.toml lists runs as often as it says there (`runs.py`). At most `jobs`
    notebooks run at once, each for at most `timeout_seconds`. Audiences leave (`SEND`) unless
    `send` is False or `as_of` looks back at a week before that in which the shop's data end.

    Raises Refusal for an unknown notebook, parameter or shop, and while another run of the
    same week is under way.
    """
    from cdp_lib.report.assemble import LISTS, assemble, earlier_pages, health_of
    from cdp_lib.report.publish import building, publish
    from cdp_lib.tables import open_shop
    from cdp_lib.windows import iso_week

    at_least("jobs", jobs, 1)
    found = find_runs(notebooks_dir)
    chosen = choose(found, only)
    given = by_run(parameters, found)
    files = {found[name].notebook for name in chosen}
    declared = {file: given_parameters.notebook_parameters(file) for file in files}
    opened = open_shop(shop, as_of=as_of or None)
    senders = [name for name in chosen if SEND in declared[found[name].notebook]]
    leaves = send and (not as_of or not senders or not _looks_back(opened.as_of, open_shop(shop)))
    fixed = {"shop": str(shop), "as_of": f"{opened.as_of:%Y-%m-%dT%H:%M:%SZ}"}
    values = {
        name: _values(found[name], declared[found[name].notebook], fixed, given.get(name, {}))
        for name in chosen
    }
    for name in given:
        if name not in chosen:
            raise Refusal("-p", name, "this notebook is not run", "leave it out, or widen --only")

    out, week = Path(out), iso_week(opened.as_of)
    progress = progress or Quiet()
    kept = earlier_pages(out / week, opened, set(found) - set(chosen))
    stop = threading.Event()
    with building(out, week) as folder, progress:
        for name in chosen:
            if name in senders:
                values[name].setdefault(SEND, leaves)
            if LISTS in declared[found[name].notebook]:
                values[name][LISTS] = str(folder / LISTS)
        with ThreadPoolExecutor(jobs) as pool, stopping(pool, stop):
            work: dict[str, Future] = {}
            for name in in_turn(found, chosen):
                # What is waited for was handed in before, so a pool of one gets through as well.
                first = [work[o] for o in work if found[o].notebook.stem in found[name].after]
                work[name] = pool.submit(
                    _run_one,
                    found[name],
                    values[name],
                    timeout_seconds,
                    jobs,
                    progress,
                    stop,
                    first,
                )
            health = health_of(opened)
            executed = {name: work[name].result() for name in chosen}
        outcomes = assemble(folder, out, week, opened, executed, values, kept, health)
        link = publish(out, week, folder)
    return Weekly(week, link, tuple(outcomes))


def run_notebook(
    notebook: str | Path,
    parameters: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    timeout_seconds: float | None = None,
    progress: Quiet | None = None,
) -> tuple[Executed, Path]:
    """Run one notebook; the executed notebook and its page go to `out`, by default `reports`.

    Returns how it went and the path of the page.
    """
    from cdp_lib.report.assemble import LISTS
    from cdp_lib.report.page import page_html

    path = Path(notebook)
    if not path.is_file():
        raise Refusal("notebook", str(notebook), "no such file", "give the path of an .ipynb file")
    declared = given_parameters.notebook_parameters(path)
    values = given_parameters.fit(path.stem, declared, dict(parameters or {}))
    folder = Path(out or "reports")
    folder.mkdir(parents=True, exist_ok=True)
    if LISTS in declared:
        values.setdefault(LISTS, str(folder / LISTS))
    with progress or Quiet() as shown:
        executed = _run_one(Run(path.stem, path), values, timeout_seconds, 1, shown)
    page = folder / f"{path.stem}.html"
    page.with_suffix(".ipynb").write_text(notebook_text(executed.notebook), encoding="utf-8")
    page.write_bytes(page_html(executed.notebook).encode())
    return executed, page


@contextmanager
def stopping(pool: ThreadPoolExecutor, stop: threading.Event) -> Iterator[None]:
    """On an error or Ctrl-C, end the kernels at once: waiting for them could take an hour."""
    try:
        yield
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _looks_back(as_of: datetime, whole: Shop) -> bool:
    """Whether the shop's data reach into a later week than that in which audiences would leave."""
    from cdp_lib.activate.audience import week_of

    return week_of(as_of) < week_of(whole.as_of)


def _run_one(
    run: Run, values: dict, timeout_seconds, jobs: int, progress: Quiet, stop=None, first=()
):
    wait(first)
    progress.started(run.name)
    done = execute(
        run.notebook,
        values,
        timeout_seconds,
        threads=max(1, (os.cpu_count() or 1) // jobs),
        on_cell=lambda cell, total: progress.cell(run.name, cell, total),
        stop=stop,
        title=run.title,
    )
    progress.ended(run.name, done.status, scrub(done.message), done.seconds)
    return done


def _values(run: Run, declared: Mapping, fixed: Mapping, given: Mapping) -> dict:
    for taken in fixed:
        for place, source in (("-p", given), (PRESETS, run.preset)):
            if taken in source:
                problem, fix = "is set for all notebooks at once", f"use --{taken}"
                raise Refusal(place, f"{run.name}.{taken}", problem, fix)
    own = {key: value for key, value in fixed.items() if key in declared}
    return own | given_parameters.fit(run.name, declared, {**run.preset, **given})
