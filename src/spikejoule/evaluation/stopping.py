"""The spikes of a network that stops before its window is over, image by image."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.evaluation.measurement import Measurement


def stopped_after(measured: Measurement, steps: NDArray[np.int64]) -> Measurement:
    """The same images, each of them stopped after so many steps, int64 [N], from 1 to T.

    The window keeps its T steps; those after the last are silent.
    """
    return replace(measured, layers=tuple(_until(layer, steps) for layer in measured.layers))


def _until(layer: EventList, steps: NDArray[np.int64]) -> EventList:
    lengths = np.diff(layer.offsets)
    runs = np.arange(layer.n_steps) < steps[:, None]
    kept = np.repeat(runs.ravel(), lengths)
    offsets = np.zeros_like(layer.offsets)
    np.cumsum(lengths * runs.ravel(), out=offsets[1:])
    return replace(layer, sources=layer.sources[kept], offsets=offsets)
