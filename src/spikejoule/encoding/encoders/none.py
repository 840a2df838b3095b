"""No encoding: the samples are events of a sensor, with time stamps.

:mod:`spikejoule.encoding.binning` brings them to the steps of the network, drops events
outside the window, merges events of one unit and step, and counts both.
"""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import Real
from spikejoule.data.events import LabelledEvents
from spikejoule.encoding.binning import bin_all
from spikejoule.encoding.encoder import Encoded, Encoder, Identities
from spikejoule.encoding.events import EventList


class NoEncoding(Encoder):
    """Events as they are, in `time_window` steps of ``window_ms / time_window`` each.

    Attributes:
        window_ms: length of the window in milliseconds.
    """

    reference: ClassVar = "the sensor's own events"
    formula: ClassVar = "step = floor(time * time_window / window)"
    takes: ClassVar = "events"

    window_ms: Real = Field(default=300.0, ge=0.001, le=4_000_000)

    @property
    def window_us(self) -> int:
        """The window in whole microseconds."""
        return round(self.window_ms * 1000)

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step."""
        return self.window_ms / self.time_window

    def encode(
        self, images: Any, key: np.uint64, samples: Identities = None
    ) -> Encoded:
        """Bin `LabelledEvents`, and count the dropped and merged ones.

        `key` and `samples` are not used, since nothing is drawn. Raises ParameterError
        for images.
        """
        if not isinstance(images, LabelledEvents):
            raise ParameterError(
                "encode.encoding: 'none' takes samples that are events, but these "
                "are images"
            )
        return bin_all(images, self.time_window, self.window_us)

    def events(
        self, images: Any, key: np.uint64, samples: Identities = None
    ) -> EventList:
        """Bin events; arguments and errors as for :meth:`encode`."""
        return self.encode(images, key, samples).events
