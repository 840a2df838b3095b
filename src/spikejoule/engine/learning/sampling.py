"""How many deltas travel back between hidden layers (kernels/sampling.py)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.streams import stream_start
from spikejoule.engine.learning.kernels.structures import Sampling

FIRST_SCALE = 1e-12
"""Below any delta: the first batches keep nearly all of them."""

ADAPTATION = 0.25
"""Exponent of the correction after a batch. Deltas differ from batch to batch, and the
scale follows their mean over about four batches."""


class DeltaSampler:
    """The scales of the layers, which keep the wanted fraction of their deltas.

    A delta as large as its layer's scale is always kept, so most are kept with a
    probability that is inversely proportional to the scale. After each batch, the scale
    is corrected by the fraction that was kept. That fraction is a ratio of whole
    numbers, which no order of the samples changes.

    Args:
        fraction: of the deltas to keep; 1 for an exact backward pass.
        sizes: neurons of each layer after the input.
        dtype: of the deltas.
    """

    def __init__(self, fraction: float, sizes: Sequence[int], dtype: DTypeLike) -> None:
        self._fraction = fraction
        self._sizes = np.array(sizes)
        # Nothing goes back from the first layer. The output layer has few deltas, and
        # keeps them all.
        is_sampled = fraction < 1 and len(sizes) > 2
        n_scales = len(sizes) if is_sampled else 0
        self.scales: NDArray[np.float64] = np.full(n_scales, FIRST_SCALE)
        self._dtype = dtype
        self._nothing = Sampling(np.empty(0, dtype), np.uint64(0))

    def draw(self, seed: int, step: int) -> Sampling:
        """Return the scales and the random stream of an optimizer step."""
        if not self.scales.size:
            return self._nothing
        key = stream_start(np.uint64(seed), step)
        return Sampling(self.scales.astype(self._dtype), np.uint64(key))

    def adapt(self, kept: Sequence[int], n_rows: int) -> None:
        """Correct the scales after a batch.

        Args:
            kept: deltas of each layer that travelled back.
            n_rows: samples of the batch times steps.
        """
        if self.scales.size:
            wanted = self._fraction * n_rows * self._sizes
            # A batch that kept nothing counts as one that kept one delta.
            ratios = np.maximum(kept, 1) / wanted
            scales = self.scales[1:-1] * ratios[1:-1] ** ADAPTATION
            # A scale of zero could never grow again.
            self.scales[1:-1] = np.maximum(scales, FIRST_SCALE)
