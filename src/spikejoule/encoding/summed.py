"""Events as images: how often each unit spikes in the window, for networks that know no time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikejoule.data.events import LabelledEvents
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.encoding.events import EventList

WHITE = 255
_BLOCK_SAMPLES, _BLOCK_COUNTS = 1024, 1 << 22


def counts_per_unit(events: EventList) -> NDArray[np.int64]:
    """Spikes of each unit in each sample, int64 [N, units]."""
    rows = events.row_of_each_event() // events.n_steps
    places = rows * events.n_inputs + events.sources
    counts = np.bincount(places, minlength=events.n_samples * events.n_inputs)
    return counts.reshape(events.n_samples, events.n_inputs)


def largest_count(samples: LabelledEvents, code: NoEncoding) -> int:
    """Most spikes of a unit in a sample, 1 at least."""
    return (
        max(
            (int(counts_per_unit(events).max(initial=0)) for events in _blocks(samples, code)),
            default=1,
        )
        or 1
    )


def summed_images(samples: LabelledEvents, code: NoEncoding, gain: int) -> LabelledImages:
    """The samples as images: the spikes of each unit, times `gain`, at most 255.

    The spikes are those that the spiking network gets, merged ones once, dropped ones not.

    Args:
        samples: N samples.
        code: how their events come to steps.
        gain: brightness of one spike; one for all sets, `255 // largest_count` of the training set.

    Returns:
        images uint8 [N, H, W]: the last axis of the units is W.
    """
    n_units, width = samples.inputs.n_units, samples.shape[-1]
    images = np.empty((len(samples), n_units), dtype=np.uint8)
    first = 0
    for events in _blocks(samples, code):
        last = first + events.n_samples
        images[first:last] = np.minimum(counts_per_unit(events) * gain, WHITE)
        first = last
    return LabelledImages(
        images.reshape(len(samples), -1, width), samples.labels, samples.index, samples.subject
    )


def _blocks(samples: LabelledEvents, code: NoEncoding) -> Iterator[EventList]:
    inputs = samples.inputs
    size = max(1, min(_BLOCK_SAMPLES, _BLOCK_COUNTS // inputs.n_units))
    for first in range(0, len(samples), size):
        yield code.events(inputs[first : first + size], np.uint64(0))
