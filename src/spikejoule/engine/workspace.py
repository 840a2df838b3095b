"""What the kernels of the event engine are given: constants of neurons, grids, and memory."""

import functools
import logging
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.compiling.emit import aligned_zeros, padded
from spikejoule.encoding.events import source_type
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import (
    Grids,
    Moments,
    Network,
    Neuron,
    Workspace,
)
from spikejoule.model.architecture import Architecture
from spikejoule.model.quantisation import layer_constants, neuron_constants, quantisation_of

logger = logging.getLogger(__name__)


def neuron_table(architecture: Architecture, dtype: DTypeLike) -> NDArray[Any]:
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


def neuron_of_layer(network: Network, number: int) -> Neuron:
    """The neuron of the layer of a number, counted from 0.

    (`structures.neuron_at` is for kernels: called from here it would return numbers in float64.)
    """
    decay, threshold, *grid = network.constants[number]
    return Neuron(decay, threshold, network.reset, network.on_grid, *grid)


def row_grids(architecture: Architecture, layout: ParameterLayout, dtype: DTypeLike) -> Grids:
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
    slots = max(padded(wanted, lanes), lanes)
    if slots == lanes:
        _warn_of_few_slots(threads, lanes, 4 * floats // 2**20)
    return slots


@functools.cache
def _warn_of_few_slots(threads: int, lanes: int, megabytes: int) -> None:
    """Say once what a user would not expect."""
    logger.warning(
        "%d threads share a batch in place of %d: a group of samples takes %d MB, and no more than "
        "%d MB are taken",
        lanes, threads, megabytes, SLOT_BYTES // 2**20,
    )  # fmt: skip


def new_workspace(
    layout: ParameterLayout, n_steps: int, slots: int, lanes: int, learns: bool, dtype: DTypeLike
) -> Workspace:
    """Memory for windows of `n_steps`, a number of lanes, and of groups that are worked at once.

    `learns` says whether neurons learn parameters of their own.
    """
    widest = max(layer.stride for layer in layout.layers)
    most_sources = max(layer.n_sources for layer in layout.layers)
    layers = len(layout.layers)
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
        potentials=aligned_zeros((slots, layers, n_steps * widest if learns else 0), dtype),
        begins=np.zeros((slots, most_spikes + 1), dtype=np.uint32),
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
    )


def no_moments(size: int, dtype: DTypeLike) -> Moments:
    """Adam's moments before the first step."""
    return Moments(first=aligned_zeros((size,), dtype), second=aligned_zeros((size,), dtype))
