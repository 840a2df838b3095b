"""Downloads: from a server of the test, and without a network.

torchvision, which takes long to import, is imported where it is needed.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import DataError
from spikejoule.data.source import Download, Places
from spikejoule.data.sources import SOURCES, load_dataset
from tests.tools import sensor_files
from tests.tools.sensor_files import md5_of, write_idx_files
from tests.tools.services import served

NOWHERE = "http://127.0.0.1:9"
FASHION = "torchvision.datasets.FashionMNIST"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The server's folder."""
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


@pytest.fixture
def address(there: Path) -> Iterator[str]:
    """The server's address."""
    with served(there) as url:
        yield f"{url}/"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "cache" / "mnist")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every connection to a port where no server listens."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def write_files(folder: Path) -> dict[str, str]:
    """Write thirty and twenty images as four files; return their checksums."""
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    labels = (np.arange(30) % 10).astype(np.uint8)
    return write_idx_files(folder, (images, labels), (images[:20], labels[:20]))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "host", "advice"),
    [
        ("mnist", "ossci-datasets.s3.amazonaws.com", "train-images-idx3-ubyte.gz"),
        ("shd", "zenkelab.org", "shd_train.h5.zip"),
    ],
)
def test_without_a_network_one_quiet_sentence_names_the_address(
    places: Places, name: str, host: str, advice: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        DataError, match=f"{name} could not be downloaded from {host}"
    ) as error:
        load_dataset(name, places)
    assert advice in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")
    assert list(places.kept(name).iterdir()) == []


def test_images_are_verified_and_kept(
    places: Places, there: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = places.kept("fashion_mnist")
    sums = write_files(there)
    monkeypatch.setattr(f"{FASHION}.mirrors", [address])
    with pytest.raises(
        DataError, match="MD5 hash of .* not match .*8d4fb7e6c68d591d4c3dfef9ec88bf0d"
    ):
        load_dataset("fashion_mnist", places)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(f"{FASHION}.resources", list(sums.items()))
    (cache / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    dataset = load_dataset("fashion_mnist", places)
    assert dataset.title == "Fashion-MNIST (30 training and 20 test images)"
    assert dataset.train.subject.one(9) == "garment ankle boot"
    assert {path.name for path in cache.iterdir()} == sums.keys()
    monkeypatch.setattr(f"{FASHION}.mirrors", [f"{NOWHERE}/"])
    assert load_dataset("fashion_mnist", places).sha256 == dataset.sha256


def test_events_are_verified_kept_and_converted_once(
    places: Places, there: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor_files.write_n_mnist(there, 12, 11)
    downloads = {
        part: Download(f"{address}{part}.zip", f"{part}.zip", "0" * 32)
        for part in ("train", "test")
    }
    monkeypatch.setattr(SOURCES["n_mnist"], "downloads", downloads)
    with pytest.raises(
        DataError, match=r"127.0.0.1:\d+ .*MD5 hash of downloaded file .train.zip"
    ):
        load_dataset("n_mnist", places)
    for part, download in downloads.items():
        downloads[part] = download._replace(md5=md5_of(there / download.name))
    dataset = load_dataset("n_mnist", places)
    assert dataset.source == "n_mnist"
    assert (len(dataset.train), len(dataset.test)) == (12, 11)
    monkeypatch.setattr(SOURCES["n_mnist"], "samples", lambda self, archive: iter(()))
    (there / "train.zip").unlink()
    assert load_dataset("n_mnist", places).sha256 == dataset.sha256


class TestAuto:
    def test_a_given_directory_comes_first_and_must_be_usable(
        self, there: Path
    ) -> None:
        given = Places(there.parent, there.parent / "cache", "there")
        with pytest.raises(DataError, match="lacks"):
            load_dataset("auto", given)
        write_files(there)
        assert load_dataset("auto", given).source == "directory"

    @pytest.mark.usefixtures("no_network")
    def test_falls_back_with_a_framed_warning(
        self, places: Places, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        assert load_dataset("auto", places).source == "mnist5k"
        for words in ("ONLY 5,000 DIGITS", "could not be downloaded", "MNIST_DIR"):
            assert words in caplog.text

    def test_uses_the_download(
        self, places: Places, there: Path, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resources = list(write_files(there).items())
        monkeypatch.setattr("torchvision.datasets.MNIST.resources", resources)
        monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [address])
        assert len(load_dataset("auto", places).train) == 30
