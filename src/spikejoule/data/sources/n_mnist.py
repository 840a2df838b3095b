"""N-MNIST: MNIST digits recorded by an event camera that moves in three saccades.

The data set has two archives, for training and testing, with a folder for each digit
and a file for each sample. An event takes five bytes: x, y, and three bytes (most
significant first) of one polarity bit and a 23-bit time in microseconds. An entry with
y = 240 is not an event but a timestamp overflow: it adds 8192 microseconds to all later
times.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.data.events import EventSetting
from spikejoule.data.source import Download, SensorSample, SensorSource
from spikejoule.data.subject import DIGITS

SIDE = 34
_ADDRESS = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/{}/file_downloaded"
# Of each archive: the file id in its address, and its MD5.
_FILES = {
    "train": (
        "39c25547-014b-4137-a934-9d29fa53c7a0",
        "20959b8e626244a1b502305a9e6e2031",
    ),
    "test": (
        "05a4d654-7e03-4c15-bdfa-9bb2bcbea494",
        "69ca8762b2fe404d9b9bad1103e97832",
    ),
}
_OVERFLOW_ROW = 240
_OVERFLOW_US = 8192


class NMnist(SensorSource):
    """60,000 digits for training, 10,000 for testing, from 2 x 34 x 34 units."""

    reference: ClassVar = "Orchard et al. 2015, doi:10.3389/fnins.2015.00437"
    setting: ClassVar = EventSetting("N-MNIST", DIGITS, (2, SIDE, SIDE), 300_000)
    downloads: ClassVar = {
        part: Download(_ADDRESS.format(file_id), f"{part}.zip", md5)
        for part, (file_id, md5) in _FILES.items()
    }
    note: ClassVar = (
        "N-MNIST, known by its checksums: figures cannot be compared with MNIST's."
    )

    def samples(self, archive: zipfile.ZipFile) -> Iterator[SensorSample]:
        """Yield the samples in the order of their numbers, which are the file names."""
        files = {
            int(Path(name).stem): name
            for name in archive.namelist()
            if name.endswith(".bin")
        }
        for _, name in sorted(files.items()):
            label = DIGITS.class_names.index(Path(name).parent.name)
            times, units = events_of_bytes(archive.read(name))
            yield SensorSample(times, units, label)


def events_of_bytes(content: bytes) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Decode the events of one sample's file.

    Returns:
        times in microseconds, [E], and units, (polarity * 34 + y) * 34 + x, [E].
    """
    columns = np.frombuffer(content, np.uint8).reshape(-1, 5).T.astype(np.uint32)
    x, y, high, middle, low = columns
    is_overflow = y == _OVERFLOW_ROW
    time_bits = (high & 127) << 16 | middle << 8 | low
    n_overflows = np.cumsum(is_overflow, dtype=np.uint32)
    times = time_bits + n_overflows * np.uint32(_OVERFLOW_US)
    is_event = ~is_overflow
    units = ((high >> 7) * SIDE + y) * SIDE + x
    return times[is_event].astype(np.uint32), units[is_event].astype(np.uint16)
