"""The Poisson rate encoding.

A pixel of intensity x in [0, 1] fires in each step of 1 ms with probability
``p = x * max_rate_hz / 1000``, independently of everything else. Which steps those are depends on
(seed, split, epoch, sample) alone: not on the batch, the order, the threads or the process.
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


class Poisson(Encoder):
    """The Poisson rate encoding of the seed notebook.

    Attributes:
        max_rate: firing rate of a white pixel, Hz.
    """

    name: ClassVar = "poisson"
    reference: ClassVar = "the seed notebook"
    formula: ClassVar = "p = (pixel * max_rate) / 1000 per timestep"
    formula_name: ClassVar = "spike_prob_formula"
    header_names: ClassVar = {"max_rate": "max_rate_hz"}

    max_rate: Real = Field(gt=0, le=1000)

    def events(self, images: Images, key: np.uint64, samples: Identities = None) -> EventList:
        """The spikes of images; see :meth:`spikejoule.encoding.encoder.Encoder.events`."""
        # Compiling takes numba, which reading parameters does not need.
        from spikejoule.encoding.kernels import LaneSpikes, collect_events
        from spikejoule.encoding.kernels.poisson import encode_lanes

        levels, intensities = levels_of(images)
        n_images, n_pixels = levels.shape
        identities = identities_of(samples, n_images)
        if intensities is BYTE_INTENSITIES:
            scale, first_lit = _gap_scale_of_bytes(self.max_rate)
        else:
            scale, first_lit = _gap_scale(intensities, self.max_rate)

        def fill(chosen: slice, out: LaneSpikes) -> None:
            chosen_levels, chosen_ones = levels[chosen], identities[chosen]
            encode_lanes(chosen_levels, chosen_ones, key, scale, first_lit, self.time_window, *out)

        return collect_events(n_images, self.time_window, n_pixels, fill)

    def density(self, images: NDArray[np.uint8]) -> float:
        """Mean intensity times the probability that a white pixel fires in a step."""
        return float(images.mean()) / 255 * self.max_rate / 1000

    def operations(self, images: Images) -> EncodingOperations:
        """For each pixel that is not black its p, and in every step a number that p is compared to.

        A generator that does not know which pixels are black draws T numbers for those as well.
        """
        steps = self.time_window
        return operations_of_pixels(
            images, 0.0, random_draws=steps, comparisons=steps, multiplications=1
        )

    @property
    def rate_hz(self) -> float:
        """Firing rate of a white pixel in Hz."""
        return self.max_rate


def _gap_scale(
    intensities: NDArray[np.float64], max_rate_hz: float
) -> tuple[NDArray[np.float64], int]:
    """-1 / log(1 - p) of levels in ascending order, and the lowest level that may fire.

    p is the probability of a spike in one step, ``intensity * max_rate_hz / 1000``. The scale is
    zero where p is 1, and minus one where p is 0: such a level never fires.
    """
    probabilities = intensities * (max_rate_hz * STEP_MS / 1000)
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.abs(1 / np.log1p(-probabilities))
    never = np.isinf(scale)
    return np.where(never, -1.0, scale), int(np.count_nonzero(never))


@functools.lru_cache(maxsize=8)
def _gap_scale_of_bytes(max_rate_hz: float) -> tuple[NDArray[np.float64], int]:
    """That of the 8-bit levels; kept, because training asks for it in every batch."""
    return _gap_scale(BYTE_INTENSITIES, max_rate_hz)
