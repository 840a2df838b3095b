"""Binning against a plain loop."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.core.errors import ParameterError
from spikejoule.data.events import (
    EventSamples,
    EventSetting,
    LabelledEvents,
    offsets_of,
)
from spikejoule.data.subject import DIGITS
from spikejoule.encoding.binning import bin_events, largest_count, summed_images
from spikejoule.encoding.encoders.none import NoEncoding

KEY = np.uint64(0)


def some_events(
    seed: int, n_samples: int, n_units: int, latest_us: int
) -> EventSamples:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 30, n_samples)
    return EventSamples(
        random.integers(0, latest_us + 1, lengths.sum()).astype(np.uint32),
        random.integers(0, n_units, lengths.sum()).astype(np.uint16),
        offsets_of(lengths),
    )


@given(
    st.integers(0, 999),
    st.integers(1, 5),
    st.sampled_from([1, 3, 700]),
    st.integers(1, 40),
    st.integers(1, 2000),
)
def test_each_event_falls_into_its_step_once(
    seed: int, n_samples: int, n_units: int, n_steps: int, window_us: int
) -> None:
    samples = some_events(seed, n_samples, n_units, 1500)
    binned = bin_events(samples, n_units, n_steps, window_us)
    binned.events.check()
    dense = np.zeros((n_samples, n_steps, n_units), dtype=np.uint8)
    dropped = [0] * n_samples
    merged = [0] * n_samples
    for sample in range(n_samples):
        for event in range(samples.offsets[sample], samples.offsets[sample + 1]):
            time = int(samples.times[event])
            unit = samples.units[event]
            step = int(Fraction(time * n_steps, window_us))
            if time >= window_us:
                dropped[sample] += 1
            elif dense[sample, step, unit]:
                merged[sample] += 1
            else:
                dense[sample, step, unit] = 1
    np.testing.assert_array_equal(binned.events.to_dense(np.uint8), dense)
    assert (binned.dropped.tolist(), binned.merged.tolist()) == (dropped, merged)


def test_summed_images_are_the_counts_of_the_spikes() -> None:
    events = some_events(3, 40, 6, 99)
    setting = EventSetting("x", DIGITS, (2, 3), 100)
    labels = np.zeros(40, np.uint8)
    samples = LabelledEvents(events, labels, np.arange(40), setting)
    encoder = NoEncoding(time_window=5, window_ms=0.1)
    with pytest.raises(ParameterError, match="takes samples that are events"):
        encoder.events(np.zeros((1, 4), np.uint8), KEY)
    counts = encoder.events(samples.inputs, KEY).to_dense(np.int64).sum(axis=1)
    assert largest_count(samples, encoder) == counts.max()
    images = summed_images(samples, encoder, gain=100)
    assert images.images.shape == (40, 2, 3)
    np.testing.assert_array_equal(
        images.images.reshape(40, 6), np.minimum(100 * counts, 255)
    )
