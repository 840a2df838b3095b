"""The dense training step, as PyTorch runs it: all samples of a batch together.

Spikes are words, and every product is computed (`products`); neurons compute as in
inference. Potentials before the reset are kept, and all that is kept is kept for all
samples of a batch. The gradients of biases and learned constants are written once per
batch. Pooling adds each value inside a window, reads its input and writes its windows,
in each step; constant currents are pooled once.
"""

from collections.abc import Iterator

from spikejoule.energy.operations import OperationCounts, block
from spikejoule.energy.training.arrays import trace_words
from spikejoule.energy.training.step import (
    TrainingStep,
    backward_of_neurons,
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


def forward(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count the forward passes of all samples.

    The spikes of a layer take as much memory as its deltas.
    """
    yield from _potentials(step)
    yield selected(step.inference, _OF_ANSWER)
    yield block("activation_write", step.layers, step.updates, step.deltas())
    yield block("trace_write", step.layers, step.updates, step.potentials())


def backward(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count the backward passes of all samples."""
    yield from backward_of_neurons(step)
    yield from gradients_of_layers(step, step.batches)
    for products in step.products:
        yield from products.passed_back()
        yield from products.gradients(step.batches)


def _potentials(step: TrainingStep) -> Iterator[OperationCounts]:
    """Count computing all potentials and spikes from the input's values."""
    for products in step.products:
        yield from products.forward()
    yield from _pooling(step)
    yield selected(step.inference, _OF_NEURONS)


def _pooling(step: TrainingStep) -> Iterator[OperationCounts]:
    network = step.record.network
    for node in network.of(Pooling):
        reads_input = network.sources[node.name] == (network.input.name,)
        is_constant = reads_input and step.activity.products is not None
        n_steps = 1 if is_constant else step.time_window
        steps = step.samples * n_steps
        place = [node.name]
        read = trace_words(node.n_in, n_steps, step.held_samples)
        written = trace_words(node.n_out, n_steps, step.held_samples)
        yield block("addition", place, steps * int(node.fan_out().sum()))
        yield block("activation_read", place, steps * node.n_in, read)
        yield block("activation_write", place, steps * node.n_out, written)
