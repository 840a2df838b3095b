"""What all variants of a training step have in common: its sizes, and its arithmetic.

Each neuron and step takes, in the backward pass, the equations in `neuron`:

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

A kept potential is read once and a delta written once. Deltas pass back through every
synapse between neurons in every step (recurrent ones in all but the last), as matrix
products: T times, the deltas of the layer after are read once, and its weights once for
each product; sums stay in registers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity
from spikejoule.energy.operations import (
    OperationCounts,
    Words,
    block,
    count_operations,
)
from spikejoule.energy.training.arrays import (
    TrainedConnection,
    trace_words,
    trained_connections,
)
from spikejoule.energy.training.record import TrainingRecord
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LOG_THRESHOLD, LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """A training, prepared for counting; E epochs, L layers, K connections.

    Attributes:
        record: the training.
        traced_samples, held_samples: samples whose potentials, and whose deltas, are
            held at a time: 1, or a batch.
    """

    record: TrainingRecord
    traced_samples: int = 1
    held_samples: int = 1

    @cached_property
    def activity(self) -> Activity:
        """The counts, of a network that computes in 32 bits."""
        activity = self.record.activity
        network = activity.network
        assert isinstance(network, Network)
        return replace(activity, network=replace(network, quantisation=None))

    @cached_property
    def inference(self) -> OperationCounts:
        """The operations of inference, over the samples of each epoch."""
        return count_operations(self.activity)

    @cached_property
    def connections(self) -> tuple[TrainedConnection, ...]:
        """The K connections."""
        return trained_connections(self.record.network)

    @property
    def samples(self) -> Counts:
        """Samples of each epoch, [E, 1]."""
        return self.activity.samples_of_row[:, None]

    @property
    def batches(self) -> Counts:
        """Optimizer steps of each epoch, [E, 1]."""
        return self.record.batches[:, None]

    @property
    def time_window(self) -> int:
        """T."""
        return self.activity.time_window

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers after the input."""
        return self.record.network.layer_names[1:]

    @property
    def updates(self) -> Counts:
        """Neurons times steps, which each compare a potential, [E, L - 1]."""
        return self.inference.of("threshold_comparison")

    def potentials(self) -> Words:
        """Return the memories of the potentials of all layers."""
        return self._values(self.traced_samples)

    def deltas(self) -> Words:
        """Return the memories of the deltas of all layers."""
        return self._values(self.held_samples)

    def _values(self, n_samples: int) -> Words:
        sizes = np.array(self.record.network.layer_sizes[1:])
        return Words(FLOAT_BITS, sizes * self.time_window * n_samples)

    def deltas_after(self, connection: TrainedConnection) -> Words:
        """Return the memory of the deltas of the layer after a connection."""
        return trace_words(connection.n_out, self.time_window, self.held_samples)

    def back_steps(self, connection: TrainedConnection) -> int:
        """Return the steps in which deltas pass back through a connection.

        A recurrent synapse carries no delta back into the last step.
        """
        if connection.is_first:
            return 0
        return self.time_window - connection.is_recurrent

    def at_connections(
        self,
        term: str,
        counts: Sequence[Counts],
        words: Sequence[Words] | None = None,
    ) -> Iterator[OperationCounts]:
        """Count a term at all connections; none where the counts are always 0.

        Args:
            term: the operation.
            counts: for each connection, [E, 1].
            words: the width and memory at each connection; None without memory.
        """
        for number, connection in enumerate(self.connections):
            if counts[number].any():
                own = Words() if words is None else words[number]
                yield block(term, [connection.name], counts[number], own)


def selected(operations: OperationCounts, terms: Sequence[str]) -> OperationCounts:
    """Return the counts of some terms."""
    columns = tuple(column for column in operations.columns if column.term in terms)
    return replace(operations, columns=columns, counts=operations.of(*terms))


def backward_of_neurons(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count the backward pass within layers: surrogates, deltas, biases, constants."""
    record = step.record
    layers = step.layers
    updates = step.updates
    potentials = step.potentials()
    deltas = step.deltas()
    learned = len(record.network.neuron.learned_names)
    yield block("trace_read", layers, updates * (1 + learned), potentials)
    for operation, number in (record.surrogate_operations or {}).items():
        yield block(f"surrogate_{operation}", layers, number * updates)
    multiplications, additions = _of_deltas(step)
    yield block("delta_multiplication", layers, multiplications)
    yield block("delta_addition", layers, additions)
    yield block("delta_write", layers, updates, deltas)
    if learned:
        yield block("delta_read", layers, updates * learned, deltas)
    biases = step.inference.of("bias_addition")
    yield block("bias_gradient_accumulation", layers, biases)


def _of_deltas(step: TrainingStep) -> tuple[Counts, Counts]:
    """Return multiplications and additions of deltas and learned constants."""
    neuron = step.record.network.neuron
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
    return multiplications, additions


def gradients_of_layers(
    step: TrainingStep, accesses: Counts
) -> Iterator[OperationCounts]:
    """Count accesses to the gradients of biases and learned constants.

    Args:
        step: the training.
        accesses: to each gradient, [E, 1].
    """
    for connection in step.connections:
        gradients = connection.biases + connection.constants
        if gradients:
            words = connection.parameter_words
            yield block(
                "gradient_access", [connection.layer], gradients * accesses, words
            )


def backpropagation(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count the products that pass deltas back between layers, and weight reads."""
    products = backpropagated(step)
    yield from step.at_connections("backpropagation_mac", products)
    weights = [connection.weight_words for connection in step.connections]
    yield from step.at_connections("weight_read", products, weights)


def backpropagated(step: TrainingStep) -> list[Counts]:
    """Return the products of `backpropagation` at each connection, [E, 1]."""
    return [
        step.samples * step.back_steps(connection) * connection.synapses
        for connection in step.connections
    ]


def backpropagated_units(step: TrainingStep) -> list[Counts]:
    """Return units whose addresses are computed in turn, at each connection, [E, 1]."""
    return [
        step.samples
        * step.back_steps(connection)
        * (connection.n_in + connection.n_out)
        for connection in step.connections
    ]


def deltas_passed(step: TrainingStep) -> list[Counts]:
    """Return the deltas that `backpropagation` reads at each connection, [E, 1]."""
    return [
        step.samples * step.back_steps(connection) * connection.n_out
        for connection in step.connections
    ]


def delta_words(step: TrainingStep) -> list[Words]:
    """Return the memory of the deltas after each connection."""
    return [step.deltas_after(connection) for connection in step.connections]
