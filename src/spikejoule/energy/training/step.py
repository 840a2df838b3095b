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

A kept potential is read once and a delta written once. Deltas pass back between layers
as dense products (`products`) in every step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

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
from spikejoule.energy.training.products import Counts, Products
from spikejoule.energy.training.record import TrainingRecord
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LOG_THRESHOLD, LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS

StepVariant = Literal["event", "dense"]
"""Ways of running a training step: event by event, and densely."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """A training, prepared for counting; E epochs, L layers, K connections.

    Attributes:
        record: the training.
        variant: how a step is run.
    """

    record: TrainingRecord
    variant: StepVariant

    @property
    def held_samples(self) -> int:
        """Samples whose spikes and deltas are held at a time: 1, or a batch."""
        return 1 if self.variant == "event" else self.record.batch_size

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
        return self._values(self.held_samples)

    def deltas(self) -> Words:
        """Return the memories of the deltas of all layers."""
        return self._values(self.held_samples)

    def _values(self, n_samples: int) -> Words:
        sizes = np.array(self.record.network.layer_sizes[1:])
        return Words(FLOAT_BITS, sizes * self.time_window * n_samples)

    @cached_property
    def products(self) -> list[Products]:
        """Dense products through the K connections; only deltas in event-driven steps.

        Recurrent weights take T - 1: no spikes arrive in the first step, and no deltas
        pass back into the last. Constant currents may be multiplied only once.
        """
        found = []
        for connection in self.connections:
            is_constant = connection.is_first and self.activity.products is not None
            is_once = connection.is_first and self.activity.products == "once"
            kept_steps = 1 if is_constant else self.time_window
            steps = 1 if is_once else self.time_window - connection.is_recurrent
            macs = self.samples * steps * connection.synapses
            values = trace_words(connection.n_in, kept_steps, self.held_samples)
            deltas = trace_words(connection.n_out, self.time_window, self.held_samples)
            found.append(
                Products(
                    connection=connection,
                    matrices=self.samples * steps,
                    computed=macs,
                    passed=macs,
                    values=values,
                    deltas=deltas,
                )
            )
        return found


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
