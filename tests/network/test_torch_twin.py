"""The PyTorch twin: initial weights and surrogate derivatives."""

import math

import numpy as np
import pytest
import torch

from spikejoule.network.network import Network
from spikejoule.network.surrogates import SURROGATES
from spikejoule.network.torch_twin import initial_state
from tests import naive

ARCHITECTURE = Network.of_layers(7, (11, 6), 3)


class TestStart:
    def test_depends_on_the_seed_alone(self) -> None:
        first = initial_state(ARCHITECTURE, 5)
        again = initial_state(ARCHITECTURE, 5)
        other = initial_state(ARCHITECTURE, 6)
        for name, value in first.items():
            assert torch.equal(value, again[name])
            assert not torch.equal(value, other[name])
            assert value.dtype == torch.float32
            assert not value.requires_grad

    def test_law_of_torch_linear(self) -> None:
        state = initial_state(Network.of_layers(784, (400,), 10), 0)
        for layer, sources in ((1, 784), (2, 400)):
            bound = 1 / math.sqrt(sources)
            weights = state[f"layer{layer}.synapses.weight"]
            assert 0.99 * bound < weights.abs().max() <= bound
            assert float(weights.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)
            assert state[f"layer{layer}.synapses.bias"].abs().max() <= bound


@pytest.mark.parametrize("name", list(SURROGATES))
@pytest.mark.parametrize("slope", [None, 0.7, 3.0])
def test_surrogates_against_the_literature(name: str, slope: float | None) -> None:
    slope = slope or SURROGATES[name].default_slope
    x = np.linspace(-4, 4, 1601) + 1e-5
    derivative = SURROGATES[name](surrogate_slope=slope).derivative(torch.from_numpy(x))
    expected = [naive.surrogate(name, slope, float(value)) for value in x]
    np.testing.assert_allclose(derivative, expected, rtol=1e-9, atol=1e-15)
