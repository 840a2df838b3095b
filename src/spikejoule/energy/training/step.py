"""A training step of either side, in any dataflow: sizes, memories, the forward pass.

All words are 32-bit floating point, whatever the width of inference; a memory holds one
array. The weights of a connection share their memories (of values, of gradients, of
Adam's two moments, and of masks) with the biases and learned constants of the layer
after it, unless the dataflow gives biases a memory of their own. Recurrent weights have
memories of their own. Pruned synapses keep their place.

The forward pass is inference over the training samples, and what the backward pass
needs is kept: the spikes or values that each layer passes on, of all T steps, and each
potential before the reset, one word per neuron and step. It is kept, like the deltas,
for one sample, or for all samples of a batch if gradients are summed over it. An output
that integrates without spikes keeps no potentials, unless it learns its decay.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity, AnyNetwork
from spikejoule.counts.training import TrainingRecord, Updates
from spikejoule.energy.count import count_operations
from spikejoule.energy.dataflow import Dataflow
from spikejoule.energy.operations import OperationCounts, Words, block
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.graph import Graph
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import DECAY_LOGIT
from spikejoule.network.nodes import Connection, Neurons, Node, Pooling
from spikejoule.network.quantisation import FLOAT_BITS

Counts = NDArray[np.int64]
Blocks = Iterator[OperationCounts]

_KEPT: Final = ("spike_read", "spike_write", "activation_read", "activation_write")
"""Accesses to what layers pass on, which is kept for the backward pass."""


@dataclass(frozen=True)
class Parameters:
    """Parameters that share their memories.

    Attributes:
        place: where they are counted: a connection, or a layer.
        count: number of parameters.
        stored: words of the memory that holds them.
        updates: how they are updated; None if they are not.
    """

    place: str
    count: int
    stored: int
    updates: Updates | None

    @property
    def values_memory(self) -> Words:
        """The memory of the parameters themselves."""
        return Words(FLOAT_BITS, self.count, FLOAT_BITS * self.stored)

    @property
    def word_memory(self) -> Words:
        """A memory with one word for each of them: gradients, masks."""
        return Words(FLOAT_BITS, self.stored)

    def moments_memory(self, moments: int) -> Words:
        """Return the memory of the moments of an optimizer, of which Adam has two."""
        return Words(FLOAT_BITS, moments * self.stored)


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
    def network(self) -> AnyNetwork:
        """The network that is trained."""
        return self.record.network

    @property
    def held_samples(self) -> int:
        """Samples whose values and deltas are held at a time: 1, or a batch."""
        return self.record.batch_size if self.dataflow.gradients == "batch" else 1

    @property
    def is_spiking(self) -> bool:
        """Whether it trains a spiking network."""
        return not isinstance(self.network, ConventionalNetwork)

    @cached_property
    def activity(self) -> Activity:
        """The counts, of a network that computes in 32 bits."""
        activity = self.record.activity
        network = activity.network
        if isinstance(network, Network):
            in_floats = replace(network, quantisation=None)
            return replace(activity, network=in_floats)
        if isinstance(network, ConventionalNetwork):
            return replace(activity, network=network.in_floats)
        return activity

    @cached_property
    def inference(self) -> OperationCounts:
        """The operations of inference, over the samples of each row."""
        return count_operations(self.activity, self.dataflow)

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

    # Layers: those after the input that have deltas

    @property
    def layers(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(layer.name for layer in self._layers)

    @cached_property
    def _layers(self) -> tuple[Node, ...]:
        """The layers that something which learns is in or before."""
        layers = self.network.layers[1:]
        if self.record.learned is None:
            return layers
        return tuple(layer for layer in layers if self.has_delta(layer.name))

    @property
    def updates(self) -> Counts:
        """Units times steps of each layer, [E, layers]."""
        if isinstance(self.network, ImportedGraph):
            return self.counts_of_layers("updates")
        sizes = np.array([layer.n_out for layer in self._layers], np.int64)
        updates: Counts = self.samples * self.time_window * sizes
        return updates

    @property
    def firing(self) -> NDArray[np.bool_]:
        """Whether each layer spikes; readouts do not, [layers]."""
        spiking = self.network.spiking
        return np.array([layer.name in spiking for layer in self._layers], np.bool_)

    @property
    def states(self) -> NDArray[np.int64]:
        """State variables of a neuron of each layer, [layers]."""
        neurons = [layer for layer in self._layers if isinstance(layer, Neurons)]
        return np.array([layer.n_states for layer in neurons], np.int64)

    @property
    def keeps_potentials(self) -> NDArray[np.bool_]:
        """Whether the potentials of each layer are kept, [layers].

        The surrogate needs them, and the gradient of a decay, also in a readout.
        """
        decays = [DECAY_LOGIT in self.constants_of(layer) for layer in self.layers]
        return self.firing | np.array(decays, np.bool_)

    def counts_of_layers(self, name: str) -> Counts:
        """Return a field of `NodeCounts` of each layer, [E, layers]; 0 if absent."""
        counts = [getattr(self.activity.counts[layer], name) for layer in self.layers]
        none = self.activity.none
        known = [none if one is None else one for one in counts]
        return np.array(known, np.int64).reshape(len(known), none.size).T

    def of_layers(self) -> Words:
        """Return the memories of one word per unit and step of each layer."""
        sizes = np.array([layer.n_out for layer in self._layers], np.int64)
        return Words(FLOAT_BITS, sizes * self.time_window * self.held_samples)

    def constants_of(self, layer: str) -> tuple[str, ...]:
        """Return the names of the constants that a layer learns, one each."""
        if self.record.learned is not None:
            return self.record.learned.constants.get(layer, ())
        network = self.network
        return network.neuron.learned_names if isinstance(network, Network) else ()

    # Connections

    def layer_after(self, node: Connection) -> str:
        """Return the name of the layer after a connection.

        In an imported graph it is the first population that its sums reach, or else
        the connection.
        """
        network = self.network
        if not isinstance(network, ImportedGraph):
            return network.target_of(node).name
        reached = next(_layers_after(network, node.name), None)
        return node.name if reached is None else reached

    def sender_of(self, node: Connection) -> str:
        """Return the name of the layer whose spikes or values enter a connection."""
        if isinstance(self.network, ImportedGraph):
            return self.network.sources[node.name][0]
        (sender,) = self.network.senders_of(node)
        return sender

    def learns(self, node: Connection) -> bool:
        """Whether the weights of a connection learn."""
        learned = self.record.learned
        return learned is None or node.name in learned.weights

    def passes_back(self, node: Connection) -> bool:
        """Whether deltas pass back through a connection: what sends to it has some."""
        return self.has_delta(self.sender_of(node))

    def has_delta(self, name: str) -> bool:
        """Whether something that learns is at a node, or before it."""
        return name in self._with_deltas

    @cached_property
    def _with_deltas(self) -> frozenset[str]:
        """Names of the connections and layers which learn, and of all after them.

        A node of an imported graph whose sources are not known is after all that ran
        before it.
        """
        edges = self._edges()
        found = set()
        for node in self.network.connections:
            if self.learns(node):
                found.add(node.name)
            if self._n_others(node):
                found.add(self.layer_after(node))
        if isinstance(self.network, ImportedGraph):
            names = [*self.network.nodes]
            first = min((names.index(name) for name in found), default=len(names))
            found.update(
                name for name in names[first:] if not self.network.sources[name]
            )
        more = True
        while more:
            after = {target for source, target in edges if source in found}
            more = not after <= found
            found |= after
        return frozenset(found)

    def _edges(self) -> Sequence[tuple[str, str]]:
        """Return the edges of the network; those of a chain look through pooling."""
        if isinstance(self.network, ImportedGraph):
            return self.network.edges
        return [
            edge
            for node in self.network.connections
            for edge in (
                (self.sender_of(node), node.name),
                (node.name, self.layer_after(node)),
            )
        ]

    def is_last(self, node: Connection) -> bool:
        """Whether the output layer is after a connection."""
        return self.layer_after(node) == self.network.layer_names[-1]

    def is_recurrent(self, node: Connection) -> bool:
        """Whether a connection returns to its own layer."""
        return self.sender_of(node) == self.layer_after(node)

    def column_of(self, node: Connection, counts: NDArray[np.int64]) -> Counts:
        """Return the column of a connection in counts [E, K], [E, 1]."""
        return counts[:, [self.network.connections.index(node)]]

    def n_biases(self, node: Connection) -> int:
        """Return the number of biases that learn in the layer after a connection."""
        if self.record.learned is not None:
            return self.record.learned.n_biases.get(node.name, 0)
        return self.network.bias_words(node)

    def weights_of(self, node: Connection) -> Parameters:
        """Return the weights of a connection."""
        count = node.stored()
        stored = count + self._joined(self._n_others(node))
        updates = self._by_adam
        if self.record.learned is not None:
            updates = self.record.learned.weights.get(node.name)
        return Parameters(node.name, count, stored, updates)

    def others_of(self, node: Connection) -> Parameters:
        """Return the biases and learned constants of the layer after a connection."""
        count = self._n_others(node)
        stored = count + self._joined(node.stored())
        updates = self._by_adam
        if self.record.learned is not None:
            updates = self.record.learned.biases.get(node.name)
        return Parameters(self.layer_after(node), count, stored, updates)

    @property
    def _by_adam(self) -> Updates | None:
        """The updates of the pipeline's own trainings: by Adam, after each batch."""
        record = self.record
        return Updates("adam", record.weight_decay, record.batches)

    def _joined(self, n_words: int) -> int:
        """Return words that share a memory with others; 0 if they have their own."""
        return n_words if self.dataflow.biases == "weights" else 0

    def _n_others(self, node: Connection) -> int:
        constants = 0
        if not self.is_recurrent(node):
            constants = len(self.constants_of(self.layer_after(node)))
        return self.n_biases(node) + constants

    def deltas_of(self, node: Connection) -> Words:
        """Return the memory of the deltas of the layer after a connection."""
        return Words(FLOAT_BITS, node.n_out * self.time_window * self.held_samples)

    def matrices(self, node: Connection) -> Counts:
        """Return the products of the whole matrix that a dense step computes, [E, 1].

        Recurrent weights take T - 1 for each sample: no spikes arrive in the first
        step, and no deltas pass back into the last.
        """
        steps_ran = self.activity.counts[node.name].steps
        if steps_ran is not None:
            return steps_ran[:, None]
        is_of_input = self.sender_of(node) == self.network.input.name
        is_once = is_of_input and self.activity.products == "once"
        steps = 1 if is_once else self.time_window - self.is_recurrent(node)
        return self.samples * steps


def _layers_after(network: Graph, name: str) -> Iterator[str]:
    """Yield the populations that a node reaches, not through another connection."""
    for node in network.readers_of(name):
        if isinstance(node, Neurons):
            yield node.name
        elif not isinstance(node, Connection):
            yield from _layers_after(network, node.name)


def forward(step: TrainingStep) -> Blocks:
    """Count the forward passes of all samples."""
    yield widened(step, step.inference)
    if step.is_spiking:
        kept = step.updates * step.keeps_potentials
        yield block("trace_write", step.layers, kept, step.of_layers())
    elif step.network.weight_bits < FLOAT_BITS:
        for layer, units in zip(step.layers[:-1], step.updates.T, strict=False):
            yield block("requantisation", [layer], units[:, None])


def widened(step: TrainingStep, operations: OperationCounts) -> OperationCounts:
    """Return operations with memories for all that layers pass on and is kept.

    Constant currents, also pooled ones, are the same in every step.
    """
    network = step.network
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
