"""Which customers a model learns from and which it is tested on: a pure function of the id.

A customer has one role for good, so nobody who was learned from is among those tested.
"""

from __future__ import annotations

import hashlib

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import StringValue

ROLES = ("train", "choose", "calibrate", "test")
SHARES = {"train": 0.55, "choose": 0.10, "calibrate": 0.10, "test": 0.25}
_SPACE = 16**8


def bounds(role: str) -> tuple[str, str]:
    """The span [low, high) of hash texts that belong to a role; "g" is above every hash."""
    ends = np.cumsum([SHARES[name] for name in ROLES])
    at = ROLES.index(role)
    low = 0.0 if at == 0 else float(ends[at - 1])
    return hash_below(low), "g" if at == len(ROLES) - 1 else hash_below(float(ends[at]))


def hash_below(part: float) -> str:
    """The hash text below which `part` of all ids fall; "g" for all of them."""
    return "g" if part >= 1 else f"{round(part * _SPACE):08x}"


def hashed(customer_id: StringValue, seed: int, salt: str = "role") -> StringValue:
    """The first 8 hex digits of SHA-256 of "seed:salt:customer_id", the same on every engine."""
    return (ibis.literal(f"{seed}:{salt}:") + customer_id).hexdigest("sha256").substr(0, 8)


def hashes(ids: pd.Series, seed: int, salt: str = "role") -> np.ndarray:
    """What `hashed` gives on an engine, for ids in memory."""
    start = f"{seed}:{salt}:"
    return np.array(
        [hashlib.sha256(f"{start}{i}".encode()).hexdigest()[:8] for i in ids.astype(str)], dtype=str
    )


def role_of(ids: pd.Series, seed: int) -> np.ndarray:
    """The role of each id."""
    texts = hashes(ids, seed)
    roles = np.full(len(texts), ROLES[-1], dtype=object)
    for role in ROLES:
        low, high = bounds(role)
        roles[(texts >= low) & (texts < high)] = role
    return roles
