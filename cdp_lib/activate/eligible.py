"""Who of those asked for may be in an audience, and why the others may not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import pandas as pd

from cdp_lib.activate.contacts import usable_hash
from cdp_lib.activate.ledger import Ledger
from cdp_lib.checks import Refusal, TooLittleData
from cdp_lib.lift.assignment import (
    GLOBAL_HOLDOUT,
    arms_of,
    global_salt,
    global_shares,
    in_layer,
)
from cdp_lib.tables import Shop

# Channels that need no consent, and why.
WITHOUT_CONSENT = {
    "in_app": "shown in the shop's own app to who opens it",
    "on_site": "shown on the shop's own pages to who comes",
    "direct_mail": "a letter may be sent until someone objects: give those as `suppressed`",
    "service_call": "answers the customer's own trouble and sells nothing",
}
HASHES = ("email_sha256", "phone_sha256")
REASONS = ("n_no_consent", "n_suppressed", "n_global", "n_elsewhere")


def known_customers(
    shop: Shop, ids: Collection[str], channel: str, columns: Collection[str] = ()
) -> pd.DataFrame:
    """What the shop knows of these customers, as of its as_of.

    Out: a row per customer that it knows: customer_id, `allowed` (bool: may be written to on the
    channel), email_sha256 and phone_sha256 (those that the shop has; null where it is no hash)
    and the `columns` that its customers have. Raises MissingTable or TooLittleData where consent
    for the channel cannot be told: it needs a column "<channel>_opt_in" among the customers.
    """
    free = channel in WITHOUT_CONSENT
    if not shop.has("customers"):
        if not free:
            shop.require("customers")
        return pd.DataFrame({"customer_id": sorted(ids), "allowed": True})
    customers, given = shop.customers, shop.given("customers")
    consent = f"{channel}_opt_in"
    extra = set(customers.columns) - {c.name for c in shop.mapped("customers").contract.columns}
    if not free and consent not in given | extra:
        able = sorted(c.removesuffix("_opt_in") for c in given | extra if c.endswith("_opt_in"))
        raise TooLittleData(
            "channel", channel, f"the customers have no column {consent!r}, so consent is unknown",
            f"map it in shop.toml, or choose one of {', '.join([*able, *WITHOUT_CONSENT])}",
        )  # fmt: skip
    hashes = [name for name in HASHES if name in given]
    wanted = list(dict.fromkeys([*hashes, *columns]))
    allowed = ibis.literal(True) if free else customers[consent].cast("boolean").fill_null(False)
    asked = ibis.memtable(pd.DataFrame({"customer_id": sorted(ids)}, dtype="string"))
    found = customers.semi_join(asked, "customer_id")
    found = found.select("customer_id", *wanted, allowed=allowed).to_pandas()
    for name in hashes:
        found[name] = pd.Series([usable_hash(v) for v in found[name]], found.index, dtype="object")
    return found.astype({"allowed": bool})


def global_members(shop_salt: str, ids: list[str], share: float) -> list[bool]:
    """Which of these units the shop's global holdout leaves alone."""
    if not share:
        return [False] * len(ids)
    drawn = arms_of(global_salt(shop_salt), ids, global_shares(share))
    return [arm == GLOBAL_HOLDOUT for arm in drawn]


def reason_table(
    ids: list[str],
    allowed: Collection[str],
    suppressed: Collection[str],
    in_global: list[bool],
    elsewhere: Collection[str],
) -> pd.DataFrame:
    """The first reason, in the order of REASONS, why each unit may not be in the audience.

    Out: a row per unit: customer_id, reason (null where it may).
    """
    checks = zip(
        (unit not in allowed for unit in ids),
        (unit in suppressed for unit in ids),
        in_global,
        (unit in elsewhere for unit in ids),
        strict=True,
    )
    first = [next((r for r, no in zip(REASONS, row, strict=True) if no), None) for row in checks]
    return pd.DataFrame({"customer_id": ids, "reason": pd.Series(first, dtype="object")})


def open_elsewhere(
    ledger: Ledger,
    layer: str,
    starts_at: datetime,
    window_days: float,
) -> set[str]:
    """The units of the experiments of a layer whose outcome window meets the new one."""
    experiments = ledger.experiments()
    start, end = pd.Timestamp(starts_at), pd.Timestamp(starts_at + timedelta(days=window_days))
    ends = experiments.assigned_at + pd.to_timedelta(experiments.window_days.astype(float), "D")
    meets = (experiments.layer == layer) & (experiments.assigned_at < end) & (ends > start)
    return {
        u for name in experiments.experiment_id[meets] for u in ledger.assignments(name).unit_id
    }


def out_of_layer(
    shop_salt: str, ids: list[str], layer: str, shares: Mapping[str, float], name: str
) -> set[str]:
    """The units that a layer's ranges give to other experiments, or to none."""
    if not shares:
        return set()
    inside = in_layer(ids, shop_salt, layer, shares, name)
    return {unit for unit, mine in zip(ids, inside, strict=True) if not mine}


def suppressed_ids(suppressed: object) -> set[str]:
    """Ids that no audience may have: a list of them, or a file with an id on each line.

    A CSV file is read by its column customer_id. Raises Refusal for a file that has none.
    """
    if isinstance(suppressed, str | Path):
        path = Path(suppressed)
        if not path.is_file():
            raise Refusal("suppressed", str(suppressed), "no such file", "give a list or a file")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path, dtype="string", encoding="utf-8-sig")
            if "customer_id" not in frame:
                fix = "name the column of ids customer_id"
                raise Refusal("suppressed", path.name, "has no column customer_id", fix)
            lines = frame.customer_id.dropna().tolist()
        return {line.strip() for line in lines if line.strip()}
    return {str(unit) for unit in suppressed}
