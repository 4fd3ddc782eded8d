"""Sums over the truth tables of a finished world, read a row group at a time."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_lib.world.law import CAUSES, RESPONSES, World


def describe(
    world: World,
    start: datetime,
    weeks: int,
    customers: int,
    seed: int,
    n_rows: dict[str, int],
    folder: Path,
) -> dict:
    """What world.json holds: parameters, rows, true shares and true step probabilities.

    Carts made by campaigns are left out of the shares. `step_probability` follows the first
    sitting: of all carts the share that begins the checkout; of these the share past the account
    step; of these the share that gets to payment; of these the share that buys.
    """
    outcomes, left, kept = pd.Series(dtype=float), pd.Series(0.0, CAUSES), 0
    columns = ["outcome", "extra", "p_left", *(f"p_{cause}" for cause in CAUSES)]
    for carts in _row_groups(folder / "truth" / "carts.parquet", columns):
        carts = carts[~carts["extra"]]
        outcomes = outcomes.add(carts["outcome"].value_counts(), fill_value=0)
        carts = carts[carts["outcome"] != "emptied"]
        kept += len(carts)
        left += [float((carts["p_left"] * carts[f"p_{cause}"]).sum()) for cause in CAUSES]
    begins = kept - left["low_intent"]
    passes = begins - left["account"]
    pays = passes - left["extra_costs"] - left["long_checkout"]
    buys = pays - left["trust"]
    return {
        "start": start.isoformat(),
        "as_of": (start + timedelta(weeks=weeks)).isoformat(),
        "weeks": weeks,
        "customers": customers,
        "seed": seed,
        "n_rows": {name: n for name, n in n_rows.items() if not name.startswith("truth/")},
        "outcome_share": {k: _rate(n, outcomes.sum()) for k, n in outcomes.items()},
        "cause_share_of_left": {cause: _rate(n, left.sum()) for cause, n in left.items()},
        "step_probability": {
            "begin_checkout": _rate(begins, outcomes.sum()),
            "account": _rate(passes, begins),
            "add_payment_info": _rate(pays, passes),
            "purchase": _rate(buys, pays),
            "purchase_first_sitting": _rate(buys, outcomes.sum()),
        },
        "world": json.loads(json.dumps(world.to_dict())),
    }


def sum_campaigns(folder: Path) -> pa.Table:
    """A row a campaign: what it brought over those treated, expected and as it came out."""
    parts = []
    for rows in _row_groups(folder / "truth" / "effects.parquet"):
        one = pd.DataFrame({"campaign_id": rows["campaign_id"], "starts_at": rows["starts_at"]})
        one["n_treated"], one["n_holdout"] = rows["treated"], ~rows["treated"]
        for kind in ("realised", "expected"):
            gain = rows[f"{kind}_treated"] - rows[f"{kind}_holdout"]
            one[f"{kind}_incremental_revenue"] = gain.where(rows["treated"], 0.0)
        for response in RESPONSES:
            one[f"{response}_share"] = (rows["response"] == response).astype(float)
        parts.append(one.groupby(["campaign_id", "starts_at"]).sum())
    sums = pd.concat(parts).groupby(["campaign_id", "starts_at"]).sum().reset_index()
    units = sums["n_treated"] + sums["n_holdout"]
    for response in RESPONSES:
        sums[f"{response}_share"] /= units
    money = [name for name in sums.columns if name.endswith("revenue")]
    sums[money] = sums[money].round(2)
    whole = {"n_treated": "int64", "n_holdout": "int64", "starts_at": "datetime64[us]"}
    return pa.Table.from_pandas(sums.astype(whole), preserve_index=False).replace_schema_metadata()


def count_dirt(folder: Path) -> dict[str, int]:
    """How many rows of each kind of dirt were added."""
    kinds = pq.read_table(folder / "truth" / "dirt.parquet", columns=["kind"])["kind"]
    return {entry["values"]: entry["counts"] for entry in kinds.value_counts().to_pylist()}


def _rate(part: float, whole: float) -> float | None:
    return round(float(part / whole), 12) if whole else None


def _row_groups(path: Path, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns).to_pandas()
