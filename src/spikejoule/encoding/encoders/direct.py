"""The direct encoding: the image itself as a constant current into the first layer.

There are no input spikes. A pixel of intensity x in [0, 1] adds ``x * w`` to the
potential of each neuron that it reaches, in every step; the first layer turns this into
spikes for the following layers (the analog input of Rueckauer et al., Frontiers in
Neuroscience 11, 2017; the direct input encoding of Rathi and Roy, DIET-SNN, 2021). It
is the same as repeating the image over the steps, as users of snnTorch and SpikingJelly
do.

It costs multiply-accumulates in the first layer, one for each pixel that is not black
and each of its synapses. The sums do not change over the window: hardware may keep them
and add them in every step, or multiply again in every step.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.encoder import (
    INTENSITIES,
    Encoder,
    EncodingOperations,
    Identities,
    Images,
    pixels_of,
)
from spikejoule.encoding.events import Currents, EventList, Products


class Direct(Encoder):
    """The image as a constant current; depends on the image only.

    Attributes:
        direct_products: whether hardware multiplies ``once`` per inference, or in
            ``every_step``.
    """

    reference: ClassVar = (
        "Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682; "
        "Rathi and Roy 2021, arXiv:2008.03658"
    )
    formula: ClassVar = "current = sum of pixel * weight, the same in every step"
    formula_name: ClassVar = "current_formula"

    direct_products: Products = "once"

    def events(
        self, images: Images, key: np.uint64, samples: Identities = None
    ) -> EventList:
        """Return the intensities, rounded to float32, as currents; no spikes."""
        pixels = pixels_of(images)
        values = INTENSITIES.astype(np.float32)[pixels]
        currents = Currents.from_dense(values, self.direct_products)
        return EventList.of_currents(currents, self.time_window, pixels.shape[1])

    def operations(
        self, images: Images, steps: NDArray[np.int64] | None = None
    ) -> EncodingOperations:
        """Return zeros: products with pixels are operations of the first layer."""
        zeros = np.zeros(len(pixels_of(images)), dtype=np.int64)
        return EncodingOperations(*[zeros] * 5)

    @property
    def input_products(self) -> Products:
        """See :attr:`Encoder.input_products`."""
        return self.direct_products
