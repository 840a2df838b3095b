"""Binning: time-stamped events of a sensor, brought to the steps of a network.

With a fixed window an event at time t falls into step ``floor(t T / window)``. Events
outside the window are dropped; an event with the unit and step of another is merged
with it, since a unit fires at most once in a step. Both are counted.

The conventional networks, which do not see time, read images: how often each unit
spikes in the window.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.data.events import EventSamples, LabelledEvents
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import class_counts
from spikejoule.encoding.encoder import Encoded, Encoder
from spikejoule.encoding.events import (
    MAX_STEPS,
    MAX_UNITS,
    EventList,
    concatenate_samples,
)

_CELLS_PER_EVENT = 64


def bin_all(samples: LabelledEvents, n_steps: int, window_us: int) -> Encoded:
    """Bin the events of all samples, a few megabytes of them at a time.

    Arguments and errors as for :func:`bin_events`.
    """
    parts = [
        bin_events(block, samples.setting.n_units, n_steps, window_us)
        for block in samples.events.blocks()
    ]
    return Encoded(
        concatenate_samples([part.events for part in parts]),
        np.concatenate([part.dropped for part in parts]),
        np.concatenate([part.merged for part in parts]),
    )


def bin_events(
    samples: EventSamples, n_units: int, n_steps: int, window_us: int
) -> Encoded:
    """Bin events, and count those of each sample that are dropped and merged.

    Args:
        samples: events of N samples.
        n_units: units of the layer.
        n_steps: T, from 1 to MAX_STEPS.
        window_us: length of the window in microseconds, at least 1; all steps are
            equally long.

    Raises:
        ParameterError: too many steps or units.
    """
    if not 1 <= n_steps <= MAX_STEPS or n_units > MAX_UNITS:
        raise ParameterError(
            f"events of {n_units:,} units in {n_steps:,} steps; allowed are "
            f"{MAX_UNITS:,} units and 1 to {MAX_STEPS:,} steps"
        )
    n_samples = len(samples)
    inside = samples.times.astype(np.int64) < window_us
    of_sample = np.repeat(np.arange(n_samples), np.diff(samples.offsets))
    dropped = np.bincount(of_sample[~inside], minlength=n_samples)
    steps = samples.times[inside].astype(np.int64) * n_steps // window_us
    rows = of_sample[inside] * n_steps + steps
    repeated = rows * n_units + samples.units[inside]
    places = _distinct(repeated, n_samples * n_steps * n_units)
    kept_rows, sources = np.divmod(places, n_units)
    events = EventList.from_rows(kept_rows, sources, n_samples, n_steps, n_units)
    n_inside = np.bincount(of_sample[inside], minlength=n_samples)
    merged = n_inside - events.counts_per_sample()
    return Encoded(events, dropped.astype(np.int64), merged.astype(np.int64))


def _distinct(places: NDArray[np.int64], n_places: int) -> NDArray[np.int64]:
    """Return the distinct places in order.

    A map of all places needs no sort, and is used where it is not too empty. Places are
    below 2**62 for fewer than 2**24 samples of 10,000 steps and 2**24 units.
    """
    if n_places > _CELLS_PER_EVENT * places.size:
        return np.unique(places)
    taken = np.zeros(n_places, dtype=np.bool_)
    taken[places] = True
    return np.flatnonzero(taken)


WHITE = 255
_BLOCK_SAMPLES = 1024
_BLOCK_COUNTS = 1 << 22


def largest_count(samples: LabelledEvents, encoder: Encoder) -> int:
    """Return the most spikes of a unit in a sample, at least 1."""
    largest = (int(counts.max(initial=1)) for counts in _counts(samples, encoder))
    return max(largest, default=1)


def summed_images(
    samples: LabelledEvents, encoder: Encoder, gain: int
) -> LabelledImages:
    """Make images of samples: the spikes of each unit, times `gain`, at most 255.

    The spikes are those that the spiking network reads: merged events once, dropped
    ones not.

    Args:
        samples: N samples.
        encoder: bins their events.
        gain: brightness of one spike: `255 // largest_count` of the training set, for
            all sets.

    Returns:
        images uint8 [N, H, W]: the last axis of the units is W.
    """
    dimmed = (np.minimum(counts * gain, WHITE) for counts in _counts(samples, encoder))
    images = np.concatenate([counts.astype(np.uint8) for counts in dimmed])
    shape = (len(samples), -1, samples.shape[-1])
    return LabelledImages(
        images.reshape(shape), samples.labels, samples.index, samples.subject
    )


def _counts(samples: LabelledEvents, encoder: Encoder) -> Iterator[NDArray[np.int64]]:
    """Yield how often each unit spikes, [n, units], for n samples at a time."""
    size = max(1, min(_BLOCK_SAMPLES, _BLOCK_COUNTS // samples.setting.n_units))
    for first in range(0, len(samples), size):
        yield class_counts(
            encoder.encode(samples[first : first + size], np.uint64(0)).events
        )
