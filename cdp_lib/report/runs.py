"""What a weekly run executes: every notebook of a folder once, and some several times.

A file weekly.toml beside the notebooks names those that run several times, each with its own
title and parameters:

    [06_propensity.buy]
    title = "Who will buy within a week?"
    event = "purchase"
    horizon_days = 7

That run is called 06_propensity-buy; its pages and headlines carry the name. A notebook that reads
what another has written waits for it:

    [08_audiences]
    after = ["05_churn"]
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from cdp_lib.checks import Refusal, one_of

PRESETS = "weekly.toml"
AFTER = "after"
_KEY = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Run:
    """One execution of a notebook.

    - `name`: the notebook's name, or "<notebook>-<key>" where weekly.toml has several
    - `notebook`: the file
    - `preset`: the parameters that weekly.toml gives it
    - `title`: the title that weekly.toml gives it, or ""
    - `after`: the notebooks that must have run before it, where they run too
    """

    name: str
    notebook: Path
    preset: dict = field(default_factory=dict)
    title: str = ""
    after: tuple[str, ...] = ()


def find_runs(folder: str | Path) -> dict[str, Run]:
    """The runs of a folder's notebooks by name, in order; looked for here, then beside the library.

    Raises Refusal when there is no notebook, and for a weekly.toml that does not fit them.
    """
    for place in (Path(folder), Path(__file__).parents[2] / folder):
        notebooks = {path.stem: path for path in sorted(place.glob("*.ipynb"))}
        if notebooks:
            several, after = _presets(place / PRESETS, notebooks)
            each = {name: several[name] or [Run(name, path)] for name, path in notebooks.items()}
            return {
                run.name: replace(run, after=after.get(name, ()))
                for name, runs in each.items()
                for run in runs
            }
    raise Refusal("notebooks", str(folder), "no notebook there", "name a folder of .ipynb files")


def choose(runs: Mapping[str, Run], only: Iterable[str]) -> list[str]:
    """Names of the runs that `only` asks for, in texts such as "02" or "02,05".

    A unique beginning of a notebook's name is enough.
    """
    beginnings = [beginning.strip() for text in only for beginning in text.split(",")]
    asked = {name for beginning in beginnings for name in _matching("--only", beginning, runs)}
    return [name for name in runs if name in asked or not asked]


def by_run(texts: Iterable[str], runs: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """Read `notebook.name=value` texts: the parameters of each run they speak of.

    The notebook may be a unique beginning of its name; one that runs several times takes the
    value in each of its runs.
    """
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        notebook, dot, name = left.strip().rpartition(".")
        if not equals or not dot or not name:
            raise Refusal("-p", text, "cannot be read", "write -p notebook.name=value")
        for run in _matching("-p", notebook, runs, text):
            found.setdefault(run, {})[name] = value
    return found


def _matching(place: str, beginning: str, runs: Mapping[str, Run], shown: str = "") -> list[str]:
    names = [name for name in runs if name == beginning]
    names = names or [name for name in runs if name.startswith(beginning)]
    if len({runs[name].notebook for name in names}) == 1:
        return names
    near = get_close_matches(beginning, runs, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    problem = "names several notebooks" if names else "no such notebook"
    fix = f"{hint}choose one of {', '.join(runs)}"
    raise Refusal(place, shown or beginning, problem, fix)


def in_turn(runs: Mapping[str, Run], names: Iterable[str]) -> list[str]:
    """The names in the order in which they start: each later than those it waits for.

    What others wait for comes first, so that nobody stands idle for it at the end. Raises Refusal
    where some wait for each other.
    """
    names = list(names)
    awaited = {stem for name in names for stem in runs[name].after}
    waiting = sorted(names, key=lambda name: runs[name].notebook.stem not in awaited)
    ordered: list[str] = []
    while waiting:
        stems = {runs[name].notebook.stem for name in waiting}
        free = next((name for name in waiting if not stems & set(runs[name].after)), None)
        if free is None:
            raise Refusal(f"{PRESETS}: after", sorted(stems), "wait for each other", "take one out")
        ordered.append(free)
        waiting.remove(free)
    return ordered


def _presets(
    file: Path, notebooks: Mapping[str, Path]
) -> tuple[dict[str, list[Run]], dict[str, tuple[str, ...]]]:
    """By notebook: the runs that weekly.toml gives it, and the notebooks it waits for."""
    found: dict[str, list[Run]] = {name: [] for name in notebooks}
    after: dict[str, tuple[str, ...]] = {}
    if not file.is_file():
        return found, after
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(file.name, str(error), "cannot be read", "mend that line") from error
    for notebook, several in content.items():
        one_of(file.name, notebook, notebooks)
        for key, given in several.items() if isinstance(several, dict) else [("", None)]:
            place = f"{file.name}: {notebook}.{key}"
            if key == AFTER and isinstance(given, list):
                for other in given:
                    one_of(place, other, notebooks)
                after[notebook] = tuple(given)
                continue
            if not isinstance(given, dict):
                fix = f"write [{notebook}.name] above the parameters"
                raise Refusal(place, given, "is not a table", fix)
            if not _KEY.fullmatch(key):
                fix = "use small letters, digits and _"
                raise Refusal(place, key, "cannot be a part of a file's name", fix)
            preset = {name: value for name, value in given.items() if name != "title"}
            title = str(given.get("title", ""))
            found[notebook].append(Run(f"{notebook}-{key}", notebooks[notebook], preset, title))
    return found, after
