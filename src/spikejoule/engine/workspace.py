"""What the kernels of the event engine are given, and how a batch is shared out over threads.

Given are constants of neurons, grids, and memory. No bit of a gradient depends on the number of
threads. A thread a lane needs no plan. More threads take many groups of samples at a time: first
the deltas of each group, then each part of the gradient (kernels/backward.py).
"""

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros, padded
from spikejoule.encoding.events import source_type
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.kernels.backward import (
    add_groups,
    batch_gradient,
    prepare_groups,
    transpose_in_parts,
)
from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import (
    Batch,
    Grids,
    Learning,
    Moments,
    NetworkArrays,
    Neuron,
    Workspace,
)
from spikejoule.engine.kernels.vector import MAX_BLOCK, NARROW
from spikejoule.network.network import Network
from spikejoule.network.quantisation import layer_constants, neuron_constants, quantisation_of


def neuron_table(architecture: Network, dtype: DTypeLike) -> NDArray[Any]:
    """The constants of LIF neurons as a network has them; of its grids if it is quantised."""
    if architecture.quantisation is None:
        constants = [
            (decay, threshold, 0, 0, 0, 0) for threshold, decay in neuron_constants(architecture)
        ]
        return np.array(constants, dtype)
    on_grids = [
        (
            one.decay,
            one.value(one.threshold),
            one.value(1),
            1 / one.value(1),
            one.value(one.lowest),
            one.value(one.highest),
        )
        for one in layer_constants(architecture)
    ]
    # Integers of 32 bits may stand for more than float32 holds: there is no bound then.
    with np.errstate(over="ignore"):
        return np.array(on_grids).astype(dtype)


def neuron_of_layer(network: NetworkArrays, number: int) -> Neuron:
    """The neuron of the layer of a number, counted from 0.

    (`structures.neuron_at` is for kernels: called from here it would return numbers in float64.)
    """
    decay, threshold, *grid = network.constants[number]
    return Neuron(decay, threshold, network.reset, network.on_grid, *grid)


def row_grids(architecture: Network, layout: ParameterLayout, dtype: DTypeLike) -> Grids:
    """The grid of every row of parameters of a quantised network."""
    quantisation = quantisation_of(architecture)
    per_unit, limits = (np.empty(layout.rows.starts.size, dtype) for _ in range(2))
    for layer, exponent in zip(layout.layers, quantisation.exponents, strict=True):
        bias_row = layer.first_row + layer.n_sources
        per_unit[layer.first_row : bias_row + 1] = 2.0**exponent
        limits[layer.first_row : bias_row] = quantisation.largest_weight
        limits[bias_row] = quantisation.largest_bias
    return Grids(per_unit, 1 / per_unit, limits)


GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in the cache."""


SLOT_BYTES = 1 << 28
"""Memory for the deltas of groups that are worked at once, where threads ask for many."""


def slots_for(layout: ParameterLayout, n_steps: int, lanes: int, threads: int) -> int:
    """Groups that are worked at once: one a lane, or more where there are more threads."""
    if threads <= lanes:
        return lanes
    floats = sum(layer.stride for layer in layout.layers) * n_steps * GROUP_SAMPLES
    wanted = min(2 * threads, SLOT_BYTES // (4 * floats))
    return max(padded(wanted, lanes), lanes)


def new_workspace(
    layout: ParameterLayout, n_steps: int, slots: int, lanes: int, learns: bool, dtype: DTypeLike
) -> Workspace:
    """Memory for windows of `n_steps`, a number of lanes, and of groups that are worked at once.

    `learns` says whether neurons learn parameters of their own.
    """
    widest = max(layer.stride for layer in layout.layers)
    most_sources = max(layer.n_sources for layer in layout.layers)
    layers, output = len(layout.layers), layout.layers[-1]
    rows = GROUP_SAMPLES * n_steps
    # Of the type of the input's, which takes turns with them in the kernels.
    kind = source_type(layout.layers[0].n_sources)
    most_spikes = rows * max(most_sources, widest)
    return Workspace(
        n_steps=n_steps,
        group_size=GROUP_SAMPLES,
        gradients=aligned_zeros((lanes, layout.size), dtype),
        touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
        squares=np.zeros(layout.rows.chunks.size - 1),
        losses=np.zeros(lanes),
        counts=np.zeros((slots, 2 * layers + 2), dtype=np.int64),
        deltas=aligned_zeros((slots, layers, rows * widest), dtype),
        spikes=np.zeros((slots, layers, rows * widest + SPARE_SPIKES), dtype=kind),
        offsets=np.zeros((slots, layers, rows + 1), dtype=np.int64),
        steps=np.zeros((slots, layers, most_spikes), dtype=np.uint32),
        active=np.zeros((slots, layers, most_sources + 1), dtype=np.uint32),
        firsts=np.zeros((slots, layers, most_sources + 1), dtype=np.uint32),
        n_active=np.zeros((slots, layers), dtype=np.int64),
        biases=aligned_zeros((slots, layers, GROUP_SAMPLES * widest), dtype),
        learned=np.zeros((slots, GROUP_SAMPLES, layers, 2)),
        group_losses=np.zeros((slots, GROUP_SAMPLES)),
        potentials=aligned_zeros((slots, layers, n_steps * widest if learns else 0), dtype),
        fired=np.zeros((slots, n_steps * widest // LANES), dtype=np.uint16),
        class_counts=np.zeros((slots, output.n_units), dtype=np.int64),
        count_gradient=aligned_zeros((slots, output.stride), dtype),
        costs=aligned_zeros((slots, layers, widest), dtype),
        places=np.zeros((slots, most_sources), dtype=np.uint32),
        begins=np.zeros((slots, most_spikes + 1), dtype=np.uint32),
    )


def no_moments(size: int, dtype: DTypeLike) -> Moments:
    """Adam's moments before the first step."""
    return Moments(first=aligned_zeros((size,), dtype), second=aligned_zeros((size,), dtype))


class Sharing(NamedTuple):
    """Who does what.

    Attributes:
        turns: the groups that are worked at once, turn after turn: lane, first sample and end of
            each, int64 [groups, 3].
        parts: of the gradient, see `add_groups`, int64 [parts, 4].
    """

    turns: tuple[NDArray[np.int64], ...]
    parts: NDArray[np.int64]


def gradient_of_batch(
    batch: Batch, learning: Learning, network: NetworkArrays, workspace: Workspace, threads: int
) -> None:
    """Leave the gradient of each lane in the workspace, and its losses and counts."""
    lanes, slots = batch.bounds.size - 1, len(workspace.counts)
    if slots == lanes:
        batch_gradient(tuple(batch), tuple(learning), tuple(network), tuple(workspace))
        return
    strides = tuple(network.layers[:, 2].tolist())
    bounds = tuple(batch.bounds.tolist())
    sharing = share(strides, bounds, workspace.group_size, slots, threads)
    workspace.counts[:] = 0
    workspace.losses[:] = 0
    transpose_in_parts(network, threads)
    for groups in sharing.turns:
        prepare_groups(groups, batch, learning, network, workspace)
        add_groups(groups, sharing.parts, batch, network, workspace)


@functools.lru_cache(maxsize=64)
def share(
    strides: tuple[int, ...], bounds: tuple[int, ...], most: int, slots: int, threads: int
) -> Sharing:
    """A plan for a batch.

    Args:
        strides: of each layer.
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``.
        most: samples of a group.
        slots: groups that the workspace holds, a multiple of the lanes.
        threads: how many.
    """
    lanes = [range(first, stop) for first, stop in itertools.pairwise(bounds)]
    size = _group_size(lanes, most, threads)
    groups = [
        [(lane, first, min(first + size, samples.stop)) for first in samples[::size]]
        for lane, samples in enumerate(lanes)
    ]
    at_once = slots // len(lanes)
    turns = [
        np.array([group for of in groups for group in of[first : first + at_once]], dtype=np.int64)
        for first in range(0, max(map(len, groups)), at_once)
    ]
    parts = [
        (lane, number, *block)
        for number, stride in enumerate(strides)
        for block in _blocks(stride // LANES, len(lanes), threads)
        for lane in range(len(lanes))
    ]
    return Sharing(tuple(turns), np.array(parts, dtype=np.int64))


def _group_size(lanes: list[range], most: int, threads: int) -> int:
    """The group size, of those up to `most`, with which the busiest thread has least to do."""

    def samples_of_busiest(size: int) -> int:
        n_groups = sum(-(-len(samples) // size) for samples in lanes)
        return size * -(-n_groups // threads)

    return min(range(most, 0, -1), key=samples_of_busiest)


def _blocks(vectors: int, lanes: int, threads: int) -> list[tuple[int, int]]:
    """First column and vectors of each block of a layer; a narrow one is a single block.

    A block takes a step for each spike, and one for each of its vectors.
    """

    def steps_of_busiest(size: int) -> int:
        return -(-lanes * -(-vectors // size) // threads) * (1 + size)

    sizes = range(min(vectors, MAX_BLOCK), 0, -1)
    size = vectors if vectors <= NARROW else min(sizes, key=steps_of_busiest)
    return [(first * LANES, min(size, vectors - first)) for first in range(0, vectors, size)]
