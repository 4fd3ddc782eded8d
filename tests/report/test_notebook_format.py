"""One committed form of a notebook, and every notebook of the project is in it."""

import json
from pathlib import Path

from nbformat import v4, writes

from cdp_lib.report.notebook_format import normalise, normalised, unnormalised

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def ran() -> str:
    """A notebook as an analyst leaves it."""
    cell = v4.new_code_cell("x = 1  \nx\n", execution_count=7, metadata={"tags": ["parameters"]})
    cell.metadata["scrolled"] = True
    cell.outputs = [v4.new_output("stream", text="secret")]
    cells = [v4.new_markdown_cell("# Ünï"), cell, v4.new_code_cell("")]
    return writes(v4.new_notebook(cells=cells, metadata={"x": 1}))


def test_outputs_counts_and_stray_metadata_go_and_the_rest_stays():
    book = json.loads(normalised(ran()))
    assert [cell["id"] for cell in book["cells"]] == ["cell-01", "cell-02"]
    assert book["cells"][1] == {
        "cell_type": "code",
        "execution_count": None,
        "id": "cell-02",
        "metadata": {"tags": ["parameters"]},
        "outputs": [],
        "source": ["x = 1\n", "x"],
    }
    assert list(book["metadata"]) == ["kernelspec", "language_info"]
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert "secret" not in normalised(ran()) and "Ünï" in normalised(ran())


def test_normalising_twice_changes_nothing():
    once = normalised(ran())
    assert normalised(once) == once


def test_only_what_differs_is_written(tmp_path):
    (tmp_path / "clean.ipynb").write_text(normalised(ran()))
    (tmp_path / "dirty.ipynb").write_text(ran())
    assert [path.name for path in normalise(tmp_path)] == ["dirty.ipynb"]
    assert unnormalised(tmp_path) == []


def test_the_notebooks_of_the_project_are_in_the_committed_form():
    assert [path.name for path in unnormalised(NOTEBOOKS)] == [], "run `make format`"
