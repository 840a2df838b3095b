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
added and read once per unit and step, initial biases once per unit and inference; they
share the weights' memory, or have their own (`Dataflow`).

Spiking neurons, in each step (Lemaire et al. 2022, arXiv:2210.13107):

    neuron updates          n: active in the S steps with a spike, else inactive
    leak multiplications    n for each leaking state (eq. 2.3)
    threshold comparisons   n
    resets, spikes routed   S
    state accesses          2 n words for each state, read and written once; n more in
                            an inference whose initial potentials are biases
    spike writes            S to the queue of the layer
    answer                  S of the output added to the class counts, n - 1 comparisons
                            of them; for early exit, 2 n - 2 in every step, which find
                            the two largest and compare their distance with the lead

An output whose potentials are read (`network.readout`) has neither threshold
comparisons, resets nor spikes. Its answer takes

    potential               n - 1 comparisons after the last step; for early exit,
                            2 n - 2 in every step
    max_potential           n in every step with the largest so far, but for the first
                            of all; for early exit, 2 n with the two largest so far, and
                            one of their distance with the lead

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

A spike is read once by each connection that it enters. An output of values without a
readout has no answer, so none is counted. Constant gains such as r dt / tau are part of
the weights. Hooks on a PyTorch model (`pricing.activity`) also provide active
updates, resets, leaks, biases, comparisons and reads.

A product belongs to a connection (``input_to_hidden``), everything else to a layer.
Input units are not neurons: they have neither updates nor state. Loihi's table (Davies
et al. 2018) prices "active" and "inactive" updates without defining them; here an
update is active if the neuron spikes in that step.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.measurement import Measurement
from spikejoule.counts.records import Activity, Counts
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
from spikejoule.network.graph import Graph
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
from spikejoule.network.readout import Readout

Blocks = Iterator[OperationCounts]

OF_PIXELS: Final = arithmetic(PIXEL_BITS)
"""Arithmetic that encodes pixels."""

_NO_MEMORY = Words()
_ORDER: Final = {term: number for number, term in enumerate(TERMS)}


def count_operations(
    counted: Activity | Measurement, dataflow: Dataflow = ZERO_SKIPPING
) -> OperationCounts:
    """Count the operations of a network, by the formulas above.

    Columns are in the order of the table of terms, and of the nodes within a term.

    Args:
        counted: counts of N samples, or their mean. A `Measurement` is counted over its
            whole window with clocked updates.
        dataflow: how the network runs.
    """
    activity = counted.activity() if isinstance(counted, Measurement) else counted
    blocks = [
        block
        for node in activity.network.nodes.values()
        for block in _of_node(activity, node, dataflow)
    ]
    blocks.sort(key=lambda block: _ORDER[block.columns[0].term])
    operations = joined(
        [*_of_input(activity, dataflow), *blocks],
        activity.n_rows,
        activity.time_window,
    )
    return replace(operations, exit_steps=activity.exit_steps)


def _sends_values(activity: Activity, dataflow: Dataflow) -> bool:
    """Whether every unit's value is passed on, zeros included."""
    return activity.is_conventional or not dataflow.skips_zeros


def _steps(activity: Activity, node: Node) -> Counts:
    """Return the steps of all samples of a row in which a node runs, [N].

    Recurrent weights wait a step, and constant currents may be multiplied once.
    """
    samples = activity.samples_of_row
    if activity.is_conventional:
        return samples
    counted = activity.counts.get(node.name)
    if counted is not None and counted.steps is not None:
        return counted.steps
    network = activity.network
    sources = network.sources[node.name]
    is_constant = activity.products is not None and _reads_input(network, sources)
    if is_constant and (activity.products == "once" or isinstance(node, Pooling)):
        return samples
    waits = any((source, node.name) in network.waiting for source in sources)
    return samples * (activity.time_window - waits)


def _reads_input(network: Graph, sources: tuple[str, ...]) -> bool:
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


# Parameters in memory


def _weights(activity: Activity, node: Connection, dataflow: Dataflow) -> Words:
    """Return the weights of a connection, in their memory."""
    n_weights = node.stored(activity.pruned)
    memory_bits = _weights_bits(activity, node, dataflow)
    return Words(activity.network.weight_bits, n_weights, memory_bits)


def _indices(activity: Activity, node: Connection, dataflow: Dataflow) -> Words:
    """Return the indices beside the weights; of 0 bits if there are none."""
    return _weights(activity, node, dataflow)._replace(bits=_index_bits(activity, node))


def _index_bits(activity: Activity, node: Connection) -> int:
    """Return the width of the index of each weight; 0 without indices."""
    is_indexed = activity.pruned and isinstance(node, Dense)
    return address_bits(node.n_out) if is_indexed else 0


def _weights_bits(activity: Activity, node: Connection, dataflow: Dataflow) -> int:
    """Return the size of the memory of weights: with indices, mostly with biases."""
    network = activity.network
    bits = network.weight_bits + _index_bits(activity, node)
    size = node.stored(activity.pruned) * bits
    if dataflow.biases == "weights":
        size += network.bias_words(node, activity.products) * network.state_bits
    return size


def _biases(
    activity: Activity, node: Connection | Neurons, dataflow: Dataflow
) -> Words:
    """Return the biases that a node stores; a connection stores those after it."""
    network = activity.network
    bits = network.state_bits
    if isinstance(node, Neurons):
        return Words(bits, node.n_out, node.n_out * bits)
    n_biases = network.bias_words(node, activity.products)
    memory_bits = n_biases * bits
    if dataflow.biases == "weights":
        memory_bits = _weights_bits(activity, node, dataflow)
    return Words(bits, n_biases, memory_bits)


# Input


def _of_input(activity: Activity, dataflow: Dataflow) -> Blocks:
    """Count encoding images, and what else prepares the input."""
    network = activity.network
    node = network.input
    if activity.encoding is not None:
        yield _at(node, "pixel_read", node.n_out, Words(PIXEL_BITS, node.n_out))
        for term, counts in encoding_terms(activity.encoding).items():
            yield _at(node, term, counts, OF_PIXELS)
    if activity.products is not None and dataflow.skips_zeros:
        n_compared = activity.samples_of_row * node.n_out
        yield _at(node, "zero_comparison", n_compared, OF_PIXELS)
    if isinstance(network, ConventionalNetwork):
        yield from _pixels_in_other_widths(activity, network)


def _pixels_in_other_widths(activity: Activity, network: ConventionalNetwork) -> Blocks:
    """Count making the pixels of an integer network that does not read bytes."""
    node = network.input
    bits = network.bits_into(network.connections[0])
    if bits % PIXEL_BITS == 0:
        return
    pixels = activity.samples_of_row * node.n_out
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


def _of_node(activity: Activity, node: Node, dataflow: Dataflow) -> Blocks:
    if isinstance(node, Pooling) and _sends_values(activity, dataflow):
        yield from _of_pooled_values(activity, node)
    elif node.name in activity.counts:
        if isinstance(node, Dense | Convolution):
            yield from _of_connection(activity, node, dataflow)
        else:
            yield from _of_units(activity, node, dataflow)
    if node == activity.network.output:
        yield from _of_answer(activity, node)


# Connections


def _of_connection(activity: Activity, node: Connection, dataflow: Dataflow) -> Blocks:
    """Count what passes through weights, and a bias of the connection."""
    counts = activity.counts[node.name]
    if not dataflow.skips_zeros:
        n_synapses = int(node.fan_out(activity.pruned).sum())
        products = _steps(activity, node) * n_synapses
        yield from _multiplied(activity, node, dataflow, products)
        yield from _dense_addresses(activity, node, products)
    else:
        products = activity.sum_of(counts.events, counts.macs)
        yield from _of_nonzero(activity, node, dataflow, products)
    yield _at(node, "weight_read", products, _weights(activity, node, dataflow))
    if _index_bits(activity, node):
        yield _at(node, "index_read", products, _indices(activity, node, dataflow))
    if counts.biases is not None:
        yield from _biases_added(node, counts.biases, _biases(activity, node, dataflow))
    if _sends_values(activity, dataflow):
        yield from _values_read(activity, node, dataflow, products)


def _of_nonzero(
    activity: Activity, node: Connection, dataflow: Dataflow, products: Counts
) -> Blocks:
    """Count what spikes and values other than zero add to the sums, one by one."""
    counts = activity.counts[node.name]
    bits = activity.network.state_bits
    if counts.events is not None:
        yield _at(node, "synaptic_event", counts.events, arithmetic(bits))
    if counts.macs is not None:
        yield from _multiplied(activity, node, dataflow, counts.macs)
    yield _at(node, "address_event", products)
    per_product = "state_access_per_event"
    if activity.is_conventional:
        per_product = "sum_access_per_mac"
    yield _at(node, per_product, 2 * products, Words(bits, node.n_out))


def _multiplied(
    activity: Activity, node: Connection, dataflow: Dataflow, macs: Counts
) -> Blocks:
    """Count products of weights with values, or with constant currents (pixels)."""
    network = activity.network
    sums = arithmetic(network.state_bits)
    if isinstance(network, ConventionalNetwork):
        bits = network.bits_into(node)
        if bits == 1:
            yield _at(node, "accumulation", macs, sums)
            return
        product = sums._replace(bits=network.weight_bits)
        term = "mac"
    else:
        is_pixel = activity.products is not None and dataflow.skips_zeros
        bits = PIXEL_BITS if is_pixel else FLOAT_BITS
        product = sums
        term = "input_mac" if is_pixel else "mac"
    width = product._replace(product_bits=bits * network.weight_bits)
    yield _at(node, term, macs, width)


def _dense_addresses(activity: Activity, node: Connection, products: Counts) -> Blocks:
    """Count the addresses of a product of a whole matrix and a vector."""
    units = _steps(activity, node) * (node.n_in + node.n_out)
    yield _at(node, "address_unit", units)
    yield _at(node, "address_mac", products)


def _biases_added(node: Node, biases: Counts, words: Words) -> Blocks:
    """Count adding biases, and reading them."""
    yield _at(node, "bias_addition", biases, arithmetic(words.bits))
    yield _at(node, "bias_read", biases, words)


def _values_read(
    activity: Activity, node: Connection, dataflow: Dataflow, products: Counts
) -> Blocks:
    """Count reading the values that enter a connection, and finding zeros."""
    network = activity.network
    sender, *_ = network.senders_of(node) or network.sources[node.name]
    entering = _steps(activity, node) * node.n_in
    bits = FLOAT_BITS
    if isinstance(network, ConventionalNetwork):
        bits = network.bits_into(node)
    if dataflow.skips_zeros:
        yield _at(sender, "zero_comparison", entering, arithmetic(bits))
    elif _index_bits(activity, node):
        # Each remaining weight fetches its own.
        entering = products
    yield _at(sender, "activation_read", entering, Words(bits, node.n_in))


# Units


def _of_units(activity: Activity, node: Node, dataflow: Dataflow) -> Blocks:
    """Count neurons, ReLU units, and all other nodes that are not connections."""
    network = activity.network
    counts = activity.counts[node.name]
    if isinstance(network, ConventionalNetwork):
        yield from _of_relu(activity, network, node, dataflow)
        return
    if isinstance(node, Neurons):
        yield from _of_neurons(activity, node, dataflow)
    elif counts.comparisons is not None:
        yield _at(node, "threshold_comparison", counts.comparisons)
    if counts.additions is not None:
        yield _at(node, "addition", counts.additions)
    if counts.multiplications is not None:
        yield _at(node, "multiplication", counts.multiplications)
    if not dataflow.skips_zeros and isinstance(node, Neurons):
        passed_on = activity.samples_of_row * activity.time_window * node.n_out
        words = Words(FLOAT_BITS, node.n_out)
        yield _at(node, "activation_write", passed_on, words)
    elif dataflow.skips_zeros:
        yield from _passed_on(activity, node)


def _of_relu(
    activity: Activity, network: ConventionalNetwork, node: Node, dataflow: Dataflow
) -> Blocks:
    counts = activity.counts[node.name]
    widths = arithmetic(network.state_bits)
    if counts.comparisons is not None:
        yield _at(node, "activation_comparison", counts.comparisons, widths)
    if not isinstance(node, Neurons):
        return
    passed_on = counts.values
    assert passed_on is not None
    is_last = node == network.output
    if counts.biases is not None:
        words = _biases(activity, network.bias_holder_of(node), dataflow)
        yield from _biases_added(node, counts.biases, words)
    if network.is_integer and not is_last:
        term = "rounding_addition" if network.shifts else "requantisation"
        yield _at(node, term, passed_on, widths)
    if dataflow.skips_zeros:
        # Set to the bias before values arrive one by one, and read after the last.
        accesses = activity.sum_of(passed_on, counts.biases)
        sums = Words(network.state_bits, node.n_out)
        yield _at(node, "sum_access", accesses, sums)
    # The scores of the last layer are as wide as the sums.
    bits = network.state_bits if is_last else network.activation_bits
    yield _at(node, "activation_write", passed_on, Words(bits, node.n_out))


def _of_neurons(activity: Activity, node: Neurons, dataflow: Dataflow) -> Blocks:
    network = activity.network
    counts = activity.counts[node.name]
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
        words = _biases(activity, network.bias_holder_of(node), dataflow)
        # Without biases, what is added in every step are kept sums, one per neuron.
        words = words._replace(held=words.held or node.n_out)
        yield from _biases_added(node, counts.biases, words)
    if counts.comparisons is not None:
        yield _at(node, "threshold_comparison", counts.comparisons, widths)
    if counts.resets is not None:
        yield _at(node, "reset", counts.resets, widths)
    states = Words(network.state_bits, node.n_out * node.n_states)
    accesses = 2 * updates * node.n_states
    if activity.spiking.starts_at_bias:
        accesses = accesses + activity.samples_of_row * node.n_out
    yield _at(node, "state_access", accesses, states)


def _passed_on(activity: Activity, node: Node) -> Blocks:
    """Count what leaves a node: written once, and read by each reader."""
    network = activity.network
    counts = activity.counts[node.name]
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


def _of_pooled_values(activity: Activity, node: Pooling) -> Blocks:
    """Count sums or maxima of windows of values, and their memory accesses."""
    network = activity.network
    steps = _steps(activity, node)
    amounts = steps * int(node.fan_out().sum())
    bits = FLOAT_BITS
    if isinstance(network, ConventionalNetwork):
        bits = network.activation_bits
    widths = arithmetic(bits)
    if not activity.is_conventional:
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


def _of_answer(activity: Activity, node: Node) -> Blocks:
    """Count finding the largest score, or the largest count of output spikes."""
    comparisons = activity.samples_of_row * (node.n_out - 1)
    if activity.potentials_read is not None:
        readout = activity.potentials_read
        comparisons = _potentials_compared(activity, readout, node.n_out)
    elif not activity.is_conventional:
        answer = activity.network.answer
        if answer is None:
            return
        yield _at(node, "spike_counted", activity.spikes_of(answer))
        if activity.exit_steps is not None:
            comparisons = activity.exit_steps * (2 * node.n_out - 2)
    yield _at(node, "decision_comparison", comparisons)


def _potentials_compared(activity: Activity, readout: Readout, n: int) -> Counts:
    """Return the comparisons of n potentials that find the answer, [N]."""
    exits = activity.exit_steps
    if readout is Readout.MAX_POTENTIAL:
        if exits is not None:
            return exits * (2 * n + 1)
        return activity.samples_of_row * (activity.time_window * n - 1)
    if exits is not None:
        return exits * (2 * n - 2)
    return activity.samples_of_row * (n - 1)
