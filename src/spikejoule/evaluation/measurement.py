"""One pass of images through a network: its spikes, and what is counted of them.

The operation counts, which the seed notebook calls energy proxies, are those of one inference,
counted by event and counted densely.

For the weight matrix that leads from layer l to layer l + 1, T steps of 1 ms, and S_l spikes that
layer l emits during one inference (a mean over samples),

    synaptic events  = S_l * fan_out_l                an accumulate for each synapse a spike reaches
    dense operations = N_l * fan_out_l * T            every synapse in every step
    sparsity ratio   = synaptic events / dense operations, the mean firing probability of a step

and both counts are summed over the matrices. Output spikes reach no synapse and cost none, nor does
a spike where a synapse was pruned: the events of a pruned network are counted synapse by synapse.
The products of constant currents, which are no events, are a count of their own beside them.
Bias additions and the leak, which both ways of computing need, are in neither count: they are terms
of their own (Lemaire et al. 2022, arXiv:2210.13107, eq. 2.3 and 2.4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.counting import SpikeCounts, class_counts, count_spikes
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.lazy_updates import lazy_updates_per_sample
from spikejoule.model.architecture import Architecture
from spikejoule.model.pruning import (
    fan_outs_by_source,
    synaptic_events_per_connection,
    synaptic_events_per_sample,
    targets_by_source,
)


@dataclass(frozen=True)
class ConnectionProxy:
    """One weight matrix: `name` is `input_to_hidden` and so on; counts are per inference."""

    name: str
    spikes_per_inference: float
    fan_out: int
    synapses: int
    synaptic_events_per_inference: float
    dense_operations_per_inference: int

    @property
    def sparsity_ratio(self) -> float:
        """Synaptic events over dense operations, dimensionless, 0 to 1."""
        return self.synaptic_events_per_inference / self.dense_operations_per_inference


@dataclass(frozen=True)
class EnergyProxies:
    """The proxies of a whole network, with one entry for each weight matrix in `connections`.

    `input_macs_per_inference` are the multiply-accumulates of constant currents; None for an input
    of spikes.
    """

    formula_dense: ClassVar[str] = "N_synapses * TIME_WINDOW"

    connections: tuple[ConnectionProxy, ...]
    time_window: int
    source_names: tuple[str, ...]
    pruned: bool = False
    input_macs_per_inference: float | None = None

    @property
    def synaptic_events_per_inference(self) -> float:
        """Sum over the weight matrices of spikes x fan-out."""
        return sum(one.synaptic_events_per_inference for one in self.connections)

    @property
    def dense_operations_per_inference(self) -> int:
        """Synapses x steps."""
        return sum(one.dense_operations_per_inference for one in self.connections)

    @property
    def sparsity_ratio(self) -> float:
        """Synaptic events over dense operations, dimensionless, 0 to 1."""
        return self.synaptic_events_per_inference / self.dense_operations_per_inference

    @property
    def formula_synaptic_events(self) -> str:
        """How the synaptic events were computed; with one hidden layer as the seed words it."""
        if self.pruned:
            return "sum over spikes of the synapses that are left"
        if len(self.connections) == 2:
            return "S_in * fanout_in_h + S_hidden * fanout_h_out"
        sources = zip(self.source_names, self.connections, strict=True)
        return " + ".join(f"S_{source} * fanout_{one.name}" for source, one in sources)

    def as_metrics(self) -> dict[str, Any]:
        """What a command prints as JSON: totals per inference, and each weight matrix by name."""
        macs = self.input_macs_per_inference
        return {
            "dense_operations_per_inference": self.dense_operations_per_inference,
            "synaptic_events_per_inference": self.synaptic_events_per_inference,
            "sparsity_ratio": self.sparsity_ratio,
            **({} if macs is None else {"input_macs_per_inference": macs}),
            "per_layer": {
                one.name: {**asdict(one), "sparsity_ratio": one.sparsity_ratio}
                for one in self.connections
            },
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


def energy_proxies(
    architecture: Architecture,
    spikes_per_inference: Mapping[str, float],
    time_window: int,
    synaptic_events: Sequence[float] | None = None,
    input_macs: float | None = None,
) -> EnergyProxies:
    """Compute the proxies of `architecture` at a measured activity.

    `spikes_per_inference` holds each layer's mean spikes per inference by the layer's name; the
    output's are not needed, since they reach no synapse. `time_window` is T, the steps of 1 ms that
    an inference takes. `synaptic_events` are the mean events of each weight matrix of a pruned
    network, counted synapse by synapse; None if every spike reaches all of the next layer. (Dense
    operations are those of the whole matrices either way.) `input_macs` are the mean
    multiply-accumulates of constant currents; None for an input of spikes.
    """
    senders = architecture.layer_names[:-1]
    spikes = {name: float(spikes_per_inference[name]) for name in senders}
    connections = tuple(
        ConnectionProxy(
            name=name,
            spikes_per_inference=spikes[source],
            fan_out=fan_out,
            synapses=synapses,
            synaptic_events_per_inference=events,
            dense_operations_per_inference=synapses * time_window,
        )
        for name, source, fan_out, synapses, events in zip(
            architecture.connection_names,
            senders,
            architecture.fan_outs,
            architecture.synapses,
            synaptic_events_per_connection(spikes, architecture)
            if synaptic_events is None
            else synaptic_events,
            strict=True,
        )
    )
    pruned = synaptic_events is not None
    return EnergyProxies(connections, time_window, senders, pruned, input_macs)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The spikes of N samples. Each count is made once, when it is first asked for, and handed on.

    Attributes:
        state: parameters of the network by name.
        architecture: its L layers.
        layers: the spikes of every layer, the input first.
        pruned: whether synapses were removed in training, so that a zero weight is none, and
            sources of a layer differ in their fan-out.
    """

    state: Mapping[str, NDArray[Any]]
    architecture: Architecture
    layers: Sequence[EventList]
    pruned: bool = False

    @cached_property
    def fan_outs(self) -> tuple[NDArray[np.int64], ...]:
        """Synapses that a spike of each source reaches, int64 [units]; not of the last layer."""
        return fan_outs_by_source(self.state, self.architecture, self.pruned)

    @cached_property
    def targets(self) -> tuple[NDArray[np.uint64], ...]:
        """The neurons that it reaches, as bits; see `model.pruning.targets_by_source`."""
        return targets_by_source(self.state, self.architecture, self.pruned)

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
