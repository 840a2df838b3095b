"""The counts of a trained network, from the spikes of its layers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.counts.kernels.lazy_updates import lazy_updates_per_sample
from spikejoule.counts.proxies import EnergyProxies, energy_proxies
from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.encoding.counting import (
    SpikeCounts,
    best_class,
    class_counts,
    count_spikes,
)
from spikejoule.encoding.events import EventList, Products
from spikejoule.network.network import Network
from spikejoule.network.nodes import Node


@dataclass(frozen=True, eq=False)
class Measurement:
    """The spikes of N samples. Each count is made once, when it is first asked for, and
    handed on.

    Attributes:
        state: parameters of the network by name.
        network: of L layers, with or without its weights.
        layers: the spikes of every layer, the input first.
        pruned: whether synapses were removed in training, so that a zero weight is
            none, and sources of a layer differ in their fan-out.
    """

    state: Mapping[str, NDArray[Any]]
    network: Network
    layers: Sequence[EventList]
    pruned: bool = False

    def first(self, n_samples: int | None) -> Self:
        """The first so many samples; None for all."""
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
        """Synapses of each connection that a spike of each unit of its sender reaches,
        int64 [units]."""
        bound = self.bound
        return tuple(bound.fan_out_of(node, self.pruned) for node in bound.connections)

    @property
    def sending(self) -> Iterator[tuple[EventList, NDArray[np.int64]]]:
        """The spikes that enter each connection, with the synapses that each unit
        reaches.
        """
        layers = [self.layers[sender] for sender in self.network.senders]
        return zip(layers, self.fan_outs, strict=True)

    @property
    def n_samples(self) -> int:
        """N."""
        return self.layers[0].n_samples

    @property
    def time_window(self) -> int:
        """T, steps of 1 ms."""
        return self.layers[0].n_steps

    @cached_property
    def counts(self) -> SpikeCounts:
        """Spikes of every layer, by sample, step and neuron."""
        return count_spikes(self.layers, self.network.layer_names)

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
        """Multiply-accumulates of each sample's constant currents, int64 [N]; None for
        spikes.
        """
        currents = self.layers[0].currents
        if currents is None:
            return None
        return currents.sum_per_sample(self.fan_outs[0]) * currents.times(
            self.time_window
        )

    @cached_property
    def lazy_updates(self) -> NDArray[np.int64]:
        """Neuron updates of event-driven hardware, of each sample in each layer after
        the input.

        int64 [N, L - 1]; see :mod:`spikejoule.counts.kernels.lazy_updates`.
        """
        return lazy_updates_per_sample(self.bound, self.layers, self.pruned)

    @cached_property
    def proxies(self) -> EnergyProxies:
        """Synaptic events and dense operations per inference, means over the
        samples.
        """
        return energy_proxies(self.activity())

    def activity(
        self,
        updates: NDArray[np.int64] | None = None,
        exit_steps: NDArray[np.int64] | None = None,
    ) -> Activity:
        """All counts by node, for neuron updates [N, L - 1], and of early exits."""
        currents = self.layers[0].currents
        macs = self.input_macs
        if (
            exit_steps is not None
            and currents is not None
            and currents.products == "every_step"
        ):
            macs = currents.sum_per_sample(self.fan_outs[0]) * exit_steps
        return activity_of_layers(
            self.bound,
            self.time_window,
            np.stack([layer.counts_per_sample() for layer in self.layers], axis=1),
            self.synaptic_events,
            updates,
            macs,
            pruned=self.pruned,
            products=None if currents is None else currents.products,
            exit_steps=exit_steps,
        )


def clocked_updates(network: Network, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """One update a neuron and step of each population after the input, int64
    [N, L - 1].

    `steps` [N] are those of each sample, or of all samples of an epoch together.
    """
    sizes = np.array(network.layer_sizes[1:], dtype=np.int64)
    return steps[:, None] * sizes


def activity_of_layers(
    network: Network,
    time_window: int,
    spikes: NDArray[Any],
    events: ArrayLike | None = None,
    updates: NDArray[np.int64] | None = None,
    macs: ArrayLike | None = None,
    pruned: bool = False,
    products: Products | None = None,
    exit_steps: NDArray[np.int64] | None = None,
    samples: NDArray[np.int64] | None = None,
) -> Activity:
    """The activity of a trained network.

    Args:
        network: of L layers.
        time_window: T.
        spikes: of each layer, [N, L].
        events: of each connection, [N, connections]; None if every spike reaches all of
            the next layer.
        updates: of each layer after the input, [N, L - 1]; None for one of every neuron
            in every step.
        macs: products of constant currents, [N]; None for an input of spikes.
        pruned, products, exit_steps, samples: as of `Activity`.
    """
    if events is None:  # of fully connected layers
        sending = spikes[:, list(network.senders)]
        events = sending * np.array(
            [connection.n_out for connection in network.connections]
        )
    if updates is None:
        each = np.ones(len(spikes), np.int64) if samples is None else samples
        updates = clocked_updates(network, time_window * each)
    events = np.asarray(events)
    macs = None if macs is None else np.asarray(macs)
    counts: dict[str, NodeCounts] = {
        network.input.name: NodeCounts(spikes=spikes[:, 0])
    }
    for number, connection in enumerate(network.connections):
        first = macs if number == 0 else None
        counts[connection.name] = NodeCounts(events=events[:, number], macs=first)
    for number, layer in enumerate(network.layers[1:], start=1):
        of_layer = updates[:, number - 1]
        counts[layer.name] = NodeCounts.of_neurons(
            spikes[:, number],
            of_layer,
            leaks=_of_each(of_layer, network.leaks_of(layer), layer),
            biases=_of_each(of_layer, network.constants_of(layer, products), layer),
        )
    return Activity(
        network=network,
        time_window=time_window,
        counts={name: counts[name] for name in network.nodes if name in counts},
        pruned=pruned,
        products=products,
        exit_steps=exit_steps,
        samples=samples,
    )


def _of_each(
    updates: NDArray[np.int64], per_step: int, layer: Node
) -> NDArray[np.int64]:
    """What an update of all neurons of a layer takes, for as many updates as there
    were.
    """
    return updates * per_step // layer.n_out
