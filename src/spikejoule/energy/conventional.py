"""Operation counts of conventional (ReLU) networks.

Layers 0 (input) to L - 1 (scores) have n_l units; W_l weights remain between layer l
and the next, and M_l products have a nonzero activation and a remaining weight:

                            dense               zero-skipping
    multiply-accumulates    W_l                 M_l
    weight reads            W_l                 M_l      in a pruned network also the
                                                         index of the target
    addresses               n_l + n_l+1 units,  M_l      as for spikes: which weights
                            W_l weights                  are needed is not known before
    comparisons with zero   none                n_l      find the nonzero activations
    activation reads        n_l; W_l if pruned  n_l
    sum reads and writes    none                2 n_l+1  set to the bias, read at the
                                                         end; without biases n_l+1, as
                                                         sums start at 0
    ... for the products    none                2 M_l    if a sum is not kept in a
                                                         register

A dense network computes one sum after the other in a register and reads each activation
once for all of them; in a pruned network each remaining weight fetches its own. A
zero-skipping network takes one activation after the other, as a spiking network takes
events, and adds to all of its sums.

Both write n_l activations in every layer after the input, and add and read n_l biases,
if any. Each hidden unit takes a comparison (ReLU), and in integer networks a
requantisation, or an addition that rounds before a shift; finding the answer takes
n_(L-1) - 1 comparisons. If activations are integers of neither 8 nor 16 bits, each
pixel is read in 8 bits, multiplied, rounded by an addition, and written in the width of
the first layer. A pixel of 1 bit is read in 8 bits, compared with a threshold and
written; its products are additions of weights.

For PyTorch networks with convolutions (`pricing.conventional`), W_l and M_l count the
windows that an activation lies in; kernels and biases are stored once. Pooling takes an
addition or a comparison per activation and window, reads its input and writes its
results, which averages divide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.energy.operations import (
    PIXEL_BITS,
    OperationCounts,
    Words,
    address_bits,
    arithmetic,
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
    """Count inference of a conventional network on the first N images.

    Args:
        baseline: the network.
        method: whether it computes every product, or skips those with a zero.
        n_samples: N.

    Raises:
        ArtifactError: it was counted on fewer images.
    """
    n_counted = len(baseline.macs_nonzero)
    if n_counted < n_samples:
        raise ArtifactError(
            f"the baseline {baseline.name} was counted on {n_counted:,} test images, "
            f"but the network on {n_samples:,}: run the baseline stage again."
        )
    parts = _of_baseline(baseline, method, n_samples)
    return joined(parts, n_samples)


@dataclass(frozen=True)
class _Stored:
    """Widths and memories of a conventional network, by connection."""

    weight: Words
    index: Words
    bias: Words
    sum: Words
    activation: Words
    output: Words


def _stored(baseline: BaselineCounts) -> _Stored:
    connections = baseline.network.connections
    sources = [node.n_in for node in connections]
    targets = [node.n_out for node in connections]
    sum_bits = baseline.sum_bits
    biases = np.array(baseline.network.bias_words, dtype=np.int64)
    # A kernel is stored once; of a pruned matrix, only the remaining weights are.
    weights = np.array(
        [
            synapses if isinstance(node, Dense) else node.stored()
            for node, synapses in zip(connections, baseline.synapses, strict=True)
        ]
    )
    index_bits = np.array([address_bits(n) * baseline.pruned for n in targets])
    parameters = weights * (baseline.weight_bits + index_bits) + biases * sum_bits
    # The scores of the last layer are as wide as the sums.
    output_bits = [baseline.activation_bits] * (len(connections) - 1) + [sum_bits]
    return _Stored(
        weight=Words(baseline.weight_bits, weights, parameters),
        index=Words(index_bits, weights, parameters),
        bias=Words(sum_bits, np.maximum(biases, 1), parameters),
        sum=Words(sum_bits, targets),
        activation=Words(baseline.source_bits, sources),
        output=Words(output_bits, targets),
    )


def _of_baseline(
    baseline: BaselineCounts, method: Method, n_samples: int
) -> Iterator[OperationCounts]:
    """Yield the counts of the table above, term by term."""
    network = baseline.network
    names = network.layer_names
    connections = network.connection_names
    stored = _stored(baseline)
    sources = np.array([node.n_in for node in network.connections], dtype=np.int64)
    targets = np.array([node.n_out for node in network.connections], dtype=np.int64)
    biased = np.where(np.array(network.bias_words) > 0, targets, 0)
    synapses = np.array(baseline.synapses, dtype=np.int64)
    skips = method == "zero_skipping"
    products: NDArray[np.int64] = (
        baseline.macs_nonzero[:n_samples] if skips else synapses
    )
    is_integer = baseline.weight_bits < FLOAT_BITS
    bits = np.array(baseline.source_bits)
    is_binary = baseline.pixel_threshold is not None
    if is_integer and bits[0] % PIXEL_BITS:
        n_pixels = int(sources[0])
        rounding = ("code_multiplication", "code_addition")
        terms = ("code_comparison",) if is_binary else rounding
        yield from made_pixels(
            network.input.name, n_pixels, n_pixels, int(bits[0]), *terms
        )

    # Arithmetic
    sum_arithmetic = arithmetic(baseline.sum_bits)
    # A product of a 1-bit pixel is an addition of a weight.
    added = int(is_binary)
    yield block(
        "accumulation", connections[:added], products[..., :added], sum_arithmetic
    )
    product = sum_arithmetic._replace(
        bits=baseline.weight_bits, product_bits=baseline.weight_bits * bits[added:]
    )
    yield block("mac", connections[added:], products[..., added:], product)
    yield block("bias_addition", names[1:], biased, sum_arithmetic)
    for node in network.rectified:
        yield block("activation_comparison", [node.name], [node.n_out], sum_arithmetic)
    for pooling in network.of(Pooling):
        yield from _of_pooling(pooling, baseline.activation_bits)
    if is_integer:
        requantised = "rounding_addition" if baseline.shifts else "requantisation"
        yield block(requantised, names[1:-1], targets[:-1], sum_arithmetic)

    # Addresses
    if skips:
        yield block("zero_comparison", names[:-1], sources, arithmetic(bits))
        yield block("address_event", connections, products)
    else:
        yield block("address_unit", connections, sources + targets)
        yield block("address_mac", connections, products)

    # Memory
    yield block("weight_read", connections, products, stored.weight)
    if baseline.pruned:
        yield block("index_read", connections, products, stored.index)
    yield block("bias_read", names[1:], biased, stored.bias)
    activation_reads = synapses if baseline.pruned and not skips else sources
    yield block("activation_read", names[:-1], activation_reads, stored.activation)
    if skips:
        yield block("sum_access", names[1:], targets + biased, stored.sum)
        yield block("sum_access_per_mac", connections, 2 * products, stored.sum)
    yield block("activation_write", names[1:], targets, stored.output)
    yield block("decision_comparison", names[-1:], targets[-1:] - 1)


def _of_pooling(pooling: Pooling, bits: int) -> Iterator[OperationCounts]:
    """Count averages or maxima of windows, and their memory accesses."""
    place = [pooling.name]
    amounts = [int(pooling.fan_out().sum())]
    if pooling.average:
        yield block("addition", place, amounts, arithmetic(bits))
        yield block("multiplication", place, [pooling.n_out], arithmetic(bits))
    else:
        yield block("activation_comparison", place, amounts, arithmetic(bits))
    yield block("activation_read", place, [pooling.n_in], Words(bits, pooling.n_in))
    yield block("activation_write", place, [pooling.n_out], Words(bits, pooling.n_out))
