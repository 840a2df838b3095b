"""Counts by node of a network, from which all operations follow.

They come from measured spikes of trained networks and from the activations of
conventional ones (`counts.measurement`), from the executor of NIR graphs
(`nir.running`), from hooks on a PyTorch model (`pricing.activity`), or from a
checkpoint (`compare.from_checkpoint`). Rows are samples, epochs of a training, or one
mean.

A conventional network sends values, once per sample. All of its values are passed on;
those that are not zero determine the products (`macs`).

In a trained network, pooling only renames spikes (`network.network`): it takes no
operation and has no record, and its spikes are events of the next connection. In an
imported graph, pooling sums spikes to values.

A spike reaches recurrent weights in the step in which it is emitted, and their output
arrives one step later; spikes of the last step count, too. Spikes still in a Delay at
the end reach nothing. Inputs that reach neurons, a Threshold or the output without a
synapse are added there, uncounted. Output spikes reach no synapse, and neither does a
spike at a removed synapse: events of pruned networks are counted synapse by synapse.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.encoder import EncodingOperations
from spikejoule.encoding.events import Products
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network
from spikejoule.network.nodes import Connection
from spikejoule.network.readout import Readout

Counts = NDArray[Any]
"""int64 [N]; float64 [1] of a mean."""

SpikingGraph = Network | ImportedGraph
"""A spiking network, trained here or imported."""

AnyNetwork = SpikingGraph | ConventionalNetwork


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeCounts:
    """Counts of one node for each of N samples, [N] each.

    None for counts that this kind of node does not have.

    Attributes:
        spikes: spikes that its units emit: input, neurons, Threshold, Delay of spikes.
        values: values other than zero and spikes that it passes to nodes that multiply
            them, or that a Delay held.
        reads: reads of these spikes or values by other nodes; None for one read per
            connection that they enter.
        events: synaptic events: a spike reaches a synapse and its weight is added.
        macs: multiply-accumulates: a value other than zero and a spike reaches a
            synapse. This happens after pooling, Scale, non-spiking neurons and ReLU
            units, and with an input of constant currents.
        updates: neuron updates, one per neuron and step in which it is updated.
        active: updates in which the neuron spikes; ReLU units above zero.
        resets: resets of potentials after a spike.
        comparisons: comparisons with a threshold, or of two values.
        leaks: multiplications of leaking states.
        biases: additions of a bias or another constant, and initial potentials set to a
            bias.
        additions: additions in pooling, one per nonzero value and window.
        multiplications: in average pooling, one per nonzero sum; in Scale, one per
            value other than zero and a spike.
        nonzero_products: of the events or multiply-accumulates of a product of two
            activations, those with two factors that are not zero. No price applies to
            them: a spike is sent whatever it meets.
        steps: steps of all samples together in which a connection ran; None if it ran
            in each step of the time window.
    """

    spikes: Counts | None = None
    values: Counts | None = None
    reads: Counts | None = None
    events: Counts | None = None
    macs: Counts | None = None
    updates: Counts | None = None
    active: Counts | None = None
    resets: Counts | None = None
    comparisons: Counts | None = None
    leaks: Counts | None = None
    biases: Counts | None = None
    additions: Counts | None = None
    multiplications: Counts | None = None
    nonzero_products: Counts | None = None
    steps: Counts | None = None

    @classmethod
    def of_neurons(
        cls,
        spikes: Counts,
        updates: Counts,
        leaks: Counts | None = None,
        biases: Counts | None = None,
    ) -> Self:
        """Count neurons that reset at each spike and compare in each update."""
        return cls(
            spikes=spikes,
            updates=updates,
            active=spikes,
            resets=spikes,
            comparisons=updates,
            leaks=leaks,
            biases=biases,
        )

    @classmethod
    def of_batches(cls, batches: Sequence[Self]) -> Self:
        """Join the counts of consecutive batches of samples."""
        joined = {}
        for field in fields(cls):
            parts = [getattr(batch, field.name) for batch in batches]
            joined[field.name] = None if parts[0] is None else np.concatenate(parts)
        return cls(**joined)

    @property
    def as_mean(self) -> Self:
        """The mean of all samples, float64 [1] each."""
        return self._mapped(lambda counts: counts.mean(keepdims=True))

    def with_comparisons(self, comparisons: Counts) -> Self:
        """The same counts with other comparisons."""
        return replace(self, comparisons=comparisons)

    def first(self, n_rows: int) -> Self:
        """The first rows alone."""
        return self._mapped(lambda counts: counts[:n_rows])

    def _mapped(self, change: Callable[[Counts], Counts]) -> Self:
        changed = {
            name: None if counts is None else change(counts)
            for name, counts in vars(self).items()
        }
        return type(self)(**changed)


@dataclass(frozen=True, eq=False, kw_only=True)
class Activity:
    """A network and the counts of its nodes over N rows: samples, epochs, or one mean.

    Attributes:
        network: the network.
        time_window: T.
        counts: counts of each active node, by name.
        pruned: whether a zero weight is no synapse; the network then has its weights.
        products: how often hardware multiplies constant currents; None for an input of
            spikes.
        exit_steps: the step after which each sample stopped, [N]; None without early
            exit.
        samples: samples of each row, [N]; None for one each.
        lazy: whether neurons were updated only when needed, not in every step.
        encoding: what encoding the samples took; None if unknown, or not images.
    """

    network: AnyNetwork
    time_window: int
    counts: Mapping[str, NodeCounts]
    pruned: bool = False
    products: Products | None = None
    exit_steps: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None
    lazy: bool = False
    encoding: EncodingOperations | None = None

    @property
    def as_mean(self) -> Self:
        """The mean of all rows as one row, without what is known of single rows."""
        means = {name: node.as_mean for name, node in self.counts.items()}
        return replace(self, counts=means)

    @property
    def spiking(self) -> SpikingGraph:
        """The network, which is a spiking one."""
        assert not isinstance(self.network, ConventionalNetwork)
        return self.network

    @property
    def is_conventional(self) -> bool:
        """Whether its units send values, once per sample."""
        return isinstance(self.network, ConventionalNetwork)

    @property
    def potentials_read(self) -> Readout | None:
        """How the potentials of the output answer; None if they are not read."""
        if not isinstance(self.network, Network) or self.network.readout.is_spiking:
            return None
        return self.network.readout

    @property
    def n_rows(self) -> int:
        """N."""
        return next(
            len(count)
            for node in self.counts.values()
            for count in vars(node).values()
            if count is not None
        )

    @property
    def samples_of_row(self) -> NDArray[np.int64]:
        """Samples of each row, [N]."""
        return np.ones(self.n_rows, np.int64) if self.samples is None else self.samples

    @property
    def none(self) -> NDArray[np.int64]:
        """Zeros, [N]."""
        return np.zeros(self.n_rows, np.int64)

    def first(self, n_rows: int) -> Self:
        """The first rows alone; what is known of single rows must be absent."""
        return replace(
            self,
            counts={name: node.first(n_rows) for name, node in self.counts.items()},
        )

    def spikes_of(self, name: str) -> Counts:
        """Return the spikes of a node, [N]; zeros if it passes on values."""
        spikes = self.counts[name].spikes if name in self.counts else None
        return self.none if spikes is None else spikes

    @property
    def silent_layers(self) -> list[str]:
        """Names of the spiking layers that emit no spike in any row."""
        return [
            name
            for name in self.network.layer_names
            if name in self.network.spiking
            and self.counts[name].values is None
            and not self.spikes_of(name).any()
        ]

    @property
    def events(self) -> Counts:
        """Synaptic events of all connections, [N]."""
        return self.sum_of(*(node.events for node in self.counts.values()))

    @property
    def macs(self) -> Counts:
        """Multiply-accumulates of all connections, [N]."""
        return self.sum_of(*(node.macs for node in self.counts.values()))

    @property
    def updates(self) -> Counts:
        """Updates of all neurons, [N]."""
        return self.sum_of(*(node.updates for node in self.counts.values()))

    def sum_of(self, *counts: Counts | None) -> Counts:
        """Add counts [N]; None counts nothing."""
        return sum((count for count in counts if count is not None), self.none)

    # The original notebook's energy proxies of a spiking network.

    def mean_events_of(self, connection: Connection) -> float:
        """Return the mean synaptic events of a connection per inference."""
        events = self.counts[connection.name].events
        return 0.0 if events is None else float(events.mean())

    def dense_operations_of(self, connection: Connection) -> int:
        """Return its operations per inference if every synapse worked in every step.

        A layer that runs several times in a step, on tokens say, works each time.
        """
        ran = self.counts[connection.name].steps
        steps = 0 if ran is None else math.ceil(ran.max())
        n_synapses = int(self.spiking.fan_out_of(connection).sum())
        return n_synapses * max(self.time_window, steps)

    @property
    def synaptic_events_per_inference(self) -> float:
        """Mean synaptic events of all connections."""
        return sum(map(self.mean_events_of, self.network.connections))

    @property
    def dense_operations_per_inference(self) -> int:
        """Operations if every synapse, removed or not, worked in every step."""
        return sum(map(self.dense_operations_of, self.network.connections))

    @property
    def sparsity_ratio(self) -> float:
        """Synaptic events over dense operations, 0 to 1."""
        return self.synaptic_events_per_inference / self.dense_operations_per_inference

    @property
    def input_macs_per_inference(self) -> float | None:
        """Mean multiply-accumulates of constant currents; None for spikes."""
        return None if self.products is None else float(self.macs.mean())
