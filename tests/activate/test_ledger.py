"""The ledger: rows enter once and whole, several processes at once, and a change by hand shows."""

import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner

from cdp_lib.__main__ import app
from cdp_lib.activate.ledger import Experiment, Ledger
from cdp_lib.activate.ledger_check import problems, summary
from cdp_lib.checks import Refusal
from cdp_lib.lift.assignment import arms_of

HERE = Path(__file__).parent
TENTH = {"treated": 0.9, "holdout": 0.1}


def wave(number: int = 48, **changes) -> Experiment:
    name = f"carts.2026-W{number}"
    fields = {
        "experiment_id": name, "audience": "carts", "wave": f"2026-W{number}", "channel": "email",
        "salt": f"demo:{name}", "arms": TENTH, "control": "holdout",
        "assigned_at": datetime(2026, 11, 23), "window_days": 7, "metric": "revenue",
        "layer": "carts",
    }  # fmt: skip
    return Experiment(**(fields | changes))


def units_of(one: Experiment, n: int = 60) -> pd.DataFrame:
    ids = [f"c{number:02d}" for number in range(n)]
    return pd.DataFrame({"unit_id": ids, "arm": arms_of(one.salt, ids, one.arms), "stratum": None})


def enter(ledger: Ledger, one: Experiment, n: int = 60) -> pd.DataFrame:
    units = units_of(one, n)
    ledger.append(one, units, units.unit_id[units.arm == "treated"].tolist())
    return units


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "workbench.duckdb", wait_seconds=20)


def test_before_the_first_experiment_there_is_no_file(ledger):
    assert ledger.experiments().empty and ledger.assignments().empty and ledger.deliveries().empty
    assert problems(ledger).empty and summary(ledger).empty
    assert not ledger.path.exists()


def test_what_enters_can_be_read_again(ledger):
    units = enter(ledger, wave())
    assert ledger.assignments()[["unit_id", "arm"]].equals(units[["unit_id", "arm"]])
    one = ledger.experiments().iloc[0]
    assert (one.experiment_id, one.window_days, one.place) == ("carts.2026-W48", 7.0, 0)
    assert one.arms == '{"treated": 0.9, "holdout": 0.1}'
    n_held = int((units.arm == "holdout").sum())
    assert len(ledger.deliveries()) == 60 - n_held > 0 and n_held > 0
    assert set(ledger.deliveries().delivered_at) == {pd.Timestamp("2026-11-23")}
    row = summary(ledger).iloc[0]
    assert (row.n_treated, row.n_holdout, row.n_delivered) == (60 - n_held, n_held, 60 - n_held)
    assert row.closes_at == pd.Timestamp("2026-11-30")
    assert problems(ledger).empty


def test_the_same_entries_make_the_same_seals(tmp_path):
    two = [Ledger(tmp_path / name / "workbench.duckdb") for name in "ab"]
    for one in two:
        one.path.parent.mkdir()
        enter(one, wave())
        enter(one, wave(49))
    seals = [one.experiments().seal.tolist() for one in two]
    assert seals[0] == seals[1] and len(set(seals[0])) == 2


def test_an_experiment_enters_once(ledger):
    enter(ledger, wave())
    with pytest.raises(Refusal, match="is in the ledger already"):
        enter(ledger, wave(), n=5)
    assert len(ledger.assignments()) == 60 and problems(ledger).empty


@pytest.mark.parametrize(
    ("units", "delivered", "problem"),
    [
        ({"unit_id": ["a", "a"], "arm": "treated"}, [], "units twice"),
        ({"unit_id": ["a", None], "arm": "treated"}, [], "without an id"),
        ({"unit_id": ["a", "b"], "arm": ["treated", "spare"]}, [], "not an arm"),
        ({"unit_id": ["a", "b"], "arm": ["treated", "holdout"]}, ["b"], "held out"),
        ({"unit_id": ["a", "b"], "arm": "treated"}, ["z"], "not assigned"),
        ({"unit_id": ["a", "b"], "arm": "treated"}, ["a", "a"], "named twice"),
    ],
)
def test_what_does_not_add_up_never_enters(ledger, units, delivered, problem):
    with pytest.raises(Refusal, match=problem):
        ledger.append(wave(), pd.DataFrame(units).assign(stratum=None), delivered)
    assert ledger.experiments().empty


def test_a_failure_half_way_leaves_nothing(ledger, monkeypatch):
    enter(ledger, wave())
    from cdp_lib.activate import ledger as module

    monkeypatch.setitem(module._TABLES["deliveries"], "nothing", "VARCHAR")
    with pytest.raises(duckdb.Error):
        enter(ledger, wave(49))
    monkeypatch.undo()
    assert len(ledger.experiments()) == 1 and len(ledger.assignments()) == 60
    assert problems(ledger).empty


CHANGES = {
    "UPDATE assignments SET arm = 'treated' WHERE arm = 'holdout'": "another arm than it draws",
    "DELETE FROM deliveries WHERE unit_id = (SELECT min(unit_id) FROM deliveries)":
        "assigned to be treated, but not delivered",
    "INSERT INTO deliveries SELECT experiment_id, unit_id, 'email', assigned_at FROM assignments "
    "WHERE arm = 'holdout' LIMIT 1": "delivered, though held out",
    "INSERT INTO deliveries SELECT experiment_id, 'zz', channel, delivered_at FROM deliveries "
    "LIMIT 1": "delivered, but never assigned",
    "INSERT INTO deliveries SELECT * FROM deliveries LIMIT 1": "delivered twice",
    "INSERT INTO assignments SELECT * FROM assignments LIMIT 1": "assigned twice",
    "DELETE FROM experiments": "assignment of an unknown experiment",
    "UPDATE experiments SET global_share = 0.5": "in the audience, though in the global holdout",
    "UPDATE experiments SET contact_cost = 9": "its rows, or those before it",
    "UPDATE experiments SET why_no_holdout = 'x'": "its rows, or those before it",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_hand_shows(ledger, change):
    enter(ledger, wave())
    with duckdb.connect(str(ledger.path)) as con:
        con.execute(change)
    found = problems(ledger)
    assert found.problem.str.startswith(CHANGES[change]).any()
    if "UPDATE assignments" in change:
        wrong = found[found.problem == CHANGES[change]]
        drawn = units_of(wave())
        assert wrong.unit_id.tolist() == drawn.unit_id[drawn.arm == "holdout"].tolist()
        assert set(wrong.recorded) == {"treated"} and set(wrong.expected) == {"holdout"}


def test_an_experiment_taken_out_shows_in_the_next_one(ledger):
    enter(ledger, wave())
    enter(ledger, wave(49))
    with duckdb.connect(str(ledger.path)) as con:
        for name in ("experiments", "assignments", "deliveries"):
            con.execute(f"DELETE FROM {name} WHERE experiment_id = 'carts.2026-W48'")
    found = problems(ledger)
    assert found.experiment_id.tolist() == ["carts.2026-W49"]
    assert found.problem.str.startswith("its rows, or those before it").all()


def test_the_command_says_how_many_and_names_nobody_unless_asked(ledger, tmp_path, monkeypatch):
    (tmp_path / "shop.toml").write_text('[tables.events]\npath = "events.parquet"\n')
    monkeypatch.setenv("COLUMNS", "200")
    call = ["ledger", "verify", "--shop", str(tmp_path / "shop.toml")]
    assert CliRunner().invoke(app, ["ledger", "show", *call[2:]]).output == (
        "Nothing has been sent.\n"
    )
    units = enter(ledger, wave())
    one = units.unit_id[units.arm == "treated"].iloc[0]
    well = CliRunner().invoke(app, call)
    assert (well.exit_code, well.output) == (
        0, "1 experiment, 60 assignments derived again: all as recorded.\n",
    )  # fmt: skip
    shown = CliRunner().invoke(app, ["ledger", "show", *call[2:]]).output
    assert "carts.2026-W48" in shown and one not in shown
    with duckdb.connect(str(ledger.path)) as con:
        con.execute(f"UPDATE assignments SET arm = 'holdout' WHERE unit_id = '{one}'")
    broken, named = CliRunner().invoke(app, call), CliRunner().invoke(app, [*call, "--ids"])
    assert broken.exit_code == named.exit_code == 1
    assert "another arm than it draws" in broken.output and one not in broken.output
    assert one in named.output


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_ledger as t
ledger = t.Ledger(Path(sys.argv[1]), wait_seconds=60)
for number in range(4):
    t.enter(ledger, t.wave(int(sys.argv[2]) * 10 + number), n=200)
"""


@pytest.mark.slow
def test_several_processes_at_once_lose_nothing(ledger):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(ledger.path), str(number), str(HERE)], cwd=HERE
        )
        for number in range(1, 4)
    ]
    seen = []
    while any(one.poll() is None for one in writers):
        # A reader in between sees whole experiments alone.
        sizes = ledger.assignments().groupby("experiment_id").size()
        seen.append(len(sizes))
        assert set(sizes) <= {200}
        time.sleep(0.05)
    assert [one.returncode for one in writers] == [0, 0, 0]
    assert len(ledger.experiments()) == 12 and sorted(seen) == seen
    assert ledger.experiments().place.tolist() == list(range(12))
    assert problems(ledger).empty


HOLDER = """
import duckdb, sys, time
con = duckdb.connect(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


def test_a_file_held_by_another_process_is_waited_for_then_named(ledger):
    enter(ledger, wave())
    command = [sys.executable, "-c", HOLDER, str(ledger.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "open\n"
            for attempt in (lambda one: one.experiments(), lambda one: enter(one, wave(49))):
                with pytest.raises(Refusal, match=r"in use by another process for 0\.2 s"):
                    attempt(Ledger(ledger.path, wait_seconds=0.2))
            threading.Timer(0.3, holder.kill).start()
            assert len(ledger.experiments()) == 1, "waits until the other one ends"
        finally:
            holder.kill()


def test_one_at_a_time_has_the_lock(ledger):
    other = Ledger(ledger.path, wait_seconds=0.1)
    refused = pytest.raises(Refusal, match="in use by another process")
    with ledger.locked(), refused, other.locked():
        pass
    with ledger.locked():
        pass


@pytest.mark.parametrize("content", [b"", b"not a database", b"x" * 20_000])
def test_a_file_that_is_no_ledger_is_refused(ledger, content):
    ledger.path.write_bytes(content)
    with pytest.raises(Refusal, match="restore it from a copy"):
        ledger.experiments()
    with pytest.raises(Refusal, match="restore it from a copy"):
        enter(ledger, wave())


def test_a_database_of_something_else_is_refused(ledger):
    duckdb.connect(str(ledger.path)).execute("CREATE TABLE other (x INTEGER)").close()
    with pytest.raises(Refusal, match="restore it from a copy"):
        ledger.experiments()
