"""How a simulated shop stands at the end of its data: read back from its tables and its truth."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cdp_lib.checks import Refusal
from cdp_lib.world.catalogue import Catalogue, catalogue
from cdp_lib.world.clock import Clock, clock
from cdp_lib.world.cohorts import Cohort, first_cohort, newcomers, together
from cdp_lib.world.law import World
from cdp_lib.world.leaving import Leaving, leaving
from cdp_lib.world.living import Standing
from cdp_lib.world.messages import MEMORY_WEEKS, PUSH
from cdp_lib.world.people import CHANNELS, People
from cdp_lib.world.simulate import BEYOND_DAYS, CHUNK_CUSTOMERS

GROUP = 16  # chunks drawn at once


@dataclass(frozen=True)
class Past:
    """A world on disk and where it stands: `week` is the number of weeks it has lived.

    first_weeks: length of the first span. about: world.json. messages, turned_on, accounts: what
    of its tables the next week needs (see `read_past`).
    """

    folder: Path
    about: dict
    world: World
    goods: Catalogue
    law: Leaving
    time: Clock
    root: np.random.SeedSequence
    week: int
    first_weeks: int
    messages: pd.DataFrame
    turned_on: pd.DataFrame
    accounts: pd.Series
    coming: pa.Table

    @property
    def start(self) -> datetime:
        """The first instant of the week that comes."""
        return self.time.start + timedelta(weeks=self.week)

    @property
    def origin_us(self) -> int:
        """The start of the world in microseconds."""
        return int(self.time.start.replace(tzinfo=UTC).timestamp()) * 1_000_000

    @property
    def n_chunks(self) -> int:
        """Chunks of the first span; the cohorts of newcomers are numbered after them."""
        return -(-self.about["customers"] // CHUNK_CUSTOMERS)

    @property
    def n_groups(self) -> int:
        """Groups that a week is drawn in; newcomers belong to the last."""
        return -(-self.n_chunks // GROUP)

    def seed(self, group: int) -> np.random.SeedSequence:
        """The seed of the week that comes, for a group."""
        return np.random.SeedSequence(
            self.root.entropy, spawn_key=(LIVED, self.week, group)
        )  # fmt: skip

    def number(self, group: int) -> int:
        """The number of the rows of the week that comes, after those of all weeks before."""
        return self.n_chunks + (self.week - self.first_weeks) * self.n_groups + group

    def cohorts(self, group: int) -> list[Cohort]:
        """The people of a group, drawn again; in the last one with the week's newcomers."""
        customers, days = self.about["customers"], self.first_weeks * 7
        found = []
        for k in range(group * GROUP, min((group + 1) * GROUP, self.n_chunks)):
            size = min(CHUNK_CUSTOMERS, customers - k * CHUNK_CUSTOMERS)
            found.append(first_cohort(self.world, self.root, k, size, days))
        if group == self.n_groups - 1:
            a_week = customers * self.world.newcomers_per_customer / self.first_weeks
            for week in range(self.first_weeks, self.week + 1):
                number = self.n_chunks + week - self.first_weeks
                found.append(newcomers(self.world, self.root, number, a_week, week))
        return found

    def standing(self, cohorts: list[Cohort], people: People, ids: pa.Array) -> Standing:
        """What of the past matters for these people."""
        index = pd.Index(ids.to_pandas())
        sent = self.messages.assign(person=index.get_indexer(self.messages["customer_id"]))
        sent = sent[sent["person"] >= 0]
        opted, recent = people.opt_in.copy(), np.zeros((MEMORY_WEEKS, len(people)), int)
        out = sent[sent["out"].notna()]
        opted[out["person"], out["channel"]] = False
        late = sent[sent["week"] > self.week - MEMORY_WEEKS]
        np.add.at(recent, (late["week"] % MEMORY_WEEKS, late["person"]), 1)
        opened = (self.accounts.reindex(index) - pd.Timestamp(self.time.start)).to_numpy()
        account_at = opened / np.timedelta64(1, "D")
        account_at = np.where(
            people.existing, -np.inf, np.where(np.isnan(account_at), np.inf, account_at)
        )
        shifts = np.cumsum([0, *(len(c.people) for c in cohorts)])
        removals = [c.removals() for c in cohorts]
        numbers = np.concatenate([c.numbers for c in cohorts])
        return Standing(
            numbers,
            ids,
            account_at,
            opted,
            recent,
            np.concatenate([c.phases() for c in cohorts]),
            (
                np.concatenate([who + s for (who, _), s in zip(removals, shifts, strict=False)]),
                np.concatenate([when for _, when in removals]),
            ),
            self._coming(numbers),
        )

    def _coming(self, numbers: np.ndarray) -> pa.Table:
        """The carts that come back in the week to these people, by their index."""
        due = np.fmax(*(self.coming[c].to_numpy() for c in ("returns_at", "touched_at")))
        person = pd.Index(numbers).get_indexer(self.coming["person"].to_numpy())
        rows = np.flatnonzero((person >= 0) & (due < (self.week + 1) * 7))
        table = self.coming.take(pa.array(rows))
        return table.set_column(
            table.column_names.index("person"), "person", pa.array(person[rows])
        )

    def later_carts(self) -> pa.Table:
        """The carts that come back after the week."""
        due = np.fmax(*(self.coming[c].to_numpy() for c in ("returns_at", "touched_at")))
        return self.coming.filter(pa.array(due >= (self.week + 1) * 7))


LIVED = 1_000_000  # of the root's children: weeks after the first span


def read_past(folder: Path) -> Past:
    """Read a world that `simulate` or `advance` wrote into a folder.

    messages: customer_id, channel (index), week, out (day of an opt-out, NaN without). turned_on:
    customer_id, at (day of a push_on). accounts: instant of opening by person_id. Raises Refusal
    where there is no world, where it is dirty, or where it cannot live on.
    """
    if not (folder / "truth" / "world.json").is_file():
        raise Refusal(
            "shop", folder.name, "no simulated shop: it has no truth/world.json",
            "make one with `cdp simulate --out …`",
        )  # fmt: skip
    if (folder / "truth" / "dirt.json").is_file():
        raise Refusal("shop", folder.name, "was simulated with dirt", "simulate one without it")
    if not (folder / "truth" / "coming_carts.parquet").is_file():
        raise Refusal(
            "shop", folder.name, "does not say which carts come back (it is of an older version)",
            "simulate it again",
        )  # fmt: skip
    about = json.loads((folder / "truth" / "world.json").read_text())
    world, start = World.from_dict(about["world"]), datetime.fromisoformat(about["start"])
    week = about["weeks"]
    first_weeks = about.get("first_weeks", week)
    root = np.random.SeedSequence(about["seed"])
    child = np.random.SeedSequence(root.entropy, spawn_key=(0,))
    goods = catalogue(world, first_weeks, np.random.default_rng(child))
    truth = folder / "truth"
    people = pq.read_table(
        truth / "people.parquet", columns=["person_id", "account_at"]
    ).to_pandas()
    return Past(
        folder, about, world, goods, leaving(world, goods),
        clock(start, week * 7 + BEYOND_DAYS, world), root, week, first_weeks,
        _messages(folder, start), _turned_on(folder, start),
        people.set_index("person_id")["account_at"],
        pq.read_table(truth / "coming_carts.parquet"),
    )  # fmt: skip


def _messages(folder: Path, start: datetime) -> pd.DataFrame:
    columns = ["customer_id", "channel", "sent_at", "unsubscribed_at"]
    log = pq.read_table(folder / "messages.parquet", columns=columns).to_pandas()
    day = pd.Timedelta(days=1)
    return pd.DataFrame(
        {
            "customer_id": log["customer_id"],
            "channel": pd.Categorical(log["channel"], categories=CHANNELS).codes.astype(int),
            "week": ((log["sent_at"] - start) // (7 * day)).astype(int),
            "out": (log["unsubscribed_at"] - start) / day,
        }
    )


def _turned_on(folder: Path, start: datetime) -> pd.DataFrame:
    events = pq.read_table(
        folder / "events.parquet",
        columns=["session_id", "occurred_at"],
        filters=pc.field("event") == "push_on",
    ).to_pandas()
    columns = ["session_id", "person_id"]
    visits = pq.read_table(
        folder / "truth" / "visits.parquet",
        columns=columns,
        filters=pc.field("session_id").isin(events["session_id"]),
    ).to_pandas()
    joined = events.merge(visits, on="session_id")
    at = (joined["occurred_at"] - start) / pd.Timedelta(days=1)
    return pd.DataFrame({"customer_id": joined["person_id"], "at": at})


def permissions(
    opted: np.ndarray, ids: pa.Array, turned_on: pd.DataFrame, push_off: pd.DataFrame
) -> np.ndarray:
    """Who may be reached by which channel: opted out by messages, push turned on since.

    opted (n, CHANNELS): left by the messages. turned_on, push_off: customer_id, at (day).
    """
    index, allowed = pd.Index(ids.to_pandas()), opted.copy()
    last = {}
    for name, frame in (("on", turned_on), ("off", push_off)):
        at = np.full(len(index), -np.inf)
        person = index.get_indexer(frame["customer_id"])
        np.maximum.at(at, person[person >= 0], frame["at"].to_numpy(float)[person >= 0])
        last[name] = at
    allowed[:, PUSH] |= last["on"] > last["off"]
    return allowed


def group_people(cohorts: list[Cohort]) -> tuple[People, pa.Array]:
    """The people of a group and their ids."""
    return together(cohorts), pa.concat_arrays([cohort.ids for cohort in cohorts])
