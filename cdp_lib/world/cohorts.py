"""People who came together: a chunk of the first span, or the newcomers of a later week.

A cohort is drawn again from its seed whenever it is needed, the same each time; nothing of it has
to be kept.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from cdp_lib.world import campaigns, messages
from cdp_lib.world.chunk import STAGES
from cdp_lib.world.ids import ids
from cdp_lib.world.law import World
from cdp_lib.world.leaving import Leaving
from cdp_lib.world.people import People, draw_people
from cdp_lib.world.tables import numbered
from cdp_lib.world.visits import draw_removals

BY_AUDIENCE = 98  # of a cohort's seed: how its people respond to audiences
LONGEST_ACCOUNT = 3 * 365 * 86_400  # seconds; see Chunk


@dataclass(frozen=True)
class Cohort:
    """People drawn together, and the world's number of the cohort."""

    number: int
    people: People
    seed: np.random.SeedSequence

    def stream(self, stage: str) -> np.random.Generator:
        """The stage's stream of the cohort, from its beginning."""
        return np.random.default_rng(_child(self.seed, STAGES.index(stage)))

    @property
    def numbers(self) -> np.ndarray:
        """The world's number of each person."""
        return numbered(self.number, np.arange(len(self.people)), bits=20)

    @property
    def ids(self) -> pa.Array:
        """The id of each person."""
        return ids("c", self.numbers)

    def phases(self) -> np.ndarray:
        """The phase of each person's newsletters."""
        return messages.draw_phases(len(self.people), self.stream("messages"))

    def removals(self) -> tuple[np.ndarray, np.ndarray]:
        """Who removes the app, and when (days)."""
        return draw_removals(self.people, self.stream("gather"))

    def opened_before(self) -> np.ndarray:
        """Seconds at which the accounts there at the start were made; NaN for the others."""
        before = -self.stream("created").random(len(self.people)) * LONGEST_ACCOUNT
        return np.where(self.people.existing, np.floor(before), np.nan)

    def responses(self, world: World, law: Leaving, audience: str) -> tuple[np.ndarray, np.ndarray]:
        """How each person responds to an audience of that name, wave after wave: index of
        RESPONSES, and effect.
        """
        everybody, digest = np.arange(len(self.people)), hashlib.sha256(audience.encode()).digest()
        words = np.frombuffer(digest[:16], "<u4").tolist()
        rng = np.random.default_rng(_child(self.seed, BY_AUDIENCE, *words))
        n = len(everybody)
        draw = messages.Draw(np.zeros(n, int), everybody, np.ones(n, bool), np.zeros(n))
        theirs = replace(world, campaigns=(world.audience(audience),))
        often = campaigns.buys_often(world, law, self.people)
        return campaigns.draw_effects(theirs, self.people, often, draw, rng)


def first_cohort(
    world: World, root: np.random.SeedSequence, number: int, customers: int, days: int
) -> Cohort:
    """The people of chunk `number` of the first span."""
    seed = _child(root, number + 1)
    n = round(customers * world.existing_share), round(customers * world.newcomers_per_customer)
    rng = np.random.default_rng(_child(seed, STAGES.index("people")))
    return Cohort(number, draw_people(world, *n, days, rng), seed)


def newcomers(
    world: World, root: np.random.SeedSequence, number: int, a_week: float, week: int
) -> Cohort:
    """The people who arrive in a week after the first span, on average `a_week` of them."""
    seed = _child(root, number + 1)
    rng = np.random.default_rng(_child(seed, STAGES.index("people")))
    people = draw_people(world, 0, rng.poisson(a_week), 7, rng)
    since = week * 7.0
    people = replace(people, entry=people.entry + since, end=people.end + since)
    return Cohort(number, people, seed)


def together(cohorts: list[Cohort]) -> People:
    """The people of several cohorts, one after the other."""
    names = People.__dataclass_fields__
    return People(*(np.concatenate([getattr(c.people, f) for c in cohorts]) for f in names))


def _child(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))
