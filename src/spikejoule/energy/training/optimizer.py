"""The optimizer: Adam on every parameter, once per batch.

For each parameter (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1):

    arithmetic        `_ADAM`, and that of weight decay and clipping; in integer
                      networks that of rounding
    gradient accesses 1 for the norm, if clipped; 1 for Adam; 1 to clear it, if it
                      sums samples one by one
    moment accesses   4: both moments are read and written
    weights           1 read, 1 write; 1 more write of a rounded copy, in integers
    masks             1 read in pruned networks

Not counted: Adam's bias corrections, one number per step. The event engine neither
reads for clipping nor clears rows that no spike of a batch reached; how many these are
is not recorded, so all count.
"""

from collections import Counter
from collections.abc import Iterator

from spikejoule.energy.operations import OperationCounts, block
from spikejoule.energy.training.arrays import TrainedConnection
from spikejoule.energy.training.step import Counts

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition. v = b2 v + (1 - b2) g g: 3 and
# 1. w -= rate m' / (sqrt(v') + e), with m' and v' divided by their bias corrections: 1
# multiplication, 2 additions, 3 divisions, 1 root.
_ADAM = {
    "optimizer_multiplication": 6,
    "optimizer_addition": 4,
    "optimizer_division": 3,
    "optimizer_root": 1,
    "moment_access": 4,
    "gradient_access": 1,
    "weight_read": 1,
    "weight_write": 1,
}
# g + decay w
_WEIGHT_DECAY = {"optimizer_multiplication": 1, "optimizer_addition": 1}
# The norm takes a multiplication and an addition, scaling a multiplication.
_CLIPPING = {
    "optimizer_multiplication": 2,
    "optimizer_addition": 1,
    "gradient_access": 1,
}
_CLEARING = {"gradient_access": 1}
_MASKING = {"mask_read": 1}
# Divided by the unit as a multiplication, rounded as an addition, compared with both
# ends of the range, multiplied by the unit, and written.
_ROUNDING = {
    "optimizer_multiplication": 2,
    "optimizer_addition": 1,
    "optimizer_comparison": 2,
    "weight_write": 1,
}


def adam(
    weight_decay: bool, clipping: bool, clears: bool, pruned: bool, rounds: bool
) -> Counter[str]:
    """Return the operations of one parameter in one step, by term.

    Args:
        weight_decay: whether there is an L2 penalty.
        clipping: whether the norm of the gradient is limited.
        clears: whether gradients are cleared, since samples add to them one by one.
        pruned: whether there are masks.
        rounds: whether the network is trained in integers.
    """
    operations = Counter(_ADAM)
    extras = (
        (weight_decay, _WEIGHT_DECAY),
        (clipping, _CLIPPING),
        (clears, _CLEARING),
        (pruned, _MASKING),
        (rounds, _ROUNDING),
    )
    for is_on, extra in extras:
        if is_on:
            operations.update(extra)
    return operations


def optimizer(
    connection: TrainedConnection, operations: Counter[str], batches: Counts
) -> Iterator[OperationCounts]:
    """Count the optimizer at one connection.

    Args:
        connection: its parameters.
        operations: of one parameter in one step (`adam`).
        batches: optimizer steps of each epoch, [E, 1].
    """
    memories = {
        "weight_read": connection.weight_words,
        "weight_write": connection.weight_words,
        "gradient_access": connection.parameter_words,
        "mask_read": connection.parameter_words,
        "moment_access": connection.moment_words,
    }
    for term, number in operations.items():
        counts = batches * (number * connection.parameters)
        place = [connection.name]
        if term in memories:
            yield block(term, place, counts, memories[term])
        else:
            yield block(term, place, counts)
