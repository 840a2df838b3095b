"""Operations: integers by sample, term and place; and those of a spiking network.

Every network is counted in one form (`OperationCounts`), so that all are priced alike:
a conventional one in `energy.conventional`, training in `energy.training`, and a
spiking one here, node by node, from what its nodes did (`counts.records`).

For a chain of layers 0 (input) to L - 1 (output) with n_l units, T steps, and S_l
spikes that layer l emits for one sample:

    synaptic events          E_l: sum over the spikes of layer l of the synapses that
    the unit
                             reaches
    neuron updates           T n_l: active in the S_l steps in which a neuron spikes,
    else inactive leak multiplications     T n_l        (Lemaire et al. 2022,
    arXiv:2210.13107, eq. 2.3); none in
                             a layer whose neurons keep their whole potential
    bias additions           T n_l        none without biases threshold comparisons    T
    n_l resets, spikes routed    S_l event addresses          one a synaptic event
    weight reads             one word a synaptic event, and where synapses were removed
    the index of
                             its target beside it
    bias reads               one a bias addition, or addition of a sum that is kept
    state accesses           2 T n_l words: each potential is read and written once per
    step; and up
                             to 2 more for each synaptic event, if it is no register
                             meanwhile
    spike reads, writes      S_l from the queue before a layer, S_l to the one behind it
    answer                   S_(L-1) additions to the counts of classes, and n_(L-1) - 1
                             comparisons of them; for early exit, in every step 2
                             n_(L-1) - 2 comparisons that find the two largest counts
                             and compare their distance with the lead

and, where the images are known, what their encoding takes (`encoding.encoder`) and one
read of each pixel. On hardware that leaves idle neurons alone, T n_l is the number of
lazy updates (`Measurement.lazy_updates`), and the leak of the steps between them one
multiplication.

An input of constant currents has no spikes, and in their place

    input MACs               the synapses of every source that gives something: once per
    inference,
                             or T times where hardware multiplies in every step
                             (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682)

which read weights, and accumulate, like synaptic events. Where they are made once,
their sums are added in every step: an addition per neuron and step that holds the bias,
if there is one, and is counted as a bias addition if there is none. Each pixel is
compared with zero, once, to find those that give something.

Other nodes of a graph, with n units, and its counts of one sample (`counts.records`):

    convolution             as of a layer; the memory of weights is that of its kernels,
                            and biases belong to it
    values into a connection    M multiply-accumulates; E + M addresses, weights read,
    and twice as
                            many accesses of state at most
    neurons                 T multiplications for each state that leaks, an addition for
                            each v_leak that is not 0 and, between a synaptic current
                            and the potential, for each neuron; two accesses of each
                            state
    pooling                 of a chain nothing: it renames spikes; of a graph
                            an addition for each amount and window; average pooling a
                            multiplication for each sum
    Threshold               T n comparisons; S spikes routed and written
    Delay                   what it gives was written, and is read once or by each that
    takes it a value that is no spike    is written by its node and read by each that
    multiplies it

and a spike is read once by each connection that it enters. What is done with an output
of values is not counted. Constant gains (r dt / tau and the like) are taken as parts of
the weights.

Hooks on a PyTorch model (`pricing.counted`) count more than spikes and updates: which
updates were active, resets, leaks, biases, comparisons and reads.

A synaptic event belongs to a connection (``input_to_hidden``), the others to a layer.
Input units are no neurons: they have spikes, but neither updates nor state. Loihi's
table of prices (Davies et al. 2018) names an "active" and an "inactive" neuron update
and does not define the words; here the update of a step with a spike is the active one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.counts.measurement import Measurement
from spikejoule.counts.records import Activity, Counts, NodeCounts
from spikejoule.encoding.encoder import EncodingOperations
from spikejoule.energy.terms import TERMS
from spikejoule.network.nodes import (
    BY_UNIT,
    Connection,
    Convolution,
    Delay,
    Dense,
    Input,
    Neurons,
    Node,
)
from spikejoule.network.quantisation import FLOAT_BITS

INFERENCE: Final = "inference"
IMAGE: Final = "image"
"""The place of what makes the pixels that a network reads."""

PIXEL_BITS = 8
"""Width of a pixel."""


@dataclass(frozen=True)
class Column:
    """One term at one place: a layer's name, or a connection's such as
    ``input_to_hidden``.

    Attributes:
        term: what is counted, a row of `terms.TERMS`; ValueError for another.
        place: where.
        bits: width of what is read, written or computed.
        memory_bits: size of the memory that a word is read from or written to; 0 where
            the term is no word of a memory.
        parameters_bits: of a weight, an index or a bias: what the layer's parameters
            take together.
        phase: ``inference``, or one of training's.
    """

    term: str
    place: str
    bits: int = FLOAT_BITS
    memory_bits: int = 0
    parameters_bits: int = 0
    phase: str = INFERENCE

    def __post_init__(self) -> None:
        if self.term not in TERMS:
            raise ValueError(f"{self.term!r} has no row in the table of terms")


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples, or of one inference on average.

    Attributes:
        columns: C columns, a term at a place each.
        counts: int64 [N, C]; of a mean whose samples are not known one by one, float64
            [1, C].
        time_window: T; 1 for a conventional network.
    """

    columns: tuple[Column, ...]
    counts: NDArray[Any]
    time_window: int = 1

    @property
    def n_images(self) -> int | None:
        """N; None of a mean."""
        return None if self.counts.dtype.kind == "f" else len(self.counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Operations of one inference on average, float64 [C]."""
        means: NDArray[np.float64] = self.counts.mean(axis=0)
        return means

    @property
    def as_mean(self) -> Self:
        """The same of one inference on average, without its samples."""
        return replace(self, counts=self.means[None])

    def of(self, *terms: str) -> NDArray[Any]:
        """Counts of some terms, [N, places of the terms]."""
        return self.counts[:, [column.term in terms for column in self.columns]]


def block(
    term: str,
    places: Sequence[str],
    counts: ArrayLike,
    bits: ArrayLike = FLOAT_BITS,
    words: ArrayLike = 0,
    parameters: ArrayLike = 0,
) -> OperationCounts:
    """A term at its places; `bits`, `words` and `parameters` of each place, or of all.

    Args:
        term: what is counted.
        places: P places.
        counts: [N, P], or [P] or a number of all samples.
        bits: width of what is read, written or computed.
        words: that the memory holds; 0 where the term is no word of a memory.
        parameters: bits of all parameters of the layer.
    """
    widths, held, stored = np.broadcast_arrays(
        bits, words, parameters, np.empty(len(places))
    )[:3]
    columns = tuple(
        Column(term, place, int(width), int(width) * int(n), int(n_bits))
        for place, width, n, n_bits in zip(places, widths, held, stored, strict=True)
    )
    return OperationCounts(columns, np.atleast_2d(counts))


def joined(
    parts: Iterable[OperationCounts], n_samples: int, time_window: int = 1
) -> OperationCounts:
    """Counts of N samples beside each other; those of one row are of each sample."""
    kept = [part for part in parts if part.columns]
    counts = [
        np.broadcast_to(part.counts, (n_samples, len(part.columns))) for part in kept
    ]
    columns = tuple(column for part in kept for column in part.columns)
    return OperationCounts(columns, np.hstack(counts), time_window)


def address_bits(n_units: int) -> int:
    """Bits that tell n units apart, at least 1."""
    return max(1, (n_units - 1).bit_length())


def averaging(operations: OperationCounts, side: int, n_pixels: int) -> OperationCounts:
    """Operations with those that make the pixels a network reads, if they are means of
    squares.

    Of a square every pixel is read and added, and half of their number to round;
    dividing by a power of two is no operation. The mean is written to where the network
    reads it.

    Args:
        operations: of the network, on any side.
        side: of the squares, in pixels; 1 if pixels are read as they are.
        n_pixels: that the network reads.
    """
    if side == 1:
        return operations
    made = made_pixels(IMAGE, side**2 * n_pixels, n_pixels, PIXEL_BITS, "code_addition")
    return joined([*made, operations], len(operations.counts), operations.time_window)


def made_pixels(
    place: str, n_read: int, n_written: int, bits: int, *computed: str
) -> Iterator[OperationCounts]:
    """What making pixels of others takes: each is read, goes through some terms, and is
    written.
    """
    yield block("pixel_read", [place], [n_read], PIXEL_BITS, n_read)
    for term in computed:
        yield block(term, [place], [n_read])
    yield block("activation_write", [place], [n_written], bits, n_written)


_ORDER: Final = {term: number for number, term in enumerate(TERMS)}


def count_operations(
    counted: Activity | Measurement, encoding: EncodingOperations | None = None
) -> OperationCounts:
    """The formulas of this module for a spiking network.

    Of each term, in the order of the table, the nodes in theirs.

    Args:
        counted: what N samples did, or the mean of them; of a `Measurement`, in its
            whole window, every neuron updated in every step (`Measurement.activity` has
            other ways).
        encoding: what encoding them took; None where that is not known.
    """
    activity = counted.activity() if isinstance(counted, Measurement) else counted
    blocks = [
        block
        for node in activity.network.nodes.values()
        for block in _of_node(activity, node)
    ]
    blocks.sort(key=lambda block: _ORDER[block.columns[0].term])
    return joined(
        [*_encoding(activity, encoding), *blocks], activity.n_rows, activity.time_window
    )


def _encoding(
    activity: Activity, encoding: EncodingOperations | None
) -> Iterator[OperationCounts]:
    """What turning images into spikes takes, and finding the constant currents that are
    not 0.
    """
    node = activity.network.input
    if encoding is not None:
        yield _at(node, "pixel_read", node.n_out, PIXEL_BITS, node.n_out)
        yield _at(node, "random_draw", encoding.random_draws)
        yield _at(node, "code_comparison", encoding.comparisons)
        yield _at(node, "code_multiplication", encoding.multiplications)
        yield _at(node, "code_addition", encoding.additions)
        yield _at(node, "code_logarithm", encoding.logarithms)
    if activity.products is not None:
        yield _at(node, "zero_comparison", activity.samples_of_row * node.n_out)


def _at(
    node: Node, term: str, counts: Counts | int, *sizes: ArrayLike
) -> OperationCounts:
    """A term at a node, counts [N] or of all samples, with `block`'s bits, words and
    parameters.
    """
    return block(term, [node.name], np.atleast_1d(counts)[:, None], *sizes)


def _of_node(activity: Activity, node: Node) -> Iterator[OperationCounts]:
    counts = activity.counts.get(node.name)
    if counts is not None:
        if isinstance(node, Dense | Convolution):
            yield from _of_connection(activity, node, counts)
        elif isinstance(node, Neurons):
            yield from _of_neurons(activity, node, counts)
        elif counts.comparisons is not None:
            yield _at(node, "threshold_comparison", counts.comparisons)
        if counts.additions is not None:
            yield _at(node, "addition", counts.additions)
        if counts.multiplications is not None:
            yield _at(node, "multiplication", counts.multiplications)
        yield from _of_transfer(activity, node, counts)
    if node == activity.network.output:
        yield from _of_answer(activity, node)


@dataclass(frozen=True)
class _Stored:
    """The parameters of a node in memory.

    Attributes:
        weights: words.
        index_bits: of the index beside each weight; 0 without.
        biases: words.
        bits: of all of them together.
    """

    weights: int
    index_bits: int
    biases: int
    bits: int


def _stored(activity: Activity, node: Connection | Neurons) -> _Stored:
    """What a node's parameters take; the biases behind a connection are among its
    own.
    """
    network = activity.network
    if isinstance(node, Neurons):
        return _Stored(0, 0, node.n_out, node.n_out * network.state_bits)
    is_sparse = activity.pruned and isinstance(node, Dense)
    weights = node.stored(activity.pruned)
    index_bits = address_bits(node.n_out) * is_sparse
    biases = network.bias_words(node, activity.products)
    bits = weights * (network.weight_bits + index_bits) + biases * network.state_bits
    return _Stored(weights, index_bits, biases, bits)


def _of_connection(
    activity: Activity, node: Connection, counts: NodeCounts
) -> Iterator[OperationCounts]:
    """What arrives through weights, and a bias of its own."""
    network = activity.network
    stored = _stored(activity, node)
    reads = activity.none
    if counts.events is not None:
        reads = reads + counts.events
        yield _at(node, "synaptic_event", counts.events)
    if counts.macs is not None:
        reads = reads + counts.macs
        yield _at(
            node, "mac" if activity.products is None else "input_mac", counts.macs
        )
    yield _at(node, "address_event", reads)
    yield _at(
        node, "weight_read", reads, network.weight_bits, stored.weights, stored.bits
    )
    if stored.index_bits:
        yield _at(
            node, "index_read", reads, stored.index_bits, stored.weights, stored.bits
        )
    if counts.biases is not None:
        yield _at(node, "bias_addition", counts.biases)
        yield _at(
            node,
            "bias_read",
            counts.biases,
            network.state_bits,
            stored.biases,
            stored.bits,
        )
    yield _at(node, "state_access_per_event", 2 * reads, network.state_bits, node.n_out)


def _of_neurons(
    activity: Activity, node: Neurons, counts: NodeCounts
) -> Iterator[OperationCounts]:
    network = activity.network
    updates = counts.updates
    further = node.n_states - 1
    assert updates is not None
    if counts.active is None:
        yield _at(node, "neuron_update_inactive", updates)
    else:
        yield _at(node, "neuron_update_active", counts.active)
        yield _at(node, "neuron_update_inactive", updates - counts.active)
    if further:
        yield _at(node, "addition", further * updates)
    if counts.leaks is not None:
        yield _at(node, "leak_multiplication", counts.leaks)
    if counts.biases is not None:
        stored = _stored(activity, network.bias_holder_of(node))
        words = stored.biases or node.n_out
        yield _at(node, "bias_addition", counts.biases)
        yield _at(
            node, "bias_read", counts.biases, network.state_bits, words, stored.bits
        )
    if counts.comparisons is not None:
        yield _at(node, "threshold_comparison", counts.comparisons)
    if counts.resets is not None:
        yield _at(node, "reset", counts.resets)
    words = node.n_out * node.n_states
    yield _at(
        node, "state_access", 2 * updates * node.n_states, network.state_bits, words
    )


def _of_transfer(
    activity: Activity, node: Node, counts: NodeCounts
) -> Iterator[OperationCounts]:
    """What leaves a node: spikes or values, written once and read by each that takes
    them.
    """
    name = node.name
    size = node.n_out
    gives_values = name not in activity.network.spiking or counts.values is not None
    passed = counts.values if gives_values else counts.spikes
    passed = activity.none if passed is None else passed
    readers = sum(
        isinstance(reader, BY_UNIT) for reader in activity.network.readers_of(name)
    )
    if isinstance(node, Delay):
        readers = max(readers, 1)
    read = counts.reads
    if read is None and readers:
        read = readers * passed
    if not gives_values:
        yield _at(node, "spike_routed", passed)
        if read is not None:
            yield _at(node, "spike_read", read, address_bits(size), size)
        if not isinstance(node, Input):
            yield _at(node, "spike_write", passed, address_bits(size), size)
    elif read is not None:
        if not isinstance(node, Input):
            yield _at(node, "activation_write", passed, FLOAT_BITS, size)
        yield _at(node, "activation_read", read, FLOAT_BITS, size)


def _of_answer(activity: Activity, node: Node) -> Iterator[OperationCounts]:
    """Spikes that are added to the counts of classes, and finding the class with the
    most.
    """
    giver = activity.network.answer
    if giver is None:
        return
    comparisons = activity.samples_of_row * (node.n_out - 1)
    if activity.exit_steps is not None:
        comparisons = activity.exit_steps * (2 * node.n_out - 2)
    yield _at(node, "spike_counted", activity.spikes_of(giver))
    yield _at(node, "decision_comparison", comparisons)
