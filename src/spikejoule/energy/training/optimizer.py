"""The optimizer: Adam on every parameter, once per batch.

For each parameter (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1):

    arithmetic        `_ADAM`, and that of weight decay; in integer networks that of
                      rounding
    moment accesses   4: both moments are read and written
    weights           1 read, 1 write; 1 more write of a rounded copy, in integers
    masks             1 read from where pruning starts

For each gradient that is not known to be zero:

    arithmetic        that of clipping, and adding the gradient to the weight decay
    gradient accesses 1 for the norm, if clipped; 1 for Adam; 1 to clear it, if it
                      was summed in memory

With zero-skipping, the gradients of a source without a spike or value in the batch are
known to be zero, in fully connected networks.

Not counted: Adam's bias corrections, one number per step.
"""

from collections import Counter
from typing import NamedTuple

from spikejoule.energy.operations import Words, block
from spikejoule.energy.training.step import Blocks, Counts, Parameters, TrainingStep
from spikejoule.network.nodes import Connection
from spikejoule.network.quantisation import FLOAT_BITS

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition. v = b2 v + (1 - b2) g g: 3 and
# 1. w -= rate m' / (sqrt(v') + e), with m' and v' divided by their bias corrections: 1
# multiplication, 2 additions, 3 divisions, 1 root.
_ADAM = {
    "optimizer_multiplication": 6,
    "optimizer_addition": 4,
    "optimizer_division": 3,
    "optimizer_root": 1,
    "moment_access": 4,
    "weight_read": 1,
    "weight_write": 1,
}
_READING = {"gradient_access": 1}
# g + decay w
_DECAYING = {"optimizer_multiplication": 1}
_ADDING_TO_DECAY = {"optimizer_addition": 1}
# The norm takes a multiplication and an addition, scaling a multiplication.
_CLIPPING = {
    "optimizer_multiplication": 2,
    "optimizer_addition": 1,
    "gradient_access": 1,
}
_CLEARING = {"gradient_access": 1}
# Divided by the unit as a multiplication, rounded as an addition, compared with both
# ends of the range, multiplied by the unit, and written.
_ROUNDING = {
    "optimizer_multiplication": 2,
    "optimizer_addition": 1,
    "optimizer_comparison": 2,
    "weight_write": 1,
}


class Operations(NamedTuple):
    """The operations of a step, by term.

    Attributes:
        of_parameter: for each parameter.
        of_gradient: for each gradient that is read.
    """

    of_parameter: Counter[str]
    of_gradient: Counter[str]


def adam(weight_decay: bool, clipping: bool, clears: bool, rounds: bool) -> Operations:
    """Return the operations of one step.

    Args:
        weight_decay: whether there is an L2 penalty.
        clipping: whether the norm of the gradient is limited.
        clears: whether gradients are cleared, since they are summed in memory.
        rounds: whether the network is trained in integers.
    """
    of_parameter = Counter(_ADAM)
    of_gradient = Counter(_READING)
    if weight_decay:
        of_parameter.update(_DECAYING)
        of_gradient.update(_ADDING_TO_DECAY)
    if clipping:
        of_gradient.update(_CLIPPING)
    if clears:
        of_gradient.update(_CLEARING)
    if rounds:
        of_parameter.update(_ROUNDING)
    return Operations(of_parameter, of_gradient)


def optimizer(step: TrainingStep) -> Blocks:
    """Count all optimizer steps of each row."""
    record = step.record
    operations = adam(
        weight_decay=record.weight_decay,
        clipping=record.clipping,
        clears=step.dataflow.gradients != "batch",
        rounds=record.network.weight_bits < FLOAT_BITS,
    )
    masked_batches = _batches_with_masks(step)
    for node in step.network.connections:
        weights = step.weights_of(node)
        read = _weight_gradients_read(step, node)
        yield from _updates(step, weights, operations, read)
        # Gradients of biases and learned constants are read in every step.
        others = step.others_of(node)
        yield from _updates(step, others, operations, step.batches * others.count)
        if record.pruned:
            yield from _masks_read(weights, masked_batches)
            yield from _masks_read(others, masked_batches)


def _weight_gradients_read(step: TrainingStep, node: Connection) -> Counts:
    """Return how many gradients of weights are not known to be zero, [E, 1]."""
    reached = step.record.gradients_reached
    if step.dataflow.skips_zeros and reached is not None:
        return step.column_of(node, reached)
    return step.batches * node.stored()


def _updates(
    step: TrainingStep, parameters: Parameters, operations: Operations, read: Counts
) -> Blocks:
    """Count updating parameters in every step; of their gradients, `read` are read."""
    if not parameters.count:
        return
    updates = step.batches * parameters.count
    memories = {
        "weight_read": parameters.values_memory,
        "weight_write": parameters.values_memory,
        "gradient_access": parameters.word_memory,
        "moment_access": parameters.moments_memory,
    }
    place = [parameters.place]
    for term in {**operations.of_parameter, **operations.of_gradient}:
        counts = operations.of_parameter[term] * updates
        counts = counts + operations.of_gradient[term] * read
        yield block(term, place, counts, memories.get(term, Words()))


def _batches_with_masks(step: TrainingStep) -> Counts:
    """Return the optimizer steps of each row from where pruning starts, [E, 1]."""
    removed = step.record.removed_fractions
    return step.batches if removed is None else step.batches * (removed[:, None] > 0)


def _masks_read(parameters: Parameters, batches: Counts) -> Blocks:
    """Count reading whether each parameter still exists."""
    if parameters.count:
        reads = batches * parameters.count
        yield block("mask_read", [parameters.place], reads, parameters.word_memory)
