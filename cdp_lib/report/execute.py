"""Run one notebook headless: papermill, a kernel of its own, its time and its memory.

A notebook counts as done only when every code cell ran to its end: a killed kernel, a
time-out and `sys.exit` leave cells behind without an error that papermill would report.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

from cdp_lib.report.parameters import first_line, read_notebook

KERNEL_ENV = {
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep, so that two notebooks share the cores
    "PLOTLY_RENDERER": "plotly_mimetype",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TZ": "UTC",
}
# Errors that mean that the shop's data cannot answer, not that something broke.
UNANSWERED = ("MissingTable", "TooLittleData")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_ENGINE = "cdp"
_POLL_SECONDS = 0.2
_STARTS = 3


@dataclass(frozen=True)
class Executed:
    """A notebook that was run.

    - `status`: "done", "not run" (a table or data are missing) or "failed"; `message` says why
    - `notebook`: the executed notebook (nbformat), with what was shown before a failure
    - `seconds`, `peak_mb`: wall time, and peak resident memory of the kernel in MiB
    """

    status: str
    message: str
    notebook: object
    seconds: float
    peak_mb: float


def execute(
    notebook: Path,
    parameters: dict,
    timeout_seconds: float | None = None,
    threads: int | None = None,
    on_cell: Callable[[int, int], None] = lambda done, total: None,
    stop: threading.Event | None = None,
    title: str = "",
) -> Executed:
    """Run a notebook with these parameters in the present working directory.

    `timeout_seconds` bounds the whole notebook; `threads` caps the kernel's numeric threads;
    `on_cell(done, total)` is told of every finished cell; setting `stop` ends the kernel. `title`
    takes the place of the notebook's own.
    """
    import logging

    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import execute_notebook

    logging.getLogger("papermill").setLevel(logging.ERROR)
    _register()
    job = _Job(on_cell, timeout_seconds, _kernel_env(threads), stop or threading.Event())
    started, problem = time.monotonic(), ""
    try:
        execute_notebook(
            _titled(read_notebook(notebook), title),
            None,
            parameters,
            engine_name=_ENGINE,
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            autosave_cell_every=0,
            job=job,
        )
    except PapermillExecutionError:
        pass  # the error stands in the executed cells, where it is read below
    except Exception as error:
        problem = f"{type(error).__name__}: {first_line(str(error))}"
    if job.timed_out:
        problem = f"timed out after {timeout_seconds:g} seconds"
    seconds = time.monotonic() - started
    ran = job.notebook if job.notebook is not None else _titled(read_notebook(notebook), title)
    _clean(ran, notebook.name)
    status, message = _outcome(ran, problem)
    return Executed(status, message, ran, seconds, job.peak_mb)


def _titled(notebook, title: str):
    for cell in notebook.cells if title else ():
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            cell.source = "\n".join([f"# {title}", *cell.source.splitlines()[1:]])
            break
    return notebook


class _Job:
    """What the engine needs to know and reports back while one notebook runs."""

    def __init__(self, on_cell, timeout_seconds, env, stop) -> None:
        self.on_cell, self.timeout_seconds, self.env = on_cell, timeout_seconds, env
        self.stop = stop
        self.notebook, self.timed_out, self.peak_mb = None, False, 0.0

    @contextmanager
    def watching(self, client) -> Iterator[None]:
        """Watch a kernel while the block runs."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(client, over), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, client, over: threading.Event) -> None:
        """Sample the kernel's memory and kill it when its time is up."""
        import psutil

        deadline = time.monotonic() + (self.timeout_seconds or float("inf"))
        process = None
        while not over.wait(_POLL_SECONDS):
            try:
                if process is None:
                    process = psutil.Process(_pid_of(client))
                family = [process, *process.children(recursive=True)]
                self.peak_mb = max(self.peak_mb, sum(_rss_mb(one) for one in family))
                self.timed_out = self.timed_out or time.monotonic() > deadline
                if self.timed_out or self.stop.is_set():
                    for one in family:
                        one.kill()
            except (psutil.Error, AttributeError, TypeError):
                continue


def _pid_of(client) -> int:
    return client.km.provisioner.pid


def _rss_mb(process) -> float:
    import psutil

    try:
        return process.memory_info().rss / 2**20
    except psutil.Error:
        return 0.0


def _register() -> None:
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import Engine, papermill_engines

    if _ENGINE in papermill_engines._engines:
        return

    class WorkbenchEngine(Engine):
        """Papermill's own client with an environment for the kernel and a watch on it."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, job, start_timeout=60, **_):
            job.notebook = nb_man.nb
            total = len(nb_man.nb.cells)
            plain = nb_man.cell_complete

            def complete(cell, cell_index=None, **kwargs):
                plain(cell, cell_index=cell_index, **kwargs)
                job.on_cell((cell_index or 0) + 1, total)

            nb_man.cell_complete = complete
            for left in reversed(range(_STARTS)):
                client = PapermillNotebookClient(
                    nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, timeout=None
                )
                try:
                    with job.watching(client):
                        return client.execute(env=job.env, stdout=DEVNULL, stderr=DEVNULL)
                except RuntimeError:
                    # Two kernels that start at once may draw one port; then one of them dies.
                    states = {cell.metadata.papermill["status"] for cell in nb_man.nb.cells}
                    begun = states != {nb_man.PENDING}
                    if begun or not left or job.timed_out or job.stop.is_set():
                        raise

    papermill_engines.register(_ENGINE, WorkbenchEngine)


def _kernel_env(threads: int | None) -> dict[str, str]:
    caps = {name: str(threads) for name in _THREADS if threads and name not in os.environ}
    return dict(os.environ) | KERNEL_ENV | caps


def _clean(notebook, name: str) -> None:
    """Drop papermill's error banners and the machine's paths from the executed notebook."""
    from papermill.execute import remove_error_markers

    remove_error_markers(notebook)
    record = notebook.metadata.get("papermill")
    if record is not None:
        record["input_path"], record["output_path"] = name, name


def _outcome(notebook, problem: str) -> tuple[str, str]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for cell in code:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                message = first_line(output.evalue or output.ename)
                if output.ename in UNANSWERED:
                    return "not run", message
                return "failed", f"{output.ename}: {message}"
    if problem:
        return "failed", problem
    pending = sum(cell.get("execution_count") is None for cell in code)
    if pending:
        return "failed", f"stopped early: {pending} of {len(code)} cells did not run"
    return "done", ""
