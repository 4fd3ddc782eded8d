"""One notebook headless: only what ran to its end counts as done."""

import pytest

from cdp_lib.report.execute import execute
from cdp_lib.report.page import headlines_of

SHOW = (
    "from cdp_lib.report import Headline, show\n"
    'show(Headline("x", value, None, None, "number", 99, "good", "so much"))'
)


@pytest.fixture
def run(write_notebook, tmp_path):
    """Make a notebook of these cells, run it, and give how it went."""

    def go(*code, parameters="value: float = 1.0", given=None, **options):
        path = write_notebook(tmp_path, "01_a", "A", *code, parameters=parameters)
        return execute(path, given or {}, **options)

    return go


def test_a_notebook_that_ends_is_done_and_tells_its_headlines(run):
    cells = []
    done = run(SHOW, given={"value": 2.5}, on_cell=lambda *place: cells.append(place))
    assert (done.status, done.message) == ("done", "")
    assert [headline["value"] for headline in headlines_of(done.notebook)] == [2.5]
    assert cells == [(number, 4) for number in (1, 2, 3, 4)]  # with the injected parameters
    assert 0 < done.seconds < 60


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", "failed", "SystemExit: 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed", "DeadKernelError"),
        (
            "from cdp_lib.checks import MissingTable\n"
            'raise MissingTable("shop", "demo", "no table \'orders\'", "add it")',
            "not run",
            "shop = 'demo': no table 'orders'; add it",
        ),
        (
            'from cdp_lib.checks import Refusal\nraise Refusal("a", 1, "is odd", "take 2")',
            "failed",
            "Refusal: a = 1: is odd; take 2",
        ),
    ],
)
def test_what_stops_a_notebook_is_named_and_what_was_shown_before_stays(run, code, status, said):
    stopped = run(SHOW, code, "'never'")
    assert stopped.status == status and said in stopped.message
    assert len(headlines_of(stopped.notebook)) == 1
    assert not stopped.notebook.cells[-1].outputs


@pytest.mark.parametrize(("deaths", "status"), [(2, "done"), (3, "failed")])
def test_a_kernel_that_dies_at_its_start_is_started_again(run, monkeypatch, deaths, status):
    """As when two kernels draw one port; no cell has run by then."""
    from papermill.clientwrap import PapermillNotebookClient

    plain, died = PapermillNotebookClient.execute, []

    def dies(self, **options):
        if len(died) < deaths:
            died.append(self)
            raise RuntimeError("Kernel died before replying to kernel_info")
        return plain(self, **options)

    monkeypatch.setattr(PapermillNotebookClient, "execute", dies)
    done = run(SHOW)
    assert done.status == status and len(died) == deaths
    assert ("Kernel died" in done.message) == (status == "failed")


def test_a_notebook_that_takes_too_long_is_stopped(run):
    slow = run("import time; time.sleep(120)", timeout_seconds=4)
    assert slow.status == "failed" and slow.message == "timed out after 4 seconds"
    assert slow.seconds < 30


def test_the_peak_memory_of_the_kernel_is_seen(run):
    quiet = run("1")
    # 300 MiB of ones, touched, and held for longer than the sampling interval.
    loud = run("import time; block = b'1' * (300 * 2**20); time.sleep(1)")
    assert 20 < quiet.peak_mb < 300
    assert 300 < loud.peak_mb < quiet.peak_mb + 450


def test_the_kernel_runs_in_utc_with_capped_threads_and_plain_plotly(run, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    seen = run(
        "import os\nassert os.environ['OMP_NUM_THREADS'] == '1'",
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'",
        "assert os.environ['PLOTLY_RENDERER'] == 'plotly_mimetype'",
        "import time; assert time.localtime().tm_gmtoff == 0",
        threads=1,
    )
    assert (seen.status, seen.message) == ("done", "")


def test_the_executed_notebook_names_no_path_of_the_machine(run, tmp_path):
    import nbformat

    text = nbformat.writes(run("1").notebook)
    assert str(tmp_path) not in text
