"""No encoding: the samples are events from birth, of a sensor that stamps them with
their time.

Events are brought to the steps of the network (:mod:`spikejoule.encoding.binning`):
with a fixed window an event at time t falls into step ``floor(t T / window)``. Those
outside of the window are dropped, those that repeat the unit and step of another are
merged with it, and both are counted.
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
    """Events as they are, in steps of ``window_ms / time_window``.

    Attributes:
        window_ms: length of all steps together, milliseconds.
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
        """The events in steps, and how many were dropped and merged.

        Args:
            images: `LabelledEvents`.
            key: not used, since nothing is drawn.
            samples: likewise.

        Raises:
            ParameterError: the samples are images.
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
        """The events in steps; arguments and errors as of :meth:`encode`."""
        return self.encode(images, key, samples).events
