"""Parameters of a notebook: which it has, and whether a given value fits."""

import ast
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cdp_lib.checks import Refusal, one_of

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, the default the notebook gives it, and the comment beside it."""

    name: str
    default: object
    comment: str


def notebook_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares, by name.

    Raises Refusal when the notebook has no cell tagged `parameters`, or when a default is not
    a literal (papermill could then not replace it as a whole).
    """
    from papermill.inspection import inspect_notebook

    place, read = notebook.name, read_notebook(notebook)
    tagged = [cell for cell in read.cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        raise Refusal(
            "notebook",
            place,
            "has no cell tagged 'parameters'",
            "tag the first code cell 'parameters', else values given to it are overwritten",
        )
    declared = {}
    for name, found in inspect_notebook(read).items():
        try:
            default = ast.literal_eval(found["default"])
        except (ValueError, SyntaxError) as error:
            raise Refusal(
                f"{place}: {name}",
                found["default"],
                "the default is not a literal",
                "write a number, a text, True, False or a list",
            ) from error
        declared[name] = Parameter(name, default, found["help"])
    return declared


def read_notebook(path: Path):
    """A notebook file (nbformat); one that names no kernel is taken to be Python's."""
    import nbformat

    try:
        read = nbformat.read(path, as_version=4)
    except Exception as error:
        problem = f"cannot be read: {first_line(str(error))}"
        raise Refusal("notebook", path.name, problem, "save it again in JupyterLab") from error
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    read.metadata.setdefault("kernelspec", python)
    return read


def first_line(text: str) -> str:
    """The first telling line of an error's text, without colour codes."""
    lines = [line.strip() for line in without_ansi(text).splitlines() if line.strip()]
    return lines[0] if lines else "no message"


def without_ansi(text: str) -> str:
    """Text without terminal colour codes."""
    return _ANSI.sub("", text)


def fit(notebook: str, declared: dict[str, Parameter], given: dict[str, object]) -> dict:
    """The given values as the notebook will take them; text is read as the default's type.

    Raises Refusal for a name that the notebook does not declare and for a value that does not
    fit its default's type.
    """
    fitted = {}
    for name, value in given.items():
        if name not in declared:
            one_of(f"parameter of {notebook}", name, declared)
        fitted[name] = _as_type_of(declared[name].default, value, f"{notebook}.{name}")
    return fitted


def _as_type_of(default: object, value: object, place: str) -> object:
    kind = type(default)
    if isinstance(value, str) and kind is not str:
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value.strip().capitalize() if kind is bool else value)
    if kind is float and type(value) is int:
        return float(value)
    if default is None or type(value) is kind:
        return value
    raise Refusal(
        place, value, f"is not of the type {kind.__name__}", f"the default is {default!r}"
    )
