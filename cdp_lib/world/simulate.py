"""Simulate a shop and write it: chunks of people one after the other, the same bytes each time.

Chunk k draws from its own children of the seed, so its rows depend neither on how many chunks
follow nor on their order, and memory holds one chunk at a time.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from cdp_lib.checks import Refusal, above, share
from cdp_lib.windows import instant
from cdp_lib.world.catalogue import Catalogue, catalogue
from cdp_lib.world.chunk import STAGES, Chunk, draw_chunk
from cdp_lib.world.clock import Clock, clock
from cdp_lib.world.dirt import hostile_product, soil
from cdp_lib.world.files import Writers, clear_next, write
from cdp_lib.world.law import World
from cdp_lib.world.leaving import Leaving, leaving
from cdp_lib.world.mail import PRESSURE_EXPERIMENT, campaign_names
from cdp_lib.world.messages import campaign_times
from cdp_lib.world.record import pairs_table
from cdp_lib.world.summary import count_dirt, describe, sum_campaigns
from cdp_lib.world.tables import prices_table, products_table
from cdp_lib.world.units import units_table

CHUNK_CUSTOMERS = 5_000
BEYOND_DAYS = 400  # truth can be asked this far past the end of the span
DIRT_SHARE = 0.002
GLOBAL_HOLDOUT = 0.05  # of the customers: no audience may touch them
TABLES = (
    "events", "orders", "order_lines", "customers", "products", "prices", "identities", "messages",
    "assignments",
)  # fmt: skip
Progress = Callable[[int, int, str], None]


def simulate(
    out: str | Path,
    customers: int = 20_000,
    weeks: int = 52,
    seed: int = 7,
    dirt: bool | float = False,
    start: str | date | datetime = "2025-11-24",
    params: World | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a simulated shop into the folder `out` and return the path of its shop.toml.

    `customers` is about how many people have an account by the end: 60 % of them from the start,
    the others open theirs in the span; about as many visitors never identify themselves. The span
    is `weeks` weeks from `start`, a Monday; its end is the shop's as_of. The tables of the contract
    are Parquet files, the truth behind them lies in `out/truth`. `dirt` adds rows that do not
    belong: a share of each table per kind of dirt, True for 0.002; truth/dirt names each one.
    The same arguments give the same bytes; a world that lay in `out` before is replaced. Raises
    Refusal for a start that is no Monday or a count below 1.
    """
    world, origin = params or World(), instant(start, "start")
    for name, value in (("customers", customers), ("weeks", weeks)):
        above(name, value, 0)
    if origin.weekday() or origin != datetime(origin.year, origin.month, origin.day):
        raise Refusal("start", str(start), "not a Monday's midnight", "start on a Monday")
    unclean = DIRT_SHARE if dirt is True else float(dirt)
    share("dirt", unclean)
    as_of = origin + timedelta(weeks=weeks)
    folder = Path(out)
    _clear(folder)
    root = np.random.SeedSequence(seed)
    goods = catalogue(world, weeks, np.random.default_rng(_child(root, 0)))
    law = leaving(world, goods)
    time = clock(origin, weeks * 7 + BEYOND_DAYS, world)
    n_chunks = -(-customers // CHUNK_CUSTOMERS)
    writers = Writers(folder)
    for k in range(n_chunks):
        if progress:
            progress(k, n_chunks, "people")
        size = min(CHUNK_CUSTOMERS, customers - k * CHUNK_CUSTOMERS)
        tables = chunk_tables(world, goods, law, time, weeks, k, size, root)
        if unclean:
            rng = np.random.default_rng(_child(root, k + 1, len(STAGES)))
            tables = soil(tables, unclean, k, _micros(as_of), rng)
        for name, table in tables.items():
            writers.write(name, table)
    writers.close()
    origin_us = _micros(origin)
    products = hostile_product(products_table(goods)) if unclean else products_table(goods)
    write(products, folder / "products.parquet")
    write(prices_table(goods, origin_us), folder / "prices.parquet")
    write(pairs_table(goods), folder / "truth" / "pairs.parquet")
    if writers.rows["truth/effects"]:
        write(sum_campaigns(folder), folder / "truth" / "campaigns.parquet")
    named = list(TABLES)
    if campaign_names(world, time, weeks):
        first, sent = campaign_names(world, time, weeks)[0], campaign_times(world, weeks)[0]
        sent_at = origin + timedelta(days=float(sent))
        units = units_table(folder, first, sent_at, world.effect_days)
        write(units, folder / "units.parquet")
        named.append("units")
    about = describe(world, origin, weeks, customers, seed, writers.rows, folder)
    (folder / "truth" / "world.json").write_text(json.dumps(about, indent=1) + "\n")
    if unclean:
        (folder / "truth" / "dirt.json").write_text(json.dumps(count_dirt(folder), indent=1) + "\n")
    if progress:
        progress(n_chunks, n_chunks, "people")
    return _write_shop(folder, world, as_of, named, campaign_names(world, time, weeks))


def chunk_tables(
    world: World,
    goods: Catalogue,
    law: Leaving,
    time: Clock,
    weeks: int,
    k: int,
    size: int,
    root: np.random.SeedSequence,
) -> dict[str, pa.Table]:
    """All tables of chunk k, by the path they are written to."""
    chunk: Chunk = draw_chunk(world, goods, law, time, weeks * 7, k, size, _child(root, k + 1))
    return chunk.tables()


def _clear(folder: Path) -> None:
    """Make the folder and take away what an earlier world left in it, shop.toml first."""
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    clear_next(folder)
    old = [folder / f"{name}.parquet" for name in (*TABLES, "units")]
    for path in [folder / "shop.toml", *old, *truth.glob("*.parquet"), *truth.glob("*.json")]:
        path.unlink(missing_ok=True)


def _child(root: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(root.entropy, spawn_key=key)


def _micros(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000


def _write_shop(
    folder: Path, world: World, as_of: datetime, tables: list[str], campaigns: list[str]
) -> Path:
    held = world.holdout_share
    text = "\n".join(
        [
            'name = "demo"',
            'currency = "EUR"',
            f"as_of = {as_of:%Y-%m-%dT%H:%M:%SZ}",
            "",
            "[engine]",
            'url = "duckdb://"',
            "",
            "[settings]",
            f"free_shipping_threshold = {world.free_shipping_threshold}",
            f"global_holdout = {GLOBAL_HOLDOUT}",
            "",
            *(f'[tables.{name}]\npath = "{name}.parquet"\n' for name in tables),
            *(
                f'[experiments."{name}"]\n'
                f"shares = {{ holdout = {held:g}, treated = {1 - held:g} }}\n"
                for name in campaigns
            ),
            f'[experiments.{PRESSURE_EXPERIMENT}]\ncontrol = "monthly"\nwindow_days = 28\n'
            "shares = { weekly = 1, fortnightly = 1, monthly = 1 }\n",
        ]
    )
    path = folder / "shop.toml"
    path.write_text(text)
    return path
