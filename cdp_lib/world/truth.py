"""Read the truth behind a simulated shop."""

import json
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.windows import instant
from cdp_lib.world.clock import Clock, clock
from cdp_lib.world.law import HOUR_PREFERENCES, World
from cdp_lib.world.simulate import BEYOND_DAYS


@dataclass(frozen=True)
class Truth:
    """The law and its people: `about` is world.json, `people` the frame of truth/people.

    Times are read in days from the start of the world.
    """

    folder: Path
    about: dict
    world: World
    clock: Clock
    people: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        """Another truth table: carts, visits, effects, campaigns or pairs."""
        return pd.read_parquet(self.folder / f"{name}.parquet")

    def shop_table(self, name: str, columns: list[str], filters=None) -> pd.DataFrame:
        """Columns of a table of the shop itself, such as events; `filters` as for Parquet."""
        path = self.folder.parent / f"{name}.parquet"
        return pd.read_parquet(path, columns=columns, filters=filters)

    def rows(self, chosen: slice | np.ndarray) -> "Truth":
        """The same truth of some of the people."""
        return replace(self, people=self.people.iloc[chosen].reset_index(drop=True))

    @property
    def days(self) -> int:
        """Length of the span that was simulated."""
        return self.about["weeks"] * 7

    @property
    def first_weeks(self) -> int:
        """Length in weeks of the first span, in which the law's own campaigns are sent."""
        return self.about.get("first_weeks", self.about["weeks"])

    def number(self, column: str) -> np.ndarray:
        """A column of the people as numbers."""
        return self.people[column].to_numpy()

    def day(self, column: str) -> np.ndarray:
        """A column of instants of the people, in days; NaN where there is none."""
        return self.days_of(self.people[column])

    def days_of(self, instants: pd.Series) -> np.ndarray:
        """Instants in days; NaN where null."""
        return ((instants - pd.Timestamp(self.clock.start)) / pd.Timedelta(days=1)).to_numpy()

    def hours(self) -> np.ndarray:
        """Each person's hour preference as the clock's index."""
        of = pd.Categorical(self.people["hour_preference"], categories=HOUR_PREFERENCES)
        return of.codes.astype(int)

    def window(self, start: str | date | datetime, horizon_days: float) -> float:
        """The day on which the window begins; Refusal where it leaves the world's clock."""
        begin = (instant(start, "start") - self.clock.start).total_seconds() / 86_400
        if begin < 0 or begin + horizon_days > self.clock.days:
            raise Refusal(
                "start", str(start), "the window leaves the world's clock", "choose another"
            )
        return begin


def open_truth(out: str | Path) -> Truth:
    """Read the truth of the world that `simulate` wrote into the folder `out`."""
    folder = Path(out) / "truth"
    if not (folder / "world.json").is_file():
        raise Refusal("out", str(out), "holds no truth/world.json", "simulate a world there first")
    about = json.loads((folder / "world.json").read_text())
    world, start = World.from_dict(about["world"]), datetime.fromisoformat(about["start"])
    time = clock(start, about["weeks"] * 7 + BEYOND_DAYS, world)
    return Truth(folder, about, world, time, pd.read_parquet(folder / "people.parquet"))
