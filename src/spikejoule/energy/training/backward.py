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

A bias that is the initial potential takes one addition, and the multiplication by the
decay, per inference; the gradient of a learned decay then takes a multiplication, an
addition and the read of the bias more.

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
gradient is written once per batch, and added to that of earlier batches if the
optimizer takes fewer steps than there are batches.

Parameters that are frozen have no gradients, and deltas pass back only to layers with
parameters in or before them that learn. A further state of a neuron, such as a synaptic
current, takes an addition more, and its leak a multiplication; a readout has no
surrogate.
"""

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import AnyNetwork
from spikejoule.energy.operations import Words, block
from spikejoule.energy.training.step import (
    Blocks,
    Counts,
    Parameters,
    TrainingStep,
    selected,
    widened,
)
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import (
    DECAY_LOGIT,
    LOG_THRESHOLD,
    LeakyIntegrateAndFire,
)
from spikejoule.network.nodes import Connection
from spikejoule.network.quantisation import FLOAT_BITS


def backward(step: TrainingStep) -> Blocks:
    """Count the backward passes of all samples."""
    if step.is_spiking:
        yield from _of_neurons(step)
    else:
        yield from _of_relus(step)
    for node in step.network.connections:
        yield from _of_others(step, node)
        yield from _passed_back(step, node)
        if not step.learns(node):
            continue
        if step.dataflow.skips_zeros:
            yield from _gradients_of_events(step, node)
        else:
            yield from _dense_gradients(step, node)
    yield from _read_again(step)


# Units


def _of_neurons(step: TrainingStep) -> Blocks:
    """Count surrogates, deltas and the sums of biases and constants."""
    layers = step.layers
    updates = step.updates
    fired = updates * step.firing
    memory = step.of_layers()
    # Constants that learn are few: those of one neuron each share the layer's sums.
    learned = np.array([len(_with_gradient(step, layer)) for layer in layers], np.int64)
    yield block("trace_read", layers, fired + updates * learned, memory)
    for operation, number in (step.record.surrogate_operations or {}).items():
        yield block(f"surrogate_{operation}", layers, number * fired)
    yield block("delta_multiplication", layers, _delta_multiplications(step))
    yield block("delta_addition", layers, _delta_additions(step))
    yield block("delta_write", layers, updates, memory)
    if learned.any():
        yield block("delta_read", layers, updates * learned, memory)
    yield from _bias_gradients(step)
    if isinstance(step.network, Network) and step.network.starts_at_bias:
        yield from _of_initial_biases(step, step.network)


def _of_initial_biases(step: TrainingStep, network: Network) -> Blocks:
    """Count passing the first deltas to biases, and the decay's terms of these."""
    for node in network.forward_connections:
        layer = network.target_of(node)
        place = [layer.name]
        units = step.samples * layer.n_out
        if network.leaks_of(layer):
            yield block("delta_multiplication", place, units)
        if DECAY_LOGIT in step.constants_of(layer.name):
            biases = step.others_of(node).values_memory
            yield block("delta_multiplication", place, units)
            yield block("delta_addition", place, units)
            yield block("weight_read", place, units, biases)


def _delta_multiplications(step: TrainingStep) -> Counts:
    """Count those of deltas and of learned constants, by layer, [E, layers]."""
    leaks = step.counts_of_layers("leaks")
    counts: Counts = step.updates * step.firing + leaks
    decays = step.updates * _learns(step, DECAY_LOGIT)
    return counts + decays + leaks * _learns(step, LOG_THRESHOLD)


def _delta_additions(step: TrainingStep) -> Counts:
    """Count those of deltas and of learned constants, by layer, [E, layers]."""
    updates = step.updates
    decays = _learns(step, DECAY_LOGIT)
    counts: Counts = updates * step.states
    counts = counts + updates * decays + 2 * updates * _learns(step, LOG_THRESHOLD)
    if _subtracts(step.network):
        counts = counts + decays * step.counts_of_layers("resets")
    return counts


def _learns(step: TrainingStep, constant: str) -> NDArray[np.bool_]:
    """Whether each layer learns a constant, [layers]."""
    learned = [constant in _with_gradient(step, layer) for layer in step.layers]
    return np.array(learned, np.bool_)


def _with_gradient(step: TrainingStep, layer: str) -> set[str]:
    """Return the kinds of constants of a layer that have a gradient.

    A layer without spikes does not use its threshold.
    """
    kinds = {*step.constants_of(layer)}
    return kinds if layer in step.network.spiking else kinds - {LOG_THRESHOLD}


def _subtracts(network: AnyNetwork) -> bool:
    """Whether a reset subtracts the threshold; unknown in imported graphs."""
    neuron = getattr(network, "neuron", None)
    return isinstance(neuron, LeakyIntegrateAndFire) and neuron.reset == "subtract"


def _bias_gradients(step: TrainingStep) -> Blocks:
    """Count adding the delta to the gradient of each bias, wherever it is counted."""
    if not isinstance(step.network, ImportedGraph):
        biases = step.inference.of("bias_addition")
        yield block("bias_gradient_accumulation", step.layers, biases)
        return
    for node in step.network.connections:
        added = step.activity.counts[node.name].biases
        if added is not None and step.n_biases(node):
            layer = [step.layer_after(node)]
            yield block("bias_gradient_accumulation", layer, added[:, None])


def _of_relus(step: TrainingStep) -> Blocks:
    """Count what a ReLU lets through, and the deltas.

    The zeros of other units are written, too, since all deltas are read later.
    """
    for node in step.network.connections:
        layer = [step.layer_after(node)]
        if not step.has_delta(layer[0]):
            continue
        units = step.samples * node.n_out
        memory = step.deltas_of(node)
        if not step.is_last(node):
            yield block("trace_read", layer, units, memory)
            yield block("activation_comparison", layer, units)
        yield block("delta_write", layer, units, memory)
        if step.n_biases(node):
            yield block("bias_gradient_accumulation", layer, _active(step, node))


def _active(step: TrainingStep, node: Connection) -> Counts:
    """Return the units whose deltas are added up: without zeros, those above zero.

    They are all units of the last layer, which has no ReLU.
    """
    if step.is_last(node) or not step.dataflow.skips_zeros:
        return step.samples * node.n_out
    known = step.activity.counts[step.layer_after(node)].active
    if known is not None:
        return known[:, None]
    connections = step.network.connections
    following = connections[connections.index(node) + 1]
    return _products(step, following) // following.n_out


def _products(step: TrainingStep, node: Connection) -> Counts:
    """Return the products of values with weights in the forward pass, [E, 1]."""
    macs = step.record.activity.counts[node.name].macs
    assert macs is not None
    return macs[:, None]


# Biases and learned constants


def _of_others(step: TrainingStep, node: Connection) -> Blocks:
    """Count accesses to the gradients of biases and learned constants."""
    others = step.others_of(node)
    if not others.count:
        return
    if step.dataflow.gradients == "batch":
        accesses = step.batches * others.count
        yield from _added_to_earlier(step, others)
    elif step.is_spiking:
        accesses = 2 * step.samples * others.count
    else:
        accesses = 2 * _active(step, node)
    yield block("gradient_access", [others.place], accesses, others.word_memory)


# Deltas


def _passed_back(step: TrainingStep, node: Connection) -> Blocks:
    """Count passing deltas back to the layer before a connection."""
    if not step.passes_back(node):
        return
    place = [node.name]
    deltas = step.deltas_of(node)
    matrices = step.matrices(node)
    read = matrices * node.n_out
    passed = matrices * int(node.fan_out().sum())
    skips = step.dataflow.skips_zeros and not step.is_spiking
    if skips:
        passed = _products(step, node)
    kept_by_layer = step.record.kept_deltas if step.dataflow.skips_zeros else None
    if kept_by_layer is not None and not step.is_last(node):
        # Only plain stacks sample deltas: connection and layer have the same number.
        kept = step.column_of(node, kept_by_layer)
        layer = [step.layer_after(node)]
        yield block("delta_multiplication", layer, read)
        yield block("delta_addition", layer, read)
        yield block("delta_write", layer, kept, deltas)
        passed = kept * node.n_in
        read = read + kept
    yield block("backpropagation_mac", place, passed)
    yield block("weight_read", place, passed, step.weights_of(node).values_memory)
    yield block("delta_read", place, read, deltas)
    if skips:
        yield block("address_event", place, passed)
    else:
        yield block("address_mac", place, passed)
        yield block("address_unit", place, matrices * (node.n_in + node.n_out))


# Weight gradients


def _gradients_of_events(step: TrainingStep, node: Connection) -> Blocks:
    """Count the gradients that spikes and values change."""
    counts = step.record.activity.counts[node.name]
    place = [node.name]
    changes = 0 * step.samples
    if counts.events is not None:
        additions = counts.events[:, None]
        changes = changes + additions
        yield block("gradient_accumulation", place, additions)
    if counts.macs is not None:
        macs = counts.macs[:, None]
        changes = changes + macs
        is_pixel = step.activity.products is not None
        term = "input_gradient_mac" if is_pixel else "gradient_mac"
        yield block(term, place, macs)
    yield block("address_event", place, changes)
    yield block("delta_read", place, changes, step.deltas_of(node))
    in_memory = changes
    if step.dataflow.gradients == "sample":
        in_memory = step.column_of(node, step.record.touched)
    memory = step.weights_of(node).word_memory
    yield block("gradient_access", place, 2 * in_memory, memory)


def _dense_gradients(step: TrainingStep, node: Connection) -> Blocks:
    """Count the gradients of a product over a batch, each written once."""
    place = [node.name]
    matrices = step.matrices(node)
    macs = matrices * int(node.fan_out().sum())
    weights = step.weights_of(node)
    yield block("gradient_mac", place, macs)
    yield block("address_mac", place, macs)
    yield block("address_unit", place, matrices * (node.n_in + node.n_out))
    yield block("delta_read", place, macs, step.deltas_of(node))
    written = step.batches * weights.count
    yield block("gradient_access", place, written, weights.word_memory)
    yield from _added_to_earlier(step, weights)


def _added_to_earlier(step: TrainingStep, parameters: Parameters) -> Blocks:
    """Count adding a batch's gradients to those of earlier batches, before a step.

    Gradients of a training with as many steps as batches are written only.
    """
    if parameters.updates is None:
        return
    added = (step.batches - parameters.updates.steps[:, None]).clip(min=0)
    sums = added * parameters.count
    place = [parameters.place]
    yield block("gradient_accumulation", place, sums)
    yield block("gradient_access", place, 2 * sums, parameters.word_memory)


def _read_again(step: TrainingStep) -> Blocks:
    """Count reading again what enters each connection, and finding its zeros."""
    terms = ["spike_read", "activation_read"]
    if not step.is_spiking:
        terms.append("zero_comparison")
    connections = step.network.connections
    senders = {step.sender_of(node) for node in connections if step.learns(node)}
    yield selected(widened(step, step.inference), terms, senders)
    if step.activity.products is not None and step.dataflow.skips_zeros:
        node = step.network.input
        words = Words(FLOAT_BITS, node.n_out * step.held_samples)
        yield block("activation_read", [node.name], step.samples * node.n_out, words)
