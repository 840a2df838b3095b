"""Small data sets in the formats in which the real ones are published, written one byte
at a time.

The samples of a class come from its own group of units, so that a network can learn
them.
"""

import gzip
import hashlib
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.data.source import Places, SensorSource

OVERFLOW_US = 8192


class Sample(NamedTuple):
    """Events in order of time: microseconds, column, row, polarity; and the class."""

    times: list[int]
    columns: list[int]
    rows: list[int]
    polarities: list[int]
    label: int


def digit_events(label: int, seed: int) -> Sample:
    """60 events of a digit in 300 ms: most of them in three rows of its own."""
    random = np.random.default_rng([seed, label])
    times = np.sort(random.integers(0, 300_000, 60))
    own_rows = 3 * label + random.integers(0, 3, 60)
    rows = np.where(random.random(60) < 0.9, own_rows, random.integers(0, 34, 60))
    columns = random.integers(0, 34, 60)
    polarities = random.integers(0, 2, 60)
    return Sample(
        times.tolist(), columns.tolist(), rows.tolist(), polarities.tolist(), label
    )


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """The content of an (uncompressed) IDX file that holds an array of unsigned
    bytes.
    """
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8, casting="safe").tobytes()


def write_idx_files(
    folder: Path, train: tuple[Any, Any], test: tuple[Any, Any]
) -> dict[str, str]:
    """The four files of MNIST, gzipped, of (images, labels) each; their MD5 by name."""
    sums = {}
    for part, arrays in (("train", train), ("t10k", test)):
        for name, array in zip(("images-idx3", "labels-idx1"), arrays, strict=True):
            path = folder / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(encode_idx(array)))
            sums[path.name] = md5_of(path)
    return sums


def n_mnist_bytes(sample: Sample) -> bytes:
    """The file of a sample: an event of row 240 wherever 8192 microseconds have gone
    by.
    """
    content = bytearray()
    passed = 0
    events = zip(
        sample.times, sample.columns, sample.rows, sample.polarities, strict=True
    )
    for time, column, row, polarity in events:
        while time - passed >= OVERFLOW_US:
            content += bytes([0, 240, 0, 0, 0])
            passed += OVERFLOW_US
        stamp = time - passed
        content += bytes(
            [column, row, polarity << 7 | stamp >> 16, stamp >> 8 & 255, stamp & 255]
        )
    return bytes(content)


def md5_of(path: Path) -> str:
    """The MD5 of a file, as publishers of data sets state it."""
    return hashlib.md5(path.read_bytes()).hexdigest()


def keep(
    folder: Path, source: type[SensorSource], monkeypatch: pytest.MonkeyPatch
) -> Places:
    """Let archives that were written to a folder be the download of a source."""
    downloads = {
        part: download._replace(md5=md5_of(folder / download.name))
        for part, download in source.downloads.items()
    }
    monkeypatch.setattr(source, "downloads", downloads)
    return Places(folder.parent, folder.with_name("mnist"))


def write_n_mnist(folder: Path, n_train: int, n_test: int) -> list[Sample]:
    """Write `train.zip` and `test.zip`, a folder for each digit; returns the samples of
    both.
    """
    samples = []
    for part, n_samples, first in (("Train", n_train, 0), ("Test", n_test, 1_000_000)):
        files = {}
        for number in range(1, n_samples + 1):
            sample = digit_events((number - 1) % 10, first + number)
            samples.append(sample)
            files[f"{part}/{sample.label}/{number:05d}.bin"] = n_mnist_bytes(sample)
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / f"{part.lower()}.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    return samples


def write_shd(folder: Path, n_train: int, n_test: int) -> None:
    """Write `shd_train.h5` and `shd_test.h5` and archives: a word fires 35 channels of
    its own.
    """
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    for part, n_samples, seed in (("train", n_train, 0), ("test", n_test, 1_000_000)):
        random = np.random.default_rng(seed)
        labels = np.arange(n_samples, dtype=np.uint16) % 20
        path = folder / f"shd_{part}.h5"
        with h5py.File(path, "w") as file:
            times = file.create_dataset(
                "spikes/times", n_samples, h5py.vlen_dtype(np.float16)
            )
            units = file.create_dataset(
                "spikes/units", n_samples, h5py.vlen_dtype(np.uint16)
            )
            for number, label in enumerate(labels):
                times[number] = np.sort(random.random(50)).astype(np.float16)
                own_channels = 35 * label + random.integers(0, 35, 50)
                noise = random.integers(0, 700, 50)
                units[number] = np.where(random.random(50) < 0.9, own_channels, noise)
            file["labels"] = labels
            file["extra/speaker"] = labels % 3
            file["extra/keys"] = [f"word {label}".encode() for label in range(20)]
        with zipfile.ZipFile(f"{path}.zip", "w") as archive:
            archive.write(path, path.name)
