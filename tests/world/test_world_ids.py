"""Ids: one-to-one, of one length, null where there is nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cdp_lib.world.ids import BITS, ids, pick, scattered, words


@given(st.lists(st.integers(0, 2**BITS - 1), unique=True, min_size=1, max_size=200))
def test_different_numbers_give_different_ids(numbers):
    for scatter in (True, False):
        made = ids("v", np.array(numbers), scatter).to_pylist()
        assert len(set(made)) == len(numbers)
        assert all(len(text) == 11 and text[0] == "v" for text in made)


def test_scattering_is_one_to_one_on_a_long_run():
    found = scattered(np.arange(1 << 18))
    assert len(np.unique(found)) == 1 << 18
    assert found.max() < 1 << BITS


def test_plain_ids_are_the_number_in_hexadecimal():
    numbers = np.random.default_rng(0).integers(0, 2**BITS, 100)
    assert ids("e", numbers, scatter=False).to_pylist() == [f"e{n:010x}" for n in numbers]


def test_a_negative_index_is_null():
    assert words(["a", "b"], np.array([1, -1, 0])).to_pylist() == ["b", None, "a"]
    assert pick(ids("v", np.array([], int)), np.array([-1, -1])).to_pylist() == [None, None]
