"""Spikes into a fully connected node, few or many: the same sums to the bit."""

from typing import Any

import numpy as np
import pytest

from spikejoule.core.compiling.emit import LANES
from spikejoule.graphs.kernels import synapses, vectors
from spikejoule.graphs.kernels.lists import Given, take_nonzero


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("n_out", [3, LANES, 95, 16 * vectors.MOST_VECTORS + 4])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.1, 0.6])
def test_few_and_many_spikes_take_two_ways_to_the_same_sums(
    kind: type, n_out: int, density: float
) -> None:
    """A sample alone takes rows of weights, sixteen at once may not: no bit depends on it."""
    n_in = 90
    generator = np.random.default_rng(3)
    spikes = generator.random((n_in, LANES)) < density
    weights = generator.normal(0, 1, (n_in, n_out)).astype(kind)

    def sums_of(amounts: Any) -> Any:
        given = Given(
            np.ascontiguousarray(amounts, kind)[None], np.zeros((1, n_in), np.uint8),
            np.zeros((1, n_in + 1), np.int32), np.zeros(1, np.int64),
            np.zeros((1, LANES), np.int64),
        )  # fmt: skip
        take_nonzero(given)
        sums = np.zeros((1, n_out, LANES), kind)
        synapses.add_dense(given, weights, sums)
        return sums[0]

    together = sums_of(spikes)
    for lane in range(LANES):
        alone = np.zeros_like(spikes)
        alone[:, lane] = spikes[:, lane]
        assert sums_of(alone)[:, lane].tobytes() == together[:, lane].tobytes()
    expected = weights.T.astype(np.float64) @ spikes
    assert np.allclose(together, expected, rtol=0, atol=1e-4 if kind is np.float32 else 1e-12)
