"""The Spiking Heidelberg Digits: spoken digits as spikes of a cochlea model.

The set is two HDF5 files with, for each sample, the times in seconds and the units of
its spikes (`spikes/times`, `spikes/units`), and its label (`labels`): zero to nine in
English, then in German.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from spikejoule.data.events import EventSetting
from spikejoule.data.source import Download, SensorSample, SensorSource
from spikejoule.data.subject import Subject

_ENGLISH = "zero one two three four five six seven eight nine"
_GERMAN = "null eins zwei drei vier fünf sechs sieben acht neun"
_NAME = "shd_{}.h5.zip"
_ADDRESS = f"https://zenkelab.org/datasets/{_NAME}"
_MD5 = {
    "train": "f3252aeb598ac776c1b526422d90eecb",
    "test": "1503a5064faa34311c398fb0a1ed0a6f",
}


class Shd(SensorSource):
    """8,156 words for training, 2,264 for testing, from 700 units in 20 classes."""

    reference: ClassVar = "Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364"
    setting: ClassVar = EventSetting(
        "Spiking Heidelberg Digits",
        Subject("word", tuple(f"{_ENGLISH} {_GERMAN}".split())),
        (700,),
        1_400_000,
    )
    downloads: ClassVar = {
        part: Download(_ADDRESS.format(part), _NAME.format(part), md5)
        for part, md5 in _MD5.items()
    }
    note: ClassVar = "The Spiking Heidelberg Digits, known by their checksums."

    def samples(self, archive: zipfile.ZipFile) -> Iterator[SensorSample]:
        """Yield the samples of the HDF5 file in the archive, in its order."""
        # Imported here: nothing else in this package needs it.
        import h5py

        (name,) = archive.namelist()
        with h5py.File(io.BytesIO(archive.read(name)), "r") as file:
            samples = zip(
                file["spikes/times"], file["spikes/units"], file["labels"], strict=True
            )
            for times, units, label in samples:
                # The file has half precision, too narrow for microseconds.
                microseconds = times.astype(np.float64) * 1e6
                yield SensorSample(
                    microseconds.astype(np.uint32),
                    units.astype(np.uint16),
                    int(label),
                )
