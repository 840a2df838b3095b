"""The latency encoding: one spike a pixel, the brighter the earlier.

What a neuron tells by the time of its first spike is enough to classify, and needs one spike
(Thorpe, Delorme and Van Rullen, Neural Networks 14, 2001). A pixel of intensity x in [0, 1] above
the threshold fires once, in a step from 0 to T - 1; one at or below it never does:

    linear       t = (T - 1) (1 - x)
    logarithmic  t = (T - 1) - ln(1 + (e^(T - 1) - 1) x)

rounded to the nearest step, halves to the even one. White fires in step 0. The threshold silences
pixels and moves no spike, so that steps after that of the threshold stay empty.

The linear curve is that of snnTorch's ``spikegen.latency(linear=True, normalize=True, clip=True)``
and of SpikingJelly's ``LatencyEncoder("linear")``; the logarithmic one is that of
``LatencyEncoder("log")``, about -ln(x), which is below 5.6 for every pixel of 8 bits that is not
black: a window above 7 steps adds empty ones. Both libraries compute in float32. SpikingJelly knows
no threshold, and snnTorch lets a pixel at the threshold fire, too. Other logarithmic curves differ:
snnTorch's has its pole at the threshold, and that of T2FSNN (Park et al., DAC 2020) has a time
constant.
"""

import functools
from typing import ClassVar, Literal

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
from spikejoule.encoding.events import EventList

Curve = Literal["linear", "logarithmic"]


class Latency(Encoder):
    """One spike a pixel above a threshold, the brighter the earlier; depends on the image alone.

    Attributes:
        latency_threshold: intensity that a pixel must exceed to fire.
        latency_curve: from intensity to time, ``linear`` or ``logarithmic``.
    """

    name: ClassVar = "latency"
    reference: ClassVar = "Thorpe, Delorme and Van Rullen 2001, doi:10.1016/S0893-6080(01)00083-1"
    formula: ClassVar = (
        "t = (T - 1) (1 - pixel), or T - 1 - ln(1 + (e^(T - 1) - 1) pixel); rounded; "
        "if pixel > latency_threshold"
    )

    latency_threshold: Real = Field(default=0.2, ge=0, lt=1)
    latency_curve: Curve = "linear"

    def events(self, images: Images, key: np.uint64, samples: Identities = None) -> EventList:
        """The spikes of images, which depend on nothing else."""
        # Compiling takes numba, which reading parameters does not need.
        from spikejoule.encoding.kernels import LaneSpikes, collect_events
        from spikejoule.encoding.kernels.deterministic import latency_lanes

        levels, intensities = levels_of(images)
        n_images, n_pixels = levels.shape
        identities_of(samples, n_images)
        steps = self.steps_of(intensities)
        first_level = np.count_nonzero(steps == self.time_window)  # intensities ascend

        def fill(chosen: slice, out: LaneSpikes) -> None:
            latency_lanes(levels[chosen], first_level, steps, self.time_window, *out)

        return collect_events(n_images, self.time_window, n_pixels, fill)

    def density(self, images: NDArray[np.uint8]) -> float:
        """Fraction of the pixels that fire, in one of T steps."""
        fires = self.steps_of(BYTE_INTENSITIES) < self.time_window
        return float(fires @ np.bincount(images.ravel(), minlength=256)) / (
            images.size * self.time_window
        )

    def operations(self, images: Images) -> EncodingOperations:
        """For each pixel that fires its t, and two additions to put it in order.

        A counting sort counts the spikes of each step, adds these up, and counts again.
        """
        logarithms = int(self.latency_curve == "logarithmic")
        return operations_of_pixels(
            images,
            self.latency_threshold,
            multiplications=1,
            additions=3 + logarithms,
            logarithms=logarithms,
            additions_per_image=self.time_window,
        )

    def steps_of(self, intensities: NDArray[np.float64]) -> NDArray[np.uint16]:
        """The step in which each intensity fires, uint16 [L]; T for one that never does."""
        if intensities is BYTE_INTENSITIES:
            return _steps_of_bytes(self)
        return _steps(self, intensities)


def _steps(encoder: Latency, intensities: NDArray[np.float64]) -> NDArray[np.uint16]:
    last = encoder.time_window - 1
    if encoder.latency_curve == "linear":
        times = last * (1 - intensities)
    else:
        # As a sum of exponentials' logarithms: e^(T - 1) itself overflows from T = 711 on.
        with np.errstate(divide="ignore"):
            scale = last + np.log(-np.expm1(-float(last)))
            times = last - np.logaddexp(0, scale + np.log(intensities))
    fires = intensities > encoder.latency_threshold
    return np.where(fires, np.rint(times), encoder.time_window).astype(np.uint16)


@functools.lru_cache(maxsize=8)
def _steps_of_bytes(encoder: Latency) -> NDArray[np.uint16]:
    """The step of each 8-bit level; kept, because training asks for it in every batch."""
    return _steps(encoder, BYTE_INTENSITIES)
