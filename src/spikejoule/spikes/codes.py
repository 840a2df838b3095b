"""How images became spikes, as files say it."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from spikejoule.foundation.errors import ArtifactError
from spikejoule.foundation.records import Record, Sha256
from spikejoule.spikes.events import EventList, load_events

Split = Literal["validation", "test"]


class PoissonCode(Record):
    """The Poisson rate code: `time_window` steps of 1 ms, `max_rate_hz` for a white pixel."""

    type: Literal["poisson"]
    time_window: int = Field(ge=1, le=10_000)
    max_rate_hz: float = Field(gt=0, le=1000)
    seed: int = Field(ge=0, lt=2**32)


class EncodedImages(PoissonCode):
    """What an event list was made from; `images_sha256` is that of the pixels."""

    split: Split
    images_sha256: Sha256


def load_encoded_images(path: Path) -> tuple[EventList, EncodedImages]:
    """Read an event list of images.

    Raises ArtifactError if it is missing or damaged, or if its header tells of another window.
    """
    events, header = load_events(path)
    code = EncodedImages.from_content(path, header)
    if code.time_window != events.n_steps:
        raise ArtifactError(
            f"{path} holds {events.n_steps} steps, but states a window of {code.time_window}: "
            "run the encode stage again."
        )
    return events, code
