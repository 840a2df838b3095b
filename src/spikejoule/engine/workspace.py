"""The memory that training needs, allocated once for a window."""

import functools
import logging

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.core.compiling.emit import aligned_zeros, padded
from spikejoule.encoding.events import source_type
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import Moments, Workspace

logger = logging.getLogger(__name__)

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
