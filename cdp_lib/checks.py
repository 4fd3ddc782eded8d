"""One form of refusal: what is wrong, where, with which value, and what to do next."""

from collections.abc import Collection
from difflib import get_close_matches


class Refusal(ValueError):
    """Input that cannot be used. The message names the place, the value and the fix.

    >>> raise Refusal("holdout", 1.5, "must lie in [0, 1)", "use 0.1 to hold out a tenth")
    Traceback (most recent call last):
    cdp_lib.checks.Refusal: holdout = 1.5: must lie in [0, 1); use 0.1 to hold out a tenth
    """

    def __init__(self, place: str, value: object, problem: str, fix: str) -> None:
        self.place, self.value, self.problem, self.fix = place, value, problem, fix
        super().__init__(f"{place} = {_shown(value)}: {problem}; {fix}")


class MissingTable(Refusal):
    """An analysis needs a table that the shop does not have."""


class TooLittleData(Refusal):
    """An analysis needs more, or other, rows than the shop has: an answer rather than a fault."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def one_of(place: str, value: object, choices: Collection[object]) -> None:
    """Refuse a value that is not among the choices, and name the nearest."""
    if value in choices:
        return
    names = [str(choice) for choice in choices]
    near = get_close_matches(str(value), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise Refusal(place, value, "not a known choice", f"{hint}choose one of {', '.join(names)}")


def at_least(place: str, value: float, bound: float) -> None:
    """Refuse a number below its bound; NaN is refused too."""
    if not value >= bound:
        raise Refusal(place, value, f"must be at least {bound}", f"pass {bound} or more")


def above(place: str, value: float, bound: float) -> None:
    """Refuse a number at or below its bound; NaN is refused too."""
    if not value > bound:
        raise Refusal(place, value, f"must be greater than {bound}", f"pass more than {bound}")


def share(place: str, value: float) -> None:
    """Refuse a number outside [0, 1]."""
    if not 0 <= value <= 1:
        raise Refusal(place, value, "must lie in [0, 1]", "give a share, such as 0.1 for a tenth")
