"""Operation counts: integers by sample, term and layer.

Every network is counted in one form (`OperationCounts`) and priced alike: spiking
networks here, from the counts of their nodes (`counts.records`), conventional networks
in `energy.conventional`, training in `energy.training`.

A chain has layers 0 (input) to L - 1 (output) with n_l units, T steps, and S_l spikes
that layer l emits for one sample:

    synaptic events          E_l, the sum over layer l's spikes of their fan-out
    neuron updates           T n_l: active in the S_l steps with a spike, else inactive
    leak multiplications     T n_l, none without leak (Lemaire et al. 2022,
                             arXiv:2210.13107, eq. 2.3)
    bias additions           T n_l, none without biases
    threshold comparisons    T n_l
    resets, spikes routed    S_l
    event addresses          one per synaptic event
    weight reads             one word per synaptic event; in a pruned network also the
                             index of its target
    bias reads               one per bias addition
    state accesses           2 T n_l words: each potential is read and written once per
                             step; up to 2 more per synaptic event if the potential is
                             not kept in a register during a step
    spike reads, writes      S_l from the queue before a layer, S_l to the one after
    answer                   S_(L-1) additions to the class counts, n_(L-1) - 1
                             comparisons of them; for early exit, 2 n_(L-1) - 2
                             comparisons in every step, which find the two largest
                             counts and compare their distance with the lead

For images, encoding them (`encoding.encoder`) and one read per pixel are added. On
event-driven hardware, lazy updates (`Measurement.lazy_updates`) replace T n_l, and the
leak of skipped steps is one multiplication.

An input of constant currents has no spikes. Instead it takes

    input MACs               the fan-out of every source that is not zero, once per
                             inference, or T times where hardware multiplies in every
                             step (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682)

which read weights and accumulate like synaptic events. If products are computed once,
their sums are added in every step, together with the bias: one addition per neuron and
step, counted as a bias addition even without a bias. Each pixel is compared with zero
once.

The other nodes of imported networks, with n units, E synaptic events and M
multiply-accumulates per sample:

    convolution          like a layer; kernels and biases are stored once
    values into weights  M MACs; E + M addresses and weight reads, and at most twice as
                         many state accesses
    neurons              T multiplications for each leaking state; an addition for each
                         nonzero v_leak and, with a synaptic current, for each neuron;
                         two accesses to each state
    pooling              none in a chain, where it only renames spikes; in a graph an
                         addition per value and window, and a multiplication per
                         nonzero sum for averages
    Threshold            T n comparisons; S spikes routed and written
    Delay                writes what it emits, which is read once or by each reader
    values               written by their node and read by each node that multiplies

A spike is read once by each connection that it enters. Reading out an output of values
is not counted. Constant gains such as r dt / tau are part of the weights. Hooks on a
PyTorch model (`pricing.counted`) also provide active updates, resets, leaks, biases,
comparisons and reads.

A synaptic event belongs to a connection (``input_to_hidden``), everything else to a
layer. Input units are not neurons: they emit spikes, but have neither updates nor
state. Loihi's table (Davies et al. 2018) prices "active" and "inactive" neuron updates
without defining them; here an update is active if the neuron spikes in that step.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

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

PIXEL_BITS = 8


@dataclass(frozen=True)
class Column:
    """One term in one place: a layer, or a connection such as ``input_to_hidden``.

    Attributes:
        term: the operation, a row of `terms.TERMS`; ValueError for any other.
        place: where.
        bits: width of what is read, written or computed.
        memory_bits: size of the memory that is accessed; 0 if none is.
        parameters_bits: size of all parameters of the layer together, for reads of
            weights, indices and biases.
        phase: ``inference``, or a phase of training.
        product_bits: of a multiplication, the product of the widths of its factors.
        sum_bits: of an addition or comparison, the width of its result.
    """

    term: str
    place: str
    bits: int = FLOAT_BITS
    memory_bits: int = 0
    parameters_bits: int = 0
    phase: str = INFERENCE
    product_bits: int = FLOAT_BITS**2
    sum_bits: int = FLOAT_BITS

    def __post_init__(self) -> None:
        if self.term not in TERMS:
            raise ValueError(f"{self.term!r} has no row in the table of terms")


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples, or of an average inference.

    Attributes:
        columns: C columns.
        counts: int64 [N, C]; float64 [1, C] for a mean of unknown samples.
        time_window: T; 1 for a conventional network.
    """

    columns: tuple[Column, ...]
    counts: NDArray[Any]
    time_window: int = 1

    @property
    def n_images(self) -> int | None:
        """N; None for a mean."""
        return None if self.counts.dtype.kind == "f" else len(self.counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean operations of an inference, float64 [C]."""
        means: NDArray[np.float64] = self.counts.mean(axis=0)
        return means

    @property
    def as_mean(self) -> Self:
        """The mean alone, as counts of one average inference."""
        return replace(self, counts=self.means[None])

    def of(self, *terms: str) -> NDArray[Any]:
        """Return the counts of some terms, [N, columns of these terms]."""
        return self.counts[:, [column.term in terms for column in self.columns]]

    def mean_of(self, term: str) -> float:
        """Return the mean count of a term per inference."""
        return float(self.of(term).sum(axis=1).mean())


class Words(NamedTuple):
    """Width and storage of what an operation handles; scalars, or one value per place.

    Attributes:
        bits: width of what is read, written or computed.
        held: words in the memory that is accessed; 0 if none is.
        parameters_bits: size of all parameters of the layer together.
        product_bits, sum_bits: widths of arithmetic, as in `Column`.
    """

    bits: ArrayLike = FLOAT_BITS
    held: ArrayLike = 0
    parameters_bits: ArrayLike = 0
    product_bits: ArrayLike = FLOAT_BITS**2
    sum_bits: ArrayLike = FLOAT_BITS


_NO_MEMORY = Words()


def arithmetic(bits: ArrayLike) -> Words:
    """Return the widths of arithmetic whose operands and results have these bits."""
    return Words(product_bits=np.square(bits), sum_bits=bits)


OF_PIXELS: Final = arithmetic(PIXEL_BITS)
"""Arithmetic that encodes pixels."""


def block(
    term: str, places: Sequence[str], counts: ArrayLike, words: Words = _NO_MEMORY
) -> OperationCounts:
    """Count a term in P places.

    Args:
        term: the operation.
        places: P layers or connections.
        counts: [N, P]; or [P] or a number, for every sample.
        words: width and memory.
    """
    at_places = np.empty(len(places))
    *widths, _ = np.broadcast_arrays(*words, at_places)
    columns = []
    for place, *of_place in zip(places, *widths, strict=True):
        bits, held, parameters_bits, product_bits, sum_bits = map(int, of_place)
        columns.append(
            Column(
                term,
                place,
                bits,
                memory_bits=bits * held,
                parameters_bits=parameters_bits,
                product_bits=product_bits,
                sum_bits=sum_bits,
            )
        )
    return OperationCounts(tuple(columns), np.atleast_2d(counts))


def joined(
    parts: Iterable[OperationCounts], n_samples: int, time_window: int = 1
) -> OperationCounts:
    """Join counts of N samples column by column; single rows hold for every sample."""
    kept = [part for part in parts if part.columns]
    counts = [
        np.broadcast_to(part.counts, (n_samples, len(part.columns))) for part in kept
    ]
    columns = tuple(column for part in kept for column in part.columns)
    return OperationCounts(columns, np.hstack(counts), time_window)


def address_bits(n_units: int) -> int:
    """Return the bits that number n units, at least 1."""
    return max(1, (n_units - 1).bit_length())


def made_pixels(
    place: str, n_read: int, n_written: int, bits: int, *terms: str
) -> Iterator[OperationCounts]:
    """Count making pixels: read others, apply some terms, write the results."""
    yield block("pixel_read", [place], [n_read], Words(PIXEL_BITS, n_read))
    for term in terms:
        yield block(term, [place], [n_read], OF_PIXELS)
    yield block("activation_write", [place], [n_written], Words(bits, n_written))


_ORDER: Final = {term: number for number, term in enumerate(TERMS)}


def count_operations(
    counted: Activity | Measurement, encoding: EncodingOperations | None = None
) -> OperationCounts:
    """Count the operations of a spiking network, by the formulas above.

    Columns are in the order of the table of terms, and of the nodes within a term.

    Args:
        counted: counts of N samples, or their mean. A `Measurement` is counted over its
            whole window with clocked updates.
        encoding: what encoding the samples took; None if unknown.
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
    """Count encoding images, and finding the constant currents that are not zero."""
    node = activity.network.input
    if encoding is not None:
        yield _at(node, "pixel_read", node.n_out, Words(PIXEL_BITS, node.n_out))
        for term, counts in encoding_terms(encoding).items():
            yield _at(node, term, counts, OF_PIXELS)
    if activity.products is not None:
        n_compared = activity.samples_of_row * node.n_out
        yield _at(node, "zero_comparison", n_compared, OF_PIXELS)


def encoding_terms(encoding: EncodingOperations) -> dict[str, NDArray[np.int64]]:
    """Return the operations of encoding by term, [N] each."""
    return {
        "random_draw": encoding.random_draws,
        "code_comparison": encoding.comparisons,
        "code_multiplication": encoding.multiplications,
        "code_addition": encoding.additions,
        "code_logarithm": encoding.logarithms,
    }


def _at(
    node: Node, term: str, counts: Counts | int, words: Words = _NO_MEMORY
) -> OperationCounts:
    """Count a term at one node; counts [N], or a number for every sample."""
    return block(term, [node.name], np.atleast_1d(counts)[:, None], words)


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
        weights: number of weights.
        index_bits: width of the index next to each weight; 0 without indices.
        biases: number of biases.
        bits: size of all of them together.
    """

    weights: int
    index_bits: int
    biases: int
    bits: int


def _stored(activity: Activity, node: Connection | Neurons) -> _Stored:
    """Return what a node stores; a connection's includes the biases after it."""
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
    """Count what passes through weights, and a bias of the connection."""
    network = activity.network
    stored = _stored(activity, node)
    state_arithmetic = arithmetic(network.state_bits)
    reads = activity.none
    if counts.events is not None:
        reads = reads + counts.events
        yield _at(node, "synaptic_event", counts.events, state_arithmetic)
    if counts.macs is not None:
        reads = reads + counts.macs
        reads_values = activity.products is None
        term = "mac" if reads_values else "input_mac"
        factor_bits = FLOAT_BITS if reads_values else PIXEL_BITS
        product_bits = factor_bits * network.weight_bits
        product = state_arithmetic._replace(product_bits=product_bits)
        yield _at(node, term, counts.macs, product)
    yield _at(node, "address_event", reads)
    weight = Words(network.weight_bits, stored.weights, stored.bits)
    yield _at(node, "weight_read", reads, weight)
    if stored.index_bits:
        index = Words(stored.index_bits, stored.weights, stored.bits)
        yield _at(node, "index_read", reads, index)
    if counts.biases is not None:
        bias = Words(network.state_bits, stored.biases, stored.bits)
        yield _at(node, "bias_addition", counts.biases, state_arithmetic)
        yield _at(node, "bias_read", counts.biases, bias)
    state = Words(network.state_bits, node.n_out)
    yield _at(node, "state_access_per_event", 2 * reads, state)


def _of_neurons(
    activity: Activity, node: Neurons, counts: NodeCounts
) -> Iterator[OperationCounts]:
    network = activity.network
    updates = counts.updates
    assert updates is not None
    if counts.active is None:
        yield _at(node, "neuron_update_inactive", updates)
    else:
        yield _at(node, "neuron_update_active", counts.active)
        yield _at(node, "neuron_update_inactive", updates - counts.active)
    widths = arithmetic(network.state_bits)
    further_states = node.n_states - 1
    if further_states:
        yield _at(node, "addition", further_states * updates, widths)
    if counts.leaks is not None:
        yield _at(node, "leak_multiplication", counts.leaks, widths)
    if counts.biases is not None:
        stored = _stored(activity, network.bias_holder_of(node))
        # Without biases, what is added in every step are kept sums, one per neuron.
        n_words = stored.biases or node.n_out
        bias = Words(network.state_bits, n_words, stored.bits)
        yield _at(node, "bias_addition", counts.biases, widths)
        yield _at(node, "bias_read", counts.biases, bias)
    if counts.comparisons is not None:
        yield _at(node, "threshold_comparison", counts.comparisons, widths)
    if counts.resets is not None:
        yield _at(node, "reset", counts.resets, widths)
    states = Words(network.state_bits, node.n_out * node.n_states)
    yield _at(node, "state_access", 2 * updates * node.n_states, states)


def _of_transfer(
    activity: Activity, node: Node, counts: NodeCounts
) -> Iterator[OperationCounts]:
    """Count what leaves a node: written once, and read by each reader."""
    network = activity.network
    gives_values = node.name not in network.spiking or counts.values is not None
    passed = counts.values if gives_values else counts.spikes
    passed = activity.none if passed is None else passed
    readers = sum(
        isinstance(reader, BY_UNIT) for reader in network.readers_of(node.name)
    )
    if isinstance(node, Delay):
        readers = max(readers, 1)
    reads = counts.reads
    if reads is None and readers:
        reads = readers * passed
    address = Words(address_bits(node.n_out), node.n_out)
    value = Words(FLOAT_BITS, node.n_out)
    if not gives_values:
        yield _at(node, "spike_routed", passed)
        if reads is not None:
            yield _at(node, "spike_read", reads, address)
        if not isinstance(node, Input):
            yield _at(node, "spike_write", passed, address)
    elif reads is not None:
        if not isinstance(node, Input):
            yield _at(node, "activation_write", passed, value)
        yield _at(node, "activation_read", reads, value)


def _of_answer(activity: Activity, node: Node) -> Iterator[OperationCounts]:
    """Count adding output spikes to the class counts, and finding the largest count."""
    answer = activity.network.answer
    if answer is None:
        return
    comparisons = activity.samples_of_row * (node.n_out - 1)
    if activity.exit_steps is not None:
        comparisons = activity.exit_steps * (2 * node.n_out - 2)
    yield _at(node, "spike_counted", activity.spikes_of(answer))
    yield _at(node, "decision_comparison", comparisons)
