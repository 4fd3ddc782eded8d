"""What a run leaves on record: how each notebook went, with which versions, on which rows."""

import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

_PACKAGES = """
cdp-workbench duckdb ibis-framework ipykernel nbconvert numpy pandas papermill plotly pyarrow
pyspark scikit-learn scipy shap statsmodels xgboost-cpu
"""


@dataclass(frozen=True)
class Outcome:
    """How one notebook went in a weekly run.

    - `name`, `title`: file name without ending; its first heading
    - `status`: "done", "not run" or "failed"; `message` says why
    - `parameters`: the values it was given
    - `seconds`, `peak_mb`: wall time, and peak resident memory of its kernel in MiB
    - `headlines`: what it found, as written to headlines.json
    """

    name: str
    title: str
    status: str
    message: str
    parameters: dict = field(default_factory=dict)
    seconds: float = 0.0
    peak_mb: float = 0.0
    headlines: tuple[dict, ...] = ()

    def to_json(self) -> dict:
        """The outcome as plain values, without its headlines."""
        fields = asdict(self)
        del fields["headlines"]
        return fields | {"seconds": round(self.seconds, 1), "peak_mb": round(self.peak_mb)}


def manifest(week: str, shop, outcomes: list[Outcome], health: dict) -> dict:
    """Everything needed to tell two runs apart; no personal data, no path of this machine.

    `health` is what `assemble.health_of` found: the rows of each table and their span.
    """
    return {
        "week": week,
        "shop": shop.name,
        "as_of": f"{shop.as_of:%Y-%m-%dT%H:%M:%SZ}",
        "currency": shop.currency,
        "engine": shop.engine,
        "git_commit": _git_commit(),
        "versions": _versions(),
        "data_span": health["span"],
        "row_counts": health["rows"],
        "notebooks": [outcome.to_json() for outcome in outcomes],
    }


def scrub(text: str) -> str:
    """Text without the paths of this machine: the working directory and the home folder go."""
    homes = [(os.getcwd(), "."), (str(Path(__file__).parents[2]), "."), (sys.prefix, "python")]
    home = os.path.expanduser("~")
    if len(home) > 1:
        homes.append((home, "~"))
    for path, short in homes:
        if len(path) > 1:
            text = text.replace(path, short)
    return text


def notebook_text(notebook, folder: Path | None = None) -> str:
    """The executed notebook as it is stored: no path of this machine in what the run added.

    `folder` is where the report was built, a name of no meaning once it is published.
    """
    import nbformat

    def plain(text: str) -> str:
        return scrub(text.replace(str(folder), ".") if folder else text)

    given = notebook.metadata.get("papermill", {}).get("parameters", {})
    for name, value in given.items():
        if isinstance(value, str):
            given[name] = plain(value)

    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = plain(cell.source)
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.evalue = scrub(output.evalue)
                output.traceback = [scrub(line) for line in output.traceback]
            elif output.output_type == "stream":
                output.text = scrub(output.text)
    return nbformat.writes(notebook)


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES.split():
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
