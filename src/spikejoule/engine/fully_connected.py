"""Kernels of chains of fully connected layers, with their arrays and their workspace."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros, even_parts, padded
from spikejoule.encoding.events import EventList, source_type
from spikejoule.encoding.kernels import SPARE_SPIKES, LaneSpikes, collect_events
from spikejoule.engine.kernel_set import (
    constant_inputs,
    currents_of,
    reset_code,
    spikes_of,
)
from spikejoule.engine.kernels.forward import add_current_gradients, bias_rows, layer_forward_lanes
from spikejoule.engine.kernels.structures import (
    ConstantInputs,
    LabelledBatch,
    Layer,
    Learning,
    NetworkArrays,
    NeuronConstants,
    Workspace,
)
from spikejoule.engine.layout import Integers, Masks, ParameterLayout
from spikejoule.engine.sharing import gradient_of_batch

GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in the cache."""

SLOT_BYTES = 1 << 28
"""Memory for the deltas of groups that are worked at once, where threads ask for many."""


def layer_table(layout: ParameterLayout) -> tuple[Layer, ...]:
    """Where the parameters of each layer are, as the kernels take them."""
    layers: list[Layer] = []
    transposed_start = 0
    for connection in layout.connections:
        layer = Layer(
            n_sources=connection.source.channels,
            n_units=connection.target.channels,
            stride=connection.target.stride,
            weight_start=connection.weights.start,
            bias_start=connection.biases.start,
            first_row=connection.weights.first_row,
            transposed_start=transposed_start,
        )
        # Those of the first layer are not transposed: no deltas travel back to the input.
        if layers:
            transposed_start += layer.n_units * layers[-1].stride
        layers.append(layer)
    return tuple(layers)


class FullyConnectedKernels:
    """The kernels of fully connected layers; see `spikejoule.engine.kernel_set.KernelSet`.

    Args:
        layout: where the parameters are.
        parameters: flat, those that run; the kernels read them where they are.
        lanes: parts in which the gradient of a batch is summed.
    """

    def __init__(self, layout: ParameterLayout, parameters: NDArray[Any], lanes: int) -> None:
        self._layout = layout
        self._layers = layer_table(layout)
        self._lanes = lanes
        self._workspace: Workspace | None = None
        last = self._layers[-1]
        before_last = self._layers[-2].stride if len(self._layers) > 1 else 0
        transposed_size = last.transposed_start + last.n_units * before_last
        network = layout.network
        dtype = parameters.dtype
        self._arrays = NetworkArrays(
            layers=np.array(self._layers, dtype=np.int64),
            parameters=parameters,
            transposed=aligned_zeros((max(transposed_size, 1),), dtype),
            fan_outs=np.zeros(layout.rows.starts.size, dtype=np.int64),
            learned_start=layout.learned_start,
            learned_row=layout.learned_row,
            constants=np.empty((len(self._layers), 6), dtype),
            reset=reset_code(network),
            on_grid=int(network.quantisation is not None),
        )
        self._no_biases = np.empty((2, 0), dtype)
        self.prune({})

    @property
    def constants(self) -> NDArray[Any]:
        """See the protocol."""
        return self._arrays.constants

    @property
    def fan_outs(self) -> Integers:
        """Of the source of each row of parameters."""
        return self._arrays.fan_outs

    def prune(self, masks: Masks) -> None:
        """See the protocol."""
        for layer, fan_out in zip(self._layers, self._layout.fan_outs(masks), strict=True):
            self.fan_outs[layer.first_row : layer.first_row + layer.n_sources] = fan_out

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs | None,
        learning: Learning,
        threads: int,
    ) -> Workspace:
        """See the protocol."""
        n_steps = (batch.offsets.size - 1) // batch.labels.size
        workspace = self._workspace_for(n_steps, threads)
        if currents is None:
            gradient_of_batch(batch, learning, self._arrays, workspace, threads)
            return workspace
        own = self._own_biases(currents, even_parts(batch.labels.size, threads))
        batch = batch._replace(own=own)
        gradient_of_batch(batch, learning, self._arrays, workspace, threads)
        parts = -(-threads // self._lanes)
        add_current_gradients(currents, self._layers[0], batch.bounds, parts, own[1], workspace)
        return workspace

    def _workspace_for(self, n_steps: int, threads: int) -> Workspace:
        """The workspace, allocated once for a window and a number of threads."""
        slots = slots_for(self._layers, n_steps, self._lanes, threads)
        workspace = self._workspace
        if workspace is None or (workspace.n_steps, len(workspace.counts)) != (n_steps, slots):
            workspace = self._workspace = self._new_workspace(n_steps, slots)
        return workspace

    def _new_workspace(self, n_steps: int, slots: int) -> Workspace:
        """Memory for windows of `n_steps`, and for so many groups that are worked at once."""
        layout = self._layout
        lanes = self._lanes
        dtype = self._arrays.parameters.dtype
        widest = max(layer.stride for layer in self._layers)
        most_sources = max(layer.n_sources for layer in self._layers)
        n_layers = len(self._layers)
        output = self._layers[-1]
        rows = GROUP_SAMPLES * n_steps
        # Of the type of the input's, which takes turns with them in the kernels.
        spike_type = source_type(self._layers[0].n_sources)
        most_spikes = rows * max(most_sources, widest)
        potentials = n_steps * widest if layout.learned else 0
        return Workspace(
            n_steps=n_steps,
            group_size=GROUP_SAMPLES,
            gradients=aligned_zeros((lanes, layout.size), dtype),
            touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
            squares=np.zeros(layout.rows.chunks.size - 1),
            losses=np.zeros(lanes),
            counts=np.zeros((slots, 2 * n_layers + 2), dtype=np.int64),
            deltas=aligned_zeros((slots, n_layers, rows * widest), dtype),
            spikes=np.zeros((slots, n_layers, rows * widest + SPARE_SPIKES), dtype=spike_type),
            offsets=np.zeros((slots, n_layers, rows + 1), dtype=np.int64),
            steps=np.zeros((slots, n_layers, most_spikes), dtype=np.uint32),
            active=np.zeros((slots, n_layers, most_sources + 1), dtype=np.uint32),
            firsts=np.zeros((slots, n_layers, most_sources + 1), dtype=np.uint32),
            n_active=np.zeros((slots, n_layers), dtype=np.int64),
            biases=aligned_zeros((slots, n_layers, GROUP_SAMPLES * widest), dtype),
            learned=np.zeros((slots, GROUP_SAMPLES, n_layers, 2)),
            group_losses=np.zeros((slots, GROUP_SAMPLES)),
            potentials=aligned_zeros((slots, n_layers, potentials), dtype),
            fired=np.zeros((slots, n_steps * widest // LANES), dtype=np.uint16),
            class_counts=np.zeros((slots, output.n_units), dtype=np.int64),
            count_gradient=aligned_zeros((slots, output.stride), dtype),
            costs=aligned_zeros((slots, n_layers, widest), dtype),
            places=np.zeros((slots, most_sources), dtype=np.uint32),
            begins=np.zeros((slots, most_spikes + 1), dtype=np.uint32),
        )

    def _own_biases(self, currents: ConstantInputs, bounds: Integers) -> NDArray[Any]:
        """A bias row for each sample, and room for its gradient, [2, samples * stride]."""
        layer = self._layers[0]
        parameters = self._arrays.parameters
        n_samples = currents.offsets.size - 1
        own = aligned_zeros((2, n_samples * layer.stride), parameters.dtype)
        bias_rows(currents, layer, parameters, bounds, own[0])
        return own

    def run_layer(self, events: EventList, number: int) -> EventList:
        """See the protocol."""
        layer = self._layers[number]
        neuron = self._neuron(number)
        n_steps = events.n_steps
        parameters = self._arrays.parameters
        currents = constant_inputs(events, parameters.dtype)

        def fill(samples: slice, out: LaneSpikes) -> None:
            spikes = spikes_of(events, samples)
            if currents is None:
                layer_forward_lanes(spikes, layer, parameters, 0, neuron, n_steps, out)
                return
            # Each sample has a bias row of its own, in an array that holds nothing else.
            own, _ = self._own_biases(currents_of(currents, samples), out.bounds)
            at_row = layer._replace(bias_start=0)
            layer_forward_lanes(spikes, at_row, own, layer.stride, neuron, n_steps, out)

        return collect_events(events.n_samples, n_steps, layer.n_units, fill)

    def _neuron(self, number: int) -> NeuronConstants:
        """The neuron of a layer.

        `structures.neuron_at` is for kernels: called from here it would return float64.
        """
        arrays = self._arrays
        decay, threshold, *grid = arrays.constants[number]
        return NeuronConstants(decay, threshold, arrays.reset, arrays.on_grid, *grid)


def slots_for(layers: tuple[Layer, ...], n_steps: int, lanes: int, threads: int) -> int:
    """Groups that are worked at once: one a lane, or more where there are more threads."""
    if threads <= lanes:
        return lanes
    floats = sum(layer.stride for layer in layers) * n_steps * GROUP_SAMPLES
    wanted = min(2 * threads, SLOT_BYTES // (4 * floats))
    return max(padded(wanted, lanes), lanes)
