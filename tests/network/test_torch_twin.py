"""The PyTorch twin: initial weights and surrogate derivatives."""

import numpy as np
import pytest
import torch

from spikejoule.network.network import Network
from spikejoule.network.surrogates import SURROGATES
from spikejoule.network.torch_twin import initial_state
from tests import naive

ARCHITECTURE = Network.of_layers(7, (11, 6), 3)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first = initial_state(ARCHITECTURE, 5)
    again = initial_state(ARCHITECTURE, 5)
    other = initial_state(ARCHITECTURE, 6)
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])
        assert value.dtype == torch.float32
        assert not value.requires_grad


@pytest.mark.parametrize("name", list(SURROGATES))
@pytest.mark.parametrize("slope", [None, 0.7, 3.0])
def test_surrogates_against_the_literature(name: str, slope: float | None) -> None:
    slope = slope or SURROGATES[name].default_slope
    x = np.linspace(-4, 4, 1601) + 1e-5
    derivative = SURROGATES[name](surrogate_slope=slope).derivative(torch.from_numpy(x))
    expected = [naive.surrogate(name, slope, float(value)) for value in x]
    np.testing.assert_allclose(derivative, expected, rtol=1e-9, atol=1e-15)
