"""The interface between the event trainer and its two sets of kernels."""

from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import aligned_zeros
from spikejoule.engine.kernels.structures import ConstantInputs
from spikejoule.engine.layout import Masks, ParameterLayout
from spikejoule.engine.learning.kernels.structures import (
    BatchGradient,
    LabelledBatch,
    Learning,
    Sampling,
)


class GradientSet(Protocol):
    """Compiled kernels for both passes, with the working memory of one network.

    Attributes:
        fan_outs: synapses that each source reaches; the input of the first layer first.
    """

    fan_outs: NDArray[np.int64]

    def prune(self, masks: Masks) -> None:
        """Count only the remaining synapses from now on."""

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs,
        learning: Learning,
        sampling: Sampling,
        threads: int,
    ) -> BatchGradient:
        """Run both passes of a batch; return losses, counts and lane gradients."""


def new_gradient(
    layout: ParameterLayout, lanes: int, parts: int, dtype: DTypeLike
) -> BatchGradient:
    """Allocate the results of a batch.

    Args:
        layout: of the parameters.
        lanes: copies of the gradient.
        parts: parts of the batch that count separately: lanes, or slots for groups.
        dtype: of the parameters.
    """
    # Correct samples, spikes of each layer with the input, events of each connection.
    n_counts = 2 + 2 * len(layout.forward) + 2 * len(layout.connections)
    return BatchGradient(
        gradients=aligned_zeros((lanes, layout.size), dtype),
        touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
        squares=np.zeros(layout.rows.chunks.size - 1),
        losses=np.zeros(lanes),
        counts=np.zeros((parts, n_counts), dtype=np.int64),
    )
