"""What a fully connected node is given, little or much: the same sums to the bit."""

from typing import Any

import numpy as np
import pytest

from spikejoule.compiling.emit import LANES
from spikejoule.nir.kernels.stepping import Given, add_dense, take_nonzero


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("n_out", [3, LANES, 95, 260])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.1, 0.6])
def test_little_and_much_take_two_ways_to_the_same_sums(
    kind: type, n_out: int, density: float
) -> None:
    """A sample alone takes rows of weights, sixteen at once may not: no bit depends on it."""
    n_in = 90
    generator = np.random.default_rng(3)
    values = generator.normal(0, 1, (n_in, LANES)).astype(kind)
    values[generator.random((n_in, LANES)) >= density] = 0
    weights = generator.normal(0, 1, (n_in, n_out)).astype(kind)

    def sums_of(amounts: Any) -> Any:
        given = Given(
            np.ascontiguousarray(amounts, kind)[None], np.zeros((1, n_in), np.uint8),
            np.zeros((1, n_in + 1), np.int32), np.zeros(1, np.int64),
            np.zeros((1, n_in, LANES), np.int32),
        )  # fmt: skip
        take_nonzero(given)
        sums = np.zeros((1, n_out, LANES), kind)
        add_dense(given, weights, sums)
        return sums[0]

    together = sums_of(values)
    for lane in range(LANES):
        alone = np.zeros_like(values)
        alone[:, lane] = values[:, lane]
        assert sums_of(alone)[:, lane].tobytes() == together[:, lane].tobytes()
    expected = weights.T.astype(np.float64) @ values
    assert np.allclose(together, expected, rtol=0, atol=1e-4 if kind is np.float32 else 1e-12)
