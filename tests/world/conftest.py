"""Worlds that several tests read, simulated once."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cdp_lib.world import Truth, World, open_truth, simulate


@dataclass(frozen=True)
class Written:
    """A world on disk and its truth."""

    folder: Path
    truth: Truth

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")


def written(folder: Path, **arguments) -> Written:
    simulate(folder, **arguments)
    return Written(folder, open_truth(folder))


@pytest.fixture(scope="session")
def write_world():
    """`write_world(folder, **arguments of simulate)`: simulate and read the truth."""
    return written


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Written:
    """3,000 customers over a year, campaigns included."""
    return written(tmp_path_factory.mktemp("world"), customers=3000, seed=11)


@pytest.fixture(scope="session")
def quiet(tmp_path_factory) -> Written:
    """4,000 customers over half a year without campaigns, whose law is then exact."""
    folder = tmp_path_factory.mktemp("quiet")
    return written(folder, customers=4000, weeks=26, seed=3, params=World(campaigns=()))


def read_deeds(written: Written) -> pd.DataFrame:
    """Person, action and instant of all that people did, named or not, by the truth."""
    whose = written.truth.table("visits")
    events = written.table("events").merge(whose, on="session_id")
    cheaper = written.table("orders").query("discount > 0")["order_id"]
    coupons = events[events["order_id"].isin(cheaper) & (events["event"] == "purchase")]
    present = events[~events["reason"].isin(["app_remove", "push_off"])]
    gone = written.table("messages").dropna(subset=["unsubscribed_at"])
    gone = gone.rename(columns={"customer_id": "person_id", "unsubscribed_at": "occurred_at"})
    parts = [
        events,
        present.assign(event="visit"),
        coupons.assign(event="use_coupon"),
        gone.assign(event="unsubscribe"),
    ]
    return pd.concat([part[["person_id", "event", "occurred_at"]] for part in parts])


@pytest.fixture(scope="session")
def deeds_of():
    """`deeds_of(written)`: person_id, event (one of ACTIONS) and occurred_at of all deeds."""
    return read_deeds


@pytest.fixture(scope="session")
def deeds(quiet) -> pd.DataFrame:
    """What the people of the quiet world did."""
    return read_deeds(quiet)


@pytest.fixture(scope="session")
def acted():
    """`acted(deeds, event, window, p)`: who of the persons of `p` did it in (start, days)."""

    def who(deeds: pd.DataFrame, event: str, window: tuple[str, int], p: pd.Series) -> pd.Series:
        start = pd.Timestamp(window[0])
        end = start + pd.Timedelta(days=window[1])
        mine = deeds[(deeds["event"] == event) & deeds["occurred_at"].between(start, end, "left")]
        return pd.Series(p.index.isin(mine["person_id"]), p.index)

    return who
