"""The tables of chains with convolution, pooling and recurrence, for the kernels.

The event engine needs them for every network that is not a plain stack of fully
connected layers. kernels/patches.py explains positions, places and taps, and
kernels/chain.py links; this module computes them once per network. A fully connected
layer is a convolution whose kernel covers its whole input, so it has one output
position.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.encoding.events import source_type
from spikejoule.engine.kernel_calls import reset_code
from spikejoule.engine.kernels.chain import ChainArrays, Link
from spikejoule.engine.layout import ConnectionLayout, Integers, ParameterLayout, Plane
from spikejoule.network.network import Network
from spikejoule.network.nodes import Convolution, Pooling

NO_LINK = Link(*[0] * len(Link._fields))
NOTHING: Integers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Taps:
    """The patch of weights that a spike at each place of a plane adds, place by place.

    Attributes:
        targets: output position of each tap, [taps].
        numbers: kernel position of each tap, [taps].
        counts: number of taps of each place, [places].
    """

    targets: Integers
    numbers: Integers
    counts: Integers

    @classmethod
    def of(cls, connection: ConnectionLayout) -> "Taps":
        """Return the taps of a connection."""
        node = connection.connection
        source = connection.source
        target = connection.target
        if not isinstance(node, Convolution):
            # One tap per position, all to the single output position.
            numbers = np.arange(source.positions)
            return cls(np.zeros_like(numbers), numbers, np.ones_like(numbers))
        rows = _output_along(0, node, source, target)
        columns = _output_along(1, node, source, target)
        # Input (y, x) and kernel position (i, j) form a tap if both axes have an
        # output: one boolean per (y, x, i, j).
        is_tap = (rows[:, None, :, None] >= 0) & (columns[:, None, :] >= 0)
        y, x, i, j = np.nonzero(is_tap)
        return cls(
            targets=rows[y, i] * target.shape[2] + columns[x, j],
            numbers=i * columns.shape[1] + j,
            counts=is_tap.sum(axis=(2, 3)).reshape(-1),
        )


def _output_along(
    axis: int, node: Convolution, source: Plane, target: Plane
) -> Integers:
    """Return the output along one axis for each input and kernel position.

    The result is [input size, kernel size], with -1 where there is no output:
    ``output * stride + kernel position = input + padding``.
    """
    windows = node.windows
    inputs = np.arange(source.shape[1 + axis])[:, None]
    starts = inputs + windows.padding[axis] - np.arange(windows.kernel[axis])
    outputs, rest = np.divmod(starts, windows.stride[axis])
    exists = (rest == 0) & (outputs >= 0) & (outputs < target.shape[1 + axis])
    return np.where(exists, outputs, -1)


@dataclass(frozen=True)
class TapOffsets:
    """How far apart two taps are whose positions differ by one, in elements.

    Attributes:
        target: per output position, in the potentials.
        weights: per kernel position, in the weights.
        transposed: per kernel position, in the transposed weights.
    """

    target: int
    weights: int
    transposed: int


@dataclass(frozen=True)
class LinkTables:
    """The tables of one link, numbered from 0; :func:`chain_arrays` joins them.

    Attributes:
        link: its fields; those that depend on other links are still 0.
        places: place of each sending unit, [n]; a unit outside every pooling window has
            an extra last place, without taps.
        rows: first weight of each sending unit among the parameters, [n].
        shifts: shift of each sending unit's group within an output position, [n].
        taps: of all places.
        tap_offsets: distances between taps.
        members: positions of the sender, ordered by place; only training reads them.
        n_members: positions of each place.
        n_transposed: transposed weights, which only training holds; 0 where no gradient
            flows back.
        factor: factor on the weights: 1 / window size behind average pooling.
    """

    link: Link
    places: Integers
    rows: Integers
    shifts: Integers
    taps: Taps
    tap_offsets: TapOffsets
    members: Integers
    n_members: Integers
    n_transposed: int
    factor: float

    @classmethod
    def of(
        cls, network: Network, layout: ConnectionLayout, sender: Plane
    ) -> "LinkTables":
        """Return the tables of a connection.

        Args:
            network: the network.
            layout: of the connection.
            sender: plane of the population that sends; with pooling, the plane before
                the pooling node.
        """
        source = layout.source
        target = layout.target
        before = network.nodes[network.sources[layout.connection.name][0]]
        # Pooling only renames: each unit takes the number of its window, or -1.
        source_unit = np.arange(before.n_out)
        factor = 1.0
        if isinstance(before, Pooling):
            source_unit = before.window_of
            factor = 1 / math.prod(before.windows.kernel) if before.average else 1.0
        channels, places = np.divmod(np.maximum(source_unit, 0), source.positions)
        places = np.where(source_unit < 0, source.positions, places)
        # All channels of a position are at the same place; those of channel 0 come
        # first.
        position_places = places[: sender.positions]
        channel_groups = channels // layout.weight_axes[2]
        # Nothing flows back to the input, which is sender 0.
        flows_back = network.senders[layout.number] > 0
        n_transposed = layout.n_taps * target.reach * sender.width if flows_back else 0
        return cls(
            link=NO_LINK._replace(
                n_units=math.prod(target.shape),
                positions=target.positions,
                width=target.width,
                stride=target.stride,
                vectors=target.group_width // LANES,
                bias_start=layout.biases.start,
                n_places=source.positions + 1,
                reach=target.reach,
                is_ordered=int(target.positions == 1 and target.groups == 1),
                counted=layout.number,
            ),
            places=places,
            rows=layout.weights.start + channels * layout.weights.length,
            shifts=channel_groups * target.group_width,
            taps=Taps.of(layout),
            tap_offsets=TapOffsets(
                target=target.width,
                weights=target.group_width,
                transposed=target.reach * sender.width,
            ),
            members=np.argsort(position_places, kind="stable"),
            n_members=np.bincount(position_places, minlength=source.positions + 1),
            n_transposed=n_transposed,
            factor=factor,
        )


READER = LinkTables(
    link=NO_LINK._replace(n_places=1),
    places=NOTHING,
    rows=NOTHING,
    shifts=NOTHING,
    taps=Taps(NOTHING, NOTHING, NOTHING),
    tap_offsets=TapOffsets(0, 0, 0),
    members=np.zeros(1, dtype=np.int64),
    n_members=np.ones(1, dtype=np.int64),
    n_transposed=0,
    factor=1.0,
)
"""The link behind the output: one place without taps, so the backward pass needs no
special case for the last population."""


def link_tables(layout: ParameterLayout) -> list[LinkTables]:
    """Return the tables of all links: forward, the reader of the output, recurrent."""
    network = layout.network
    sender = Plane.of(network.input.out_shape)
    tables = []
    for connection in layout.forward:
        tables.append(LinkTables.of(network, connection, sender))
        sender = connection.target
    tables.append(READER)
    for connection in layout.recurrent:
        tables.append(LinkTables.of(network, connection, connection.target))
    return tables


def chain_arrays(layout: ParameterLayout, parameters: NDArray[Any]) -> ChainArrays:
    """Return what the kernels of chains read: the tables of all links, joined.

    Args:
        layout: positions of the parameters.
        parameters: flat, those that run; the kernels read this array.

    Returns:
        the arrays; the engine writes the neurons' constants.
    """
    tables = link_tables(layout)
    dtype = parameters.dtype
    links = _numbered(layout, tables)
    # Each link has one more place than taps: for units outside every pooling window.
    n_taps = np.concatenate([np.append(table.taps.counts, 0) for table in tables])
    populations = [connection.target for connection in layout.forward]
    return ChainArrays(
        links=np.array(links, dtype=np.int64),
        parameters=parameters,
        sources=int32(_joined_sources(tables, links)),
        taps_of=int32(np.cumsum([0, *n_taps])),
        taps=int32(_joined_taps(tables)),
        units=int32(_element_units(populations)),
        elements=np.empty(0, source_type(max(link.stride for link in links))),
        factors=np.array([table.factor for table in tables], dtype),
        constants=np.empty((len(layout.forward), 6), dtype),
        reset=reset_code(layout.network),
        on_grid=0,
        starts_at_bias=int(layout.network.neuron.starts_at_bias),
    )


def int32(values: NDArray[Any]) -> NDArray[np.int32]:
    return values.astype(np.int32)


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return where consecutive parts of these sizes begin."""
    return list(accumulate(sizes[:-1], initial=0))


def _numbered(
    layout: ParameterLayout, tables: Sequence[LinkTables]
) -> tuple[Link, ...]:
    """Return the links with the fields that depend on other links."""
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
    # A recurrent link shares the elements of its population.
    for number, connection in enumerate(layout.recurrent, start=n_layers + 1):
        layer = layout.network.senders[connection.number] - 1
        links[layer] = links[layer]._replace(recurrent=number)
        links[number] = links[number]._replace(first_unit=links[layer].first_unit)
    return tuple(links)


def _joined_sources(tables: Sequence[LinkTables], links: Sequence[Link]) -> Integers:
    """Return place, first weight and group shift of each sending unit, flat."""
    joined = [
        np.stack((link.first_place + table.places, table.rows, table.shifts), axis=1)
        for table, link in zip(tables, links, strict=True)
    ]
    return np.concatenate(joined).reshape(-1)


def _joined_taps(tables: Sequence[LinkTables]) -> Integers:
    """Return target, weights and transposed weights of each tap, flat."""
    first_transposed = _starts([table.n_transposed for table in tables])
    joined = []
    for table, first in zip(tables, first_transposed, strict=True):
        targets = table.taps.targets * table.tap_offsets.target
        weights = table.taps.numbers * table.tap_offsets.weights
        transposed = first + table.taps.numbers * table.tap_offsets.transposed
        joined.append(np.stack((targets, weights, transposed), axis=1))
    return np.concatenate(joined).reshape(-1)


def _element_units(populations: Sequence[Plane]) -> Integers:
    """Return the unit of each element of all populations, -1 in the padding."""
    parts = []
    for plane in populations:
        units = np.full(plane.stride, -1)
        units[plane.elements] = np.arange(math.prod(plane.shape))
        parts.append(units)
    return np.concatenate(parts)
