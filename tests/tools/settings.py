"""Shorthands: spikes of the default encoding, changed settings."""

from typing import TypeVar

import numpy as np

from spikejoule.core.parameters import ParameterSection
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList

S = TypeVar("S", bound=ParameterSection)


def encode(
    images: np.ndarray,
    time_window: int,
    max_rate_hz: float,
    key: np.uint64,
    samples: np.ndarray | None = None,
) -> EventList:
    """Encode images with the Poisson encoding."""
    return Poisson(time_window=time_window, max_rate=max_rate_hz).events(
        images, key, samples
    )


def draw_key(seed: int, split: str, epoch: int) -> np.uint64:
    """Return the key of the Poisson encoding's random streams."""
    return Poisson(time_window=1, max_rate=1.0).draw_key(seed, split, epoch)


def changed(section: S, **values: object) -> S:
    """Copy settings with some values changed."""
    return type(section).model_validate(section.model_dump() | values)
