"""What N samples do in a network, and what is counted of it.

All that operations follow from are counts of each sample by kind and node of the network, whoever
made them (`Activity`): the engines of trained networks, whose spikes a `Measurement` has, or the
executor of graphs, which counts while it runs.

    spikes          that the units of a node give: input, neurons, Threshold, a Delay of spikes
    events          synaptic events of a connection: a spike reaches a synapse, and its weight is
                    added
    macs            multiply-accumulates of a connection: a value that is no spike, and not zero,
                    reaches a synapse; so it is behind pooling, Scale, and neurons that give
                    potentials, and with an input of constant currents
    updates         of the neurons of a population
    additions       of pooling: an amount that is not zero is added to one window
    multiplications of average pooling, once a sum that is not zero; of Scale, once a value that is
                    neither zero nor a spike
    values          that a node gives to those that multiply them, or that a Delay has held, if they
                    are neither zero nor spikes

Pooling of a chain of layers renames spikes (`network.network`): it takes no operation, and the
spikes that it passes on are events of the connection behind it. A graph's sums them to values.

A spike reaches recurrent weights in the step in which it is fired, and what they give arrives one
step later; those of the last step count, too. What a Delay still holds at the end reaches nothing.
What comes to neurons, a Threshold or the output without a synapse before it is added there,
uncounted. Output spikes reach no synapse and cost none, nor does a spike where a synapse was
pruned: the events of a pruned network are counted synapse by synapse.

The energy proxies, as the seed notebook calls them, are the operation counts of one inference,
counted by event and counted densely. For the connection that leads from layer l to layer l + 1, T
steps, and S_l spikes that layer l emits during one inference (a mean over samples),

    synaptic events  = S_l * fan_out_l                an accumulate for each synapse a spike reaches
    dense operations = N_l * fan_out_l * T            every synapse in every step, removed or not
    sparsity ratio   = synaptic events / dense operations, the mean firing probability of a step

and both counts are summed over the connections. N_l are the units before pooling, whose spikes are
counted, so that no ratio is above 1. The products of constant currents, which are no events, are a
count of their own beside them. Bias additions and the leak, which both ways of
computing need, are in neither count: they are terms of their own (Lemaire et al. 2022,
arXiv:2210.13107, eq. 2.3 and 2.4).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.encoding.counting import SpikeCounts, best_class, class_counts, count_spikes
from spikejoule.encoding.events import EventList, Products
from spikejoule.evaluation.kernels.lazy_updates import lazy_updates_per_sample
from spikejoule.network.network import Network, Neurons

KINDS: Final = ("spikes", "events", "macs", "updates", "additions", "multiplications", "values")
"""Kinds of counts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Activity:
    """What the operations of N samples follow from, or of N epochs, or of one mean.

    Attributes:
        network: whose nodes are counted.
        time_window: T.
        counts: by kind and node, [N]; see the module. A node has what it can have.
        pruned: whether a weight of zero is no synapse; the network has its weights then.
        products: how often hardware multiplies constant currents; None for an input of spikes.
        exit_steps: the steps [N] after which a network with early exit stopped; None for one
            without.
        samples: of each row, [N]; None for one.
    """

    network: Network
    time_window: int
    counts: Mapping[str, Mapping[str, NDArray[Any]]]
    pruned: bool = False
    products: Products | None = None
    exit_steps: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None

    @classmethod
    def of_layers(
        cls,
        network: Network,
        time_window: int,
        spikes: NDArray[Any],
        events: ArrayLike | None = None,
        updates: NDArray[np.int64] | None = None,
        macs: ArrayLike | None = None,
        **known: Any,
    ) -> Self:
        """The counts of a chain of layers.

        Args:
            network: of L layers.
            time_window: T.
            spikes: of each layer, [N, L].
            events: of each connection, [N, connections]; None if every spike reaches all of the
                next layer.
            updates: of each layer after the input, [N, L - 1]; None for one of every neuron in
                every step.
            macs: products of constant currents, [N]; None for an input of spikes.
            known: other attributes.
        """
        connections = network.connections
        if events is None:  # of fully connected layers
            sending = spikes[:, list(network.senders)]
            events = sending * np.array([one.n_out for one in connections])
        if updates is None:
            samples = known.get("samples")
            updates = clocked_updates(
                network,
                time_window * (np.ones(len(spikes), np.int64) if samples is None else samples),
            )
        names = network.layer_names
        counts = {
            "spikes": dict(zip(names, spikes.T, strict=True)),
            "events": dict(zip(network.connection_names, np.transpose(events), strict=True)),
            "macs": {} if macs is None else {connections[0].name: np.asarray(macs)},
            "updates": dict(zip(names[1:], updates.T, strict=True)),
        }
        return cls(network=network, time_window=time_window, counts=counts, **known)

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.counts["spikes"][self.network.input.name])

    @property
    def samples_of_row(self) -> NDArray[np.int64]:
        """Samples of each row, [N]."""
        return np.ones(self.n_rows, np.int64) if self.samples is None else self.samples

    def of(self, kind: str, name: str) -> NDArray[Any]:
        """Counts of a kind at a node, [N]; zeros where it has none."""
        found = self.counts.get(kind, {}).get(name)
        return np.zeros(self.n_rows, dtype=np.int64) if found is None else found

    def leaks_of(self, node: Neurons) -> int:
        """Multiplications by which the states of a node's neurons leak in an update of each."""
        return node.n_out * self.network.neurons[self.network.layers.index(node) - 1].leaks

    def total(self, kind: str) -> NDArray[Any]:
        """Counts of a kind at all nodes, [N]."""
        return sum(self.counts[kind].values(), np.zeros(self.n_rows, dtype=np.int64))


@dataclass(frozen=True)
class EnergyProxies:
    """The proxies of a whole network.

    `connections` has an entry for each weight matrix: its `name` (`input_to_hidden` and so on), and
    `spikes_per_inference`, `fan_out`, `synapses`, `synaptic_events_per_inference`,
    `dense_operations_per_inference` and `sparsity_ratio` by their names.
    `formula_synaptic_events` says how the events were computed; with one hidden layer as the seed
    words it. `input_macs_per_inference` are the multiply-accumulates of constant currents; None for
    an input of spikes.
    """

    formula_dense: ClassVar[str] = "N_synapses * TIME_WINDOW"

    connections: tuple[dict[str, Any], ...]
    formula_synaptic_events: str
    input_macs_per_inference: float | None = None

    @property
    def synaptic_events_per_inference(self) -> float:
        """Sum over the weight matrices of spikes x fan-out."""
        return sum(float(one["synaptic_events_per_inference"]) for one in self.connections)

    @property
    def dense_operations_per_inference(self) -> int:
        """Synapses x steps."""
        return sum(one["dense_operations_per_inference"] for one in self.connections)

    @property
    def sparsity_ratio(self) -> float:
        """Synaptic events over dense operations, dimensionless, 0 to 1."""
        return self.synaptic_events_per_inference / self.dense_operations_per_inference

    def as_metrics(self) -> dict[str, Any]:
        """What a command prints as JSON: totals per inference, and each weight matrix by name."""
        macs = self.input_macs_per_inference
        return {
            "dense_operations_per_inference": self.dense_operations_per_inference,
            "synaptic_events_per_inference": self.synaptic_events_per_inference,
            "sparsity_ratio": self.sparsity_ratio,
            **({} if macs is None else {"input_macs_per_inference": macs}),
            "per_layer": {one["name"]: one for one in self.connections},
        }

    def as_checkpoint_entry(self) -> dict[str, Any]:
        """The entry `energy_proxies` of the complete checkpoint: the same under the seed's keys.

        The seed's schema has no key `per_layer`.
        """
        dense, events, sparsity, *others = self.as_metrics().items()
        return {
            "dense_ops_per_inference": dense[1],
            "event_syn_per_inference": events[1],
            "sparsity_ratio": sparsity[1],
            "formula_event_syn": self.formula_synaptic_events,
            "formula_dense": self.formula_dense,
            **dict(others),
        }


def clocked_updates(network: Network, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """One update a neuron and step of each population after the input, int64 [N, L - 1].

    `steps` [N] are those of each sample, or of all samples of an epoch together.
    """
    return steps[:, None] * np.array([one.n_out for one in network.layers[1:]], dtype=np.int64)


def energy_proxies(activity: Activity) -> EnergyProxies:
    """The proxies of a network, at the mean of what its samples did."""
    network, connections = activity.network, []
    for number, node in enumerate(network.connections):
        senders = [name for name in network.sources[node.name] if name in network.spiking]
        fan_out = reached = node.fan_out()
        if network.model is not None:
            senders = [network.layer_names[network.senders[number]]]
            reached = network.fan_out_of(node)
        dense = int(reached.sum()) * activity.time_window
        events = float(activity.of("events", node.name).mean())
        connections.append(
            {
                "name": node.name,
                "spikes_per_inference": float(
                    sum(activity.of("spikes", name).mean() for name in senders)
                ),
                "fan_out": int(fan_out.max()),
                "synapses": int(fan_out.sum()),
                "synaptic_events_per_inference": events,
                "dense_operations_per_inference": dense,
                "sparsity_ratio": events / dense,
            }
        )
    formula = " + ".join(
        f"S_{'+'.join(network.sources[name])} * fanout_{name}" for name in network.connection_names
    )
    if activity.pruned:
        formula = "sum over spikes of the synapses that are left"
    elif len(connections) == 2:
        formula = "S_in * fanout_in_h + S_hidden * fanout_h_out"
    has_currents = activity.products is not None
    macs = float(activity.total("macs").mean()) if has_currents else None
    return EnergyProxies(tuple(connections), formula, macs)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The spikes of N samples. Each count is made once, when it is first asked for, and handed on.

    Attributes:
        state: parameters of the network by name.
        architecture: the network, of L layers.
        layers: the spikes of every layer, the input first.
        pruned: whether synapses were removed in training, so that a zero weight is none, and
            sources of a layer differ in their fan-out.
    """

    state: Mapping[str, NDArray[Any]]
    architecture: Network
    layers: Sequence[EventList]
    pruned: bool = False

    def first(self, n_samples: int | None) -> Self:
        """The first so many samples; None for all."""
        if n_samples is None:
            return self
        return replace(self, layers=[layer.select(slice(n_samples)) for layer in self.layers])

    @cached_property
    def network(self) -> Network:
        """The architecture with its weights."""
        return self.architecture.with_weights(self.state)

    @cached_property
    def fan_outs(self) -> tuple[NDArray[np.int64], ...]:
        """Synapses of each connection that a spike of each unit of its sender reaches, int64
        [units]."""
        network = self.network
        return tuple(network.fan_out_of(one, self.pruned) for one in network.connections)

    @property
    def sending(self) -> Iterator[tuple[EventList, NDArray[np.int64]]]:
        """The spikes that enter each connection, with the synapses that each unit reaches."""
        layers = [self.layers[sender] for sender in self.architecture.senders]
        return zip(layers, self.fan_outs, strict=True)

    @property
    def time_window(self) -> int:
        """T, steps of 1 ms."""
        return self.layers[0].n_steps

    @cached_property
    def counts(self) -> SpikeCounts:
        """Spikes of every layer, by sample, step and neuron."""
        return count_spikes(self.layers, self.architecture.layer_names)

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """Spikes of each output neuron for each sample, int64 [N, O]."""
        return class_counts(self.layers[-1])

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The output neuron with the most spikes (the first of equals), int64 [N]."""
        return best_class(self.class_counts)

    @cached_property
    def synaptic_events(self) -> NDArray[np.int64]:
        """Synaptic events of each sample in each connection, int64 [N, connections]."""
        columns = []
        for events, fan_out in self.sending:
            before = np.zeros(events.n_events + 1, dtype=np.int64)
            np.cumsum(fan_out[events.sources], out=before[1:])
            columns.append(np.diff(before[events.offsets[:: events.n_steps]]))
        return np.stack(columns, axis=1)

    @cached_property
    def input_macs(self) -> NDArray[np.int64] | None:
        """Multiply-accumulates of each sample's constant currents, int64 [N]; None for spikes."""
        currents = self.layers[0].currents
        if currents is None:
            return None
        return currents.sum_per_sample(self.fan_outs[0]) * currents.times(self.time_window)

    @cached_property
    def lazy_updates(self) -> NDArray[np.int64]:
        """Neuron updates of event-driven hardware, of each sample in each layer after the input.

        int64 [N, L - 1]; see :mod:`spikejoule.evaluation.kernels.lazy_updates`.
        """
        return lazy_updates_per_sample(self.network, self.layers, self.pruned)

    @cached_property
    def proxies(self) -> EnergyProxies:
        """Synaptic events and dense operations per inference, means over the samples."""
        return energy_proxies(self.activity())

    def activity(
        self,
        updates: NDArray[np.int64] | None = None,
        exit_steps: NDArray[np.int64] | None = None,
    ) -> Activity:
        """All counts by node, for neuron updates [N, L - 1], and of early exits."""
        currents, macs = self.layers[0].currents, self.input_macs
        if exit_steps is not None and currents is not None and currents.products == "every_step":
            macs = currents.sum_per_sample(self.fan_outs[0]) * exit_steps
        return Activity.of_layers(
            self.network,
            self.time_window,
            self.counts.per_sample,
            self.synaptic_events,
            updates,
            macs,
            pruned=self.pruned,
            products=None if currents is None else currents.products,
            exit_steps=exit_steps,
        )
