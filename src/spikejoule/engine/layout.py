"""Where the parameters of a network are in one flat array.

The weights of a source channel are one row: all synapses that one spike reaches are
contiguous. A row is ordered by kernel position ("tap"), then by target channel, and the
channels of each group are padded to whole vectors. For a fully connected layer a row is
[padded target]: such a layer is a convolution whose kernel covers everything before it.
A bias row follows the weights of each connection. Padding holds zeros and stays zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
"""Parts of about equal size in which the optimizer works through all rows."""

LEARNED_PLACES = {DECAY_LOGIT: DECAY_PLACE, LOG_THRESHOLD: THRESHOLD_PLACE}
"""Where neurons' own parameters are in a layer's row of them."""


@dataclass(frozen=True)
class Plane:
    """Where the units of a population are: ordered by position, then by group and
    channel.

    Attributes:
        shape: channels, height, width; units are counted in C order through it.
        groups: of the channels, each padded to whole vectors.
    """

    shape: Shape
    groups: int = 1

    @classmethod
    def of(cls, shape: Shape, groups: int = 1) -> "Plane":
        """The plane of a population of a shape, (n,) or (C, H, W)."""
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
    def elements(self) -> Integers:
        """The element of each unit, [n]."""
        positions = np.arange(self.positions) * self.width
        return (self.columns[:, None] + positions).reshape(-1)


@dataclass(frozen=True)
class ParameterPlace:
    """Where one parameter of the state dict is in the flat array, as a strided view.

    Attributes:
        shape: in the state dict.
        start: its first element.
        axes: lengths of the axes of the view, which has the elements of the parameter
            in C order.
        strides: from one element of each axis to the next, counted in elements.
    """

    shape: Shape
    start: int
    axes: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, flat: NDArray[Any]) -> NDArray[Any]:
        """The parameter's elements of the flat array, of shape `axes`."""
        size = flat.itemsize
        strides = tuple(stride * size for stride in self.strides)
        return np.ndarray(self.axes, flat.dtype, flat, self.start * size, strides)

    def read(self, flat: NDArray[Any]) -> NDArray[Any]:
        """A contiguous copy of the parameter."""
        return np.array(self.view(flat), order="C").reshape(self.shape)

    def write(self, flat: NDArray[Any], values: NDArray[Any]) -> None:
        """Set the parameter."""
        self.view(flat)[...] = values.reshape(self.axes)


@dataclass(frozen=True)
class RowBlock:
    """Rows of equal length that follow one another in the flat array.

    Attributes:
        first_row: index of the first of them among all rows.
        start: its first element.
        n_rows: how many.
        length: elements of a row.
        optimized: whether the norm of the gradient and the optimizer see these rows.
            They do not see the bias rows of neurons without biases, which are zeros.
    """

    first_row: int
    start: int
    n_rows: int
    length: int
    optimized: bool = True

    @property
    def end(self) -> int:
        """First element behind the rows."""
        return self.start + self.n_rows * self.length

    @property
    def starts(self) -> Integers:
        """First element of each row."""
        return self.start + np.arange(self.n_rows) * self.length

    @property
    def lengths(self) -> Integers:
        """Elements of each row that the optimizer sees."""
        return np.full(self.n_rows, self.length if self.optimized else 0)


@dataclass(frozen=True)
class ConnectionLayout:
    """Where the parameters of a connection are, and between which planes it leads.

    Attributes:
        connection: the connection.
        number: its place in ``network.connections``.
        source: the plane of the node before it, which may be a pooling node.
        target: the plane of the population behind it.
        n_taps: positions of the kernel; of a fully connected layer, all positions of
            the source.
        weights: a row for each channel of the source.
        biases: one row.
    """

    connection: Connection
    number: int
    source: Plane
    target: Plane
    n_taps: int
    weights: RowBlock
    biases: RowBlock

    @property
    def weight_axes(self) -> Shape:
        """Groups, target channels of a group, source channels of a group, taps."""
        groups = self.target.groups
        target, source = (
            plane.channels // groups for plane in (self.target, self.source)
        )
        return groups, target, source, self.n_taps

    @property
    def weight_place(self) -> ParameterPlace:
        """Where the weights are."""
        groups, targets, sources, n_taps = self.weight_axes
        width = self.target.group_width
        columns = sources * n_taps
        return ParameterPlace(
            shape=self.connection.weight_shape,
            start=self.weights.start,
            axes=(groups, targets, columns),
            strides=(columns * width, 1, width),
        )

    @property
    def bias_place(self) -> ParameterPlace:
        """Where the biases are."""
        groups = self.target.groups
        channels = self.target.channels
        return ParameterPlace(
            shape=(channels,),
            start=self.biases.start,
            axes=(groups, channels // groups),
            strides=(self.target.group_width, 1),
        )


@dataclass(eq=False)
class _Rows:
    """All rows, as they are added."""

    blocks: list[RowBlock] = field(default_factory=list)
    n_rows: int = 0
    size: int = 0

    def add(self, n_rows: int, length: int, optimized: bool = True) -> RowBlock:
        block = RowBlock(self.n_rows, self.size, n_rows, length, optimized)
        self.blocks.append(block)
        self.n_rows += n_rows
        self.size = block.end
        return block

    def in_chunks(self) -> ParameterRows:
        starts = np.concatenate([block.starts for block in self.blocks])
        lengths = np.concatenate([block.lengths for block in self.blocks])
        targets = np.arange(1, CHUNKS) * self.size / CHUNKS
        bounds = np.searchsorted(starts + lengths, targets)
        return ParameterRows(starts, lengths, np.array([0, *bounds, lengths.size]))


@dataclass(frozen=True, eq=False)
class ParameterLayout:
    """Positions of all parameters of a network in a flat array.

    Attributes:
        network: whose layout it is.
        connections: forward connections, first to last, and then recurrent ones.
        learned: the neurons' own parameters, a row for each layer; None if they learn
            none.
        rows: every row of parameters in order, in chunks of about equal size.
        places: of each parameter of the state dict, in its order.
        size: elements of the flat array; its last vector is zeros and belongs to no
            row.
    """

    network: Network
    connections: tuple[ConnectionLayout, ...]
    learned: RowBlock | None
    rows: ParameterRows
    places: Mapping[str, ParameterPlace]
    size: int

    @classmethod
    def of(cls, network: Network) -> "ParameterLayout":
        """Lay out the parameters of a chain."""
        rows = _Rows()
        forward = network.forward_connections
        recurrent = [node for node in network.connections if node not in forward]
        connections = tuple(
            _add(rows, network, node) for node in (*forward, *recurrent)
        )
        places: dict[str, ParameterPlace] = {}
        for layout in connections:
            name = network.weight_names[layout.number]
            places[name] = layout.weight_place
            if layout.biases.optimized:
                places[name.replace("weight", "bias")] = layout.bias_place
        learned = None
        if network.neuron.learned_names:
            learned = rows.add(len(forward), LANES)
            places |= _learned_places(network.neuron.learned_names, learned)
        return cls(
            network=network,
            connections=connections,
            learned=learned,
            rows=rows.in_chunks(),
            places={name: places[name] for name in network.parameter_shapes()},
            size=rows.size + LANES,
        )

    @property
    def forward(self) -> tuple[ConnectionLayout, ...]:
        """The connection before each population."""
        return self.connections[: len(self.network.forward_connections)]

    @property
    def recurrent(self) -> tuple[ConnectionLayout, ...]:
        """The recurrent connections, which follow the forward ones."""
        return self.connections[len(self.forward) :]

    @property
    def learned_start(self) -> int:
        """First element of the neurons' own parameters; -1 if they learn none."""
        return -1 if self.learned is None else self.learned.start

    @property
    def learned_row(self) -> int:
        """Index of the row of the first layer's learned parameters, if there are
        any.
        """
        return self.rows.starts.size - len(self.forward)

    def pack(self, state: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        """Flat array of a state dict.

        Raises:
            ArtifactError: a parameter is missing or of another shape.
        """
        flat = aligned_zeros((self.size,), dtype)
        for name, place in self.places.items():
            given = state[name].shape if name in state else "nothing"
            if given != place.shape:
                raise ArtifactError(
                    f"{name} must be of shape {place.shape}, but is of {given}"
                )
            place.write(flat, state[name])
        return flat

    def unpack(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """State dict of a flat array; the arrays are contiguous copies."""
        return {name: place.read(flat) for name, place in self.places.items()}

    def unpack_learned(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The neurons' own parameters, under their names in the state dict."""
        return {
            name: place.read(flat)
            for name, place in self.places.items()
            if ".neurons." in name
        }

    def pack_masks(self, masks: Masks, dtype: DTypeLike) -> NDArray[Any]:
        """Ones for all parameters but the removed synapses."""
        kept = aligned_zeros((self.size,), dtype)
        kept[:] = 1
        for name, mask in masks.items():
            self.places[name].write(kept, mask)
        return kept

    def fan_outs(self, masks: Masks) -> list[Integers]:
        """Synapses that a spike of each unit reaches through each of `connections`."""
        return [self._fan_out(layout, masks) for layout in self.connections]

    def _fan_out(self, layout: ConnectionLayout, masks: Masks) -> Integers:
        mask = masks.get(self.network.weight_names[layout.number])
        if mask is None:
            return self.network.fan_out_of(layout.connection)
        return self.network.fan_out_of(
            replace(layout.connection, weight=mask), pruned=True
        )


def _add(rows: _Rows, network: Network, connection: Connection) -> ConnectionLayout:
    """Add the rows of a connection."""
    before = network.nodes[network.sources[connection.name][0]]
    # The kernels of fully connected layers take a row for each unit, whatever the
    # input's shape.
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
        weights=rows.add(source.channels, n_taps * target.group_width),
        biases=rows.add(1, target.width, optimized=has_biases),
    )


def _learned_places(
    names: tuple[str, ...], rows: RowBlock
) -> dict[str, ParameterPlace]:
    """Where the neurons' own parameters are, by name in the state dict."""
    places = {}
    for layer, start in enumerate(rows.starts.tolist(), start=1):
        for name in names:
            place = ParameterPlace(
                shape=(1,), start=start + LEARNED_PLACES[name], axes=(1,), strides=(1,)
            )
            places[f"layer{layer}.neurons.{name}"] = place
    return places
