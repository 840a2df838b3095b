"""The Spiking Heidelberg Digits: spoken digits of two languages, heard by a model of a cochlea.

The set is two HDF5 files: for each sample the times in seconds and the units of its spikes
(`spikes/times`, `spikes/units`), and its label (`labels`): zero to nine in English, then in German.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from spikejoule.data.events import EventBlock, EventSamples, EventSetting, offsets_of
from spikejoule.data.source import SensorSource
from spikejoule.data.subject import Subject

_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
_NAME = "shd_{}.h5.zip"
_ADDRESS = f"https://zenkelab.org/datasets/{_NAME}"
_MD5 = {"train": "f3252aeb598ac776c1b526422d90eecb", "test": "1503a5064faa34311c398fb0a1ed0a6f"}
_BLOCK_SAMPLES = 256


class Shd(SensorSource):
    """8,156 words to train, 2,264 to test, of 700 units and 20 classes."""

    reference: ClassVar = "Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364"
    setting: ClassVar = EventSetting(
        "Spiking Heidelberg Digits", Subject("word", _ENGLISH + _GERMAN), (700,), 1_400_000
    )
    downloads: ClassVar = {
        "train": (_ADDRESS.format("train"), _NAME.format("train"), _MD5["train"]),
        "test": (_ADDRESS.format("test"), _NAME.format("test"), _MD5["test"]),
    }
    note: ClassVar = "The Spiking Heidelberg Digits, known by their checksums."

    def samples(self, archive: zipfile.ZipFile) -> Iterator[EventBlock]:
        """The samples of the HDF5 file in the archive, in its order."""
        # Here and not above: nothing else of this package needs it.
        import h5py

        (name,) = archive.namelist()
        with h5py.File(io.BytesIO(archive.read(name)), "r") as file:
            times, units, labels = file["spikes/times"], file["spikes/units"], file["labels"]
            if not len(times) == len(units) == len(labels):
                raise ValueError("there must be as many times as units and labels")
            for first in range(0, len(labels), _BLOCK_SAMPLES):
                part = slice(first, first + _BLOCK_SAMPLES)
                yield _block(times[part], units[part], labels[part], first)


def _block(times: Any, units: Any, labels: Any, first: int) -> EventBlock:
    """Some samples; ValueError or TypeError if they are none."""
    lengths = np.array([len(each) for each in times], dtype=np.int64)
    if [len(each) for each in units] != lengths.tolist():
        raise ValueError("a sample has more times than units, or fewer")
    # The file has half precision: what is multiplied must be wider.
    microseconds = np.concatenate(times).astype(np.float64) * 1e6
    if not ((microseconds >= 0) & (microseconds < 2**32)).all():
        raise ValueError(f"times must be seconds from 0 to {2**32 / 1e6:.0f}")
    numbers = np.concatenate(units).astype(np.uint16, casting="same_kind")
    return EventBlock(
        EventSamples(microseconds.astype(np.uint32), numbers, offsets_of(lengths)),
        np.asarray(labels),
        np.arange(first, first + len(lengths), dtype=np.int64),
    )
