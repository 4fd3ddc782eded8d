"""Parameters: what a notebook declares, and what is refused before anything runs."""

import re

import pytest

from cdp_lib.checks import Refusal
from cdp_lib.report.parameters import fit, notebook_parameters

DECLARED = """shop: str = "shop.toml"  # the shop
idle_hours: float = 24.0  # hours
n_rows: int = 10
known: bool = False
steps: list = ["view_item", "purchase"]"""


@pytest.fixture
def declared(write_notebook, tmp_path):
    return notebook_parameters(write_notebook(tmp_path, "01_a", "A", parameters=DECLARED))


def test_a_notebook_tells_its_parameters(declared):
    assert {name: one.default for name, one in declared.items()} == {
        "shop": "shop.toml",
        "idle_hours": 24.0,
        "n_rows": 10,
        "known": False,
        "steps": ["view_item", "purchase"],
    }
    assert declared["idle_hours"].comment == "hours"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("shop", "7", "7"),
        ("idle_hours", "48", 48.0),
        ("idle_hours", "1.5", 1.5),
        ("n_rows", "25", 25),
        ("known", "true", True),
        ("known", "False", False),
        ("steps", "['a', 'b']", ["a", "b"]),
    ],
)
def test_text_is_read_as_the_type_of_the_default(declared, name, text, value):
    fitted = fit("01_a", declared, {name: text})[name]
    assert fitted == value and type(fitted) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("idle_hour", "48", "did you mean 'idle_hours'"),
        ("idle_hours", "soon", "not of the type float; the default is 24.0"),
        ("n_rows", "2.5", "not of the type int"),
        ("n_rows", "True", "not of the type int"),
        ("known", "1", "not of the type bool"),
        ("steps", "__import__('os').system('true')", "not of the type list"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(declared, name, text, said):
    with pytest.raises(Refusal, match=re.escape(said)):
        fit("01_a", declared, {name: text})


def test_a_notebook_without_a_tagged_cell_is_refused(write_notebook, tmp_path):
    path = write_notebook(tmp_path, "01_a", "A", "x = 1", parameters=None)
    with pytest.raises(Refusal, match="no cell tagged 'parameters'"):
        notebook_parameters(path)


def test_a_default_that_is_computed_is_refused(write_notebook, tmp_path):
    path = write_notebook(tmp_path, "01_a", "A", parameters="x = 1\ny = x + 1")
    with pytest.raises(Refusal, match="not a literal"):
        notebook_parameters(path)


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    (tmp_path / "01_a.ipynb").write_text("{")
    with pytest.raises(Refusal, match="cannot be read"):
        notebook_parameters(tmp_path / "01_a.ipynb")
