"""The readers of N-MNIST and SHD, and event files as data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import DataError
from spikejoule.data.events import LabelledEvents
from spikejoule.data.source import Places
from spikejoule.data.sources.events import Events
from spikejoule.data.sources.n_mnist import NMnist
from spikejoule.data.sources.shd import Shd
from tests.data.test_event_files import samples
from tests.tools import sensor_files


def test_n_mnist_written_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "n_mnist"
    written = sensor_files.write_n_mnist(folder, 23, 7)
    dataset = NMnist().load(sensor_files.keep(folder, NMnist, monkeypatch))
    assert dataset.title == "N-MNIST (23 training and 7 test samples)"
    for split, expected in (
        (dataset.train, written[:23]),
        (dataset.test, written[23:]),
    ):
        assert isinstance(split, LabelledEvents)
        assert split.index.tolist() == [*range(len(expected))]
        for number, sample in enumerate(expected):
            events = split.events.select(np.array([number]))
            units = [
                (p * 34 + y) * 34 + x
                for x, y, p in zip(
                    sample.columns, sample.rows, sample.polarities, strict=True
                )
            ]
            assert events.times.tolist() == sample.times
            assert events.units.tolist() == units
            assert split.labels[number] == sample.label


def test_shd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import h5py

    sensor_files.write_shd(tmp_path / "shd", 41, 20)
    train = Shd().load(sensor_files.keep(tmp_path / "shd", Shd, monkeypatch)).train
    assert isinstance(train, LabelledEvents)
    assert (train.subject.noun, train.subject.class_names[13]) == ("word", "drei")
    with h5py.File(tmp_path / "shd" / "shd_train.h5") as file:
        for number in (0, 17, 40):
            events = train.events.select(np.array([number]))
            seconds = [float(time) for time in file["spikes/times"][number]]
            assert events.times.tolist() == [int(time * 1e6) for time in seconds]
            assert events.units.tolist() == file["spikes/units"][number].tolist()
            assert train.labels[number] == file["labels"][number]


def test_an_event_file_says_which_samples_are_for_the_test(tmp_path: Path) -> None:
    mine = replace(samples(9), n_train=7)
    mine.save(tmp_path / "mine.npz")
    places = Places(tmp_path, tmp_path / "mnist")
    dataset = Events(files="mine.npz").load(places)
    assert (len(dataset.train), len(dataset.test)) == (7, 2)
    assert dataset.test.labels.tolist() == mine.labels[7:].tolist()
    mine.select(slice(None)).save(tmp_path / "mine.npz")
    with pytest.raises(DataError, match="n_train"):
        Events(files="mine.npz").load(places)
    with pytest.raises(DataError, match="data.files: null is not allowed"):
        Events().load(places)
