"""How a run tells what it is doing: silent, as lines, or as a live table on a terminal."""

import threading
import time


class Quiet:
    """Says nothing; also the form that the others have."""

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def started(self, name: str) -> None:
        """A notebook's kernel is about to start."""

    def cell(self, name: str, done: int, total: int) -> None:
        """So many of a notebook's cells are done."""

    def ended(self, name: str, status: str, message: str, seconds: float) -> None:
        """A notebook is done, not run or failed."""


class Lines(Quiet):
    """One line per finished notebook, for logs."""

    def ended(self, name: str, status: str, message: str, seconds: float) -> None:
        print(f"{name}: {status} in {seconds:.0f} s{': ' + message if message else ''}", flush=True)


_COLOURS = {"done": "green", "failed": "bold red", "not run": "yellow", "running": "cyan"}


class LiveTable(Quiet):
    """A table on the terminal, a row per notebook: cells, seconds, status."""

    def __init__(self) -> None:
        self._rows: dict[str, dict] = {}
        self._lock = threading.Lock()
        self._live = None

    def __enter__(self):
        from rich.live import Live

        self._live = Live(get_renderable=self._table, refresh_per_second=4)
        self._live.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._live.__exit__(*error)

    def started(self, name: str) -> None:
        self._set(name, since=time.monotonic(), status="running", cells="starting")

    def cell(self, name: str, done: int, total: int) -> None:
        self._set(name, cells=f"{done}/{total} cells")

    def ended(self, name: str, status: str, message: str, seconds: float) -> None:
        self._set(name, status=status, message=message, seconds=seconds)

    def _set(self, name: str, **values) -> None:
        with self._lock:
            self._rows.setdefault(name, {}).update(values)

    def _table(self):
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        with self._lock:
            rows = [(name, dict(row)) for name, row in self._rows.items()]
        for name, row in sorted(rows):
            seconds = row.get("seconds", time.monotonic() - row["since"])
            table.add_row(
                Text(name),
                Text(row["status"], style=_COLOURS.get(row["status"], "")),
                Text(row["cells"]),
                Text(f"{seconds:.0f} s"),
                Text(row.get("message", "")),
            )
        return table
