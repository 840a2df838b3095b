"""The dense training step, as PyTorch runs it: all samples of a batch together.

Spikes are words, and every product is computed. In each of T steps, for a connection
of W synapses from n to m units:

    forward            W MACs, weight reads and addresses; n values read; m written.
                       Potentials before the reset are kept. Neurons as in inference
    weight gradients   one product over the batch, of deltas (a matrix) and the source's
                       values: W MACs, delta reads and addresses; n values read. Each
                       gradient is written once per batch
    other gradients    written once per batch

Recurrent weights take T - 1 products: no spikes arrive in the first step. Constant
currents that are multiplied once take one product in place of T. Pooling adds each
value inside a window, reads its input and writes its windows, in each step; constant
currents are pooled once. What is kept is kept for all samples of a batch.

Recomputing instead of storing (`backward` with `recomputes`): the forward pass is run
again, sample by sample, before each backward pass, so that potentials are kept for one
sample only. Spikes and deltas stay those of the batch.
"""

from collections.abc import Iterator

from spikejoule.energy.operations import OperationCounts, block
from spikejoule.energy.training.arrays import TrainedConnection, trace_words
from spikejoule.energy.training.step import (
    Counts,
    TrainingStep,
    backpropagated,
    backpropagated_units,
    backpropagation,
    backward_of_neurons,
    delta_words,
    deltas_passed,
    gradients_of_layers,
    selected,
)
from spikejoule.network.nodes import Pooling

_OF_NEURONS = (
    "neuron_update_active",
    "neuron_update_inactive",
    "leak_multiplication",
    "bias_addition",
    "bias_read",
    "threshold_comparison",
    "reset",
    "state_access",
)
_OF_ANSWER = ("spike_counted", "decision_comparison")


def forward(step: TrainingStep, keeps: bool = True) -> Iterator[OperationCounts]:
    """Count the forward passes of all samples; `keeps` if they keep potentials.

    The spikes of a layer take as much memory as its deltas.
    """
    yield from _potentials(step)
    yield selected(step.inference, _OF_ANSWER)
    yield block("activation_write", step.layers, step.updates, step.deltas())
    if keeps:
        yield block("trace_write", step.layers, step.updates, step.potentials())


def backward(step: TrainingStep, recomputes: bool = False) -> Iterator[OperationCounts]:
    """Count the backward passes; `recomputes` if they compute potentials again."""
    if recomputes:
        yield from _potentials(step)
        yield block("trace_write", step.layers, step.updates, step.potentials())
    yield from backward_of_neurons(step)
    yield from gradients_of_layers(step, step.batches)
    yield from backpropagation(step)
    products = _products(step)
    passed = backpropagated(step)
    yield from step.at_connections("gradient_mac", products)
    yield from step.at_connections("address_mac", _sums(products, passed))
    units = _sums(_units(step), backpropagated_units(step))
    yield from step.at_connections("address_unit", units)
    deltas = _sums(products, deltas_passed(step))
    yield from step.at_connections("delta_read", deltas, delta_words(step))
    yield from _sources_read(step)
    gradients = [connection.parameter_words for connection in step.connections]
    written = [step.batches * connection.weights for connection in step.connections]
    yield from step.at_connections("gradient_access", written, gradients)


def _potentials(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count computing all potentials and spikes from the input's values."""
    products = _products(step)
    yield from step.at_connections("mac", products)
    yield from step.at_connections("address_mac", products)
    yield from step.at_connections("address_unit", _units(step))
    weights = [connection.weight_words for connection in step.connections]
    yield from step.at_connections("weight_read", products, weights)
    yield from _sources_read(step)
    yield from _pooling(step)
    yield selected(step.inference, _OF_NEURONS)


def _steps(step: TrainingStep, connection: TrainedConnection) -> int:
    """Return the products of a connection and the values of one sample."""
    if connection.is_first and step.activity.products == "once":
        return 1
    return step.time_window - connection.is_recurrent


def _products(step: TrainingStep) -> list[Counts]:
    return [
        step.samples * _steps(step, connection) * connection.synapses
        for connection in step.connections
    ]


def _units(step: TrainingStep) -> list[Counts]:
    return [
        step.samples * _steps(step, connection) * (connection.n_in + connection.n_out)
        for connection in step.connections
    ]


def _sources_read(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count reading the values that enter each connection."""
    batch_size = step.record.batch_size
    counts = []
    words = []
    for connection in step.connections:
        counts.append(step.samples * _steps(step, connection) * connection.n_in)
        is_constant = connection.is_first and step.activity.products is not None
        n_steps = 1 if is_constant else step.time_window
        words.append(trace_words(connection.n_in, n_steps, batch_size))
    yield from step.at_connections("activation_read", counts, words)


def _pooling(step: TrainingStep) -> Iterator[OperationCounts]:
    network = step.record.network
    for node in network.of(Pooling):
        reads_input = network.sources[node.name] == (network.input.name,)
        is_constant = reads_input and step.activity.products is not None
        n_steps = 1 if is_constant else step.time_window
        steps = step.samples * n_steps
        place = [node.name]
        read = trace_words(node.n_in, n_steps, step.record.batch_size)
        written = trace_words(node.n_out, n_steps, step.record.batch_size)
        yield block("addition", place, steps * int(node.fan_out().sum()))
        yield block("activation_read", place, steps * node.n_in, read)
        yield block("activation_write", place, steps * node.n_out, written)


def _sums(first: list[Counts], second: list[Counts]) -> list[Counts]:
    return [one + other for one, other in zip(first, second, strict=True)]
