"""How good recommendations would have been: lists made before a time, purchases after it.

Each customer's list of `at` articles is held beside what they bought in the window after. It says
how well purchases were foreseen, not what showing the list would change: only an experiment tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cdp_lib.activate.goods import Goods
from cdp_lib.activate.recommend_family import TITLES, top
from cdp_lib.activate.seen import Seen
from cdp_lib.checks import at_least, one_of

TASKS = ("any", "new")
DRAWS = 500
BATCH = 1_000


@dataclass(frozen=True)
class Later:
    """What was bought in a window, beside what was known before it.

    rows: customers known before who bought, as rows of Seen. bought, value: sparse matrices over
    all of Seen's customers and Goods' articles: 1 where bought, and the money. n_unknown_articles:
    by row, articles bought that were not among the goods. n_new_customers: buyers who were unknown.
    all_value: money of all purchases of known ids in the window; unknown_value: by row, of articles
    not among the goods.
    """

    rows: np.ndarray
    bought: object
    value: object
    n_unknown_articles: np.ndarray
    unknown_value: np.ndarray
    n_new_customers: int
    all_value: float


def later_of(seen: Seen, goods: Goods, purchases: pd.DataFrame) -> Later:
    """Place purchases (customer_id, article_id, value) beside what was known before them."""
    from scipy import sparse

    ids = purchases.customer_id.to_numpy(object)
    row = np.searchsorted(seen.customers, ids)
    row = np.minimum(row, len(seen) - 1)
    known = seen.customers[row] == ids if len(seen) else np.zeros(len(ids), bool)
    place = pd.Series(np.arange(len(goods)), index=goods.table.article_id)
    column = place.reindex(purchases.article_id).to_numpy()
    listed, value = ~np.isnan(column), np.maximum(purchases.value.to_numpy(float), 0.0)
    at = (row[known & listed], column[known & listed].astype(int))
    shape = (len(seen), len(goods))
    one = sparse.csr_array((np.ones(len(at[0]), "float32"), at), shape=shape)
    money = sparse.csr_array((value[known & listed], at), shape=shape)
    beyond = known & ~listed
    return Later(
        np.unique(row[known]),
        one,
        money,
        np.bincount(row[beyond], minlength=len(seen)),
        np.bincount(row[beyond], value[beyond], minlength=len(seen)),
        len(np.unique(ids[~known])),
        float(value.sum()),
    )


def judge(
    scores: Mapping[str, object],
    seen: Seen,
    goods: Goods,
    later: Later,
    task: str = "any",
    at: int = 5,
    seed: int = 7,
    against: str = "popular",
) -> pd.DataFrame:
    """How the families foresaw what was bought.

    scores: by family a function from rows of `seen` to scores of articles; what it leaves at 0 is
    filled up by `against`. task: "any" article bought, or "new" ones, not bought before, for which
    those bought before are left out of every list. Customers who bought none such are not judged.

    Out: a row per family: family, n_customers; recall (hits over the smaller of `at` and the
    articles bought, on average over customers), ndcg (Järvelin and Kekäläinen 2002), novelty
    (mean −log2 of the share of buyers who have an article; Vargas and Castells 2011), value_rate
    (of all money spent in the window the share that went to articles listed to their buyer), each
    with _low and _high of 95 % by a bootstrap over customers; over (recall less that of `against`)
    with its interval; coverage_rate (of all articles the share that stands on some list, a plain
    count); beats ("yes", "no" or "cannot tell"; empty for `against`).
    """
    one_of("task", task, TASKS)
    one_of("against", against, scores)
    at_least("at", at, 1)
    truth, rows = later.bought, later.rows
    if task == "new":
        truth = (truth - truth.multiply(seen.bought > 0)).tocsr()
        truth.eliminate_zeros()
    beyond = later.n_unknown_articles
    rows = rows[(np.diff(truth.indptr)[rows] + beyond[rows]) > 0]
    owners = np.asarray((seen.bought > 0).sum(axis=0)).ravel()
    rarity = -np.log2((owners + 1) / (len(seen) + len(goods)))
    found = {name: [] for name in scores}
    listed = {name: np.zeros(len(goods), bool) for name in scores}
    for part in np.array_split(rows, max(1, -(-len(rows) // BATCH))):
        base = np.asarray(scores[against](part), float)
        owned = None
        if task == "new":
            owned = (seen.bought[part] > 0).toarray()
        hits = np.asarray(truth[part].toarray()) > 0
        worth = np.asarray(later.value[part].toarray(), float) * hits
        n_true = hits.sum(axis=1) + beyond[part]
        for name, score in scores.items():
            chosen = top(_filled(np.asarray(score(part), float), base, owned), at)
            listed[name][chosen] = True
            hit = np.take_along_axis(hits, chosen, axis=1)
            money = np.take_along_axis(worth, chosen, axis=1).sum(axis=1)
            found[name].append(_measured(hit, n_true, at, rarity[chosen], money))
    per_customer = {name: np.concatenate(parts) for name, parts in found.items()}
    return _table(per_customer, listed, len(rows), later.all_value, seed, against)


def _filled(score: np.ndarray, base: np.ndarray, owned: np.ndarray | None) -> np.ndarray:
    """Scores with the baseline below them, and without what is owned."""
    largest = score.max(axis=1, keepdims=True)
    tiny = np.where(largest > 0, largest, 1.0) * 1e-9
    score = score + tiny * base / np.maximum(base.max(axis=1, keepdims=True), 1e-30)
    if owned is not None:
        score[owned] = -1.0
    return score


def _measured(hit, n_true, at, rarity, money) -> np.ndarray:
    """A row per customer: recall, ndcg, novelty, money hit."""
    discount = 1 / np.log2(np.arange(at) + 2)[: hit.shape[1]]
    best = np.cumsum(1 / np.log2(np.arange(at) + 2))[np.minimum(n_true, at) - 1]
    recall = hit.sum(axis=1) / np.minimum(n_true, at)
    return np.column_stack([recall, hit @ discount / best, rarity.mean(axis=1), money])


def _table(per_customer, listed, n: int, all_value: float, seed: int, against: str):
    names = list(per_customer)
    columns = ["recall", "ndcg", "novelty", "value_rate"]
    if not n:
        empty = {f"{c}{end}": np.nan for c in (*columns, "over") for end in ("", "_low", "_high")}
        rows = [{"family": name, "n_customers": 0, **empty} for name in names]
        return pd.DataFrame(rows).assign(coverage_rate=0.0, beats="cannot tell")
    rows_of = np.stack([per_customer[name] for name in names])  # families, customers, measures
    drawn = bootstrap(rows_of, seed)  # draws, families, measures
    point = rows_of.mean(axis=1)
    for values in (drawn, point):
        values[..., 3] *= n / all_value if all_value > 0 else np.nan
    ends = np.quantile(drawn, (0.025, 0.975), axis=0)
    base = names.index(against)
    over = drawn[:, :, 0] - drawn[:, [base], 0]
    over_ends = np.quantile(over, (0.025, 0.975), axis=0)
    rows = []
    for i, name in enumerate(names):
        row = {"family": name, "n_customers": n}
        for j, column in enumerate(columns):
            row |= {
                column: point[i, j], f"{column}_low": ends[0, i, j],
                f"{column}_high": ends[1, i, j],
            }  # fmt: skip
        low, high = over_ends[:, i]
        row |= {"over": point[i, 0] - point[base, 0], "over_low": low, "over_high": high}
        row["coverage_rate"] = listed[name].mean()
        word = "yes" if low > 0 else "no" if high <= 0 else "cannot tell"
        row["beats"] = "" if name == against else word
        rows.append(row)
    return pd.DataFrame(rows)


def bootstrap(rows_of: np.ndarray, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Means over customers drawn with replacement: (draws, families, measures).

    rows_of: (families, customers, measures). The same draw serves all families.
    """
    rng = np.random.default_rng(seed)
    n_families, n, n_measures = rows_of.shape
    flat = np.moveaxis(rows_of, 1, 0).reshape(n, -1)
    out = np.empty((draws, flat.shape[1]))
    for at in range(0, draws, 50):
        count = min(50, draws - at)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=count).astype("float32")
        out[at : at + count] = weights @ flat / n
    return out.reshape(draws, n_families, n_measures)


def titled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the families' titles for people, best recall first."""
    named = table.assign(family=table.family.map(lambda name: TITLES.get(name, name)))
    return named.sort_values("recall", ascending=False, kind="stable", ignore_index=True)
