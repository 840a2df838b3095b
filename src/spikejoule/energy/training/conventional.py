"""Training of conventional (ReLU) networks, counted as for spiking networks.

A step is a dense one (`products`), with or without products of zeros:

                        dense                        zero-skipping
    forward             every product                products of nonzero activations,
                                                     sums as in `energy.conventional`
    deltas              written, and passed back     passed back to active units only
    ReLU                its activation is read and compared again
    weight gradients    every product                products of nonzero activations

Activations and deltas are kept for all samples of a batch. Pruned synapses keep their
place, and are still multiplied. Integer networks also requantise, as in inference, and
round their parameters. Nonzero products of training are not recorded: their fraction is
the trained network's over the measured images.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts, TrainingRun
from spikejoule.energy.conventional import Method
from spikejoule.energy.operations import OperationCounts, Words, block
from spikejoule.energy.training.arrays import TrainedConnection, trace_words
from spikejoule.energy.training.counting import joined_phases
from spikejoule.energy.training.data import images_read
from spikejoule.energy.training.optimizer import adam, masks_read, optimizer
from spikejoule.energy.training.products import Blocks, Counts, Products, at
from spikejoule.energy.training.record import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    TrainingRecord,
)
from spikejoule.network.quantisation import FLOAT_BITS


@dataclass(frozen=True, eq=False)
class _Training:
    """A training to count: the network, its run, and the way of computing."""

    baseline: BaselineCounts
    run: TrainingRun
    skips: bool

    @property
    def samples(self) -> Counts:
        return np.array([[self.run.epochs * self.run.samples]])

    @property
    def batches(self) -> Counts:
        in_epoch = -(-self.run.samples // self.run.batch_size)
        return np.array([[self.run.epochs * in_epoch]])

    @property
    def is_integer(self) -> bool:
        """Whether it is trained in integers."""
        return self.baseline.weight_bits < FLOAT_BITS

    def in_batch(self, n_units: int) -> Words:
        """Return the memory of a layer's values for a batch."""
        return trace_words(n_units, 1, self.run.batch_size)

    @cached_property
    def products(self) -> list[Products]:
        """The products of the connections in order."""
        network = self.baseline.network
        names = network.layer_names
        fractions = _nonzero_fractions(self.baseline)
        found = []
        for number, node in enumerate(network.connections):
            connection = TrainedConnection(
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
            used = self.samples * (fractions[number] if self.skips else 1.0)
            found.append(
                Products(
                    connection=connection,
                    matrices=self.samples,
                    computed=_rounded(used * connection.synapses),
                    passed=_rounded(used * node.n_in) * node.n_out,
                    values=self.in_batch(node.n_in),
                    deltas=self.in_batch(node.n_out),
                    skipping=names[number] if self.skips else "",
                )
            )
        return found

    def active_after(self, number: int) -> Counts:
        """Return the active units after a connection; all after the last one."""
        n_out = self.products[number].connection.n_out
        if number == len(self.products) - 1:
            return self.samples * n_out
        following = self.products[number + 1]
        return following.passed // following.connection.n_out


def _rounded(numbers: NDArray[Any]) -> Counts:
    whole: Counts = np.rint(numbers).astype(np.int64)
    return whole


def _nonzero_fractions(baseline: BaselineCounts) -> list[float]:
    """Return the fraction of nonzero products of each connection.

    Pruned networks record it: among their kept synapses it is larger at the input,
    since these are at brighter pixels.
    """
    if baseline.nonzero_fractions is not None:
        return list(baseline.nonzero_fractions)
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
    phases = {
        DATA: images_read(record, training.samples),
        FORWARD: _forward(training),
        BACKWARD: _backward(training),
        OPTIMIZER: _optimizer(training),
    }
    return joined_phases(phases, n_epochs=1)


def _forward(training: _Training) -> Blocks:
    samples = training.samples
    for products in training.products:
        connection = products.connection
        layer = [connection.layer]
        n_out = samples * connection.n_out
        yield from products.forward()
        if training.skips:
            # Read at the end; with biases, which they begin with, also written before.
            accesses = n_out * (2 if connection.biases else 1)
            per_product = 2 * products.computed
            sums = Words(FLOAT_BITS, connection.n_out)
            yield block("sum_access", layer, accesses, sums)
            yield from at(connection, "sum_access_per_mac", per_product, sums)
        if connection.biases:
            stored = FLOAT_BITS * connection.parameters
            words = Words(FLOAT_BITS, connection.biases, stored)
            yield block("bias_addition", layer, n_out)
            yield block("bias_read", layer, n_out, words)
        yield block("activation_write", layer, n_out, products.deltas)
        if products is training.products[-1]:
            comparisons = samples * (connection.n_out - 1)
            yield block("decision_comparison", layer, comparisons)
            continue
        yield block("activation_comparison", layer, n_out)
        if training.is_integer:
            yield block("requantisation", layer, n_out)


def _backward(training: _Training) -> Blocks:
    for number, products in enumerate(training.products):
        connection = products.connection
        layer = [connection.layer]
        n_out = training.samples * connection.n_out
        if products is not training.products[-1]:
            yield block("trace_read", layer, n_out, products.deltas)
            yield block("activation_comparison", layer, n_out)
        # The zeros of inactive units are written, too, since all deltas are read later.
        yield block("delta_write", layer, n_out, products.deltas)
        if connection.biases:
            active = training.active_after(number)
            written = training.batches * connection.biases
            words = connection.parameter_words
            yield block("bias_gradient_accumulation", layer, active)
            yield block("gradient_access", layer, written, words)
        yield from products.gradients(training.batches)
        yield from products.passed_back()


def _optimizer(training: _Training) -> Blocks:
    operations = adam(
        weight_decay=training.run.weight_decay,
        clipping=False,
        clears=False,
        rounds=training.is_integer,
    )
    for products in training.products:
        yield from optimizer(products.connection, operations, training.batches)
        if training.baseline.pruned:
            yield masks_read(products.connection, training.batches)
