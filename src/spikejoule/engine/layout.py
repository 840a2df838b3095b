"""The place of each parameter of a network in one flat array.

The weights of a source channel are one row, so that all weights that one spike reaches
are contiguous. A row is ordered by kernel position, then by target channel, and the
channels of each group are padded to whole vectors. In a fully connected layer a row is
[padded target]: such a layer is a convolution whose kernel covers its whole input. A
bias row follows the weights of each connection. Padding is zero and stays zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros, padded
from spikejoule.core.errors import ArtifactError
from spikejoule.engine.kernels.structures import (
    DECAY_PLACE,
    THRESHOLD_PLACE,
    ParameterRows,
)
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import DECAY_LOGIT, LOG_THRESHOLD
from spikejoule.network.nodes import Connection, Convolution, Shape

Integers = NDArray[np.int64]
Masks = Mapping[str, NDArray[np.bool_]]
"""False where a synapse is removed, by the name of a weight matrix."""

CHUNKS = 32
"""Parts of about equal size that the optimizer's threads work on."""

LEARNED_PLACES = {DECAY_LOGIT: DECAY_PLACE, LOG_THRESHOLD: THRESHOLD_PLACE}
"""Place of each learned neuron parameter in its layer's row."""


@dataclass(frozen=True)
class Plane:
    """The order of a population's units: by position, then by group and channel.

    Attributes:
        shape: channels, height, width; units are numbered in C order of this shape.
        groups: groups of channels, each padded to whole vectors.
    """

    shape: Shape
    groups: int = 1

    @classmethod
    def of(cls, shape: Shape, groups: int = 1) -> "Plane":
        """Return the plane of a population with shape (n,) or (C, H, W)."""
        return cls((*shape, 1, 1)[:3], groups)

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[0]

    @property
    def positions(self) -> int:
        """Height times width."""
        return math.prod(self.shape[1:])

    @property
    def group_width(self) -> int:
        """Elements of a group at a position."""
        return padded(self.channels // self.groups)

    @property
    def width(self) -> int:
        """Elements of a position."""
        return self.groups * self.group_width

    @property
    def stride(self) -> int:
        """Elements of the whole population."""
        return self.positions * self.width

    @property
    def columns(self) -> Integers:
        """The element of each channel within a position, [C]."""
        group, within = np.divmod(
            np.arange(self.channels), self.channels // self.groups
        )
        return group * self.group_width + within

    @property
    def reach(self) -> int:
        """Elements of a position up to its last channel."""
        return int(self.columns[-1]) + 1

    @property
    def elements(self) -> Integers:
        """The element of each unit, [n]."""
        positions = np.arange(self.positions) * self.width
        return (self.columns[:, None] + positions).reshape(-1)


@dataclass(frozen=True)
class ParameterPlace:
    """The place of one parameter of the state dict, as a strided view.

    Attributes:
        shape: in the state dict.
        start: first element.
        axes: shape of the view; its elements are the parameter's in C order.
        strides: of the view, in elements.
    """

    shape: Shape
    start: int
    axes: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Return the parameter's elements in the flat array, with shape `axes`."""
        # numpy counts strides and offsets in bytes.
        size = flat.itemsize
        strides = tuple(stride * size for stride in self.strides)
        return np.ndarray(self.axes, flat.dtype, flat, self.start * size, strides)

    def read(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Return a contiguous copy of the parameter."""
        return np.array(self.view(flat), order="C").reshape(self.shape)

    def write(self, flat: NDArray[Any], values: NDArray[Any]) -> None:
        """Set the parameter."""
        self.view(flat)[...] = values.reshape(self.axes)


@dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of equal length.

    Attributes:
        first_row: index of the first one among all rows.
        start: its first element.
        n_rows: number of rows.
        length: elements of a row.
        optimized: whether gradient norm and optimizer include these rows. They skip the
            bias rows of neurons without biases, which are zeros.
    """

    first_row: int
    start: int
    n_rows: int
    length: int
    optimized: bool = True

    @property
    def end(self) -> int:
        """First element after the rows."""
        return self.start + self.n_rows * self.length

    @property
    def starts(self) -> Integers:
        """First element of each row."""
        return self.start + np.arange(self.n_rows) * self.length

    @property
    def lengths(self) -> Integers:
        """Elements of each row that the optimizer includes."""
        return np.full(self.n_rows, self.length if self.optimized else 0)


@dataclass(frozen=True)
class ConnectionLayout:
    """The place of a connection's parameters, and the planes that it connects.

    Attributes:
        connection: the connection.
        number: its index in ``network.connections``.
        source: plane of the node before it, which may be a pooling node.
        target: plane of the population after it.
        n_taps: kernel positions; in a fully connected layer, all source positions.
        weights: one row per source channel.
        biases: one row.
    """

    connection: Connection
    number: int
    source: Plane
    target: Plane
    n_taps: int
    weights: RowBlock
    biases: RowBlock

    @cached_property
    def weight_axes(self) -> Shape:
        """Groups, target channels of a group, source channels of a group, taps."""
        groups = self.target.groups
        targets = self.target.channels // groups
        sources = self.source.channels // groups
        return groups, targets, sources, self.n_taps

    @cached_property
    def weight_place(self) -> ParameterPlace:
        """Place of the weights."""
        groups, targets, sources, n_taps = self.weight_axes
        width = self.target.group_width
        # PyTorch's order is [target, source, tap], the flat array's [source, tap,
        # target]: the view transposes without a copy.
        columns = sources * n_taps
        return ParameterPlace(
            shape=self.connection.weight_shape,
            start=self.weights.start,
            axes=(groups, targets, columns),
            strides=(columns * width, 1, width),
        )

    @cached_property
    def bias_place(self) -> ParameterPlace:
        """Place of the biases."""
        groups = self.target.groups
        channels = self.target.channels
        return ParameterPlace(
            shape=(channels,),
            start=self.biases.start,
            axes=(groups, channels // groups),
            strides=(self.target.group_width, 1),
        )


def _add_rows(
    blocks: list[RowBlock], n_rows: int, length: int, optimized: bool = True
) -> RowBlock:
    """Lay out rows behind those of all other blocks."""
    first_row = blocks[-1].first_row + blocks[-1].n_rows if blocks else 0
    start = blocks[-1].end if blocks else 0
    blocks.append(RowBlock(first_row, start, n_rows, length, optimized))
    return blocks[-1]


@dataclass(frozen=True, eq=False)
class ParameterLayout:
    """The place of all parameters of a network in a flat array.

    Attributes:
        network: the network.
        connections: forward connections in order, then recurrent ones.
        learned: learned neuron parameters, one row per layer; None without any.
        blocks: all rows in order.
        places: of each parameter of the state dict, in its order.
        size: elements of the flat array; its last vector is zeros and in no row.
    """

    network: Network
    connections: tuple[ConnectionLayout, ...]
    learned: RowBlock | None
    blocks: tuple[RowBlock, ...]
    places: Mapping[str, ParameterPlace]
    size: int

    @classmethod
    def of(cls, network: Network) -> "ParameterLayout":
        """Lay out the parameters of a chain."""
        blocks: list[RowBlock] = []
        forward = network.forward_connections
        recurrent = [node for node in network.connections if node not in forward]
        connections = tuple(
            _add(blocks, network, node) for node in (*forward, *recurrent)
        )
        places: dict[str, ParameterPlace] = {}
        for layout in connections:
            name = network.weight_names[layout.number]
            places[name] = layout.weight_place
            if layout.biases.optimized:
                places[name.replace("weight", "bias")] = layout.bias_place
        learned = None
        if network.neuron.learned_names:
            learned = _add_rows(blocks, len(forward), LANES)
            places |= _learned_places(network.neuron.learned_names, learned)
        return cls(
            network=network,
            connections=connections,
            learned=learned,
            blocks=tuple(blocks),
            places={name: places[name] for name in network.parameter_shapes()},
            # The vector of zeros at the end serves transposed weights as padding.
            size=blocks[-1].end + LANES,
        )

    @property
    def forward(self) -> tuple[ConnectionLayout, ...]:
        """The connection to each population."""
        return self.connections[: len(self.network.forward_connections)]

    @property
    def recurrent(self) -> tuple[ConnectionLayout, ...]:
        """The recurrent connections, which follow the forward ones."""
        return self.connections[len(self.forward) :]

    @cached_property
    def _weight_rows(self) -> tuple[tuple[slice, int], ...]:
        """Rows of each of ``network.connections``, and the weights in one of them."""
        found = []
        for layout in sorted(self.connections, key=lambda layout: layout.number):
            block = layout.weights
            rows = slice(block.first_row, block.first_row + block.n_rows)
            n_weights = math.prod(layout.connection.weight_shape)
            found.append((rows, n_weights // block.n_rows))
        return tuple(found)

    def weights_touched(self, touched: NDArray[np.bool_]) -> tuple[int, ...]:
        """Count the weights of each of ``network.connections`` in touched rows.

        Args:
            touched: whether a batch has touched each row, bool [R].
        """
        return tuple(
            int(np.count_nonzero(touched[rows])) * n_weights
            for rows, n_weights in self._weight_rows
        )

    @cached_property
    def rows(self) -> ParameterRows:
        """All rows in order, in chunks of about equal size."""
        starts = np.concatenate([block.starts for block in self.blocks])
        lengths = np.concatenate([block.lengths for block in self.blocks])
        # A chunk is whole rows: it ends before the first row that passes its share.
        shares = np.arange(1, CHUNKS) * self.blocks[-1].end / CHUNKS
        bounds = np.searchsorted(starts + lengths, shares)
        return ParameterRows(starts, lengths, np.array([0, *bounds, lengths.size]))

    @property
    def learned_start(self) -> int:
        """First learned neuron parameter; -1 if there is none."""
        return -1 if self.learned is None else self.learned.start

    @property
    def learned_row(self) -> int:
        """Index of the first layer's row of learned neuron parameters, if any."""
        return self.rows.starts.size - len(self.forward)

    def pack(self, state: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        """Return the flat array of a state dict.

        Raises:
            ArtifactError: a parameter is missing or has another shape.
        """
        flat = aligned_zeros((self.size,), dtype)
        for name, place in self.places.items():
            shape = state[name].shape if name in state else None
            if shape != place.shape:
                problem = "is missing" if shape is None else f"has shape {shape}"
                raise ArtifactError(
                    f"{name} must have shape {place.shape}: it {problem}"
                )
            place.write(flat, state[name])
        return flat

    def unpack(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the state dict of a flat array, as contiguous copies."""
        return {name: place.read(flat) for name, place in self.places.items()}

    def unpack_learned(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the learned neuron parameters by name."""
        return {
            name: place.read(flat)
            for name, place in self.places.items()
            if ".neurons." in name
        }

    def pack_masks(self, masks: Masks, dtype: DTypeLike) -> NDArray[Any]:
        """Return ones for all parameters except removed synapses."""
        kept = aligned_zeros((self.size,), dtype)
        kept[:] = 1
        for name, mask in masks.items():
            self.places[name].write(kept, mask)
        return kept

    def fan_outs(self, masks: Masks) -> list[Integers]:
        """Return the fan-out of each unit through each of `connections`."""
        return [self._fan_out(layout, masks) for layout in self.connections]

    def _fan_out(self, layout: ConnectionLayout, masks: Masks) -> Integers:
        mask = masks.get(self.network.weight_names[layout.number])
        if mask is None:
            return self.network.fan_out_of(layout.connection)
        return self.network.fan_out_of(
            replace(layout.connection, weight=mask), pruned=True
        )


def _add(
    blocks: list[RowBlock], network: Network, connection: Connection
) -> ConnectionLayout:
    """Lay out a connection."""
    before = network.nodes[network.sources[connection.name][0]]
    # The kernels of fully connected layers take one row per unit for any input shape.
    source = Plane.of((before.n_out,) if network.is_plain else before.out_shape)
    groups = 1
    n_taps = source.positions
    if isinstance(connection, Convolution):
        groups = connection.groups
        n_taps = math.prod(connection.windows.kernel)
    target = Plane.of(network.target_of(connection).out_shape, groups)
    has_biases = network.has_bias and connection in network.forward_connections
    return ConnectionLayout(
        connection=connection,
        number=network.connections.index(connection),
        source=source,
        target=target,
        n_taps=n_taps,
        weights=_add_rows(blocks, source.channels, n_taps * target.group_width),
        biases=_add_rows(blocks, 1, target.width, optimized=has_biases),
    )


def _learned_places(
    names: tuple[str, ...], rows: RowBlock
) -> dict[str, ParameterPlace]:
    """Return the place of each learned neuron parameter by its name."""
    places = {}
    for layer, start in enumerate(rows.starts.tolist(), start=1):
        for name in names:
            place = ParameterPlace(
                shape=(1,), start=start + LEARNED_PLACES[name], axes=(1,), strides=(1,)
            )
            places[f"layer{layer}.neurons.{name}"] = place
    return places
