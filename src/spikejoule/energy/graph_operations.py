"""Counting the operations of a foreign graph: the formulas of `spiking_operations` by node.

For a node with n units in T steps, and its counts E (synaptic events), M (multiply-accumulates) and
S (spikes) of one sample (`graphs.counts`),

    Affine, Linear, Conv    E synaptic events and M MACs; E + M addresses, weights read, and twice
                            as many accesses of state at most; T n additions and reads of a bias
    neurons                 T n updates, S of them active; S resets, spikes routed and written; T n
                            comparisons with a threshold; T multiplications for each state that
                            leaks, an addition for each v_leak that is not 0 and, between a synaptic
                            current and the potential, for each neuron; two accesses of each state
    pooling                 an addition for each amount and window; AvgPool2d a multiplication for
                            each sum
    Threshold               T n comparisons; S spikes routed and written
    Delay                   what it gives was written, and is read once or by each that takes it
    a value that is no spike    is written by its node and read by each that multiplies it

and a spike is read once by each connection that it enters. Of a convolution the memory of weights
is that of its kernels. Spikes of the output are added to counts, and the largest is found; what is
done with an output of values is not counted. Constant gains (r dt / tau and the like) are taken as
parts of the weights.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy import terms
from spikejoule.energy.operations import Block, Column, OperationCounts, address_bits, joined
from spikejoule.graphs.counts import GraphRun
from spikejoule.graphs.dynamics import dynamics_of
from spikejoule.graphs.network import (
    Convolution,
    Dense,
    Neurons,
    Node,
    Output,
    Pooling,
    Scaling,
    Step,
    Waiting,
)
from spikejoule.graphs.plan import NEEDS_UNITS
from spikejoule.model.quantisation import FLOAT_BITS

Synapses = Dense | Convolution


def count_graph(run: GraphRun) -> OperationCounts:
    """What inference on the N samples of a run takes, node by node."""
    blocks = [block for node in run.plan.nodes for block in _blocks(run, node)]
    columns, counts = joined(blocks, run.n_samples)
    return OperationCounts(columns, counts.astype(np.int64), run.n_steps)


def _blocks(run: GraphRun, node: Node) -> Iterator[Block]:
    if isinstance(node, Dense | Convolution):
        yield from _synapses(run, node)
    elif isinstance(node, Neurons):
        yield from _neurons(run, node)
    elif isinstance(node, Pooling | Scaling):
        if isinstance(node, Pooling):
            yield _block(terms.ADDITION, node, run.of("additions", node.name))
        if node.name in run.counts["multiplications"]:
            yield _block(terms.MULTIPLICATION, node, run.of("multiplications", node.name))
    elif isinstance(node, Step):
        yield _block(terms.THRESHOLD_COMPARISON, node, run.n_steps * node.n_out)
    if isinstance(node, Output):
        yield from _answer(run, node)
    else:
        yield from _transfer(run, node)


def _synapses(run: GraphRun, node: Synapses) -> Iterator[Block]:
    """What arrives through weights, and the bias."""
    events, macs = run.of("events", node.name), run.of("macs", node.name)
    reads = events + macs
    if events.any() or not macs.any():
        yield _block(terms.SYNAPTIC_EVENT, node, events)
    if macs.any():
        yield _block(terms.MAC, node, macs)
    yield _block(terms.ADDRESS_EVENT, node, reads)
    index_bits, stored = _stored(run, node)
    weights, biases = stored * FLOAT_BITS, 0 if node.bias is None else node.bias.size * FLOAT_BITS
    parameters = weights + stored * index_bits + biases
    yield _word(terms.WEIGHT_READ, node, reads, FLOAT_BITS, weights, parameters)
    if index_bits:
        indices = stored * index_bits
        yield _word(terms.INDEX_READ, node, reads, index_bits, indices, parameters)
    if node.bias is not None:
        added = run.n_steps * node.n_out
        yield _block(terms.BIAS_ADDITION, node, added)
        yield _word(terms.BIAS_READ, node, added, FLOAT_BITS, biases, parameters)
    states = node.n_out * FLOAT_BITS
    yield _word(terms.STATE_ACCESS_PER_EVENT, node, 2 * reads, FLOAT_BITS, states)


def _stored(run: GraphRun, node: Synapses) -> tuple[int, int]:
    """Width of the index beside each weight, 0 without one, and weights that are stored."""
    if run.conventions.pruned and isinstance(node, Dense):
        return address_bits(node.n_out), int(np.count_nonzero(node.weight))
    return 0, int(node.weight.size)


def _neurons(run: GraphRun, node: Neurons) -> Iterator[Block]:
    n_steps, dynamics = run.n_steps, dynamics_of(node, run.conventions)
    updates, active = n_steps * node.n_out, run.of("spikes", node.name)
    membrane = dynamics.membrane
    leaks, n_states = int(np.count_nonzero(membrane.keep != 1)), node.n_out
    if node.spikes:
        yield _block(terms.NEURON_UPDATE_ACTIVE, node, active)
    yield _block(terms.NEURON_UPDATE_INACTIVE, node, updates - active)
    if dynamics.keep_current is not None:
        leaks += int(np.count_nonzero(dynamics.keep_current != 1))
        n_states += node.n_out
        yield _block(terms.ADDITION, node, updates)
    if leaks:
        yield _block(terms.LEAK_MULTIPLICATION, node, n_steps * leaks)
    driven = n_steps * int(np.count_nonzero(membrane.drive))
    if driven:
        words = node.n_out * FLOAT_BITS
        yield _block(terms.BIAS_ADDITION, node, driven)
        yield _word(terms.BIAS_READ, node, driven, FLOAT_BITS, words, words)
    if node.spikes:
        yield _block(terms.THRESHOLD_COMPARISON, node, updates)
        yield _block(terms.RESET, node, active)
    states = n_states * FLOAT_BITS
    yield _word(terms.STATE_ACCESS, node, 2 * n_steps * n_states, FLOAT_BITS, states)


def _transfer(run: GraphRun, node: Node) -> Iterator[Block]:
    """What leaves a node: spikes or values, written once and read by each that takes them."""
    readers = sum(isinstance(one, NEEDS_UNITS) for one in run.plan.consumers_of(node.name))
    if isinstance(node, Waiting):
        readers = max(readers, 1)
    if node.name in run.plan.spiking:
        spikes, bits = run.of("spikes", node.name), address_bits(node.n_out)
        queue = node.n_out * bits
        yield _block(terms.SPIKE_ROUTED, node, spikes)
        if readers:
            yield _word(terms.SPIKE_READ, node, readers * spikes, bits, queue)
        if isinstance(node, Neurons | Step | Waiting):
            yield _word(terms.SPIKE_WRITE, node, spikes, bits, queue)
    elif readers:
        values, words = run.of("values", node.name), node.n_out * FLOAT_BITS
        yield _word(terms.ACTIVATION_WRITE, node, values, FLOAT_BITS, words)
        yield _word(terms.ACTIVATION_READ, node, readers * values, FLOAT_BITS, words)


def _answer(run: GraphRun, node: Output) -> Iterator[Block]:
    if run.output_spikes:
        yield _block(terms.SPIKE_COUNTED, node, run.output.sum(axis=1).astype(np.int64))
        yield _block(terms.DECISION_COMPARISON, node, node.n_out - 1)


def _block(term: str, node: Node, counts: NDArray[np.int64] | int) -> Block:
    return Block((Column(term, node.name),), np.atleast_1d(counts)[:, None])


def _word(
    term: str, node: Node, counts: NDArray[np.int64] | int, bits: int, memory: int,
    parameters: int = 0,
) -> Block:  # fmt: skip
    column = Column(term, node.name, bits, memory, parameters)
    return Block((column,), np.atleast_1d(counts)[:, None])
