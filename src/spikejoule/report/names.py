"""Names of networks, terms and parts, formatted from their fields."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from spikejoule.counts.records import SpikingGraph
from spikejoule.network.graph import Graph
from spikejoule.network.nodes import Convolution, Dense, Pooling
from spikejoule.network.quantisation import FLOAT_BITS

if TYPE_CHECKING:
    from spikejoule.compare.front import Side
    from spikejoule.compare.inputs import AnalysisInputs
    from spikejoule.energy.ledger import EnergyRow, Variant

PARTS: Final = {
    "products": "weights added or multiplied",
    "unit_work": "biases, leaks, comparisons, resets",
    "addresses": "addresses",
    "weight_accesses": "weights read",
    "state_accesses": "potentials or accumulators read and written",
    "activation_accesses": "spikes or activations passed on",
    "encoding_and_readout": "encoding and readout",
}
"""Parts of an inference's energy (`terms.PARTS`)."""

_MOST_SIZES = 5
_MOST_LAYERS_NAMED = 8
_FIRST_LAYERS_NAMED = 3
_LAST_LAYERS_NAMED = 2


def analysed_name(inputs: "AnalysisInputs") -> str:
    """Name the analysed network."""
    encoding = "none" if inputs.encoder is None else inputs.encoder.name
    return f"spiking {network_name(inputs.network, encoding, inputs.activity.pruned)}"


def way_of(method: str, lazy: bool) -> str:
    """Name a way of running a network: ``early exit, lazy updates``."""
    return f"{method}, lazy updates" if lazy else method


def way(one: "Side | Variant | EnergyRow") -> str:
    """Name how a network is run."""
    return way_of(one.method, one.lazy)


def named(one: "Side | Variant") -> str:
    """Name a conventional network, and how it is run."""
    return f"{one.network}, {way(one)}"


def named_in(inputs: "AnalysisInputs", one: "Side | Variant") -> str:
    """Name a network of an analysis, the analysed one included, and how it is run."""
    return f"{one.network or analysed_name(inputs)}, {way(one)}"


def network_name(network: SpikingGraph, encoding: str, is_pruned: bool = False) -> str:
    """Name a spiking network.

    For example ``784-400-10 (latency), 96 % pruned, 8 bits``. With `is_pruned`, weights
    that are zero count as removed.
    """
    name = f"{architecture(network)} ({encoding})"
    if is_pruned:
        weights = [connection.weight for connection in network.connections]
        kept = sum(map(np.count_nonzero, weights))
        removed_percent = 100 * (1 - kept / sum(weight.size for weight in weights))
        if removed_percent:
            name += f", {removed_percent:.3g} % pruned"
    if network.weight_bits != FLOAT_BITS:
        name += f", {network.weight_bits} bits"
    return name


def architecture(network: Graph) -> str:
    """Return the sizes of a network, ``784-400-10``, or its `layers` if it is deep."""
    is_deep = network.sizes.count("-") >= _MOST_SIZES
    return layers(network) if is_deep else network.sizes


def layers(network: Graph) -> str:
    """List the layers of a network: ``28 x 28 - conv 16 x 3x3 - pool 2 - 10``.

    Equal layers in a row are folded (``784 - 3 x 400 - 10``), and the middle of a very
    deep network is left out.
    """
    sides = [size for size in network.input.out_shape if size > 1] or [1]
    named = [" x ".join(str(side) for side in sides)]
    for layer, equal_layers in groupby(_layer_names(network)):
        times = len(list(equal_layers))
        named.append(layer if times == 1 else f"{times} x {layer}")
    if len(named) > _MOST_LAYERS_NAMED:
        first = named[:_FIRST_LAYERS_NAMED]
        last = named[-_LAST_LAYERS_NAMED:]
        n_omitted = len(named) - len(first) - len(last)
        named = [*first, f"({n_omitted} more)", *last]
    return " - ".join(named)


def _layer_names(network: Graph) -> Iterator[str]:
    """Name every connection and pooling, in order.

    A connection into neurons that another one already reaches, such as a recurrent one
    or a residual shortcut, adds no layer.
    """
    reached: set[str] = set()
    for node in network.nodes.values():
        if isinstance(node, Pooling):
            # Pooling that was counted as it ran has windows of unknown size.
            side = max(node.windows.kernel)
            yield "pool" if side == 1 else f"pool {side}"
        if not isinstance(node, Convolution | Dense):
            continue
        readers = {reader.name for reader in network.readers_of(node.name)}
        if readers and readers <= reached:
            continue
        reached |= readers
        # A matrix that is a part of another one is a convolution without a kernel.
        if isinstance(node, Dense) or len(node.weight_shape) == 2:
            yield str(node.n_out)
        else:
            kernel = "x".join(str(size) for size in node.weight_shape[2:])
            stride = max(node.windows.stride)
            strided = f" stride {stride}" if stride > 1 else ""
            yield f"conv {node.out_shape[0]} x {kernel}{strided}"


def terms_in_words(*names: str) -> str:
    """Write terms in words, separated by commas."""
    words = ", ".join(names).replace("code_", "encoding ").replace("_", " ")
    return re.sub(r"\bmac\b", "MAC", words)
