"""The ledger: what was sent to whom, and who was held out; rows are added, never changed.

A DuckDB file beside shop.toml with three tables, a row each per experiment, unit and delivery. An
experiment is one wave of an audience. It enters in one transaction with all its units and
deliveries, or not at all; reading takes no lock for longer than a query. Each experiment carries
a seal: the SHA-256 of its rows and of the seal before it, so that a row changed by hand, taken
out or put in later shows (`ledger_check.problems`). Every instant is the shop's `as_of`, never
the clock, so the same exports make the same ledger.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.tables import Shop
from cdp_lib.tables.config import ShopFile

FILE = "workbench.duckdb"
_TABLES = {
    "experiments": {
        "experiment_id": "VARCHAR PRIMARY KEY",
        "audience": "VARCHAR",
        "wave": "VARCHAR",
        "channel": "VARCHAR",
        "salt": "VARCHAR",
        "arms": "VARCHAR",
        "control": "VARCHAR",
        "assigned_at": "TIMESTAMP",
        "window_days": "DOUBLE",
        "metric": "VARCHAR",
        "layer": "VARCHAR",
        "stratified_by": "VARCHAR",
        "contact_cost": "DOUBLE",
        "incentive_cost": "DOUBLE",
        "why_no_holdout": "VARCHAR",
        "global_share": "DOUBLE",
        "counts": "VARCHAR",
        "request": "VARCHAR",
        "folder": "VARCHAR",
        "files": "VARCHAR",
        "place": "BIGINT",
        "seal": "VARCHAR",
    },
    "assignments": {
        "experiment_id": "VARCHAR",
        "unit_id": "VARCHAR",
        "arm": "VARCHAR",
        "assigned_at": "TIMESTAMP",
        "stratum": "VARCHAR",
    },
    "deliveries": {
        "experiment_id": "VARCHAR",
        "unit_id": "VARCHAR",
        "channel": "VARCHAR",
        "delivered_at": "TIMESTAMP",
    },
}
_ORDER = {
    "experiments": "place",
    "assignments": "experiment_id, unit_id",
    "deliveries": "experiment_id, unit_id",
}


@dataclass(frozen=True)
class Experiment:
    """A row of `experiments`: one wave of an audience, or the global holdout of the shop.

    - `experiment_id`: "<audience>.<wave>"; the global holdout is "global_holdout"
    - `audience`, `wave`, `channel`: its name, the ISO week it leaves in, where it goes
    - `salt`, `arms`: what it is drawn by; arms maps each arm to its share (JSON in the table)
    - `control`: the arm that is left alone; None where nobody is held out
    - `assigned_at`: the shop's as_of; the outcome counts in [assigned_at, + window_days)
    - `metric`: what it is meant to move
    - `layer`: experiments of one layer, while open, share no unit
    - `stratified_by`: the column whose values are strata; None where each unit draws alone
    - `contact_cost`, `incentive_cost`: money per delivery, and per incentive used
    - `why_no_holdout`: the reason given where nobody is held out
    - `global_share`: share of the global holdout, whom it left out
    - `counts`: how many customers were asked for, and how many left out for what (JSON)
    - `request`: SHA-256 of what was asked for, which tells a repeat
    - `folder`, `files`: where the files lie, from the shop's folder, and their SHA-256 (JSON)
    """

    experiment_id: str
    audience: str
    wave: str
    channel: str
    salt: str
    arms: Mapping[str, float]
    control: str | None
    assigned_at: datetime
    window_days: float
    metric: str
    layer: str
    stratified_by: str | None = None
    contact_cost: float = 0.0
    incentive_cost: float = 0.0
    why_no_holdout: str | None = None
    global_share: float = 0.0
    counts: Mapping[str, int] | None = None
    request: str = ""
    folder: str = ""
    files: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Ledger:
    """The ledger in a file; nothing is made before the first experiment enters.

    path: the DuckDB file. wait_seconds: how long to wait for another process that holds it.
    """

    path: Path
    wait_seconds: float = 30.0

    def experiments(self) -> pd.DataFrame:
        """A row per experiment in the order they entered: the fields of `Experiment` (arms, counts
        and files as JSON), `place` (0, 1 …) and `seal`."""
        return self._read("experiments")

    def assignments(self, experiment_id: str | None = None) -> pd.DataFrame:
        """A row per experiment and unit: experiment_id, unit_id, arm, assigned_at, stratum.

        The global holdout has no rows here: it is told from its salt, by `assignment.drawn`.
        """
        return self._read("assignments", experiment_id)

    def deliveries(self, experiment_id: str | None = None) -> pd.DataFrame:
        """A row per unit that a wave went out to: experiment_id, unit_id, channel, delivered_at."""
        return self._read("deliveries", experiment_id)

    def append(self, experiment: Experiment, units: pd.DataFrame, delivered: list[str]) -> None:
        """Add an experiment with all its units and deliveries, in one transaction.

        units: unit_id, arm, stratum (or None). delivered: the ids it went out to. Raises Refusal
        where the experiment, or a unit twice, would enter, and for a delivery to nobody's arm or
        to a held-out unit; then nothing is written.
        """
        _check(experiment, units, delivered)
        row = _row(experiment)
        assigned = units[["unit_id", "arm", "stratum"]].sort_values("unit_id", ignore_index=True)
        assigned.insert(0, "experiment_id", experiment.experiment_id)
        assigned.insert(3, "assigned_at", pd.Timestamp(experiment.assigned_at))
        sent = pd.DataFrame({"unit_id": sorted(delivered)}, dtype="string")
        sent.insert(0, "experiment_id", experiment.experiment_id)
        sent["channel"] = experiment.channel
        sent["delivered_at"] = pd.Timestamp(experiment.assigned_at)
        self._make()
        with self._open(read_only=False) as con:
            con.execute("BEGIN")
            last = con.execute("SELECT place, seal FROM experiments ORDER BY place DESC").fetchone()
            row["place"], before = (0, "") if last is None else (last[0] + 1, last[1])
            row["seal"] = seal(before, row, assigned, sent)
            marks = ", ".join("?" * len(row))
            try:
                con.execute(f"INSERT INTO experiments VALUES ({marks})", list(row.values()))
            except duckdb.ConstraintException as error:
                raise Refusal(
                    "experiment_id", experiment.experiment_id, "is in the ledger already",
                    "an experiment enters once; give the audience another name",
                ) from error  # fmt: skip
            for name, frame in (("assignments", assigned), ("deliveries", sent)):
                con.register("rows", frame)
                con.execute(f"INSERT INTO {name} SELECT {', '.join(_TABLES[name])} FROM rows")
                con.unregister("rows")
            con.execute("COMMIT")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the ledger and the files that belong to it; ends with its process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        limit = time.monotonic() + self.wait_seconds
        with self.path.with_suffix(".lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    self._wait(limit, error)
            yield

    def _read(self, name: str, experiment_id: str | None = None) -> pd.DataFrame:
        columns = list(_TABLES[name])
        if not self.path.exists():
            kinds = [kind.split()[0] for kind in _TABLES[name].values()]
            kinds = ["datetime64[us]" if k == "TIMESTAMP" else "object" for k in kinds]
            return pd.DataFrame(columns=columns).astype(dict(zip(columns, kinds, strict=True)))
        where = "" if experiment_id is None else "WHERE experiment_id = ?"
        query = f"SELECT {', '.join(columns)} FROM {name} {where} ORDER BY {_ORDER[name]}"
        with self._open(read_only=True) as con:
            return con.execute(query, [] if experiment_id is None else [experiment_id]).df()

    def _make(self) -> None:
        """An empty ledger under another name first: a killed process leaves no half-made one."""
        if self.path.exists():
            return
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(fresh)) as con:
                for name, columns in _TABLES.items():
                    spec = ", ".join(f"{column} {kind}" for column, kind in columns.items())
                    con.execute(f"CREATE TABLE {name} ({spec})")
                con.execute("CHECKPOINT")  # into the file itself; closing would hide a full disk
            with suppress(FileExistsError):  # another process was first
                os.link(fresh, self.path)
        finally:
            fresh.unlink(missing_ok=True)
            fresh.with_name(fresh.name + ".wal").unlink(missing_ok=True)

    @contextmanager
    def _open(self, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        limit = time.monotonic() + self.wait_seconds
        while True:
            try:
                con = duckdb.connect(str(self.path), read_only=read_only)
                break
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                if "lock" not in str(error) and "different configuration" not in str(error):
                    raise self._no_ledger(error) from error
                self._wait(limit, error)
        try:
            yield con
        except duckdb.CatalogException as error:
            raise self._no_ledger(error) from error
        finally:
            con.close()

    def _no_ledger(self, error: Exception) -> Refusal:
        problem = str(error).splitlines()[0]
        fix = "restore it from a copy, or move it away to begin a new one"
        return Refusal("ledger", self.path.name, problem, fix)

    def _wait(self, limit: float, error: Exception) -> None:
        if time.monotonic() > limit:
            raise Refusal(
                "ledger", self.path.name, f"in use by another process for {self.wait_seconds:g} s",
                "close what has it open (a notebook, the DuckDB shell), then run again",
            ) from error  # fmt: skip
        time.sleep(0.02)


def ledger_of(shop: Shop | ShopFile) -> Ledger:
    """The ledger of a shop: workbench.duckdb beside its shop.toml."""
    return Ledger(shop.path.parent / FILE)


def seal(before: str, row: Mapping, assigned: pd.DataFrame, sent: pd.DataFrame) -> str:
    """The seal of an experiment: its row, its units and deliveries in order, and the seal before.

    row: the columns of `experiments`, without the seal; assigned: unit_id, arm, stratum; sent:
    unit_id, channel.
    """
    said = {key: str(value) for key, value in row.items() if key != "seal" and pd.notna(value)}
    digest = hashlib.sha256(json.dumps([before, said], sort_keys=True).encode())
    for frame in (assigned[["unit_id", "arm", "stratum"]], sent[["unit_id", "channel"]]):
        values = frame.astype(object).where(frame.notna(), None).values.tolist()
        digest.update(json.dumps(values).encode())
    return digest.hexdigest()


def _row(experiment: Experiment) -> dict:
    row = dict(vars(experiment))
    for name in ("arms", "counts", "files"):
        # The order of the arms is the order of their ranges.
        row[name] = json.dumps(dict(row[name] or {}))
    for name in ("window_days", "contact_cost", "incentive_cost", "global_share"):
        row[name] = float(row[name])
    return {name: row.get(name) for name in _TABLES["experiments"]}


def _check(experiment: Experiment, units: pd.DataFrame, delivered: list[str]) -> None:
    place = f"ledger.{experiment.experiment_id}"
    if units.unit_id.isna().any() or units.unit_id.duplicated().any():
        n = int(units.unit_id.duplicated().sum())
        raise Refusal(place, n, "units twice, or without an id", "give each unit one row")
    strange = sorted(set(units.arm) - set(experiment.arms))
    if strange:
        raise Refusal(place, strange, "not an arm", f"use {', '.join(experiment.arms)}")
    reachable = set(units.unit_id[units.arm != experiment.control])
    lost = len(set(delivered) - reachable)
    if lost or len(set(delivered)) != len(delivered):
        raise Refusal(
            place, lost, "deliveries to units not assigned, held out or named twice",
            "deliver to the treated units alone, once",
        )  # fmt: skip
