"""An event set with a known best: digits that walk across a retina to the left or to the right.

Around its border, each place once: a sample of one class has the very steps of one of the other, in
reverse order. Who sees steps one by one, in whatever order, is right as often as by guessing; who
remembers the step before is always right.
"""

from pathlib import Path

import numpy as np

from spikejoule.data.events import EventBlock, EventSamples, EventSetting, write_event_file
from spikejoule.data.subject import Subject
from spikejoule.encoding.events import EventList

# 0, 1, 2 and 4 of 5 x 3 pixels.
GLYPHS = ("111101101101111", "010110010010111", "111001111100111", "101101111001001")
RETINA = (1, 7, 8)
STEPS, STEP_US = RETINA[2], 1000


def moving_digits(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes bool [N, STEPS, units of RETINA], and whether each digit walks to the right."""
    generator = np.random.default_rng(seed)
    _, height, width = RETINA
    labels = generator.integers(0, 2, number)
    spikes = np.zeros((number, STEPS, height, width), dtype=bool)
    for sample, label in enumerate(labels):
        glyph = np.array([*GLYPHS[generator.integers(len(GLYPHS))]], int).reshape(5, 3)
        plane, top = np.zeros((height, width), dtype=bool), generator.integers(0, height - 4)
        plane[top : top + 5, :3] = glyph
        places = generator.integers(width) + np.arange(STEPS) * (1 if label else -1)
        spikes[sample] = [np.roll(plane, place, axis=1) for place in places]
    return spikes.reshape(number, STEPS, -1), labels


def stamped(events: EventList, step_us: int) -> EventSamples:
    """Spikes in steps, each at the time at which its step begins."""
    times = (events.row_of_each_event() % events.n_steps * step_us).astype(np.uint32)
    return EventSamples(times, events.sources, events.offsets[:: events.n_steps].copy())


def write_moving_digits(path: Path, n_train: int, n_test: int) -> None:
    """An event file of them."""
    spikes, labels = moving_digits(n_train + n_test, 1)
    subject = Subject("digit", ("walks left", "walks right"))
    setting = EventSetting("Moving digits", subject, RETINA, STEPS * STEP_US)
    events = stamped(EventList.from_dense(spikes), STEP_US)
    write_event_file(path, setting, [EventBlock(events, labels)], n_train)
