"""The readers of N-MNIST and SHD, and event files as data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import DataError
from spikejoule.data.events import (
    EventBlock,
    EventSetting,
    LabelledEvents,
    write_event_file,
)
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places, SensorSource
from spikejoule.data.sources.events import Events
from spikejoule.data.sources.n_mnist import NMnist
from spikejoule.data.sources.shd import Shd
from spikejoule.data.subject import DIGITS
from tests.tools import sensor_files

CACHES = {NMnist: "n_mnist", Shd: "shd"}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    """Loads a source from archives that a test has written, as though they were
    published.
    """

    def loaded(source: type[SensorSource]) -> Dataset:
        return source().load(
            sensor_files.keep(tmp_path / CACHES[source], source, monkeypatch)
        )

    return loaded


def test_n_mnist_of_bytes_written_one_by_one(
    tmp_path: Path, load: Callable[..., Dataset]
) -> None:
    written = sensor_files.write_n_mnist(tmp_path / "n_mnist", 23, 7)
    dataset = load(NMnist)
    assert dataset.title == "N-MNIST (23 training and 7 test samples)"
    for samples, expected in (
        (dataset.train, written[:23]),
        (dataset.test, written[23:]),
    ):
        assert isinstance(samples, LabelledEvents)
        assert samples.index.tolist() == [*range(len(expected))]
        events = samples.read()
        for number, sample in enumerate(expected):
            own = slice(events.offsets[number], events.offsets[number + 1])
            units = [
                (p * 34 + y) * 34 + x
                for x, y, p in zip(
                    sample.columns, sample.rows, sample.polarities, strict=True
                )
            ]
            assert events.times[own].tolist() == sample.times
            assert events.units[own].tolist() == units
            assert samples.labels[number] == sample.label


def test_shd(tmp_path: Path, load: Callable[..., Dataset]) -> None:
    import h5py

    sensor_files.write_shd(tmp_path / "shd", 41, 20)
    train = load(Shd).train
    assert isinstance(train, LabelledEvents)
    assert (train.subject.noun, train.subject.class_names[13]) == ("word", "drei")
    with h5py.File(tmp_path / "shd" / "shd_train.h5") as file:
        for number in (0, 17, 40):
            events = train.read(np.array([number]))
            seconds = [float(each) for each in file["spikes/times"][number]]
            assert events.times.tolist() == [int(each * 1e6) for each in seconds]
            assert events.units.tolist() == file["spikes/units"][number].tolist()
            assert train.labels[number] == file["labels"][number]


def test_an_event_file_says_which_samples_are_for_the_test(
    tmp_path: Path, load: Callable[..., Dataset]
) -> None:
    sensor_files.write_n_mnist(tmp_path / "n_mnist", 9, 3)
    samples = load(NMnist).train
    assert isinstance(samples, LabelledEvents)
    block = EventBlock(samples.read(), samples.labels)
    setting = EventSetting("Mine", DIGITS, (2, 34, 34), 300_000)
    write_event_file(tmp_path / "mine.npz", setting, [block], n_train=7)
    places = Places(tmp_path, tmp_path / "mnist")
    dataset = Events(files="mine.npz").load(places)
    assert (len(dataset.train), len(dataset.test)) == (7, 2)
    assert dataset.test.labels.tolist() == samples.labels[7:].tolist()
    write_event_file(tmp_path / "mine.npz", setting, [block])
    with pytest.raises(DataError, match="n_train"):
        Events(files="mine.npz").load(places)
    with pytest.raises(DataError, match="data.files: null is not allowed"):
        Events().load(places)
