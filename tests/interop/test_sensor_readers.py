"""Tonic reads what our readers read: two implementations of the published formats, one
result.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from spikejoule.data.source import SensorSample
from spikejoule.data.sources import n_mnist, shd
from tests.tools import sensor_files

tonic = pytest.importorskip("tonic", reason="needs Tonic, a part of the extra interop")
pytestmark = pytest.mark.slow


def assert_same(ours: SensorSample, events: np.ndarray, label: int) -> None:
    """Of one sample; Tonic's events have a polarity and a row where they are of
    pixels.
    """
    times, units, our_label = ours
    expected = events["x"]
    if "y" in events.dtype.names:
        expected = (events["p"] * n_mnist.SIDE + events["y"]) * n_mnist.SIDE + expected
    np.testing.assert_array_equal(times, events["t"])
    np.testing.assert_array_equal(units, expected)
    assert our_label == label


def test_n_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "NMNIST"
    sensor_files.write_n_mnist(folder, 30, 10)
    # Tonic asks for the files beside the archive, and for as many of them as the real
    # set has.
    archive = zipfile.ZipFile(folder / "test.zip")
    archive.extractall(folder)
    monkeypatch.setattr(tonic.datasets.NMNIST, "_check_exists", lambda self: True)
    theirs = tonic.datasets.NMNIST(str(tmp_path), train=False)
    in_order = sorted(
        range(len(theirs)), key=lambda place: Path(theirs.data[place]).name
    )
    for place, ours in zip(in_order, n_mnist.NMnist().samples(archive), strict=True):
        assert_same(ours, *theirs[place])


def test_shd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "SHD"
    sensor_files.write_shd(folder, 40, 20)
    monkeypatch.setattr(tonic.datasets.SHD, "_check_exists", lambda self: True)
    theirs = tonic.datasets.SHD(str(tmp_path), train=False)
    samples = shd.Shd().samples(zipfile.ZipFile(folder / "shd_test.h5.zip"))
    for place, ours in enumerate(samples):
        assert_same(ours, *theirs[place])
    assert len(theirs) == place + 1 == 20
