"""Frames from a shop: profiles at rolling cutoffs, joined with their labels on the engine.

Two separations hold at once. In time: the windows of train, choose and calibrate are over before
the test cutoff (`cutoffs`). In customers: each has one role for good (`roles`), so no customer's
label window overlaps a feature window of the same customer in another role.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.checks import Refusal, above, one_of
from cdp_lib.customers import profile
from cdp_lib.predict.cutoffs import Cutoffs, cutoffs
from cdp_lib.predict.frame_set import Frames, assemble, check_labels, role_table, typed
from cdp_lib.predict.outcome import Outcome, at_risk, label_table
from cdp_lib.predict.prepared import from_table
from cdp_lib.predict.roles import ROLES, bounds, hash_below, hashed
from cdp_lib.predict.span import data_span
from cdp_lib.tables import Shop
from cdp_lib.windows import instant

__all__ = ["Frames", "frame_at", "from_shop", "from_table", "profile_at_risk", "role_table"]


def from_shop(
    shop: Shop,
    outcome: Outcome,
    lookback_days: int = 365,
    cap: int = 200_000,
    seed: int = 7,
    at: Cutoffs | None = None,
) -> Frames:
    """The rows that a model of this outcome learns from and is tested on.

    lookback_days: how far features look back. cap: about the most rows to collect; above it
    customers are drawn by hash, all cutoffs of a customer together. at: cutoffs of your own
    instead of `cutoffs(shop, outcome)`. Labels come first, then the features of each cutoff. Raises
    Refusal as `cutoffs` and `label_table` do, and for labels that no model can learn from.
    """
    above("lookback_days", lookback_days, 0)
    above("cap", cap, 0)
    at = cutoffs(shop, outcome) if at is None else at
    if shop.has("events"):
        shop.keep()
    labels = [
        (role, cutoff, _of_role(label_table(shop, outcome, cutoff), role, seed).cache())
        for role, cutoff in at.all
    ]
    n_at_risk = _counted(labels)
    sums = n_at_risk.groupby("role")[["n_customers", "n_positive"]].sum()
    # Before anything large is read.
    check_labels({role: tuple(map(int, sums.loc[role])) for role in ROLES}, outcome.name)
    total = int(n_at_risk["n_customers"].sum())
    kept = min(1.0, cap / total) if total else 1.0
    raw: dict[str, list[pd.DataFrame]] = {role: [] for role in ROLES}
    for role, cutoff, mine in labels:
        raw[role].append(_collect(shop, mine, cutoff, lookback_days, seed, kept))
    features = profile.features(shop, lookback_days)
    warnings = _seen_from(shop, outcome, at, lookback_days)
    if kept < 1:
        warnings.append(f"{kept:.1%} of {total:,} rows were drawn by the hash of the customer.")
    return assemble(
        {role: pd.concat(parts, ignore_index=True) for role, parts in raw.items()},
        features,
        outcome.name,
        kinds={feature.name: feature.kind for feature in features},
        warnings=warnings,
        outcome=outcome,
        cutoffs=at,
        lookback_days=lookback_days,
        split="by cutoff, each customer in one role alone",
        seed=seed,
        n_at_risk=n_at_risk,
    )


def frame_at(
    shop: Shop,
    frames: Frames,
    cutoff: str | date | datetime,
    role: str = "test",
    cap: int = 200_000,
) -> pd.DataFrame:
    """The rows of one role's customers at another closed cutoff, as `from_shop` would have them.

    For looking at a model over time: the customers of "test" were never learned from. Out: a
    frame with the columns of `frames`.
    """
    one_of("role", role, ROLES)
    if frames.outcome is None:
        raise Refusal("frames", frames.target, "come from a table", "use frames of a shop")
    cutoff = instant(cutoff, "cutoff")
    labels = _of_role(label_table(shop, frames.outcome, cutoff), role, frames.seed).cache()
    kept = min(1.0, cap / max(1, int(labels.count().execute())))
    raw = _collect(shop, labels, cutoff, frames.lookback_days, frames.seed, kept)
    return typed(raw, frames.columns)


def profile_at_risk(
    shop: Shop, outcome: Outcome, cutoff: str | date | datetime, lookback_days: int = 365
) -> Table:
    """Everybody at risk at a cutoff with their features, to be scored: an Ibis expression."""
    cutoff = instant(cutoff, "cutoff")
    return profile.as_of(shop, cutoff, lookback_days, at_risk(shop, outcome, cutoff))


def _counted(labels: list[tuple[str, datetime, Table]]) -> pd.DataFrame:
    """How many customers of each role are at risk: role, cutoff, n_customers, n_positive."""
    rows = []
    for role, cutoff, mine in labels:
        hits = mine.label.cast("int64").sum().fill_null(0)
        n, hits = mine.aggregate(n=mine.count(), hits=hits).execute().iloc[0]
        rows.append((role, cutoff, int(n), int(hits)))
    return pd.DataFrame(rows, columns=["role", "cutoff", "n_customers", "n_positive"])


def _of_role(table: Table, role: str, seed: int) -> Table:
    low, high = bounds(role)
    text = hashed(table.customer_id, seed)
    return table.filter(text >= low, text < high)


def _collect(
    shop: Shop, labels: Table, cutoff: datetime, lookback_days: int, seed: int, kept: float
) -> pd.DataFrame:
    """The labels of a cutoff that the engine keeps, or a sample of them, with their features."""
    if kept < 1:
        few = hashed(labels.customer_id, seed, "sample") < hash_below(kept)
        labels = labels.filter(few).cache()
    rows = labels.join(profile.as_of(shop, cutoff, lookback_days, labels), "customer_id")
    found = rows.to_pandas()
    # Sorted, so that the same rows come in the same order from every engine and thread.
    return found.sort_values("customer_id", ignore_index=True).assign(cutoff=cutoff)


def _seen_from(shop: Shop, outcome: Outcome, at: Cutoffs, lookback_days: int) -> list[str]:
    """What the oldest cutoff cannot see, although a later one does."""
    start, oldest = data_span(shop, outcome.event).start, at.train[0]
    seen = (oldest - start) / timedelta(days=1)
    missed = []
    if outcome.population == "active" and seen < outcome.active_days:
        wide = (at.test - start) / timedelta(days=1)
        if min(wide, outcome.active_days) - seen >= 28:
            missed.append(f"who was active in the last {outcome.active_days} days")
    if missed:
        return [
            f"The oldest training cutoff ({oldest:%Y-%m-%d}) has {seen:.0f} days of data before "
            f"it, so it cannot see all {' or '.join(missed)}; active_days={int(seen)} or less "
            "makes the populations alike."
        ]
    return []
