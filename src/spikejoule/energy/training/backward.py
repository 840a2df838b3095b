"""The backward pass of either side, in any dataflow.

Within a layer of n units, once per step, a spiking neuron takes (the equations in
`neuron`):

    surrogate                its arithmetic (`Surrogate.operations`), and the distance
                             to the threshold
    delta multiplications    2: by the surrogate's derivative, and by the decay unless
                             it is 1
    delta additions          1: the delta of the next step, kept in a register
    learned decay            a multiplication and an addition, and with the reset by
                             subtraction one more addition per spike, to find u from v
    learned threshold        a multiplication where the neuron leaks and 2 additions, to
                             find dL/ds f from the deltas. Both read the delta and the
                             potential again
    bias gradients           an addition

A kept potential is read once and a delta written once. A ReLU unit reads its activation
again and compares it with zero; only units above zero change the gradients of biases.

Deltas pass back through W synapses per step, to all layers but the input: a MAC, a
weight read and an address each, and n deltas read. They pass to every spiking neuron
below, since the surrogate is nowhere zero, but with zero-skipping only to ReLU units
above zero. A sampled backward pass reads each delta d of a hidden layer to compare |d|
with the scale times a random number, which is not counted, and lists those that it
keeps. Each of them is read again, and multiplied by a whole row of weights.

Weight gradients, zero-skipping, for E spikes or values that reach a synapse: an
addition or a MAC, the read of a delta and an address each. With ``event``, each reads
and writes the gradient in memory; with ``sample``, the weights that a sample touches
are read and written once per sample. What enters the connection is read again.
Gradients of biases and learned constants are read and written once per sample.

Dense: a MAC, the read of a delta and an address for each of W synapses per step; each
gradient is written once per batch.
"""

from dataclasses import dataclass

from spikejoule.energy.operations import Words, block
from spikejoule.energy.training.arrays import Blocks, Counts, TrainedConnection
from spikejoule.energy.training.step import TrainingStep, selected, widened
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LOG_THRESHOLD, LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS


def backward(step: TrainingStep) -> Blocks:
    """Count the backward passes of all samples."""
    if step.is_spiking:
        yield from _of_neurons(step)
    else:
        yield from _of_relus(step)
    for connection in step.connections:
        yield from _of_others(step, connection)
        yield from _passed_back(step, connection)
        if step.dataflow.skips_zeros:
            yield from _gradients_of_events(step, connection)
        else:
            yield from _dense_gradients(step, connection)
    yield from _read_again(step)


# Units


def _of_neurons(step: TrainingStep) -> Blocks:
    """Count surrogates, deltas and the sums of biases and constants."""
    network = step.record.network
    assert isinstance(network, Network)
    layers = step.layers
    updates = step.updates
    memory = step.of_layers()
    learned = len(network.neuron.learned_names)
    yield block("trace_read", layers, updates * (1 + learned), memory)
    for operation, number in (step.record.surrogate_operations or {}).items():
        yield block(f"surrogate_{operation}", layers, number * updates)
    arithmetic = _of_deltas(step, network)
    yield block("delta_multiplication", layers, arithmetic.multiplications)
    yield block("delta_addition", layers, arithmetic.additions)
    yield block("delta_write", layers, updates, memory)
    if learned:
        yield block("delta_read", layers, updates * learned, memory)
    biases = step.inference.of("bias_addition")
    yield block("bias_gradient_accumulation", layers, biases)


@dataclass(frozen=True, eq=False)
class _Arithmetic:
    """Arithmetic of the deltas of each layer, [E, L - 1]."""

    multiplications: Counts
    additions: Counts


def _of_deltas(step: TrainingStep, network: Network) -> _Arithmetic:
    """Return the arithmetic of deltas and learned constants."""
    neuron = network.neuron
    updates = step.updates
    leaks = step.inference.of("leak_multiplication")
    multiplications = updates + leaks
    additions = updates
    for name in neuron.learned_names:
        if name == LOG_THRESHOLD:
            multiplications = multiplications + leaks
            additions = additions + 2 * updates
        else:
            multiplications = multiplications + updates
            additions = additions + updates
            if isinstance(neuron, LeakyIntegrateAndFire) and neuron.reset == "subtract":
                additions = additions + step.inference.of("reset")
    return _Arithmetic(multiplications, additions)


def _of_relus(step: TrainingStep) -> Blocks:
    """Count what a ReLU lets through, and the deltas.

    The zeros of other units are written, too, since all deltas are read later.
    """
    for connection in step.connections:
        layer = [connection.layer]
        units = step.samples * connection.n_out
        memory = step.deltas_of(connection)
        if connection.number < len(step.layers) - 1:
            yield block("trace_read", layer, units, memory)
            yield block("activation_comparison", layer, units)
        yield block("delta_write", layer, units, memory)
        if connection.n_biases:
            active = _active(step, connection.number)
            yield block("bias_gradient_accumulation", layer, active)


def _active(step: TrainingStep, number: int) -> Counts:
    """Return the units whose deltas are added up: without zeros, those above zero.

    They are all units of the last layer, which has no ReLU.
    """
    is_last = number == len(step.layers) - 1
    if is_last or not step.dataflow.skips_zeros:
        return step.updates[:, [number]]
    following = step.connections[number + 1]
    return _products(step, following) // following.n_out


def _products(step: TrainingStep, connection: TrainedConnection) -> Counts:
    """Return the products of values with weights in the forward pass, [E, 1]."""
    macs = step.record.activity.counts[connection.name].macs
    assert macs is not None
    return macs[:, None]


# Biases and learned constants


def _of_others(step: TrainingStep, connection: TrainedConnection) -> Blocks:
    """Count accesses to the gradients of biases and learned constants."""
    others = connection.others
    if not others.count:
        return
    if step.dataflow.gradients == "batch":
        accesses = step.batches * others.count
    elif step.is_spiking:
        accesses = 2 * step.samples * others.count
    else:
        accesses = 2 * _active(step, connection.number)
    yield block("gradient_access", [connection.layer], accesses, others.words)


# Deltas


def _passed_back(step: TrainingStep, connection: TrainedConnection) -> Blocks:
    """Count passing deltas back to the layer before a connection."""
    if connection.is_first:
        return
    place = [connection.name]
    deltas = step.deltas_of(connection)
    matrices = step.matrices(connection)
    read = matrices * connection.n_out
    passed = matrices * connection.synapses
    skips = step.dataflow.skips_zeros and not step.is_spiking
    if skips:
        passed = _products(step, connection)
    kept_by_layer = step.record.kept_deltas
    # Only plain stacks sample deltas: connection and layer have the same number.
    is_between = 0 < connection.number < len(step.layers) - 1
    if kept_by_layer is not None and is_between and step.dataflow.skips_zeros:
        kept = kept_by_layer[:, [connection.number]]
        layer = [connection.layer]
        yield block("delta_multiplication", layer, read)
        yield block("delta_addition", layer, read)
        yield block("delta_write", layer, kept, deltas)
        passed = kept * connection.n_in
        read = read + kept
    yield block("backpropagation_mac", place, passed)
    yield block("weight_read", place, passed, connection.weights.values)
    yield block("delta_read", place, read, deltas)
    if skips:
        yield block("address_event", place, passed)
    else:
        yield block("address_mac", place, passed)
        units = matrices * (connection.n_in + connection.n_out)
        yield block("address_unit", place, units)


# Weight gradients


def _gradients_of_events(step: TrainingStep, connection: TrainedConnection) -> Blocks:
    """Count the gradients that spikes and values change."""
    counts = step.record.activity.counts[connection.name]
    place = [connection.name]
    changes = 0 * step.samples
    if counts.events is not None:
        additions = counts.events[:, None]
        changes = changes + additions
        yield block("gradient_accumulation", place, additions)
    if counts.macs is not None:
        macs = counts.macs[:, None]
        changes = changes + macs
        term = "input_gradient_mac" if step.is_spiking else "gradient_mac"
        yield block(term, place, macs)
    yield block("address_event", place, changes)
    yield block("delta_read", place, changes, step.deltas_of(connection))
    in_memory = changes
    if step.dataflow.gradients == "sample":
        in_memory = step.record.touched[:, [connection.number]]
    yield block("gradient_access", place, 2 * in_memory, connection.weights.words)


def _dense_gradients(step: TrainingStep, connection: TrainedConnection) -> Blocks:
    """Count the gradients of a product over a batch, each written once."""
    place = [connection.name]
    matrices = step.matrices(connection)
    macs = matrices * connection.synapses
    written = step.batches * connection.weights.count
    units = matrices * (connection.n_in + connection.n_out)
    yield block("gradient_mac", place, macs)
    yield block("address_mac", place, macs)
    yield block("address_unit", place, units)
    yield block("delta_read", place, macs, step.deltas_of(connection))
    yield block("gradient_access", place, written, connection.weights.words)


def _read_again(step: TrainingStep) -> Blocks:
    """Count reading again what enters each connection, and finding its zeros."""
    terms = ["spike_read", "activation_read"]
    if not step.is_spiking:
        terms.append("zero_comparison")
    senders = {connection.sender for connection in step.connections}
    yield selected(widened(step, step.inference), terms, senders)
    if step.activity.products is not None and step.dataflow.skips_zeros:
        node = step.record.network.input
        words = Words(FLOAT_BITS, node.n_out * step.held_samples)
        yield block("activation_read", [node.name], step.samples * node.n_out, words)
