"""Bring the notebooks into the committed form; with --check, only say which are not."""

import sys
from pathlib import Path

from cdp_lib.report.notebook_format import normalise, unnormalised

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"

if __name__ == "__main__":
    only_check = "--check" in sys.argv[1:]
    paths = unnormalised(NOTEBOOKS) if only_check else normalise(NOTEBOOKS)
    for path in paths:
        print(f"{path.name}: {'not in the committed form' if only_check else 'normalised'}")
    sys.exit(bool(only_check and paths))
