"""The house stands: imports go down, rooms on one floor don't meet, files stay short."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "cdp_lib"
FLOORS = [
    {"checks", "normal"},
    {"windows"},
    {"tables", "world"},
    {"behaviour", "customers", "lift"},
    {"predict", "activate"},
    {"report"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(LIBRARY.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room of a file of the library: its top folder, or its own name at the top."""
    parts = path.relative_to(LIBRARY).parts
    return parts[0].removesuffix(".py")


def imported(source: str) -> set[str]:
    """The rooms of the library that a source text imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {path[1] for path in parts if path[0] == "cdp_lib" and len(path) > 1}


def broken_rules(room: str, source: str) -> list[str]:
    """What a file of `room` imports that it may not."""
    return [
        f"{room} imports {other}"
        for other in sorted(imported(source) - {room, "__version__"})
        if FLOOR[other] >= FLOOR[room]
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_module_imports_only_from_floors_below(path):
    if path == LIBRARY / "__init__.py":
        assert imported(path.read_text()) == set()
        return
    assert broken_rules(room_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "source", "broken"),
    [
        ("tables", "from cdp_lib.world import simulate", ["tables imports world"]),
        ("world", "import cdp_lib.tables.contract", ["world imports tables"]),
        ("behaviour", "def f():\n    from cdp_lib import report", ["behaviour imports report"]),
        ("report", "from cdp_lib.tables import open_shop", []),
        ("report", "from cdp_lib.report.cards import card_html", []),
    ],
)
def test_the_rule_sees_what_it_forbids(room, source, broken):
    assert broken_rules(room, source) == broken


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_file_is_short_and_says_what_it_is_for(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), "say in one sentence what the file is for"


def test_no_room_is_named_for_what_is_left_over():
    words = {"util", "utils", "helper", "helpers", "manager", "misc", "common"}
    assert not [path for path in MODULES if words & set(path.stem.split("_"))]
