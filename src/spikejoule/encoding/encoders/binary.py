"""The binary encoding: all pixels above a level fire once, in the first step.

These are the pixels of 1 bit that conventional networks read, as spikes. The time
window is then the number of steps that the network may take for its answer: 1 for one
pass through its layers, more for spikes of neurons that integrate over several steps.
"""

from typing import ClassVar

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


class Binary(OncePerPixel):
    """One spike in step 0 per pixel above a level; depends on the image only.

    Attributes:
        binary_threshold: intensity that a pixel must exceed to fire.
    """

    reference: ClassVar = "Hubara et al. 2016, arXiv:1602.02830 (binary activations)"
    formula: ClassVar = "t = 0 if pixel > binary_threshold"

    binary_threshold: Real = Field(default=0.5, ge=0, lt=1)

    def table(self, intensities: NDArray[np.float64]) -> NDArray[np.uint16]:
        """See :class:`OncePerPixel`."""
        fires = intensities > self.binary_threshold
        return np.where(fires, 0, self.time_window).astype(np.uint16)

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations:
        """Count one comparison per pixel."""
        return operations_of_pixels(images, self.binary_threshold)
