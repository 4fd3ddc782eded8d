"""Draw a wave: who was asked for, who of them may be in it, and which arm each is in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd
from ibis.expr.types import Table

from cdp_lib.activate import eligible
from cdp_lib.activate.ledger import Experiment, Ledger
from cdp_lib.checks import Refusal, one_of
from cdp_lib.lift.assignment import GLOBAL_HOLDOUT, with_arms
from cdp_lib.tables import Shop


@dataclass(frozen=True)
class Asked:
    """A wave as it was asked for.

    experiment: its row of the ledger, without counts and files. people: a row per customer asked
    for, by customer_id, with the columns that came along. columns: those for the files.
    suppressed: ids to leave out. layer_shares: ranges of its layer, by audience.
    """

    experiment: Experiment
    people: pd.DataFrame
    columns: tuple[str, ...] = ()
    suppressed: frozenset[str] = frozenset()
    layer_shares: Mapping[str, float] = field(default_factory=dict)

    def request(self) -> str:
        """The SHA-256 of what was asked for; suppressions may grow, so they don't count."""
        said = {k: str(v) for k, v in vars(self.experiment).items() if k not in _NOT_ASKED}
        said["arms"] = dict(self.experiment.arms)
        parts = [said, self.columns, dict(self.layer_shares), self.people.customer_id.tolist()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_NOT_ASKED = ("arms", "counts", "files", "folder", "request")


@dataclass(frozen=True)
class Drawn:
    """A wave as it was drawn.

    units: unit_id, arm, stratum, a row per customer in it. treated: the rows for the files.
    counts: n_customers and each of `eligible.REASONS`.
    """

    units: pd.DataFrame
    treated: pd.DataFrame
    counts: dict[str, int]


def people_of(customers: Table | pd.DataFrame, columns: Collection[str]) -> pd.DataFrame:
    """A row per customer of a table, sorted by customer_id, with the columns that it has of these.

    Rows without a customer are left out. Raises Refusal for a table without customer_id, and
    where two rows of one customer differ in a column.
    """
    if "customer_id" not in customers.columns:
        raise Refusal(
            "customers", list(customers.columns), "has no customer_id", "name the id customer_id"
        )
    kept = ["customer_id", *[c for c in columns if c in customers.columns and c != "customer_id"]]
    if isinstance(customers, pd.DataFrame):
        rows = customers[kept]
    else:
        rows = customers.select(*kept).distinct().to_pandas()
    rows = rows[rows.customer_id.notna()].astype({"customer_id": str}).drop_duplicates()
    twice = int(rows.customer_id.duplicated().sum())
    if twice:
        raise Refusal(
            "customers", twice, "rows of customers that differ in the columns asked for",
            "give each customer one row, or ask for fewer columns",
        )  # fmt: skip
    return rows.sort_values("customer_id", ignore_index=True)


def draw(shop: Shop, ledger: Ledger, asked: Asked) -> Drawn:
    """Settle who may be in the wave, then draw the arms; nothing is written."""
    one, ids = asked.experiment, asked.people.customer_id.tolist()
    known = _known(shop, asked)
    busy = eligible.open_elsewhere(ledger, one.layer, one.assigned_at, one.window_days)
    busy |= eligible.out_of_layer(shop.name, ids, one.layer, asked.layer_shares, one.audience)
    reasons = eligible.reason_table(
        ids,
        set(known.customer_id[known.allowed]),
        asked.suppressed,
        eligible.global_members(shop.name, ids, one.global_share),
        busy,
    )
    counts = {"n_customers": len(ids)}
    counts |= {name: int((reasons.reason == name).sum()) for name in eligible.REASONS}
    people = known[reasons.reason.isna().to_numpy()]
    stratum = one.stratified_by or ""
    drawn = with_arms(people, "customer_id", one.salt, one.arms, stratum)
    strata = [None if pd.isna(v) else str(v) for v in drawn[stratum]] if stratum else None
    units = pd.DataFrame({"unit_id": drawn.customer_id.tolist(), "arm": drawn.arm.tolist()})
    units["stratum"] = pd.Series(strata, index=units.index, dtype="object")
    treated = drawn[drawn.arm != one.control].drop(columns="arm")
    return Drawn(units, _file_columns(treated, asked.columns), counts)


def treated_again(shop: Shop, asked: Asked, ids: Collection[str]) -> pd.DataFrame:
    """The rows for the files of customers who were drawn before."""
    known = _known(shop, asked)
    return _file_columns(known[known.customer_id.isin(set(ids))], asked.columns)


def check_global(shop: Shop, experiments: pd.DataFrame) -> None:
    """Refuse a global holdout other than the one that the ledger has."""
    share = shop.settings.global_holdout
    row = experiments[experiments.experiment_id == GLOBAL_HOLDOUT]
    if row.empty or not share:
        return
    before = json.loads(row.arms.iloc[0])[GLOBAL_HOLDOUT]
    same_name = row.salt.iloc[0] == f"{shop.name}:{GLOBAL_HOLDOUT}"
    if before != share or not same_name:
        raise Refusal(
            "settings.global_holdout", share,
            f"the ledger holds out {before} of the shop {row.salt.iloc[0].rpartition(':')[0]!r}, "
            "and those people have been left alone since",
            "keep that share and the shop's name, or 0 to end it",
        )  # fmt: skip


def _known(shop: Shop, asked: Asked) -> pd.DataFrame:
    """Each customer asked for, in order, with what the shop knows and every column needed."""
    one, people = asked.experiment, asked.people
    wanted = dict.fromkeys([*asked.columns, *([one.stratified_by] if one.stratified_by else [])])
    lacking = [c for c in wanted if c not in people.columns]
    if lacking:
        at_hand = shop.customers.columns if shop.has("customers") else ()
        for column in lacking:
            one_of("columns", column, [*people.columns, *at_hand])
    known = eligible.known_customers(shop, people.customer_id, one.channel, lacking)
    own = [c for c in known.columns if c == "customer_id" or c not in people.columns]
    joined = people.merge(known[own], "left", on="customer_id", validate="one_to_one")
    return joined.assign(allowed=joined.allowed.fillna(False).astype(bool))


def _file_columns(people: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    hashes = [name for name in eligible.HASHES if name in people.columns]
    order = dict.fromkeys(["customer_id", *hashes, *columns])
    return people[list(order)].sort_values("customer_id", ignore_index=True)
