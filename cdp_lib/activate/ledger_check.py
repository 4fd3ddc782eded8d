"""Whether a ledger is whole: every assignment derived again, every delivery accounted for."""

from __future__ import annotations

import json

import pandas as pd

from cdp_lib.activate.audience_files import unfinished
from cdp_lib.activate.eligible import global_members
from cdp_lib.activate.ledger import Ledger, seal
from cdp_lib.lift.assignment import GLOBAL_HOLDOUT, with_arms

COLUMNS = ["experiment_id", "unit_id", "problem", "recorded", "expected"]


def problems(ledger: Ledger) -> pd.DataFrame:
    """What is wrong with a ledger; nothing is written.

    Every arm is drawn again from the salt and the shares of its experiment and held against the
    one recorded; then deliveries, the global holdout, the seals, and files that still wait for
    their names. Out: a row per finding: experiment_id, unit_id (null where it is the whole
    experiment), problem (words), recorded, expected. No row where all is well.
    """
    experiments, every, sent = ledger.experiments(), ledger.assignments(), ledger.deliveries()
    known = set(experiments.experiment_id)
    found = [
        _rows(None, frame[~frame.experiment_id.isin(known)], f"{what} of an unknown experiment")
        for what, frame in (("assignment", every), ("delivery", sent))
    ]
    units_of, sent_of = (
        dict(list(every.groupby("experiment_id"))),
        dict(list(sent.groupby("experiment_id"))),
    )
    before = ""
    for row in experiments.to_dict("records"):
        name = row["experiment_id"]
        units = units_of.get(name, every.head(0))
        delivered = sent_of.get(name, sent.head(0))
        found += _of_experiment(row, units, delivered)
        wanted = seal(before, row, units, delivered)
        if row["seal"] != wanted:
            found.append(_whole(name, "its rows, or those before it, are not those it was sealed "
                                "with", row["seal"], wanted))  # fmt: skip
        before = row["seal"]
    found += [
        _whole(name, "its files wait for their names: export once more to finish", "staged", "")
        for name in unfinished(ledger)
    ]
    rows = pd.concat([f for f in found if len(f)]) if any(len(f) for f in found) else _none()
    return rows.reset_index(drop=True)


def summary(ledger: Ledger) -> pd.DataFrame:
    """What a ledger holds, a row per experiment, and no id of anybody.

    Out: experiment_id, channel, assigned_at, closes_at, n_treated, n_holdout, n_delivered, and
    why_no_holdout.
    """
    rows = ledger.experiments()
    units, sent = ledger.assignments(), ledger.deliveries()
    held = units.merge(rows[["experiment_id", "control"]], on="experiment_id")
    held = held[held.arm == held.control].groupby("experiment_id").size()
    total = units.groupby("experiment_id").size()
    days = pd.to_timedelta(rows.window_days.astype(float), "D")

    def count(sizes: pd.Series) -> pd.Series:
        return rows.experiment_id.map(sizes).fillna(0).astype(int)

    return pd.DataFrame(
        {
            "experiment_id": rows.experiment_id,
            "channel": rows.channel,
            "assigned_at": rows.assigned_at,
            "closes_at": (rows.assigned_at + days).where(days > pd.Timedelta(0)),
            "n_treated": count(total) - count(held),
            "n_holdout": count(held),
            "n_delivered": count(sent.groupby("experiment_id").size()),
            "why_no_holdout": rows.why_no_holdout,
        }
    )


def _of_experiment(row: dict, units: pd.DataFrame, sent: pd.DataFrame) -> list[pd.DataFrame]:
    name = row["experiment_id"]
    twice = units[units.unit_id.duplicated(keep="first")]
    found = [_rows(name, twice, "assigned twice")]
    units = units.drop_duplicates("unit_id")
    shares = json.loads(row["arms"])
    again = with_arms(units, "unit_id", row["salt"], shares, "stratum" if _strata(row) else "")
    wrong = again.arm.to_numpy() != units.arm.to_numpy()
    found.append(
        _rows(name, units[wrong], "another arm than it draws", units.arm[wrong], again.arm[wrong])
    )
    arm = sent.unit_id.map(units.set_index("unit_id").arm)
    found.append(_rows(name, sent[arm.isna()], "delivered, but never assigned"))
    found.append(_rows(name, sent[arm == row["control"]], "delivered, though held out"))
    found.append(_rows(name, sent[sent.unit_id.duplicated()], "delivered twice"))
    missed = units[(units.arm != row["control"]) & ~units.unit_id.isin(sent.unit_id)]
    found.append(_rows(name, missed, "assigned to be treated, but not delivered"))
    if row["global_share"] and name != GLOBAL_HOLDOUT:
        shop_salt = row["salt"].removesuffix(f":{name}")
        inside = global_members(shop_salt, units.unit_id.tolist(), row["global_share"])
        found.append(_rows(name, units[inside], "in the audience, though in the global holdout"))
    return found


def _strata(row: dict) -> bool:
    return isinstance(row["stratified_by"], str) and bool(row["stratified_by"])


def _rows(name, rows: pd.DataFrame, problem: str, recorded=None, expected=None) -> pd.DataFrame:
    found = pd.DataFrame({"unit_id": rows.unit_id.to_numpy()})
    found.insert(0, "experiment_id", rows.experiment_id.to_numpy() if name is None else name)
    found["problem"] = problem
    found["recorded"] = None if recorded is None else recorded.to_numpy()
    found["expected"] = None if expected is None else expected.to_numpy()
    return found


def _whole(name: str, problem: str, recorded: str, expected: str) -> pd.DataFrame:
    return pd.DataFrame([[name, None, problem, recorded, expected]], columns=COLUMNS)


def _none() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
