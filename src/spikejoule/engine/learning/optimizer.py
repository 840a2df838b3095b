"""Adam, gradient clipping and grids for the event trainer; see kernels/optimizer.py."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import aligned_zeros
from spikejoule.engine.kernels.structures import ParameterRows
from spikejoule.engine.layout import ParameterLayout
from spikejoule.engine.learning.kernels.optimizer import (
    TINY,
    adam_step,
    clip_coefficient,
)
from spikejoule.engine.learning.kernels.structures import (
    AdamArrays,
    AdamSettings,
    BatchGradient,
    Grids,
    Moments,
)
from spikejoule.network.integers import quantisation_of
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON, LearningSettings
from spikejoule.network.network import Network

BETA1, BETA2 = ADAM_BETAS


class Adam:
    """The state of Adam over flat parameters.

    Args:
        settings: clipping and weight decay.
        rows: the rows of the parameters.
        size: elements of the flat array, P.
        dtype: of the parameters.

    Attributes:
        moments: zeros before the first step.
        steps_taken: number of steps.
        kept: 1 for each parameter that is kept and 0 for a pruned one, which stays
            zero, real [P]; of size 0 without pruning.
    """

    def __init__(
        self,
        settings: LearningSettings,
        rows: ParameterRows,
        size: int,
        dtype: DTypeLike,
    ) -> None:
        self._rows = rows
        self._max_norm = settings.grad_clip_norm
        # Settings have the parameters' type: a float64 among them would make the
        # kernels compute in double precision.
        real: Callable[[float], Any] = np.dtype(dtype).type
        self._real = real
        self._settings = AdamSettings(
            clip=real(1),
            weight_decay=real(settings.weight_decay),
            beta1=real(BETA1),
            rest1=real(1 - BETA1),
            beta2=real(BETA2),
            rest2=real(1 - BETA2),
            rate=real(0),
            correction=real(1),
            epsilon=real(ADAM_EPSILON),
            tiny=real(TINY),
        )
        self.moments = Moments(
            aligned_zeros((size,), dtype), aligned_zeros((size,), dtype)
        )
        self.steps_taken = 0
        self.kept: NDArray[Any] = np.empty(0, dtype)

    def step(
        self, parameters: NDArray[Any], gradient: BatchGradient, learning_rate: float
    ) -> None:
        """Take one step in place, with the gradient in lane 0, and clear it."""
        self.steps_taken += 1
        correction1 = 1 - BETA1**self.steps_taken
        correction2 = 1 - BETA2**self.steps_taken
        settings = self._settings._replace(
            clip=self._real(clip_coefficient(gradient.squares, self._max_norm)),
            rate=self._real(learning_rate / correction1),
            correction=self._real(1 / math.sqrt(correction2)),
        )
        arrays = AdamArrays(
            parameters=parameters,
            gradient=gradient.gradients[0],
            touched=gradient.touched[0],
            first=self.moments.first,
            second=self.moments.second,
            kept=self.kept,
        )
        chunks = self._rows.chunks.size - 1
        adam_step(chunks, tuple(arrays), tuple(self._rows), tuple(settings))


def row_grids(network: Network, layout: ParameterLayout, dtype: DTypeLike) -> Grids:
    """Return the grid of every row of parameters of a quantised network."""
    quantisation = quantisation_of(network)
    n_rows = layout.rows.starts.size
    per_unit = np.empty(n_rows, dtype)
    limits = np.empty(n_rows, dtype)
    for layer, exponent in zip(layout.connections, quantisation.exponents, strict=True):
        first_row = layer.weights.first_row
        bias_row = layer.biases.first_row
        per_unit[first_row : bias_row + 1] = 2.0**exponent
        limits[first_row:bias_row] = quantisation.largest_weight
        limits[bias_row] = quantisation.largest_bias
    return Grids(per_unit, 1 / per_unit, limits)
