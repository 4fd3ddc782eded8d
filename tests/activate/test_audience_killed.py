"""An export that is killed, or meets a full disk, at any moment: all of it happened, or nothing."""

import json
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest
from small_shop import people, write_shop

from cdp_lib.activate.ledger import Ledger

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "killed_exports.py"
EVERY_STEP = list(range(1, 500))
SOME_STEPS = [8, 45, 62]  # while the ledger is made, before the entry, between the two files


def tries(tmp_path: Path, how: str, numbers: list[int]) -> list[dict]:
    write_shop(tmp_path / "shop", people(300), "global_holdout = 0.1")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", PROGRAM, tmp_path / "shop", tmp_path, how,
         json.dumps(numbers)],
        capture_output=True, text=True, timeout=900, cwd=ROOT,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def check_all_or_nothing(done: list[dict]) -> None:
    whole = done[-1]["whole"]
    assert len(whole["treated"]) > 150 and len(whole["held"]) > 20
    assert sorted(whole["files"]) == ["carts.csv", "carts.parquet"]
    for one in done:
        dead = one["dead"]
        # Nothing is seen half-written, and what is seen is what the ledger says was delivered.
        for name, digest in dead["files"].items():
            assert digest == whole["files"][name]
        for named in dead["named"]:
            assert named == dead["delivered"] == dead["treated"]
            assert not set(named) & set(dead["held"])
        # The ledger has the whole wave or nothing of it; what it has, the files finish.
        assert dead["delivered"] in ([], whole["delivered"])
        assert dead["treated"] == dead["delivered"]
        assert all(problem.startswith("its files wait") for problem in dead["problems"])
        if dead["delivered"]:
            assert {f".{name}.staged" for name in whole["files"]} - set(dead["left"]) <= {
                f".{name}.staged" for name in dead["files"]
            }
        # The next export ends it: the same files, the same ledger, nothing left about.
        assert one["again"] == 0 and one["whole"] == whole
        assert whole["problems"] == [] and whole["left"] == []
        assert whole["named"] == [whole["treated"]] * 2 and whole["delivered"] == whole["treated"]


@pytest.mark.slow
def test_a_kill_leaves_all_or_nothing(tmp_path):
    done = tries(tmp_path, "step", SOME_STEPS)
    assert [one["status"] for one in done] == [SIGKILL] * 3
    assert {len(one["dead"]["delivered"]) > 0 for one in done} == {True, False}
    check_all_or_nothing(done)


@pytest.mark.proof
def test_a_kill_at_every_step_leaves_all_or_nothing(tmp_path):
    done = tries(tmp_path, "step", EVERY_STEP)
    assert [one["status"] for one in done] == [SIGKILL] * (len(done) - 1) + [0]
    assert len(done) > 60
    check_all_or_nothing(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ledger", "sizes"),
    # Not the CSV of 16.2 kB; the files, but not the entry; the files, but not an empty ledger.
    [(True, [2_000, 18_000]), (False, [50_000])],
)
def test_a_full_disk_leaves_nothing(tmp_path, ledger, sizes):
    if ledger:
        (tmp_path / "shop").mkdir()
        Ledger(tmp_path / "shop" / "workbench.duckdb")._make()
    done = tries(tmp_path, "size", sizes)
    for one in done:
        assert one["status"] == -1 and not one["dead"]["left"]
        assert not one["dead"]["files"] and not one["dead"]["delivered"]
    check_all_or_nothing(done)
