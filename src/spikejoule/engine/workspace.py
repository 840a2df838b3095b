"""The memory that training needs, allocated once for a window."""

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import Moments, Workspace
from spikejoule.foundation.compiling.arrays import aligned_zeros
from spikejoule.spikes.events import source_type
from spikejoule.spikes.kernels.structures import SPARE_SPIKES

GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in the cache."""


def new_workspace(layout: ParameterLayout, n_steps: int, lanes: int, dtype: DTypeLike) -> Workspace:
    """Memory for windows of `n_steps` and a number of lanes."""
    widest = max(layer.stride for layer in layout.layers)
    most_sources = max(layer.n_sources for layer in layout.layers)
    layers = len(layout.layers)
    rows = GROUP_SAMPLES * n_steps
    return Workspace(
        n_steps=n_steps,
        group_size=GROUP_SAMPLES,
        gradients=aligned_zeros((lanes, layout.size), dtype),
        touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
        squares=np.zeros(layout.rows.chunks.size - 1),
        losses=np.zeros(lanes),
        counts=np.zeros((lanes, 2 * layers + 2), dtype=np.int64),
        potentials=aligned_zeros((lanes, layers, n_steps * widest), dtype),
        deltas=aligned_zeros((lanes, layers, rows * widest), dtype),
        # Of the type of the input's, which takes turns with them in the kernels.
        spikes=np.zeros(
            (lanes, layers, rows * widest + SPARE_SPIKES),
            dtype=source_type(layout.layers[0].n_sources),
        ),
        steps=np.zeros((lanes, rows * max(most_sources, widest)), dtype=np.uint32),
    )


def no_moments(size: int, dtype: DTypeLike) -> Moments:
    """Adam's moments before the first step."""
    return Moments(first=aligned_zeros((size,), dtype), second=aligned_zeros((size,), dtype))
