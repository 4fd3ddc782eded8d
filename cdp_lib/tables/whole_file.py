"""A file that appears whole or not at all, for its owner's eyes alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[str]:
    """The name to write to instead of `path`; renamed to it when the block ends without an error.

    The folder is made where it is missing. Only the owner may read the file. After an error
    nothing is left, and an older file of that name stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes a file that only its owner may read.
    handle, written = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield written
        os.replace(written, path)
    finally:
        Path(written).unlink(missing_ok=True)
