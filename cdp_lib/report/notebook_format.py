"""Notebooks as they are committed: no outputs, no counts, no stray metadata, numbered cells."""

import json
from pathlib import Path

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def normalised(text: str) -> str:
    """A notebook's JSON text in the one committed form; applying it twice changes nothing.

    Outputs, execution counts and metadata go (cell tags stay), cells are numbered in order, and
    blank cells at the end are dropped.
    """
    import nbformat

    notebook = nbformat.reads(text, as_version=4)
    while notebook.cells and not notebook.cells[-1].source.strip():
        notebook.cells.pop()
    cells = []
    for number, cell in enumerate(notebook.cells, start=1):
        tags = cell.metadata.get("tags", [])
        kept = {
            "cell_type": cell.cell_type,
            "id": f"cell-{number:02d}",
            "metadata": {"tags": list(tags)} if tags else {},
            "source": _lines(cell.source),
        }
        if cell.cell_type == "code":
            kept |= {"execution_count": None, "outputs": []}
        cells.append(dict(sorted(kept.items())))
    content = {
        "cells": cells,
        "metadata": {"kernelspec": _KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def unnormalised(folder: Path) -> list[Path]:
    """The notebooks below a folder that are not in the committed form."""
    found = sorted(
        path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
    )
    return [path for path in found if normalised(_read(path)) != _read(path)]


def normalise(folder: Path) -> list[Path]:
    """Bring the notebooks below a folder into the committed form; returns those it changed."""
    changed = unnormalised(folder)
    for path in changed:
        path.write_text(normalised(_read(path)), encoding="utf-8", newline="\n")
    return changed


def _lines(source: str) -> list[str]:
    return "\n".join(line.rstrip() for line in source.strip("\n").split("\n")).splitlines(
        keepends=True
    )


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as handle:
        return handle.read()
