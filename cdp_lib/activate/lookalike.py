"""Look-alikes: people who have not bought yet, ordered by how much they are like good customers.

The pool is the shop's prospects: people it knows and who have no order. What a good customer looks
like is learned from those who were prospects themselves: their features as of then, and whether
they have joined the seed since. So a feature is always older than what defines the seed, and what
is learned of buyers after their first order is not held against people who have none.

        t0 ─────── seed told ──────► t1 ─────── what followed ──────► end of the data
        features of prospects        features of prospects            features of prospects
        learned from                 tested on                        scored

Who has not joined yet may still do so: they are unlabelled, not bad (see `likeness`). The test is
later in time, and nobody is scored there by a model that has seen them. Those of now are scored by
a model of the same kind that has learned from both spans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.activate import likeness, seeds
from cdp_lib.activate.likeness import FOLDS, Likeness
from cdp_lib.checks import Refusal, TooLittleData, at_least, one_of
from cdp_lib.customers import profile
from cdp_lib.tables import Shop

FEWEST = 50
HORIZON_DAYS = 91
OF_BUYING = ("orders", "order_lines")  # tables whose features tell buyers alone
CAP = 100_000


@dataclass(frozen=True, eq=False)
class Lookalikes:
    """What is known of a shop's prospects and of the seeds they may be like.

    shop, horizon_days: the question. told, newest: the seeds by what happened in [t0, t1) and in
    [t1, end), whose members are all customers of the kind. tested: a row per prospect of t1:
    customer_id, then for each seed that could be learned `score_<seed>` (by a model that has not
    seen the person) and `joined_<seed>` (whether they joined it in [t1, end)), n_orders and margin
    in that time. models: seed -> the likeness, and how many joined it to learn from. lacking: seeds
    that could not, and why. now: a row per prospect at the end of the data: customer_id and
    `score_<seed>`. names: the features it rests on.
    """

    shop: Shop
    horizon_days: int
    told: seeds.Seeds
    newest: seeds.Seeds
    tested: pd.DataFrame
    models: Mapping[str, tuple[Likeness, int]]
    lacking: Mapping[str, str]
    now: pd.DataFrame
    names: tuple[str, ...]

    @property
    def kinds(self) -> list[str]:
        """The seeds that could be learned."""
        return list(self.models)


def prospects(shop: Shop, moment: datetime) -> Table:
    """People whom a shop knows at a moment, and who have no order then: customer_id."""
    past = shop.at(moment)
    parts = [past.customers.select("customer_id")] if past.has("customers") else []
    if past.has("events"):
        parts.append(past.ties.pairs.select("customer_id"))
    known = ibis.union(*parts) if len(parts) > 1 else parts[0]
    bought = past.orders.select("customer_id")
    return known.filter(known.customer_id.notnull()).distinct().anti_join(bought, "customer_id")


def study(
    shop: Shop,
    kinds: Collection[str] = (),
    horizon_days: int = 0,
    given: Mapping[str, Mapping[datetime, Table]] | None = None,
    cap: int = CAP,
    seed: int = 7,
    profile_now: Callable[[], Table] | None = None,
) -> Lookalikes:
    """Learn what prospects who join each seed look like, test it later in time, score those of now.

    kinds: seeds to learn, all where empty. horizon_days: in which a prospect joins; 0 takes
    `usual_horizon`. given: seeds
    of the caller's own: name -> the end of a span -> a table of customer_id (the ends are
    `span_ends`). cap: most prospects to learn from or test on at a time, drawn by the hash of
    their id. profile_now: gives the profile at the end of the data, where it is at hand. Raises
    MissingTable without orders and anybody to know, TooLittleData for a history shorter than three
    horizons, and where no seed has `FEWEST` new members.
    """
    at_least("horizon_days", horizon_days, 0)
    shop.require("orders")
    horizon_days = int(horizon_days) or usual_horizon(shop)
    if not shop.has("customers") and not shop.has("events"):
        shop.require("customers")
    t0, t1, end = span_ends(shop, horizon_days)
    if shop.has("events"):
        shop.keep()
    told, later = (
        seeds.seeds(shop, a, b, {name: one[b] for name, one in (given or {}).items()})
        for a, b in ((t0, t1), (t1, end))
    )
    for kind in kinds:
        one_of("seed", kind, [*told.members, *told.lacking])
    wanted = [kind for kind in told.members if not kinds or kind in kinds]
    names = feature_names(shop)
    frames = [_frame(shop, moment, names, cap, seed) for moment in (t0, t1)]
    frames.append(_frame(shop, end, names, cap, seed, profile_now))
    fold = [fold_of(frame.customer_id, seed) for frame in frames]
    both = pd.concat(frames[:2], ignore_index=True)
    sheets = [likeness.sheet_of(part, names) for part in (frames[0], both)]
    early, test = (sheets[0].read(frame) for frame in frames[:2])
    every, newest = (sheets[1].read(frame) for frame in (both, frames[2]))
    tested = frames[1][["customer_id"]].merge(
        seeds.amounts(shop, t1, end).to_pandas(), "left", on="customer_id"
    )
    tested = tested.drop(columns="revenue").fillna({"n_orders": 0, "margin": 0.0})
    now, models, lacking = frames[2][["customer_id"]].copy(), {}, dict(told.lacking)
    for kind in wanted:
        member = frames[0].customer_id.isin(_ids(told.members[kind])).to_numpy()
        joined = frames[1].customer_id.isin(_ids(later.members[kind])).to_numpy()
        problem = _too_few(member)
        if problem:
            lacking[kind] = problem
            continue
        strength = likeness.strength_of(sheets[0], early, member, fold[0])
        parts = likeness.apart(sheets[0], early, member, fold[0], strength)
        tested[f"score_{kind}"] = likeness.scores_apart(parts, test, fold[1])
        tested[f"joined_{kind}"] = joined
        member = np.concatenate([member, joined])
        whole = likeness.fit(sheets[1], every, member, strength)
        now[f"score_{kind}"] = whole.score(newest)
        models[kind] = (whole, int(member.sum()))
    if not models:
        raise TooLittleData(
            "seed", ", ".join(wanted), "; ".join(f"{k}: {why}" for k, why in lacking.items()),
            "take a longer horizon, or a wider seed",
        )  # fmt: skip
    return Lookalikes(shop, horizon_days, told, later, tested, models, lacking, now, names)


def usual_horizon(shop: Shop) -> int:
    """A quarter, or a third of the shop's history in whole weeks where that is less."""
    first = shop.orders.ordered_at.min().execute()
    if first is None or first != first:
        return HORIZON_DAYS
    return min(HORIZON_DAYS, max(7, (shop.as_of - pd.Timestamp(first)).days // 21 * 7))


def span_ends(shop: Shop, horizon_days: int) -> tuple[datetime, datetime, datetime]:
    """The three moments of a study: t0, t1 and the end of the data.

    Raises TooLittleData where less than a horizon lies before t0.
    """
    horizon = timedelta(days=int(horizon_days))
    t0, t1, end = shop.as_of - 2 * horizon, shop.as_of - horizon, shop.as_of
    first = shop.orders.ordered_at.min().execute()
    if first is None or first != first or pd.Timestamp(first) > pd.Timestamp(t0 - horizon):
        start = "none" if first is None or first != first else f"{pd.Timestamp(first):%Y-%m-%d}"
        raise TooLittleData(
            "horizon_days", int(horizon_days),
            f"the first order is of {start}: three horizons must lie between it and the end",
            "take a shorter horizon",
        )  # fmt: skip
    return t0, t1, end


def feature_names(shop: Shop) -> tuple[str, ...]:
    """The features of a prospect: those of the profile that do not come from orders."""
    found = profile.features(shop)
    return tuple(one.name for one in found if one.source not in OF_BUYING)


def score_pool(
    seed_ids: Collection[str], pool: pd.DataFrame, columns: Collection[str], seed: int = 7
) -> pd.DataFrame:
    """Order any pool by its likeness to any seed, such as a colleague's list of ids.

    pool: customer_id and `columns`, a row per person, the seed's members among them; no column
    may come from what defines the seed, which only its maker can know. Out: customer_id, member,
    score (by a model that has not seen the person; an order, no probability). Raises Refusal for
    an empty seed and TooLittleData for one with fewer than `FEWEST` members in the pool.
    """
    wanted = {str(one) for one in seed_ids if one is not None and one == one}
    if not wanted:
        raise Refusal("seed", 0, "the seed is empty", f"name at least {FEWEST} customers")
    member = pool.customer_id.astype(str).isin(wanted).to_numpy()
    problem = _too_few(member)
    if problem:
        raise TooLittleData("seed", int(member.sum()), problem, "take a wider seed")
    fold = fold_of(pool.customer_id, seed)
    sheet = likeness.sheet_of(pool, list(columns))
    x = sheet.read(pool)
    parts = likeness.apart(sheet, x, member, fold, likeness.strength_of(sheet, x, member, fold))
    score = likeness.scores_apart(parts, x, fold)
    ids = pool.customer_id.to_numpy()
    return pd.DataFrame({"customer_id": ids, "member": member, "score": score})


def ranked(one: Lookalikes, kind: str, most: int = 0) -> pd.DataFrame:
    """The prospects of now, those most like the seed first: customer_id, score; at most `most`."""
    one_of("seed", kind, one.kinds)
    at_least("most", most, 0)
    table = one.now.rename(columns={f"score_{kind}": "score"})[["customer_id", "score"]]
    table = table.sort_values(["score", "customer_id"], ascending=[False, True], ignore_index=True)
    return table.head(most) if most else table


def fold_of(ids: pd.Series, seed: int) -> np.ndarray:
    """The fold of each person: a pure function of the id."""
    start = f"{seed}:lookalike:"
    return np.array(
        [int(hashlib.sha256(f"{start}{i}".encode()).hexdigest()[:8], 16) % FOLDS for i in ids], int
    )


def _frame(shop, moment: datetime, names: Collection[str], cap: int, seed: int, at_hand=None):
    people = prospects(shop, moment)
    n = int(people.count().execute())
    if n > cap:
        bound = f"{int(cap / n * 16**8):08x}"
        drawn = (ibis.literal(f"{seed}:pool:") + people.customer_id).hexdigest("sha256")
        people = people.filter(drawn.substr(0, 8) < bound)
    people = people.cache()
    table = profile.as_of(shop, moment, among=people) if at_hand is None else at_hand()
    table = table.semi_join(people, "customer_id").select("customer_id", *names)
    return table.to_pandas().sort_values("customer_id", ignore_index=True)


def _ids(table: Table) -> pd.Series:
    return table.to_pandas()["customer_id"]


def _too_few(member: np.ndarray) -> str:
    n = int(member.sum())
    if n == 0:
        return "the seed is empty: nobody of the pool is in it"
    if n < FEWEST:
        return f"only {n} members to learn from, and {FEWEST} are needed"
    if member.all():
        return "everybody in the pool is a member"
    return ""
