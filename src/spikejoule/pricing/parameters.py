"""Compare the parameters of a model and its NIR graph, where both have them.

Weights and biases are those of layers; thresholds, gains and leaks those of neurons.
Names pair layers with the graph's; layers without a namesake are paired in order.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from spikejoule.network.nodes import Connection, Neurons, Node
from spikejoule.nir.conventions import Conventions, dynamics_of
from spikejoule.pricing.counting.places import ModulePlace

Numbers = NDArray[Any]
_RELATIVE_TOLERANCE: Final = 1e-5
"""Exporters compute in float32."""
_ABSOLUTE_TOLERANCE: Final = 1e-6


def is_named_after(node: Node, place: ModulePlace) -> bool:
    """Whether a node, or the nested graph around it, has the name of a module."""
    own_name = place.name.rpartition(" ")[2]  # without the class before a number
    return f"{node.name}.".startswith(f"{own_name}.")


def paired_layers(
    layers: Iterable[ModulePlace], nodes: Iterable[Connection]
) -> dict[str, Connection]:
    """Pair layers with the graph's layers of as many weights; some have no partner."""
    pairs: dict[str, Connection] = {}
    left = [*nodes]
    for layer in layers:
        size = _weight(layer).size
        partners = [node for node in left if node.weight.size == size]
        # The namesake goes first; sorting keeps the order of the others.
        partners.sort(key=lambda node: not is_named_after(node, layer))
        if partners:
            pairs[layer.name] = partners[0]
            left.remove(partners[0])
    return pairs


def differing_weights(
    layer: ModulePlace, node: Connection, nodes: Iterable[Connection]
) -> Iterator[str]:
    """Name the weight and the bias of a layer that differ from its partner's.

    Args:
        layer, node: of the model and the graph.
        nodes: all layers of the graph, one of which may have the weight instead.
    """
    weight = _weight(layer)
    if not _is_alike(weight, node.weight):
        holders = [other.name for other in nodes if _is_alike(weight, other.weight)]
        if holders:
            reason = f"the graph has it in {holders[0]}"
        elif _is_alike(-weight, node.weight):
            reason = "the graph has the opposite sign"
        else:
            differs = ~_equal(weight, np.ravel(node.weight))
            reason = f"{np.count_nonzero(differs):,} of {differs.size:,}"
        yield f"weight of {layer.name} ({reason})"
    # A missing bias is one of zeros.
    module: Any = layer.module
    bias = np.zeros(1) if module.bias is None else numbers(module.bias)
    their_bias = np.zeros(1) if node.bias is None else node.bias
    yield from _differing("bias", layer, bias, their_bias)


def differing_constants(
    place: ModulePlace, node: Neurons, conventions: Conventions
) -> Iterator[str]:
    """Name the threshold, gain and leaks of neurons that differ from the graph's."""
    population = place.population
    assert population is not None
    dynamics = dynamics_of(node, conventions, np.float64)
    membrane = dynamics.membrane
    gain = membrane.gain
    keeps = [membrane.keep]
    if dynamics.keep_current is not None and dynamics.gain_current is not None:
        gain = gain * dynamics.gain_current
        keeps.append(dynamics.keep_current)
    ours_and_theirs = [
        ("threshold", population.threshold, membrane.threshold),
        ("input gain", population.gain, gain),
    ]
    names = ("potential kept in a step", "current kept in a step")
    ours_and_theirs += zip(names, population.keeps, keeps, strict=False)
    for name, ours, theirs in ours_and_theirs:
        # Descriptions may leave these out: a factor of 0 only says that there is a
        # leak.
        if ours is not None and np.any(numbers(ours)):
            shape = (1, *place.out_shape)
            everywhere = np.broadcast_to(numbers(ours), shape).reshape(-1)
            yield from _differing(name, place, everywhere, theirs)


def numbers(values: Any) -> Numbers:
    """Return a tensor or a number as an array in float64."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)


def _weight(layer: ModulePlace) -> Numbers:
    module: Any = layer.module
    return numbers(module.weight).reshape(-1)


def _equal(ours: ArrayLike, theirs: ArrayLike) -> NDArray[np.bool_]:
    return np.isclose(ours, theirs, _RELATIVE_TOLERANCE, _ABSOLUTE_TOLERANCE)


def _is_alike(ours: Numbers, theirs: Numbers) -> bool:
    return ours.size == theirs.size and bool(_equal(ours, np.ravel(theirs)).all())


def _differing(
    name: str, place: ModulePlace, ours: Numbers, theirs: Numbers
) -> Iterator[str]:
    """Name a parameter that differs, with both of its values where these first do."""
    ours, theirs = np.broadcast_arrays(ours, theirs)
    differs = ~_equal(ours, theirs)
    if differs.any():
        mine = ours[differs][0]
        graphs = theirs[differs][0]
        yield f"{name} of {place.name} ({mine:g}, in the graph {graphs:g})"
