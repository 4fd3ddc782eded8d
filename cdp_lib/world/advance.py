"""The shop lives on: one more week for the same people, and those who got a message respond.

The week follows the law of the first span. Each unit of an experiment has an effect of its own,
drawn from the law of the experiment's audience (`World.audiences`) and the same wave after wave;
it shows where the unit was treated. What either arm would have brought is written to
truth/effects, and the sum of it over the treated to truth/campaigns.
"""

import json
import re
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cdp_lib.checks import Refusal, above, one_of
from cdp_lib.windows import instant
from cdp_lib.world.files import Writers, replacing, row_groups, write
from cdp_lib.world.past import Past, read_past
from cdp_lib.world.people import CHANNELS
from cdp_lib.world.simulate import Progress
from cdp_lib.world.summary import describe, sum_campaigns
from cdp_lib.world.week_tables import due_tables, week_tables

CONTACTS = ("experiment_id", "audience", "unit_id", "channel", "delivered_at")
GROWING = ("events", "orders", "order_lines", "identities", "messages", "assignments",
           "truth/visits", "truth/carts", "truth/effects")  # fmt: skip


def advance(
    shop: str | Path,
    contacts: pd.DataFrame | None = None,
    weeks: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Let a simulated shop live `weeks` more weeks; returns the path of its shop.toml.

    shop: its shop.toml. contacts: a row a unit and experiment: experiment_id, audience, unit_id (a
    customer_id), channel, delivered_at (the first instant of the week in which it works), and
    maybe treated (false: held out; true where the column is absent). Rows of weeks that were lived
    are passed over. Out: the tables and the truth beside shop.toml with the weeks added, and
    shop.toml with its new as_of. The same shop and contacts give the same bytes, and N weeks at
    once the same as one by one. Each week replaces the files as one: see `files`. Raises Refusal
    for a shop that was not simulated, units it does not know, or a delivery within a week.
    """
    above("weeks", weeks, 0)
    path = Path(shop)
    for done in range(weeks):
        if progress:
            progress(done, weeks, "weeks")
        with replacing(path.parent) as fresh:
            _live(path, fresh, read_past(path.parent), _checked(contacts))
    if progress:
        progress(weeks, weeks, "weeks")
    return path


def _checked(contacts: pd.DataFrame | None) -> pd.DataFrame:
    if contacts is None:
        contacts = pd.DataFrame({name: [] for name in CONTACTS})
    for name in CONTACTS:
        one_of("contacts", name, list(contacts.columns))
    rows = contacts.assign(
        treated=contacts["treated"].astype(bool) if "treated" in contacts else True,
        delivered_at=pd.to_datetime(contacts["delivered_at"]),
    )
    for channel in rows["channel"].unique():
        one_of("contacts.channel", channel, CHANNELS)
    n_again = int(rows.duplicated(["experiment_id", "unit_id"]).sum())
    if n_again:
        raise Refusal(
            "contacts", n_again, "units stand twice in an experiment", "keep one row each"
        )
    return rows.sort_values(["experiment_id", "unit_id"], ignore_index=True)


def _of_the_week(past: Past, contacts: pd.DataFrame) -> pd.DataFrame:
    """The contacts that work in the week that comes."""
    end = past.start + timedelta(weeks=1)
    mine = contacts[(contacts["delivered_at"] >= past.start) & (contacts["delivered_at"] < end)]
    late = mine[mine["delivered_at"] > past.start]
    if len(late):
        raise Refusal(
            "contacts.delivered_at", str(late["delivered_at"].iloc[0]),
            "lies within a week of the simulated shop",
            f"export as of the end of its data, {past.start}",
        )  # fmt: skip
    known = pq.read_table(past.folder / "customers.parquet", columns=["customer_id"])
    n_strange = int((~mine["unit_id"].isin(known["customer_id"].to_pylist())).sum())
    if n_strange:
        raise Refusal(
            "contacts.unit_id", n_strange, "units that are no customers of this shop",
            "take the ledger that belongs to it",
        )  # fmt: skip
    return mine


def _live(path: Path, fresh: Path, past: Past, contacts: pd.DataFrame) -> None:
    """Write all files of the shop after one more week into the folder `fresh`."""
    text = _moved_on(path, past)
    contacts = _of_the_week(past, contacts)
    parts = [week_tables(past, group, contacts) for group in range(past.n_groups)]
    parts.append(due_tables(past))
    together = {
        name: pa.concat_tables([part[name] for part in parts if name in part])
        for name in dict.fromkeys(name for part in parts for name in part)
    }
    bought = together.pop("bought_later")
    writers = Writers(fresh)
    for name in GROWING:
        added = together.pop(name)
        if (past.folder / f"{name}.parquet").is_file():
            for group in row_groups(past.folder / f"{name}.parquet"):
                writers.write(name, _bought(group, bought) if name == "truth/carts" else group)
                if name == "identities":
                    added = _unseen(added, group)
        writers.write(name, added)
    for name, table in together.items():
        writers.write(name, table)
    writers.close()
    if writers.rows["truth/effects"]:
        write(sum_campaigns(fresh), fresh / "truth" / "campaigns.parquet")
    about = past.about
    rows = {**about["n_rows"], **writers.rows}
    told = describe(
        past.world, past.time.start, past.week + 1, about["customers"], about["seed"], rows, fresh
    )
    told["first_weeks"] = past.first_weeks
    (fresh / "truth" / "world.json").write_text(json.dumps(told, indent=1) + "\n")
    (fresh / path.name).write_text(text, encoding="utf-8")


def _moved_on(path: Path, past: Past) -> str:
    """The text of shop.toml with the as_of of a week later; all else as it stands."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"(?m)^as_of\s*=\s*(\"[^\"\n]*\"|[^#\n]*)", text)
    known = instant(found.group(1).strip(' "')) if found else None
    if known != past.start:
        raise Refusal(
            "as_of", str(known), f"the simulated data ends at {past.start}",
            f"write as_of = {past.start:%Y-%m-%dT%H:%M:%SZ} in {path.name}",
        )  # fmt: skip
    end = past.start + timedelta(weeks=1)
    return f"{text[: found.start()]}as_of = {end:%Y-%m-%dT%H:%M:%SZ}{text[found.end() :]}"


def _bought(carts: pa.Table, bought: pa.Table) -> pa.Table:
    """Rows of truth/carts, those marked that were bought in the week."""
    place = pc.index_in(carts["cart_id"], bought["cart_id"].combine_chunks())
    now = pc.is_valid(place)
    when = bought["bought_at"].combine_chunks().take(place)
    changed = {
        "outcome": pc.if_else(now, "bought_later", carts["outcome"]),
        "bought_at": pc.if_else(now, when, carts["bought_at"]),
    }
    for name, column in changed.items():
        carts = carts.set_column(carts.column_names.index(name), name, column)
    return carts


def _unseen(added: pa.Table, known: pa.Table) -> pa.Table:
    """The pairs of visitor and customer that are not known yet."""
    pair = ["visitor_id", "customer_id"]
    key = [pc.binary_join_element_wise(*(t[name] for name in pair), "/") for t in (added, known)]
    return added.filter(pc.invert(pc.is_in(key[0], key[1].combine_chunks())))
