"""The weekly run as tests start it, and what it is expected to run."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SEVERAL = {"06_propensity": ("buy", "remove_app", "use_coupon")}  # by weekly.toml
RUNS = [
    f"{path.stem}-{key}" if key else path.stem
    for path in NOTEBOOKS
    for key in SEVERAL.get(path.stem, ("",))
]


def cdp(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "cdp_lib", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
    )


def headlines(week: Path) -> dict[str, dict]:
    return {one["name"]: one for one in json.loads((week / "headlines.json").read_text())}
