"""The counts of each node of a network: what every operation follows from.

They are made by the engines of trained networks (`counts.measurement`), by the executor
of NIR graphs (`nir.running`), by hooks on a PyTorch model (`pricing.counted`), or read
from a checkpoint (`energy.from_checkpoint`).

Pooling of a trained network renames spikes (`network.network`): it takes no operation
and has no record, and the spikes that it passes on are events of the connection behind
it. A graph's sums them to values.

A spike reaches recurrent weights in the step in which it is fired, and what they give
arrives one step later; those of the last step count, too. What a Delay still holds at
the end reaches nothing. What comes to neurons, a Threshold or the output without a
synapse before it is added there, uncounted. Output spikes reach no synapse and cost
none, nor does a spike where a synapse was pruned: the events of a pruned network are
counted synapse by synapse.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import Products
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network

Counts = NDArray[Any]
"""int64 [N]; float64 [1] of a mean."""

SpikingGraph = Network | ImportedGraph
"""A network that emits spikes, trained here or elsewhere."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeCounts:
    """What a node does for each of N samples: a number of occurrences, [N] each.

    None where a node of this kind does no such thing.

    Attributes:
        spikes: that its units give: input, neurons, Threshold, a Delay of spikes.
        values: that it gives to those that multiply them, or that a Delay has held, if
            they are neither zero nor spikes.
        reads: of these spikes or values by other nodes; None for one by each connection
            that they enter.
        events: synaptic events: a spike reaches a synapse, and its weight is added.
        macs: multiply-accumulates: a value that is no spike, and not zero, reaches a
            synapse. So it is behind pooling, Scale, and neurons that give potentials,
            and with an input of constant currents.
        updates: of neurons, one for each neuron in each step in which it is updated.
        active: those of `updates` in which the neuron spikes.
        resets: of potentials, after a spike.
        comparisons: with a threshold, or of two values.
        leaks: multiplications by which states leak.
        biases: additions of a bias, or of another constant.
        additions: of pooling: an amount that is not zero is added to one window.
        multiplications: of average pooling, once a sum that is not zero; of Scale, once
            a value that is neither zero nor a spike.
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

    @classmethod
    def of_neurons(
        cls,
        spikes: Counts,
        updates: Counts,
        leaks: Counts | None = None,
        biases: Counts | None = None,
    ) -> Self:
        """The counts of neurons that are reset by each spike, and compared in each
        update.
        """
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
        """The counts of samples that ran in several batches, in their order."""
        joined = {}
        for field in fields(cls):
            parts = [getattr(batch, field.name) for batch in batches]
            joined[field.name] = None if parts[0] is None else np.concatenate(parts)
        return cls(**joined)


@dataclass(frozen=True, eq=False, kw_only=True)
class Activity:
    """A network, and what its nodes did for N samples, in N epochs, or on average (N =
    1).

    Attributes:
        network: whose nodes are counted.
        time_window: T.
        counts: of each node that does something, by its name.
        pruned: whether a weight of zero is no synapse; the network has its weights
            then.
        products: how often hardware multiplies constant currents; None for an input of
            spikes.
        exit_steps: the steps [N] after which a network with early exit stopped; None
            for one without.
        samples: of each row, [N]; None for one.
    """

    network: SpikingGraph
    time_window: int
    counts: Mapping[str, NodeCounts]
    pruned: bool = False
    products: Products | None = None
    exit_steps: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None

    @property
    def n_rows(self) -> int:
        """N."""
        spikes = self.counts[self.network.input.name].spikes
        assert spikes is not None
        return len(spikes)

    @property
    def samples_of_row(self) -> NDArray[np.int64]:
        """Samples of each row, [N]."""
        return np.ones(self.n_rows, np.int64) if self.samples is None else self.samples

    @property
    def none(self) -> NDArray[np.int64]:
        """Zero of each row, [N]."""
        return np.zeros(self.n_rows, np.int64)

    def spikes_of(self, name: str) -> Counts:
        """Spikes of a node, [N]; zeros where it gives values."""
        spikes = self.counts[name].spikes
        return self.none if spikes is None else spikes

    @property
    def events(self) -> Counts:
        """Synaptic events of all connections, [N]."""
        return self._sum(node.events for node in self.counts.values())

    @property
    def macs(self) -> Counts:
        """Multiply-accumulates of all connections, [N]."""
        return self._sum(node.macs for node in self.counts.values())

    @property
    def updates(self) -> Counts:
        """Updates of all neurons, [N]."""
        return self._sum(node.updates for node in self.counts.values())

    def _sum(self, counts: Iterable[Counts | None]) -> Counts:
        return sum((count for count in counts if count is not None), self.none)
