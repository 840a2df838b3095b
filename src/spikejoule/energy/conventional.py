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
requantisation; finding the answer takes n_(L-1) - 1 comparisons. If activations are
integers of neither 8 nor 16 bits, each pixel is read in 8 bits, multiplied, rounded by
an addition, and written in the width of the first layer.

For PyTorch networks with convolutions (`pricing.conventional`), W_l and M_l count the
windows that an activation lies in; kernels and biases are stored once. Pooling takes an
addition or a comparison per activation and window, reads its input and writes its
results, which averages divide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.energy.operations import (
    PIXEL_BITS,
    OperationCounts,
    Words,
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
    layers = _layers_of(baseline)
    parts: list[OperationCounts] = []
    parts += _rounded_pixels(baseline)
    if method == "dense":
        products = np.array(baseline.synapses, dtype=np.int64)
    else:
        products = baseline.macs_nonzero[:n_samples]
    parts += _arithmetic(baseline, layers, products)
    parts += _addresses(baseline, layers, products, method)
    parts += _memory(baseline, layers, products, method)
    output = baseline.network.layer_names[-1:]
    parts.append(block("decision_comparison", output, layers.targets[-1:] - 1))
    return joined(parts, n_samples)


@dataclass(frozen=True, eq=False)
class _Layers:
    """Sizes along the L - 1 connections of a conventional network.

    Attributes:
        sources, targets: units before and after each connection.
        biases: biases stored with it.
        biased: units that a bias is added to.
        stored: weights stored; kernels count once.
        index_bits: width of a weight's index; 0 unless pruned.
        parameters_bits: size of all parameters of the connection.
    """

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    biases: NDArray[np.int64]
    biased: NDArray[np.int64]
    stored: NDArray[np.int64]
    index_bits: NDArray[np.int64]
    parameters_bits: NDArray[np.int64]


def _layers_of(baseline: BaselineCounts) -> _Layers:
    network = baseline.network
    connections = network.connections
    sources = np.array([node.n_in for node in connections], dtype=np.int64)
    targets = np.array([node.n_out for node in connections], dtype=np.int64)
    biases = np.array(network.bias_words, dtype=np.int64)
    stored = np.array(
        [
            synapses if isinstance(node, Dense) else node.stored()
            for node, synapses in zip(connections, baseline.synapses, strict=True)
        ]
    )
    index_bits = np.array(
        [address_bits(node.n_out) * baseline.pruned for node in connections]
    )
    weights_bits = stored * (baseline.weight_bits + index_bits)
    return _Layers(
        sources=sources,
        targets=targets,
        biases=biases,
        biased=np.where(biases > 0, targets, 0),
        stored=stored,
        index_bits=index_bits,
        parameters_bits=weights_bits + biases * baseline.sum_bits,
    )


def _rounded_pixels(baseline: BaselineCounts) -> Iterator[OperationCounts]:
    """Count rounding pixels to activations of another width."""
    bits = baseline.activation_bits
    if baseline.weight_bits < FLOAT_BITS and bits % PIXEL_BITS:
        place = baseline.network.input.name
        n_pixels = baseline.network.connections[0].n_in
        terms = ("code_multiplication", "code_addition")
        yield from made_pixels(place, n_pixels, n_pixels, bits, *terms)


def _arithmetic(
    baseline: BaselineCounts, layers: _Layers, products: NDArray[Any]
) -> Iterator[OperationCounts]:
    network = baseline.network
    names = network.layer_names
    product = Words(baseline.weight_bits)
    yield block("mac", network.connection_names, products, product)
    yield block("bias_addition", names[1:], layers.biased)
    for node in network.rectified:
        yield block("activation_comparison", [node.name], [node.n_out])
    for pooling in network.of(Pooling):
        yield from _of_pooling(pooling, baseline.activation_bits)
    if baseline.weight_bits < FLOAT_BITS:
        yield block("requantisation", names[1:-1], layers.targets[:-1])


def _addresses(
    baseline: BaselineCounts, layers: _Layers, products: NDArray[Any], method: Method
) -> Iterator[OperationCounts]:
    network = baseline.network
    connections = network.connection_names
    if method == "zero_skipping":
        yield block("zero_comparison", network.layer_names[:-1], layers.sources)
        yield block("address_event", connections, products)
    else:
        yield block("address_unit", connections, layers.sources + layers.targets)
        yield block("address_mac", connections, products)


def _memory(
    baseline: BaselineCounts, layers: _Layers, products: NDArray[Any], method: Method
) -> Iterator[OperationCounts]:
    """Count memory accesses: weights, biases, activations and sums."""
    network = baseline.network
    names = network.layer_names
    connections = network.connection_names
    stored = layers.stored
    parameters = layers.parameters_bits
    sum_bits = baseline.sum_bits
    weight = Words(baseline.weight_bits, stored, parameters)
    index = Words(layers.index_bits, stored, parameters)
    bias = Words(sum_bits, np.maximum(layers.biases, 1), parameters)
    partial_sum = Words(sum_bits, layers.targets)
    activation = Words(baseline.activation_bits, layers.sources)
    # The scores of the last layer are as wide as the sums.
    output_bits = [baseline.activation_bits] * (len(connections) - 1) + [sum_bits]
    output = Words(output_bits, layers.targets)

    yield block("weight_read", connections, products, weight)
    if baseline.pruned:
        yield block("index_read", connections, products, index)
    yield block("bias_read", names[1:], layers.biased, bias)
    activation_reads = layers.sources
    if baseline.pruned and method == "dense":
        activation_reads = np.array(baseline.synapses, dtype=np.int64)
    yield block("activation_read", names[:-1], activation_reads, activation)
    if method == "zero_skipping":
        yield block(
            "sum_access", names[1:], layers.targets + layers.biased, partial_sum
        )
        yield block("sum_access_per_mac", connections, 2 * products, partial_sum)
    yield block("activation_write", names[1:], layers.targets, output)


def _of_pooling(pooling: Pooling, bits: int) -> Iterator[OperationCounts]:
    """Count averages or maxima of windows, and their memory accesses."""
    place = [pooling.name]
    amounts = [int(pooling.fan_out().sum())]
    if pooling.average:
        yield block("addition", place, amounts)
        yield block("multiplication", place, [pooling.n_out])
    else:
        yield block("activation_comparison", place, amounts)
    yield block("activation_read", place, [pooling.n_in], Words(bits, pooling.n_in))
    yield block("activation_write", place, [pooling.n_out], Words(bits, pooling.n_out))
