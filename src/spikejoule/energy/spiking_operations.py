"""Counting the operations of a spiking network's inference: integers by sample, term and place.

For a network of layers 0 (input) to L - 1 (output) with n_l units, T steps, and S_l spikes that
layer l emits for one sample,

    synaptic events          E_l: sum over the spikes of layer l of the synapses that the unit
                             reaches
    neuron updates           T n_l: active in the S_l steps in which a neuron spikes, else inactive
    leak multiplications     T n_l        (Lemaire et al. 2022, arXiv:2210.13107, eq. 2.3); none in
                             a layer whose neurons keep their whole potential
    bias additions           T n_l        none without biases
    threshold comparisons    T n_l
    resets, spikes routed    S_l
    event addresses          one a synaptic event
    weight reads             one word a synaptic event, and where synapses were removed the index of
                             its target beside it
    bias reads               one a bias addition, or addition of a sum that is kept
    state accesses           2 T n_l words: each potential is read and written once per step; and up
                             to 2 more for each synaptic event, if it is no register meanwhile
    spike reads, writes      S_l from the queue before a layer, S_l to the one behind it
    answer                   S_(L-1) additions to the counts of classes, and n_(L-1) - 1 comparisons
                             of them; to answer early, in every step 2 n_(L-1) - 2 comparisons that
                             find the two largest counts and hold their distance against the lead

and, where the images are known, what their code takes (`spikes.encoding_operations`) and one read
of each pixel. On hardware that leaves idle neurons alone, T n_l is the number of lazy updates
(`measure.lazy_updates`), and the leak of the steps between them one multiplication.

An input of constant currents has no spikes, and in their place

    input MACs               the synapses of every source that gives something: once per inference,
                             or T times where hardware multiplies in every step (Rueckauer et al.
                             2017, doi:10.3389/fnins.2017.00682)

which read weights, and accumulate, like synaptic events. Where they are made once, their sums are
added in every step: an addition per neuron and step that holds the bias, if there is one, and is
counted as a bias addition if there is none. Each pixel is compared with zero, once, to find those
that give something.

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

from spikejoule.encoding.encoder import EncodingOperations
from spikejoule.encoding.events import Products
from spikejoule.energy import terms
from spikejoule.energy.operations import Block, Column, MeanOperations, OperationCounts, joined
from spikejoule.energy.spiking_places import SpikingPlaces
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.architecture import Architecture
from spikejoule.model.pruning import synaptic_events_per_connection

_PIXEL_BITS = 8


@dataclass(frozen=True, eq=False)
class InputMacs:
    """Multiply-accumulates of constant currents.

    Attributes:
        counts: of each sample or epoch, or means, [N].
        products: whether hardware makes them ``once`` per inference or in ``every_step``.
    """

    counts: NDArray[Any]
    products: Products


@dataclass(frozen=True, eq=False)
class SpikingCounts:
    """What the operations of N samples (or epochs, or of one mean) follow from.

    Attributes:
        spikes: of each layer, [N, L].
        events: synaptic events of each connection, [N, L - 1].
        updates: neuron updates of each layer after the input, [N, L - 1].
        synapses: that are left, of each connection; None for all.
        inputs: products of constant currents; None for an input of spikes.
        code: what encoding took; None where the images are not known.
        exit_steps: the steps [N] after which a network that may answer early did; None for one
            that does not.
        samples: of each row, [N]; None for one.
    """

    spikes: NDArray[Any]
    events: NDArray[Any]
    updates: NDArray[Any]
    synapses: tuple[int, ...] | None = None
    inputs: InputMacs | None = None
    code: EncodingOperations | None = None
    exit_steps: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None


def count_operations(
    measured: Measurement, code: EncodingOperations | None = None
) -> OperationCounts:
    """What inference on the N samples of a measurement takes, from its counts of their spikes.

    Args:
        measured: the samples.
        code: what encoding them took; None where that is not known.
    """
    architecture, time_window = measured.architecture, measured.time_window
    n_samples = measured.counts.n_samples
    counts = spiking_counts(
        measured, code, clocked_updates(architecture, np.full(n_samples, time_window))
    )
    columns, found = count_spiking(architecture, counts)
    return OperationCounts(columns, found, time_window, measured.lazy_updates)


def spiking_counts(
    measured: Measurement,
    code: EncodingOperations | None,
    updates: NDArray[np.int64],
    exit_steps: NDArray[np.int64] | None = None,
) -> SpikingCounts:
    """The counts of a measurement, with the neuron updates [N, L - 1] that are to be counted."""
    currents, macs = measured.layers[0].currents, measured.input_macs
    if exit_steps is not None and currents is not None and currents.products == "every_step":
        macs = currents.sum_per_sample(measured.fan_outs[0]) * exit_steps
    return SpikingCounts(
        spikes=measured.counts.per_sample,
        events=measured.synaptic_events,
        updates=updates,
        synapses=measured.synapses if measured.pruned else None,
        inputs=None if currents is None or macs is None else InputMacs(macs, currents.products),
        code=code,
        exit_steps=exit_steps,
    )


def mean_operations(
    spikes_per_inference: Mapping[str, float],
    architecture: Architecture,
    time_window: int,
    synaptic_events: Sequence[float] | None = None,
    inputs: InputMacs | None = None,
    synapses: tuple[int, ...] | None = None,
) -> MeanOperations:
    """Operations of one inference from the mean spikes of each layer.

    Args:
        spikes_per_inference: mean spikes by the layer's name, all L layers.
        architecture: layer sizes.
        time_window: T.
        synaptic_events: mean events of each connection; None for those of a fully connected
            network.
        inputs: mean products of constant currents, [1]; None for an input of spikes.
        synapses: that are left, of each connection; None for all.
    """
    spikes = np.array([[spikes_per_inference[name] for name in architecture.layer_names]])
    if synaptic_events is None:
        synaptic_events = synaptic_events_per_connection(dict(spikes_per_inference), architecture)
    counts = SpikingCounts(
        spikes=spikes,
        events=np.array([synaptic_events]),
        updates=clocked_updates(architecture, np.array([time_window])),
        synapses=synapses,
        inputs=inputs,
    )
    columns, means = count_spiking(architecture, counts)
    return MeanOperations(columns, means[0].astype(np.float64), time_window)


def clocked_updates(architecture: Architecture, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """One update a neuron and step of each layer after the input, int64 [N, L - 1].

    `steps` [N] are those of each sample, or of all samples of an epoch together.
    """
    return steps[:, None] * np.array(architecture.layer_sizes[1:], dtype=np.int64)


def leaks_by_layer(architecture: Architecture) -> NDArray[np.int64]:
    """1 for each layer after the input whose potentials leak, 0 for the others, int64 [L - 1]."""
    return np.array([neuron.leaks for neuron in architecture.neurons], dtype=np.int64)


def count_spiking(
    architecture: Architecture, counts: SpikingCounts
) -> tuple[tuple[Column, ...], NDArray[Any]]:
    """The formulas of this module: C columns, and counts [N, C].

    Args:
        architecture: for layer sizes, widths, and what an update of the neurons contains.
        counts: of N samples.
    """
    keeps_sums = counts.inputs is not None and counts.inputs.products == "once"
    at = SpikingPlaces(architecture, counts.synapses, keeps_sums)
    spikes, events, updates = counts.spikes, counts.events, counts.updates
    additions = bias_additions(architecture, updates, counts.inputs)
    reads, macs = events, events[:, :0]
    if counts.inputs is not None:
        macs = counts.inputs.counts[:, None]
        reads = np.concatenate([events[:, :1] + macs, events[:, 1:]], axis=1)
    active = spikes[:, 1:]
    blocks = [
        *_code(architecture, counts),
        *_zeros(architecture, counts),
        Block(at.connections(terms.SYNAPTIC_EVENT), events),
        Block(at.connections(terms.INPUT_MAC)[: macs.shape[1]], macs),
        Block(at.layers(terms.NEURON_UPDATE_ACTIVE), active),
        Block(at.layers(terms.NEURON_UPDATE_INACTIVE), updates - active),
        Block(at.layers(terms.LEAK_MULTIPLICATION), updates * leaks_by_layer(architecture)),
        Block(at.layers(terms.BIAS_ADDITION), additions),
        Block(at.layers(terms.THRESHOLD_COMPARISON), updates),
        Block(at.layers(terms.RESET), active),
        Block(at.every_layer(terms.SPIKE_ROUTED), spikes),
        Block(at.connections(terms.ADDRESS_EVENT), reads),
        Block(at.weights(terms.WEIGHT_READ), reads),
        Block(at.indices(terms.INDEX_READ), reads[:, : len(at.indices(terms.INDEX_READ))]),
        Block(at.biases(terms.BIAS_READ), additions),
        Block(at.states(terms.STATE_ACCESS), 2 * updates),
        Block(at.states_of_connections(terms.STATE_ACCESS_PER_EVENT), 2 * reads),
        Block(at.queues(terms.SPIKE_READ)[:-1], spikes[:, :-1]),
        Block(at.queues(terms.SPIKE_WRITE)[1:], active),
        *_answer(architecture, counts),
    ]
    return joined(blocks, len(spikes))


def bias_additions(
    architecture: Architecture, updates: NDArray[Any], inputs: InputMacs | None
) -> NDArray[Any]:
    """Updates [N, L - 1] that add a bias, or the sums of products that are made once."""
    added = updates * architecture.neuron.has_bias
    if inputs is not None and inputs.products == "once":
        added[:, 0] = updates[:, 0]
    return added


def _code(architecture: Architecture, counts: SpikingCounts) -> list[Block]:
    """What turning the images into spikes takes."""
    if counts.code is None:
        return []
    n_pixels = architecture.n_input
    kinds = (
        (terms.RANDOM_DRAW, counts.code.random_draws),
        (terms.CODE_COMPARISON, counts.code.comparisons),
        (terms.CODE_MULTIPLICATION, counts.code.multiplications),
        (terms.CODE_ADDITION, counts.code.additions),
        (terms.CODE_LOGARITHM, counts.code.logarithms),
    )
    pixel = Column(terms.PIXEL_READ, "input", _PIXEL_BITS, n_pixels * _PIXEL_BITS)
    return [
        Block((pixel,), np.array([n_pixels])),
        *(Block((Column(term, "input"),), found[:, None]) for term, found in kinds),
    ]


def _zeros(architecture: Architecture, counts: SpikingCounts) -> list[Block]:
    """What finding the constant currents that are not zero takes."""
    if counts.inputs is None:
        return []
    return [
        Block((Column(terms.ZERO_COMPARISON, "input"),), _samples(counts) * architecture.n_input)
    ]


def _samples(counts: SpikingCounts) -> NDArray[np.int64]:
    """Samples of each row, [N, 1], or [1, 1] if it is one."""
    return np.ones((1, 1), np.int64) if counts.samples is None else counts.samples[:, None]


def _answer(architecture: Architecture, counts: SpikingCounts) -> list[Block]:
    """What finding the class with the most spikes takes."""
    place, n_classes = architecture.layer_names[-1], architecture.n_output
    comparisons = _samples(counts) * (n_classes - 1)
    if counts.exit_steps is not None:
        comparisons = counts.exit_steps[:, None] * (2 * n_classes - 2)
    return [
        Block((Column(terms.SPIKE_COUNTED, place),), counts.spikes[:, -1:]),
        Block((Column(terms.DECISION_COMPARISON, place),), comparisons),
    ]
