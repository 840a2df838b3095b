"""A training step of either side, in any dataflow: sizes, and the forward pass.

The forward pass is inference over the training samples, in 32 bits, and what the
backward pass needs is kept: the spikes or values that each layer passes on, of all T
steps, and each potential before the reset, one word per neuron and step. It is kept for
one sample, or for all samples of a batch if gradients are summed over it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Final

import numpy as np

from spikejoule.counts.records import Activity
from spikejoule.energy.count import count_operations
from spikejoule.energy.dataflow import Dataflow
from spikejoule.energy.operations import OperationCounts, Words, block
from spikejoule.energy.training.arrays import (
    Blocks,
    Counts,
    TrainedConnection,
    trace_words,
    trained_connections,
)
from spikejoule.energy.training.record import TrainingRecord
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import Network
from spikejoule.network.nodes import Pooling
from spikejoule.network.quantisation import FLOAT_BITS

_KEPT: Final = ("spike_read", "spike_write", "activation_read", "activation_write")
"""Accesses to what layers pass on, which is kept for the backward pass."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """A training, prepared for counting; E rows, L layers, K connections.

    Attributes:
        record: the training.
        dataflow: how a step is run.
    """

    record: TrainingRecord
    dataflow: Dataflow

    @property
    def held_samples(self) -> int:
        """Samples whose values and deltas are held at a time: 1, or a batch."""
        return self.record.batch_size if self.dataflow.gradients == "batch" else 1

    @property
    def is_spiking(self) -> bool:
        """Whether it trains a spiking network."""
        return isinstance(self.record.network, Network)

    @cached_property
    def activity(self) -> Activity:
        """The counts, of a network that computes in 32 bits."""
        activity = self.record.activity
        network = activity.network
        if isinstance(network, Network):
            in_floats = replace(network, quantisation=None)
            return replace(activity, network=in_floats)
        assert isinstance(network, ConventionalNetwork)
        return replace(activity, network=network.in_floats)

    @cached_property
    def inference(self) -> OperationCounts:
        """The operations of inference, over the samples of each row."""
        return count_operations(self.activity, dataflow=self.dataflow)

    @cached_property
    def connections(self) -> tuple[TrainedConnection, ...]:
        """The K connections."""
        return trained_connections(self.record.network, self.dataflow)

    @property
    def samples(self) -> Counts:
        """Samples of each row, [E, 1]."""
        return self.activity.samples_of_row[:, None]

    @property
    def batches(self) -> Counts:
        """Optimizer steps of each row, [E, 1]."""
        return self.record.batches[:, None]

    @property
    def time_window(self) -> int:
        """T; 1 for a conventional network."""
        return self.activity.time_window

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers after the input."""
        return self.record.network.layer_names[1:]

    @property
    def updates(self) -> Counts:
        """Units times steps of each layer after the input, [E, L - 1]."""
        sizes = np.array(self.record.network.layer_sizes[1:])
        updates: Counts = self.samples * self.time_window * sizes
        return updates

    def of_layers(self) -> Words:
        """Return the memories of one word per unit and step of each layer."""
        sizes = np.array(self.record.network.layer_sizes[1:])
        return Words(FLOAT_BITS, sizes * self.time_window * self.held_samples)

    def deltas_of(self, connection: TrainedConnection) -> Words:
        """Return the memory of the deltas of the layer after a connection."""
        return trace_words(connection.n_out, self.time_window, self.held_samples)

    def matrices(self, connection: TrainedConnection) -> Counts:
        """Return the products of the whole matrix that a dense step computes, [E, 1].

        Recurrent weights take T - 1 for each sample: no spikes arrive in the first
        step, and no deltas pass back into the last.
        """
        is_once = connection.is_first and self.activity.products == "once"
        steps = 1 if is_once else self.time_window - connection.is_recurrent
        return self.samples * steps


def forward(step: TrainingStep) -> Blocks:
    """Count the forward passes of all samples."""
    yield widened(step, step.inference)
    if step.is_spiking:
        yield block("trace_write", step.layers, step.updates, step.of_layers())
    elif step.record.network.weight_bits < FLOAT_BITS:
        for layer, units in zip(step.layers[:-1], step.updates.T, strict=False):
            yield block("requantisation", [layer], units[:, None])


def widened(step: TrainingStep, operations: OperationCounts) -> OperationCounts:
    """Return operations with memories for all that layers pass on and is kept.

    Constant currents, also pooled ones, are the same in every step.
    """
    network = step.record.network
    same_in_every_step: set[str] = set()
    if step.activity.products is not None:
        readers = network.readers_of(network.input.name)
        pooled = {node.name for node in readers if isinstance(node, Pooling)}
        same_in_every_step = {network.input.name} | pooled
    columns = []
    for column in operations.columns:
        if column.term in _KEPT:
            is_constant = column.place in same_in_every_step
            steps = 1 if is_constant else step.time_window
            words = column.memory_bits * steps * step.held_samples
            column = replace(column, memory_bits=words)
        columns.append(column)
    return replace(operations, columns=tuple(columns))


def selected(
    operations: OperationCounts, terms: Sequence[str], places: Collection[str]
) -> OperationCounts:
    """Return the counts of some terms in some places."""
    is_chosen = [
        column.term in terms and column.place in places for column in operations.columns
    ]
    columns = tuple(compress(operations.columns, is_chosen))
    return replace(operations, columns=columns, counts=operations.counts[:, is_chosen])
