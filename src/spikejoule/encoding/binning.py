"""Events of a sensor, stamped in microseconds, brought to the steps of a network.

With a fixed window an event at time t falls into step ``floor(t T / window)``. What
lies outside of the window is dropped; what repeats the unit and step of another is
merged with it, since a unit fires at most once in a step. Both are counted.

The conventional networks, which know no time, get them as images: how often each unit
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
    """Bring the events of all samples to steps, some megabytes of them at a time.

    Arguments and errors as of :func:`bin_events`.
    """
    parts = [
        bin_events(block, samples.setting.n_units, n_steps, window_us)
        for block in samples.events.blocks()
    ]
    events, dropped, merged = zip(*parts, strict=True)
    return Encoded(
        concatenate_samples(events), np.concatenate(dropped), np.concatenate(merged)
    )


def bin_events(
    samples: EventSamples, n_units: int, n_steps: int, window_us: int
) -> Encoded:
    """Bring events to steps, and count those of each sample that are dropped and
    merged.

    Args:
        samples: events of N samples.
        n_units: units of the layer.
        n_steps: T, from 1 to MAX_STEPS.
        window_us: length of all steps together, in microseconds, at least 1; every step
            is as long.

    Raises:
        ParameterError: too many steps or units.
    """
    if not 1 <= n_steps <= MAX_STEPS or n_units > MAX_UNITS:
        raise ParameterError(
            f"events of {n_units:,} units in {n_steps:,} steps; allowed are "
            f"{MAX_UNITS:,} units "
            f"and 1 to {MAX_STEPS:,} steps"
        )
    n_samples = len(samples)
    inside = samples.times.astype(np.int64) < window_us
    of_sample = np.repeat(np.arange(n_samples), np.diff(samples.offsets))
    dropped = np.bincount(of_sample[~inside], minlength=n_samples)
    steps = samples.times[inside].astype(np.int64) * n_steps // window_us
    rows = of_sample[inside] * n_steps + steps
    places = _each_once(
        rows * n_units + samples.units[inside], n_samples * n_steps * n_units
    )
    kept_rows, sources = np.divmod(places, n_units)
    events = EventList.from_rows(kept_rows, sources, n_samples, n_steps, n_units)
    merged = (
        np.bincount(of_sample[inside], minlength=n_samples) - events.counts_per_sample()
    )
    return Encoded(events, dropped.astype(np.int64), merged.astype(np.int64))


def _each_once(places: NDArray[np.int64], n_places: int) -> NDArray[np.int64]:
    """The places in order, each once; a map of all of them, if it is not too empty,
    needs no sort.

    Places are below 2**62 for fewer than 2**24 samples of 10,000 steps and 2**24 units.
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
    """Most spikes of a unit in a sample, 1 at least."""
    return max(
        [1, *(int(counts.max(initial=0)) for counts in _counts(samples, encoder))]
    )


def summed_images(
    samples: LabelledEvents, encoder: Encoder, gain: int
) -> LabelledImages:
    """The samples as images: the spikes of each unit, times `gain`, at most 255.

    The spikes are those that the spiking network gets, merged ones once, dropped ones
    not.

    Args:
        samples: N samples.
        encoder: how their events come to steps.
        gain: brightness of one spike; one for all sets, `255 // largest_count` of the
            training set.

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
    """How often each unit spikes in some samples, [n, units], until all had their
    turn.
    """
    size = max(1, min(_BLOCK_SAMPLES, _BLOCK_COUNTS // samples.setting.n_units))
    for first in range(0, len(samples), size):
        yield class_counts(
            encoder.encode(samples[first : first + size], np.uint64(0)).events
        )
