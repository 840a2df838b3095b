"""Write gestures.npz, the event file that the page on other data trains on."""

import numpy as np

from spikejoule.data.events import (
    EventSamples,
    EventSetting,
    LabelledEvents,
    offsets_of,
)
from spikejoule.data.subject import Subject


def main() -> None:
    """Write 40 samples each of two made-up gestures."""
    random = np.random.default_rng(0)
    labels = (np.arange(80) % 2).astype(np.uint8)
    units = 32 * labels[:, None] + random.integers(0, 32, (80, 50))
    events = EventSamples(
        times=random.integers(0, 100_000, units.size, dtype=np.uint32),
        units=units.ravel().astype(np.uint16),
        offsets=offsets_of(np.full(80, 50)),
    )
    setting = EventSetting(
        title="Two gestures, made up",
        subject=Subject("gesture", ("left", "right")),
        shape=(8, 8),
        duration_us=100_000,
    )
    samples = LabelledEvents(events, labels, np.arange(80), setting, n_train=60)
    samples.save("gestures.npz")


if __name__ == "__main__":
    main()
