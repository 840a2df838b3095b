"""Training of conventional (ReLU) networks, counted as for spiking networks.

For one sample, with W synapses from n to m units, of which M have a nonzero activation,
and a active units (not zero) of the layer before:

                        dense                        zero-skipping
    forward             W MACs, weight reads,        M, found by n comparisons with 0;
                        addresses; n activations     sums as in `energy.conventional`
                        read, m written
    deltas              m written; passing them      passed back to active units only,
                        back takes W MACs, weight    with a m MACs
                        reads and addresses
    ReLU                its activation is read and compared again
    weight gradients    W MACs, delta reads,         M, found by n comparisons again
                        addresses; n activations
                        read; written once per batch

Activations and deltas are kept for all samples of a batch. Pruned synapses keep their
place. Integer networks also requantise, as in inference, and round their parameters.
Nonzero products of training are not recorded: their fraction is the trained network's
over the measured images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spikejoule.baselines.counts import BaselineCounts, TrainingRun
from spikejoule.energy.conventional import Method
from spikejoule.energy.operations import OperationCounts, Words, block, joined
from spikejoule.energy.training.arrays import TrainedConnection, trace_words
from spikejoule.energy.training.counting import added, in_phase
from spikejoule.energy.training.data import images_read
from spikejoule.energy.training.optimizer import adam, optimizer
from spikejoule.energy.training.record import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    TrainingRecord,
)
from spikejoule.network.quantisation import FLOAT_BITS

Blocks = Iterator[OperationCounts]


@dataclass(frozen=True)
class _Connection:
    """One connection, and its operations over all samples of a training.

    Attributes:
        sizes: its parameters.
        source: name of the layer before.
        products: MACs forward, and again for the gradient.
        active: units of the layer before that are active.
        passed: MACs that pass deltas back.
        is_last: whether scores follow, not ReLUs.
    """

    sizes: TrainedConnection
    source: str
    products: int
    active: int
    passed: int
    is_last: bool


@dataclass(frozen=True, eq=False)
class _Training:
    """A training to count: the network, its run, and the way of computing."""

    baseline: BaselineCounts
    run: TrainingRun
    skips: bool

    @property
    def samples(self) -> int:
        return self.run.epochs * self.run.samples

    @property
    def batches(self) -> int:
        return self.run.epochs * -(-self.run.samples // self.run.batch_size)

    @property
    def is_integer(self) -> bool:
        """Whether it is trained in integers."""
        return self.baseline.weight_bits < FLOAT_BITS

    def in_batch(self, n_units: int) -> Words:
        """Return the memory of a layer's values for a batch."""
        return trace_words(n_units, 1, self.run.batch_size)

    @cached_property
    def connections(self) -> list[_Connection]:
        """The connections in order."""
        network = self.baseline.network
        names = network.layer_names
        fractions = _nonzero_fractions(self.baseline)
        found = []
        for number, node in enumerate(network.connections):
            sizes = TrainedConnection(
                name=node.name,
                layer=names[number + 1],
                n_in=node.n_in,
                n_out=node.n_out,
                synapses=int(node.fan_out().sum()),
                weights=node.stored(),
                biases=network.bias_words[number],
                constants=0,
                is_recurrent=False,
                is_first=number == 0,
            )
            used = fractions[number] if self.skips else 1.0
            active = round(self.samples * used * node.n_in)
            found.append(
                _Connection(
                    sizes=sizes,
                    source=names[number],
                    products=round(self.samples * used * sizes.synapses),
                    active=active,
                    passed=0 if sizes.is_first else active * node.n_out,
                    is_last=number == len(network.connections) - 1,
                )
            )
        return found


def _nonzero_fractions(baseline: BaselineCounts) -> list[float]:
    """Return the fraction of nonzero products of each connection."""
    synapses = np.maximum(baseline.synapses, 1)
    fractions: list[float] = (baseline.macs_nonzero.mean(axis=0) / synapses).tolist()
    return fractions


def count_conventional_training(
    baseline: BaselineCounts, record: TrainingRecord, method: Method
) -> OperationCounts | None:
    """Count the whole training of a network, int64 [1, C].

    None if it is not recorded, or is that of the network it was quantised from.

    Args:
        baseline: the network.
        record: the spiking training, which sees the same images.
        method: whether it computes every product, or skips those with a zero.
    """
    is_integer = baseline.weight_bits < FLOAT_BITS
    was_quantised_afterwards = baseline.equal_size and is_integer
    if baseline.training is None or was_quantised_afterwards:
        return None
    training = _Training(baseline, baseline.training, method == "zero_skipping")
    images = images_read(record, np.array([[training.samples]]))
    parts = [
        *in_phase(DATA, images),
        *in_phase(FORWARD, _forward(training)),
        *in_phase(BACKWARD, _backward(training)),
        *in_phase(OPTIMIZER, _optimizer(training)),
    ]
    return added(joined(parts, 1))


def _forward(training: _Training) -> Blocks:
    samples = training.samples
    for connection in training.connections:
        sizes = connection.sizes
        n_out = samples * sizes.n_out
        biased = n_out if sizes.biases else 0
        yield from _products(training, connection, "mac", connection.products)
        yield _at(sizes, "weight_read", connection.products, sizes.weight_words)
        yield from _activations(training, connection)
        if training.skips:
            sums = Words(FLOAT_BITS, sizes.n_out)
            yield block("sum_access", [sizes.layer], [n_out + biased], sums)
            per_product = 2 * connection.products
            yield _at(sizes, "sum_access_per_mac", per_product, sums)
        if biased:
            biases = Words(FLOAT_BITS, sizes.biases, FLOAT_BITS * sizes.parameters)
            yield block("bias_addition", [sizes.layer], [biased])
            yield block("bias_read", [sizes.layer], [biased], biases)
        outputs = training.in_batch(sizes.n_out)
        yield block("activation_write", [sizes.layer], [n_out], outputs)
        if connection.is_last:
            comparisons = samples * (sizes.n_out - 1)
            yield block("decision_comparison", [sizes.layer], [comparisons])
            continue
        yield block("activation_comparison", [sizes.layer], [n_out])
        if training.is_integer:
            yield block("requantisation", [sizes.layer], [n_out])


def _backward(training: _Training) -> Blocks:
    samples = training.samples
    for connection in training.connections:
        sizes = connection.sizes
        yield from _deltas(training, connection)
        # The gradient of the weights
        yield from _products(training, connection, "gradient_mac", connection.products)
        deltas = training.in_batch(sizes.n_out)
        yield _at(sizes, "delta_read", connection.products, deltas)
        yield from _activations(training, connection)
        written = training.batches * sizes.weights
        yield _at(sizes, "gradient_access", written, sizes.parameter_words)
        # Passing deltas back
        if not sizes.is_first:
            macs = connection.passed
            yield from _products(training, connection, "backpropagation_mac", macs)
            yield _at(sizes, "weight_read", macs, sizes.weight_words)
            yield _at(sizes, "delta_read", samples * sizes.n_out, deltas)


def _deltas(training: _Training, connection: _Connection) -> Blocks:
    """Count the deltas after a connection, and the gradients of biases."""
    sizes = connection.sizes
    n_units = training.samples * sizes.n_out
    n_active = n_units
    values = training.in_batch(sizes.n_out)
    if not connection.is_last:
        yield block("trace_read", [sizes.layer], [n_units], values)
        yield block("activation_comparison", [sizes.layer], [n_units])
        following = training.connections[training.connections.index(connection) + 1]
        n_active = following.active
    # The zeros of inactive units are written, too, since all deltas are read later.
    yield block("delta_write", [sizes.layer], [n_units], values)
    if sizes.biases:
        yield block("bias_gradient_accumulation", [sizes.layer], [n_active])
        written = training.batches * sizes.biases
        words = sizes.parameter_words
        yield block("gradient_access", [sizes.layer], [written], words)


def _products(
    training: _Training, connection: _Connection, term: str, macs: int
) -> Blocks:
    """Count products and the addresses of their operands."""
    sizes = connection.sizes
    yield _at(sizes, term, macs)
    if training.skips:
        yield _at(sizes, "address_event", macs)
        return
    units = training.samples * (sizes.n_in + sizes.n_out)
    yield _at(sizes, "address_unit", units)
    yield _at(sizes, "address_mac", macs)


def _activations(training: _Training, connection: _Connection) -> Blocks:
    """Count reading the activations before a connection, and finding zeros."""
    sizes = connection.sizes
    read = training.samples * sizes.n_in
    yield _at(sizes, "activation_read", read, training.in_batch(sizes.n_in))
    if training.skips:
        yield block("zero_comparison", [connection.source], [read])


def _optimizer(training: _Training) -> Blocks:
    operations = adam(
        weight_decay=training.run.weight_decay,
        clipping=False,
        clears=False,
        pruned=training.baseline.pruned,
        rounds=training.is_integer,
    )
    batches = np.array([[training.batches]])
    for connection in training.connections:
        yield from optimizer(connection.sizes, operations, batches)


def _at(
    sizes: TrainedConnection, term: str, count: int, words: Words | None = None
) -> OperationCounts:
    return block(term, [sizes.name], [count], Words() if words is None else words)
