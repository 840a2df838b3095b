"""The regular rate encoding: the rate of the Poisson encoding, without chance.

A pixel of intensity x in [0, 1] fires at the rate ``x * max_rate`` in even intervals.
It has an accumulator that begins at the pixel's phase, grows by
``r = x * max_rate / 1000`` in every step of 1 ms, and gives a spike and loses one where
it reaches one: Nengo's ``RegularSpiking``. Phases are the fractional parts of p /
golden ratio for pixel p: those of neighbours are spread evenly, so that an area of
equal pixels does not fire all at once. Over T steps a pixel fires exactly

    floor(phase + T r)

times, with r and phase rounded to multiples of 2^-32.
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
    """The rate of the Poisson encoding in even intervals; depends on the image alone.

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
        """What each intensity adds to an accumulator in a step, in units of 2^-32,
        uint64 [L].
        """
        return np.rint(intensities * (self.max_rate * STEP_MS / 1000) * 2.0**32).astype(
            np.uint64
        )

    def emit(
        self,
        levels: NDArray[Any],
        samples: NDArray[np.int64],
        key: np.uint64,
        table: Any,
        out: Any,
    ) -> None:
        """Evenly spaced spikes, which depend on nothing else."""
        from spikejoule.encoding.kernels.deterministic import Table, encode_lanes

        encode_lanes(levels, Table(increments=table), self.time_window, out)

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations:
        """For each pixel that is not black its r; in every step an addition and a
        comparison.
        """
        of_each = self.time_window if steps is None else steps
        return operations_of_pixels(
            images, 0.0, comparisons=of_each, multiplications=1, additions=of_each
        )

    @property
    def rate_hz(self) -> float:
        """Firing rate of a white pixel in Hz."""
        return self.max_rate
