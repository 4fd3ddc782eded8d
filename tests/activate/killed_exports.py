"""Run as a program: export an audience, die half-way, export again.

Either it is killed in its n-th step (a call that reaches the disk or the ledger), or the system
lets no file grow beyond some bytes, as a full disk would. Prints a line of JSON a try: what could
be seen after the death, and after the second export. Children are forked, so that each costs no
imports.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow.parquet  # noqa: F401  (before the first fork)

from cdp_lib.activate import audience, ledger_check
from cdp_lib.activate.ledger import Ledger
from cdp_lib.tables import open_shop

STEPS = {
    "append", "close", "connect", "digest", "execute", "flock", "flush", "fsync", "link", "locked",
    "mkdir", "open", "register", "release", "replace", "settle", "stage", "to_csv", "unlink",
    "unregister", "write", "write_table",
}  # fmt: skip


def step_counter(last: int):
    """A profiler that kills this process at its `last` step; it counts in `seen`."""
    seen = [0]

    def watch(frame, event, argument):
        if event == "c_call":
            name, caller = argument.__name__, frame
        elif event == "call":
            name, caller = frame.f_code.co_name, frame.f_back
        else:
            return
        if name in STEPS and caller is not None and "/activate/" in caller.f_code.co_filename:
            seen[0] += 1
            if seen[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    return watch


def export_in_child(folder: Path, step: int = 0, size: int | None = None) -> int:
    """Export in a forked child that dies at a step, or may write no file above a size.

    Out: the signal that killed it, 0 where it ended well, -1 where it failed.
    """
    pid = os.fork()
    if pid == 0:
        with suppress(Exception):
            shop = open_shop(folder / "shop.toml")
            customers = shop.customers.select("customer_id")
            if step:
                sys.setprofile(step_counter(step))
            if size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            audience.export(shop, customers, "carts", "email", 0.2, ("city",))
            os._exit(0)
        os._exit(1)
    status = os.waitpid(pid, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def state(folder: Path) -> dict:
    """What lies in the folder and in its ledger, read without finishing anything."""
    place = folder / "audiences" / "2026-W48"
    files = {p.name: p for p in sorted(place.iterdir())} if place.is_dir() else {}
    seen = {name: path for name, path in files.items() if not name.startswith(".")}
    own = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    ledger = Ledger(folder / "workbench.duckdb")
    rows, sent = ledger.assignments(), ledger.deliveries()
    named = []
    for name, path in seen.items():
        read = (
            duckdb.read_csv(str(path)) if name.endswith("csv") else duckdb.read_parquet(str(path))
        )
        named.append(sorted(one for (one,) in read.select("customer_id").fetchall()))
    return {
        "files": {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in seen.items()},
        "left": sorted(set(files) - set(seen)) + own,
        "named": named,
        "treated": rows.unit_id[rows.arm == "treated"].tolist(),
        "held": rows.unit_id[rows.arm == "holdout"].tolist(),
        "delivered": sent.unit_id.tolist(),
        "seals": ledger.experiments().seal.tolist(),
        "problems": ledger_check.problems(ledger).problem.tolist(),
    }


def main(template: Path, work: Path, how: str, numbers: list[int]) -> None:
    """Export with each number as the step to die at, or as the bytes that a file may have."""
    for number in numbers:
        folder = work / f"{how}{number}"
        shutil.copytree(template, folder)
        status = export_in_child(folder, **{how: number})
        dead = state(folder)
        again = export_in_child(folder)
        print(json.dumps({how: number, "status": status, "dead": dead, "again": again,
                          "whole": state(folder)}), flush=True)  # fmt: skip
        shutil.rmtree(folder)
        if how == "step" and status == 0:
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
