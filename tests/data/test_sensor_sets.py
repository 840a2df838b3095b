"""The readers of N-MNIST and SHD, and event files as data."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import DataError
from spikejoule.data.events import EventBlock, EventSetting, LabelledEvents, write_event_file
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places
from spikejoule.data.sources import SOURCES
from spikejoule.data.sources.events import Events
from spikejoule.data.subject import DIGITS
from tests.tools import sensor_files


def places(folder: Path) -> Places:
    return Places(folder, folder / "cache" / "mnist")


def load(folder: Path, source: str, files: str | None) -> Dataset:
    return SOURCES[source].model_validate({"files": files}).load(places(folder))


@pytest.mark.parametrize("zipped", [False, True])
def test_n_mnist_of_bytes_written_one_by_one(tmp_path: Path, zipped: bool) -> None:
    written = sensor_files.write_n_mnist(tmp_path / "raw", 23, 7, zipped)
    dataset = load(tmp_path, "n_mnist", "raw")
    assert dataset.source == "directory"
    assert dataset.title == "N-MNIST files of raw (23 training and 7 test samples)"
    train, test = dataset.train, dataset.test
    assert isinstance(train, LabelledEvents)
    assert isinstance(test, LabelledEvents)
    assert train.index.tolist() == [*range(1, 24)]
    for samples, expected in ((train, written[:23]), (test, written[23:])):
        events = samples.read()
        for number, sample in enumerate(expected):
            own = slice(events.offsets[number], events.offsets[number + 1])
            units = [
                (p * 34 + y) * 34 + x
                for x, y, p in zip(sample.columns, sample.rows, sample.polarities, strict=True)
            ]
            assert events.times[own].tolist() == sample.times
            assert events.units[own].tolist() == units
            assert samples.labels[number] == sample.label


def test_shd(tmp_path: Path) -> None:
    import h5py

    sensor_files.write_shd(tmp_path / "raw", 41, 20)
    dataset = load(tmp_path, "shd", "raw")
    train = dataset.train
    assert isinstance(train, LabelledEvents)
    assert (train.subject.noun, train.subject.class_names[13]) == ("word", "drei")
    with h5py.File(tmp_path / "raw" / "shd_train.h5") as file:
        for number in (0, 17, 40):
            events = train.read(np.array([number]))
            seconds = [float(each) for each in file["spikes/times"][number]]
            assert events.times.tolist() == [int(each * 1e6) for each in seconds]
            assert events.units.tolist() == file["spikes/units"][number].tolist()
            assert train.labels[number] == file["labels"][number]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\1" * 6, "five bytes an event"), (bytes([34, 0, 0, 0, 0]), "outside of 34 x 34")],
)
def test_damaged_samples_are_named(tmp_path: Path, content: bytes, problem: str) -> None:
    sensor_files.write_n_mnist(tmp_path / "raw", 3, 3)
    (tmp_path / "raw" / "Test" / "1" / "00002.bin").write_bytes(content)
    with pytest.raises(DataError, match=problem) as error:
        load(tmp_path, "n_mnist", "raw")
    assert "1/00002.bin" in str(error.value)


@pytest.mark.parametrize("place", [8, 45])
def test_a_damaged_archive_is_named(tmp_path: Path, place: int) -> None:
    """Packed by an unknown method, and with a content that cannot be unpacked."""
    path = tmp_path / "raw" / "train.zip"
    sensor_files.write_n_mnist(tmp_path / "raw", 3, 3, zipped=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Train/0/1.bin", bytes(range(5)) * 1000)
    content = bytearray(path.read_bytes())
    content[place] = content[content.index(b"PK\1\2") + 10] = 99
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train.zip cannot be read"):
        load(tmp_path, "n_mnist", "raw")


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("spikes/times", np.array([np.nan], np.float32), "seconds from 0 to 4295"),
        ("spikes/units", np.array([1.5], np.float32), "Cannot cast array data"),
        ("labels", np.array([20]), "is 20, but there are 20 classes"),
    ],
)
def test_a_damaged_file_of_words_is_refused(
    tmp_path: Path, name: str, values: np.ndarray, problem: str
) -> None:
    import h5py

    sensor_files.write_shd(tmp_path / "raw", 20, 20)
    with h5py.File(tmp_path / "raw" / "shd_train.h5", "w") as file:
        content = {"spikes/times": np.array([0.5]), "spikes/units": np.array([3], np.uint16),
                   "labels": np.array([1]), name: values}  # fmt: skip
        for key in ("spikes/times", "spikes/units"):
            array = file.create_dataset(key, (1,), dtype=h5py.vlen_dtype(content[key].dtype))
            array[0] = content[key]
        file["labels"] = content["labels"]
    with pytest.raises(DataError, match=problem):
        load(tmp_path, "shd", "raw")


@pytest.mark.parametrize("source", ["n_mnist", "shd"])
def test_a_directory_that_lacks_the_files(tmp_path: Path, source: str) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(DataError, match="data.files: .*raw must hold"):
        load(tmp_path, source, "raw")
    with pytest.raises(DataError, match="data.files: .*nowhere must hold"):
        load(tmp_path, source, "nowhere")


def test_an_event_file_says_which_samples_are_for_the_test(tmp_path: Path) -> None:
    sensor_files.write_n_mnist(tmp_path / "raw", 9, 3)
    samples = load(tmp_path, "n_mnist", "raw").train
    assert isinstance(samples, LabelledEvents)
    block = EventBlock(samples.read(), samples.labels)
    setting = EventSetting("Mine", DIGITS, (2, 34, 34), 300_000)
    write_event_file(tmp_path / "mine.npz", setting, [block], n_train=7)
    dataset = load(tmp_path, "events", "mine.npz")
    assert (len(dataset.train), len(dataset.test)) == (7, 2)
    assert dataset.test.labels.tolist() == samples.labels[7:].tolist()
    write_event_file(tmp_path / "mine.npz", setting, [block])
    with pytest.raises(DataError, match="n_train"):
        load(tmp_path, "events", "mine.npz")
    with pytest.raises(DataError, match="data.files: null is not allowed"):
        Events().load(places(tmp_path))
