"""Speed beside peers, one command: `python benchmarks/run.py [--sizes 1,10,100] [--only …]`.

Makes its own environment in benchmarks/.venv, writes the logs to benchmarks/work, runs every
peer at every size in a process of its own, prints one table per size, and removes the logs.
"""

import argparse
import itertools
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
BASE = ("sql_join", "sql_asof", "sql_window")


def set_up() -> None:
    """Make the benchmark's environment, unless it is newer than what it is made from."""
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


def measure(peer: str, log: Path, script: str = "funnel_peers.py") -> dict:
    """Run one peer in its own process: what it prints, `peak_gib`, or why it `failed`."""
    child = subprocess.Popen(
        [PYTHON, HERE / script, peer, log],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=WORK,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
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


def report(millions: float, results: dict[str, dict]) -> None:
    """Print one size's table: seconds, ratio to the best hand-written SQL, peak, counts."""
    done = {peer: r for peer, r in results.items() if "failed" not in r}
    base = min((done[peer]["seconds"] for peer in BASE if peer in done), default=None)
    counts = next(iter(done.values()))["entered"] if done else []
    print(f"\n{millions:g} million events; entered {counts}")
    print(f"{'peer':<16}{'seconds':>9}{'cpu s':>9}{'× best SQL':>12}{'peak GiB':>10}  counts")
    for peer, result in sorted(results.items(), key=lambda pair: pair[1].get("seconds", 1e9)):
        if "failed" in result:
            peak, why = result["peak_gib"], result["failed"]
            print(f"{peer:<16}{'-':>9}{'-':>9}{'-':>12}{peak:>10.2f}  {why}")
            continue
        ratio = f"{result['seconds'] / base:.2f}" if base else "-"
        same = "same" if result["entered"] == counts else str(result["entered"])
        print(
            f"{peer:<16}{result['seconds']:>9.2f}{result['cpu']:>9.2f}{ratio:>12}"
            f"{result['peak_gib']:>10.2f}  {same}"
        )


def main() -> None:
    """Read the arguments, measure, print."""
    sys.path.insert(0, str(HERE))
    import funnel_peers

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1,10", help="millions of events, such as 1,10,100")
    parser.add_argument("--only", default=",".join(funnel_peers.PEERS), help="peers to run")
    parser.add_argument("--repeat", type=int, default=3, help="runs per peer; the fastest counts")
    parser.add_argument("--keep", action="store_true", help="keep the logs in benchmarks/work")
    asked = parser.parse_args()
    peers = asked.only.split(",")
    unknown = set(peers) - set(funnel_peers.PEERS)
    if unknown:
        parser.error(f"unknown peer {', '.join(unknown)}; choose from {asked.only}")
    set_up()
    WORK.mkdir(exist_ok=True)
    ours = {}
    for millions in map(float, asked.sizes.split(",")):
        log = WORK / f"events_{millions:g}m.parquet"
        if not log.exists():
            code = "import sys; from pathlib import Path; from event_log import write_log; "
            code += "write_log(Path(sys.argv[1]), int(sys.argv[2]))"
            arguments = [PYTHON, "-c", code, log, str(int(millions * 10**6))]
            subprocess.run(arguments, check=True, cwd=HERE)
        results: dict[str, dict] = {}
        # Rounds, not repeats: a busy minute then slows every peer alike.
        for _ in range(asked.repeat):
            for peer in peers:
                if "failed" in results.get(peer, {}):
                    continue
                result = measure(peer, log)
                best = results.get(peer)
                faster = best is None or result.get("seconds", 0) < best["seconds"]
                results[peer] = result if faster else best
        report(millions, results)
        ours[millions] = results.get("workbench", {}).get("seconds")
        if not asked.keep:
            log.unlink()
    sizes = [size for size in sorted(ours) if ours[size]]
    for small, large in itertools.pairwise(sizes):
        growth = ours[large] / ours[small]
        print(f"\nworkbench: {growth:.1f} × the time for {large / small:g} × the events")


if __name__ == "__main__":
    main()
