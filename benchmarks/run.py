"""Speed and quality beside peers, one command: `python benchmarks/run.py [--what funnel,shap]`.

Makes its own environment in benchmarks/.venv, writes what it needs to benchmarks/work, runs every
peer in a process of its own, prints tables, and removes what it wrote.
"""

import argparse
import subprocess
import sys

from environment import HERE, set_up

SCRIPTS = {
    "funnel": "funnel_peers.py",
    "profile": "profile_peers.py",
    "shap": "shap_peers.py",
    "model": "model_peers.py",
    "quality": "quality_peers.py",
    "uplift": "uplift_peers.py",
    "readout": "readout_peers.py",
    "recommend": "recommend_peers.py",
    "segments": "segment_peers.py",
    "value": "value_peers.py",
}


def main() -> int:
    """Read the arguments and run what is asked for, one after the other; 1 where any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", default=",".join(SCRIPTS), help="benchmarks to run")
    parser.add_argument("--sizes", default="1,10", help="of the funnel: millions of events")
    parser.add_argument("--repeat", type=int, help="runs per peer; the fastest counts")
    asked = parser.parse_args()
    chosen = asked.what.split(",")
    unknown = set(chosen) - set(SCRIPTS)
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; choose from {','.join(SCRIPTS)}")
    set_up()
    failed = 0
    for what in chosen:
        print(f"\n== {what}", flush=True)
        own = ["--sizes", asked.sizes] if what == "funnel" else []
        if asked.repeat and what != "quality":
            own += ["--repeat", str(asked.repeat)]
        failed |= subprocess.run([sys.executable, HERE / SCRIPTS[what], *own]).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
