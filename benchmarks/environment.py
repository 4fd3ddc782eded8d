"""Where benchmarks run: an environment of their own, and each peer in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
PYTHON = HERE / ".venv" / "bin" / "python"
MAX_GIB = 8
MAX_SECONDS = 900


def set_up(name: str = "") -> Path:
    """Make an environment, unless it is newer than what it is made from; returns its Python.

    The one without a name holds the project as users install it. "uplift" is made of
    requirements-uplift.txt and overrides-uplift.txt, where there are any: packages that would not
    stand beside the project's own.
    """
    WORK.mkdir(exist_ok=True)
    ending = f"-{name}" if name else ""
    venv = HERE / f".venv{ending}"
    requirements, overrides = (
        HERE / f"{what}{ending}.txt" for what in ("requirements", "overrides")
    )
    constraints, project = HERE.parent / "constraints.txt", HERE.parent / "pyproject.toml"
    made_from = [requirements, *([overrides] if overrides.exists() else [])]
    asked = ["-r", requirements]
    asked += ["--override", overrides] if overrides.exists() else []
    if not name:
        made_from += [project, constraints]
        asked += ["-e", HERE.parent, "--constraint", constraints]
    python, ready = venv / "bin" / "python", venv / ".ready"
    if ready.exists() and all(ready.stat().st_mtime > file.stat().st_mtime for file in made_from):
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, venv], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, *asked], check=True)
    ready.touch()
    return python


@contextmanager
def using(name: str) -> Iterator[None]:
    """Peers run in the environment of that name, where the project is read from its folder."""
    global PYTHON
    own, path, PYTHON = PYTHON, os.environ.get("PYTHONPATH"), set_up(name)
    os.environ["PYTHONPATH"] = os.pathsep.join((str(HERE.parent), str(HERE)))
    try:
        yield
    finally:
        PYTHON = own
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


def timed(answer: Callable[[], Any]) -> tuple[Any, dict]:
    """What a peer answers, and what it cost: `seconds` and, of all its threads, `cpu` seconds."""
    begun, busy = time.perf_counter(), time.process_time()
    found = answer()
    return found, {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - busy}


def print_peers(results: dict[str, dict], base: float | None, note: Callable, told: str) -> None:
    """A row a peer: its cost, its time beside `base`, and `note(result)` under the head `told`."""
    print(f"{'peer':<22}{'seconds':>9}{'cpu s':>9}{'× base':>9}{'peak GiB':>10}  {told}")
    for peer, result in results.items():
        if "failed" in result:
            rest = f"{'-':>9}{'-':>9}{'-':>9}{result['peak_gib']:>10.2f}  {result['failed']}"
        else:
            ratio = f"{result['seconds'] / base:.2f}" if base else "-"
            rest = f"{result['seconds']:>9.2f}{result['cpu']:>9.2f}{ratio:>9}"
            rest += f"{result['peak_gib']:>10.2f}  {note(result)}"
        print(f"{peer:<22}{rest}", flush=True)


def measure(script: str, *arguments: object) -> dict:
    """Run one peer in its own process: what it prints, `peak_gib`, or why it `failed`."""
    child = subprocess.Popen(
        [PYTHON, HERE / script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=WORK,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )
    begun, peak, stopped = time.monotonic(), 0.0, None
    while child.poll() is None:
        peak = max(peak, _peak_gib(child.pid))
        if peak > MAX_GIB:
            stopped = f"over {MAX_GIB} GiB"
        elif time.monotonic() - begun > MAX_SECONDS:
            stopped = f"over {MAX_SECONDS} s"
        if stopped:
            child.kill()
            break
        time.sleep(0.05)
    out, err = child.communicate()
    if stopped or child.returncode:
        reason = stopped or (err.strip().splitlines() or ["no message"])[-1][:60]
        return {"failed": reason, "peak_gib": peak}
    return {**json.loads(out.splitlines()[-1]), "peak_gib": peak}


def _peak_gib(pid: int) -> float:
    """The process's highest resident memory so far; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 2**20 if lines else 0.0


def call(module: str, function: str, *arguments: object) -> None:
    """Run a function of a benchmark's module, with texts, in the benchmark's environment."""
    code = f"import sys; from {module} import {function}; {function}(*sys.argv[1:])"
    subprocess.run([PYTHON, "-c", code, *map(str, arguments)], check=True, cwd=HERE)


def rounds(repeat: int, peers: list[str], script: str, *arguments: object) -> dict[str, dict]:
    """The fastest of `repeat` runs of each peer; one that failed is not run again.

    In rounds, not repeats: a busy minute then slows every peer alike.
    """
    best: dict[str, dict] = {}
    for _ in range(repeat):
        for peer in peers:
            if "failed" in best.get(peer, {}):
                continue
            found = measure(script, peer, *arguments)
            if peer not in best or found.get("seconds", 0) < best[peer]["seconds"]:
                best[peer] = found
    return best
