"""Networks of integers: the compiled path is that of plain loops on plain integers, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.engine.event import run_integers
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import (
    Quantisation,
    floats_of,
    integers_of,
    quantisation_of,
    with_grids,
)
from tests import naive
from tests.tools.integers import integer_network, spike_trains

# One worker for all: each would compile the kernels for itself.
pytestmark = pytest.mark.xdist_group("engines")


def loops(
    architecture: Architecture, state: State, dense: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Potentials and spikes of every layer, by the plain loops."""
    quantisation, neuron = quantisation_of(architecture), architecture.neuron
    bits = (quantisation.weight_bits, quantisation.state_bits)
    exponents = [
        naive.grid_of(state[f"layer{number}.synapses.weight"], *bits, neuron.threshold)
        for number in range(1, len(architecture.fan_outs) + 1)
    ]
    assert tuple(exponents) == quantisation.exponents
    constants = [(round(neuron.threshold * 2.0**k), neuron.decay) for k in exponents]
    layers = naive.quantise(state, exponents, *bits)
    return naive.integer_run(layers, dense.tolist(), constants, quantisation.state_bits)


def assert_runs_like_the_loops(
    architecture: Architecture, state: State, dense: np.ndarray
) -> list[np.ndarray]:
    """Returns the potentials of every layer."""
    passed = loops(architecture, state, dense)
    found = run_integers(architecture, state, EventList.from_dense(dense))
    for layer, (_, expected) in zip(found, passed, strict=True):
        layer.check()
        assert np.array_equal(layer.to_dense(np.int64), expected)
    return [potentials for potentials, _ in passed]


class TestAgainstPlainLoops:
    @pytest.mark.parametrize("weight_bits", [2, 4, 5, 8])
    @pytest.mark.parametrize("state_bits", [16, 32])
    @pytest.mark.parametrize("decay", [1.0, 0.9, 0.5, 0.0])
    def test_widths_and_leaks(self, weight_bits: int, state_bits: int, decay: float) -> None:
        neuron = LeakyIntegrateAndFire(decay=decay)
        architecture, state = integer_network(
            14, 18, 4, weight_bits=weight_bits, state_bits=state_bits, neuron=neuron
        )
        dense = spike_trains(14, 5, 12)
        for layer in run_integers(architecture, state, EventList.from_dense(dense)):
            assert 0.01 < layer.density < 0.9
        potentials = assert_runs_like_the_loops(architecture, state, dense)
        assert min(layer.min() for layer in potentials) < 0

    @pytest.mark.parametrize("hidden", [(1,), (17, 9), (12, 20, 16), (209,)])
    def test_depths_and_sizes(self, hidden: tuple[int, ...]) -> None:
        architecture, state = integer_network(9, *hidden, 3, weight_bits=4)
        assert_runs_like_the_loops(architecture, state, spike_trains(9, 3, 8))

    @pytest.mark.parametrize("threshold", [1e-30, 0.37, 3.0, 1e30])
    def test_thresholds(self, threshold: float) -> None:
        neuron = LeakyIntegrateAndFire(threshold=threshold)
        architecture, state = integer_network(14, 18, 4, neuron=neuron)
        state = {name: threshold * values for name, values in state.items()}
        architecture = with_grids(architecture, state)
        potentials = assert_runs_like_the_loops(architecture, state, spike_trains(14, 5, 9))
        assert all(len(np.unique(layer)) > 20 for layer in potentials)

    @pytest.mark.parametrize("decay", [1.0, 0.9])
    def test_potentials_saturate(self, decay: float) -> None:
        """Most weights are negative: without a bound the potentials would sink for ever."""
        neuron = LeakyIntegrateAndFire(decay=decay, threshold=40.0)
        narrow, state = integer_network(200, 6, 3, state_bits=16, neuron=neuron)
        state["layer1.synapses.weight"] -= 0.3
        narrow = with_grids(narrow, state)
        dense = spike_trains(200, 2, 60, 0.9)
        dense[:, 50:, :40] = 0
        potentials = assert_runs_like_the_loops(narrow, state, dense)
        assert potentials[0].min() < -(2**15)
        wide = replace(narrow, quantisation=replace(quantisation_of(narrow), state_bits=32))
        assert loops(wide, state, dense)[0][0].min() < potentials[0].min()


class TestIntegers:
    @pytest.mark.parametrize("weight_bits", [2, 4, 8])
    def test_floats_stand_for_them_exactly(self, weight_bits: int) -> None:
        architecture, state = integer_network(14, 18, 4, weight_bits=weight_bits)
        integers = integers_of(architecture, state)
        largest = 2 ** (weight_bits - 1) - 1
        for values in integers.values():
            if values.ndim == 2:
                assert values.dtype == np.int8
                # A scale that is a power of two leaves at most half of the range unused.
                assert largest / 2 - 1 < np.abs(values).max() <= largest
            else:
                assert values.dtype == np.int32
        floats = floats_of(architecture, integers)
        again = integers_of(architecture, floats)
        for name, values in integers.items():
            assert floats[name].dtype == np.float32
            assert np.array_equal(again[name], values)
            step = 2.0 ** -quantisation_of(architecture).exponents[int(name[5]) - 1]
            inside = np.abs(state[name]) < largest * step
            assert np.abs(floats[name] - state[name])[inside].max() <= step / 2

    @pytest.mark.parametrize("decay", [0.9985, 1 - 1e-9])
    def test_a_leak_too_weak_for_a_fixed_point(self, decay: float) -> None:
        with pytest.raises(ParameterError, match="model.decay: .* allowed: 1, or a number from 0"):
            integer_network(9, 11, 3, neuron=LeakyIntegrateAndFire(decay=decay))

    def test_a_network_without_grids(self) -> None:
        architecture, state = integer_network(9, 11, 3)
        bare = replace(architecture, quantisation=Quantisation(8, 32))
        for needs_grids in (bare, replace(bare, quantisation=None)):
            with pytest.raises(ValueError, match="no grid"):
                run_integers(needs_grids, state, EventList.from_dense(spike_trains(9, 1, 3)))
        with pytest.raises(ValueError, match="floating point"):
            with_grids(replace(bare, quantisation=None), state)
