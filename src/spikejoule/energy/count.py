"""From an activity to operations: one function for every network, on both sides.

A layer of n units runs for T steps (a conventional network: one), and emits S spikes or
n values. Its connection has W synapses, of which E are reached by a spike and M by a
value that is not zero.

                            zero-skipping               dense
    additions of weights    E synaptic events           none
    multiply-accumulates    M                           W in each step
    addresses               E + M of synapses           W in each step, and those of the
                                                        units of both layers
    weight reads            E + M                       W in each step
    sums in memory          2 (E + M), unless they      none: a sum is in a register
                            stay in a register
    comparisons with zero   n values                    none
    reads by a connection   S spikes; n values          n values in each step

A pruned matrix also reads the index of each weight's target, and a dense network then
fetches an activation for each remaining weight. A kernel is stored once. Biases are
added and read once per unit and step; they share the weights' memory, or have their own
(`Dataflow`).

Spiking neurons, in each step (Lemaire et al. 2022, arXiv:2210.13107):

    neuron updates          n: active in the S steps with a spike, else inactive
    leak multiplications    n for each leaking state (eq. 2.3)
    threshold comparisons   n
    resets, spikes routed   S
    state accesses          2 n words for each state, read and written once
    spike writes            S to the queue of the layer
    answer                  S of the output added to the class counts, n - 1 comparisons
                            of them; for early exit, 2 n - 2 in every step, which find
                            the two largest and compare their distance with the lead

On event-driven hardware, lazy updates (`Measurement.lazy_updates`) replace T n, and the
leak of skipped steps is one multiplication.

Units that send values:

    comparisons with zero   n of a hidden layer (ReLU)
    requantisations         n of a hidden layer, in integer networks; additions that
                            round before a shift, if they need no multiplication
    sum accesses            zero-skipping: 2 n, set to the bias and read at the end;
                            without biases n, as sums start at 0
    activation writes       n
    answer                  n - 1 comparisons

Pooling of values takes an addition or a comparison per value and window, reads its
input and writes its results, which averages divide. In an event-driven chain it only
renames spikes.

For images, encoding them (`encoding.encoder`) and one read per pixel are added. An
integer network whose activations have neither 8 nor 16 bits reads each pixel in 8 bits,
multiplies, rounds by an addition, and writes it in its own width. A pixel of 1 bit is
read in 8 bits, compared with a threshold and written; its products are additions of
weights.

An input of constant currents has no spikes. Its products are computed once per
inference, or T times (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682). If once,
their sums are added in every step, together with the bias: one addition per neuron and
step, counted as a bias addition even without a bias. Each pixel is compared with zero
once.

The other nodes of imported networks:

    neurons              an addition for each nonzero v_leak and, with a synaptic
                         current, for each neuron
    pooling              an addition per value and window, and a multiplication per
                         nonzero sum for averages
    Threshold            T n comparisons; S spikes routed and written
    Delay                writes what it emits, which is read once or by each reader
    values               written by their node and read by each node that multiplies

A spike is read once by each connection that it enters. Reading out an output of values
is not counted. Constant gains such as r dt / tau are part of the weights. Hooks on a
PyTorch model (`pricing.counted`) also provide active updates, resets, leaks, biases,
comparisons and reads.

A product belongs to a connection (``input_to_hidden``), everything else to a layer.
Input units are not neurons: they have neither updates nor state. Loihi's table (Davies
et al. 2018) prices "active" and "inactive" updates without defining them; here an
update is active if the neuron spikes in that step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.measurement import Measurement
from spikejoule.counts.records import Activity, Counts, NodeCounts
from spikejoule.encoding.encoder import EncodingOperations
from spikejoule.energy.dataflow import ZERO_SKIPPING, Dataflow
from spikejoule.energy.operations import (
    PIXEL_BITS,
    OperationCounts,
    Words,
    address_bits,
    arithmetic,
    block,
    joined,
)
from spikejoule.energy.terms import TERMS
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.nodes import (
    BY_UNIT,
    Connection,
    Convolution,
    Delay,
    Dense,
    Input,
    Neurons,
    Node,
    Pooling,
)
from spikejoule.network.quantisation import FLOAT_BITS

Blocks = Iterator[OperationCounts]

OF_PIXELS: Final = arithmetic(PIXEL_BITS)
"""Arithmetic that encodes pixels."""

_NO_MEMORY = Words()
_ORDER: Final = {term: number for number, term in enumerate(TERMS)}


def count_operations(
    counted: Activity | Measurement,
    encoding: EncodingOperations | None = None,
    dataflow: Dataflow = ZERO_SKIPPING,
) -> OperationCounts:
    """Count the operations of a network, by the formulas above.

    Columns are in the order of the table of terms, and of the nodes within a term.

    Args:
        counted: counts of N samples, or their mean. A `Measurement` is counted over its
            whole window with clocked updates.
        encoding: what encoding the samples took; None if unknown.
        dataflow: how the network runs.
    """
    activity = counted.activity() if isinstance(counted, Measurement) else counted
    run = _Run(activity, dataflow)
    blocks = [
        block for node in run.network.nodes.values() for block in _of_node(run, node)
    ]
    blocks.sort(key=lambda block: _ORDER[block.columns[0].term])
    return joined(
        [*_of_input(run, encoding), *blocks], activity.n_rows, activity.time_window
    )


@dataclass(frozen=True)
class _Stored:
    """The parameters of a node in memory.

    Attributes:
        weights: number of weights.
        index_bits: width of the index next to each weight; 0 without indices.
        biases: number of biases.
        weights_bits: size of the memory that holds the weights.
        biases_bits: size of the memory that holds the biases.
    """

    weights: int
    index_bits: int
    biases: int
    weights_bits: int
    biases_bits: int


@dataclass(frozen=True, eq=False)
class _Run:
    """A network that runs: what it did, and how."""

    activity: Activity
    dataflow: Dataflow

    @property
    def network(self) -> Any:
        """The network."""
        return self.activity.network

    @property
    def is_conventional(self) -> bool:
        """Whether its units send values, once per sample."""
        return isinstance(self.network, ConventionalNetwork)

    @property
    def sends_values(self) -> bool:
        """Whether every unit's value is passed on, zeros included."""
        return self.is_conventional or not self.dataflow.skips_zeros

    def steps(self, node: Node) -> Counts:
        """Return the steps of all samples of a row in which a node runs, [N].

        Recurrent weights wait a step, and constant currents may be multiplied once.
        """
        activity = self.activity
        samples = activity.samples_of_row
        if self.is_conventional:
            return samples
        network = self.network
        sources = network.sources[node.name]
        is_constant = activity.products is not None and _reads_input(network, sources)
        if is_constant and (activity.products == "once" or isinstance(node, Pooling)):
            return samples
        waits = any((source, node.name) in network.waiting for source in sources)
        return samples * (activity.time_window - waits)

    def synapses(self, node: Connection) -> int:
        """Return how many synapses of a connection are left."""
        return int(node.fan_out(self.activity.pruned).sum())

    def stored(self, node: Connection | Neurons) -> _Stored:
        """Return what a node stores; a connection's includes the biases after it."""
        network = self.network
        state_bits = network.state_bits
        if not isinstance(node, Dense | Convolution):
            bits = node.n_out * state_bits
            return _Stored(0, 0, node.n_out, bits, bits)
        pruned = self.activity.pruned
        weights = node.stored(pruned)
        index_bits = address_bits(node.n_out) * (pruned and isinstance(node, Dense))
        weights_bits = weights * (network.weight_bits + index_bits)
        biases = network.bias_words(node, self.activity.products)
        biases_bits = biases * state_bits
        if self.dataflow.biases == "weights":
            weights_bits += biases_bits
            biases_bits = weights_bits
        return _Stored(weights, index_bits, biases, weights_bits, biases_bits)


def _reads_input(network: Any, sources: tuple[str, ...]) -> bool:
    """Whether a node reads the input, also through pooling."""
    return all(
        name == network.input.name
        or (
            isinstance(network.nodes[name], Pooling)
            and _reads_input(network, network.sources[name])
        )
        for name in sources
    )


def _at(
    node: Node | str, term: str, counts: Counts | int, words: Words = _NO_MEMORY
) -> OperationCounts:
    """Count a term at one node; counts [N], or a number for every sample."""
    place = node if isinstance(node, str) else node.name
    return block(term, [place], np.atleast_1d(counts)[:, None], words)


# Input


def _of_input(run: _Run, encoding: EncodingOperations | None) -> Blocks:
    """Count encoding images, and what else prepares the input."""
    activity = run.activity
    network = run.network
    node = network.input
    if encoding is not None:
        yield _at(node, "pixel_read", node.n_out, Words(PIXEL_BITS, node.n_out))
        for term, counts in encoding_terms(encoding).items():
            yield _at(node, term, counts, OF_PIXELS)
    if activity.products is not None and run.dataflow.skips_zeros:
        n_compared = activity.samples_of_row * node.n_out
        yield _at(node, "zero_comparison", n_compared, OF_PIXELS)
    if run.is_conventional:
        yield from _pixels_in_other_widths(run, network)


def _pixels_in_other_widths(run: _Run, network: ConventionalNetwork) -> Blocks:
    """Count making the pixels of an integer network that does not read bytes."""
    node = network.input
    bits = network.bits_into(network.connections[0])
    if bits % PIXEL_BITS == 0:
        return
    pixels = run.activity.samples_of_row * node.n_out
    terms = ["code_multiplication", "code_addition"]
    if network.has_binary_input:
        terms = ["code_comparison"]
    yield _at(node, "pixel_read", pixels, Words(PIXEL_BITS, node.n_out))
    for term in terms:
        yield _at(node, term, pixels, OF_PIXELS)
    yield _at(node, "activation_write", pixels, Words(bits, node.n_out))


def encoding_terms(encoding: EncodingOperations) -> dict[str, NDArray[np.int64]]:
    """Return the operations of encoding by term, [N] each."""
    return {
        "random_draw": encoding.random_draws,
        "code_comparison": encoding.comparisons,
        "code_multiplication": encoding.multiplications,
        "code_addition": encoding.additions,
        "code_logarithm": encoding.logarithms,
    }


def _of_node(run: _Run, node: Node) -> Blocks:
    if isinstance(node, Pooling) and run.sends_values:
        yield from _of_pooled_values(run, node)
    elif node.name in run.activity.counts:
        if isinstance(node, Dense | Convolution):
            yield from _of_connection(run, node)
        else:
            yield from _of_units(run, node)
    if node == run.network.output:
        yield from _of_answer(run, node)


# Connections


def _of_connection(run: _Run, node: Connection) -> Blocks:
    """Count what passes through weights, and a bias of the connection."""
    counts = run.activity.counts[node.name]
    if not run.dataflow.skips_zeros:
        products = run.steps(node) * run.synapses(node)
        yield from _multiplied(run, node, products)
        yield from _dense_addresses(run, node, products)
    else:
        products = _summed(run, counts.events, counts.macs)
        if counts.events is not None:
            widths = arithmetic(run.network.state_bits)
            yield _at(node, "synaptic_event", counts.events, widths)
        if counts.macs is not None:
            yield from _multiplied(run, node, counts.macs)
        yield _at(node, "address_event", products)
        sums = Words(run.network.state_bits, node.n_out)
        per_product = "state_access_per_event"
        if run.is_conventional:
            per_product = "sum_access_per_mac"
        yield _at(node, per_product, 2 * products, sums)
    yield from _weights_read(run, node, products)
    if counts.biases is not None:
        stored = run.stored(node)
        yield from _biases(run, node, counts.biases, stored.biases, stored)
    if run.sends_values:
        yield from _values_read(run, node, products)


def _summed(run: _Run, *counts: Counts | None) -> Counts:
    return sum((count for count in counts if count is not None), run.activity.none)


def _multiplied(run: _Run, node: Connection, macs: Counts) -> Blocks:
    """Count products of weights with values, or with constant currents (pixels)."""
    network = run.network
    sums = arithmetic(network.state_bits)
    if isinstance(network, ConventionalNetwork):
        bits = network.bits_into(node)
        if bits == 1:
            yield _at(node, "accumulation", macs, sums)
            return
        product = sums._replace(bits=network.weight_bits)
    else:
        is_pixel = run.activity.products is not None and run.dataflow.skips_zeros
        bits = PIXEL_BITS if is_pixel else FLOAT_BITS
        product = sums
    term = "mac" if bits != PIXEL_BITS or run.is_conventional else "input_mac"
    width = product._replace(product_bits=bits * network.weight_bits)
    yield _at(node, term, macs, width)


def _dense_addresses(run: _Run, node: Connection, products: Counts) -> Blocks:
    """Count the addresses of a product of a whole matrix and a vector."""
    units = run.steps(node) * (node.n_in + node.n_out)
    yield _at(node, "address_unit", units)
    yield _at(node, "address_mac", products)


def _weights_read(run: _Run, node: Connection, products: Counts) -> Blocks:
    stored = run.stored(node)
    weight = Words(run.network.weight_bits, stored.weights, stored.weights_bits)
    yield _at(node, "weight_read", products, weight)
    if stored.index_bits:
        index = Words(stored.index_bits, stored.weights, stored.weights_bits)
        yield _at(node, "index_read", products, index)


def _values_read(run: _Run, node: Connection, products: Counts) -> Blocks:
    """Count reading the values that enter a connection, and finding zeros."""
    network = run.network
    (sender,) = network.senders_of(node)
    entering = run.steps(node) * node.n_in
    bits = network.bits_into(node) if run.is_conventional else FLOAT_BITS
    if run.dataflow.skips_zeros:
        yield _at(sender, "zero_comparison", entering, arithmetic(bits))
    elif run.stored(node).index_bits:
        # Each remaining weight fetches its own.
        entering = products
    yield _at(sender, "activation_read", entering, Words(bits, node.n_in))


# Units


def _of_units(run: _Run, node: Node) -> Blocks:
    """Count neurons, ReLU units, and all other nodes that are not connections."""
    counts = run.activity.counts[node.name]
    if run.is_conventional:
        yield from _of_relu(run, node, counts)
        return
    if isinstance(node, Neurons):
        yield from _of_neurons(run, node, counts)
    elif counts.comparisons is not None:
        yield _at(node, "threshold_comparison", counts.comparisons)
    if counts.additions is not None:
        yield _at(node, "addition", counts.additions)
    if counts.multiplications is not None:
        yield _at(node, "multiplication", counts.multiplications)
    if not run.dataflow.skips_zeros and isinstance(node, Neurons):
        passed_on = run.activity.samples_of_row * run.activity.time_window * node.n_out
        words = Words(FLOAT_BITS, node.n_out)
        yield _at(node, "activation_write", passed_on, words)
    elif run.dataflow.skips_zeros:
        yield from _passed_on(run, node, counts)


def _of_relu(run: _Run, node: Node, counts: NodeCounts) -> Blocks:
    network = run.network
    widths = arithmetic(network.state_bits)
    if counts.comparisons is not None:
        yield _at(node, "activation_comparison", counts.comparisons, widths)
    if not isinstance(node, Neurons):
        return
    passed_on = counts.values
    assert passed_on is not None
    is_last = node == network.output
    if counts.biases is not None:
        stored = run.stored(network.bias_holder_of(node))
        yield from _biases(run, node, counts.biases, stored.biases, stored)
    if network.is_integer and not is_last:
        term = "rounding_addition" if network.shifts else "requantisation"
        yield _at(node, term, passed_on, widths)
    if run.dataflow.skips_zeros:
        # Set to the bias before values arrive one by one, and read after the last.
        accesses = _summed(run, passed_on, counts.biases)
        sums = Words(network.state_bits, node.n_out)
        yield _at(node, "sum_access", accesses, sums)
    # The scores of the last layer are as wide as the sums.
    bits = network.state_bits if is_last else network.activation_bits
    yield _at(node, "activation_write", passed_on, Words(bits, node.n_out))


def _of_neurons(run: _Run, node: Neurons, counts: NodeCounts) -> Blocks:
    network = run.network
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
        stored = run.stored(network.bias_holder_of(node))
        # Without biases, what is added in every step are kept sums, one per neuron.
        n_words = stored.biases or node.n_out
        yield from _biases(run, node, counts.biases, n_words, stored)
    if counts.comparisons is not None:
        yield _at(node, "threshold_comparison", counts.comparisons, widths)
    if counts.resets is not None:
        yield _at(node, "reset", counts.resets, widths)
    states = Words(network.state_bits, node.n_out * node.n_states)
    yield _at(node, "state_access", 2 * updates * node.n_states, states)


def _biases(
    run: _Run, node: Node, biases: Counts, n_words: int, stored: _Stored
) -> Blocks:
    """Count adding biases, and reading them from a memory of `n_words`."""
    bits = run.network.state_bits
    yield _at(node, "bias_addition", biases, arithmetic(bits))
    yield _at(node, "bias_read", biases, Words(bits, n_words, stored.biases_bits))


def _passed_on(run: _Run, node: Node, counts: NodeCounts) -> Blocks:
    """Count what leaves a node: written once, and read by each reader."""
    network = run.network
    gives_values = node.name not in network.spiking or counts.values is not None
    passed = counts.values if gives_values else counts.spikes
    passed = run.activity.none if passed is None else passed
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


def _of_pooled_values(run: _Run, node: Pooling) -> Blocks:
    """Count sums or maxima of windows of values, and their memory accesses."""
    steps = run.steps(node)
    amounts = steps * int(node.fan_out().sum())
    network = run.network
    bits = network.activation_bits if run.is_conventional else FLOAT_BITS
    widths = arithmetic(bits)
    if not run.is_conventional:
        # A chain's averages are factors on the weights that follow.
        yield _at(node, "addition", amounts, widths)
    elif node.average:
        yield _at(node, "addition", amounts, widths)
        yield _at(node, "multiplication", steps * node.n_out, widths)
    else:
        yield _at(node, "activation_comparison", amounts, widths)
    yield _at(node, "activation_read", steps * node.n_in, Words(bits, node.n_in))
    yield _at(node, "activation_write", steps * node.n_out, Words(bits, node.n_out))


# Answer


def _of_answer(run: _Run, node: Node) -> Blocks:
    """Count finding the largest score, or the largest count of output spikes."""
    activity = run.activity
    comparisons = activity.samples_of_row * (node.n_out - 1)
    if not run.is_conventional:
        answer = run.network.answer
        if answer is None:
            return
        yield _at(node, "spike_counted", activity.spikes_of(answer))
        if activity.exit_steps is not None:
            comparisons = activity.exit_steps * (2 * node.n_out - 2)
    yield _at(node, "decision_comparison", comparisons)
