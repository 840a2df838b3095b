"""The event-driven training step, as the event engine runs it: sample by sample.

For one sample, with S_l spikes of layer l and E_l synaptic events of a connection:

    forward                  as inference; potentials before the reset are kept, and
                             the spikes of all T steps: queues hold T n_l addresses
    weight gradients         E_l accumulations. Each reads the target's delta, computes
                             an address, and reads and writes the gradient; recurrent
                             ones include the last step, which no step follows
    spike reads              S_l again, once per connection
    constant currents        as many MACs as going forward, with the same accesses; the
                             currents are read again
    other gradients          read and written once per sample: the sum over the window
                             is in a register

Passing deltas back between layers is dense (`products`). A sampled backward pass reads
each delta d of a hidden layer to compare |d| with the scale times a random number,
which is not counted, and lists those that it keeps. Each of them is read again, and
multiplied by a whole row of weights.
"""

from collections.abc import Iterator
from dataclasses import replace

from spikejoule.energy.operations import OperationCounts, Words, block
from spikejoule.energy.training.products import Products, at
from spikejoule.energy.training.step import (
    TrainingStep,
    backward_of_neurons,
    gradients_of_layers,
    selected,
)
from spikejoule.network.quantisation import FLOAT_BITS

_QUEUES = ("spike_read", "spike_write")


def forward(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count the forward passes of all samples."""
    yield _with_long_queues(step)
    yield block("trace_write", step.layers, step.updates, step.potentials())


def _with_long_queues(step: TrainingStep) -> OperationCounts:
    """Return the operations of inference, with queues for the spikes of all steps."""
    inference = step.inference
    columns = tuple(
        replace(column, memory_bits=column.memory_bits * step.time_window)
        if column.term in _QUEUES
        else column
        for column in inference.columns
    )
    return replace(inference, columns=columns)


def backward(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count the backward passes of all samples."""
    yield from backward_of_neurons(step)
    yield from gradients_of_layers(step, 2 * step.samples)
    for number, products in enumerate(step.products):
        yield from _passed_back(step, number, products)
    yield from _weight_gradients(step)
    yield from _inputs_again(step)


def _passed_back(
    step: TrainingStep, number: int, products: Products
) -> Iterator[OperationCounts]:
    kept_by_layer = step.record.kept_deltas
    # Only plain stacks sample deltas: connection and layer have the same number.
    is_between = 0 < number < len(step.layers) - 1
    if kept_by_layer is None or not is_between:
        yield from products.passed_back()
        return
    connection = products.connection
    kept = kept_by_layer[:, [number]]
    compared = products.matrices * connection.n_out
    yield block("delta_multiplication", [connection.layer], compared)
    yield block("delta_addition", [connection.layer], compared)
    yield block("delta_write", [connection.layer], kept, products.deltas)
    yield from replace(products, passed=kept * connection.n_in).passed_back()
    yield from at(connection, "delta_read", kept, products.deltas)


def _weight_gradients(step: TrainingStep) -> Iterator[OperationCounts]:
    for number, products in enumerate(step.products):
        connection = products.connection
        events = step.inference.of("synaptic_event")[:, [number]]
        changes = events
        if connection.is_first and step.activity.products is not None:
            # Products with constant currents change gradients as events do.
            macs = step.inference.of("input_mac")
            changes = events + macs
            yield from at(connection, "input_gradient_mac", macs)
        yield from at(connection, "gradient_accumulation", events)
        yield from at(connection, "address_event", changes)
        yield from at(connection, "delta_read", changes, products.deltas)
        words = connection.parameter_words
        yield from at(connection, "gradient_access", 2 * changes, words)


def _inputs_again(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count reading the spikes or currents that the weight gradients need."""
    yield selected(_with_long_queues(step), ["spike_read"])
    if step.activity.products is not None:
        node = step.record.network.input
        currents = Words(FLOAT_BITS, node.n_out)
        yield block("activation_read", [node.name], step.samples * node.n_out, currents)
