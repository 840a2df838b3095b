"""From what layers emit to counts by node.

`Measurement` holds the spikes of a trained network; `LayerCounts` are its counts by
layer, which files store; both become an `Activity`. A conventional network emits
values (`nonzero_products`, `activity_of_products`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity, Counts, NodeCounts
from spikejoule.encoding.counting import (
    SpikeCounts,
    best_class,
    count_spikes,
)
from spikejoule.encoding.events import EventList, Products
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import Network
from spikejoule.network.nodes import Node


@dataclass(frozen=True, eq=False)
class Measurement:
    """The spikes of N samples. Each count is computed once, on first use.

    Attributes:
        state: parameters of the network by name.
        network: a network of L layers, with or without its weights.
        layers: the spikes of every layer, the input first.
        pruned: whether training removed synapses. A zero weight is then no synapse, and
            the units of a layer differ in fan-out.
    """

    state: Mapping[str, NDArray[Any]]
    network: Network
    layers: Sequence[EventList]
    pruned: bool = False

    def first(self, n_samples: int | None) -> Self:
        """Return the first samples only; None keeps all."""
        if n_samples is None:
            return self
        return replace(
            self, layers=[layer.select(slice(n_samples)) for layer in self.layers]
        )

    @cached_property
    def bound(self) -> Network:
        """The network with its weights."""
        return self.network.with_weights(self.state)

    @cached_property
    def fan_outs(self) -> tuple[NDArray[np.int64], ...]:
        """Synapses that a spike of each sending unit reaches, by connection."""
        bound = self.bound
        return tuple(bound.fan_out_of(node, self.pruned) for node in bound.connections)

    @property
    def sending(self) -> Iterator[tuple[EventList, NDArray[np.int64]]]:
        """The spikes that enter each connection, and the fan-out of each unit."""
        layers = [self.layers[sender] for sender in self.network.senders]
        return zip(layers, self.fan_outs, strict=True)

    @property
    def n_samples(self) -> int:
        """N."""
        return self.layers[0].n_samples

    @property
    def time_window(self) -> int:
        """T, in steps."""
        return self.layers[0].n_steps

    @cached_property
    def counts(self) -> SpikeCounts:
        """Spikes of every layer, by sample, step and neuron."""
        return count_spikes(self.layers, self.network.layer_names)

    @cached_property
    def scores(self) -> NDArray[Any]:
        """The score of each class for each sample, [N, O]; see `Readout.scores`."""
        return self.network.readout.scores(self.layers[-1])

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The class with the highest score (the first among equals), [N]."""
        return best_class(self.scores)

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
        """MACs of constant input currents, int64 [N]; None for spikes."""
        currents = self.layers[0].currents
        if currents is None:
            return None
        per_product = currents.sum_per_sample(self.fan_outs[0])
        return per_product * currents.times(self.time_window)

    @cached_property
    def lazy_updates(self) -> NDArray[np.int64]:
        """Neuron updates on event-driven hardware, int64 [N, L - 1].

        See :mod:`spikejoule.counts.kernels.lazy_updates`.
        """
        # Imported here: it needs numba, and models that are only priced do not.
        from spikejoule.counts.kernels.lazy_updates import lazy_updates_per_sample

        return lazy_updates_per_sample(self.bound, self.layers, self.pruned)

    def activity(
        self,
        updates: NDArray[np.int64] | None = None,
        exit_steps: NDArray[np.int64] | None = None,
    ) -> Activity:
        """Return all counts by node.

        Args:
            updates: neuron updates, [N, L - 1]; None if clocked.
            exit_steps: the step after which each sample stops, [N]; None without early
                exit.
        """
        currents = self.layers[0].currents
        macs = self.input_macs
        products = None
        if currents is not None:
            products = currents.products
            if exit_steps is not None and products == "every_step":
                macs = currents.sum_per_sample(self.fan_outs[0]) * exit_steps
        spikes = [layer.counts_per_sample() for layer in self.layers]
        counts = LayerCounts(
            spikes=np.stack(spikes, axis=1),
            events=self.synaptic_events,
            updates=updates,
            macs=macs,
            products=products,
            exit_steps=exit_steps,
        )
        return activity_of_layers(
            self.bound, self.time_window, counts, pruned=self.pruned
        )


def clocked_updates(network: Network, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count one update per neuron and step, int64 [N, L - 1].

    `steps` [N] are the steps of each sample, or of all samples of an epoch together.
    """
    sizes = np.array(network.layer_sizes[1:], dtype=np.int64)
    return steps[:, None] * sizes


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerCounts:
    """Counts of a network of L layers over N rows: samples, epochs, or one mean.

    Attributes:
        spikes: of each layer, [N, L].
        events: synaptic events of each connection, [N, connections]; None if every
            spike reaches the whole next layer.
        updates: of each layer after the input, [N, L - 1]; None if clocked.
        macs: products of constant input currents, [N]; None for an input of spikes.
        products, exit_steps, samples: see `Activity`.
    """

    spikes: Counts
    events: Counts | None = None
    updates: Counts | None = None
    macs: Counts | None = None
    products: Products | None = None
    exit_steps: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None


def activity_of_layers(
    network: Network, time_window: int, counted: LayerCounts, pruned: bool = False
) -> Activity:
    """Assign the counts of a trained network to its nodes.

    Args:
        network: the network.
        time_window: T.
        counted: its counts by layer and connection.
        pruned: whether a zero weight is no synapse; the network then has its weights.
    """
    spikes = counted.spikes
    events = counted.events
    if events is None:
        fan_outs = [connection.n_out for connection in network.connections]
        events = spikes[:, list(network.senders)] * np.array(fan_outs)
    samples = counted.samples
    n_samples = np.ones(len(spikes), np.int64) if samples is None else samples
    updates = counted.updates
    if updates is None:
        updates = clocked_updates(network, time_window * n_samples)

    counts = {network.input.name: NodeCounts(spikes=spikes[:, 0])}
    for number, connection in enumerate(network.connections):
        macs = counted.macs if number == 0 else None
        counts[connection.name] = NodeCounts(events=events[:, number], macs=macs)
    for number, layer in enumerate(network.layers[1:], start=1):
        layer_updates = updates[:, number - 1]
        leaks = network.leaks_of(layer)
        added = network.constants_of(layer, counted.products)
        initial = network.initial_biases_of(layer)
        is_spiking = layer.name in network.spiking
        # An output that integrates neither compares nor resets.
        count = NodeCounts.of_neurons if is_spiking else NodeCounts
        counts[layer.name] = count(
            spikes=spikes[:, number],
            updates=layer_updates,
            leaks=_scaled(layer_updates, leaks, layer),
            biases=_scaled(layer_updates, added, layer) + n_samples * initial,
        )
    return Activity(
        network=network,
        time_window=time_window,
        counts={name: counts[name] for name in network.nodes if name in counts},
        pruned=pruned,
        products=counted.products,
        exit_steps=counted.exit_steps,
        samples=counted.samples,
    )


def layers_of_activity(activity: Activity) -> LayerCounts:
    """Return the counts of a trained network by layer: `activity_of_layers` undone."""
    network = activity.network
    counts = activity.counts
    layers = [counts[layer.name] for layer in network.layers]
    connections = [counts[connection.name] for connection in network.connections]
    return LayerCounts(
        spikes=_columns(layer.spikes for layer in layers),
        events=_columns(node.events for node in connections),
        updates=_columns(layer.updates for layer in layers[1:]),
        macs=connections[0].macs,
        products=activity.products,
        exit_steps=activity.exit_steps,
        samples=activity.samples,
    )


def _columns(counts: Iterable[Counts | None]) -> Counts:
    """Join counts [N] as columns; all are known."""
    return np.stack([count for count in counts if count is not None], axis=1)


def _scaled(updates: Counts, per_step: int, layer: Node) -> Counts:
    """Scale what one update of the whole layer takes to a number of neuron updates."""
    return updates * per_step // layer.n_out


def nonzero_products(
    network: ConventionalNetwork, layers: Sequence[NDArray[np.number]], pruned: bool
) -> NDArray[np.int64]:
    """Count the products of nonzero activations of each sample, int64 [N, K].

    A nonzero activation is multiplied by every weight left in its column.

    Args:
        network: K fully connected layers, with their weights.
        layers: activations [N, units] of every layer, the input first; those of the
            last reach no weight.
        pruned: whether a weight of 0 is no weight.
    """
    # In float64, where matrix products are fast and such sums exact.
    products = [
        (values != 0).astype(np.float64) @ connection.fan_out(pruned).astype(np.float64)
        for values, connection in zip(layers[:-1], network.connections, strict=True)
    ]
    return np.stack(products, axis=1).astype(np.int64)


def activity_of_products(
    network: ConventionalNetwork,
    macs: Counts,
    pruned: bool = False,
    samples: NDArray[np.int64] | None = None,
) -> Activity:
    """Return what a conventional network did.

    Args:
        network: K connections.
        macs: products of nonzero activations, [N, K].
        pruned: whether a weight of 0 is no weight; the network then has its weights.
        samples: samples of each row, [N]; None for one each.
    """
    times = np.ones(len(macs), np.int64) if samples is None else samples
    counts = {}
    for number, connection in enumerate(network.connections):
        counts[connection.name] = NodeCounts(macs=macs[:, number])
        units = network.target_of(connection)
        passed_on = times * units.n_out
        counts[units.name] = NodeCounts(
            values=passed_on,
            biases=passed_on if network.bias_words(connection) else None,
        )
    for node in network.rectified:
        known = counts.get(node.name, NodeCounts())
        counts[node.name] = known.with_comparisons(times * node.n_out)
    return Activity(
        network=network,
        time_window=1,
        counts=counts,
        pruned=pruned,
        samples=samples,
    )
