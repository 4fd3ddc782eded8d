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
