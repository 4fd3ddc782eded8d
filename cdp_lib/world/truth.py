"""What is true in the simulated shop, written beside its tables for analyses to be scored against."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_lib.world.catalogue import CATEGORIES, SIZES, Catalogue
from cdp_lib.world.ids import instants, words
from cdp_lib.world.law import CAUSES, HOUR_PREFERENCES, OUTCOMES, World
from cdp_lib.world.log import CODE, Rows
from cdp_lib.world.people import People, mean_of_person, mean_over_baskets
from cdp_lib.world.visits import LATER, LEFT, Carts

DAY = 86_400


def people_table(
    world: World,
    goods: Catalogue,
    people: People,
    person_ids: pa.Array,
    created: np.ndarray,
    origin_us: int,
) -> pa.Table:
    """A row a person, with or without an account: the true rates and tastes.

    `person_id` equals the customer_id of those with an account. Rates are per day; `p_left` is the
    mean probability that a cart that is not emptied is left, over baskets and devices.
    """
    left = mean_of_person(people, mean_over_baskets(world, goods)[0])
    return pa.table(
        {
            "person_id": person_ids,
            "kind": words([kind.name for kind in world.kinds], people.kind),
            "existing": people.existing,
            "has_account": np.isfinite(created),
            "entered_at": instants(people.entry * DAY, origin_us),
            "ends_at": instants(np.minimum(people.end, 36_500) * DAY, origin_us),
            "visit_rate": people.visit_rate,
            "death_rate": people.death_rate,
            "cart_prob": people.cart_prob,
            "p_left": left,
            "hour_preference": words(HOUR_PREFERENCES, people.hour),
            "discount_affinity": people.affinity,
            "preferred_size": words(SIZES, people.size),
            "preferred_category": words(
                [name for name, *_ in CATEGORIES], people.taste.argmax(axis=1)
            ),
            "mobile_share": people.mobile_share,
        }
    )


def carts_table(
    goods: Catalogue,
    carts: Carts,
    rows: Rows,
    cart_ids: pa.Array,
    person_ids: pa.Array,
    days: float,
    origin_us: int,
) -> pa.Table:
    """A row a cart seen in the log: outcome by the end of the span, cause, true probabilities.

    `outcome` is bought, bought_later, left or emptied; a cart that will be bought only after the
    span is `left` here and carries `returns_at`. `cause` is null unless the cart was left in its
    first sitting. `p_left`: probability to leave it, given its basket and device and that it is
    not emptied. `p_<cause>`: probability of the cause, given left. `value`: its goods when opened.
    """
    n, add = len(carts), rows.code == CODE["add_to_cart"]
    opened, bought = np.full(n, np.inf), np.full(n, np.nan)
    np.minimum.at(opened, rows.cart[add], rows.seconds[add])
    done = rows.code == CODE["purchase"]
    bought[rows.cart[done]] = rows.seconds[done]
    seen = np.flatnonzero(np.isfinite(opened))
    outcome = np.where((carts.outcome == LATER) & np.isnan(bought), LEFT, carts.outcome)
    week = np.clip((opened[seen] // (7 * DAY)).astype(int), 0, goods.value.shape[1] - 1)
    return pa.table(
        {
            "cart_id": cart_ids.take(pa.array(seen)),
            "person_id": person_ids.take(pa.array(carts.person[seen])),
            "opened_at": instants(opened[seen], origin_us),
            "outcome": words(OUTCOMES, outcome[seen]),
            "cause": words(CAUSES, carts.cause[seen]),
            "bought_at": instants(bought[seen], origin_us),
            "returns_at": instants(carts.returns_at[seen] * DAY, origin_us),
            "value": goods.value[carts.basket[seen], week],
            "extra": carts.extra[seen],
            "p_left": carts.p_left[seen],
            **{f"p_{cause}": carts.p_cause[seen, i] for i, cause in enumerate(CAUSES)},
        }
    )


def pairs_table(goods: Catalogue) -> pa.Table:
    """Products that belong together: a row an ordered pair, in the same size where both have it."""
    mine = np.flatnonzero(goods.complement[goods.sku_model] >= 0)
    other = goods.skus(goods.complement[goods.sku_model[mine]], np.maximum(goods.sku_size[mine], 0))
    names = goods.product_ids()
    return pa.table({"product_id": words(names, mine), "complement_id": words(names, other)})


def describe(
    world: World,
    start: datetime,
    weeks: int,
    customers: int,
    seed: int,
    n_rows: dict[str, int],
    folder: Path,
) -> dict:
    """What world.json holds: parameters, rows, true shares and true step probabilities."""
    carts = pq.read_table(folder / "truth" / "carts.parquet").to_pandas()
    carts = carts[~carts["extra"]]
    kept = carts[carts["outcome"] != "emptied"]
    causes = {c: float((kept["p_left"] * kept[f"p_{c}"]).sum()) for c in CAUSES}
    n_left = float(kept["p_left"].sum())
    goes_on = len(kept) - causes["low_intent"]
    passes = goes_on - causes["account"]
    pays = passes - causes["extra_costs"] - causes["long_checkout"]
    buys = pays - causes["trust"]
    return {
        "start": start.isoformat(),
        "as_of": (start + timedelta(weeks=weeks)).isoformat(),
        "weeks": weeks,
        "customers": customers,
        "seed": seed,
        "n_rows": {name: n for name, n in n_rows.items() if not name.startswith("truth/")},
        "outcome_share": carts["outcome"].value_counts(normalize=True).round(6).to_dict(),
        "cause_share_of_left": {c: value / n_left for c, value in causes.items()} if n_left else {},
        "step_probability": {
            "begin_checkout": goes_on / len(carts),
            "account": passes / goes_on,
            "add_payment_info": pays / passes,
            "purchase": buys / pays,
            "purchase_first_sitting": buys / len(carts),
        }
        if len(kept)
        else {},
        "world": json.loads(json.dumps(world.to_dict())),
    }
