"""The memory that training needs, allocated once for a window."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import Gradients, Moments, Outcomes, Scratch
from spikejoule.engine.kernels.through_time import TILE_VECTORS
from spikejoule.foundation.compiling.arrays import aligned_zeros
from spikejoule.foundation.compiling.emit import LANES

GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in the cache."""


@dataclass(frozen=True)
class Workspace:
    """What a batch is worked off in; nothing in it outlives the batch.

    Attributes:
        n_steps: T that it is made for.
        gradients, outcomes, scratch: see kernels/structures.py.
        squares: of the gradient, by chunk of rows, float64 [C].
    """

    n_steps: int
    gradients: Gradients
    outcomes: Outcomes
    scratch: Scratch
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, layout: ParameterLayout, n_steps: int, lanes: int, dtype: DTypeLike) -> "Workspace":
        """Memory for windows of `n_steps` and a number of lanes."""
        widest = max(layer.stride for layer in layout.layers)
        most_sources = max(layer.n_sources for layer in layout.layers)
        layers, classes = len(layout.layers), layout.layers[-1].n_units
        rows = GROUP_SAMPLES * n_steps
        return cls(
            n_steps=n_steps,
            gradients=Gradients(
                parts=aligned_zeros((lanes, layout.size), dtype),
                touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
            ),
            outcomes=Outcomes(
                spikes=np.zeros((lanes, layers + 1), dtype=np.int64),
                synaptic_events=np.zeros((lanes, layers), dtype=np.int64),
                losses=np.zeros(lanes),
                correct=np.zeros(lanes, dtype=np.int64),
            ),
            scratch=Scratch(
                potentials=aligned_zeros((lanes, layers, n_steps * widest), dtype),
                fired=np.zeros((lanes, n_steps * (widest // LANES)), dtype=np.uint16),
                counts=np.zeros((lanes, classes), dtype=np.int64),
                count_gradient=aligned_zeros((lanes, layout.layers[-1].stride), dtype),
                costs=aligned_zeros((lanes, layers, widest), dtype),
                later=aligned_zeros((lanes, TILE_VECTORS[0] * LANES), dtype),
                sums=aligned_zeros((lanes, TILE_VECTORS[0] * LANES), dtype),
                deltas=aligned_zeros((lanes, layers, rows * widest), dtype),
                sources=np.zeros((lanes, layers, rows * widest), dtype=np.uint16),
                offsets=np.zeros((lanes, layers, rows + 1), dtype=np.int64),
                places=np.zeros((lanes, most_sources), dtype=np.uint32),
                steps=np.zeros((lanes, rows * max(most_sources, widest)), dtype=np.uint32),
                active=np.zeros((lanes, most_sources + 1), dtype=np.uint32),
                firsts=np.zeros((lanes, most_sources + 1), dtype=np.uint32),
            ),
            squares=np.zeros(layout.rows.chunks.size - 1),
        )


def no_moments(size: int, dtype: DTypeLike) -> Moments:
    """Adam's moments before the first step."""
    return Moments(first=aligned_zeros((size,), dtype), second=aligned_zeros((size,), dtype))
