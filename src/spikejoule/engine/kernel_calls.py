"""How Python calls the kernels that run a network: neurons, inputs, lanes."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import LaneSpikes, collect_events
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    RESET_TO_ZERO,
    ConstantInputs,
    LayerInput,
    NetworkArrays,
    Spikes,
)
from spikejoule.network.integers import layer_constants, neuron_constants
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import Neurons

if TYPE_CHECKING:
    # Fully connected layers need no module of chains.
    from spikejoule.engine.kernels.chain import ChainArrays

KernelArrays = Union[NetworkArrays, "ChainArrays"]
"""What the kernels read of a network: fully connected layers, or any chain."""


def reset_code(network: Network) -> int:
    """Return the kernels' code for the reset of the neurons."""
    neuron = network.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    return RESET_BY_SUBTRACTION if neuron.reset == "subtract" else RESET_TO_ZERO


def neuron_table(network: Network, dtype: DTypeLike) -> NDArray[Any]:
    """Return the constants of each layer's LIF neurons, on grids if it is quantised.

    Returns:
        real [L, 6], see ``NetworkArrays.constants``. An output that integrates without
        spiking has a threshold that no potential reaches.
    """
    if network.quantisation is None:
        constants = [
            (decay, threshold, 0, 0, 0, 0)
            for threshold, decay in neuron_constants(network)
        ]
        return np.array(constants, dtype)
    on_grids = [
        (
            layer.decay,
            layer.value(layer.threshold),
            layer.value(1),
            1 / layer.value(1),
            layer.value(layer.lowest),
            layer.value(layer.highest),
        )
        for layer in layer_constants(network)
    ]
    # A bound of 32-bit integers may exceed float32; it becomes infinite, no bound.
    with np.errstate(over="ignore"):
        return np.array(on_grids).astype(dtype)


def constant_inputs(events: EventList, dtype: DTypeLike) -> ConstantInputs:
    """Return the constant currents of an input, for the kernels."""
    currents = events.currents
    if currents is None:
        # Empty offsets tell the kernels that the input is spikes.
        nothing = np.empty(0, np.int64)
        return ConstantInputs(events.sources[:0], np.empty(0, dtype), nothing)
    return ConstantInputs(
        currents.sources, currents.values.astype(dtype), currents.offsets
    )


def run_in_lanes(
    kernel: Callable[..., None],
    number: int,
    events: EventList,
    arrays: KernelArrays,
    population: Neurons,
) -> EventList:
    """Return the spikes of a layer, or potentials, computed in lanes of samples.

    Args:
        kernel: runs one lane.
        number: of the layer.
        events: spikes of the layer before.
        arrays: of the network.
        population: of the layer; without spikes, its potentials are returned.
    """
    n_steps = events.n_steps
    dtype = arrays.parameters.dtype
    currents = constant_inputs(events, dtype)
    recorded = 0 if population.spikes else events.n_samples
    potentials = np.empty((recorded, n_steps, population.n_out), dtype)

    def fill(samples: slice, out: LaneSpikes) -> None:
        offsets = currents.offsets[samples.start : samples.stop + 1]
        inputs = LayerInput(
            spikes_of(events, samples), currents._replace(offsets=offsets), n_steps
        )
        lanes = out.bounds.size - 1
        kernel(lanes, number, inputs, arrays, out, potentials[samples])

    spikes = collect_events(events.n_samples, n_steps, population.n_out, fill)
    return spikes if population.spikes else replace(spikes, potentials=potentials)


def spikes_of(events: EventList, samples: slice) -> Spikes:
    """Return the spikes of consecutive samples."""
    first = samples.start * events.n_steps
    end = samples.stop * events.n_steps
    return Spikes(events.sources, events.offsets[first : end + 1])
