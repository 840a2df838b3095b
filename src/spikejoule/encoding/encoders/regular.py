"""The regular rate encoding: the rates of the Poisson encoding, at even intervals.

A pixel of intensity x in [0, 1] fires at the rate ``x * max_rate``. It has an
accumulator, which starts at the pixel's phase and grows by ``r = x * max_rate / 1000``
in every step of 1 ms. When the accumulator reaches one, the pixel fires and one is
subtracted, as in Nengo's ``RegularSpiking``. Over T steps the pixel fires

    floor(phase + T r)

times. The phase of pixel number p is the fractional part of p / golden ratio. This
spreads the phases of neighbouring pixels evenly, so that equal neighbours do not all
fire in the same step. The kernel computes exactly in integers, with r and the inverse
of the golden ratio rounded to multiples of 2^-32.
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


class Regular(ByLevel):
    """The Poisson encoding's rates at even intervals; nothing is random.

    Attributes:
        max_rate: firing rate of a white pixel, Hz.
    """

    reference: ClassVar = (
        "Nengo's RegularSpiking (Bekolay et al. 2014, doi:10.3389/fninf.2013.00048)"
    )
    formula: ClassVar = (
        "a spike where floor(phase + (t + 1) * pixel * max_rate / 1000) grows"
    )
    header_names: ClassVar = {"max_rate": "max_rate_hz"}

    max_rate: Real = Field(gt=0, le=1000)

    def table(self, intensities: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Return r of each intensity in units of 2^-32, uint64 [L]."""
        increments = intensities * (self.max_rate * STEP_MS / 1000)
        return np.rint(increments * 2.0**32).astype(np.uint64)

    def emit(
        self,
        levels: NDArray[Any],
        samples: NDArray[np.int64],
        key: np.uint64,
        table: Any,
        out: Any,
    ) -> None:
        """See :meth:`ByLevel.emit`."""
        from spikejoule.encoding.kernels.deterministic import LevelTable, encode_lanes

        encode_lanes(levels, LevelTable(increments=table), self.time_window, out)

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations:
        """Count the product r, and an addition and a comparison per step.

        Black pixels, found by one comparison each, need none of these.
        """
        n_steps = self.time_window if steps is None else steps
        return operations_of_pixels(
            images, 0.0, comparisons=n_steps, multiplications=1, additions=n_steps
        )

    @property
    def rate_hz(self) -> float:
        """Firing rate of a white pixel in Hz."""
        return self.max_rate
