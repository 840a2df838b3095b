"""The regular rate encoding: the rate of the Poisson encoding, without chance.

A pixel of intensity x in [0, 1] fires at the rate ``x * max_rate`` in even intervals. It has an
accumulator that begins at the pixel's phase, grows by ``r = x * max_rate / 1000`` in every step of
1 ms, and gives a spike and loses one where it reaches one: Nengo's ``RegularSpiking``. Phases are
the fractional parts of p / golden ratio for pixel p: those of neighbours are spread evenly, so that
an area of equal pixels does not fire all at once. Over T steps a pixel fires exactly

    floor(phase + T r)

times, with r and phase rounded to multiples of 2^-32.
"""

import functools
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.encoding.encoder import (
    BYTE_INTENSITIES,
    Encoder,
    EncodingOperations,
    Identities,
    Images,
    identities_of,
    levels_of,
    operations_of_pixels,
)
from spikejoule.encoding.events import STEP_MS, EventList

_BITS = 32
_CHUNK = 1024  # images whose pixels' spike counts are held at a time


class Regular(Encoder):
    """The rate of the Poisson encoding in even intervals; depends on the image alone.

    Attributes:
        max_rate: firing rate of a white pixel, Hz.
    """

    name: ClassVar = "regular"
    reference: ClassVar = (
        "Nengo's RegularSpiking (Bekolay et al. 2014, doi:10.3389/fninf.2013.00048)"
    )
    formula: ClassVar = "a spike where floor(phase + (t + 1) * pixel * max_rate / 1000) grows"
    header_names: ClassVar = {"max_rate": "max_rate_hz"}

    max_rate: Real = Field(gt=0, le=1000)

    def events(self, images: Images, key: np.uint64, samples: Identities = None) -> EventList:
        """The spikes of images, which depend on nothing else."""
        # Compiling takes numba, which reading parameters does not need.
        from spikejoule.encoding.kernels import LaneSpikes, collect_events
        from spikejoule.encoding.kernels.deterministic import regular_lanes

        levels, intensities = levels_of(images)
        n_images, n_pixels = levels.shape
        identities_of(samples, n_images)
        increments = self.increments_of(intensities)

        def fill(chosen: slice, out: LaneSpikes) -> None:
            regular_lanes(levels[chosen], increments, self.time_window, *out)

        return collect_events(n_images, self.time_window, n_pixels, fill)

    def density(self, images: NDArray[np.uint8]) -> float:
        """Spikes of all pixels by the closed form, over the places for one."""
        levels, intensities = levels_of(images)
        phases = phases_of(levels.shape[1])
        counts = (phases + self.time_window * self.increments_of(intensities)[:, None]) >> _BITS
        pixels = np.arange(levels.shape[1])
        spikes = sum(
            int(counts[levels[first : first + _CHUNK], pixels].sum())
            for first in range(0, len(levels), _CHUNK)
        )
        return spikes / (images.size * self.time_window)

    def operations(self, images: Images) -> EncodingOperations:
        """For each pixel that is not black its r; in every step an addition and a comparison."""
        steps = self.time_window
        return operations_of_pixels(
            images, 0.0, comparisons=steps, multiplications=1, additions=steps
        )

    @property
    def rate_hz(self) -> float:
        """Firing rate of a white pixel in Hz."""
        return self.max_rate

    def increments_of(self, intensities: NDArray[np.float64]) -> NDArray[np.uint64]:
        """What each intensity adds to an accumulator in a step, in units of 2^-32, uint64 [L]."""
        if intensities is BYTE_INTENSITIES:
            return _increments_of_bytes(self.max_rate)
        return _increments(intensities, self.max_rate)


def phases_of(n_pixels: int) -> NDArray[np.uint64]:
    """What each pixel's accumulator begins with, in units of 2^-32, uint64 [P]."""
    from spikejoule.encoding.kernels.deterministic import PHASE_STEP

    return np.arange(n_pixels, dtype=np.uint64) * np.uint64(PHASE_STEP) % np.uint64(1 << _BITS)


def _increments(intensities: NDArray[np.float64], max_rate_hz: float) -> NDArray[np.uint64]:
    return np.rint(intensities * (max_rate_hz * STEP_MS / 1000) * (1 << _BITS)).astype(np.uint64)


@functools.lru_cache(maxsize=8)
def _increments_of_bytes(max_rate_hz: float) -> NDArray[np.uint64]:
    """The increment of each 8-bit level; kept, because training asks for it in every batch."""
    return _increments(BYTE_INTENSITIES, max_rate_hz)
