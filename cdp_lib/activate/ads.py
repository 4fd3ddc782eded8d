"""Lists that advertising platforms match on: seeds of a look-alike, and people to leave out.

Only hashes leave, in each platform's own columns. Google (Google Ads Help, "Format your customer
data file"): a CSV with the headers Email and Phone. Meta (Business Help Centre, "How to format a
customer list when creating a custom audience"): email, phone and, for a look-alike by value, value.
Google asks that the hash of a phone be of "+" and digits, Meta of the digits alone (`contacts`), so
a shop's phone hashes fit one of them, and are left out for the other.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from cdp_lib.activate.contacts import PLATFORMS
from cdp_lib.activate.eligible import HASHES, known_customers
from cdp_lib.activate.lists import check_name
from cdp_lib.checks import Refusal, TooLittleData, one_of
from cdp_lib.tables import Shop
from cdp_lib.tables.whole_file import whole_file

LAYOUTS = {
    "google": {"email_sha256": "Email", "phone_sha256": "Phone"},
    "meta": {"email_sha256": "email", "phone_sha256": "phone"},
}
FEWEST = {"google": 100, "meta": 100}  # members below which a platform makes no audience of it


def matched(
    shop: Shop,
    customers: pd.DataFrame,
    platform: str,
    consent: str = "ads",
    phones_for: str = "google",
    value: str = "",
) -> pd.DataFrame:
    """The hashes of some customers in a platform's layout, one row a person, in no telling order.

    customers: customer_id and, where named, the column `value` (money that a member is worth; Meta
    alone takes it). consent: the channel whose permission lets a hash leave, a column
    "<consent>_opt_in" of the customers. phones_for: the platform whose form the shop's phone
    hashes have. Out: the columns of `LAYOUTS`, and value; people without a hash are left out.
    Raises Refusal for another platform or an empty seed, MissingTable and TooLittleData where
    permission cannot be told.
    """
    one_of("platform", platform, PLATFORMS)
    one_of("phones_for", phones_for, PLATFORMS)
    ids = customers.customer_id.dropna().astype(str)
    if ids.empty:
        raise Refusal("customers", 0, "the seed is empty", f"name at least {FEWEST[platform]}")
    known = known_customers(shop, set(ids), consent)
    hashes = [name for name in HASHES if name in known]
    if platform != phones_for:
        hashes = [name for name in hashes if name != "phone_sha256"]
    if not hashes:
        raise TooLittleData(
            "customers", "no hash", f"the shop has no hash that {platform} matches on",
            "map email_sha256 in shop.toml",
        )  # fmt: skip
    rows = known[known.allowed & known[hashes].notna().any(axis=1)]
    table = rows[hashes].rename(columns=LAYOUTS[platform])
    if value:
        if platform != "meta":
            fix = "leave `value` out; Google's file has no such column"
            raise Refusal("value", value, f"{platform} takes no value", fix)
        one_of("value", value, list(customers.columns))
        worth = customers.assign(customer_id=customers.customer_id.astype(str))
        worth = worth.groupby("customer_id")[value].max().clip(lower=0).round(2)
        table["value"] = rows.customer_id.map(worth).to_numpy()
    # Sorted by the hash: the order tells nothing of who is best.
    return table.sort_values(list(table.columns[: len(hashes)]), ignore_index=True)


def write(table: pd.DataFrame, folder: str | Path, name: str, platform: str) -> Path | None:
    """Write a table of `matched` as `<folder>/<name>.<platform>.csv`, for its owner's eyes alone.

    With "" nothing is written. Raises Refusal for a column that is no hash of the layout, so that
    nothing else can leave this way, and for fewer members than the platform takes.
    """
    one_of("platform", platform, PLATFORMS)
    check_name(name)
    allowed = {*LAYOUTS[platform].values(), *(("value",) if platform == "meta" else ())}
    odd = sorted(set(table.columns) - allowed)
    if odd:
        raise Refusal("table", odd, f"is no column that {platform} takes", "use matched(…)")
    if len(table) < FEWEST[platform]:
        raise TooLittleData(
            "table", len(table), f"{platform} makes no audience of fewer than {FEWEST[platform]}",
            "take a wider seed",
        )  # fmt: skip
    if not str(folder):
        return None
    path = Path(folder) / f"{name}.{platform}.csv"
    with whole_file(path) as written:
        table.to_csv(written, index=False, lineterminator="\n")
    return path


def usable_consent(shop: Shop, wanted: Collection[str] = ("ads", "email")) -> str:
    """The first of these permissions that the shop's customers have, such as "ads".

    Raises MissingTable and TooLittleData where they have none.
    """
    shop.require("customers")
    columns = {*shop.given("customers"), *shop.mapped("customers").extras}
    found = next((name for name in wanted if f"{name}_opt_in" in columns), None)
    if found is None:
        raise TooLittleData(
            "consent", ", ".join(wanted), "the customers have none of these permissions",
            f"map {wanted[0]}_opt_in in shop.toml",
        )  # fmt: skip
    return found
