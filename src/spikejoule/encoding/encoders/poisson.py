"""The Poisson rate encoding.

A pixel of intensity x in [0, 1] fires in each step of 1 ms with probability
``p = x * max_rate_hz / 1000``, independently of everything else. The draws depend on
(seed, split, epoch, sample) only: not on batch, order, threads or process.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.encoding.encoder import (
    ByLevel,
    EncodingOperations,
    Images,
    operations_of_pixels,
)
from spikejoule.encoding.events import STEP_MS


class Poisson(ByLevel):
    """The Poisson rate encoding of the original notebook.

    Attributes:
        max_rate: firing rate of a white pixel, Hz.
    """

    reference: ClassVar = "the original notebook"
    formula: ClassVar = "p = (pixel * max_rate) / 1000 per timestep"
    formula_name: ClassVar = "spike_prob_formula"
    header_names: ClassVar = {"max_rate": "max_rate_hz"}

    max_rate: Real = Field(gt=0, le=1000)

    def table(
        self, intensities: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], int]:
        """Return -1 / log(1 - p) of each intensity, and the first that may fire.

        p is the probability of a spike in one step, ``intensity * max_rate / 1000``.
        The scale is zero where p is 1, and minus one where p is 0, which never fires.
        """
        probabilities = intensities * (self.max_rate * STEP_MS / 1000)
        with np.errstate(divide="ignore", over="ignore"):
            scale = np.abs(1 / np.log1p(-probabilities))
        never = np.isinf(scale)
        return np.where(never, -1.0, scale), int(np.count_nonzero(never))

    def emit(
        self,
        levels: NDArray[Any],
        samples: NDArray[np.int64],
        key: np.uint64,
        table: Any,
        out: Any,
    ) -> None:
        """See :meth:`ByLevel.emit`; each image has a random stream of its own."""
        from spikejoule.encoding.kernels.poisson import GapTable, Images, encode_lanes

        encode_lanes(
            Images(levels, samples, key), GapTable(*table), self.time_window, out
        )

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations:
        """Count p of each pixel that is not black, and a draw and comparison per step.

        A generator that does not skip black pixels draws T numbers for those as well.
        """
        n_steps = self.time_window if steps is None else steps
        return operations_of_pixels(
            images, 0.0, random_draws=n_steps, comparisons=n_steps, multiplications=1
        )

    @property
    def rate_hz(self) -> float:
        """Firing rate of a white pixel in Hz."""
        return self.max_rate
