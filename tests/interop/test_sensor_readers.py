"""Tonic reads what our readers read: two implementations of the published formats, one result."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from spikejoule.data.events import EventBlock
from spikejoule.data.sources import n_mnist, shd
from tests.tools import sensor_files

tonic = pytest.importorskip("tonic", reason="needs Tonic, a part of the extra interop")
pytestmark = pytest.mark.slow


def assert_same(block: EventBlock, place: int, events: np.ndarray, label: int) -> None:
    """Of one sample; Tonic's events have a polarity and a row where they are of pixels."""
    units = events["x"]
    if "y" in events.dtype.names:
        units = (events["p"] * n_mnist.SIDE + events["y"]) * n_mnist.SIDE + units
    own = block.events.read(slice(place, place + 1))
    np.testing.assert_array_equal(own.times, events["t"])
    np.testing.assert_array_equal(own.units, units)
    assert block.labels[place] == label


def test_n_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "NMNIST"
    sensor_files.write_n_mnist(folder, 30, 10)
    # Tonic asks for the files beside the archive, and for as many of them as the real set has.
    archive = zipfile.ZipFile(folder / "test.zip")
    archive.extractall(folder)
    monkeypatch.setattr(tonic.datasets.NMNIST, "_check_exists", lambda self: True)
    theirs = tonic.datasets.NMNIST(str(tmp_path), train=False)
    by_name = {Path(path).name: position for position, path in enumerate(theirs.data)}
    (block,) = n_mnist.NMnist().samples(archive)
    for place, number in enumerate(np.asarray(block.index)):
        assert_same(block, place, *theirs[by_name[f"{number:05d}.bin"]])


def test_shd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "SHD"
    sensor_files.write_shd(folder, 40, 20)
    monkeypatch.setattr(tonic.datasets.SHD, "_check_exists", lambda self: True)
    theirs = tonic.datasets.SHD(str(tmp_path), train=False)
    (block,) = shd.Shd().samples(zipfile.ZipFile(folder / "shd_test.h5.zip"))
    assert len(theirs) == len(block.labels) == 20
    for place in range(20):
        assert_same(block, place, *theirs[place])
