"""N-MNIST: MNIST's digits as an event camera saw them, moved before it three times.

The set is two archives, of training and of test, with a folder for each digit and a file for each
sample. A file has five bytes an event: x; y; the polarity (one bit) and the time in microseconds
(23 bits, the highest first). An event with y = 240 is none: it adds 8192 microseconds to its own
and all later times.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError
from spikejoule.data.events import EventBlock, EventSamples, EventSetting, offsets_of
from spikejoule.data.source import SensorSource
from spikejoule.data.subject import DIGITS

SIDE = 34
_ADDRESS = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_OVERFLOW_ROW, _OVERFLOW_US = 240, 8192
_BLOCK_SAMPLES = 256


class NMnist(SensorSource):
    """60,000 digits to train, 10,000 to test, of 2 x 34 x 34 units."""

    reference: ClassVar = "Orchard et al. 2015, doi:10.3389/fnins.2015.00437"
    setting: ClassVar = EventSetting("N-MNIST", DIGITS, (2, SIDE, SIDE), 300_000)
    downloads: ClassVar = {
        "train": (
            f"{_ADDRESS}39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
            "train.zip",
            "20959b8e626244a1b502305a9e6e2031",
        ),
        "test": (
            f"{_ADDRESS}05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
            "test.zip",
            "69ca8762b2fe404d9b9bad1103e97832",
        ),
    }
    note: ClassVar = "N-MNIST, known by its checksums: figures cannot be compared with MNIST's."

    def samples(self, archive: zipfile.ZipFile) -> Iterator[EventBlock]:
        """The samples, in the order of their numbers."""
        files = {int(Path(name).stem): name for name in archive.namelist() if name.endswith(".bin")}
        numbers = np.array(sorted(files), dtype=np.int64)
        for first in range(0, len(numbers), _BLOCK_SAMPLES):
            chosen = numbers[first : first + _BLOCK_SAMPLES]
            names = [files[number] for number in chosen]
            events = [events_of_bytes(archive.read(name), name) for name in names]
            times, units = zip(*events, strict=True)
            yield EventBlock(
                EventSamples(
                    np.concatenate(times),
                    np.concatenate(units),
                    offsets_of(np.array([len(each) for each in times])),
                ),
                np.array([DIGITS.class_names.index(Path(name).parent.name) for name in names]),
                chosen,
            )


def events_of_bytes(content: bytes, what: str) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Times in microseconds and units of a sample's file; DataError, naming `what`, if damaged.

    The unit is (polarity * 34 + y) * 34 + x.
    """
    if len(content) % 5:
        raise DataError(f"{what}: there must be five bytes an event, but there are {len(content)}.")
    x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, 5).T.astype(np.uint32)
    overflows = y == _OVERFLOW_ROW
    stamps = (high & 127) << 16 | middle << 8 | low
    times = stamps + np.cumsum(overflows, dtype=np.uint32) * np.uint32(_OVERFLOW_US)
    events = ~overflows
    if np.any(x[events] >= SIDE) or np.any(y[events] >= SIDE):
        raise DataError(f"{what}: it holds events outside of {SIDE} x {SIDE} pixels.")
    units = ((high >> 7) * SIDE + y) * SIDE + x
    return times[events].astype(np.uint32), units[events].astype(np.uint16)
