"""What encoding gave, as figures: metrics/encode.json."""

from pydantic import Field

from spikejoule.core.schema import Count, NotNegative, Record
from spikejoule.encoding.encoder import Encoded


class SplitFigures(Record):
    """Figures of one split.

    Attributes:
        samples: how many there are.
        spikes: input spikes of all of them; 0 for constant currents.
        density: share of (sample, step, unit) places that hold a spike.
        events_dropped, events_merged: events of a sensor that lie outside of the window, and that
            repeat the unit and step of another; not stated of images.
    """

    samples: int = Field(ge=1)
    spikes: Count
    density: NotNegative
    events_dropped: Count | None = None
    events_merged: Count | None = None

    @staticmethod
    def of(encoded: Encoded, from_sensor: bool) -> "SplitFigures":
        """The figures of a split, from a sensor or from images."""
        events = encoded.events
        figures = {
            "samples": events.n_samples,
            "spikes": events.n_events,
            "density": events.density,
        }
        if from_sensor:
            figures |= {"events_dropped": encoded.dropped, "events_merged": encoded.merged}
        return SplitFigures.model_validate(figures)


class EncodeMetrics(Record):
    """Figures of the splits that are encoded once."""

    validation: SplitFigures
    test: SplitFigures
