"""Publish a week's report so that a reader sees the old one whole or the new one whole.

A report is made in `<out>/.building/…`, moved to `<out>/.published/…` and becomes visible
when the link `<out>/<week>` is replaced, which POSIX does in one step. A lock that dies with
its process keeps two runs of one week apart.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp_lib.checks import Refusal

_BUILDING, _PUBLISHED = ".building", ".published"


@contextmanager
def building(out: Path, week: str) -> Iterator[Path]:
    """An empty folder to make the week's report in; removed again unless it was published.

    Raises Refusal when another run of the same week is under way.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / f".{week}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refusal(
                "week", week, "another run of this week is under way", "wait until it ends"
            ) from error
        _sweep(out, week)
        folder = out / _BUILDING / f"{week}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def publish(out: Path, week: str, folder: Path) -> Path:
    """Make a finished folder the week's report, in one step, and remove the one before."""
    link = out / week
    if link.exists() and not link.is_symlink():
        raise Refusal(
            "week", week, f"{link} is not a link made by a weekly run", "move it out of the way"
        )
    for path in [*folder.rglob("*"), folder]:
        _sync(path)
    kept = out / _PUBLISHED / folder.name
    kept.parent.mkdir(exist_ok=True)
    os.rename(folder, kept)
    fresh = out / _BUILDING / f"{folder.name}.link"
    os.symlink(kept.relative_to(out), fresh)
    os.replace(fresh, link)
    _sync(out)
    _sweep(out, week)
    return link


def _sweep(out: Path, week: str) -> None:
    """Remove what killed runs of this week left behind; the lock is held, so none is alive."""
    link = out / week
    shown = os.path.basename(os.readlink(link)) if link.is_symlink() else None
    for place in (_BUILDING, _PUBLISHED):
        for left in (out / place).glob(f"{week}-*"):
            if left.name == shown:
                continue
            if left.is_symlink():
                left.unlink()
            else:
                shutil.rmtree(left, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
