"""The policy of next moves: which audiences there are, in which order, and what holds them back.

A policy is a TOML file; `policy.toml` beside this module is used where a shop brings none. It says
what should happen and nothing about anybody: `moves.decide` applies it to customers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from cdp_lib.activate.lists import check_name
from cdp_lib.checks import Refusal, above, at_least, one_of, share

SHIPPED = Path(__file__).with_name("policy.toml")
LISTS = (
    "service_recovery", "likely_churners", "abandoned_carts", "abandoned_browses", "price_drop",
    "cross_sell", "lookalike_prospects",
)  # fmt: skip
LAYER = "next_move"  # of all its experiments: they share no customer while they are open
DISCOUNTS = ("never", "try", "measured")
STOPPED = ("hold", "send")


@dataclass(frozen=True)
class Audience:
    """One audience of a policy.

    - `name`, `title`, `why`: its name in files and in the ledger, and what it is for, in words
    - `list` or `segment`: who asks for customers: a list of the workbench (`LISTS`), or a segment
      of the shop's catalogue; the other is ""
    - `channels`: how it may leave, the first that a customer permits
    - `after`: audiences that go first; `never_for`: who is asked for by one of these gets not this
    - `discount`: "never"; "try", unless the read-out of its waves says stop; "measured", only once
      it says scale. And only for customers of the policy's `least_affinity` and more
    - `counts`: whether it is a message that the limits hold back
    - `most`: customers to ask for in a week, the most valuable first; 0: all
    - `stopped`: "hold" sends nothing once the read-out says stop; "send" goes on
    - `holdout`: share held out, None for the run's; `why_no_holdout` where that is 0
    - `window_days`, `contact_cost`, `incentive_cost`: of its experiment, see `audience.export`
    """

    name: str
    title: str = ""
    why: str = ""
    list: str = ""
    segment: str = ""
    channels: tuple[str, ...] = ("email",)
    after: tuple[str, ...] = ()
    never_for: tuple[str, ...] = ()
    discount: str = "never"
    counts: bool = True
    most: int = 0
    stopped: str = "hold"
    holdout: float | None = None
    why_no_holdout: str = ""
    window_days: float = 7.0
    contact_cost: float = 0.0
    incentive_cost: float = 0.0


@dataclass(frozen=True)
class Policy:
    """A policy, read and checked.

    audiences: in the order in which they come. most_messages: to a customer within `per_days`, 0
    for no limit. quiet_days: after a message. least_affinity: from which a discount may be given.
    ads_exclude: audiences whose people are kept away from advertisements. path: of the file.
    """

    audiences: tuple[Audience, ...]
    most_messages: int
    per_days: float
    quiet_days: float
    least_affinity: float
    ads_exclude: tuple[str, ...]
    path: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The audiences' names, first things first."""
        return tuple(one.name for one in self.audiences)

    def one(self, name: str) -> Audience:
        """The audience of that name. Raises Refusal with the nearest."""
        one_of("audience", name, self.names)
        return next(one for one in self.audiences if one.name == name)

    def cost_of(self, name: str) -> float:
        """The cost of a contact of an audience; 0 of another campaign."""
        return next((one.contact_cost for one in self.audiences if one.name == name), 0.0)


_TEXTS = ("title", "why", "list", "segment", "discount", "stopped", "why_no_holdout")
_NAMES = ("channels", "after", "never_for")
_NUMBERS = ("most", "holdout", "window_days", "contact_cost", "incentive_cost")
_KEYS = tuple(field.name for field in fields(Audience) if field.name != "name")


def read_policy(path: str | Path = "", segments: Collection[str] | None = None) -> Policy:
    """Read a policy; "" takes the one that comes with the workbench.

    segments: names of the shop's catalogue, None where they are not known yet. Raises Refusal for
    what cannot be used, an audience that is not there and an order that goes in a circle, naming
    the line of the file.
    """
    file = Path(path) if str(path) else SHIPPED
    if not file.is_file():
        raise Refusal("policy", str(path), "no such file", 'give the path of a TOML file, or ""')
    text = file.read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(file.name, str(error), "not valid TOML", "correct that line") from error
    at = _Places(file.name, text)
    for key in content:
        one_of(at(key), key, ("limits", "discount", "ads", "audience"))
    given = content.get("audience", {})
    if not isinstance(given, dict) or not given:
        raise Refusal(at("audience"), given, "the policy has no audience", "add [audience.<name>]")
    found = {name: _audience(name, one, at, segments) for name, one in given.items()}
    for one in found.values():
        for key in ("after", "never_for"):
            for other in getattr(one, key):
                one_of(at("audience", one.name, key), other, list(found))
    limits, discount = (_section(content, name, at) for name in ("limits", "discount"))
    exclude = _section(content, "ads", at).get("exclude", [])
    for name in _texts(at("ads", key="exclude"), exclude):
        one_of(at("ads", key="exclude"), name, list(found))
    return Policy(
        audiences=_in_order(found, at),
        most_messages=int(limits["most_messages"]),
        per_days=limits["per_days"],
        quiet_days=limits["quiet_days"],
        least_affinity=discount["least_affinity"],
        ads_exclude=tuple(exclude),
        path=file,
    )


class _Places:
    """Where in the file a word stands: "policy.toml line 12, audience.cross_sell.after"."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.lines = file, text.splitlines()

    def __call__(self, section: str, name: str = "", key: str = "") -> str:
        header = f"{section}.{name}" if name else section
        said = f"{header}.{key}" if key else header
        inside = False
        for number, line in enumerate(self.lines, 1):
            block = re.match(r"\s*\[+\s*([^\]#]+?)\s*\]", line)
            if block:
                inside = block[1].replace('"', "").replace(" ", "") == header
                if inside and not key:
                    return f"{self.file} line {number}, {said}"
            elif inside and re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
                return f"{self.file} line {number}, {said}"
        return f"{self.file}, {said}"


_SECTIONS = {
    "limits": {"most_messages": 0, "per_days": 7.0, "quiet_days": 0.0},
    "discount": {"least_affinity": 0.5},
    "ads": {"exclude": []},
}


def _section(content: Mapping, name: str, at: _Places) -> dict:
    known, given = _SECTIONS[name], content.get(name, {})
    if not isinstance(given, dict):
        raise Refusal(at(name), given, "not a section", f"write it as [{name}]")
    for key, value in given.items():
        one_of(at(name, key=key), key, list(known))
        if key != "exclude":
            _number(at(name, key=key), value)
            if key == "least_affinity":
                share(at(name, key=key), value)
    if "per_days" in given:
        above(at(name, key="per_days"), given["per_days"], 0)
    return known | given


def _audience(name: str, given: object, at: _Places, segments: Collection[str] | None) -> Audience:
    place = at("audience", name)
    check_name(name, place)
    if not isinstance(given, dict):
        raise Refusal(place, given, "not a section", f"write it as [audience.{name}]")

    def where(key: str) -> str:
        return at("audience", name, key)

    for key in given:
        one_of(where(key), key, _KEYS)
    for key in _TEXTS:
        if key in given and not isinstance(given[key], str):
            raise Refusal(where(key), given[key], "not a text", "put it in quotes")
    values = {key: given[key] for key in _TEXTS if key in given}
    values |= {key: _texts(where(key), given[key]) for key in _NAMES if key in given}
    values |= {key: _number(where(key), given[key]) for key in _NUMBERS if key in given}
    if "counts" in given and not isinstance(given["counts"], bool):
        raise Refusal(where("counts"), given["counts"], "not a yes or no", "write true or false")
    one = Audience(name, **values, **({"counts": given["counts"]} if "counts" in given else {}))
    if bool(one.list) == bool(one.segment):
        raise Refusal(
            place, sorted(given), "needs exactly one of list and segment",
            f"write list = with one of {', '.join(LISTS)}, or segment = with one of the catalogue",
        )  # fmt: skip
    if one.list:
        one_of(where("list"), one.list, LISTS)
    if one.segment and segments is not None:
        one_of(where("segment"), one.segment, segments)
    one_of(where("discount"), one.discount, DISCOUNTS)
    one_of(where("stopped"), one.stopped, STOPPED)
    if not one.channels:
        raise Refusal(where("channels"), [], "no way to leave", 'write channels = ["email"]')
    for channel in one.channels:
        check_name(channel, where("channels"))
    above(where("window_days"), one.window_days, 0)
    if one.holdout is not None and not 0 <= one.holdout < 1:
        raise Refusal(where("holdout"), one.holdout, "must lie in [0, 1)", "use 0.1 for a tenth")
    if one.holdout == 0 and not one.why_no_holdout.strip():
        raise Refusal(
            where("holdout"), 0, "nobody held out, so nobody will know what it earned",
            "hold out a tenth, or say why not with why_no_holdout",
        )  # fmt: skip
    return one


def _in_order(found: Mapping[str, Audience], at: _Places) -> tuple[Audience, ...]:
    """As written in the file, each moved behind those it comes `after`."""
    done: dict[str, Audience] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in path:
            circle = " after ".join([*path[path.index(name) :], name])
            raise Refusal(
                at("audience", path[-1], "after"), circle, "goes in a circle",
                "take one of these `after` out",
            )  # fmt: skip
        for other in found[name].after:
            visit(other, (*path, name))
        done[name] = found[name]

    for name in found:
        visit(name, ())
    return tuple(done.values())


def _texts(place: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Refusal(place, given, "not a list of names", 'write ["a", "b"]')
    return tuple(dict.fromkeys(given))


def _number(place: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise Refusal(place, given, "not a number", "write a plain number")
    at_least(place, given, 0)
    return given
