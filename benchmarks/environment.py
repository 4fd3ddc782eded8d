"""Where benchmarks run: an environment of their own, and each peer in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV, WORK = HERE / ".venv", HERE / "work"
PYTHON = VENV / "bin" / "python"
MAX_GIB = 8
MAX_SECONDS = 900


def set_up() -> None:
    """Make the environment, unless it is newer than what it is made from, and the work folder."""
    WORK.mkdir(exist_ok=True)
    made_from = [HERE / "requirements.txt", HERE.parent / "pyproject.toml"]
    ready = VENV / ".ready"
    if ready.exists() and all(ready.stat().st_mtime > file.stat().st_mtime for file in made_from):
        return
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", PYTHON]
    install += ["-r", HERE / "requirements.txt", "-e", HERE.parent]
    constraints = HERE.parent / "constraints.txt"
    if constraints.exists():
        install += ["--constraint", constraints]
    subprocess.run(install, check=True)
    ready.touch()


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
