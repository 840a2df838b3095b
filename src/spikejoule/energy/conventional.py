"""The operations of a conventional network on an image.

For ReLU layers 0 (input) to L - 1 (scores) with n_l units, W_l weights that are left
between layer l and the next, and M_l products of an activation and a weight that are
both not zero:

                            dense               zero-skipping
    multiply-accumulates    W_l                 M_l weight reads            W_l
    M_l      and the index of its target beside it where
                                                         weights were removed
    addresses               n_l + n_l+1 units,  M_l      as of a spiking network's
                            events: which W_l weights                  weights are
                            needed is not known before
    comparisons with zero   none                n_l      to find the activations that
    are activation reads        n_l, or W_l where   n_l
                            weights were removed
    sum reads and writes    none                2 n_l+1  each is set to its bias, and
    read when all
                                                         activations have come; n_l+1
                                                         without biases, as it is 0 at
                                                         first, as a potential
      and for the products  none                2 M_l    like a potential's for each
      event, if a sum
                                                         is no register

A dense network makes one sum after the other in a register, and reads an activation
once for all of them; where weights were removed, each that is left requests its own. A
zero-skipping one takes one activation after the other, as a spiking network takes its
events, and adds to all of its sums.

For both, in every layer after the input: n_l activations written, and n_l bias
additions and bias reads, none without biases; a comparison (ReLU) for each hidden unit,
and in integers a requantisation; n_(L-1) - 1 comparisons of scores. Where activations
have neither 8 bits nor 16, and are integers, each pixel is read in its 8 bits,
multiplied, rounded by an addition, and written in the width in which the first layer
reads it, as a spiking network's encoding is counted. In a PyTorch network with
convolutions (`pricing.conventional`), W_l and M_l are those under whose windows an
activation lies, and kernels and biases are stored once; ReLU and biases are counted
where it has some, and pooling takes an addition, or a comparison, for each activation
and window, reads the former and writes its results, which an average divides.
"""

from collections.abc import Iterator
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.energy.operations import (
    PIXEL_BITS,
    OperationCounts,
    address_bits,
    block,
    joined,
    made_pixels,
)
from spikejoule.network.nodes import Dense, Pooling
from spikejoule.network.quantisation import FLOAT_BITS

Method = Literal["dense", "zero_skipping"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)


def count_baseline(
    baseline: BaselineCounts, method: Method, n_samples: int
) -> OperationCounts:
    """What inference on the first N images takes in a conventional network.

    Args:
        baseline: the network.
        method: whether it takes every product, or leaves out those with a zero.
        n_samples: N.

    Raises:
        ArtifactError: it was counted on fewer images.
    """
    n_counted = len(baseline.macs_nonzero)
    if n_counted < n_samples:
        raise ArtifactError(
            f"the baseline {baseline.name} was counted on {n_counted:,} test "
            "images, but the "
            f"network on {n_samples:,}: run the baseline stage again."
        )
    return joined(_of_baseline(baseline, method, n_samples), n_samples)


def _of_baseline(
    baseline: BaselineCounts, method: Method, n_samples: int
) -> Iterator[OperationCounts]:
    """The formulas of this module."""
    network = baseline.network
    connections = baseline.network.connections
    layers = network.layer_names
    names = network.connection_names
    skips = method == "zero_skipping"
    integers = baseline.weight_bits < FLOAT_BITS
    bits = baseline.weight_bits
    sum_bits = baseline.sum_bits
    synapses = np.array(baseline.synapses, dtype=np.int64)
    sources = np.array([node.n_in for node in connections], dtype=np.int64)
    targets = np.array([node.n_out for node in connections], dtype=np.int64)
    biases = np.array(network.bias_words, dtype=np.int64)
    biased = np.where(biases > 0, targets, 0)
    # A kernel is stored once, and the weights of a pruned matrix that are left.
    stored = np.array(
        [
            synapses_left if isinstance(node, Dense) else node.stored()
            for node, synapses_left in zip(connections, baseline.synapses, strict=True)
        ]
    )
    index_bits = np.array([address_bits(int(n)) * baseline.pruned for n in targets])
    parameters = stored * (bits + index_bits) + biases * sum_bits
    # The last layer's are scores, as wide as what they are summed in.
    activation_bits = [*[baseline.activation_bits] * len(connections), sum_bits]
    products: NDArray[np.int64] = (
        baseline.macs_nonzero[:n_samples] if skips else synapses
    )
    if integers and baseline.activation_bits % PIXEL_BITS:
        n_pixels = int(sources[0])
        rounding = ("code_multiplication", "code_addition")
        width = baseline.activation_bits
        yield from made_pixels(network.input.name, n_pixels, n_pixels, width, *rounding)
    yield block("mac", names, products, bits)
    yield block("bias_addition", layers[1:], biased)
    for node in network.rectified:
        yield block("activation_comparison", [node.name], [node.n_out])
    for pooling in network.of(Pooling):
        yield from _of_pooling(pooling, baseline.activation_bits)
    if integers:
        yield block("requantisation", layers[1:-1], targets[:-1])
    if skips:
        yield block("zero_comparison", layers[:-1], sources)
        yield block("address_event", names, products)
    else:
        yield block("address_unit", names, sources + targets)
        yield block("address_mac", names, products)
    yield block("weight_read", names, products, bits, stored, parameters)
    if baseline.pruned:
        yield block("index_read", names, products, index_bits, stored, parameters)
    yield block(
        "bias_read", layers[1:], biased, sum_bits, np.maximum(biases, 1), parameters
    )
    gathered = synapses if baseline.pruned and not skips else sources
    yield block("activation_read", layers[:-1], gathered, activation_bits[:-1], sources)
    if skips:
        yield block("sum_access", layers[1:], targets + biased, sum_bits, targets)
        yield block("sum_access_per_mac", names, 2 * products, sum_bits, targets)
    yield block("activation_write", layers[1:], targets, activation_bits[1:], targets)
    yield block("decision_comparison", layers[-1:], targets[-1:] - 1)


def _of_pooling(pooling: Pooling, bits: int) -> Iterator[OperationCounts]:
    """Sums of windows that are divided, or the largest value of each; results in
    memory.
    """
    place = [pooling.name]
    amounts = [int(pooling.fan_out().sum())]
    if pooling.average:
        yield block("addition", place, amounts)
        yield block("multiplication", place, [pooling.n_out])
    else:
        yield block("activation_comparison", place, amounts)
    yield block("activation_read", place, [pooling.n_in], bits, pooling.n_in)
    yield block("activation_write", place, [pooling.n_out], bits, pooling.n_out)
