"""The event-driven engine of chains with convolution, pooling and recurrence.

How they lie in flat arrays stands first; what the arrays are is said in kernels/chain.py. A fully
connected layer is a convolution whose kernel is all of what is before it, so that there is one
place behind it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros, padded
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList, source_type
from spikejoule.encoding.kernels import LaneSpikes, collect_events
from spikejoule.engine.event import GRADIENT_LANES, EventEngine, constant_inputs, reset_code
from spikejoule.engine.kernels.chain import (
    ChainArrays,
    ChainWorkspace,
    Link,
    chain_forward_lanes,
    chain_gradient,
)
from spikejoule.engine.kernels.layout import LEARNED_PLACES, rows_in_chunks
from spikejoule.engine.kernels.structures import Batch, ConstantInputs, ParameterRows, Spikes
from spikejoule.engine.workspace import no_moments
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Connection, Convolution, Network, Pooling, Shape, State

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Plane:
    """Where the units of a population lie: by position, there by group and channel.

    Attributes:
        shape: channels, height, width; units are counted in C order through it.
        groups: of the channels, each padded to whole vectors.
    """

    shape: Shape
    groups: int = 1

    @classmethod
    def of(cls, shape: Shape, groups: int = 1) -> "Plane":
        """That of a population of a shape, (n,) or (C, H, W)."""
        return cls((*shape, 1, 1)[:3], groups)

    @property
    def positions(self) -> int:
        """Height times width."""
        return math.prod(self.shape[1:])

    @property
    def group_width(self) -> int:
        """Elements of a group at a position."""
        return padded(self.shape[0] // self.groups)

    @property
    def width(self) -> int:
        """Elements of a position."""
        return self.groups * self.group_width

    @property
    def columns(self) -> Integers:
        """The element of each channel within a position, [C]."""
        group, within = np.divmod(np.arange(self.shape[0]), self.shape[0] // self.groups)
        return group * self.group_width + within

    @property
    def elements(self) -> Integers:
        """The element of each unit, [n]."""
        positions = np.arange(self.positions) * self.width
        return (self.columns[:, None] + positions).reshape(-1)


@dataclass(eq=False)
class _Tables:
    """What is joined of the connections of a network, each behind those before it."""

    network: Network
    sources: list[Integers] = field(default_factory=list)
    taps: list[Integers] = field(default_factory=list)
    taps_of: list[Integers] = field(default_factory=list)
    members: list[Integers] = field(default_factory=list)
    members_of: list[Integers] = field(default_factory=list)
    transposed: list[Integers] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    places: dict[str, Integers] = field(default_factory=dict)
    size: int = 0

    def add_rows(self, number: int, length: int, is_learned: bool = True) -> int:
        """Rows of parameters; returns where they begin."""
        start = self.size
        self.starts += [start + k * length for k in range(number)]
        self.lengths += [length * is_learned] * number
        self.size += number * length
        return start

    def add(self, one: Connection, sender: Plane, target: Plane) -> Link:
        """A connection between two populations, and its parameters."""
        network, number = self.network, self.network.connections.index(one)
        before = network.nodes[network.sources[one.name][0]]
        plane, name = Plane.of(before.out_shape), network.weight_names[number]
        taps, taps_of, n_taps = _taps(one, plane, target)
        groups = one.groups if isinstance(one, Convolution) else 1
        n_sources = plane.shape[0]
        start = self.add_rows(n_sources, n_taps * target.group_width)
        has_biases = network.has_bias and one in network.forward_connections
        bias_start = self.add_rows(1, target.width, has_biases)
        if has_biases:
            self.places[f"{name.partition('.')[0]}.synapses.bias"] = bias_start + target.columns

        # Of each weight in the shape of the state dict, and as [tap, reach, width of the sender].
        axes = (groups, target.shape[0] // groups, n_sources // groups, n_taps)
        group, within, channel, tap = np.ix_(*map(np.arange, axes))
        channel, column = group * axes[2] + channel, group * target.group_width + within
        places = start + (channel * n_taps + tap) * target.group_width + within
        self.places[name] = places.reshape(one.weight_shape)
        reach = int(column.max()) + 1
        matrices = np.full((n_taps, reach, sender.width), -1)
        matrices[tap, column, sender.columns[channel]] = places
        first_matrix = sum(map(len, self.transposed))
        if network.senders[number] > 0:
            self.transposed.append(matrices.reshape(-1))

        # A source that no window holds stands at a place more, which has no taps.
        first_place, first_source = (sum(map(len, of)) for of in (self.taps_of, self.sources))
        unit_of, factor = np.arange(before.n_out), 1.0
        if isinstance(before, Pooling):
            unit_of = before.window_of
            factor = 1 / math.prod(before.windows.kernel) if before.average else 1.0
        channel, place = np.divmod(np.maximum(unit_of, 0), plane.positions)
        place = np.where(unit_of < 0, plane.positions, place)
        row = start + channel * n_taps * target.group_width
        shift = channel // axes[2] * target.group_width
        self.sources.append(np.stack((first_place + place, row, shift), axis=1))
        of_position = place[: sender.positions]
        self.add_places(
            taps * (target.width, target.group_width, reach * sender.width) + (0, 0, first_matrix),
            np.append(taps_of, 0),
            np.argsort(of_position, kind="stable"),
            np.bincount(of_position, minlength=plane.positions + 1),
        )
        self.factors.append(factor)
        return Link(
            n_units=math.prod(target.shape),
            positions=target.positions,
            width=target.width,
            stride=target.positions * target.width,
            vectors=target.group_width // LANES,
            bias_start=bias_start,
            first_source=first_source,
            first_place=first_place,
            n_places=plane.positions + 1,
            reach=reach,
            first_unit=0,
            is_ordered=int(target.positions == 1 and target.groups == 1),
            recurrent=0,
            counted=number,
        )

    def add_places(
        self, taps: Integers, taps_of: Integers, members: Integers, members_of: Integers
    ) -> None:
        """Places, with what belongs to them and how much to each."""
        self.taps.append(taps)
        self.taps_of.append(taps_of)
        self.members.append(members)
        self.members_of.append(members_of)

    def add_end(self) -> Link:
        """What reads the output: nothing, from one place."""
        first_place, nothing = sum(map(len, self.taps_of)), np.zeros(1, dtype=np.int64)
        self.add_places(np.empty((0, 3), dtype=np.int64), nothing, nothing, nothing + 1)
        self.factors.append(1.0)
        end = Link(*[0] * len(Link._fields))
        return end._replace(first_place=first_place, n_places=1)


def _taps(one: Connection, plane: Plane, target: Plane) -> tuple[Integers, Integers, int]:
    """The patches of events at all places before a connection.

    Returns:
        of each tap the position behind and twice its number, [taps, 3]; how many taps each place
        has; and how many the kernel has.
    """
    if not isinstance(one, Convolution):
        number = np.arange(plane.positions)
        return np.stack((0 * number, number, number), axis=1), 0 * number + 1, plane.positions
    along = []
    for axis in (0, 1):
        places = np.arange(plane.shape[1 + axis])[:, None] + one.windows.padding[axis]
        places = places - np.arange(one.windows.kernel[axis])
        behind, rest = np.divmod(places, one.windows.stride[axis])
        inside = (rest == 0) & (behind >= 0) & (behind < target.shape[1 + axis])
        along.append(np.where(inside, behind, -1))
    rows, columns = along
    met = (rows[:, None, :, None] >= 0) & (columns[:, None, :] >= 0)
    y, x, of_row, of_column = np.nonzero(met)
    positions = rows[y, of_row] * target.shape[2] + columns[x, of_column]
    number = of_row * columns.shape[1] + of_column
    taps = np.stack((positions, number, number), axis=1)
    return taps, met.sum(axis=(2, 3)).reshape(-1), rows.shape[1] * columns.shape[1]


@dataclass(frozen=True, eq=False)
class ChainLayout:
    """Positions of weights and biases in a flat array, and the tables of the kernels.

    It stands where ``ParameterLayout`` stands for chains of fully connected layers. The weights of
    a channel of what sends are one row, by tap and then by channel behind, each group of these
    padded to whole vectors.

    Attributes:
        network: whose layout it is.
        layers: the link of each population.
        tables: the fields of ``ChainArrays`` that follow from the structure of a network.
        rows: every row of parameters, in chunks of about equal size.
        learned_start: first element of the neurons' own parameters, a vector for each layer; -1 if
            they learn none.
        places: of each parameter of the state dict, in its shape.
        size: elements of the flat array; the last vector is of zeros.
    """

    network: Network
    layers: tuple[Link, ...]
    tables: Mapping[str, NDArray[Any]]
    rows: ParameterRows
    learned_start: int
    places: Mapping[str, Integers]
    size: int

    @classmethod
    def of(cls, network: Network) -> "ChainLayout":
        """Lay out the parameters of a chain."""
        forward, joined, learned_start = network.forward_connections, _Tables(network), -1
        groups = [1, *(one.groups if isinstance(one, Convolution) else 1 for one in forward)]
        planes = [
            Plane.of(one.out_shape, of) for one, of in zip(network.layers, groups, strict=True)
        ]
        links = [
            joined.add(one, *pair)._replace(first_unit=first)
            for one, pair, first in zip(forward, pairwise(planes), _starts(planes), strict=True)
        ]
        units = np.full(_starts(planes)[-1] + links[-1].stride, -1)
        for link, plane in zip(links, planes[1:], strict=True):
            units[link.first_unit + plane.elements] = np.arange(link.n_units)
        links.append(joined.add_end())
        for one in _in_order_of_links(network)[len(forward) :]:
            number = network.senders[network.connections.index(one)]
            own = joined.add(one, planes[number], planes[number])
            links[number - 1] = links[number - 1]._replace(recurrent=len(links))
            links.append(own._replace(first_unit=links[number - 1].first_unit))
        if network.neuron.learned_names:
            learned_start = joined.add_rows(len(forward), LANES)
        for name in network.neuron.learned_names:
            for number in range(len(forward)):
                place = learned_start + number * LANES + LEARNED_PLACES[name]
                joined.places[f"layer{number + 1}.neurons.{name}"] = np.array([place])
        return cls(
            network=network,
            layers=tuple(links[: len(forward)]),
            tables=_as_arrays(joined, links, units),
            rows=rows_in_chunks(joined.starts, joined.lengths, joined.size),
            learned_start=learned_start,
            places={name: joined.places[name] for name in network.parameter_shapes()},
            size=joined.size + LANES,
        )

    def pack(self, state: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        """Flat array of a state dict.

        Raises:
            ArtifactError: a parameter is missing or of another shape.
        """
        flat = aligned_zeros((self.size,), dtype)
        for name, places in self.places.items():
            given = state[name].shape if name in state else "nothing"
            if given != places.shape:
                raise ArtifactError(f"{name} must be of shape {places.shape}, but is of {given}")
            flat[places] = state[name]
        return flat

    def unpack(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """State dict of a flat array; the arrays are contiguous copies."""
        return {name: flat[places] for name, places in self.places.items()}

    def learned(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The neurons' own parameters alone, under their names in the state dict."""
        return {name: of for name, of in self.unpack(flat).items() if ".neurons." in name}

    def pack_masks(
        self, masks: Mapping[str, NDArray[np.bool_]], dtype: DTypeLike
    ) -> tuple[NDArray[Any], Integers]:
        """Ones for all parameters but the masked synapses, and the synapses of every source.

        Args:
            masks: by the name of a weight matrix, False where a synapse is removed.
            dtype: of the ones and zeros.
        """
        kept = aligned_zeros((self.size,), dtype)
        kept[:] = 1
        for name, mask in masks.items():
            kept[self.places[name]] = mask
        bound = self.network.with_weights(
            {name: kept[self.places[name]] for name in self.network.weight_names}
        )
        fan_outs = [bound.fan_out_of(one, pruned=True) for one in _in_order_of_links(bound)]
        return kept, np.concatenate(fan_outs)


def _starts(planes: Sequence[Plane]) -> list[int]:
    """Where the elements of each population but the input begin among those of all."""
    sizes = (plane.positions * plane.width for plane in planes[1:-1])
    return list(accumulate(sizes, initial=0))


def _in_order_of_links(network: Network) -> list[Connection]:
    """The connections of a chain, recurrent ones last."""
    forward = network.forward_connections
    return [*forward, *(one for one in network.connections if one not in forward)]


def _as_arrays(joined: _Tables, links: Sequence[Link], units: Integers) -> dict[str, NDArray[Any]]:
    transposed = np.concatenate([np.empty(0, dtype=np.int64), *joined.transposed])
    tables = {
        "transposed_from": np.where(transposed < 0, joined.size, transposed),
        "sources": np.concatenate(joined.sources).reshape(-1),
        "taps_of": np.cumsum([0, *np.concatenate(joined.taps_of)]),
        "taps": np.concatenate(joined.taps).reshape(-1),
        "members_of": np.cumsum([0, *np.concatenate(joined.members_of)]),
        "members": np.concatenate(joined.members),
        "units": units,
    }
    widest = max(link.stride for link in links)
    return {
        **{name: values.astype(np.int32) for name, values in tables.items()},
        "links": np.array(links, dtype=np.int64),
        "factors": np.array(joined.factors),
        "numbers": np.empty(0, source_type(widest)),
    }


MANY_LANES = 8
"""Parts in which the gradient of a batch is summed where it is small: a lane is a thread's."""

SMALL_GRADIENT = 1 << 17
"""Parameters of a network whose gradient is small."""


class ChainEngine(EventEngine):
    """As :class:`EventEngine`, of layers at places of a plane, and of recurrent ones.

    Args:
        architecture: a chain of LIF neurons in floating point.
        state, settings, dtype: as of :class:`EventEngine`.
        lanes: parts in which the gradient of a batch is summed; by default it follows from the
            network, never from the machine.
    """

    def __init__(
        self,
        architecture: Network,
        state: State,
        settings: LearningSettings | None = None,
        dtype: DTypeLike = np.float32,
        lanes: int | None = None,
    ) -> None:
        if lanes is None:
            n_parameters = sum(map(np.prod, architecture.parameter_shapes().values()))
            lanes = MANY_LANES if n_parameters <= SMALL_GRADIENT else GRADIENT_LANES
        super().__init__(architecture, state, settings, dtype, lanes)

    def _layout_of(self, architecture: Network) -> ChainLayout:
        return ChainLayout.of(architecture)

    def _arrays(self, architecture: Network, fan_outs: NDArray[np.int64]) -> ChainArrays:
        layout, dtype = self._layout, self._learned.dtype
        return ChainArrays(
            **{**layout.tables, "factors": layout.tables["factors"].astype(dtype)},
            parameters=self._learned,
            transposed=aligned_zeros(layout.tables["transposed_from"].shape, dtype),
            fan_outs=fan_outs,
            constants=np.empty((len(layout.layers), 6), dtype),
            reset=reset_code(architecture),
            on_grid=0,
            learned_start=layout.learned_start,
            learned_row=layout.rows.starts.size - len(layout.layers),
        )

    def _prepare_training(self, n_steps: int, threads: int) -> Any:
        """Allocate what training needs, once for a window."""
        layout, dtype, lanes = self._layout, self._learned.dtype, self._lanes
        if self._moments is None:
            self._moments = no_moments(layout.size, dtype)
        used = self._workspace
        if used is None or used.n_steps != n_steps:
            n_counts = 2 + len(layout.layers) + len(layout.network.connections)
            self._workspace = ChainWorkspace(
                n_steps=n_steps,
                gradients=aligned_zeros((lanes, layout.size), dtype),
                touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
                squares=np.zeros(layout.rows.chunks.size - 1),
                losses=np.zeros(lanes),
                counts=np.zeros((lanes, n_counts), dtype=np.int64),
            )
        return self._workspace

    def _gradient_of(
        self, batch: Batch, currents: ConstantInputs | None, workspace: Any, threads: int
    ) -> None:
        """Leave the gradient of each lane in the workspace, and its losses and counts."""
        given = currents or _no_currents(self._learned.dtype)
        named = (batch, given, self._learning, self._network, workspace)
        network = self._network
        np.take(network.parameters, network.transposed_from, out=network.transposed, mode="clip")
        chain_gradient(*map(tuple, named))

    def _run_layer(self, events: EventList, number: int) -> EventList:
        n_steps, dtype = events.n_steps, self._learned.dtype
        currents = constant_inputs(events, dtype) or _no_currents(dtype)

        def fill(chosen: slice, out: LaneSpikes) -> None:
            rows = slice(chosen.start * n_steps, chosen.stop * n_steps + 1)
            spikes = Spikes(events.sources, events.offsets[rows])
            of_chunk = currents.offsets[chosen.start : chosen.stop + 1]
            these = currents._replace(offsets=of_chunk)
            chain_forward_lanes(number, spikes, these, self._network, n_steps, out)

        n_units = self._layout.layers[number].n_units
        return collect_events(events.n_samples, n_steps, n_units, fill)


def _no_currents(dtype: DTypeLike) -> ConstantInputs:
    """Of an input of spikes."""
    return ConstantInputs(np.empty(0, np.uint16), np.empty(0, dtype), np.empty(0, np.int64))
