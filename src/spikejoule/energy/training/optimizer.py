"""The optimizer, on every parameter that learns: Adam, once per batch, or another one.

For each parameter (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1):

    arithmetic        `_ADAM` or that of another rule, and that of weight decay; in
                      integer networks that of rounding
    moment accesses   4: both moments are read and written
    weights           1 read, 1 write; 1 more write of a rounded copy, in integers
    masks             1 read from where pruning starts

For each gradient that is not known to be zero:

    arithmetic        that of clipping, and adding the gradient to the weight decay
    gradient accesses 1 for the norm, if clipped; 1 for Adam; 1 to clear it, if it
                      was summed in memory

With zero-skipping, the gradients of a source without a spike or value in the batch are
known to be zero, in fully connected networks.

SGD has no moments, and RMSprop and SGD with momentum have one. With zero-skipping, SGD
without momentum and weight decay leaves a parameter alone whose gradient is known to be
zero.

Not counted: Adam's bias corrections, one number per step.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from spikejoule.counts.training import Rule, Updates
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
# v = a v + (1 - a) g g: 3 multiplications, 1 addition. w -= rate g / (sqrt(v) + e): 1
# multiplication, 2 additions, 1 division, 1 root.
_RMSPROP = {
    "optimizer_multiplication": 4,
    "optimizer_addition": 3,
    "optimizer_division": 1,
    "optimizer_root": 1,
    "moment_access": 2,
    "weight_read": 1,
    "weight_write": 1,
}
# m = momentum m + g, w -= rate m
_MOMENTUM = {
    "optimizer_multiplication": 2,
    "optimizer_addition": 2,
    "moment_access": 2,
    "weight_read": 1,
    "weight_write": 1,
}
# w -= rate g
_SGD = {
    "optimizer_multiplication": 1,
    "optimizer_addition": 1,
    "weight_read": 1,
    "weight_write": 1,
}
_RULES: Final[Mapping[Rule, Mapping[str, int]]] = {
    "adam": _ADAM,
    "adamw": _ADAM,
    "rmsprop": _RMSPROP,
    "momentum": _MOMENTUM,
    "sgd": _SGD,
}
_MOMENTS: Final[Mapping[Rule, int]] = {
    "adam": 2,
    "adamw": 2,
    "rmsprop": 1,
    "momentum": 1,
    "sgd": 0,
}
_READING = {"gradient_access": 1}
# g + decay w; AdamW scales w instead.
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


def _operations(step: TrainingStep, updates: Updates) -> Operations:
    """Return the operations of one step of an optimizer."""
    of_parameter = Counter(_RULES[updates.rule])
    of_gradient = Counter(_READING)
    if updates.rule == "sgd" and step.dataflow.skips_zeros and not updates.weight_decay:
        of_gradient.update(of_parameter)
        of_parameter.clear()
    if updates.weight_decay:
        of_parameter.update(_DECAYING)
        if updates.rule != "adamw":
            of_gradient.update(_ADDING_TO_DECAY)
    if step.record.clipping:
        of_gradient.update(_CLIPPING)
    if step.dataflow.gradients != "batch":
        of_gradient.update(_CLEARING)
    if step.network.weight_bits < FLOAT_BITS:
        of_parameter.update(_ROUNDING)
    return Operations(of_parameter, of_gradient)


def optimizer(step: TrainingStep) -> Blocks:
    """Count all optimizer steps of each row."""
    masked_batches = _batches_with_masks(step)
    for node in step.network.connections:
        weights = step.weights_of(node)
        yield from _updates(step, weights, _weight_gradients_read(step, node))
        # Gradients of biases and learned constants are read in every step.
        others = step.others_of(node)
        yield from _updates(step, others, None)
        if step.record.pruned:
            yield from _masks_read(weights, masked_batches)
            yield from _masks_read(others, masked_batches)


def _weight_gradients_read(step: TrainingStep, node: Connection) -> Counts | None:
    """Return how many gradients of weights are not known to be zero, [E, 1].

    None if all may have another value.
    """
    reached = step.record.gradients_reached
    if step.dataflow.skips_zeros and reached is not None:
        return step.column_of(node, reached)
    return None


def _updates(step: TrainingStep, parameters: Parameters, read: Counts | None) -> Blocks:
    """Count updating parameters in every step.

    Of their gradients, `read` are read, [E, 1]; None for all in every step.
    """
    if not parameters.count or parameters.updates is None:
        return
    operations = _operations(step, parameters.updates)
    updates = parameters.updates.steps[:, None] * parameters.count
    read = updates if read is None else read
    moments = _MOMENTS[parameters.updates.rule]
    memories = {
        "weight_read": parameters.values_memory,
        "weight_write": parameters.values_memory,
        "gradient_access": parameters.word_memory,
        "moment_access": parameters.moments_memory(moments),
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
