"""Shorthands for what tests build often: spikes of the default code, changed settings."""

from typing import TypeVar

import numpy as np

from spikejoule.core.parameters import Section
from spikejoule.encoding.encoders.poisson import Poisson, encode

__all__ = ["changed", "draw_key", "encode"]

S = TypeVar("S", bound=Section)


def draw_key(seed: int, split: str, epoch: int) -> np.uint64:
    """Key of the Poisson code's random streams."""
    return Poisson(time_window=1, max_rate=1.0).draw_key(seed, split, epoch)


def changed(section: S, **values: object) -> S:
    """The same settings but for some values."""
    return type(section).model_validate(section.model_dump() | values)
