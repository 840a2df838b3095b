"""The event engine: runs a network on event lists, with compiled kernels on the CPU."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.encoding.events import EventList
from spikejoule.engine.fully_connected import network_arrays
from spikejoule.engine.interface import check_input
from spikejoule.engine.kernel_calls import KernelArrays, neuron_table, run_in_lanes
from spikejoule.engine.kernels.forward import run_layer
from spikejoule.engine.layout import ParameterLayout
from spikejoule.engine.quantised import run_integers
from spikejoule.network.network import Network, State
from spikejoule.network.nodes import Neurons


def _kernel_for(
    layout: ParameterLayout, parameters: NDArray[Any]
) -> tuple[Callable[..., None], KernelArrays]:
    """Return the kernel that runs a layer of a network, and the arrays it reads.

    There are two because that of fully connected layers keeps a block of potentials in
    registers over all steps, which patches at several positions prevent.
    """
    if layout.network.is_plain:
        return run_layer, network_arrays(layout, parameters)
    # Imported here: fully connected layers need none of this.
    from spikejoule.engine.chain import chain_arrays
    from spikejoule.engine.kernels.chain import run_population

    return run_population, chain_arrays(layout, parameters)


class EventEngine:
    """Runs a network on event lists.

    It is an :class:`spikejoule.engine.interface.Engine`. A trainer changes the
    parameters in place (:mod:`spikejoule.engine.learning.event`).

    Args:
        network: a chain of LIF neurons; a quantised one has its grids.
        state: parameters by name.
        dtype: float32, or float64 for exact comparisons.

    Attributes:
        network: a quantised one has its current grids.
        layout: positions of the parameters.
        parameters: flat, real [P].
        arrays: what the kernels read.
    """

    name = "event"

    def __init__(
        self, network: Network, state: State, dtype: DTypeLike = np.float32
    ) -> None:
        self.layout = ParameterLayout.of(network)
        self.parameters = self.layout.pack(state, dtype)
        self._run_layer, self.arrays = _kernel_for(self.layout, self.parameters)
        self.use_network(network)

    def use_network(self, network: Network) -> None:
        """Use the neurons and, if it is quantised, the grids of a network."""
        self.network = network
        self.use_neurons()

    def use_neurons(self) -> None:
        """Pass the constants of the neurons, learned ones too, to the kernels."""
        learned = self.layout.unpack_learned(self.parameters)
        network = self.network.learned_from(learned)
        self.arrays.constants[:] = neuron_table(network, self.parameters.dtype)

    def run(self, events: EventList) -> list[EventList]:
        """Return what every layer after the input emits, the output last."""
        check_input(events, self.network)
        if self.network.quantisation is not None:
            state = self.layout.unpack(self.parameters)
            return run_integers(self.network, state, events)
        layers = []
        for number, population in enumerate(self.network.of(Neurons)):
            events = run_in_lanes(
                self._run_layer, number, events, self.arrays, population
            )
            layers.append(events)
        return layers
