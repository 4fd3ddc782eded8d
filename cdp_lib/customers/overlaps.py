"""How far segments share their customers.

Memberships leave the engine as bits, 62 segments to a whole number, in batches; each batch adds to
a matrix of counts, so no more than a batch is ever held.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from ibis.expr.types import Table

from cdp_lib.customers.catalogue import Catalogue, bound, load

BITS = 62
BATCH = 200_000
SMALL = 10  # a group of fewer people is not shown


def overlap_counts(table: Table, catalogue: Catalogue | None = None) -> pd.DataFrame:
    """How many customers two segments share, of all pairs: a square table by segment name.

    table: a portrait. One query; the diagonal holds the sizes. Segments that need what is not
    there are left out.
    """
    counted = [one for one in bound(catalogue or load(), table) if one.condition is not None]
    words = {}
    for start in range(0, len(counted), BITS):
        bits = [
            one.condition(table).ifelse(2**i, 0).cast("int64")
            for i, one in enumerate(counted[start : start + BITS])
        ]
        words[f"w{start // BITS}"] = sum(bits[1:], bits[0])
    names = [one.segment.name for one in counted]
    counts = np.zeros((len(names), len(names)))
    for batch in _batches(table.select(**words)) if words else ():
        member = _unpacked(batch, len(names))
        counts += member.T @ member
    return pd.DataFrame(counts.round().astype("int64"), index=names, columns=names)


def overlap_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Pairs of segments, of a square table such as `overlap_counts` makes.

    Out: a row per ordered pair of different segments: name, other, n_both, share (of those in
    `name` the share that is also in `other`), jaccard (of those in either the share in both).
    Both shares are null where fewer than 10 people, but somebody, stand in the pair, or outside
    it in `name`, since one could count them by subtraction.
    """
    size = np.diag(counts.to_numpy())
    both = counts.to_numpy()
    rows, columns = np.where(~np.eye(len(size), dtype=bool))
    one, n, other = size[rows], both[rows, columns], size[columns]
    few = lambda k: (k > 0) & (k < SMALL)  # noqa: E731
    hidden = few(n) | few(one - n) | few(other - n) | few(one) | few(other)
    with np.errstate(invalid="ignore", divide="ignore"):
        share, jaccard = n / one, n / (one + other - n)
    return pd.DataFrame(
        {
            "name": counts.index[rows],
            "other": counts.index[columns],
            "n_both": np.where(hidden, np.nan, n),
            "share": np.where(hidden, np.nan, share),
            "jaccard": np.where(hidden, np.nan, jaccard),
        }
    )


def _batches(words: Table):
    """The rows as arrays of whole numbers, a batch at a time."""
    for batch in words.to_pyarrow_batches(chunk_size=BATCH):
        if batch.num_rows:
            yield np.column_stack([batch[i].to_numpy() for i in range(batch.num_columns)])


def _unpacked(words: np.ndarray, n: int) -> np.ndarray:
    """Bits as a matrix of 0 and 1, exact in a product as counts stay below 2^24 in a batch."""
    member = np.empty((len(words), n), dtype="float32")
    for i in range(n):
        member[:, i] = (words[:, i // BITS] >> (i % BITS)) & 1
    return member
