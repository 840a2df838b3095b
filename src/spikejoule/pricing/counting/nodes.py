"""Places as nodes of a network, with the weights and fan-outs that were found there.

A node describes the sizes that an analysis asks for. Arrays whose values no analysis
reads (thresholds, time constants, biases) are empty, or zeros of the right size.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikejoule.network.nodes import (
    Convolution,
    Dense,
    Neurons,
    Node,
    Pooling,
    Shape,
    Threshold,
    Windows,
)
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.layers import MAXIMA, NORMS, WEIGHTED, Scale
from spikejoule.pricing.modules.neurons import Population
from spikejoule.pricing.tensors.amounts import Counts

UNREAD: Final = np.empty(0)
"""In place of values that no analysis reads."""
UNREAD_WINDOWS: Final = Windows(kernel=(1, 1), stride=(1, 1), padding=(0, 0))
"""In place of the windows of nodes whose fan-outs are stated."""
# A node has as many states as time constants (`Neurons.n_states`).
_TIME_CONSTANTS: Final = ("tau_mem", "tau_syn", "tau_adapt")


@dataclass(frozen=True)
class _StatedFanOut:
    """A node whose fan-outs are stated, int64 [n_in], and not computed from windows."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """See `Dense.fan_out`."""
        return self.fan_outs


@dataclass(frozen=True)
class CountedConnection(_StatedFanOut, Convolution):
    """The weights of a convolution, or of a part of a matrix."""

    @property
    def weight_shape(self) -> Shape:
        """See `Convolution`; the kernel may have any number of axes."""
        return self.weight.shape


@dataclass(frozen=True)
class CountedPooling(_StatedFanOut, Pooling):
    """Pooling with any windows."""


def node_of(place: ModulePlace, pruned: bool) -> Node:
    """Return a place as a node of a spiking network.

    Args:
        place: of neurons, a layer, pooling, a norm or ReLU.
        pruned: whether a weight of 0 is no synapse.
    """
    if place.population is not None:
        return _neurons_of(place, place.population)
    if isinstance(place.module, WEIGHTED):
        return connection_of(place, pruned)
    if isinstance(place.module, (*NORMS, Scale)):
        return Node(place.name, place.in_shape, place.out_shape)
    if isinstance(place.module, nn.ReLU) or not place.emits_values:
        return comparing_units(place.name, place.in_shape, place.out_shape)
    return pooling_of(place, place.fan_out)


def _neurons_of(place: ModulePlace, population: Population) -> Neurons:
    return Neurons(
        name=place.name,
        in_shape=place.in_shape,
        out_shape=place.out_shape,
        kind=type(place.module).__name__ if place.fires else "LI",
        parameters=dict.fromkeys(_TIME_CONSTANTS[: population.states], UNREAD),
    )


def comparing_units(name: str, in_shape: Shape, out_shape: Shape) -> Threshold:
    """Return units that compare what they receive: ReLU, or pooling of spikes."""
    return Threshold(name, in_shape, out_shape, threshold=UNREAD)


def connection_of(place: ModulePlace, pruned: bool) -> Dense | CountedConnection:
    """Return a layer with weights as a node; arguments as for `node_of`."""
    assert place.fan_out is not None
    module: Any = place.module
    weight = module.weight.detach().float().cpu().numpy()
    is_linear = isinstance(module, nn.Linear)
    bias = None
    if place.has_bias:
        # One word for each unit, or for each channel.
        bias = np.zeros(place.out_shape[-1] if is_linear else place.out_shape[0])
    is_matrix = is_linear and weight.size == place.fan_out.size * place.n_out
    synapses = np.count_nonzero(weight, axis=0) if pruned else place.n_out
    if is_matrix and (place.fan_out == synapses).all():
        return Dense(
            name=place.name,
            in_shape=place.in_shape,
            out_shape=place.out_shape,
            weight=weight,
            bias=bias,
        )
    return CountedConnection(
        name=place.name,
        in_shape=place.in_shape,
        out_shape=place.out_shape,
        weight=weight,
        bias=bias,
        groups=getattr(module, "groups", 1),
        windows=UNREAD_WINDOWS,
        fan_outs=place.fan_out,
    )


def pooling_of(place: ModulePlace, fan_out: NDArray[np.int64] | None) -> CountedPooling:
    """Return pooling as a node.

    Args:
        place: of the pooling, or of a norm that is counted like pooling.
        fan_out: windows that each input unit is in, int64 [n_in]; None where they could
            not be found.
    """
    return CountedPooling(
        name=place.name,
        in_shape=place.in_shape,
        out_shape=place.out_shape,
        windows=UNREAD_WINDOWS,
        average=not isinstance(place.module, MAXIMA),
        fan_outs=np.zeros(1, np.int64) if fan_out is None else fan_out,
    )
