"""Counting the operations of inference: integers by sample, term and place.

For a network of layers 0 (input) to L - 1 (output) with n_l units, T steps, and S_l spikes that
layer l emits for one sample,

    synaptic events          sum over the spikes of layer l of the synapses that the unit reaches
    neuron updates           T n_l: active in the S_l steps in which a neuron spikes, else inactive
    leak multiplications     T n_l        (Lemaire et al. 2022, arXiv:2210.13107, eq. 2.4); none in
                             a layer whose neurons keep their whole potential
    bias additions           T n_l        (eq. 2.3); none without biases
    spikes routed            S_l
    weight reads             one 32-bit word a synaptic event
    state accesses           2 T n_l words: each potential is read and written once per step; and up
                             to 2 more for each synaptic event, if it is no register meanwhile

An input of constant currents has no spikes, and in their place

    input MACs               the synapses of every source that gives something: once an inference,
                             or T times where hardware multiplies in every step (Rueckauer et al.
                             2017, doi:10.3389/fnins.2017.00682)

which read weights, and accumulate, like synaptic events. Where they are made once, their sums are
added in every step: an addition per neuron and step that holds the bias, if there is one, and is
counted as a bias addition if there is none.

A synaptic event belongs to a connection (``input_to_hidden``), the others to a layer. Input units
are no neurons: they have spikes, but neither updates nor state.

Loihi's table of prices (Davies et al. 2018) names an "active" and an "inactive" neuron update and
does not define the words; here the update of a step with a spike is the active one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy import terms
from spikejoule.measure.measurement import Measurement
from spikejoule.model.architecture import Architecture
from spikejoule.model.fan_out import synaptic_events_per_connection
from spikejoule.spikes.currents import Products


@dataclass(frozen=True)
class Column:
    """One term at one place: a layer's name, or a connection's such as ``input_to_hidden``."""

    term: str
    place: str


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples.

    Attributes:
        columns: C columns, a term at a place each.
        counts: int64 [N, C].
        time_window: T.
        lazy_updates: neuron updates that event-driven hardware makes (`measure.lazy_updates`), of
            each layer after the input, int64 [N, L - 1]; None where they were not counted.
    """

    columns: tuple[Column, ...]
    counts: NDArray[np.int64]
    time_window: int
    lazy_updates: NDArray[np.int64] | None = None

    def of(self, term: str) -> NDArray[np.int64]:
        """Counts of a term, int64 [N, places of the term]."""
        return self.counts[:, [column.term == term for column in self.columns]]


@dataclass(frozen=True, eq=False)
class MeanOperations:
    """Operations of one inference on average, for networks whose spikes are known as means alone.

    Attributes:
        columns: C columns.
        means: float64 [C].
        time_window: T.
    """

    columns: tuple[Column, ...]
    means: NDArray[np.float64]
    time_window: int


@dataclass(frozen=True, eq=False)
class InputMacs:
    """Multiply-accumulates of constant currents.

    Attributes:
        counts: of each sample or epoch, or means, [N].
        products: whether hardware makes them ``once`` an inference or in ``every_step``.
    """

    counts: NDArray[Any]
    products: Products

    def additions(
        self, updates: NDArray[np.int64], architecture: Architecture
    ) -> NDArray[np.int64]:
        """Neuron updates [N, L - 1] that add a bias, or the sums of products that are made once."""
        added = updates * architecture.neuron.has_bias
        if self.products == "once":
            added[:, 0] = updates[:, 0]
        return added


def count_operations(measured: Measurement) -> OperationCounts:
    """What inference on the N samples of a measurement takes, from its counts of their spikes."""
    architecture, time_window = measured.architecture, measured.time_window
    spikes = measured.counts.per_sample
    updates = _updates(architecture, time_window, len(spikes))
    currents, macs = measured.layers[0].currents, measured.input_macs
    inputs = None if currents is None or macs is None else InputMacs(macs, currents.products)
    counts = operation_blocks(architecture, spikes, measured.synaptic_events, updates, inputs)
    columns = operation_columns(architecture, inputs is not None)
    return OperationCounts(columns, counts, time_window, measured.lazy_updates)


def mean_operations(
    spikes_per_inference: Mapping[str, float],
    architecture: Architecture,
    time_window: int,
    synaptic_events: Sequence[float] | None = None,
    inputs: InputMacs | None = None,
) -> MeanOperations:
    """Operations of one inference from the mean spikes of each layer.

    Args:
        spikes_per_inference: mean spikes by the layer's name, all L layers.
        architecture: layer sizes.
        time_window: T.
        synaptic_events: mean events of each connection; None for those of a fully connected
            network.
        inputs: mean products of constant currents, [1]; None for an input of spikes.
    """
    spikes = np.array([[spikes_per_inference[name] for name in architecture.layer_names]])
    if synaptic_events is None:
        synaptic_events = synaptic_events_per_connection(dict(spikes_per_inference), architecture)
    updates = _updates(architecture, time_window, 1)
    events = np.array([synaptic_events])
    means = operation_blocks(architecture, spikes, events, updates, inputs)[0]
    columns = operation_columns(architecture, inputs is not None)
    return MeanOperations(columns, means.astype(np.float64), time_window)


def operation_columns(architecture: Architecture, has_macs: bool = False) -> tuple[Column, ...]:
    """What :func:`operation_blocks` counts, column by column.

    `has_macs` says whether the input is one of constant currents.
    """
    names, connections = architecture.layer_names, architecture.connection_names
    places = (
        (terms.SYNAPTIC_EVENT, connections),
        (terms.INPUT_MAC, connections[:has_macs]),
        (terms.NEURON_UPDATE_ACTIVE, names[1:]),
        (terms.NEURON_UPDATE_INACTIVE, names[1:]),
        (terms.LEAK_MULTIPLICATION, names[1:]),
        (terms.BIAS_ADDITION, names[1:]),
        (terms.SPIKE_ROUTED, names),
        (terms.WEIGHT_READ, connections),
        (terms.STATE_ACCESS, names[1:]),
        (terms.STATE_ACCESS_PER_EVENT, connections),
    )
    return tuple(Column(term, place) for term, where in places for place in where)


def operation_blocks(
    architecture: Architecture,
    spikes: NDArray[Any],
    events: NDArray[Any],
    updates: NDArray[np.int64],
    inputs: InputMacs | None = None,
) -> NDArray[Any]:
    """The formulas of this module: counts [N, C] in the order of :func:`operation_columns`.

    Args:
        architecture: for what an update of its neurons contains.
        spikes: of each layer, [N, L].
        events: synaptic events of each connection, [N, L - 1].
        updates: neuron updates of each layer after the input, int64 [N, L - 1].
        inputs: products of constant currents; None for an input of spikes.
    """
    active, additions = spikes[:, 1:], updates * architecture.neuron.has_bias
    macs, reads = events[:, :0], events
    if inputs is not None:
        macs, additions = inputs.counts[:, None], inputs.additions(updates, architecture)
        reads = np.concatenate([events[:, :1] + macs, events[:, 1:]], axis=1)
    blocks = (
        events,
        macs,
        active,
        updates - active,
        updates * leaks_by_layer(architecture),
        additions,
        spikes,
        reads,
        2 * updates,
        2 * reads,
    )
    return np.concatenate(blocks, axis=1)


def leaks_by_layer(architecture: Architecture) -> NDArray[np.int64]:
    """1 for each layer after the input whose potentials leak, 0 for the others, int64 [L - 1]."""
    return np.array([neuron.leaks for neuron in architecture.neurons], dtype=np.int64)


def _updates(architecture: Architecture, time_window: int, n_samples: int) -> NDArray[np.int64]:
    units = np.array(architecture.layer_sizes[1:], dtype=np.int64)
    return np.tile(time_window * units, (n_samples, 1))
