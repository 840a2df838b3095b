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
                      sums samples one by one

The event engine knows that the gradients of a source without a spike or current in the
batch are zero, in fully connected networks. It records how many it reads; if a file
lacks the record, all are counted.

Not counted: Adam's bias corrections, one number per step.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from spikejoule.energy.operations import OperationCounts, Words, block
from spikejoule.energy.training.arrays import TrainedConnection
from spikejoule.energy.training.products import Counts

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
        clears: whether gradients are cleared, since samples add to them one by one.
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


def optimizer(
    connection: TrainedConnection,
    operations: Operations,
    batches: Counts,
    gradients: Counts | None = None,
) -> Iterator[OperationCounts]:
    """Count the optimizer at one connection.

    Args:
        connection: its parameters.
        operations: of one step (`adam`).
        batches: optimizer steps of each epoch, [E, 1].
        gradients: gradients read in each epoch, [E, 1]; None for all.
    """
    parameters = batches * connection.parameters
    gradients = parameters if gradients is None else gradients
    memories = {
        "weight_read": connection.weight_words,
        "weight_write": connection.weight_words,
        "gradient_access": connection.parameter_words,
        "moment_access": connection.moment_words,
    }
    place = [connection.name]
    for term in {**operations.of_parameter, **operations.of_gradient}:
        counts = operations.of_parameter[term] * parameters
        counts = counts + operations.of_gradient[term] * gradients
        yield block(term, place, counts, memories.get(term, Words()))


def masks_read(connection: TrainedConnection, batches: Counts) -> OperationCounts:
    """Count reading whether each synapse still exists.

    Args:
        connection: its parameters.
        batches: optimizer steps with masks in each epoch, [E, 1].
    """
    reads = batches * connection.parameters
    return block("mask_read", [connection.name], reads, connection.parameter_words)
