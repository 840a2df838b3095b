"""Kernels of chains with convolution, pooling and recurrence, with their tables.

What the tables hold is said in kernels/chain.py. A fully connected layer is a
convolution whose kernel covers all of what is before it, so that there is one position
behind it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros
from spikejoule.encoding.events import EventList, source_type
from spikejoule.engine.kernel_set import new_gradient, reset_code, run_in_lanes
from spikejoule.engine.kernels.chain import ChainArrays, Link, add_lane, run_population
from spikejoule.engine.kernels.structures import (
    BatchGradient,
    ConstantInputs,
    LabelledBatch,
    Learning,
)
from spikejoule.engine.layout import (
    ConnectionLayout,
    Integers,
    Masks,
    ParameterLayout,
    Plane,
)
from spikejoule.network.network import Network
from spikejoule.network.nodes import Convolution, Pooling

NO_LINK = Link(*[0] * len(Link._fields))
NOTHING: Integers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Taps:
    """The patch of weights that an event at each place of a plane adds, place by place.

    Attributes:
        targets: the position behind, [taps].
        numbers: the position of the kernel, [taps].
        counts: how many taps each place has, [places].
    """

    targets: Integers
    numbers: Integers
    counts: Integers

    @classmethod
    def of(cls, connection: ConnectionLayout) -> "Taps":
        """The taps of a connection."""
        node = connection.connection
        source = connection.source
        target = connection.target
        if not isinstance(node, Convolution):
            numbers = np.arange(source.positions)
            return cls(np.zeros_like(numbers), numbers, np.ones_like(numbers))
        rows, columns = (_reached(node, source, target, axis) for axis in (0, 1))
        # Place (y, x) meets kernel position (i, j) if it does so along either axis.
        met = (rows[:, None, :, None] >= 0) & (columns[:, None, :] >= 0)
        y, x, i, j = np.nonzero(met)
        return cls(
            targets=rows[y, i] * target.shape[2] + columns[x, j],
            numbers=i * columns.shape[1] + j,
            counts=met.sum(axis=(2, 3)).reshape(-1),
        )


def _reached(node: Convolution, source: Plane, target: Plane, axis: int) -> Integers:
    """The output along an axis for each input and kernel position, [size, kernel]; or
    -1.
    """
    windows = node.windows
    places = np.arange(source.shape[1 + axis])[:, None] + windows.padding[axis]
    places = places - np.arange(windows.kernel[axis])
    behind, rest = np.divmod(places, windows.stride[axis])
    inside = (rest == 0) & (behind >= 0) & (behind < target.shape[1 + axis])
    return np.where(inside, behind, -1)


@dataclass(frozen=True)
class LinkTables:
    """What the kernels know of one link, in numbers that begin at 0 for each link.

    Attributes:
        link: its fields, those that depend on other links still 0.
        places: where each unit that sends is, [n]; a unit in no window is at one place
            more, which has no taps.
        rows: where the weights of each such unit begin among the parameters, [n].
        shifts: by how many elements its group is shifted, [n].
        taps: the patches at all places.
        tap_offsets: distances that a tap's target, its weights and its transposed
            weights have, for each position behind and kernel position, (target,
            weights, transposed).
        members: the positions of the sender, by the place they are at.
        n_members: how many of them are at each place.
        transposed: the place of each transposed weight among the parameters, -1 in the
            padding, flat; empty where no deltas travel back.
        factor: of the weights; 1 / size of the window behind average pooling.
    """

    link: Link
    places: Integers
    rows: Integers
    shifts: Integers
    taps: Taps
    tap_offsets: tuple[int, int, int]
    members: Integers
    n_members: Integers
    transposed: Integers
    factor: float

    @classmethod
    def of(
        cls, network: Network, layout: ConnectionLayout, sender: Plane
    ) -> "LinkTables":
        """The tables of a connection from a population, whose elements are those of
        `sender`.
        """
        source = layout.source
        target = layout.target
        before = network.nodes[network.sources[layout.connection.name][0]]
        unit_of = np.arange(before.n_out)
        factor = 1.0
        if isinstance(before, Pooling):
            unit_of = before.window_of
            factor = 1 / math.prod(before.windows.kernel) if before.average else 1.0
        channels, places = np.divmod(np.maximum(unit_of, 0), source.positions)
        places = np.where(unit_of < 0, source.positions, places)
        places_of_positions = places[: sender.positions]
        reach = int(target.columns.max()) + 1
        group_of_channel = channels // layout.weight_axes[2]
        return cls(
            link=NO_LINK._replace(
                n_units=math.prod(target.shape),
                positions=target.positions,
                width=target.width,
                stride=target.stride,
                vectors=target.group_width // LANES,
                bias_start=layout.biases.start,
                n_places=source.positions + 1,
                reach=reach,
                is_ordered=int(target.positions == 1 and target.groups == 1),
                counted=layout.number,
            ),
            places=places,
            rows=layout.weights.start + channels * layout.weights.length,
            shifts=group_of_channel * target.group_width,
            taps=Taps.of(layout),
            tap_offsets=(target.width, target.group_width, reach * sender.width),
            members=np.argsort(places_of_positions, kind="stable"),
            n_members=np.bincount(places_of_positions, minlength=source.positions + 1),
            transposed=_transposed(layout, sender, reach)
            if network.senders[layout.number] > 0
            else NOTHING,
            factor=factor,
        )


READER = LinkTables(
    link=NO_LINK._replace(n_places=1),
    places=NOTHING,
    rows=NOTHING,
    shifts=NOTHING,
    taps=Taps(NOTHING, NOTHING, NOTHING),
    tap_offsets=(0, 0, 0),
    members=np.zeros(1, dtype=np.int64),
    n_members=np.ones(1, dtype=np.int64),
    transposed=NOTHING,
    factor=1.0,
)
"""What stands for the reader of the output: one place without taps."""


def _transposed(layout: ConnectionLayout, sender: Plane, reach: int) -> Integers:
    """The place of each weight among the parameters, by
    [tap, reach, width of the sender].
    """
    axes = layout.weight_axes
    groups, targets, sources, n_taps = np.ix_(*map(np.arange, axes))
    channels = groups * axes[2] + sources
    columns = groups * layout.target.group_width + targets
    starts = layout.weights.start + channels * layout.weights.length
    matrices = np.full((axes[3], reach, sender.width), -1)
    places = starts + n_taps * layout.target.group_width + targets
    matrices[n_taps, columns, sender.columns[channels]] = places
    return matrices.reshape(-1)


def chain_arrays(layout: ParameterLayout, parameters: NDArray[Any]) -> ChainArrays:
    """The tables of all links, one behind the other, with the parameters that they lead
    to.
    """
    network = layout.network
    forward = layout.forward
    dtype = parameters.dtype
    planes = [
        Plane.of(network.input.out_shape),
        *(connection.target for connection in forward),
    ]
    tables = [
        LinkTables.of(network, connection, sender)
        for connection, sender in zip(forward, planes[:-1], strict=True)
    ]
    tables.append(READER)
    for connection in layout.connections[len(forward) :]:
        tables.append(LinkTables.of(network, connection, connection.target))
    links = _numbered(layout, tables)
    transposed = np.concatenate([table.transposed for table in tables])
    n_taps = np.concatenate([_with_last_place(table.taps.counts) for table in tables])
    n_members = np.concatenate([table.n_members for table in tables])
    return ChainArrays(
        links=np.array(links, dtype=np.int64),
        parameters=parameters,
        transposed=aligned_zeros(transposed.shape, dtype),
        # The last vector of the parameters is zeros.
        transposed_from=_int32(
            np.where(transposed < 0, layout.size - LANES, transposed)
        ),
        sources=_int32(_joined_sources(tables, links)),
        taps_of=_int32(np.cumsum([0, *n_taps])),
        taps=_int32(_joined_taps(tables)),
        members_of=_int32(np.cumsum([0, *n_members])),
        members=_int32(np.concatenate([table.members for table in tables])),
        units=_int32(_units_of_elements(planes[1:])),
        numbers=np.empty(0, source_type(max(link.stride for link in links))),
        fan_outs=np.concatenate(layout.fan_outs({})),
        factors=np.array([table.factor for table in tables], dtype),
        constants=np.empty((len(forward), 6), dtype),
        reset=reset_code(network),
        on_grid=0,
        learned_start=layout.learned_start,
        learned_row=layout.learned_row,
    )


def _int32(values: NDArray[Any]) -> NDArray[np.int32]:
    return values.astype(np.int32)


def _with_last_place(counts: Integers) -> Integers:
    """The taps of each place, and of one more that has none."""
    return np.append(counts, 0)


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where parts of these sizes begin, one behind the other."""
    return list(accumulate(sizes[:-1], initial=0))


def _numbered(
    layout: ParameterLayout, tables: Sequence[LinkTables]
) -> tuple[Link, ...]:
    """The links with all that depends on other links."""
    n_layers = len(layout.forward)
    first_sources = _starts([table.places.size for table in tables])
    first_places = _starts([table.link.n_places for table in tables])
    links = [
        table.link._replace(first_source=first_source, first_place=first_place)
        for table, first_source, first_place in zip(
            tables, first_sources, first_places, strict=True
        )
    ]
    # The reader of the output has no units, and so no sources.
    links[n_layers] = links[n_layers]._replace(first_source=0)
    first_units = _starts([link.stride for link in links[: n_layers + 1]])
    for number, first_unit in enumerate(first_units[:n_layers]):
        links[number] = links[number]._replace(first_unit=first_unit)
    for number, connection in enumerate(
        layout.connections[n_layers:], start=n_layers + 1
    ):
        layer = layout.network.senders[connection.number] - 1
        links[layer] = links[layer]._replace(recurrent=number)
        links[number] = links[number]._replace(first_unit=links[layer].first_unit)
    return tuple(links)


def _joined_sources(tables: Sequence[LinkTables], links: Sequence[Link]) -> Integers:
    """Place, row and shift of each unit that sends, flat."""
    joined = [
        np.stack((link.first_place + table.places, table.rows, table.shifts), axis=1)
        for table, link in zip(tables, links, strict=True)
    ]
    return np.concatenate(joined).reshape(-1)


def _joined_taps(tables: Sequence[LinkTables]) -> Integers:
    """Target, weights and transposed weights of each tap, flat."""
    first_transposed = _starts([table.transposed.size for table in tables])
    joined = []
    for table, first in zip(tables, first_transposed, strict=True):
        targets = table.taps.targets
        numbers = table.taps.numbers
        target, weights, transposed = table.tap_offsets
        columns = (targets * target, numbers * weights, first + numbers * transposed)
        joined.append(np.stack(columns, axis=1))
    return np.concatenate(joined).reshape(-1)


def _units_of_elements(populations: Sequence[Plane]) -> Integers:
    """The unit of each element of all populations, -1 in the padding."""
    parts = []
    for plane in populations:
        units = np.full(plane.stride, -1)
        units[plane.elements] = np.arange(math.prod(plane.shape))
        parts.append(units)
    return np.concatenate(parts)


class ChainKernels:
    """The kernels of any chain in floating point; see
    `spikejoule.engine.kernel_set.KernelSet`.

    Args:
        layout: where the parameters are.
        parameters: flat, those that run; the kernels read them where they are.
        lanes: parts in which the gradient of a batch is summed.
    """

    def __init__(
        self, layout: ParameterLayout, parameters: NDArray[Any], lanes: int
    ) -> None:
        self._layout = layout
        self._lanes = lanes
        self._gradient = new_gradient(layout, lanes, lanes, parameters.dtype)
        self.arrays = chain_arrays(layout, parameters)

    def prune(self, masks: Masks) -> None:
        """See the protocol."""
        self.arrays.fan_outs[:] = np.concatenate(self._layout.fan_outs(masks))

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs,
        learning: Learning,
        threads: int,
    ) -> BatchGradient:
        """See the protocol; a lane is a thread's, however many there are."""
        arrays = self.arrays
        gradient = self._gradient
        np.take(
            arrays.parameters,
            arrays.transposed_from,
            out=arrays.transposed,
            mode="clip",
        )
        gradient.counts[:] = 0
        # Plain tuples: numba looks up their type faster than that of a named one.
        add_lane(
            self._lanes,
            tuple(batch),
            tuple(currents),
            tuple(learning),
            tuple(arrays),
            tuple(gradient),
        )
        return gradient

    def run_layer(self, events: EventList, number: int) -> EventList:
        """See the protocol."""
        n_units = self._layout.forward[number].connection.n_out
        return run_in_lanes(run_population, number, events, self.arrays, n_units)
