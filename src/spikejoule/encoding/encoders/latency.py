"""The latency encoding: one spike per pixel, the brighter the earlier.

The time of a neuron's first spike is enough to classify (Thorpe, Delorme and Van
Rullen, Neural Networks 14, 2001). A pixel of intensity x in [0, 1] above the threshold
fires once, in a step from 0 to T - 1; one at or below it never fires:

    linear       t = (T - 1) (1 - x)
    logarithmic  t = (T - 1) - ln(1 + (e^(T - 1) - 1) x)

rounded to the nearest step, halves to even. White fires in step 0. The threshold
silences pixels without moving spikes, so steps after that of the threshold stay empty.

The linear curve is that of snnTorch's
``spikegen.latency(linear=True, normalize=True, clip=True)`` and of SpikingJelly's
``LatencyEncoder("linear")``; the logarithmic one is that of ``LatencyEncoder("log")``,
about -ln(x), which is below 5.6 for every 8-bit pixel that is not black: a window above
7 steps adds empty ones. Both libraries compute in float32. SpikingJelly has no
threshold, and in snnTorch a pixel at the threshold fires too. Other logarithmic curves
differ: snnTorch's has its pole at the threshold, and that of T2FSNN (Park et al., DAC
2020) has a time constant.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.encoding.encoder import (
    EncodingOperations,
    Images,
    OncePerPixel,
    operations_of_pixels,
)

Curve = Literal["linear", "logarithmic"]


class Latency(OncePerPixel):
    """One spike per pixel above a threshold; depends on the image only.

    Attributes:
        latency_threshold: intensity that a pixel must exceed to fire.
        latency_curve: time by intensity, ``linear`` or ``logarithmic``.
    """

    reference: ClassVar = (
        "Thorpe, Delorme and Van Rullen 2001, doi:10.1016/S0893-6080(01)00083-1"
    )
    formula: ClassVar = (
        "t = (T - 1) (1 - pixel), or T - 1 - ln(1 + (e^(T - 1) - 1) pixel); rounded; "
        "if pixel > latency_threshold"
    )

    latency_threshold: Real = Field(default=0.2, ge=0, lt=1)
    latency_curve: Curve = "linear"

    def table(self, intensities: NDArray[np.float64]) -> NDArray[np.uint16]:
        """See :class:`OncePerPixel`."""
        last = self.time_window - 1
        if self.latency_curve == "linear":
            times = last * (1 - intensities)
        else:
            # With logaddexp, since e^(T - 1) itself overflows from T = 711 on.
            with np.errstate(divide="ignore"):
                scale = last + np.log(-np.expm1(-float(last)))
                times = last - np.logaddexp(0, scale + np.log(intensities))
        fires = intensities > self.latency_threshold
        return np.where(fires, np.rint(times), self.time_window).astype(np.uint16)

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations:
        """Count the time of each pixel that fires, and two additions to order it.

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
