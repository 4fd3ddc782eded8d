"""pyproject.toml, constraints.txt and environment.yml describe one environment."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip()
]


def pins_for(python: str) -> dict[str, Version]:
    """The exact version of each package on Linux with that Python."""
    environment = {
        "python_version": python,
        "python_full_version": python + ".9",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_system": "Linux",
    }
    chosen = {}
    for pin in PINS:
        if pin.marker is None or Marker(str(pin.marker)).evaluate(environment):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is not an exact version"
            name = canonicalize_name(pin.name)
            assert name not in chosen, f"{name} is pinned twice for Python {python}"
            chosen[name] = Version(specifier.version)
    return chosen


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_requirement_is_pinned_inside_its_range(python):
    pins = pins_for(python)
    for text in PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["spark"]:
        wanted = Requirement(text)
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier, text


def test_the_pins_that_ibis_needs_are_there():
    wanted = {
        Requirement(text).name: Requirement(text).specifier for text in PROJECT["dependencies"]
    }
    assert Version("2.0") not in wanted["duckdb"]
    assert Version("30.17") not in wanted["sqlglot"]


def test_the_users_libraries_are_required():
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert {"jupyterlab", "pandas", "scikit-learn", "shap", "plotly", "papermill"} <= names
    assert "xgboost-cpu" in names


def test_constraints_name_no_address():
    assert not re.search(r"://|--index|--find-links", (ROOT / "constraints.txt").read_text())


def test_conda_installs_the_same_project_with_the_same_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert pip == ["--constraint constraints.txt", "--editable .[test]"]
    (python,) = [item.removeprefix("python=") for item in plain if item.startswith("python=")]
    assert python in {"3.12", "3.13"}
    assert set(plain) == {f"python={python}", "pip"}, "versions belong in constraints.txt alone"


def test_the_newest_working_python_is_found(tmp_path):
    def fake(name: str, works: bool) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nexit {0 if works else 1}\n")
        path.chmod(0o755)

    def found() -> str:
        run = subprocess.run(
            ["/bin/sh", "tools/find_python.sh"],
            cwd=ROOT,
            env={"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path / "pyenv")},
            capture_output=True,
            text=True,
            check=True,
        )
        return Path(run.stdout.strip()).name

    fake("python3", works=True)
    fake("python3.12", works=True)
    fake("python3.13", works=False)  # a pyenv shim without its version
    assert found() == "python3.12"
    fake("python3.13", works=True)
    assert found() == "python3.13"
    fake("python3.13", works=False)
    fake("python3.12", works=False)
    assert found() == "python3"
