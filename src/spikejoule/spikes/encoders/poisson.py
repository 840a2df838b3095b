"""The Poisson rate code.

A pixel of intensity x in [0, 1] fires in each step of 1 ms with probability
``p = x * max_rate_hz / 1000``, independently of everything else. Which steps those are depends on
(seed, split, epoch, sample) alone: not on the batch, the order, the threads or the process.
"""

import functools
import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.foundation.errors import ParameterError
from spikejoule.foundation.sections import Real
from spikejoule.spikes.encoder import Encoder
from spikejoule.spikes.events import MAX_SOURCES, STEP_MS, EventList
from spikejoule.spikes.kernels.structures import LaneSpikes

LEVELS = 256
"""Distinct intensities of an 8-bit image."""


class Poisson(Encoder):
    """The Poisson rate code of the seed notebook.

    Attributes:
        max_rate: firing rate of a white pixel, Hz.
    """

    name: ClassVar = "poisson"
    reference: ClassVar = "the seed notebook"
    formula: ClassVar = "p = (pixel * max_rate) / 1000 per timestep"
    header_names: ClassVar = {"max_rate": "max_rate_hz"}

    max_rate: Real = Field(gt=0, le=1000)

    def events(
        self,
        images: NDArray[np.generic],
        key: np.uint64,
        samples: NDArray[np.integer] | None = None,
    ) -> EventList:
        """The spikes of images; see :meth:`spikejoule.spikes.encoder.Encoder.events`."""
        return encode(images, self.time_window, self.max_rate, key, samples)

    def density(self, images: NDArray[np.uint8]) -> float:
        """Mean intensity times the probability that a white pixel fires in a step."""
        return float(images.mean()) / 255 * self.max_rate / 1000

    @property
    def rate_hz(self) -> float:
        """Firing rate of a white pixel in Hz."""
        return self.max_rate


def firing_probabilities(
    intensities: NDArray[np.float64], max_rate_hz: float
) -> NDArray[np.float64]:
    """Probability of a spike in one step, ``intensity * max_rate_hz / 1000``.

    Raises:
        ParameterError: an intensity outside [0, 1] or a rate outside (0, 1000] Hz.
    """
    if not 0 < max_rate_hz * STEP_MS <= 1000:
        raise ParameterError(
            f"max_rate is {max_rate_hz} Hz; it must lie in (0, 1000], since a pixel can fire at "
            "most once in a step of 1 ms"
        )
    if intensities.size and not (intensities.min() >= 0 and intensities.max() <= 1):
        raise ParameterError(
            f"pixels run from {intensities.min()} to {intensities.max()}; "
            "intensities must lie in [0, 1]"
        )
    return intensities * (max_rate_hz * STEP_MS / 1000)


def _gap_scale(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """-1 / log(1 - p): zero where p is 1, and minus one (never fires) where p is 0."""
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.abs(1 / np.log1p(-probabilities))
    return np.where(np.isinf(scale), -1.0, scale)


@functools.lru_cache(maxsize=8)
def _gap_scale_of_bytes(max_rate_hz: float) -> NDArray[np.float64]:
    """Gap scale of each 8-bit level; kept, because training asks for it in every batch."""
    intensities = np.arange(LEVELS) / (LEVELS - 1)
    return _gap_scale(firing_probabilities(intensities, max_rate_hz))


def _levels_and_gap_scale(
    images: NDArray[np.generic], max_rate_hz: float
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.float64]]:
    """Each pixel's level [N, P] and the gap scale of each level."""
    flat = np.ascontiguousarray(images.reshape(images.shape[0], math.prod(images.shape[1:])))
    if flat.dtype == np.uint8:
        return flat.view(np.uint8), _gap_scale_of_bytes(max_rate_hz)
    intensities = flat.astype(np.float64)
    if not np.isfinite(intensities).all():
        raise ParameterError("pixels must be finite numbers in [0, 1]; some are not finite")
    values, levels = np.unique(intensities, return_inverse=True)
    if values.size > MAX_SOURCES:
        raise ParameterError(
            f"the images have {values.size} distinct intensities; at most {MAX_SOURCES} are "
            "allowed: quantise them (8-bit images have 256)"
        )
    scale = _gap_scale(firing_probabilities(values, max_rate_hz))
    return levels.reshape(flat.shape).astype(np.uint16), scale


def encode(
    images: NDArray[np.generic],
    time_window: int,
    max_rate_hz: float,
    key: np.uint64,
    samples: NDArray[np.integer] | None = None,
) -> EventList:
    """Poisson rate code of images.

    Args:
        images: [N, ...]; uint8 (0 to 255) or floating point in [0, 1].
        time_window: T, steps of 1 ms, at least 1.
        max_rate_hz: firing rate of a white pixel, in (0, 1000] Hz.
        key: random streams of the pass, from :meth:`Encoder.draw_key`.
        samples: identity of each image within its split, [N]; its position if not given.

    Returns:
        the spikes, [N, T, P] as an event list.

    Raises:
        ParameterError: a window below 1, a rate or a pixel out of range.
    """
    # Compiling takes numba, which reading parameters does not need.
    from spikejoule.spikes.buffers import collect_events
    from spikejoule.spikes.kernels.poisson import encode_lanes

    if time_window < 1:
        raise ParameterError(f"time_window is {time_window}; it must be at least 1 step of 1 ms")
    if images.ndim < 2:
        raise ParameterError(f"images have {images.ndim} dimensions; [N, pixels...] is needed")
    levels, scale = _levels_and_gap_scale(images, max_rate_hz)
    n_images, n_pixels = levels.shape
    if not 1 <= n_pixels <= MAX_SOURCES - 1:
        raise ParameterError(f"images have {n_pixels} pixels; allowed are 1 to {MAX_SOURCES - 1}")
    identities = np.arange(n_images) if samples is None else np.asarray(samples)
    if identities.shape != (n_images,):
        raise ParameterError(
            f"samples name {identities.size} images, but there are {n_images}: one identity an "
            "image is needed"
        )
    identities = np.ascontiguousarray(identities, dtype=np.int64)

    def fill(chosen: slice, out: LaneSpikes) -> None:
        encode_lanes(levels[chosen], identities[chosen], key, scale, time_window, *out)

    return collect_events(n_images, time_window, n_pixels, fill)
