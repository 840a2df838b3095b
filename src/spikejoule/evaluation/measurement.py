"""One pass of images through a network: its spikes, and what is counted of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.counting import SpikeCounts, class_counts, count_spikes
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.lazy_updates import lazy_updates_per_sample
from spikejoule.evaluation.proxies import EnergyProxies, energy_proxies
from spikejoule.model.architecture import Architecture
from spikejoule.model.fan_out import (
    fan_outs_by_source,
    synaptic_events_per_sample,
    targets_by_source,
)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The spikes of N samples. Each count is made once, when it is first asked for, and handed on.

    Attributes:
        architecture: of the network, L layers.
        layers: the spikes of every layer, the input first.
        fan_outs: synapses that a spike of each source reaches, int64 [units] for all layers but
            the last.
        targets: the neurons that it reaches, as bits, from `model.fan_out.targets_by_source`.
        pruned: whether synapses were removed, so that sources of a layer differ in their fan-out.
    """

    architecture: Architecture
    layers: tuple[EventList, ...]
    fan_outs: tuple[NDArray[np.int64], ...]
    targets: tuple[NDArray[np.uint64], ...]
    pruned: bool = False

    @classmethod
    def of(
        cls,
        state: Mapping[str, NDArray[Any]],
        architecture: Architecture,
        layers: Sequence[EventList],
        pruned: bool = False,
    ) -> "Measurement":
        """The measurement of a network's spikes; `pruned` says whether a zero weight is no synapse.

        Args:
            state: parameters by name.
            architecture: layer sizes.
            layers: the spikes of every layer, the input first.
            pruned: whether synapses were removed in training.
        """
        fan_outs = fan_outs_by_source(state, architecture, pruned)
        targets = targets_by_source(state, architecture, pruned)
        return cls(architecture, tuple(layers), fan_outs, targets, pruned)

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
        classes: NDArray[np.int64] = self.class_counts.argmax(axis=1)
        return classes

    @cached_property
    def synaptic_events(self) -> NDArray[np.int64]:
        """Synaptic events of each sample in each weight matrix, int64 [N, L - 1]."""
        return synaptic_events_per_sample(self.layers, self.fan_outs)

    @property
    def synapses(self) -> tuple[int, ...]:
        """Synapses that are left of each connection."""
        return tuple(int(fan_out.sum()) for fan_out in self.fan_outs)

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

        int64 [N, L - 1]; see :mod:`spikejoule.evaluation.lazy_updates`.
        """
        return lazy_updates_per_sample(self.layers, self.targets, self.architecture.neuron.has_bias)

    @cached_property
    def proxies(self) -> EnergyProxies:
        """Synaptic events and dense operations per inference, means over the samples."""
        events = macs = None
        if self.pruned:
            events = (self.synaptic_events.sum(axis=0) / self.counts.n_samples).tolist()
        if self.input_macs is not None:
            macs = int(self.input_macs.sum()) / self.counts.n_samples
        return energy_proxies(self.architecture, self.counts.means, self.time_window, events, macs)
