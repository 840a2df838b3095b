"""Listing set bits, against NumPy."""

from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.compiling import bits
from spikejoule.compiling.emit import LANES
from spikejoule.encoding.kernels import SPARE_SPIKES
from tests.compiling.calls import compiled_call


@pytest.mark.parametrize("name", ["uint16", "uint32"])
@pytest.mark.parametrize(
    "listing", [compiled_call(bits.list_set_bits), numba.njit(bits.list_bit_by_bit)]
)
def test_lists_of_set_bits(listing: Any, name: str) -> None:
    """With this machine's instructions, and with those of any other."""
    generator = np.random.default_rng(1)
    for n_words in range(1, 10):
        for density in (0.0, 0.02, 0.4, 1.0):
            is_set = generator.random((n_words + 1, LANES)) < density
            words = (is_set << np.arange(LANES)).sum(axis=1).astype(np.uint16)
            numbers = np.full(3 + LANES * n_words + SPARE_SPIKES, 7).astype(name)
            end = listing(words, n_words, numbers, 3)
            listed = np.flatnonzero(is_set[:n_words])
            assert numbers[:end].tolist() == [7, 7, 7, *listed]


def test_lists_of_values_that_are_large_enough() -> None:
    generator = np.random.default_rng(2)
    for size in (1, 15, 16, 63, 100):
        values = generator.integers(0, 256, size).astype(np.uint8)
        marked = np.empty(size // LANES, np.uint16)
        numbers = np.empty(size + bits.LISTED_AT_ONCE, np.uint16)
        for least in (0, 1, 128, 255, 256):
            count = bits.list_at_least(values, size, least, marked, numbers)
            assert numbers[:count].tolist() == np.flatnonzero(values >= least).tolist()
