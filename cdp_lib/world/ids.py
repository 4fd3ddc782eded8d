"""Identifiers as Arrow strings, made without a loop over rows.

A number becomes its prefix and ten hexadecimal digits. `scattered` ids pass through a bijection
of the 40-bit numbers first, so neighbours in the simulation are not neighbours in the id.
"""

import numpy as np
import pyarrow as pa

BITS = 40
_MASK = np.uint64((1 << BITS) - 1)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def scattered(numbers: np.ndarray) -> np.ndarray:
    """A bijection of [0, 2⁴⁰): flip bits, multiply by an odd number, fold, multiply again."""
    mixed = numbers.astype(np.uint64) ^ np.uint64(0x5851F42D4C)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15 & ((1 << 40) - 1) | 1) & _MASK
    mixed ^= mixed >> np.uint64(20)
    return mixed * np.uint64(0xC2B2AE3D27 | 1) & _MASK


def ids(prefix: str, numbers: np.ndarray, scatter: bool = True) -> pa.Array:
    """The id of each number as an Arrow string array.

    >>> ids("v", np.array([0, 255]), scatter=False).to_pylist()
    ['v0000000000', 'v00000000ff']
    """
    values = scattered(numbers) if scatter else numbers.astype(np.uint64)
    width = len(prefix) + BITS // 4
    text = np.empty((len(values), width), np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode(), np.uint8)
    for place in range(BITS // 4):
        digit = (values >> np.uint64(BITS - 4 * (place + 1))) & np.uint64(15)
        text[:, len(prefix) + place] = _DIGITS[digit]
    offsets = np.arange(0, (len(values) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))
    )


def pick(pool: pa.Array, index: np.ndarray) -> pa.Array:
    """pool[index], null where the index is negative."""
    if len(pool) == 0:
        return pa.nulls(len(index), pool.type)
    return pool.take(pa.array(np.maximum(index, 0), mask=index < 0))


def words(names: list[str] | tuple[str, ...], index: np.ndarray) -> pa.Array:
    """Names by index as an Arrow string array, null where the index is negative."""
    return pick(pa.array(list(names), pa.string()), index)


def instants(seconds: np.ndarray, origin_us: int) -> pa.Array:
    """Seconds from the origin as timestamps; null where NaN or negative infinity."""
    values = np.asarray(seconds, float)
    missing = ~np.isfinite(values)
    micros = np.where(missing, 0, np.round(values)).astype(np.int64) * 1_000_000 + origin_us
    return pa.array(micros, mask=missing).cast(pa.timestamp("us"))
