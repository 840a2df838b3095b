"""The kernels that train fully connected layers, with their arrays and workspace."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros, padded
from spikejoule.encoding.events import source_type
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.fully_connected import layer_table
from spikejoule.engine.kernels.structures import ConstantInputs, Layer, NetworkArrays
from spikejoule.engine.layout import Masks, ParameterLayout
from spikejoule.engine.learning.gradient_set import new_gradient
from spikejoule.engine.learning.kernels.backward import (
    GROUP_SAMPLES,
    add_groups,
    add_lanes,
    prepare_groups,
)
from spikejoule.engine.learning.kernels.deltas import transpose_weights
from spikejoule.engine.learning.kernels.structures import (
    BackwardArrays,
    BatchGradient,
    LabelledBatch,
    Learning,
    Sampling,
    TrainingArrays,
    Workspace,
)
from spikejoule.engine.learning.sharing import share

SLOT_BYTES = 1 << 28
"""Limit on the memory for deltas, when many threads prepare many groups at once."""


class FullyConnectedGradients:
    """A `spikejoule.engine.learning.gradient_set.GradientSet` for such layers.

    Args:
        layout: positions of the parameters.
        network: what the forward pass reads.
        lanes: number of parts in which a batch's gradient is summed.

    Attributes:
        fan_outs: of each row of parameters; a bias row has none.
    """

    def __init__(
        self, layout: ParameterLayout, network: NetworkArrays, lanes: int
    ) -> None:
        self._layout = layout
        self._layers = layer_table(layout)
        self._network = network
        self._lanes = lanes
        last = self._layers[-1]
        before_last = self._layers[-2].stride if len(self._layers) > 1 else 0
        transposed_size = last.transposed_start + last.n_units * before_last
        dtype = self._network.parameters.dtype
        self.fan_outs = np.zeros(layout.rows.starts.size, dtype=np.int64)
        self._backward = BackwardArrays(
            transposed=aligned_zeros((max(transposed_size, 1),), dtype),
            fan_outs=self.fan_outs,
            learned_start=layout.learned_start,
            learned_row=layout.learned_row,
        )
        # Steps and slots for which the workspace was allocated.
        self._memory_for = (0, 0)
        self._workspace: Workspace
        self._gradient: BatchGradient
        self.prune({})

    def prune(self, masks: Masks) -> None:
        """See the protocol."""
        for layer, fan_out in zip(
            self._layers, self._layout.fan_outs(masks), strict=True
        ):
            rows = slice(layer.first_row, layer.first_row + layer.n_sources)
            self.fan_outs[rows] = fan_out

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs,
        learning: Learning,
        sampling: Sampling,
        threads: int,
    ) -> BatchGradient:
        """See the protocol."""
        n_steps = (batch.offsets.size - 1) // batch.labels.size
        slots = slots_for(self._layers, n_steps, self._lanes, threads)
        if self._memory_for != (n_steps, slots):
            self._memory_for = (n_steps, slots)
            self._workspace = self._new_workspace(n_steps, slots)
            dtype = self._network.parameters.dtype
            self._gradient = new_gradient(self._layout, self._lanes, slots, dtype)
        self._gradient.counts[:] = 0
        self._gradient.losses[:] = 0
        training = TrainingArrays(
            batch,
            currents,
            learning,
            sampling,
            self._network,
            self._backward,
            self._workspace,
            self._gradient,
        )
        # Plain tuples: numba looks up their types faster than those of named tuples.
        arrays = tuple(map(tuple, training))
        if slots == self._lanes:
            add_lanes(self._lanes, threads, arrays)
        else:
            transpose_weights(
                threads, self._network, self._backward.transposed, threads
            )
            self._add_shared(batch.bounds, arrays, threads)
        return self._gradient

    def _add_shared(
        self, bounds: NDArray[np.int64], arrays: tuple[Any, ...], threads: int
    ) -> None:
        """Prepare many groups at a time, then add each part of the gradient.

        sharing.py plans this for more threads than lanes.
        """
        strides = tuple(layer.stride for layer in self._layers)
        slots = len(self._gradient.counts)
        sharing = share(strides, tuple(bounds.tolist()), slots, threads)
        for groups in sharing.turns:
            prepare_groups(len(groups), groups, arrays)
            add_groups(len(sharing.parts), groups, sharing.parts, arrays)

    def _new_workspace(self, n_steps: int, slots: int) -> Workspace:
        """Allocate a workspace for windows of `n_steps`, with `slots` slots."""
        dtype = self._network.parameters.dtype
        widest = max(layer.stride for layer in self._layers)
        most_sources = max(layer.n_sources for layer in self._layers)
        n_layers = len(self._layers)
        output = self._layers[-1]
        rows = GROUP_SAMPLES * n_steps
        # The type of the input's sources: kernels assign either to one variable.
        spike_type = source_type(self._layers[0].n_sources)
        most_spikes = rows * max(most_sources, widest)
        potentials = n_steps * widest if self._layout.learned else 0
        return Workspace(
            deltas=aligned_zeros((slots, n_layers, rows * widest), dtype),
            sources=np.zeros(
                (slots, n_layers, rows * widest + SPARE_SPIKES), dtype=spike_type
            ),
            offsets=np.zeros((slots, n_layers, rows + 1), dtype=np.int64),
            steps=np.zeros((slots, n_layers, most_spikes), dtype=np.uint32),
            active=np.zeros((slots, n_layers, most_sources + 1), dtype=np.uint32),
            firsts=np.zeros((slots, n_layers, most_sources + 1), dtype=np.uint32),
            n_active=np.zeros((slots, n_layers), dtype=np.int64),
            bias_gradients=aligned_zeros(
                (slots, n_layers, GROUP_SAMPLES * widest), dtype
            ),
            learned=np.zeros((slots, GROUP_SAMPLES, n_layers, 2)),
            losses=np.zeros((slots, GROUP_SAMPLES)),
            potentials=aligned_zeros((slots, n_layers, potentials), dtype),
            fired=np.zeros((slots, n_steps * widest // LANES), dtype=np.uint16),
            biases=aligned_zeros((slots, widest), dtype),
            initial=aligned_zeros((slots, widest), dtype),
            scores=np.zeros((slots, output.n_units)),
            peaks=np.zeros((slots, output.n_units), dtype=np.int64),
            score_gradient=aligned_zeros((slots, output.stride), dtype),
            costs=aligned_zeros((slots, n_layers, widest), dtype),
            places=np.zeros((slots, most_sources), dtype=np.uint32),
            begins=np.zeros((slots, most_spikes + 1), dtype=np.uint32),
            kept=np.zeros((slots, n_steps * widest + SPARE_SPIKES), dtype=spike_type),
            kept_offsets=np.zeros((slots, n_steps + 1), dtype=np.int64),
            amplitudes=np.zeros((slots, n_steps * widest), dtype=dtype),
            # Two words are written at a time: one more, if their number is odd.
            marked=np.zeros((slots, n_steps * widest // LANES + 1), dtype=np.uint16),
            seen=np.zeros((slots, most_sources), dtype=np.uint8),
        )


def slots_for(layers: tuple[Layer, ...], n_steps: int, lanes: int, threads: int) -> int:
    """Return the number of groups at a time: one per lane, more with more threads."""
    if threads <= lanes:
        return lanes
    floats = sum(layer.stride for layer in layers) * n_steps * GROUP_SAMPLES
    wanted = min(2 * threads, SLOT_BYTES // (4 * floats))
    return max(padded(wanted, lanes), lanes)
