"""The PyTorch twin: parameter names, initial weights, surrogate derivatives."""

import math

import numpy as np
import pytest
import torch

from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.surrogates import SURROGATES
from spikejoule.network.torch_twin import SpikingNetwork, initial_state
from tests import naive

ARCHITECTURE = Network.of_layers(
    7, (11, 6), 3, LeakyIntegrateAndFire(threshold=1.0, decay=0.9)
)


def test_names_are_those_of_the_architecture_in_order() -> None:
    shapes = ARCHITECTURE.parameter_shapes()
    network = SpikingNetwork(ARCHITECTURE, SURROGATES["constant"]())
    for names in (network.state_dict(), dict(network.named_parameters())):
        assert list(names) == list(shapes)
    state = initial_state(ARCHITECTURE, 1)
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes


class TestStart:
    def test_depends_on_the_seed_alone(self) -> None:
        torch.manual_seed(1)
        first = initial_state(ARCHITECTURE, 5)
        before = torch.random.get_rng_state()
        again = initial_state(ARCHITECTURE, 5)
        assert torch.equal(before, torch.random.get_rng_state())
        other = initial_state(ARCHITECTURE, 6)
        for name, value in first.items():
            assert torch.equal(value, again[name])
            assert not torch.equal(value, other[name])
            assert value.dtype == torch.float32
            assert not value.requires_grad

    def test_law_of_torch_linear(self) -> None:
        architecture = Network.of_layers(784, (400,), 10)
        state = initial_state(architecture, 0)
        for layer, sources in ((1, 784), (2, 400)):
            bound = 1 / math.sqrt(sources)
            weights = state[f"layer{layer}.synapses.weight"]
            assert weights.abs().max() <= bound
            assert weights.abs().max() > 0.99 * bound
            assert abs(float(weights.mean())) < 4 * bound / math.sqrt(
                3 * weights.numel()
            )
            assert float(weights.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)
            assert state[f"layer{layer}.synapses.bias"].abs().max() <= bound


class TestSurrogates:
    @pytest.mark.parametrize("name", list(SURROGATES))
    @pytest.mark.parametrize("slope", [None, 0.7, 3.0])
    def test_derivatives_against_the_literature(
        self, name: str, slope: float | None
    ) -> None:
        slope = slope or SURROGATES[name].default_slope
        x = np.linspace(-4, 4, 1601) + 1e-5
        derivative = (
            SURROGATES[name](surrogate_slope=slope)
            .derivative(torch.from_numpy(x))
            .numpy()
        )
        expected = [naive.surrogate(name, slope, float(value)) for value in x]
        np.testing.assert_allclose(derivative, expected, rtol=1e-9, atol=1e-15)
        assert (derivative >= 0).all()

    @pytest.mark.parametrize("name", ["arctangent", "sigmoid", "gaussian", "boxcar"])
    def test_derivatives_of_a_step_have_area_one(self, name: str) -> None:
        """As in the publications that scale them so."""
        x = np.linspace(-2000, 2000, 4_000_001)
        slope = SURROGATES[name].default_slope
        derivative = (
            SURROGATES[name](surrogate_slope=slope)
            .derivative(torch.from_numpy(x))
            .numpy()
        )
        assert np.trapezoid(derivative, x) == pytest.approx(1.0, abs=1e-3)
