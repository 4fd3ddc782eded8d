"""Frames from a table that is ready: one row per customer, with a target column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal, above, one_of
from cdp_lib.customers.features import Feature
from cdp_lib.predict.columns import kind_of, texts
from cdp_lib.predict.frame_set import KEYS, Frames, assemble
from cdp_lib.predict.roles import ROLES, SHARES, hashes, role_of

_YES = {"yes", "y", "true", "t", "1"}
_NO = {"no", "n", "false", "f", "0"}


def from_table(
    table,
    target: str,
    positive: object = None,
    id: str | None = None,
    time: str | None = None,
    features: Sequence[str] | None = None,
    seed: int = 7,
    cap: int = 200_000,
) -> Frames:
    """Frames from a prepared table, pandas or Ibis.

    target: the column to predict: yes/no, 0/1, true/false, or any two values with `positive`
    naming the one that counts. id: the column of ids (row numbers where None). time: a column
    that orders the rows: then the newest quarter is the test, and the rest splits in time too.
    Without it a row's role is drawn by the hash of its id. features: columns to use (all others
    where None). cap: most rows to keep, drawn by hash. Rows without a target are set aside.
    Raises Refusal for a target that is constant, is among the features or is copied by one, for
    unknown columns and for ids that repeat.
    """
    above("cap", cap, 0)
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    frame = frame.reset_index(drop=True)
    given = [target, *([id] if id else []), *([time] if time else []), *(features or [])]
    for name in given:
        one_of("column", name, list(frame.columns))
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise Refusal("table", list(repeated), "two columns of one name", "rename one")
    names = list(features or [c for c in frame.columns if c not in (target, id, time)])
    if target in names:
        raise Refusal("features", target, "the target is among the features", "leave it out")
    taken = [name for name in names if name in KEYS]
    if taken:
        raise Refusal("features", taken, "names kept for the frame itself", "rename the columns")
    warnings = []
    missing = frame[target].isna() | (texts(frame[target]).isna())
    if missing.any():
        warnings.append(f"{int(missing.sum()):,} rows without a target were set aside.")
        frame = frame[~missing]
    label, meaning = read_target(frame[target], target, positive)
    ids = texts(frame[id]) if id else pd.Series(frame.index, index=frame.index).astype(str)
    check_ids(ids, frame[time] if time else None, id)
    rows = frame[names].assign(
        customer_id=ids, cutoff=_instants(frame[time], time) if time else pd.NaT, label=label
    )
    if len(rows) > cap:
        order = pd.Series(hashes(ids, seed, "sample"), index=rows.index)
        rows = rows.loc[order.sort_values(kind="stable").index[:cap].sort_values()]
        warnings.append(f"{len(rows):,} of {len(frame):,} rows were drawn by the hash of their id.")
    for name in names:
        if copies_label(rows[name], rows["label"]):
            raise Refusal("features", name, "says the target in other words", "leave it out")
    role = time_roles(rows["cutoff"], time) if time else role_of(rows["customer_id"], seed)
    raw = {name: rows[role == name] for name in ROLES}
    if time and id:
        both = set(raw["test"]["customer_id"]) & set(raw["train"]["customer_id"])
        if both:
            warnings.append(f"{len(both):,} ids are in train and, later, in test.")
    return assemble(
        raw,
        [_feature(name, rows[name]) for name in names],
        meaning,
        warnings=warnings,
        outcome=None,
        cutoffs=None,
        lookback_days=None,
        split=f"by {time}, oldest rows first" if time else "by the hash of the id",
        seed=seed,
    )


def read_target(values: pd.Series, name: str, positive: object = None) -> tuple[pd.Series, str]:
    """A target column as 0/1 (int8), and what 1 means in words. Raises Refusal."""
    read = texts(values)
    seen = sorted(read.unique())
    if positive is not None:
        wanted = texts(pd.Series([positive], dtype=object)).iloc[0]
        one_of("positive", wanted, seen)
    if len(seen) > 2:
        raise Refusal(
            "target", name, f"has {len(seen)} values, such as {', '.join(seen[:3])}",
            "make it a column of two values",
        )  # fmt: skip
    if len(seen) < 2:
        raise Refusal(
            "target", name, f"is constant: every row is {', '.join(seen) or 'missing'}",
            "give rows of both kinds",
        )  # fmt: skip
    if positive is None:
        plain = [value.lower() for value in seen]
        yes = [value in _YES for value in plain]
        if sum(yes) != 1 or plain[yes.index(False)] not in _NO:
            raise Refusal(
                "positive", None, f"the target {name!r} is {seen[0]!r} or {seen[1]!r}",
                "say which of them counts: positive=…",
            )  # fmt: skip
        wanted = seen[yes.index(True)]
    return (read == wanted).astype("int8"), f"{name} = {wanted}"


def check_ids(ids: pd.Series, times: pd.Series | None, name: str | None) -> None:
    """Refuse ids that are missing or stand on two rows (at one time)."""
    if ids.isna().any():
        raise Refusal("id", name, f"{int(ids.isna().sum())} rows have none", "give every row one")
    key = pd.DataFrame({"id": ids} | ({} if times is None else {"time": times}))
    twice = key[key.duplicated(keep=False)]
    if len(twice):
        raise Refusal(
            "id", name, f"{twice['id'].nunique()} ids repeat, such as {twice['id'].iloc[0]!r}",
            "give one row an id, or name the time column that tells the rows apart",
        )  # fmt: skip


def copies_label(values: pd.Series, label: pd.Series) -> bool:
    """Whether a column has two values throughout, one for each label."""
    if values.isna().any() or values.nunique() != 2:
        return False
    return int(label.groupby(values, observed=True).nunique().max()) == 1


def time_roles(times: pd.Series, name: str) -> np.ndarray:
    """Roles by time: the oldest 55 % train, then choose, calibrate, and the newest quarter test.

    Rows of one time stay together. Raises Refusal where the times are too few to part.
    """
    if times.isna().any():
        raise Refusal("time", name, f"{int(times.isna().sum())} rows have none", "give all a time")
    ranked = times.rank(method="min", pct=False).to_numpy()
    before = (ranked - 1) / len(times)
    ends = np.cumsum([SHARES[role] for role in ROLES])[:-1]
    role = np.array(ROLES, dtype=object)[np.searchsorted(ends, before, side="right")]
    empty = [wanted for wanted in ROLES if wanted not in set(role)]
    if empty:
        raise Refusal(
            "time", name, f"{times.nunique()} times leave no row to {', '.join(empty)}",
            "leave time out for a random split",
        )  # fmt: skip
    return role


def _instants(values: pd.Series, name: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return values
    try:
        return pd.to_datetime(values, utc=True).dt.tz_localize(None)
    except (TypeError, ValueError) as error:
        raise Refusal("time", name, f"cannot be read as dates: {error}", "write 2026-11-23") from (
            error
        )


def _feature(name: str, values: pd.Series) -> Feature:
    # Each column is a reason of its own: nothing is known that would group them.
    return Feature(
        name=name, meaning=name.replace("_", " "), unit="number", source="table", group=name,
        kind=kind_of(values), dated=False,
    )  # fmt: skip
