"""The places of a chain's weights, neurons and spikes in memory."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import aligned_zeros
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import source_type
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.chain import chain_arrays, int32, link_tables
from spikejoule.engine.differentiable import chain as description
from spikejoule.engine.differentiable.dynamics import Dynamics
from spikejoule.engine.differentiable.kernels.neurons import PASSING, RESETS, SHAPES
from spikejoule.engine.differentiable.kernels.packing import Matrices, Transposition
from spikejoule.engine.differentiable.kernels.structures import (
    N_SUMS,
    NO_SYNAPSES,
    PATCHES,
    ROWS,
    Kept,
    LayerPlace,
    Settings,
    Tables,
)
from spikejoule.engine.kernels.structures import Array
from spikejoule.engine.layout import (
    ConnectionLayout,
    Integers,
    ParameterLayout,
    ParameterPlace,
    Plane,
)
from spikejoule.engine.learning.chain import transposed_weights
from spikejoule.network.graph import Edge
from spikejoule.network.network import Network
from spikejoule.network.nodes import (
    Connection,
    Convolution,
    Dense,
    Input,
    Neurons,
    Node,
    Pooling,
    Windows,
)

MOST_UNITS = 2**24
"""Most units of a population."""


class ChainNetwork(Network):
    """The connections of a chain as a network, whose neuron model is not used."""

    @property
    def is_plain(self) -> bool:
        """False: fully connected layers, too, run on the kernels of chains."""
        return False


def network_of(chain: description.Chain) -> ChainNetwork:
    """Return the nodes and edges of a chain.

    Raises:
        ArtifactError: a layer does not fit the one before it.
    """
    shapes = chain.shapes
    # Currents take the place of synapses. The kernels never read those of this input.
    in_shape = (1,) if chain.takes_currents else shapes[0]
    before: Node = Input("input", in_shape, in_shape)
    nodes: dict[str, Node] = {before.name: before}
    edges: list[Edge] = []
    waiting: set[Edge] = set()
    for number, layer in enumerate(chain.layers, start=1):
        out_shape = shapes[number]
        if min(out_shape) < 1 or math.prod(out_shape) > MOST_UNITS:
            raise ArtifactError(
                f"layer {number} has the shape {out_shape}; it must have 1 to "
                f"{MOST_UNITS} units"
            )
        if layer.pooling is not None:
            pooling = _pooling(f"pooling{number}", before, layer.pooling)
            edges.append((before.name, pooling.name))
            before = nodes[pooling.name] = pooling
        synapses = _synapses(f"synapses{number}", before, layer, out_shape)
        neurons = Neurons(f"layer{number}", out_shape, out_shape, "lif")
        nodes[synapses.name] = synapses
        edges += [(before.name, synapses.name), (synapses.name, neurons.name)]
        if layer.recurrent:
            if len(out_shape) > 1:
                raise ArtifactError(
                    f"layer {number} is recurrent and has the shape {out_shape}; "
                    "a recurrent layer must be flat"
                )
            recurrent = Dense(f"recurrent{number}", out_shape, out_shape)
            nodes[recurrent.name] = recurrent
            edges += [(recurrent.name, neurons.name), (neurons.name, recurrent.name)]
            waiting.add((neurons.name, recurrent.name))
        before = nodes[neurons.name] = neurons
    return ChainNetwork(nodes, tuple(edges), frozenset(waiting))


def _pooling(name: str, before: Node, pooling: description.Pooling) -> Pooling:
    windows = Windows.square(pooling.window, pooling.window)
    out_shape = pooling.out_shape(before.out_shape)
    return Pooling(name, before.out_shape, out_shape, windows, pooling.average)


def _synapses(
    name: str, before: Node, layer: description.Layer, out_shape: description.Shape
) -> Connection:
    connection = layer.connection
    if not isinstance(connection, description.Convolution):
        return Dense(name, before.out_shape, out_shape)
    windows = Windows(connection.kernel, connection.stride, connection.padding)
    no_weights = np.empty((0, 0, 0, 0))
    return Convolution(
        name,
        before.out_shape,
        out_shape,
        no_weights,
        None,
        connection.groups,
        windows,
    )


def _settings(dynamics: Dynamics) -> Settings:
    """Return a layer's neurons in numbers."""
    surrogate = dynamics.surrogate
    return Settings(
        keep_current=dynamics.keep_current,
        height=0.0 if surrogate is None else surrogate.height,
        slope=0.0 if surrogate is None else surrogate.slope,
        floor=0.0 if surrogate is None else surrogate.floor,
    )


def _synapses_code(layer: description.Layer, connection: ConnectionLayout) -> int:
    if isinstance(layer.connection, description.Currents):
        return NO_SYNAPSES
    is_linear = isinstance(layer.connection, description.Linear)
    return ROWS if is_linear and layer.pooling is None else PATCHES


def packing_of(connection: ConnectionLayout) -> Transposition:
    """Return how a connection's weights get into the flat array."""
    groups, targets, columns = connection.weight_place.axes
    _, _, width = connection.weight_place.strides
    own = Matrices(0, columns, targets * columns)
    flat = Matrices(connection.weights.start, width, columns * width)
    return Transposition(groups, targets, columns, own, flat)


def unpacking_of(packing: Transposition, lanes: Array) -> Transposition:
    """Return how the sum of the gradients of all lanes, [K, P], gets out of there."""
    groups, targets, columns, own, flat, *_ = packing
    return Transposition(groups, columns, targets, flat, own, *lanes.shape)


@dataclass(frozen=True, eq=False)
class ValuePlaces:
    """Where the kernels read the values of a layer.

    Attributes:
        weight: how the weights get there.
        recurrent: the same for recurrent weights; None without.
        bias: place of the biases in the flat array.
        constants: the layer's part of an array of N_SUMS rows for each layer.
        elements: the element of each unit.
        dynamics: the neurons.
    """

    weight: Transposition
    recurrent: Transposition | None
    bias: ParameterPlace
    constants: slice
    elements: Integers | slice
    dynamics: Dynamics

    def rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the layer's part of an array as a view [N_SUMS, elements]."""
        return values[self.constants].reshape(N_SUMS, -1)


@dataclass(frozen=True, eq=False)
class Plan:
    """All tables of a chain, computed once.

    Attributes:
        chain: the layers.
        layout: the place of every weight in the flat array.
        tables: what the kernels read; each pass replaces parameters and transposed
            weights.
        transposed_from: index of each transposed weight in the flat array, int32.
        dtype: of all real numbers.
        source_type: of the numbers of units.
    """

    chain: description.Chain
    layout: ParameterLayout
    tables: Tables
    transposed_from: NDArray[np.int32]
    dtype: np.dtype[Any]
    source_type: np.dtype[Any]

    @classmethod
    def of(cls, chain: description.Chain, dtype: DTypeLike) -> "Plan":
        """Lay out a chain; ArtifactError if its layers do not fit."""
        layout = ParameterLayout.of(network_of(chain))
        kind = np.dtype(dtype)
        arrays = chain_arrays(layout, np.zeros(1, kind))
        links = link_tables(layout)
        n_members = np.concatenate([table.n_members for table in links])
        transposed_from = int32(transposed_weights(layout))
        tables = Tables(
            chain=arrays,
            layers=np.array(_layer_places(chain, layout), dtype=np.int64),
            settings=np.array(
                [_settings(layer.dynamics) for layer in chain.layers], kind
            ),
            transposed=aligned_zeros(transposed_from.shape, kind),
            members_of=int32(np.cumsum([0, *n_members])),
            members=int32(np.concatenate([table.members for table in links])),
            records_after_reset=int(chain.potentials == "after_reset"),
        )
        sources = source_type(max(chain.sizes))
        return cls(chain, layout, tables, transposed_from, kind, sources)

    @property
    def elements(self) -> int:
        """Elements of all populations."""
        return sum(connection.target.stride for connection in self.layout.forward)

    def new_kept(self, n_samples: int, n_steps: int, lanes: int) -> Kept:
        """Return memory for a batch, of which only the padding is set."""
        units = sum(self.chain.sizes)
        most_spikes = n_samples * n_steps * units
        spare = len(self.chain.sizes) * lanes * SPARE_SPIKES
        n_potentials = n_samples * (n_steps + 1) * self.elements
        n_rows = n_samples * n_steps + lanes
        constants = np.zeros(N_SUMS * self.elements, self.dtype)
        for places in self.values:
            # Padding never fires.
            places.rows(constants)[:] = [[0], [1], [1], [np.inf]]
        return Kept(
            constants=constants,
            potentials=aligned_zeros((n_potentials,), self.dtype),
            sources=np.empty(most_spikes + spare, self.source_type),
            offsets=np.zeros((len(self.chain.sizes), n_rows), np.int64),
        )

    @cached_property
    def values(self) -> tuple[ValuePlaces, ...]:
        """Where the values of each layer are."""
        places = []
        start = 0
        own = iter(self.layout.recurrent)
        for layer, connection in zip(
            self.chain.layers, self.layout.forward, strict=True
        ):
            end = start + N_SUMS * connection.target.stride
            places.append(
                ValuePlaces(
                    weight=packing_of(connection),
                    recurrent=packing_of(next(own)) if layer.recurrent else None,
                    bias=connection.bias_place,
                    constants=slice(start, end),
                    elements=_elements_of(connection.target),
                    dynamics=layer.dynamics,
                )
            )
            start = end
        return tuple(places)


def _elements_of(plane: Plane) -> Integers | slice:
    """Return the element of each unit; NumPy copies a slice faster."""
    is_ordered = plane.positions == 1 and plane.groups == 1
    return slice(plane.channels) if is_ordered else plane.elements


def _layer_places(
    chain: description.Chain, layout: ParameterLayout
) -> list[LayerPlace]:
    """Return what the kernels know of each layer."""
    codes = list(SHAPES)
    units_before = accumulate(chain.sizes)
    places = []
    for layer, connection, before, n_sources in zip(
        chain.layers, layout.forward, units_before, chain.sizes, strict=False
    ):
        dynamics = layer.dynamics
        surrogate = dynamics.surrogate
        passes = dynamics.reset in PASSING and not dynamics.detach_reset
        places.append(
            LayerPlace(
                synapses=_synapses_code(layer, connection),
                weight_start=connection.weights.start,
                n_sources=n_sources,
                units_before=before,
                surrogate=codes.index(surrogate.shape if surrogate else "constant"),
                reset=RESETS.index(dynamics.reset),
                through_reset=int(passes),
            )
        )
    return places
