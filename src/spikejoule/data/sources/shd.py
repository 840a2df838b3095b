"""The Spiking Heidelberg Digits: spoken digits of two languages, heard by a model of a cochlea.

The set is two HDF5 files: for each sample the times in seconds and the units of its spikes
(`spikes/times`, `spikes/units`), and its label (`labels`): zero to nine in English, then in German.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spikejoule.core.errors import DataError
from spikejoule.data.event_file import EventBlock, EventSetting
from spikejoule.data.events import EventSamples, offsets_of
from spikejoule.data.source import SensorSource
from spikejoule.data.subject import Subject

_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
SETTING = EventSetting(
    "Spiking Heidelberg Digits", Subject("word", _ENGLISH + _GERMAN), (700,), 1_400_000
)

_ADDRESS = "https://zenkelab.org/datasets/"
_BLOCK_SAMPLES = 256


class Shd(SensorSource):
    """8,156 words to train, 2,264 to test, of 700 units and 20 classes."""

    name: ClassVar = "shd"
    reference: ClassVar = "Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364"
    setting: ClassVar = SETTING
    downloads: ClassVar = {
        "train": (
            f"{_ADDRESS}shd_train.h5.zip",
            "shd_train.h5.zip",
            "f3252aeb598ac776c1b526422d90eecb",
        ),
        "test": (
            f"{_ADDRESS}shd_test.h5.zip",
            "shd_test.h5.zip",
            "1503a5064faa34311c398fb0a1ed0a6f",
        ),
    }
    note: ClassVar = "The Spiking Heidelberg Digits, known by their checksums."

    names: ClassVar = ("shd_{part}.h5", "SHD/shd_{part}.h5")

    def samples(self, place: Path) -> Iterator[EventBlock]:
        """The samples of an HDF5 file, or of an archive of one, in its order."""
        return read_samples(place)


def read_samples(path: Path) -> Iterator[EventBlock]:
    """The samples of an HDF5 file, or of an archive of one, in its order.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    # Here and not above: nothing else of this package needs it.
    import h5py

    try:
        content: Any = path
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read(path.stem))
        with h5py.File(content, "r") as file:
            times, units, labels = file["spikes/times"], file["spikes/units"], file["labels"]
            if not len(times) == len(units) == len(labels):
                raise DataError(
                    f"{path} has {len(times)} lists of times, {len(units)} of units and "
                    f"{len(labels)} labels; there must be as many of each."
                )
            for first in range(0, len(labels), _BLOCK_SAMPLES):
                part = slice(first, first + _BLOCK_SAMPLES)
                yield _block(times[part], units[part], labels[part], first)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is no file of spikes/times, spikes/units and labels ({error})."
        ) from error


def _block(times: Any, units: Any, labels: Any, first: int) -> EventBlock:
    """Some samples; ValueError or TypeError if they are none."""
    lengths = np.array([len(each) for each in times], dtype=np.int64)
    if [len(each) for each in units] != lengths.tolist():
        raise ValueError("a sample has more times than units, or fewer")
    # The file has half precision: what is multiplied must be wider.
    microseconds = np.concatenate(times).astype(np.float64) * 1e6
    if not ((microseconds >= 0) & (microseconds < 2**32)).all():
        raise ValueError(f"times must be seconds from 0 to {2**32 / 1e6:.0f}")
    numbers, classes = np.concatenate(units), np.asarray(labels)
    if numbers.dtype.kind not in "ui" or classes.dtype.kind not in "ui":
        raise ValueError("units and labels must be whole numbers")
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < SETTING.n_units:
        raise ValueError(f"units must be from 0 to {SETTING.n_units - 1}")
    return EventBlock(
        EventSamples(
            microseconds.astype(np.uint32), numbers.astype(np.uint16), offsets_of(lengths)
        ),
        classes,
        np.arange(first, first + len(lengths), dtype=np.int64),
    )
